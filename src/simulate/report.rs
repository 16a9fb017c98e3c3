//! What a simulated city has shown, in words and figures. Only what follows from the seed is in it: no clock of this
//! world, no order of a hash map.

use std::fmt::Write;

use kiez_protocol::money::{Currency, Money};
use kiez_protocol::partner::JobState;
use kiez_protocol::time::Time;

use super::model::Rule;
use super::people::DAY_MS;
use super::world::World;
use crate::dispatch::is_final;

/// Nine in ten trips of five U-Bahn stops are shorter: the first cap of the trade, metres.
const NEAR_M: u32 = 3_800;

macro_rules! counts {
    ($($name:ident: $about:literal;)*) => {
        /// How often what happened.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Count { $(#[doc = $about] pub $name: u64,)* }

        impl Count {
            fn lines(&self) -> Vec<(&'static str, u64)> {
                vec![$(($about, self.$name),)*]
            }

            fn add(&mut self, other: &Count) {
                $(self.$name += other.$name;)*
            }
        }
    };
}

counts! {
    crashes: "kills of the server";
    freezes: "servers that stood still";
    takeovers: "of these, replaced meanwhile";
    fenced: "of these, ended by the fence";
    woken: "servers that stood still for long and went on";
    outages: "outages of the ledger";
    unknown: "commits without a reply";
    refused: "records refused for good";
    broken: "lines broken";
    lost: "messages lost on the way";
    late: "messages seconds late";
    repeated: "messages that came twice";
    slow: "sockets closed for being slow";
    overloaded: "requests turned away for want of room";
    requests_lost: "partner requests or replies lost";
    partner_repeats: "partner requests sent again";
    retried: "frames of friends sent again with their key";
    double_taps: "accepts tapped twice";
    accepts: "accepts";
    undone: "noes taken back";
    asked: "questions of friends";
    proposed: "other times proposed";
    confirmed: "of these, agreed to";
    named: "friends asked by name";
    messages: "messages between customers and friends";
    alarms: "alarms to ops";
    ticks: "deadlines handled";
    records: "records decided";
    written: "records written";
    told: "messages told to friends";
}

/// What became of the jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Jobs {
    /// Posted.
    pub posted: u64,
    /// Whose required answers never came.
    pub incomplete: u64,
    /// Cancelled before anybody took them.
    pub cancelled: u64,
    /// Taken by somebody, at least once.
    pub assigned: u64,
    /// Expired without anybody.
    pub expired: u64,
    /// Still looking for somebody at the end.
    pub open: u64,
    /// Given back by who had taken them, or taken away because nobody called.
    pub handed_back: u64,
    /// Done by the end.
    pub done: u64,
}

/// The report of one seed.
#[derive(Clone, Debug)]
pub struct Report {
    /// The command that shows the same again.
    pub command: String,
    /// Simulated days.
    pub days: u32,
    /// Friends.
    pub friends: u32,
    /// What became of the jobs.
    pub jobs: Jobs,
    /// From the post to the first win, ms, ascending; one for every job that was taken.
    pub assign_ms: Vec<i64>,
    /// The same of every job that somebody was wanted for, ascending; one that nobody took counts as never.
    pub wanted_ms: Vec<i64>,
    /// The same of those with twelve suitable friends in reach when they first looked.
    pub twelve_ms: Vec<i64>,
    /// Friends asked, one for every job that was dispatched, ascending.
    pub offers_per_job: Vec<u32>,
    /// How far the winners lived or stood from the job, metres, ascending.
    pub winner_m: Vec<u32>,
    /// Offers to each friend, ascending.
    pub offers_per_friend: Vec<u32>,
    /// Net of the jobs each friend holds or has done, minor units, ascending.
    pub income: Vec<i64>,
    /// Its currency.
    pub currency: Currency,
    /// From the first duty to the first offer, ms, ascending; those who still waited at the end count up to then.
    pub first_offer_ms: Vec<i64>,
    /// The same to the first job won.
    pub first_win_ms: Vec<i64>,
    /// Friends who were on duty and never got an offer.
    pub without_offer: u64,
    /// Of all offers, the share that was accepted, whether it won or not.
    pub accepted: f64,
    /// Faults and work.
    pub count: Count,
    /// How often each rule was looked at.
    pub checks: Vec<(Rule, u64)>,
    /// A fingerprint of everything recorded and told.
    pub digest: u64,
    /// Inputs handled.
    pub steps: u64,
}

