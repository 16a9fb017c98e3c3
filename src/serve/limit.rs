//! How fast somebody may be: so many at once, then one in an interval. One number each, because there is one of these for
//! every friend and kind of frame.

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

#[cfg(test)]
mod tests {
    use super::Pace;

    #[test]
    fn a_burst_then_one_each_interval() {
        let mut pace = Pace::default();
        let mut take = |now| pace.take(now, 3, 100);
        assert_eq!([1_000; 4].map(&mut take), [true, true, true, false]);
        assert_eq!([1_099, 1_100, 1_150, 1_200].map(&mut take), [false, true, false, true]);
        assert_eq!([10_000; 4].map(&mut take), [true, true, true, false]);
    }
}
