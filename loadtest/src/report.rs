//! What a run came to: counts, latencies, and the checks that failed. The JSON is a contract for those who compare runs:
//! fields are added, not renamed.

use std::collections::BTreeMap;
use std::fmt;

use kiez_protocol::time::Time;
use serde::{Deserialize, Serialize};

use crate::measure::{Latency, Load, Outages, Stretch};

/// At most so many findings are described; all are counted.
const FINDINGS_MAX: usize = 20;

/// Counts while a run goes on.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub jobs_posted: u64,
    pub jobs_assigned: u64,
    pub jobs_completed: u64,
    pub wins: u64,
    pub posts_refused: u64,
    pub posts_unanswered: u64,
    pub offers: u64,
    pub accepts: u64,
    pub declines: u64,
    pub races: u64,
    pub double_winners: u64,
    pub choices: u64,
    pub wrong_four: u64,
    pub explained: u64,
    pub verdicts_missing: u64,
    pub verdicts_doubled: u64,
    pub verdicts_conflicting: u64,
    pub lost_jobs: u64,
    pub lost_wins: u64,
    pub lost_offers: u64,
    pub lost_visits: u64,
    pub fixes: u64,
    pub connects: u64,
    /// Frames and requests sent, messages and answers read.
    pub messages: u64,
    pub accepts_repeated: u64,
    pub wins_asked_again: u64,
    pub wins_confirmed: u64,
    pub around_outages: u64,
    pub excused: u64,
    /// Seats filled by first choices, and how many first choices.
    pub first_filled: u64,
    pub first_choices: u64,
    pub refused: BTreeMap<String, u64>,
    pub findings: Vec<String>,
    pub offer_us: Latency,
    pub accept_us: Latency,
    pub assign_us: Latency,
    pub winner_m: Latency,
    pub stretch: Stretch,
    pub server_time: Time,
}

impl Tally {
    /// Describes something that is wrong.
    pub fn find(&mut self, finding: String) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        }
    }
}

/// What has happened so far in a run that goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Live {
    /// Jobs the server has acknowledged.
    pub jobs_posted: u64,
    /// Jobs of which a friend was told `won`.
    pub jobs_assigned: u64,
    /// Jobs completed.
    pub jobs_completed: u64,
    /// Offers received.
    pub offers: u64,
    /// Accepts sent.
    pub accepts: u64,
    /// Jobs that at least two friends accepted.
    pub races: u64,
    /// Must be 0.
    pub double_winners: u64,
    /// Must be 0; grows only when choices are judged ([`crate::observe::Observation::settle`]).
    pub wrong_four: u64,
    /// Post to win, median, ms of the trade's time.
    pub time_to_assign_ms: f64,
    /// Accept to verdict, median, real ms.
    pub accept_ms: f64,
}

/// Two quantiles of a latency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct P50P99 {
    /// The median.
    pub p50: f64,
    /// 99 in 100 are at most this.
    pub p99: f64,
}

/// Three quantiles of the time to assign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct P50P80P99 {
    /// The median.
    pub p50: f64,
    /// Eight in ten are at most this.
    pub p80: f64,
    /// 99 in 100 are at most this.
    pub p99: f64,
}

/// Two quantiles of a distance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct P50P90 {
    /// The median.
    pub p50: f64,
    /// Nine in ten are at most this.
    pub p90: f64,
}

