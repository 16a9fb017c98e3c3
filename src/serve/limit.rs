//! How fast somebody may be, and how much at once: so many, then one in an interval; and the quota of an API key. A pace is
//! one number, because there is one of these for every friend and kind of frame.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Mutex;

use super::places::{Place, Places};

/// A pace, kept as the instant at which nothing is owed to it any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    free_at: i64,
}

impl Pace {
    /// Takes one at `now`, in ms, if there is one: `burst` at once, then one each `interval_ms`.
    pub fn take(&mut self, now: i64, burst: u32, interval_ms: i64) -> bool {
        let in_time = now >= self.next(burst, interval_ms);
        if in_time {
            self.free_at = self.free_at.max(now) + interval_ms.max(1);
        }
        in_time
    }

    /// When the next one can be taken.
    pub fn next(&self, burst: u32, interval_ms: i64) -> i64 {
        self.free_at - i64::from(burst.max(1) - 1) * interval_ms.max(1)
    }
}

/// So many paces are kept at once.
const PACES_MAX: usize = 10_000;

/// A pace for each of many. Of those who have not asked for a while nothing is kept.
#[derive(Debug)]
pub struct Paces<K>(Mutex<HashMap<K, Pace>>);

impl<K> Default for Paces<K> {
    fn default() -> Paces<K> {
        Paces(Mutex::default())
    }
}

impl<K: Eq + Hash> Paces<K> {
    /// Takes one for `who` at `now`, in ms, if there is one, as [`Pace::take`]. When very many ask within the same interval,
    /// those who come last wait.
    pub fn take(&self, who: K, now: i64, burst: u32, interval_ms: i64) -> bool {
        let mut paces = self.0.lock().expect("nothing panics while it holds this");
        if paces.len() >= PACES_MAX && !paces.contains_key(&who) {
            paces.retain(|_, pace| pace.free_at > now);
            if paces.len() >= PACES_MAX {
                return false;
            }
        }
        paces.entry(who).or_default().take(now, burst, interval_ms)
    }
}

/// What one API key may ask for.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    /// Jobs a second, 1 to 1,000.
    pub jobs_per_s: u32,
    /// Jobs at once.
    pub jobs_burst: u32,
    /// Requests that are being answered.
    pub in_flight_max: usize,
}

/// What one API key has asked for lately.
#[derive(Debug, Default)]
pub struct Quota {
    jobs: Mutex<Pace>,
    in_flight: Places,
}

impl Quota {
    /// Whether one more job may be posted.
    pub fn takes_job(&self, allowance: Allowance, now_ms: i64) -> bool {
        let mut jobs = self.jobs.lock().expect("nothing panics while it holds this");
        jobs.take(now_ms, allowance.jobs_burst, interval_ms(allowance.jobs_per_s))
    }

    /// A place for a request while it is answered, if there is one.
    pub fn enters(&self, allowance: Allowance) -> Option<Place> {
        self.in_flight.take(allowance.in_flight_max)
    }
}

/// The time between two of so many a second, 1 to 1,000; ms.
pub fn interval_ms(per_s: u32) -> i64 {
    1_000 / i64::from(per_s.clamp(1, 1_000))
}

#[cfg(test)]
mod tests {
    use super::{Allowance, PACES_MAX, Pace, Paces, Quota};

    #[test]
    fn a_quota_follows_its_allowance() {
        let (narrow, wide) = (
            Allowance { jobs_per_s: 10, jobs_burst: 2, in_flight_max: 1 },
            Allowance { jobs_per_s: 1_000, jobs_burst: 300, in_flight_max: 2 },
        );
        let quota = Quota::default();
        assert_eq!([0; 3].map(|now| quota.takes_job(narrow, now)), [true, true, false]);
        assert!(!quota.takes_job(narrow, 99) && quota.takes_job(narrow, 100));
        assert!(!quota.takes_job(narrow, 199) && quota.takes_job(wide, 199), "a wider rule counts at once");
        let first = quota.enters(narrow).expect("a place");
        assert!(quota.enters(narrow).is_none() && quota.enters(wide).is_some());
        drop(first);
        assert!(quota.enters(narrow).is_some());
    }

    #[test]
    fn each_has_a_pace_of_their_own_and_the_idle_are_forgotten() {
        let paces = Paces::default();
        let take = |who, now| paces.take(who, now, 2, 100);
        assert_eq!([1; 3].map(|who| take(who, 0)), [true, true, false]);
        assert!(take(2, 0));
        let full = i32::try_from(PACES_MAX).expect("some thousands");
        assert_eq!((3..=full + 3).filter(|who| take(*who, 0)).count(), PACES_MAX - 2, "there is no room for more");
        assert!(!take(1, 99) && take(-1, 200) && paces.0.lock().expect("held by nobody").len() == 1);
    }

    #[test]
    fn a_burst_then_one_each_interval() {
        let mut pace = Pace::default();
        let mut take = |now| pace.take(now, 3, 100);
        assert_eq!([1_000; 4].map(&mut take), [true, true, true, false]);
        assert_eq!([1_099, 1_100, 1_150, 1_200].map(&mut take), [false, true, false, true]);
        assert_eq!([10_000; 4].map(&mut take), [true, true, true, false]);
    }
}
