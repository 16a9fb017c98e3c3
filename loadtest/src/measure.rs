//! What a run measures beside its checks: latencies from the intended instant, what the server and the generator cost, and
//! what became of everybody when the server was killed. The JSON is a contract, as all of the report is.

use std::fmt;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::gauge::{Generator, Spent, percent, tenths};
use crate::observe::span::Moment;

/// A histogram of microseconds, metres or whatever is counted, with three digits.
#[derive(Debug)]
pub(crate) struct Latency(Histogram<u64>);

impl Default for Latency {
    fn default() -> Self {
        let mut histogram = Histogram::new(3).expect("three digits are within what it can do");
        histogram.auto(true);
        Latency(histogram)
    }
}

impl Latency {
    pub fn note(&mut self, value: u64) {
        self.0.record(value).expect("the histogram grows as needed");
    }

    /// The value below which this share lies, divided by `unit`; 0 when nothing was noted.
    pub fn at(&self, quantile: f64, unit: f64) -> f64 {
        thousandths(self.0.value_at_quantile(quantile) as f64 / unit)
    }

    /// The quantiles of microseconds, in ms.
    pub fn ms(&self) -> Quantiles {
        let at = |quantile| self.at(quantile, 1e3);
        let max = thousandths(self.0.max() as f64 / 1e3);
        Quantiles { count: self.0.len(), p50: at(0.5), p99: at(0.99), p999: at(0.999), max }
    }
}

fn thousandths(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

/// A latency, ms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// How many were measured.
    pub count: u64,
    /// The median.
    pub p50: f64,
    /// 99 in 100 are at most this.
    pub p99: f64,
    /// 999 in 1,000 are at most this.
    pub p999: f64,
    /// The longest.
    pub max: f64,
}

impl Quantiles {
    /// The quantiles of these, ms.
    pub fn of_us(values: impl IntoIterator<Item = u64>) -> Quantiles {
        let mut latency = Latency::default();
        values.into_iter().for_each(|value| latency.note(value));
        latency.ms()
    }
}

impl fmt::Display for Quantiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>9.2} {:>9.2} {:>9.2} {:>9.2}   ({})", self.p50, self.p99, self.p999, self.max, self.count)
    }
}

/// Latencies of what was intended within a stretch of a run; the rest is warm-up.
#[derive(Debug, Default)]
pub(crate) struct Stretch {
    from: Moment,
    to: Moment,
    pub jobs: u64,
    pub post_us: Latency,
    pub first_offer_us: Latency,
    pub fourth_offer_us: Latency,
    pub won_us: Latency,
    pub lost_us: Latency,
    pub post_lag_us: Latency,
}

impl Stretch {
    /// What is intended from here up to there counts.
    pub fn between(from: Moment, to: Moment) -> Stretch {
        Stretch { from, to, ..Stretch::default() }
    }

    pub fn holds(&self, intended_at: Moment) -> bool {
        (self.from..self.to).contains(&intended_at)
    }
}

/// What was measured under load.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// Posts in a minute that were planned, on average.
    pub jobs_per_minute: f64,
    /// Seconds with the same load before anything was measured.
    pub warm_up_s: f64,
    /// Seconds that were measured.
    pub measured_s: f64,
    /// Jobs whose post was intended in that time.
    pub jobs_measured: u64,
    /// From the intended post to its 201, ms.
    pub post_ms: Quantiles,
    /// From the intended post to the first offer read by a friend, ms.
    pub first_offer_ms: Quantiles,
    /// From the intended post to the fourth offer read by a friend, of jobs that asked four with the post, ms.
    pub fourth_offer_ms: Quantiles,
    /// From the accept sent to `won` read, ms.
    pub won_ms: Quantiles,
    /// From the accept sent to `lost` read, ms.
    pub lost_ms: Quantiles,
    /// What the server cost; `None` where its process is not known.
    #[serde(default)]
    pub server: Option<ServerCost>,
    /// Why the server's process is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_unknown: Option<String>,
    /// What the generator cost.
    pub generator: Generator,
    /// Per cent of all processors that were used by anybody.
    pub machine_busy_percent: f64,
    /// How everybody came in.
    pub connecting: Connecting,
    /// Why none of these latencies counts: the generator was saturated. Must be empty.
    pub invalid: Vec<String>,
}

/// What the server cost while it was measured. A database in another process is not in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerCost {
    /// Its process.
    pub pid: u32,
    /// Per cent of one processor.
    pub cpu_percent: f64,
    /// Per cent of one processor before the first job: everybody connected, and those who move moving.
    pub base_cpu_percent: f64,
    /// CPU microseconds for each job, all of it counted: connections, positions, offers, answers, visits.
    pub cpu_us_per_job: f64,
    /// The same without what it cost before the first job.
    pub cpu_us_per_job_above_base: f64,
    /// Memory (PSS) at the end, bytes.
    pub memory_bytes: u64,
}