/// A job that nobody took was taken after so long.
const NEVER_MS: i64 = i64::MAX;

/// When a friend was first asked, and when they first won.
type Firsts = (Option<Time>, Option<Time>);

impl Report {
    pub(crate) fn of(world: &World) -> Report {
        let setting = &world.setting;
        let book = &world.model.committed;
        let mut jobs = Jobs::default();
        let (mut assign_ms, mut offers_per_job, mut winner_m) = (Vec::new(), Vec::new(), Vec::new());
        let (mut wanted_ms, mut twelve_ms) = (Vec::new(), Vec::new());
        let decided = world.current.and_then(|number| world.houses.get(&number)).map(|house| &house.book.pages);
        let friends = setting.friends as usize;
        let (mut offers, mut income) = (vec![0_u32; friends], vec![0_i64; friends]);
        let mut firsts: Vec<Firsts> = vec![(None, None); friends];
        let number = |friend| super::streets::friend_no(friend);
        let earlier = |at: &mut Option<Time>, other: Time| *at = Some(at.map_or(other, |at: Time| at.min(other)));
        for page in book.pages.values() {
            jobs.posted += 1;
            if page.attempt > 0 {
                offers_per_job.push(u32::try_from(page.asked.len()).unwrap_or(u32::MAX));
            }
            for asked in &page.asked {
                offers[number(asked.offer.friend)] += 1;
                earlier(&mut firsts[number(asked.offer.friend)].0, asked.offer.sent_at);
            }
            let mut visits: Vec<_> = page.visits.iter().collect();
            visits.sort_by_key(|visit| visit.attempt);
            for visit in &visits {
                earlier(&mut firsts[number(visit.friend)].1, visit.assigned_at);
            }
            let works = matches!(page.state, JobState::Done | JobState::Confirmed | JobState::Closed);
            jobs.done += u64::from(works);
            let cancelled = page.state == JobState::Cancelled && visits.is_empty();
            if page.attempt > 0 && !cancelled {
                let wait_ms = visits.first().map_or(NEVER_MS, |first| first.assigned_at.since(page.created_at));
                wanted_ms.push(wait_ms);
                let in_reach = decided.and_then(|pages| pages.get(&page.id)?.in_reach);
                twelve_ms.extend(in_reach.filter(|in_reach| *in_reach >= 12).map(|_| wait_ms));
            }
            match (visits.first(), visits.last()) {
                (Some(first), Some(last)) => {
                    jobs.assigned += 1;
                    jobs.handed_back += visits.len() as u64 - 1 + u64::from(!last.active && page.is_open());
                    assign_ms.push(first.assigned_at.since(page.created_at));
                    winner_m.extend(page.offer(first.offer).map(|asked| asked.offer.distance_m));
                    if last.active || works {
                        income[number(last.friend)] += last.pay.net.amount;
                    }
                }
                (None, _) | (_, None) if page.attempt == 0 => jobs.incomplete += 1,
                (None, _) | (_, None) => match page.state {
                    JobState::Cancelled => jobs.cancelled += 1,
                    JobState::Expired => jobs.expired += 1,
                    state => jobs.open += u64::from(!is_final(state)),
                },
            }
        }
        let made: u32 = offers.iter().sum();
        let waits = |first: fn(&Firsts) -> Option<Time>| {
            let since = world.first_duty.iter().zip(&firsts);
            let wait = since.filter_map(|(on, firsts)| Some(first(firsts).unwrap_or(world.ends).since((*on)?).max(0)));
            sorted(wait.collect())
        };
        let never = world.first_duty.iter().zip(&firsts).filter(|(on, firsts)| on.is_some() && firsts.0.is_none());
        Report {
            command: setting.command(),
            days: setting.days,
            friends: setting.friends,
            jobs,
            assign_ms: sorted(assign_ms),
            wanted_ms: sorted(wanted_ms),
            twelve_ms: sorted(twelve_ms),
            offers_per_job: sorted(offers_per_job),
            winner_m: sorted(winner_m),
            offers_per_friend: sorted(offers),
            income: sorted(income),
            currency: if setting.city == super::City::Sparse { Currency::Chf } else { Currency::Eur },
            first_offer_ms: waits(|firsts| firsts.0),
            first_win_ms: waits(|firsts| firsts.1),
            without_offer: never.count() as u64,
            accepted: world.count.accepts as f64 / f64::from(made.max(1)),
            count: world.count.clone(),
            checks: Rule::ALL.iter().map(|rule| (*rule, world.model.tally.of(*rule))).collect(),
            digest: world.digest,
            steps: world.steps,
        }
    }

