//! Chance by seed. Every purpose and every person draws from a stream of its own, so that two policies under one seed
//! meet the same people and the same demand, whatever else differs.

use kiez_protocol::time::Time;
use uuid::Uuid;

/// A stream of random numbers: SplitMix64 (Steele, Lea, Flood 2014), a full period and every bit of the seed counts.
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    /// The stream of one purpose and number under a seed.
    pub fn of(seed: u64, purpose: &str, number: u64) -> Chance {
        // FNV-1a over the purpose keeps streams of different purposes apart.
        let named = purpose
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        let mut chance = Chance(seed ^ named);
        let start = chance.bits() ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut chance = Chance(start);
        chance.bits();
        chance
    }

    /// Any 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 up to, but not including, 1.
    pub fn unit(&mut self) -> f64 {
        // 53 bits are what an f64 can hold between 0 and 1.
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// From `low` up to, but not including, `high`.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// A whole number from 0 up to, but not including, `end`, which is at least 1.
    pub fn below(&mut self, end: usize) -> usize {
        assert!(end > 0, "nothing is below 0");
        ((self.unit() * end as f64) as usize).min(end - 1)
    }

    /// True with this probability, 0 to 1.
    pub fn happens(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    /// The index of one of these weights, each at least 0 and their sum above 0.
    pub fn weighted(&mut self, weights: impl Iterator<Item = f64> + Clone) -> usize {
        let mut left = self.unit() * weights.clone().sum::<f64>();
        let mut last = 0;
        for (index, weight) in weights.enumerate() {
            if weight > 0.0 {
                last = index;
                if left < weight {
                    return index;
                }
            }
            left -= weight;
        }
        last
    }

    /// Normally distributed, mean 0 and deviation 1 (Box and Muller).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// A span, ms, log-normally distributed around a median, as the time people take usually is.
    pub fn span_ms(&mut self, median_ms: i64, sigma: f64) -> i64 {
        (median_ms as f64 * (sigma * self.normal()).exp()).round() as i64
    }

    /// The wait, ms, until the next of events that come on average every `mean_ms` (a Poisson process).
    pub fn wait_ms(&mut self, mean_ms: f64) -> i64 {
        (-mean_ms * (1.0 - self.unit()).ln()).round() as i64
    }

    /// An id shaped like a UUID of version 7 of this instant.
    pub fn id(&mut self, at: Time) -> Uuid {
        let mut random = [0; 10];
        random[..8].copy_from_slice(&self.bits().to_be_bytes());
        random[8..].copy_from_slice(&self.bits().to_be_bytes()[..2]);
        uuid::Builder::from_unix_timestamp_millis(u64::try_from(at.0).unwrap_or(0), &random).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_of_different_purposes_and_numbers_differ_and_each_is_the_same_again() {
        let draw = |purpose, number| {
            let mut chance = Chance::of(7, purpose, number);
            (chance.bits(), chance.bits())
        };
        assert_eq!(draw("jobs", 3), draw("jobs", 3));
        assert_ne!(draw("jobs", 3), draw("jobs", 4));
        assert_ne!(draw("jobs", 3), draw("friends", 3));
        // Numbers are spread, not shifted: the second of one stream is not the first of the next.
        assert_ne!(draw("jobs", 3).1, draw("jobs", 4).0);
    }

    #[test]
    fn distributions_have_their_middle_where_they_should() {
        let mut chance = Chance::of(5, "middle", 0);
        let mut spans: Vec<i64> = (0..10_001).map(|_| chance.span_ms(20_000, 0.8)).collect();
        spans.sort_unstable();
        assert!((19_000..21_000).contains(&spans[5_000]), "median {}", spans[5_000]);
        let mean = (0..10_000).map(|_| chance.wait_ms(3_000.0)).sum::<i64>() / 10_000;
        assert!((2_900..3_100).contains(&mean), "mean {mean}");
        let second = (0..10_000).filter(|_| chance.weighted([1.0, 3.0, 0.0].into_iter()) == 1).count();
        assert!((7_300..7_700).contains(&second), "{second} of 10000");
    }
}
