//! `kiez-load replay`.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use jiff::civil::Date;
use kiez_load::observe::Rules;
use kiez_load::replay::{Kills, Progress, ReplayConfig, replay};
use kiez_load::trace::Selection;

use super::{Line, Outcome, ReportArgs, ServerArgs};

#[derive(Args)]
#[command(after_help = "\
The server must run at the same speed and be in development:
  kiez serve --dev --time-scale 240
  kiez-load replay --url http://127.0.0.1:8080 --trace berlin-bikeshare-2019 --day 2019-07-04 --speed 240 --report r.json

Four hours of the evening, and the small trace of this repository:
  kiez-load replay --trace berlin-bikeshare-2019 --day 2019-07-04 --hours 16-20 --speed 240
  kiez-load replay --trace loadtest/traces/small --day 2026-03-02 --hours 16-17 --speed 60 \\
    --jobs-from booking --friends-from helper

With ten kills: it starts the server itself, ends it by SIGKILL at random moments, starts it again, and asks afterwards for
everything that had been acknowledged (the command is read by a shell; the port must be free):
  kiez-load replay --trace berlin-bikeshare-2019 --day 2019-07-04 --hours 16-20 --speed 60 --key K --kills 10 \\
    --serve 'KIEZ_AUTH__DEVELOPMENT_KEY=K kiez serve --time-scale 60 --database-url sqlite:kills.db 2>>server.log'

It brings its own community, partner and friends, under new names in every run. The format of a trace is described in
loadtest/traces/README.md.")]
pub struct ReplayArgs {
    #[command(flatten)]
    server: ServerArgs,
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
    /// The seed of delays, decisions, jitter and kills.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Start the server by this command line: the server itself, at --url, its database named in it.
    #[arg(long, value_name = "COMMAND")]
    serve: Option<String>,
    /// Kill the server (SIGKILL) so many times at random moments, every second time with an accept or a post on its way, and
    /// start it again.
    #[arg(long, value_name = "N", default_value_t = 0, requires = "serve")]
    kills: u32,
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
    #[command(flatten)]
    report: ReportArgs,
}

impl ReplayArgs {
    /// Runs it.
    ///
    /// # Errors
    /// In words, when it could not run.
    pub async fn run(self) -> anyhow::Result<Outcome> {
        let base = self.report.base()?;
        let selection = Selection {
            day: self.day,
            time_zone: self.time_zone,
            hours: self.hours,
            jobs_from: self.jobs_from,
            friends_from: self.friends_from,
            jitter_s: self.jitter_s,
            seed: self.seed,
        };
        let mut config = ReplayConfig::new(self.server.url, self.server.key, self.trace, selection, self.speed);
        let in_flight_us = self.in_flight_ms.checked_mul(1_000).context("--in-flight-ms is too long")?;
        config.rules = Some(Rules { in_flight_us, ..Rules::at_scale(self.speed) });
        config.tail_ms = i64::from(self.tail_minutes) * 60_000;
        config.kills = self.serve.map(|serve| Kills { serve, kills: self.kills });
        let line = Line::new();
        let report = tokio::select! {
            report = replay(&config, |progress| show(&progress, &line)) => report?,
            _ = tokio::signal::ctrl_c() => anyhow::bail!("interrupted"),
        };
        println!("{report}");
        self.report.conclude(&report, base.as_ref(), !report.failures().is_empty(), false)
    }
}

fn show(progress: &Progress, line: &Line) {
    match progress {
        Progress::Read { jobs, friends } => line.stand(&format!("{jobs} jobs, {friends} friends")),
        Progress::Connected { ready, wanted } => {
            line.over(&format!("{ready} of {wanted} friends on duty"), ready == wanted);
        }
        Progress::Running { day_ms, live } => {
            let minutes = day_ms / 60_000;
            let clock = format!("{:02}:{:02}", minutes / 60, minutes % 60);
            let (posted, assigned) = (live.jobs_posted, live.jobs_assigned);
            let text =
                format!("{clock}  {posted} jobs, {assigned} assigned, {} offers, {} races", live.offers, live.races);
            line.over(&text, true);
        }
        Progress::Killed { kill, serving_again } => {
            line.stand(&format!("killed ({kill}), serving again after {} ms", serving_again.as_millis()));
        }
        Progress::Checking => line.stand("checking"),
    }
}

fn hours(text: &str) -> Result<(u8, u8), String> {
    let (from, to) = text.split_once('-').ok_or("two hours with a dash between them, such as 16-20")?;
    let hour = |text: &str| text.parse::<u8>().map_err(|_| format!("{text:?} is not an hour"));
    match (hour(from)?, hour(to)?) {
        (from, to) if from < to && to <= 24 => Ok((from, to)),
        (from, to) => Err(format!("{from}-{to}: the first hour must be before the second, and that at most 24")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_two_in_order() {
        assert_eq!(hours("16-20"), Ok((16, 20)));
        assert!(hours("20-16").is_err() && hours("1").is_err() && hours("0-25").is_err());
    }
}
