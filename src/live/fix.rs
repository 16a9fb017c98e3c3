//! Positions as phones send them, and which of them count (rules of the trade, §5). A fix counts for twenty minutes from its
//! receipt; the phone's own time only orders fixes. One that would take more than 200 km/h is kept out, until three in a row
//! agree with each other: then it was the one before that was wrong. All times are the trade's.

use kiez_protocol::place::Point;
use kiez_protocol::time::Time;

/// A fix counts for so long after its receipt, ms.
pub const FRESH_MS: i64 = 20 * 60_000;
/// Nobody who helps neighbours is faster, metres a ms: 200 km/h.
const SPEED_MAX: f64 = 200_000.0 / 3_600_000.0;
/// The uncertainty of a fix that does not say its own, metres.
const ACCURACY_M: f32 = 50.0;
/// So many refused fixes that agree replace the position.
const AGREEING: u8 = 3;
/// A fix that was measured before the last one is late only so long after that one's receipt, ms: else a phone whose clock
/// was set back would not be heard for hours.
const LATE_MS: i64 = 60_000;

/// A friend's position at an instant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fix {
    /// Where.
    pub at: Point,
    /// The radius of uncertainty, metres.
    pub accuracy_m: f32,
    /// When it was measured, by the phone.
    pub taken_at: Option<Time>,
    /// When it was received.
    pub received_at: Time,
}

impl Fix {
    /// A fix of which no more is known.
    pub fn new(at: Point, received_at: Time) -> Fix {
        Fix { at, accuracy_m: ACCURACY_M, taken_at: None, received_at }
    }

    /// Whether somebody may have come from there to here.
    fn follows(&self, earlier: &Fix) -> bool {
        let span_ms = self.received_at.since(earlier.received_at).max(0) as f64;
        let scatter_m = f64::from(self.accuracy_m + earlier.accuracy_m);
        self.at.distance_m(earlier.at) <= SPEED_MAX * span_ms + scatter_m
    }

    fn is_late(&self, earlier: &Fix) -> bool {
        self.received_at.since(earlier.received_at) < LATE_MS
            && self.taken_at.zip(earlier.taken_at).is_some_and(|(ours, theirs)| ours < theirs)
    }
}

/// What became of a fix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is the position now, and there was none before.
    First,
    /// It is the position now.
    Kept,
    /// A newer one is known.
    Late,
    /// Nobody is that fast.
    Jump,
}

/// A friend's last position, and the ones that were not believed since.
#[derive(Clone, Debug, Default)]
pub struct Track {
    last: Option<Fix>,
    /// Rare, so it costs nothing while there is none.
    refused: Option<Box<(Fix, u8)>>,
}

impl Track {
    /// Takes a fix in, or keeps it out.
    pub fn take(&mut self, fix: Fix) -> Taken {
        let Some(last) = &self.last else {
            self.last = Some(fix);
            return Taken::First;
        };
        if fix.is_late(last) {
            return Taken::Late;
        }
        if !fix.follows(last) {
            let agreeing =
                self.refused.take().filter(|refused| fix.follows(&refused.0)).map_or(1, |refused| refused.1 + 1);
            if agreeing < AGREEING {
                self.refused = Some(Box::new((fix, agreeing)));
                return Taken::Jump;
            }
        }
        (self.last, self.refused) = (Some(fix), None);
        Taken::Kept
    }

    /// The last fix that counted, fresh or not.
    pub fn last(&self) -> Option<Fix> {
        self.last
    }

    /// The position, as long as it is fresh.
    pub fn fresh(&self, now: Time) -> Option<Fix> {
        self.last.filter(|last| now.since(last.received_at) <= FRESH_MS)
    }

