//! `kiez-load`: load for a kiez server and a friend in the terminal. It ends with 0 when everything was right, with 1
//! when a check failed, and with 2 when it could not run.

mod terminal;

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use jiff::civil::Date;
use kiez_load::replay::{Progress, ReplayConfig, replay};
use kiez_load::trace::Selection;

/// Load for a kiez server on this machine, checked from outside.
#[derive(Parser)]
#[command(version, about, after_help = "It speaks plain HTTP and only to this machine.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a real day again and check what the server does with it.
    Replay(ReplayArgs),
    /// Be a friend in the terminal.
    Friend(terminal::FriendArgs),
}

#[derive(Args)]
#[command(after_help = "\
The server must run at the same speed and be in development:
  kiez serve --dev --time-scale 240
  kiez-load replay --url http://127.0.0.1:8080 --trace berlin-bikeshare-2019 --day 2019-07-04 --speed 240 --report r.json

Four hours of the evening, and the small trace of this repository:
  kiez-load replay --trace berlin-bikeshare-2019 --day 2019-07-04 --hours 16-20 --speed 240
  kiez-load replay --trace loadtest/traces/small --day 2026-03-02 --hours 16-17 --speed 60 \\
    --jobs-from booking --friends-from helper

It brings its own community, partner and friends, under new names in every run. The format of a trace is described in
loadtest/traces/README.md.")]
struct ReplayArgs {
    /// The server, on this machine.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
    /// The development key, or an ops token of role admin.
    #[arg(long, env = "KIEZ_DEV_KEY", hide_env_values = true)]
    key: String,
    /// The folder of the trace: trips.csv and positions.csv or positions.csv.gz.
    #[arg(long)]
    trace: PathBuf,
    /// The local day, YYYY-MM-DD.
    #[arg(long)]
    day: Date,
    /// Only jobs of these local hours, such as 16-20.
    #[arg(long, default_value = "0-24", value_parser = hours)]
    hours: (u8, u8),
    /// How many times faster than it was, 1 to 400; the server's --time-scale must be the same.
    #[arg(long, default_value_t = 240)]
    speed: u32,
    /// The seed of delays, decisions and jitter.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write the report as JSON to this file.
    #[arg(long)]
    report: Option<PathBuf>,
    /// Providers whose trips are jobs, each where it starts.
    #[arg(long, default_value = "lidlbike", value_delimiter = ',')]
    jobs_from: Vec<String>,
    /// Providers whose vehicles are friends.
    #[arg(long, default_value = "nextbike,mobike", value_delimiter = ',')]
    friends_from: Vec<String>,
    /// Spread starts over so many seconds after the recorded one; 0 where the trace is exact.
    #[arg(long, default_value_t = 240)]
    jitter_s: u32,
    /// The time zone of the day.
    #[arg(long, default_value = "Europe/Berlin")]
    time_zone: String,
    /// The day goes on for so many minutes of its own time after the last job.
    #[arg(long, default_value_t = 30)]
    tail_minutes: u32,
    /// What is sent may be on its way for so long before it counts as known to the server, real ms.
    #[arg(long, default_value_t = 1_000)]
    in_flight_ms: u64,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(fault) => {
            eprintln!("kiez-load: no runtime: {fault}");
            return ExitCode::from(2);
        }
    };
    let outcome = runtime.block_on(async {
        match cli.command {
            Command::Replay(args) => run_replay(args).await,
            Command::Friend(args) => terminal::run(args).await,
        }
    });
    // A thread that still waits for standard input must not hold up the end.
    runtime.shutdown_background();
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(fault) => {
            eprintln!("kiez-load: {fault:#}");
            ExitCode::from(2)
        }
    }
}

async fn run_replay(args: ReplayArgs) -> anyhow::Result<bool> {
    let selection = Selection {
        day: args.day,
        time_zone: args.time_zone,
        hours: args.hours,
        jobs_from: args.jobs_from,
        friends_from: args.friends_from,
        jitter_s: args.jitter_s,
        seed: args.seed,
    };
    let mut config = ReplayConfig::new(args.url, args.key, args.trace, selection, args.speed);
    let usual = kiez_load::observe::Rules::at_scale(args.speed);
    config.rules = Some(kiez_load::observe::Rules { in_flight_us: args.in_flight_ms * 1_000, ..usual });
    config.tail_ms = i64::from(args.tail_minutes) * 60_000;
    let live = std::io::stderr().is_terminal();
    let report = tokio::select! {
        report = replay(&config, |progress| show(&progress, live)) => report?,
        _ = tokio::signal::ctrl_c() => anyhow::bail!("interrupted"),
    };
    println!("{report}");
    if let Some(path) = args.report {
        write_json(&path, &report)?;
    }
    Ok(report.failures().is_empty())
}

/// One line that is written over on a terminal; without one only what is new.
fn show(progress: &Progress, live: bool) {
    let (start, end) = if live { ("\r\x1b[2K", "") } else { ("", "\n") };
    match progress {
        Progress::Read { jobs, friends } => eprintln!("{jobs} jobs, {friends} friends"),
        Progress::Connected { ready, wanted } if live || ready == wanted => {
            eprint!("{start}{ready} of {wanted} friends on duty{end}");
        }
        Progress::Connected { .. } => {}
        Progress::Running { day_ms, live: seen } => {
            let minutes = day_ms / 60_000;
            let clock = format!("{:02}:{:02}", minutes / 60, minutes % 60);
            let (posted, assigned) = (seen.jobs_posted, seen.jobs_assigned);
            eprint!(
                "{start}{clock}  {posted} jobs, {assigned} assigned, {} offers, {} races{end}",
                seen.offers, seen.races
            );
        }
        Progress::Checking => eprintln!("{start}checking"),
    }
}

fn write_json(path: &Path, report: &kiez_load::report::Report) -> anyhow::Result<()> {
    let json = serde_json::to_string_pretty(report).context("the report")?;
    std::fs::write(path, json + "\n").with_context(|| format!("{}", path.display()))
}

fn hours(text: &str) -> Result<(u8, u8), String> {
    let (from, to) = text.split_once('-').ok_or("two hours with a dash between them, such as 16-20")?;
    let hour = |text: &str| text.parse::<u8>().map_err(|_| format!("{text:?} is not an hour"));
    match (hour(from)?, hour(to)?) {
        (from, to) if from < to && to <= 24 => Ok((from, to)),
        (from, to) => Err(format!("{from}-{to}: the first hour must be before the second, and that at most 24")),
    }
}

/// A length of time such as `30s`, `5m` or `2h`.
fn length(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.find(|c: char| c.is_alphabetic()).unwrap_or(text.len()));
    let seconds = match unit {
        "s" | "" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => return Err(format!("{unit:?} is not s, m or h")),
    };
    let number: u64 = number.parse().map_err(|_| format!("{text:?} is not a length of time such as 30s"))?;
    Ok(Duration::from_secs(number * seconds))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_holds_together() {
        Cli::command().debug_assert();
        assert_eq!(hours("16-20"), Ok((16, 20)));
        assert!(hours("20-16").is_err() && hours("1").is_err() && hours("0-25").is_err());
        assert_eq!(length("2m"), Ok(Duration::from_secs(120)));
        assert!(length("2x").is_err() && length("s").is_err());
    }
}
