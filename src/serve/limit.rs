//! How fast somebody may be, and how much at once: a bucket that holds a burst and refills with time, and the quota of an
//! API key.

use std::sync::Mutex;

use super::places::{Place, Places};

/// A bucket of permits.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    burst: u32,
    interval_ms: i64,
    permits: u32,
    since: i64,
}

impl Bucket {
    /// A full bucket: `burst` at once, then one each `interval_ms`.
    pub fn new(burst: u32, interval_ms: i64, now_ms: i64) -> Bucket {
        Bucket { burst, interval_ms: interval_ms.max(1), permits: burst, since: now_ms }
    }

    /// The same bucket by another rule; what is in it stays, as far as it fits.
    pub fn retune(&mut self, burst: u32, interval_ms: i64) {
        (self.burst, self.interval_ms) = (burst, interval_ms.max(1));
        self.permits = self.permits.min(burst);
    }

    /// Takes a permit, if there is one.
    pub fn take(&mut self, now_ms: i64) -> bool {
        let earned = (now_ms - self.since) / self.interval_ms;
        if earned > 0 {
            self.since += earned * self.interval_ms;
            self.permits = self.permits.saturating_add(u32::try_from(earned).unwrap_or(u32::MAX)).min(self.burst);
        }
        let has = self.permits > 0;
        self.permits -= u32::from(has);
        has
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
#[derive(Debug)]
pub struct Quota {
    jobs: Mutex<Bucket>,
    in_flight: Places,
}

impl Quota {
    /// Nothing was asked for yet.
    pub fn new(now_ms: i64) -> Quota {
        // Filled by the rule of whoever asks first.
        Quota { jobs: Mutex::new(Bucket::new(u32::MAX, 1, now_ms)), in_flight: Places::default() }
    }

    /// Whether one more job may be posted.
    pub fn takes_job(&self, allowance: Allowance, now_ms: i64) -> bool {
        let mut jobs = self.jobs.lock().expect("nothing panics while it holds this");
        jobs.retune(allowance.jobs_burst, 1_000 / i64::from(allowance.jobs_per_s.clamp(1, 1_000)));
        jobs.take(now_ms)
    }

    /// A place for a request while it is answered, if there is one.
    pub fn enters(&self, allowance: Allowance) -> Option<Place> {
        self.in_flight.take(allowance.in_flight_max)
    }
}

#[cfg(test)]
mod tests {
    use super::{Allowance, Bucket, Quota};

    #[test]
    fn a_quota_follows_its_allowance() {
        let (narrow, wide) = (
            Allowance { jobs_per_s: 10, jobs_burst: 2, in_flight_max: 1 },
            Allowance { jobs_per_s: 1_000, jobs_burst: 100, in_flight_max: 2 },
        );
        let quota = Quota::new(0);
        assert_eq!([0; 3].map(|now| quota.takes_job(narrow, now)), [true, true, false]);
        assert!(!quota.takes_job(narrow, 99) && quota.takes_job(narrow, 100));
        assert_eq!([110, 110].map(|now| quota.takes_job(wide, now)), [true, true], "ten more in ten milliseconds");
        let first = quota.enters(narrow).expect("a place");
        assert!(quota.enters(narrow).is_none() && quota.enters(wide).is_some());
        drop(first);
        assert!(quota.enters(narrow).is_some());
    }

    #[test]
    fn a_burst_then_one_each_interval() {
        let mut bucket = Bucket::new(3, 100, 0);
        assert_eq!([0; 4].map(|now| bucket.take(now)), [true, true, true, false]);
        assert!(!bucket.take(99));
        assert!(bucket.take(100) && !bucket.take(150));
        assert_eq!([10_000; 4].map(|now| bucket.take(now)), [true, true, true, false]);
    }
}
