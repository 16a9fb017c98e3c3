//! `kiez-load idle`.

use std::time::Duration;

use clap::Args;
use kiez_load::idle::{IdleConfig, Progress, idle};

use super::{Line, Outcome, ReportArgs, ServerArgs, length};

#[derive(Args)]
#[command(after_help = "\
Each friend says hello, goes on duty, gives one position and is quiet. At each step the memory (PSS) and the CPU time of
the server's process are read from /proc; bytes and microseconds of one friend are the slopes over the steps. With --serve
it starts the server itself, and once more after the import, because memory that the import left free would be filled by
the first connections and hide what they take.

  kiez-load idle --connections 2000,6000,10000,14000,18000 --report idle.json --key K \
    --serve 'KIEZ_AUTH__DEVELOPMENT_KEY=K kiez serve --database-url sqlite:idle.db 2>>server.log'
  kiez-load idle --connections 500,1000,1500 --watch 50s --url http://127.0.0.1:8081
  kiez-load idle --compare idle.json --fail-if 'bytes_per_friend>5%' --fail-if 'cpu_us_per_s>10%'

Both processes need a file for each connection: the own limit is raised as far as it goes, the server's is looked at
first. Ends with 1 when connections broke, when the steps lie more than 3 % beside the line, or when more than 110 % of the
first memory is left after all have gone.")]
pub struct IdleArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Connections at each step, growing.
    #[arg(long, value_name = "N,N,…", default_value = "2000,6000,10000,14000,18000", value_delimiter = ',')]
    connections: Vec<usize>,
    /// Start the server by this command line: the server itself, at --url, its database named in it.
    #[arg(long, value_name = "COMMAND", conflicts_with = "pid")]
    serve: Option<String>,
    /// How long each step is watched, at least two heartbeats of the server (50s).
    #[arg(long, value_name = "SPAN", default_value = "60s", value_parser = length)]
    watch: Duration,
    /// How long the server may take to give memory back: it may keep what can be resumed for five minutes.
    #[arg(long, value_name = "SPAN", default_value = "6m", value_parser = length)]
    return_within: Duration,
    /// Connections opened in a second, at most. A server that wants them slower is obeyed.
    #[arg(long, value_name = "N", default_value_t = 400, value_parser = clap::value_parser!(u32).range(1..))]
    connects_per_second: u32,
    /// The seed of places and people.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// The server's process; otherwise whoever listens at --url.
    #[arg(long)]
    pid: Option<u32>,
    #[command(flatten)]
    report: ReportArgs,
}

impl IdleArgs {
    /// Runs it.
    ///
    /// # Errors
    /// In words, when it could not run.
    pub async fn run(self) -> anyhow::Result<Outcome> {
        let base = self.report.base()?;
        let config = IdleConfig {
            connections: self.connections,
            watch: self.watch,
            return_within: self.return_within,
            connects_per_s: self.connects_per_second,
            seed: self.seed,
            pid: self.pid,
            serve: self.serve,
            ..IdleConfig::new(self.server.url, self.server.key)
        };
        let line = Line::new();
        let report = tokio::select! {
            report = idle(&config, |progress| show(progress, &line)) => report?,
            _ = tokio::signal::ctrl_c() => anyhow::bail!("interrupted"),
        };
        println!("{report}");
        self.report.conclude(&report, base.as_ref(), !report.failures().is_empty(), false)
    }
}

fn show(progress: Progress, line: &Line) {
    match progress {
        Progress::Importing(friends) => line.stand(&format!("{friends} profiles are imported")),
        Progress::Connected(ready, wanted) => {
            line.over(&format!("{ready} of {wanted} friends stand"), ready == wanted);
        }
        Progress::Watching(connections) => line.stand(&format!("watching {connections} connections")),
        Progress::Returning(percent) => line.over(&format!("{percent:.0} % of the first memory"), false),
    }
}