impl ServerCost {
    pub(crate) fn new(pid: u32, base: &Spent, spent: &Spent, jobs: u64, memory_bytes: u64) -> Option<ServerCost> {
        let (base_cpu, cpu) = (base.server?, spent.server?);
        let jobs = jobs.max(1) as f64;
        let base_us = base_cpu.total_us() as f64 * (spent.wall.as_secs_f64() / base.wall.as_secs_f64().max(1e-3));
        Some(ServerCost {
            pid,
            cpu_percent: percent(cpu, spent.wall),
            base_cpu_percent: percent(base_cpu, base.wall),
            cpu_us_per_job: tenths(cpu.total_us() as f64 / jobs),
            cpu_us_per_job_above_base: tenths((cpu.total_us() as f64 - base_us) / jobs),
            memory_bytes,
        })
    }
}

/// How everybody came in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Connecting {
    /// From the first try to the last friend on duty in their place, seconds.
    pub seconds: f64,
    /// Tries that did not end with a welcome: told to come back later, or refused.
    pub turned_away: u64,
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "load      {} jobs a minute, {} jobs measured in {:.0} s after {:.0} s of warm-up; everybody was in after \
             {:.1} s ({} turned away at first)",
            self.jobs_per_minute,
            self.jobs_measured,
            self.measured_s,
            self.warm_up_s,
            self.connecting.seconds,
            self.connecting.turned_away
        )?;
        writeln!(f, "latency   ms, from the intended instant          p50       p99     p99.9       max")?;
        let rows = [
            ("post to 201", &self.post_ms),
            ("post to the first offer", &self.first_offer_ms),
            ("post to the fourth offer", &self.fourth_offer_ms),
            ("accept to won (from sent)", &self.won_ms),
            ("accept to lost (from sent)", &self.lost_ms),
        ];
        for (what, latency) in rows {
            writeln!(f, "          {what:<30}{latency}")?;
        }
        match (&self.server, &self.server_unknown) {
            (Some(server), _) => writeln!(
                f,
                "server    {:.0} µs of CPU a job ({:.0} above the {:.1} % of a processor it took before the first job), \
                 {:.1} % of a processor, {:.1} MB",
                server.cpu_us_per_job,
                server.cpu_us_per_job_above_base,
                server.base_cpu_percent,
                server.cpu_percent,
                server.memory_bytes as f64 / 1e6
            )?,
            (None, why) => {
                writeln!(f, "server    not measured: {}", why.as_deref().unwrap_or("its process is unknown"))?;
            }
        }
        let own = &self.generator;
        writeln!(
            f,
            "generator {:.1} % of a processor, {} messages, {:.1} µs each ({:.1} in the program); late p99: posts {:.2} ms, \
             friends {:.2} ms; the machine was {:.0} % busy",
            own.cpu_percent,
            own.messages,
            own.cpu_us_per_message,
            own.user_us_per_message,
            own.post_lag_ms.p99,
            own.friend_lag_ms.p99,
            self.machine_busy_percent
        )
    }
}

/// What became of everybody when the server was killed and started again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outages {
    /// How often it was killed.
    pub kills: u64,
    /// From the start of the process to its first "ready", ms.
    pub serving_again_ms: Quantiles,
    /// From the kill until 99 in 100 of those who were connected had their welcome again, ms.
    pub friends_back_ms: Quantiles,
    /// Starts that ended before they were ready (the lock of the one before was still held) and were tried again.
    pub starts_repeated: u64,
    /// Calls of partners that were repeated with their key.
    pub calls_repeated: u64,
    /// Accepts without an answer that were sent again, with their key, after a break.
    pub accepts_repeated: u64,
    /// Accepts that had been told `won` and were sent again after a break, with their key.
    pub wins_asked_again: u64,
    /// Of these, answered `won` again. Must be all of them.
    pub wins_confirmed: u64,
    /// Choices made while the server was away by our clock, or within 15 s of its return, when who is back is known to it and
    /// to us only in part. They are judged by what must hold all the same.
    #[serde(default)]
    pub choices_around: u64,
    /// Of these, choices that left seats empty. Whether others should have been asked is not judged:
    /// a server that does not know yet who is back may wait.
    pub choices_excused: u64,
}

impl fmt::Display for Outages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "kills     {}: serving again after {:.0} ms (median; {:.0} at most), 99 in 100 friends back after {:.0} ms \
             ({:.0} at most)",
            self.kills,
            self.serving_again_ms.p50,
            self.serving_again_ms.max,
            self.friends_back_ms.p50,
            self.friends_back_ms.max
        )?;
        writeln!(
            f,
            "          {} calls and {} accepts repeated; {} of {} wins confirmed when asked again; {} choices right after a \
             restart, {} of them not judged on empty seats",
            self.calls_repeated,
            self.accepts_repeated,
            self.wins_confirmed,
            self.wins_asked_again,
            self.choices_around,
            self.choices_excused
        )
    }
}
