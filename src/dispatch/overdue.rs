//! Who waits too long for an offer: counted once a day for each community, against the seats that were kept for the
//! longest wait in reach of those who wait. It is an alarm and no promise: 1,500 jobs a year cannot give 1,000 friends an
//! offer a fortnight. Many seats in reach and a long wait all the same say that something else keeps these friends back.
//!
//! Told when somebody has come to wait too long since the last look, so that a wait nobody can shorten is told once. The
//! last look stands in the ledger: a restart repeats nothing and leaves nothing out.

use kiez_protocol::directory::Policy;
use kiez_protocol::ids::{CommunitySlug, FriendId};
use kiez_protocol::ops::{LONG_WAITS_NAMED_MAX, LongWaits};
use kiez_protocol::place::Point;
use kiez_protocol::time::Time;

use super::effect::WaitingRow;
use super::fairness::DAY_MS;

/// Between two looks at a community, ms.
pub const LOOK_MS: i64 = DAY_MS;
/// Seats of so long before a look count, ms; and who went off duty longer ago waits for nothing.
pub const WEEK_MS: i64 = 7 * DAY_MS;

/// Metres of a degree of latitude, rounded down: farther apart by latitude alone is out of reach.
const DEGREE_M: f64 = 110_000.0;

/// A friend who waits for an offer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Waiter {
    /// Who.
    pub friend: FriendId,
    /// Since the last offer, or since the first duty.
    pub since: Time,
    /// Never offered anything.
    pub newcomer: bool,
    /// Where they stand now, if that is known, and how far they go, metres.
    pub reach: Option<(Point, u32)>,
}

impl Waiter {
    /// Out of what the ledger knows of their waiting; none for who was never on duty and never offered anything.
    pub fn of(row: &WaitingRow, reach: Option<(Point, u32)>) -> Option<Waiter> {
        let since = row.last_offer.or(row.first_duty)?;
        Some(Waiter { friend: row.friend, since, newcomer: row.last_offer.is_none(), reach })
    }

    /// When they will have waited too long; never where the policy knows no too long.
    fn overdue_at(&self, policy: &Policy) -> Option<Time> {
        let days = if self.newcomer { policy.first_offer_days } else { policy.next_offer_days };
        (days > 0).then(|| self.since + i64::from(days) * DAY_MS)
    }
}

/// Seats that were kept for the longest wait and given, by where the jobs were.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SeatsAt {
    /// About where.
    pub place: Point,
    /// How many.
    pub seats: u32,
}

/// What a look at `now` finds among those who wait for an offer of a community; none if nobody has come to wait too long
/// since the look at `looked`. Without one everybody who waits too long is new.
pub fn overdue(
    community: &CommunitySlug,
    policy: &Policy,
    waiters: &[Waiter],
    seats: &[SeatsAt],
    looked: Option<Time>,
    now: Time,
) -> Option<LongWaits> {
    let overdue = |waiter: &&Waiter| waiter.overdue_at(policy).is_some_and(|at| at <= now);
    let mut long: Vec<&Waiter> = waiters.iter().filter(overdue).collect();
    let is_new = |waiter: &&Waiter| waiter.overdue_at(policy).is_some_and(|at| looked.is_none_or(|looked| at > looked));
    if !long.iter().any(is_new) {
        return None;
    }
    let count = |newcomer| u32::try_from(long.iter().filter(|waiter| waiter.newcomer == newcomer).count());
    let (first, next) = (count(true).unwrap_or(u32::MAX), count(false).unwrap_or(u32::MAX));
    let in_reach = |seat: &&SeatsAt| long.iter().any(|waiter| waiter.reach.is_some_and(|reach| reaches(reach, seat)));
    let seats = seats.iter().filter(in_reach).map(|seat| seat.seats).sum();
    long.sort_unstable_by_key(|waiter| (waiter.since, waiter.friend));
    let friends = long.iter().take(LONG_WAITS_NAMED_MAX).map(|waiter| waiter.friend).collect();
    Some(LongWaits { community: community.clone(), first, next, seats, friends })
}

