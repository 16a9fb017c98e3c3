//! `kiez-load city`.

use std::time::Duration;

use clap::Args;
use kiez_load::bots::Habits;
use kiez_load::city::{CityConfig, Progress, city};
use kiez_load::gauge::Bounds;
use kiez_load::world::hours::Hour;

use super::{Line, Outcome, ReportArgs, ServerArgs, length};

#[derive(Args)]
#[command(after_help = "\
It needs no data: friends live where Berlin's adults do, jobs come from where people are at home at that hour, a part of
the friends walks or rides, some sleep. Everything follows from the seed but ids, which are new in every run, so that runs
on one server do not see each other.

  kiez-load city --friends 10000 --jobs-per-minute 300 --for 2m --seed 1 --report city.json
  kiez-load city --friends 10000 --jobs-per-minute 3000 --for 2m --compare city.json --fail-if 'offer_p99>25%'
  kiez-load city --friends 500 --jobs-per-minute 60 --for 1m --hour 3 --url http://127.0.0.1:8081

Posts go out when the plan says so, whether or not the server keeps up, and latencies count from the plan. The run is
invalid, and ends with 3, when the generator itself was too busy: over --cpu-max of a processor, or posts later than
--lag-max (one in a hundred). Ends with 1 when a check failed, with 2 when it could not run, with 99 when --fail-if says so.")]
pub struct CityArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// How many friends are connected.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=19_000))]
    friends: u32,
    /// Posts in a minute of real time, on average.
    #[arg(long, value_name = "N", default_value_t = 60.0)]
    jobs_per_minute: f64,
    /// How long is measured, such as 30s, 2m, 1h.
    #[arg(long = "for", value_name = "SPAN", default_value = "2m", value_parser = length)]
    lasts: Duration,
    /// How long the same load goes on before anything is measured.
    #[arg(long, value_name = "SPAN", default_value = "10s", value_parser = length)]
    warm_up: Duration,
    /// How long everybody is connected before the first job, to know what that costs.
    #[arg(long, value_name = "SPAN", default_value = "10s", value_parser = length)]
    base: Duration,
    /// The seed of places, people, arrivals and decisions.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// The local hour, 0 to 23: who is at home, who moves, who sleeps.
    #[arg(long, value_name = "HOUR", default_value_t = 18, value_parser = clap::value_parser!(u8).range(0..=23))]
    hour: u8,
    /// How many times as fast as real time the trade's time runs, the server's --time-scale; the hours go by with it.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=400))]
    speed: u32,
    /// Connections opened in a second, at most. A server that wants them slower is obeyed.
    #[arg(long, value_name = "N", default_value_t = 400, value_parser = clap::value_parser!(u32).range(1..))]
    connects_per_second: u32,
    /// The server's process; otherwise whoever listens at --url.
    #[arg(long)]
    pid: Option<u32>,
    /// The run is invalid when the generator needs more, per cent of one processor.
    #[arg(long, value_name = "PERCENT", default_value_t = 90.0)]
    cpu_max: f64,
    /// The run is invalid when one post in a hundred goes out later than this against the plan, ms.
    #[arg(long, value_name = "MS", default_value_t = 10.0)]
    lag_max: f64,
    #[command(flatten)]
    report: ReportArgs,
}

impl CityArgs {
    /// Runs it.
    ///
    /// # Errors
    /// In words, when it could not run.
    pub async fn run(self) -> anyhow::Result<Outcome> {
        let base = self.report.base()?;
        let hour = Hour(f64::from(self.hour));
        let config = CityConfig {
            lasts: self.lasts,
            warm_up: self.warm_up,
            base: self.base,
            seed: self.seed,
            hour,
            time_scale: self.speed,
            habits: Habits::city(self.speed, hour),
            connects_per_s: self.connects_per_second,
            pid: self.pid,
            bounds: Bounds { cpu_percent_max: self.cpu_max, post_lag_p99_ms_max: self.lag_max, ..Bounds::default() },
            ..CityConfig::new(self.server.url, self.server.key, self.friends as usize, self.jobs_per_minute)
        };
        let line = Line::new();
        let report = tokio::select! {
            report = city(&config, |progress| show(&progress, &line)) => report?,
            _ = tokio::signal::ctrl_c() => anyhow::bail!("interrupted"),
        };
        println!("{report}");
        let (failed, invalid) = (!report.failures().is_empty(), !report.invalid().is_empty());
        self.report.conclude(&report, base.as_ref(), failed, invalid)
    }
}

fn show(progress: &Progress, line: &Line) {
    match progress {
        Progress::Preparing { friends, jobs } => line.stand(&format!("{friends} friends, {jobs} jobs planned")),
        Progress::Connected { ready, wanted } => {
            line.over(&format!("{ready} of {wanted} friends on duty"), ready == wanted);
        }
        Progress::Base => line.stand("everybody is there"),
        Progress::Running { elapsed, live } => line.over(
            &format!(
                "{:>4} s  {} jobs, {} assigned, {} offers, {} accepts, {} races",
                elapsed.as_secs(),
                live.jobs_posted,
                live.jobs_assigned,
                live.offers,
                live.accepts,
                live.races
            ),
            elapsed.as_secs().is_multiple_of(10),
        ),
        Progress::Checking => line.stand("checking"),
    }
}
