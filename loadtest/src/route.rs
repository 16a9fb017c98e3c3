//! Where a friend is at an instant of a run: at home, on the way through the neighbourhood, or where a trace says.
//! Instants are milliseconds of the trade's time since the run began, so that a replayed day moves as it did.

use kiez_protocol::place::Point;

use crate::chance::Chance;
use crate::world::area::moved;

/// A way through the run.
#[derive(Clone, Debug)]
pub enum Route {
    /// Always in the same place.
    Home(Point),
    /// About the neighbourhood of a home, with rests.
    Wander(Wander),
    /// Along recorded positions.
    Track(Track),
}

impl Route {
    /// Where the friend is; `None` before they are first seen. Instants must not go back.
    pub fn at(&mut self, run_ms: i64) -> Option<Point> {
        match self {
            Route::Home(home) => Some(*home),
            Route::Wander(wander) => Some(wander.at(run_ms)),
            Route::Track(track) => track.at(run_ms),
        }
    }
}

/// A walk or ride about a home: rest, go somewhere, rest, go on.
#[derive(Clone, Debug)]
pub struct Wander {
    home: Point,
    within_m: f64,
    pace_m_s: f64,
    /// Mean rest, ms.
    rest_ms: f64,
    from: (i64, Point),
    to: (i64, Point),
    chance: Chance,
}

impl Wander {
    /// Wanders at most `within_m` metres from `home` with `pace_m_s` and rests of `rest_ms` on average.
    pub fn new(home: Point, within_m: f64, pace_m_s: f64, rest_ms: f64, mut chance: Chance) -> Wander {
        let first_ms = chance.exponential(rest_ms) as i64;
        Wander { home, within_m, pace_m_s, rest_ms, from: (0, home), to: (first_ms, home), chance }
    }

    fn at(&mut self, run_ms: i64) -> Point {
        while run_ms >= self.to.0 {
            let resting = self.from.1 == self.to.1;
            self.from = self.to;
            self.to = if resting {
                let direction = self.chance.between(0.0, std::f64::consts::TAU);
                let there = moved(self.home, self.within_m * self.chance.unit().sqrt(), direction);
                let takes_ms = there.distance_m(self.from.1) / self.pace_m_s * 1_000.0;
                (self.from.0 + takes_ms as i64 + 1, there)
            } else {
                (self.from.0 + self.chance.exponential(self.rest_ms) as i64 + 1, self.from.1)
            };
        }
        between(self.from, self.to, run_ms)
    }
}

/// Recorded positions with pauses: within a leg the friend moves in a straight line from point to point, between legs
/// they stay where the last one ended.
#[derive(Clone, Debug, Default)]
pub struct Track {
    /// Instant, place, and whether the way from the point before is travelled (else it is a new leg).
    points: Vec<(i64, Point, bool)>,
    /// How many points lie at or before the last instant asked for.
    passed: usize,
}

impl Track {
    /// Adds a point; instants must not go back. `travelled` says that the friend came from the last point in a line.
    pub fn push(&mut self, run_ms: i64, place: Point, travelled: bool) {
        debug_assert!(self.points.last().is_none_or(|(at, ..)| *at <= run_ms), "a track does not go back in time");
        self.points.push((run_ms, place, travelled));
    }

    /// When the friend is first seen.
    pub fn begins_ms(&self) -> Option<i64> {
        self.points.first().map(|(at, ..)| *at)
    }

    fn at(&mut self, run_ms: i64) -> Option<Point> {
        while self.points.get(self.passed).is_some_and(|(at, ..)| *at <= run_ms) {
            self.passed += 1;
        }
        let &(from_ms, from, _) = self.points.get(self.passed.checked_sub(1)?)?;
        match self.points.get(self.passed) {
            Some(&(to_ms, to, true)) => Some(between((from_ms, from), (to_ms, to), run_ms)),
            Some((_, _, false)) | None => Some(from),
        }
    }
}

/// The point on the way, linear in time, rounded as a real fix is to 6 decimals.
fn between((from_ms, from): (i64, Point), (to_ms, to): (i64, Point), run_ms: i64) -> Point {
    if from == to || to_ms <= from_ms {
        return from;
    }
    let share = ((run_ms - from_ms) as f64 / (to_ms - from_ms) as f64).clamp(0.0, 1.0);
    let mix = |a: f64, b: f64| ((a + (b - a) * share) * 1e6).round() / 1e6;
    Point::new(mix(from.lat(), to.lat()), mix(from.lng(), to.lng())).expect("between two points of the earth")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(lat: f64) -> Point {
        Point::new(lat, 13.4).unwrap()
    }

    #[test]
    fn a_track_travels_within_a_leg_and_waits_between_legs() {
        let mut track = Track::default();
        track.push(1_000, point(52.50), false);
        track.push(2_000, point(52.51), true);
        track.push(9_000, point(52.52), false);
        let mut route = Route::Track(track);
        assert_eq!(route.at(999), None);
        assert_eq!(route.at(1_000), Some(point(52.50)));
        assert_eq!(route.at(1_500), Some(point(52.505)));
        assert_eq!(route.at(2_000), Some(point(52.51)));
        assert_eq!(route.at(8_999), Some(point(52.51)));
        assert_eq!(route.at(100_000), Some(point(52.52)));
    }

    #[test]
    fn a_wanderer_keeps_to_the_neighbourhood_and_the_pace() {
        let home = point(52.5);
        let mut route = Route::Wander(Wander::new(home, 800.0, 4.0, 60_000.0, Chance::new(9)));
        let mut last = home;
        let mut moved_m = 0.0;
        for second in 0..3_600 {
            let here = route.at(second * 1_000).unwrap();
            assert!(here.distance_m(home) <= 802.0);
            assert!(here.distance_m(last) <= 4.5, "{} m in a second", here.distance_m(last));
            moved_m += here.distance_m(last);
            last = here;
        }
        assert!(moved_m > 1_000.0, "{moved_m}");
    }
}
