//! Many come back at once: after a restart, after a network was away. So many hellos a second are taken; whoever comes
//! beyond is told when to come again, each another time, spread over as long as the door needs for all of them. A drain
//! spreads its friends in the same way before they go.

use std::sync::{Mutex, MutexGuard};

use crate::config::Limits;

/// Who may come in now.
#[derive(Debug)]
pub struct Admission {
    per_s: f64,
    burst: f64,
    again_ms: f64,
    door: Mutex<Door>,
}

#[derive(Debug)]
struct Door {
    /// How many may come in at once, at the instant `at`.
    permits: f64,
    /// How many were told to come again and are not due yet, at the instant `at`.
    awaited: f64,
    /// Ms since the server's start.
    at: i64,
}

impl Admission {
    /// An open door.
    pub fn new(limits: &Limits) -> Admission {
        let burst = f64::from(limits.hellos_burst.max(1));
        Admission {
            per_s: f64::from(limits.hellos_per_s.max(1)),
            burst,
            again_ms: f64::from(limits.come_back_ms),
            door: Mutex::new(Door { permits: burst, awaited: 0.0, at: 0 }),
        }
    }

    /// One more wants in at `now`, ms since the server's start.
    ///
    /// # Errors
    /// When they shall come again, in ms from now.
    pub fn admit(&self, now: i64) -> Result<(), u32> {
        self.admit_by(now, rand::random())
    }

    /// `chance` is 0 to 1.
    fn admit_by(&self, now: i64, chance: f64) -> Result<(), u32> {
        let mut door = self.at(now);
        if door.permits >= 1.0 {
            door.permits -= 1.0;
            return Ok(());
        }
        Err(self.later(&mut door, chance))
    }

    /// One who was let in cannot be taken after all. Returns when they shall come again, in ms from now.
    pub fn come_again(&self, now: i64) -> u32 {
        self.later(&mut self.at(now), rand::random())
    }

    fn at(&self, now: i64) -> MutexGuard<'_, Door> {
        let mut door = self.door.lock().expect("nothing panics while it holds this");
        let passed = (now - door.at).max(0) as f64 / 1_000.0 * self.per_s;
        door.permits = (door.permits + passed).min(self.burst);
        door.awaited = (door.awaited - passed).max(0.0);
        door.at = door.at.max(now);
        door
    }

    fn later(&self, door: &mut Door, chance: f64) -> u32 {
        door.awaited += 1.0;
        spread_ms(self.again_ms, door.awaited / self.per_s, chance)
    }
}

/// When one of `leaving` friends shall come back after a restart, in ms from now: spread over as long as it takes to let
/// all of them in at the rate of returns.
pub fn return_ms(leaving: usize, limits: &Limits) -> u32 {
    spread_ms(f64::from(limits.come_back_ms), leaving as f64 / f64::from(limits.returns_per_s.max(1)), rand::random())
}

/// Not before `least_ms`, and then at random within `window_s`; a second at least, so that few are spread as well.
fn spread_ms(least_ms: f64, window_s: f64, chance: f64) -> u32 {
    (least_ms + window_s.max(1.0) * 1_000.0 * chance) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission() -> Admission {
        let door = Mutex::new(Door { permits: 10.0, awaited: 0.0, at: 0 });
        Admission { per_s: 100.0, burst: 10.0, again_ms: 1_000.0, door }
    }

    #[test]
    fn a_burst_comes_in_and_the_rest_is_spread_over_as_long_as_the_door_needs() {
        let admission = admission();
        assert_eq!((0..10).filter(|_| admission.admit_by(0, 1.0).is_ok()).count(), 10);
        let told: Vec<_> = (0..1_000).map(|_| admission.admit_by(0, 1.0).expect_err("the door is shut")).collect();
        assert_eq!((told[0], told[499], told[999]), (2_000, 6_000, 11_000), "later for those who come later");
        // Ten more each 100 ms, and who was told to come again is awaited less and less.
        assert_eq!((0..20).filter(|_| admission.admit_by(100, 1.0).is_ok()).count(), 10);
        assert_eq!(admission.admit_by(9_000, 0.0), Ok(()));
        assert_eq!((0..10).filter(|_| admission.admit_by(9_000, 1.0).is_ok()).count(), 9);
        let told = admission.admit_by(9_000, 1.0).expect_err("a second burst at once");
        assert!((2_000..3_000).contains(&told), "{told}");
    }

    #[test]
    fn a_storm_that_follows_its_times_is_in_within_its_window() {
        // 2,000 at once; each comes again when told, until all are in.
        let admission = admission();
        let mut seed = 7u64;
        let mut chance = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 11) as f64 / (1u64 << 53) as f64
        };
        let mut coming: Vec<(i64, u32)> = (0..2_000).map(|_| (0, 0)).collect();
        let (mut last, mut tries_max) = (0, 0);
        while let Some((at, tries)) = coming.pop() {
            match admission.admit_by(at, chance()) {
                Ok(()) => (last, tries_max) = (last.max(at), tries_max.max(tries)),
                Err(ms) => coming.push((at + i64::from(ms), tries + 1)),
            }
            coming.sort_unstable_by(|a, b| b.cmp(a));
        }
        // The door alone needs 20 s.
        assert!((19_000..45_000).contains(&last), "{last} ms");
        assert!(tries_max < 10, "{tries_max} tries");
    }
}
