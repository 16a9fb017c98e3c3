//! When something held, as far as it can be known from outside. What we send takes effect at the server at some instant
//! after it is sent; what we hear has taken effect at some instant before. So every state has an inner span, in which it
//! surely held, and an outer one, outside of which it surely did not.

/// Microseconds since the observer began.
pub type Moment = u64;

/// Not yet.
pub const NEVER: Moment = Moment::MAX;

/// A state that held from about one moment to about another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Before this it surely did not hold.
    pub maybe_from: Moment,
    /// From here on it surely held.
    pub sure_from: Moment,
    /// Up to here it surely held.
    pub sure_to: Moment,
    /// After this it surely held no longer.
    pub maybe_to: Moment,
}

/// Whether a state held throughout a window of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Held {
    /// At no time.
    No,
    /// Perhaps, or for a part.
    Maybe,
    /// Throughout.
    Surely,
}

impl Span {
    /// A state that began between these moments and has not ended.
    pub fn open(maybe_from: Moment, sure_from: Moment) -> Span {
        Span { maybe_from, sure_from, sure_to: NEVER, maybe_to: NEVER }
    }

    /// Whether it has not ended, not even perhaps.
    pub fn is_open(&self) -> bool {
        self.sure_to == NEVER
    }

    /// Notes that it ended between these moments; the earliest such notes stand.
    pub fn close(&mut self, sure_to: Moment, maybe_to: Moment) {
        self.sure_to = self.sure_to.min(sure_to);
        self.maybe_to = self.maybe_to.min(maybe_to);
    }

    /// Whether it held in the window from `from` to `to`.
    pub fn held(&self, from: Moment, to: Moment) -> Held {
        if self.maybe_to < from || self.maybe_from > to {
            Held::No
        } else if self.sure_from <= from && to <= self.sure_to {
            Held::Surely
        } else {
            Held::Maybe
        }
    }
}

/// Whether any of these held in the window.
pub fn any_held<'a>(spans: impl Iterator<Item = &'a Span>, from: Moment, to: Moment) -> Held {
    spans.map(|span| span.held(from, to)).max().unwrap_or(Held::No)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_sure_inside_unknown_at_its_edges_and_nothing_outside() {
        let mut span = Span::open(100, 200);
        assert_eq!(span.held(0, 99), Held::No);
        assert_eq!(span.held(90, 150), Held::Maybe);
        assert_eq!(span.held(150, 300), Held::Maybe);
        assert_eq!(span.held(200, 9_000), Held::Surely);
        span.close(500, 600);
        assert!(!span.is_open());
        assert_eq!(span.held(200, 500), Held::Surely);
        assert_eq!(span.held(200, 501), Held::Maybe);
        assert_eq!(span.held(601, 700), Held::No);
        span.close(550, 580);
        assert_eq!(span, Span { maybe_from: 100, sure_from: 200, sure_to: 500, maybe_to: 580 });
    }
}
