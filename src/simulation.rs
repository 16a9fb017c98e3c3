//! `kiez simulate`: seeds of a simulated city, one or many, or two policies beside each other. Only what follows from
//! the seed goes to stdout; how far it is goes to stderr.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::Context;
use clap::{Args, ValueEnum};
use kiez::clock::Stopwatch;
use kiez::simulate::{City, Mutation, Report, Setting, Total, Violation, Weather, beside, page, simulate};
use kiez_protocol::directory::Policy;

/// What is to be simulated.
#[derive(Debug, Args)]
pub struct Simulate {
    /// Where.
    #[arg(long, value_enum, default_value = "berlin")]
    city: Place,
    /// Days.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    days: u32,
    /// Friends.
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=200_000))]
    friends: u32,
    /// Jobs posted on an average day; without it five for every three friends, at most 400.
    #[arg(long, value_name = "N", value_parser = above_zero)]
    jobs_per_day: Option<f64>,
    /// How likely a friend takes an offer they look at, 0 to 1, before distance, hour, pay and mood count.
    #[arg(long, value_name = "P", default_value_t = 0.3, value_parser = share)]
    acceptance: f64,
    /// The seed everything follows from.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Many seeds instead of one, both ends included: 1..1000.
    #[arg(long, value_name = "A..B", value_parser = range, conflicts_with = "seed")]
    seeds: Option<(u64, u64)>,
    /// What goes wrong: none, usual, harsh, or mixed (one of them by the seed). Policies are compared in none.
    #[arg(long, value_name = "WEATHER")]
    faults: Option<Weather>,
    /// Kills of the server a day, instead of those of the weather.
    #[arg(long, value_name = "N")]
    crashes: Option<f64>,
    /// The policy of every community, TOML; the trade's own without it.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Another policy under the same seed and demand.
    #[arg(long, value_name = "FILE", requires = "policy", conflicts_with = "seeds")]
    against: Option<PathBuf>,
    /// Writes the comparison as one page.
    #[arg(long, value_name = "FILE", requires = "against")]
    html: Option<PathBuf>,
    /// Breaks something on purpose: the run must then fail, or the checks are worth nothing.
    #[arg(long = "break", value_name = "WHAT")]
    mutation: Option<Mutation>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Place {
    /// Berlin as it is settled.
    Berlin,
    /// A mountain canton: the next friend lives a valley away.
    Sparse,
}

impl Simulate {
    /// Runs the command.
    ///
    /// # Errors
    /// A rule that did not hold (it is told on stdout), or a file that cannot be used.
    pub fn run(self) -> anyhow::Result<()> {
        let policy = self.policy.as_deref().map(read_policy).transpose()?;
        if let (Some(first), Some(file)) = (&policy, &self.against) {
            return self.compare(first.clone(), read_policy(file)?, file);
        }
        let setting = self.setting(policy, Weather::Usual);
        match self.seeds {
            Some((first, last)) => many(&setting, first, last),
            None => match simulate(&setting) {
                Ok(report) => say(&report.text()),
                Err(violation) => fails(&violation),
            },
        }
    }

    fn setting(&self, policy: Option<Policy>, weather: Weather) -> Setting {
        let city = match self.city {
            Place::Berlin => City::Berlin,
            Place::Sparse => City::Sparse,
        };
        let jobs_per_day = self.jobs_per_day.unwrap_or((f64::from(self.friends) * 5.0 / 3.0).round().min(400.0));
        let (days, friends, acceptance, mutation) = (self.days, self.friends, self.acceptance, self.mutation);
        let setting =
            Setting { city, days, friends, jobs_per_day, acceptance, policy, mutation, ..Setting::of(self.seed) };
        let mut setting = setting.in_weather(self.faults.unwrap_or(weather));
        if let Some(crashes) = self.crashes {
            setting.faults.crashes_per_day = crashes;
        }
        setting
    }

    fn compare(&self, first: Policy, second: Policy, file: &Path) -> anyhow::Result<()> {
        let name = |path: &Path| path.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let names = [self.policy.as_deref().map(name).unwrap_or_default(), name(file)];
        let settings = [first, second].map(|policy| self.setting(Some(policy), Weather::None));
        let reports: Vec<_> = std::thread::scope(|scope| {
            let runs = settings.each_ref().map(|setting| scope.spawn(|| simulate(setting)));
            runs.into_iter().map(|run| run.join().expect("a simulation catches what panics in it")).collect()
        });
        let mut good: Vec<Report> = Vec::new();
        for report in reports {
            match report {
                Ok(report) => good.push(report),
                Err(violation) => return fails(&violation),
            }
        }
        let names = [names[0].as_str(), names[1].as_str()];
        say(&format!("{}\n\n{}", good[0].command, beside(&good[0], &good[1], names)))?;
        if let Some(file) = &self.html {
            std::fs::write(file, page(&good[0], &good[1], names)).with_context(|| file.display().to_string())?;
            eprintln!("the page is in {}", file.display());
        }
        Ok(())
    }
}

/// All seeds of a range, on every core; told in the order of the seeds.
fn many(setting: &Setting, first: u64, last: u64) -> anyhow::Result<()> {
    let watch = Stopwatch::start();
    let (next, done) = (AtomicU64::new(first), Mutex::new(Vec::new()));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > last {
                        return;
                    }
                    let mut setting = Setting { seed, ..setting.clone() };
                    let crashes = setting.faults.crashes_per_day;
                    let same = crashes.to_bits() == setting.weather.faults(first).crashes_per_day.to_bits();
                    setting = setting.clone().in_weather(setting.weather);
                    if !same {
                        setting.faults.crashes_per_day = crashes;
                    }
                    let report = simulate(&setting);
                    let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                    if report.is_err() {
                        // The seeds before it are still told; no new one begins.
                        next.store(last + 1, Ordering::Relaxed);
                    }
                    done.push((seed, report));
                    if done.len().is_multiple_of(50) {
                        eprintln!("{} seeds in {:.1} s", done.len(), watch.elapsed().as_secs_f64());
                    }
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(seed, _)| *seed);
    let mut total = Total::default();
    for (_, report) in &done {
        match report {
            Ok(report) => total.add(report),
            Err(violation) => return fails(violation),
        }
    }
    let command = Setting { seed: first, ..setting.clone() }.command();
    say(&format!("{command}, and up to seed {last}\n{}", total.text()))?;
    eprintln!("{:.1} s on {cores} cores", watch.elapsed().as_secs_f64());
    Ok(())
}

fn fails(violation: &Violation) -> anyhow::Result<()> {
    say(&violation.to_string())?;
    anyhow::bail!("seed {}: {}", violation.seed, violation.broken)
}

/// Prints a page. Whoever reads only its beginning (`| head`) has read enough.
fn say(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("the report could not be printed"),
    }
}

/// A policy from a file: the same rules as for one that is imported.
fn read_policy(path: &Path) -> anyhow::Result<Policy> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let policy: Policy = toml::from_str(&text).with_context(|| path.display().to_string())?;
    let faults = kiez::import::policy_faults(&policy);
    anyhow::ensure!(faults.is_empty(), "{}: {}", path.display(), faults.join("; "));
    Ok(policy)
}

fn range(text: &str) -> Result<(u64, u64), String> {
    let ends = text.split_once("..").and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?)));
    ends.filter(|(first, last)| first <= last).ok_or_else(|| "takes a range such as 1..1000".to_owned())
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "takes a number from 0 to 1".to_owned())
}

fn above_zero(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|number| *number > 0.0 && *number < 1e6).ok_or_else(|| "takes a number above 0".to_owned())
}