/// The report of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What was run: `demo`, `replay` and of what.
    pub run: String,
    /// The seed.
    pub seed: u64,
    /// Real seconds from the first post to the end.
    pub duration_s: f64,
    /// How many times faster than the wall's the trade's time ran.
    pub time_scale: u32,
    /// Friends watched.
    pub friends: u64,
    /// Jobs the server has acknowledged.
    pub jobs_posted: u64,
    /// Jobs of which a friend was told `won`.
    pub jobs_assigned: u64,
    /// Wins, of all attempts.
    pub wins: u64,
    /// Jobs completed.
    pub jobs_completed: u64,
    /// Posts that were refused.
    pub posts_refused: u64,
    /// Posts whose answer never came.
    pub posts_unanswered: u64,
    /// Offers received.
    pub offers: u64,
    /// Accepts sent, repeats not counted.
    pub accepts: u64,
    /// Declines sent.
    pub declines: u64,
    /// Jobs (by attempt) that at least two friends accepted.
    pub races: u64,
    /// Times that a second friend was told `won` for the same job and attempt. Must be 0.
    pub double_winners: u64,
    /// Choices of friends that were checked: the first of each job, later waves, refilled seats.
    pub choices: u64,
    /// Choices that were not the nearest suitable friends, and nothing in flight explains it. Must be 0.
    pub wrong_four: u64,
    /// Choices that are right only by what was in flight: a fix, an answer, a connection.
    pub explained: u64,
    /// Accepts that never got a verdict. Must be 0.
    pub verdicts_missing: u64,
    /// Accepts that got more verdicts than they were sent times. Must be 0.
    pub verdicts_doubled: u64,
    /// Accepts that got verdicts which contradict each other. Must be 0.
    pub verdicts_conflicting: u64,
    /// Acknowledged jobs that the server no longer knows. Must be 0.
    pub lost_jobs: u64,
    /// Wins that were told and that the job's partner does not see. Must be 0.
    pub lost_wins: u64,
    /// Offers that a friend held and that the server later denied. Must be 0.
    pub lost_offers: u64,
    /// Jobs whose completion was answered and that the partner does not see as done. Must be 0.
    #[serde(default)]
    pub lost_visits: u64,
    /// Positions sent.
    pub fixes: u64,
    /// Welcomes received, reconnects included.
    pub connects: u64,
    /// Frames with a key that were refused, by code.
    pub refused: BTreeMap<String, u64>,
    /// Accept sent to verdict received, real ms.
    pub accept_ms: P50P99,
    /// Post sent to offer received, of those asked with the post itself, real ms.
    pub offer_ms: P50P99,
    /// Post sent to the first `won` received, ms of the trade's time (real ms times `time_scale`).
    pub time_to_assign_ms: P50P80P99,
    /// From the winner's last position to the job, metres.
    pub winner_distance_m: P50P90,
    /// Mean number of friends asked with the post itself.
    pub first_wave_fill: f64,
    /// What was wrong, described; at most 20.
    pub findings: Vec<String>,
    /// What friends and partners ran into: sent away, refused. Must be empty.
    #[serde(default)]
    pub troubles: Vec<String>,
    /// What was measured under load, in a run that does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<Load>,
    /// What became of everybody when the server was killed, in a run that does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outages: Option<Outages>,
}

impl Report {
    pub(crate) fn new(tally: &Tally, time_scale: u32, friends: u64) -> Report {
        let scale = f64::from(time_scale.max(1));
        let (offer, accept, assign, winner) = (&tally.offer_us, &tally.accept_us, &tally.assign_us, &tally.winner_m);
        let fill = tally.first_filled as f64 / (tally.first_choices as f64).max(1.0);
        Report {
            time_scale,
            friends,
            jobs_posted: tally.jobs_posted,
            jobs_assigned: tally.jobs_assigned,
            wins: tally.wins,
            jobs_completed: tally.jobs_completed,
            posts_refused: tally.posts_refused,
            posts_unanswered: tally.posts_unanswered,
            offers: tally.offers,
            accepts: tally.accepts,
            declines: tally.declines,
            races: tally.races,
            double_winners: tally.double_winners,
            choices: tally.choices,
            wrong_four: tally.wrong_four,
            explained: tally.explained,
            verdicts_missing: tally.verdicts_missing,
            verdicts_doubled: tally.verdicts_doubled,
            verdicts_conflicting: tally.verdicts_conflicting,
            lost_jobs: tally.lost_jobs,
            lost_wins: tally.lost_wins,
            lost_offers: tally.lost_offers,
            lost_visits: tally.lost_visits,
            fixes: tally.fixes,
            connects: tally.connects,
            refused: tally.refused.clone(),
            accept_ms: P50P99 { p50: accept.at(0.5, 1e3), p99: accept.at(0.99, 1e3) },
            offer_ms: P50P99 { p50: offer.at(0.5, 1e3), p99: offer.at(0.99, 1e3) },
            time_to_assign_ms: P50P80P99 {
                p50: assign.at(0.5, 1e3 / scale),
                p80: assign.at(0.8, 1e3 / scale),
                p99: assign.at(0.99, 1e3 / scale),
            },
            winner_distance_m: P50P90 { p50: winner.at(0.5, 1.0), p90: winner.at(0.9, 1.0) },
            first_wave_fill: (fill * 1_000.0).round() / 1_000.0,
            findings: tally.findings.clone(),
            ..Report::default()
        }
    }