    /// Forgets where the friend was.
    pub fn forget(&mut self) {
        *self = Track::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000;

    /// So many metres north of a door, so many ms after the story began.
    fn fix(metres: f64, at: i64) -> Fix {
        let here = Point::new(52.5 + metres / 111_195.08, 13.4).expect("on the earth");
        Fix { accuracy_m: 10.0, ..Fix::new(here, Time(at)) }
    }

    fn measured(fix: Fix, at: i64) -> Fix {
        Fix { taken_at: Some(Time(at)), ..fix }
    }

    #[test]
    fn a_fix_is_fresh_for_twenty_minutes() {
        let mut track = Track::default();
        assert_eq!(track.fresh(Time(0)), None);
        assert_eq!(track.take(fix(0.0, 5)), Taken::First);
        assert_eq!(track.fresh(Time(5 + FRESH_MS)), Some(fix(0.0, 5)));
        assert_eq!(track.fresh(Time(6 + FRESH_MS)), None);
        assert_eq!(track.last(), Some(fix(0.0, 5)));
    }

    #[test]
    fn a_jump_is_kept_out_and_a_train_is_not() {
        let mut track = Track::default();
        track.take(fix(0.0, 0));
        // 200 km/h for a minute are 3,333 m, and each fix may be 10 m off.
        assert_eq!(track.take(fix(3_354.0, 60 * SECOND)), Taken::Jump);
        assert_eq!(track.fresh(Time(60 * SECOND)), Some(fix(0.0, 0)), "it moves nobody and freshens nothing");
        assert_eq!(track.take(fix(3_353.0, 60 * SECOND)), Taken::Kept);
        assert_eq!(track.take(fix(3_372.9, 60 * SECOND)), Taken::Kept, "scatter within the same instant");
    }

    #[test]
    fn three_refused_in_a_row_that_agree_replace_the_position() {
        let mut track = Track::default();
        track.take(fix(0.0, 0));
        let far = |n: i64| fix(500_000.0 + 20.0 * n as f64, n * 10 * SECOND);
        assert_eq!(
            (track.take(far(1)), track.take(far(2)), track.take(far(3))),
            (Taken::Jump, Taken::Jump, Taken::Kept)
        );
        assert_eq!(track.last(), Some(far(3)));
    }

    #[test]
    fn refused_ones_that_disagree_or_are_interrupted_replace_nothing() {
        let mut track = Track::default();
        track.take(fix(0.0, 0));
        for n in 1..20 {
            let place = if n % 2 == 0 { 500_000.0 } else { 700_000.0 };
            assert_eq!(track.take(fix(place, n * SECOND)), Taken::Jump, "two liars");
        }
        assert_eq!(track.take(fix(500_000.0, 20 * SECOND)), Taken::Jump);
        assert_eq!(track.take(fix(500_000.0, 21 * SECOND)), Taken::Jump);
        assert_eq!(track.take(fix(5.0, 22 * SECOND)), Taken::Kept, "home again");
        assert_eq!(track.take(fix(500_000.0, 23 * SECOND)), Taken::Jump, "the count begins anew");
    }

    #[test]
    fn the_phones_time_orders_fixes_and_does_no_more() {
        let mut track = Track::default();
        track.take(measured(fix(0.0, 0), 1_000_000));
        assert_eq!(track.take(measured(fix(30.0, SECOND), 999_999)), Taken::Late);
        assert_eq!(track.take(fix(30.0, 2 * SECOND)), Taken::Kept, "without a time it cannot be late");
        assert_eq!(track.take(measured(fix(60.0, 3 * SECOND), 5)), Taken::Kept, "after one without a time as well");
        track.take(measured(fix(60.0, 4 * SECOND), 9_000_000));
        let set_back = |at| measured(fix(70.0, at), 100 + at);
        assert_eq!(track.take(set_back(30 * SECOND)), Taken::Late);
        assert_eq!(
            track.take(set_back(64 * SECOND)),
            Taken::Kept,
            "a clock that was set back is believed after a minute"
        );
        assert_eq!(track.take(set_back(66 * SECOND)), Taken::Kept);
    }
}
