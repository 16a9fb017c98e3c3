//! What a friend costs who only stands there, as numbers and in words. The JSON is a contract: fields are added, not
//! renamed.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Beyond this the steps do not lie on a line, and the slope says little: per cent of what the connections take.
pub const RESIDUAL_PERCENT_MAX: f64 = 3.0;
/// What may be left when everybody has gone, per cent of the memory before the first came.
pub const RETURN_PERCENT_MAX: f64 = 110.0;

/// One step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct IdleStep {
    /// Friends connected.
    pub connections: usize,
    /// Seconds until the last of this step had its place.
    pub connect_s: f64,
    /// Memory (PSS) of the server, bytes.
    pub memory_bytes: u64,
    /// How far that is from the line through all steps, per cent of what the connections take.
    pub residual_percent: f64,
    /// CPU of the server, microseconds a second.
    pub cpu_us_per_s: f64,
    /// CPU of the generator, per cent of a processor.
    pub generator_cpu_percent: f64,
    /// Whether memory had come to rest before it was read.
    pub quiet: bool,
}

/// What a friend costs who only stands there. Fields are added, not renamed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct IdleReport {
    /// `idle`.
    pub run: String,
    /// The server's process.
    pub pid: u32,
    /// Seconds each step was watched.
    pub watch_s: f64,
    /// Between two heartbeats of the server, ms.
    pub heartbeat_ms: u32,
    /// Memory before the import of profiles, bytes.
    pub before_import_bytes: u64,
    /// Memory with all profiles and no connection, bytes.
    pub base_bytes: u64,
    /// Memory of a friend's entry in the directory, bytes; not part of `bytes_per_friend`.
    pub profile_bytes_per_friend: f64,
    /// CPU with no connection, microseconds a second.
    pub base_cpu_us_per_s: f64,
    /// The steps.
    pub steps: Vec<IdleStep>,
    /// Memory of a live friend: the slope over the steps, bytes.
    pub bytes_per_friend: f64,
    /// The largest residual of a step, per cent of what its connections take.
    pub residual_percent_max: f64,
    /// CPU of a live friend who does nothing: the slope over the steps, microseconds a second.
    pub cpu_us_per_s: f64,
    /// Memory after all had gone, bytes.
    pub after_bytes: u64,
    /// The same, per cent of the base.
    pub after_percent: f64,
    /// How long that took, seconds; the whole time that was allowed when it never came down.
    pub after_s: f64,
    /// Connections that broke while they should have stood.
    pub broken: usize,
    /// Tries to connect that did not end with a welcome.
    pub turned_away: usize,
    /// What friends ran into.
    pub troubles: Vec<String>,
}

impl IdleReport {
    /// The checks that failed, described.
    pub fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        if self.residual_percent_max > RESIDUAL_PERCENT_MAX {
            let residual = self.residual_percent_max;
            failures.push(format!(
                "memory does not grow evenly: {residual:.1} % beside the line (at most {RESIDUAL_PERCENT_MAX} %)"
            ));
        }
        if self.after_percent > RETURN_PERCENT_MAX {
            failures.push(format!(
                "{:.0} % of the base are left after all have gone (at most {RETURN_PERCENT_MAX} %)",
                self.after_percent
            ));
        }
        if self.broken > 0 {
            failures.push(format!("{} connections broke", self.broken));
        }
        if let Some(first) = self.troubles.first() {
            failures.push(format!("{} troubles, first: {first}", self.troubles.len()));
        }
        failures
    }
}

impl fmt::Display for IdleReport {
    /// A summary for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "idle: process {}, heartbeat {} s, each step watched for {:.0} s",
            self.pid,
            f64::from(self.heartbeat_ms) / 1e3,
            self.watch_s
        )?;
        writeln!(
            f,
            "base      {:.2} MB with all profiles ({:.0} bytes each), {:.0} µs of CPU a second",
            self.base_bytes as f64 / 1e6,
            self.profile_bytes_per_friend,
            self.base_cpu_us_per_s
        )?;
        writeln!(f, "    friends    memory MB  beside the line   CPU µs/s   of one, µs/s   generator CPU")?;
        for step in &self.steps {
            writeln!(
                f,
                "{:>11} {:>12.2} {:>14.2} % {:>10.0} {:>14.2} {:>13.1} %{}",
                step.connections,
                step.memory_bytes as f64 / 1e6,
                step.residual_percent,
                step.cpu_us_per_s,
                (step.cpu_us_per_s - self.base_cpu_us_per_s) / step.connections.max(1) as f64,
                step.generator_cpu_percent,
                if step.quiet { "" } else { "  not quiet" }
            )?;
        }
        writeln!(
            f,
            "a friend  {:.0} bytes, {:.2} µs of CPU a second (slopes)",
            self.bytes_per_friend, self.cpu_us_per_s
        )?;
        writeln!(
            f,
            "after     {:.2} MB, {:.0} % of the base, {:.0} s after all had gone; {} connections broke, {} tries turned away",
            self.after_bytes as f64 / 1e6,
            self.after_percent,
            self.after_s,
            self.broken,
            self.turned_away
        )?;
        let failures = self.failures();
        if failures.is_empty() { write!(f, "clean") } else { write!(f, "FAILED: {}", failures.join("; ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_when_memory_is_not_even_or_does_not_come_back() {
        let good = IdleReport { residual_percent_max: 1.2, after_percent: 104.0, ..IdleReport::default() };
        assert_eq!(good.failures(), Vec::<String>::new());
        assert!(good.to_string().ends_with("clean"));
        let uneven = IdleReport { residual_percent_max: 4.0, ..good.clone() };
        let kept = IdleReport { after_percent: 130.0, broken: 2, ..good };
        assert_eq!((uneven.failures().len(), kept.failures().len()), (1, 2));
    }
}
