//! When jobs are to be posted, decided before the first is sent: a Poisson process by seed whose rate follows the hour. A
//! plan that is fixed in advance makes the load open: a server that is slow does not get fewer posts, and what it delays
//! counts as delay.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::chance::Chance;
use crate::world::hours::Hour;

/// The longest sleep of the thread that keeps the pace: it looks so often whether it is still wanted.
const NAP: Duration = Duration::from_millis(50);

/// When arrivals are planned.
#[derive(Clone, Copy, Debug)]
pub struct Arrivals {
    /// On average over the whole time, in a minute of real time.
    pub per_minute: f64,
    /// The local hour at the beginning.
    pub hour: Hour,
    /// How many times as fast as real time the hours go by.
    pub time_scale: u32,
    /// How long they go on, real time.
    pub lasts: Duration,
    /// The seed.
    pub seed: u64,
}

impl Arrivals {
    /// The instants, from the beginning, in order.
    pub fn plan(&self) -> Vec<Duration> {
        let mut chance = Chance::of(self.seed, "arrivals", 0);
        let (lasts_s, mean) = (self.lasts.as_secs_f64(), self.mean());
        // As many as the busiest minute would bring, thinned out where the curve lies lower.
        let most = (0..=self.parts()).map(|part| self.rate(part)).fold(0.0, f64::max);
        let mean_gap_s = 60.0 / (self.per_minute * most / mean);
        let mut at_s = 0.0;
        let mut plan = Vec::new();
        loop {
            at_s += chance.exponential(mean_gap_s);
            if at_s >= lasts_s {
                return plan;
            }
            if chance.happens(self.hour_at(at_s).jobs() / most) {
                plan.push(Duration::from_secs_f64(at_s));
            }
        }
    }

    fn hour_at(&self, at_s: f64) -> Hour {
        Hour(self.hour.0 + at_s * f64::from(self.time_scale) / 3_600.0)
    }

    /// Parts of the time within which the rate is all but constant: a tenth of an hour each, at least one.
    fn parts(&self) -> u32 {
        let hours = self.lasts.as_secs_f64() * f64::from(self.time_scale) / 3_600.0;
        ((hours * 10.0).ceil() as u32).max(1)
    }

    fn rate(&self, part: u32) -> f64 {
        self.hour_at(self.lasts.as_secs_f64() * f64::from(part) / f64::from(self.parts())).jobs()
    }

    fn mean(&self) -> f64 {
        let parts = self.parts();
        (0..parts).map(|part| (self.rate(part) + self.rate(part + 1)) / 2.0).sum::<f64>() / f64::from(parts)
    }
}

/// Ends a [`keep_pace`] when it goes.
#[derive(Debug)]
pub struct Pace(Arc<AtomicBool>);

impl Drop for Pace {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Calls `act` with each of these at its instant after `began`, from a thread of its own: the runtime's timers are a
/// millisecond coarse, and late when the runtime is busy. `act` gets the intended instant and must not wait. The calls end
/// with the last of them, or soon after the [`Pace`] is dropped.
pub fn keep_pace<T: Send + 'static>(
    began: Instant,
    plan: Vec<(Duration, T)>,
    mut act: impl FnMut(Instant, T) + Send + 'static,
) -> Pace {
    let over = Arc::new(AtomicBool::new(false));
    let pace = Pace(Arc::clone(&over));
    std::thread::spawn(move || {
        for (after, what) in plan {
            let intended = began + after;
            loop {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                let left = intended.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                #[expect(clippy::disallowed_methods, reason = "this thread carries no connection and keeps the pace")]
                std::thread::sleep(left.min(NAP));
            }
            act(intended, what);
        }
    });
    pace
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evening(seed: u64) -> Arrivals {
        let lasts = Duration::from_secs(120);
        Arrivals { per_minute: 300.0, hour: Hour(18.0), time_scale: 1, lasts, seed }
    }

    #[test]
    fn the_same_seed_plans_the_same_and_another_does_not() {
        assert_eq!(evening(1).plan(), evening(1).plan());
        assert_ne!(evening(1).plan(), evening(2).plan());
        assert!(evening(1).plan().is_sorted());
    }

    #[test]
    fn a_plan_has_the_rate_and_the_spread_of_a_poisson_process() {
        let plan = Arrivals { lasts: Duration::from_secs(6_000), ..evening(3) }.plan();
        // 30,000 are planned; three deviations are 520.
        assert!((29_480..30_520).contains(&plan.len()), "{}", plan.len());
        // Counts of single seconds spread as much as their mean: the variance of a Poisson process.
        let mut counts = vec![0_f64; 6_000];
        plan.iter().for_each(|at| counts[at.as_secs() as usize] += 1.0);
        let mean = counts.iter().sum::<f64>() / 6_000.0;
        let variance = counts.iter().map(|count| (count - mean).powi(2)).sum::<f64>() / 6_000.0;
        assert!((variance / mean - 1.0).abs() < 0.1, "{variance} against {mean}");
    }

    #[test]
    fn a_fast_day_follows_the_hours_and_keeps_the_mean() {
        // A day in four minutes.
        let lasts = Duration::from_secs(240);
        let day = Arrivals { per_minute: 3_000.0, hour: Hour(0.0), time_scale: 360, lasts, seed: 1 };
        let plan = day.plan();
        assert!((11_600..12_400).contains(&plan.len()), "{}", plan.len());
        let of_hours =
            |from: u64, to: u64| plan.iter().filter(|at| (from * 10..to * 10).contains(&at.as_secs())).count();
        assert!(of_hours(17, 19) > 10 * of_hours(2, 4).max(1), "{} and {}", of_hours(17, 19), of_hours(2, 4));
    }

    #[test]
    fn the_pace_is_kept_and_ends_when_it_is_let_go() {
        let (send, receive) = std::sync::mpsc::sync_channel(8);
        let plan: Vec<(Duration, u32)> = (1..=3).map(|n| (Duration::from_millis(u64::from(n) * 20), n)).collect();
        let began = Instant::now();
        let pace = keep_pace(began, plan, move |intended, n| send.send((intended, Instant::now(), n)).unwrap());
        let acted: Vec<_> = receive.iter().collect();
        assert_eq!(acted.iter().map(|(.., n)| *n).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(acted.iter().all(|(intended, at, _)| at >= intended));
        drop(pace);

        let (send, receive) = std::sync::mpsc::sync_channel(1);
        drop(keep_pace(began, vec![(Duration::from_secs(3_600), 1)], move |_, n| send.send(n).unwrap()));
        // The thread goes, and its sender with it.
        assert!(receive.recv().is_err());
    }
}