    /// Of the jobs that could be filled, the share that was.
    pub fn fill(&self) -> f64 {
        let jobs = &self.jobs;
        let wanted = jobs.assigned + jobs.expired + jobs.open;
        jobs.assigned as f64 / (wanted.max(1)) as f64
    }

    /// The winners within 3.8 km, as a share.
    pub fn near(&self) -> f64 {
        let near = self.winner_m.partition_point(|distance_m| *distance_m <= NEAR_M);
        near as f64 / self.winner_m.len().max(1) as f64
    }

    /// What the trade looked like: name and value of each figure.
    pub fn figures(&self) -> Vec<(&'static str, String)> {
        let jobs = &self.jobs;
        let assign = |percent| span(at_percent(&self.assign_ms, percent));
        let money = |amount| Money { amount, currency: self.currency }.to_string();
        vec![
            (
                "jobs",
                format!(
                    "{} posted: {} taken, {} expired, {} still looking, {} cancelled before, {} never complete",
                    jobs.posted, jobs.assigned, jobs.expired, jobs.open, jobs.cancelled, jobs.incomplete
                ),
            ),
            ("work", format!("{} done, {} given back", jobs.done, jobs.handed_back)),
            ("fill rate", percent(self.fill())),
            ("time to assign, half within", assign(50)),
            ("time to assign, 80 % within", assign(80)),
            ("time to assign, 99 % within", assign(99)),
            ("longest wait of a job", assign(100)),
            ("of all wanted, taken within the hour", percent(within_hour(&self.wanted_ms))),
            ("jobs with twelve in reach", self.twelve_ms.len().to_string()),
            ("of these, 80 % within", span(at_percent(&self.twelve_ms, 80))),
            ("of these, taken within the hour", percent(within_hour(&self.twelve_ms))),
            ("offers per job, mean", format!("{:.1}", mean(&self.offers_per_job))),
            ("offers per job, 90 % within", at_percent(&self.offers_per_job, 90).to_string()),
            ("offers accepted", percent(self.accepted)),
            ("winners within 3.8 km", percent(self.near())),
            ("distance of the winner, median", format!("{} m", at_percent(&self.winner_m, 50))),
            ("offers per friend, median", at_percent(&self.offers_per_friend, 50).to_string()),
            ("offers per friend, Gini", format!("{:.3}", gini(&self.offers_per_friend))),
            ("income per friend, median", money(at_percent(&self.income, 50))),
            ("income per friend, Gini", format!("{:.3}", gini(&self.income))),
            ("wait for the first offer, 90 % within", span(at_percent(&self.first_offer_ms, 90))),
            ("longest wait for the first offer", span(at_percent(&self.first_offer_ms, 100))),
            ("friends on duty without any offer", self.without_offer.to_string()),
            ("wait for the first job, 90 % within", span(at_percent(&self.first_win_ms, 90))),
            ("longest wait for the first job", span(at_percent(&self.first_win_ms, 100))),
        ]
    }

    /// The whole report as text.
    pub fn text(&self) -> String {
        let mut text = format!("{}\n\n", self.command);
        for (name, value) in self.figures() {
            let _ = writeln!(text, "{name:<40} {value}");
        }
        text.push_str("\nwhat went wrong, and what was done\n");
        for (name, value) in self.count.lines() {
            let _ = writeln!(text, "  {name:<46} {value:>12}");
        }
        text.push_str("\nwhat held, and how often it was looked at\n");
        for (rule, count) in &self.checks {
            let _ = writeln!(text, "  {:<64} {count:>10}", rule.text());
        }
        let _ = writeln!(text, "\n{} inputs handled; fingerprint {:016x}", self.steps, self.digest);
        text
    }
}

