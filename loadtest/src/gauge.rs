//! What a stretch of a run cost, and whether the generator kept up. Latencies of a generator that was itself too busy are
//! not the server's: such a run is called invalid, whatever it measured.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::machine::{Cpu, MachineError, Process, Processors};
use crate::measure::Quantiles;

/// Reads the processors at the beginning of a stretch.
#[derive(Debug)]
pub struct Gauge {
    server: Option<Process>,
    began: Instant,
    server_began: Option<Cpu>,
    own_began: Cpu,
    machine_began: Processors,
}

/// What a stretch cost.
#[derive(Clone, Copy, Debug)]
pub struct Spent {
    /// How long it was.
    pub wall: Duration,
    /// The server's time on the processors, where its process is known.
    pub server: Option<Cpu>,
    /// Our own.
    pub own: Cpu,
    /// The share of all processors' time that was used by anybody, or taken by the host; 0 to 1.
    pub machine_busy: f64,
}

impl Gauge {
    /// Begins a stretch.
    ///
    /// # Errors
    /// See [`MachineError`].
    pub fn start(server: Option<Process>) -> Result<Gauge, MachineError> {
        Ok(Gauge {
            server,
            server_began: server.map(Process::cpu).transpose()?,
            own_began: Process::own().cpu()?,
            machine_began: Processors::now()?,
            began: Instant::now(),
        })
    }

    /// What it has cost so far.
    ///
    /// # Errors
    /// See [`MachineError`]; also when the server has ended.
    pub fn read(&self) -> Result<Spent, MachineError> {
        let now = self.server.map(Process::cpu).transpose()?;
        Ok(Spent {
            wall: self.began.elapsed(),
            server: now.zip(self.server_began).map(|(now, began)| now.since(began)),
            own: Process::own().cpu()?.since(self.own_began),
            machine_busy: Processors::now()?.busy_since(self.machine_began),
        })
    }
}

/// Per cent of one processor.
pub fn percent(cpu: Cpu, wall: Duration) -> f64 {
    tenths(100.0 * cpu.total_us() as f64 / (wall.as_micros() as f64).max(1.0))
}

/// With one decimal.
pub fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// How much of a generator may be used before what it measured says more about itself than about the server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// Per cent of one processor.
    pub cpu_percent_max: f64,
    /// Posts: 99 in 100 go out at most so late against the plan, ms.
    pub post_lag_p99_ms_max: f64,
    /// Friends: 99 in 100 act at most so late, ms. The runtime's timers are a millisecond coarse.
    pub friend_lag_p99_ms_max: f64,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds { cpu_percent_max: 90.0, post_lag_p99_ms_max: 10.0, friend_lag_p99_ms_max: 50.0 }
    }
}

/// What the generator cost while it measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Generator {
    /// Per cent of one processor, its kernel time included.
    pub cpu_percent: f64,
    /// Frames and requests sent, messages and answers read.
    pub messages: u64,
    /// Microseconds in the program itself for each of these.
    pub user_us_per_message: f64,
    /// In the program and in the kernel.
    pub cpu_us_per_message: f64,
    /// How late posts went out against their plan, ms.
    pub post_lag_ms: Quantiles,
    /// How late friends did what they had planned, ms.
    pub friend_lag_ms: Quantiles,
}

impl Generator {
    /// Why what was measured does not count: the generator was saturated. Empty when it kept up.
    pub fn saturated(&self, bounds: &Bounds) -> Vec<String> {
        let measures = [
            (self.cpu_percent, bounds.cpu_percent_max, "% of a processor used by the generator"),
            (self.post_lag_ms.p99, bounds.post_lag_p99_ms_max, "ms late went out one post in a hundred"),
            (self.friend_lag_ms.p99, bounds.friend_lag_p99_ms_max, "ms late acted one friend in a hundred"),
        ];
        let over = measures.into_iter().filter(|(value, most, _)| value > most);
        over.map(|(value, most, what)| format!("{value:.1} {what} (at most {most:.0})")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lag(p99: f64) -> Quantiles {
        Quantiles { count: 100, p50: 0.1, p99, p999: p99, max: p99 }
    }

    #[test]
    fn a_generator_that_kept_up_is_valid_and_each_way_to_be_late_is_named() {
        let calm =
            Generator { cpu_percent: 40.0, post_lag_ms: lag(0.4), friend_lag_ms: lag(2.1), ..Generator::default() };
        let bounds = Bounds::default();
        assert_eq!(calm.saturated(&bounds), Vec::<String>::new());
        let busy = Generator { cpu_percent: 97.0, ..calm }.saturated(&bounds);
        assert_eq!(busy, ["97.0 % of a processor used by the generator (at most 90)"]);
        let late = Generator { post_lag_ms: lag(25.0), ..calm }.saturated(&bounds);
        assert!(late[0].contains("25.0 ms late went out"), "{late:?}");
        let all = Generator { cpu_percent: 180.0, post_lag_ms: lag(11.0), friend_lag_ms: lag(51.0), ..calm };
        assert_eq!(all.saturated(&bounds).len(), 3);
    }

    #[test]
    fn a_stretch_of_this_process_has_a_length_and_a_price() {
        let gauge = Gauge::start(Some(Process::own())).unwrap();
        let mut sum = 0_u64;
        while gauge.began.elapsed().as_millis() < 60 {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        let spent = gauge.read().unwrap();
        assert!(spent.wall.as_millis() >= 60 && spent.own.total_us() >= 20_000, "{spent:?}");
        assert!(percent(spent.own, spent.wall) > 10.0);
        assert!(spent.server.is_some());
    }
}
