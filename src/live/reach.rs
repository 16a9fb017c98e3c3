//! Reachability is a fact, not an intention: how long a friend has been silent, whether they are connected, and whether they
//! can be pushed to (rules of the trade, §5). It falls in two steps and rises at once, so that a phone that changes networks
//! is never out of reach. Real time, however fast the trade's runs.

/// How surely a friend hears of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reach {
    /// Not at all.
    Unreachable,
    /// By a push to a sleeping app.
    PushOnly,
    /// Perhaps: they were heard a moment ago. Their offers stay.
    Suspect,
    /// They are connected, and were heard just now.
    Live,
}

/// How long silence is borne, ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Connected and heard so lately is live.
    pub live_ms: i64,
    /// And so long after that suspect.
    pub suspect_ms: i64,
}

impl Default for Patience {
    /// 35 s, and suspect until 75 s.
    fn default() -> Self {
        Patience { live_ms: 35_000, suspect_ms: 40_000 }
    }
}

impl Reach {
    /// Whether offers may go to them.
    pub fn is_reachable(self) -> bool {
        self > Reach::Unreachable
    }

    /// The level of a friend who was last heard at `heard_ms`, and when it falls by silence alone.
    pub fn of(heard_ms: i64, connected: bool, has_push: bool, now_ms: i64, patience: Patience) -> (Reach, Option<i64>) {
        let live_until = heard_ms + patience.live_ms;
        let suspect_until = live_until + patience.suspect_ms;
        if connected && now_ms <= live_until {
            (Reach::Live, Some(live_until + 1))
        } else if now_ms <= suspect_until {
            (Reach::Suspect, Some(suspect_until + 1))
        } else if has_push {
            (Reach::PushOnly, None)
        } else {
            (Reach::Unreachable, None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_leads_down_in_two_steps() {
        let at = |now_ms, connected, has_push| Reach::of(0, connected, has_push, now_ms, Patience::default());
        assert_eq!(at(35_000, true, false), (Reach::Live, Some(35_001)));
        assert_eq!(at(35_001, true, false), (Reach::Suspect, Some(75_001)));
        assert_eq!(at(75_000, true, false), (Reach::Suspect, Some(75_001)));
        assert_eq!(at(75_001, true, false), (Reach::Unreachable, None));
        assert_eq!(at(75_001, true, true), (Reach::PushOnly, None));
        assert_eq!(at(10, false, false), (Reach::Suspect, Some(75_001)), "gone, and heard just now");
        assert!(Reach::PushOnly.is_reachable() && !Reach::Unreachable.is_reachable());
    }
}
