//! How fast somebody may be: a bucket that holds a burst and refills with time.

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

#[cfg(test)]
mod tests {
    use super::Bucket;

    #[test]
    fn a_burst_then_one_each_interval() {
        let mut bucket = Bucket::new(3, 100, 0);
        assert_eq!([0; 4].map(|now| bucket.take(now)), [true, true, true, false]);
        assert!(!bucket.take(99));
        assert!(bucket.take(100) && !bucket.take(150));
        assert_eq!([10_000; 4].map(|now| bucket.take(now)), [true, true, true, false]);
    }
}