fn reaches((stands, radius_m): (Point, u32), seat: &SeatsAt) -> bool {
    let radius_m = f64::from(radius_m);
    (stands.lat() - seat.place.lat()).abs() * DEGREE_M <= radius_m && stands.distance_m(seat.place) <= radius_m
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const START: Time = Time(20_000 * DAY_MS);

    fn community() -> CommunitySlug {
        "berlin-tech".parse().expect("a slug")
    }

    fn door() -> Point {
        Point::new(52.4996, 13.4180).expect("on earth")
    }

    /// Waits since so many days after the start, at the door.
    fn waiter(id: u128, days: i64, newcomer: bool) -> Waiter {
        let (friend, since) = (FriendId(Uuid::from_u128(id)), START + days * DAY_MS);
        Waiter { friend, since, newcomer, reach: Some((door(), 3_800)) }
    }

    /// The look of a day, which follows the one of the day before.
    fn look(waiters: &[Waiter], seats: &[SeatsAt], day: i64) -> Option<LongWaits> {
        let now = START + day * DAY_MS;
        overdue(&community(), &Policy::default(), waiters, seats, Some(now - LOOK_MS), now)
    }

    #[test]
    fn a_week_without_a_first_offer_and_a_fortnight_without_another_are_told() {
        let waiters = [waiter(1, 0, true), waiter(2, 0, false)];
        assert_eq!(look(&waiters, &[], 6), None);
        let week = look(&waiters, &[], 7).expect("seven days");
        assert_eq!((week.first, week.next, &week.friends[..]), (1, 0, &[waiters[0].friend][..]));
        assert_eq!(look(&waiters, &[], 13), None);
        let fortnight = look(&waiters, &[], 14).expect("fourteen days");
        assert_eq!((fortnight.first, fortnight.next), (1, 1), "all who wait too long are counted, not only the new");
        assert_eq!(fortnight.friends, [waiters[0].friend, waiters[1].friend]);
    }

    #[test]
    fn a_wait_is_told_on_one_day_and_not_on_every_day() {
        let waiters = [waiter(1, 0, true)];
        let told: Vec<i64> = (0..60).filter(|day| look(&waiters, &[], *day).is_some()).collect();
        assert_eq!(told, [7]);
        // The server was away for a week: the next look finds what the missed ones would have.
        let (policy, now) = (Policy::default(), START + 12 * DAY_MS);
        let missed = |looked| overdue(&community(), &policy, &waiters, &[], looked, now);
        assert!(missed(Some(START + 5 * DAY_MS)).is_some());
        assert!(missed(Some(START + 7 * DAY_MS)).is_none(), "that look has told it");
        assert!(missed(None).is_some(), "never looked before");
    }

    #[test]
    fn when_it_is_too_long_is_data_of_the_policy() {
        let waiters = [waiter(1, 0, true), waiter(2, 0, false)];
        let told = |first_offer_days, next_offer_days, day| {
            let policy = Policy { first_offer_days, next_offer_days, ..Policy::default() };
            let found = overdue(&community(), &policy, &waiters, &[], None, START + day * DAY_MS);
            found.map(|waits| (waits.first, waits.next))
        };
        assert_eq!(told(3, 5, 2), None);
        assert_eq!(told(3, 5, 3), Some((1, 0)));
        assert_eq!(told(3, 5, 5), Some((1, 1)));
        assert_eq!(told(0, 5, 400), Some((0, 1)), "0: never");
        assert_eq!(told(0, 0, 400), None);
    }

    #[test]
    fn seats_count_where_somebody_who_waits_too_long_could_reach_them() {
        let seats_at = |north_m: f64, seats| {
            let place = Point::new(door().lat() + north_m / 111_195.0, door().lng()).expect("on earth");
            SeatsAt { place, seats }
        };
        let seats = [seats_at(0.0, 3), seats_at(3_700.0, 2), seats_at(4_000.0, 8), seats_at(90_000.0, 100)];
        let far = Waiter { reach: Some((door(), 10_000)), ..waiter(2, 5, true) };
        let nowhere = Waiter { reach: None, ..waiter(3, 0, true) };
        let counted = |waiters: &[Waiter]| look(waiters, &seats, 7).map(|waits| waits.seats);
        assert_eq!(counted(&[waiter(1, 0, true)]), Some(5));
        assert_eq!(counted(&[waiter(1, 0, true), far]), Some(5), "who has waited two days does not wait too long");
        assert_eq!(counted(&[waiter(1, 0, true), Waiter { since: START, ..far }]), Some(13));
        assert_eq!(counted(&[nowhere]), Some(0), "where they stand is not known");
    }

    #[test]
    fn the_longest_waits_are_named_and_no_more_than_fit() {
        let waiters: Vec<Waiter> = (0..500).map(|id| waiter(id, -i64::try_from(id).expect("small"), true)).collect();
        let now = START + 7 * DAY_MS;
        let found = overdue(&community(), &Policy::default(), &waiters, &[], None, now).expect("all of them");
        assert_eq!((found.first, found.friends.len()), (500, LONG_WAITS_NAMED_MAX));
        assert_eq!(found.friends[0], waiters[499].friend, "the longest first");
    }
}
