//! How long each friend has waited for an offer: plain data of the dispatcher, derived again by `restore` from duties and
//! offers. Days are those of the earth (UTC), so that the same offers count the same in every community.

use std::collections::HashMap;

use kiez_protocol::ids::FriendId;
use kiez_protocol::time::Time;
use smallvec::SmallVec;

use super::effect::WaitingRow;
use super::rank::Wait;

/// Milliseconds of a day.
pub const DAY_MS: i64 = 24 * 3_600_000;
/// Offers of so many days count: today's and those of the days before.
pub const COUNTED_DAYS: i64 = 30;

/// The day in which an instant lies, counted from 1970.
pub fn day(at: Time) -> i64 {
    at.0.div_euclid(DAY_MS)
}

/// What is known of one friend's waiting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Waited {
    first_duty: Option<Time>,
    off_since: Option<Time>,
    last_offer: Option<Time>,
    // The one before the last, should the last turn out never to have been written.
    before_last: Option<Time>,
    // Offers by day, ascending; days that no longer count go when a new one comes.
    by_day: SmallVec<[(i64, u32); 2]>,
}

/// The waits of all friends who were ever on duty or offered anything.
#[derive(Clone, Debug, Default)]
pub struct Waits(HashMap<FriendId, Waited>);

impl Waits {
    /// The waits as the ledger tells them.
    pub fn restore(rows: Vec<WaitingRow>) -> Waits {
        let waited = |row: WaitingRow| Waited {
            first_duty: row.first_duty,
            off_since: row.off_since,
            last_offer: row.last_offer,
            before_last: None,
            by_day: row.by_day.into(),
        };
        Waits(rows.into_iter().map(|row| (row.friend, waited(row))).collect())
    }

    /// How long `friend` has waited at `now`.
    pub fn of(&self, friend: FriendId, now: Time) -> Wait {
        let Some(waited) = self.0.get(&friend) else { return Wait { newcomer: true, ..Wait::default() } };
        let since = waited.last_offer.or(waited.first_duty);
        let days = since.map_or(0, |since| u32::try_from(now.since(since) / DAY_MS).unwrap_or(0));
        let counted = waited.by_day.iter().filter(|(day, _)| counts(*day, now));
        Wait { days, newcomer: waited.last_offer.is_none(), offers: counted.map(|(_, offers)| offers).sum() }
    }

    /// `friend` goes on duty. When they first did.
    pub fn on_duty(&mut self, friend: FriendId, now: Time) -> Time {
        let waited = self.0.entry(friend).or_default();
        waited.off_since = None;
        *waited.first_duty.get_or_insert(now)
    }

    /// `friend` goes off duty. When they were first on, if they ever were.
    pub fn off_duty(&mut self, friend: FriendId, now: Time) -> Option<Time> {
        let waited = self.0.get_mut(&friend)?;
        waited.off_since = Some(now);
        waited.first_duty
    }

    /// `friend` is offered something.
    pub fn offered(&mut self, friend: FriendId, now: Time) {
        let waited = self.0.entry(friend).or_default();
        waited.before_last = waited.last_offer.replace(now);
        waited.by_day.retain(|(day, _)| counts(*day, now));
        match waited.by_day.last_mut() {
            Some((last, offers)) if *last == day(now) => *offers += 1,
            Some(_) | None => waited.by_day.push((day(now), 1)),
        }
    }

    /// The offer made to `friend` at `at` was never written: it does not count.
    pub fn take_back(&mut self, friend: FriendId, at: Time) {
        let Some(waited) = self.0.get_mut(&friend) else { return };
        if waited.last_offer == Some(at) {
            waited.last_offer = waited.before_last.take();
        }
        if let Some((_, offers)) = waited.by_day.iter_mut().find(|(of, _)| *of == day(at)) {
            *offers = offers.saturating_sub(1);
        }
        waited.by_day.retain(|(_, offers)| *offers > 0);
    }
}

fn counts(day: i64, now: Time) -> bool {
    day > self::day(now) - COUNTED_DAYS
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const START: Time = Time(20_000 * DAY_MS + 5 * 3_600_000);

    #[test]
    fn a_wait_begins_with_the_first_duty_and_again_with_each_offer() {
        let (mut waits, ada) = (Waits::default(), FriendId(Uuid::from_u128(1)));
        assert_eq!(waits.of(ada, START), Wait { days: 0, newcomer: true, offers: 0 });
        assert_eq!(waits.on_duty(ada, START), START);
        waits.off_duty(ada, START + DAY_MS);
        assert_eq!(waits.on_duty(ada, START + 2 * DAY_MS), START, "the first one counts");
        assert_eq!(waits.of(ada, START + 3 * DAY_MS - 1), Wait { days: 2, newcomer: true, offers: 0 });
        waits.offered(ada, START + 3 * DAY_MS);
        assert_eq!(waits.of(ada, START + 3 * DAY_MS), Wait { days: 0, newcomer: false, offers: 1 });
        assert_eq!(waits.of(ada, START + 8 * DAY_MS), Wait { days: 5, newcomer: false, offers: 1 });
    }

    #[test]
    fn offers_count_for_thirty_days() {
        let (mut waits, ada) = (Waits::default(), FriendId(Uuid::from_u128(1)));
        waits.offered(ada, START);
        waits.offered(ada, START + 1);
        waits.offered(ada, START + DAY_MS);
        let offers = |waits: &Waits, days| waits.of(ada, START + days * DAY_MS).offers;
        assert_eq!([0, 1, 29, 30, 31].map(|days| offers(&waits, days)), [3, 3, 3, 1, 0]);
        waits.offered(ada, START + 40 * DAY_MS);
        assert_eq!(waits.0[&ada].by_day.len(), 1, "what no longer counts is not kept");
    }

    #[test]
    fn an_offer_that_was_never_written_does_not_count() {
        let (mut waits, ada) = (Waits::default(), FriendId(Uuid::from_u128(1)));
        waits.offered(ada, START);
        let before = waits.of(ada, START + 4 * DAY_MS);
        waits.offered(ada, START + 3 * DAY_MS);
        waits.take_back(ada, START + 3 * DAY_MS);
        assert_eq!(waits.of(ada, START + 4 * DAY_MS), before);
    }
}