    /// The checks that failed, described; empty when the run was clean. A run in which nothing happened is not clean.
    pub fn failures(&self) -> Vec<String> {
        let must_be_zero = [
            (self.double_winners, "double winners"),
            (self.wrong_four, "wrong choices of friends"),
            (self.verdicts_missing, "accepts without a verdict"),
            (self.verdicts_doubled, "accepts with too many verdicts"),
            (self.verdicts_conflicting, "accepts with verdicts that contradict each other"),
            (self.lost_jobs, "lost jobs"),
            (self.lost_wins, "lost wins"),
            (self.lost_offers, "lost offers"),
            (self.lost_visits, "lost completions"),
            (self.posts_unanswered, "posts without an answer"),
        ];
        let failed = must_be_zero.into_iter().filter(|(count, _)| *count > 0);
        let mut failures: Vec<String> = failed.map(|(count, what)| format!("{count} {what}")).collect();
        if let Some(outages) = self.outages.as_ref().filter(|outages| outages.wins_confirmed < outages.wins_asked_again)
        {
            let missing = outages.wins_asked_again - outages.wins_confirmed;
            failures.push(format!("{missing} winners who asked again were not told won"));
        }
        if let Some(first) = self.troubles.first() {
            failures.push(format!("{} troubles, first: {first}", self.troubles.len()));
        }
        if self.jobs_posted == 0 || self.choices == 0 {
            failures.push("nothing was checked: no job was posted or no choice seen".to_owned());
        }
        failures
    }

    /// Why the latencies do not count: the generator was saturated. Empty in a valid run, and in one that measures none.
    pub fn invalid(&self) -> &[String] {
        self.load.as_ref().map_or(&[], |load| &load.invalid)
    }
}

impl fmt::Display for Report {
    /// A summary for people, a few lines.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}: {:.1} s, seed {}, {} friends, time ×{}",
            self.run, self.duration_s, self.seed, self.friends, self.time_scale
        )?;
        writeln!(
            f,
            "jobs      {} posted, {} assigned, {} completed; {} refused",
            self.jobs_posted, self.jobs_assigned, self.jobs_completed, self.posts_refused
        )?;
        writeln!(
            f,
            "offers    {} ({:.2} of 4 with the post), {} accepts, {} declines, {} races",
            self.offers, self.first_wave_fill, self.accepts, self.declines, self.races
        )?;
        writeln!(
            f,
            "time      post to offer {:.1} / {:.1} ms (p50 / p99), accept to verdict {:.1} / {:.1} ms",
            self.offer_ms.p50, self.offer_ms.p99, self.accept_ms.p50, self.accept_ms.p99
        )?;
        writeln!(
            f,
            "          post to win {:.0} / {:.0} / {:.0} s of the trade (p50 / p80 / p99)",
            self.time_to_assign_ms.p50 / 1e3,
            self.time_to_assign_ms.p80 / 1e3,
            self.time_to_assign_ms.p99 / 1e3
        )?;
        writeln!(
            f,
            "distance  of the winner {:.0} / {:.0} m (p50 / p90)",
            self.winner_distance_m.p50, self.winner_distance_m.p90
        )?;
        writeln!(
            f,
            "checks    {} choices: {} wrong, {} explained by what was in flight; {} double winners; verdicts: {} missing, \
             {} doubled, {} conflicting; lost: {} jobs, {} wins, {} offers, {} completions",
            self.choices,
            self.wrong_four,
            self.explained,
            self.double_winners,
            self.verdicts_missing,
            self.verdicts_doubled,
            self.verdicts_conflicting,
            self.lost_jobs,
            self.lost_wins,
            self.lost_offers,
            self.lost_visits
        )?;
        if let Some(outages) = &self.outages {
            write!(f, "{outages}")?;
        }
        if let Some(load) = &self.load {
            write!(f, "{load}")?;
        }
        for finding in &self.findings {
            writeln!(f, "  ! {finding}")?;
        }
        let failures = self.failures();
        if failures.is_empty() {
            write!(f, "clean")?;
        } else {
            write!(f, "FAILED: {}", failures.join("; "))?;
        }
        match self.invalid() {
            [] => Ok(()),
            why => write!(
                f,
                "\nINVALID: the generator was saturated, so that latencies and costs say nothing: {}",
                why.join("; ")
            ),
        }
    }
}
