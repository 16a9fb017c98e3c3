//! How much a friend has done, against how much they want to do: jobs and income of the month and the year. Nothing of it is
//! a flag that could stick: it is counted from the jobs a friend holds or has done, each in the month and year in which it
//! was won, and from the ledger again after a restart.

use kiez_protocol::directory::Friend;
use kiez_protocol::friend::CapNear;
use kiez_protocol::ids::JobId;
use kiez_protocol::money::Money;
use kiez_protocol::profile::Cap;
use kiez_protocol::time::Time;

use super::capacity::Load;

/// A friend hears of a cap when so much of it is used, percent.
const NEAR_PERCENT: i64 = 80;
/// No period of a cap is longer than this, ms: a leap year and a day of time zones.
pub const PERIOD_MS: i64 = 367 * 24 * 3_600_000;

/// A job that counts: held, or done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Which.
    pub job: JobId,
    /// When it was won.
    pub at: Time,
    /// What the friend gets for it.
    pub net: Money,
}

/// Whether a job of so much net pay leaves the friend within each of their caps.
pub fn have_room(friend: &Friend, load: Option<&Load>, net: Money, now: Time) -> bool {
    let taken = load.map_or(&[][..], |load| &load.taken);
    friend.caps.iter().all(|cap| {
        let (jobs, income) = used(friend, cap, taken, now);
        cap.jobs.is_none_or(|most| jobs < most)
            && cap.income.is_none_or(|most| most.currency != net.currency || income + net.amount <= most.amount)
    })
}

/// The caps of which most is used.
pub fn near(friend: &Friend, load: &Load, now: Time) -> impl Iterator<Item = CapNear> {
    let is_near = |used: i64, most: i64| used.saturating_mul(100) >= most.saturating_mul(NEAR_PERCENT);
    friend.caps.iter().filter_map(move |cap| {
        let (jobs, income) = used(friend, cap, &load.taken, now);
        let near = cap.jobs.is_some_and(|most| is_near(jobs.into(), most.into()))
            || cap.income.is_some_and(|most| is_near(income, most.amount));
        let income = cap.income.map(|most| Money { amount: income, currency: most.currency });
        near.then_some(CapNear { cap: *cap, jobs, income })
    })
}

/// Jobs, and income in the currency of the cap, in the cap's present period.
fn used(friend: &Friend, cap: &Cap, taken: &[Taken], now: Time) -> (u32, i64) {
    let Some(began) = friend.period_began(cap.period, now) else { return (0, 0) };
    let counted = taken.iter().filter(|taken| taken.at >= began);
    counted.fold((0, 0), |(jobs, income), taken| {
        let counts = cap.income.is_some_and(|most| most.currency == taken.net.currency);
        (jobs + 1, income + if counts { taken.net.amount } else { 0 })
    })
}
