//! What the command line offers beside the friend in the terminal: a city, a replay, idle friends. Each reads its arguments,
//! shows how far it is, prints its report and says how it ended.

mod city;
mod idle;
mod replay;

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use kiez_load::compare::{Condition, Figures};
use serde::Serialize;

pub use self::city::CityArgs;
pub use self::idle::IdleArgs;
pub use self::replay::ReplayArgs;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All was right.
    Right,
    /// A check failed.
    Failed,
    /// Nothing failed, but the generator was saturated: what was measured does not count.
    Invalid,
    /// All was right, and worse than it may be.
    Worse,
}

impl Outcome {
    /// As the process ends.
    pub fn code(self) -> ExitCode {
        ExitCode::from(match self {
            Outcome::Right => 0,
            Outcome::Failed => 1,
            Outcome::Invalid => 3,
            Outcome::Worse => 99,
        })
    }
}

/// Where a run happens.
#[derive(Args)]
pub struct ServerArgs {
    /// The server, on this machine.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    pub url: String,
    /// The development key, or an ops token of role admin.
    #[arg(long, env = "KIEZ_DEV_KEY", hide_env_values = true)]
    pub key: String,
}

/// What becomes of a report.
#[derive(Args)]
pub struct ReportArgs {
    /// Write the report as JSON to this file.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Compare with the report of another run; see --fail-if.
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
    /// End with 99 when a figure is worse than this: 'offer_p99>10%' (against --compare), 'offer_p99>1.5x',
    /// 'offer_p99>20'. May be given several times.
    #[arg(long, value_name = "CONDITION")]
    fail_if: Vec<Condition>,
}

impl ReportArgs {
    /// The report to compare with. Read before the run, so that a wrong name costs no time.
    fn base(&self) -> anyhow::Result<Option<Figures>> {
        let base = match &self.compare {
            Some(path) => {
                let text = std::fs::read(path).with_context(|| path.display().to_string())?;
                let json = serde_json::from_slice(&text).with_context(|| path.display().to_string())?;
                Some(Figures::of(&json))
            }
            None => None,
        };
        for condition in &self.fail_if {
            condition.fits(base.as_ref())?;
        }
        Ok(base)
    }

    /// Writes the report and compares it.
    fn conclude(
        &self,
        report: &impl Serialize,
        base: Option<&Figures>,
        failed: bool,
        invalid: bool,
    ) -> anyhow::Result<Outcome> {
        let json = serde_json::to_value(report).context("the report")?;
        if let Some(path) = &self.report {
            write_json(path, &json)?;
        }
        let figures = Figures::of(&json);
        let mut worse = false;
        for condition in &self.fail_if {
            if let Some(what) = condition.met(base, &figures)? {
                println!("WORSE: {what}");
                worse = true;
            }
        }
        Ok(match (failed, invalid, worse) {
            (true, _, _) => Outcome::Failed,
            (false, true, _) => Outcome::Invalid,
            (false, false, true) => Outcome::Worse,
            (false, false, false) => Outcome::Right,
        })
    }
}

fn write_json(path: &Path, json: &serde_json::Value) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(json).context("the report")?;
    std::fs::write(path, text + "\n").with_context(|| format!("{}", path.display()))
}

/// One line that is written over on a terminal, and written once elsewhere.
struct Line {
    live: bool,
}

impl Line {
    fn new() -> Line {
        Line { live: std::io::stderr().is_terminal() }
    }

    /// What changes all the time; elsewhere only what is `worth` a line of its own.
    fn over(&self, text: &str, worth: bool) {
        if self.live {
            eprint!("\r\x1b[2K{text}");
        } else if worth {
            eprintln!("{text}");
        }
    }

    /// What stands.
    fn stand(&self, text: &str) {
        eprintln!("{}{text}", if self.live { "\r\x1b[2K" } else { "" });
    }
}

/// A length of time such as `30s`, `5m` or `2h`.
pub fn length(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.find(|c: char| c.is_alphabetic()).unwrap_or(text.len()));
    let seconds = match unit {
        "s" | "" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => return Err(format!("{unit:?} is not s, m or h")),
    };
    let number: u64 = number.parse().map_err(|_| format!("{text:?} is not a length of time such as 30s"))?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(|| format!("{text:?} is too long"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_a_unit() {
        assert_eq!(length("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(length("90"), Ok(Duration::from_secs(90)));
        assert!(length("2x").is_err() && length("s").is_err() && length("99999999999999999999h").is_err());
    }
}