/// Many seeds together.
#[derive(Clone, Debug, Default)]
pub struct Total {
    seeds: u64,
    jobs: Jobs,
    count: Count,
    checks: u64,
    steps: u64,
}

impl Total {
    /// One more.
    pub fn add(&mut self, report: &Report) {
        self.seeds += 1;
        self.jobs.posted += report.jobs.posted;
        self.jobs.assigned += report.jobs.assigned;
        self.jobs.handed_back += report.jobs.handed_back;
        self.count.add(&report.count);
        self.checks += report.checks.iter().map(|(_, count)| count).sum::<u64>();
        self.steps += report.steps;
    }

    /// All together as text.
    pub fn text(&self) -> String {
        let jobs = &self.jobs;
        let mut text = format!(
            "{} seeds: {} jobs, {} taken, {} given back; {} inputs, {} checks, all of which held\n",
            self.seeds, jobs.posted, jobs.assigned, jobs.handed_back, self.steps, self.checks
        );
        for (name, value) in self.count.lines() {
            let _ = writeln!(text, "  {name:<46} {value:>12}");
        }
        text
    }
}

/// Two reports side by side.
pub fn beside(first: &Report, second: &Report, names: [&str; 2]) -> String {
    let mut text = format!("{:<40} {:>28} {:>28}\n", "", names[0], names[1]);
    for ((name, one), (_, other)) in first.figures().into_iter().skip(2).zip(second.figures().into_iter().skip(2)) {
        let _ = writeln!(text, "{name:<40} {one:>28} {other:>28}");
    }
    text
}

fn sorted<T: Ord>(mut values: Vec<T>) -> Vec<T> {
    values.sort();
    values
}

/// The value that so many percent do not exceed, of ascending values; the least value there is for none.
pub(crate) fn at_percent<T: Copy + Default>(values: &[T], percent: usize) -> T {
    let rank = (values.len() * percent).div_ceil(100).max(1);
    values.get(rank - 1).copied().unwrap_or_default()
}

/// The share that was taken within an hour of the post.
fn within_hour(wait_ms: &[i64]) -> f64 {
    wait_ms.partition_point(|ms| *ms <= 3_600_000) as f64 / wait_ms.len().max(1) as f64
}

fn mean(values: &[u32]) -> f64 {
    values.iter().map(|value| f64::from(*value)).sum::<f64>() / values.len().max(1) as f64
}

/// How unevenly it is spread over ascending values, 0 (alike) to 1 (all to one).
pub(crate) fn gini<T: Copy + Into<i64>>(values: &[T]) -> f64 {
    let total: i64 = values.iter().map(|value| (*value).into()).sum();
    if total == 0 {
        return 0.0;
    }
    let count = values.len() as f64;
    let ranked: f64 = values.iter().zip(1..).map(|(value, rank)| f64::from(rank) * (*value).into() as f64).sum();
    2.0 * ranked / (count * total as f64) - (count + 1.0) / count
}

/// A span for people.
pub(crate) fn span(ms: i64) -> String {
    let of = |unit: i64| ms as f64 / unit as f64;
    match ms {
        NEVER_MS => "never".to_owned(),
        ..60_000 => format!("{:.0} s", of(1_000)),
        60_000..3_600_000 => format!("{:.1} min", of(60_000)),
        3_600_000..DAY_MS => format!("{:.1} h", of(3_600_000)),
        _ => format!("{:.1} days", of(DAY_MS)),
    }
}

pub(crate) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gini_of_equals_is_none_and_of_one_who_has_all_is_nearly_one() {
        assert!(gini(&[5_u32, 5, 5, 5]).abs() < 1e-9);
        assert!((gini(&[0_u32, 0, 0, 9]) - 0.75).abs() < 1e-9);
        assert_eq!(gini::<u32>(&[]), 0.0);
    }

    #[test]
    fn percentiles_are_values_that_were_there() {
        let values = [1_i64, 2, 3, 4, 5, 6, 7, 8, 9, 10];
        assert_eq!([50, 80, 99, 100].map(|percent| at_percent(&values, percent)), [5, 8, 10, 10]);
        assert_eq!(at_percent::<i64>(&[], 50), 0);
    }
}
