//! Whether everything stood still: the process was stopped, or the machine slept. Somebody else may have taken over
//! meanwhile, so before anything more is decided or told the fence is asked. Half of the span after which another process may
//! take over is enough to ask; after the whole of it the dispatcher has the patience of a restart.

use crate::clock::Stopwatch;

/// What the loop knows of its own turning.
#[derive(Debug)]
pub(super) struct Standstill {
    // Standing still for so long is like a restart, ms.
    silence_ms: i64,
    turned_at: i64,
    // The fence is being asked, since when, and how often.
    asking: Option<(Stopwatch, u32)>,
    woken: bool,
}

impl Standstill {
    /// The loop begins to turn at `now_ms` of a clock that counts the machine's sleep; others may take over after
    /// `silence_ms`.
    pub(super) fn new(silence_ms: u64, now_ms: i64) -> Standstill {
        let silence_ms = i64::try_from(silence_ms).unwrap_or(i64::MAX);
        Standstill { silence_ms, turned_at: now_ms, asking: None, woken: false }
    }

    /// The loop turns. If it stood still so long that the fence must be asked: for how long, ms.
    pub(super) fn turn(&mut self, now_ms: i64) -> Option<i64> {
        let stood_ms = now_ms - std::mem::replace(&mut self.turned_at, now_ms);
        if stood_ms <= self.silence_ms / 2 {
            return None;
        }
        let (since, asked) = self.asking.take().unwrap_or((Stopwatch::start(), 0));
        self.asking = Some((since, asked + 1));
        self.woken |= stood_ms > self.silence_ms;
        Some(stood_ms)
    }

    /// The fence stands, says one answer. Whether it was the last that is waited for, and the pause was like a restart.
    pub(super) fn stands(&mut self) -> bool {
        self.asking = self.asking.take().map(|(since, asked)| (since, asked - 1)).filter(|(_, asked)| *asked > 0);
        self.asking.is_none() && std::mem::take(&mut self.woken)
    }

    /// Since when the fence is being asked, if it is: nothing is decided meanwhile.
    pub(super) fn asking_since(&self) -> Option<Stopwatch> {
        self.asking.map(|(since, _)| since)
    }

    /// Whether the fence is being asked.
    pub(super) fn is_asking(&self) -> bool {
        self.asking.is_some()
    }

    /// When the loop last turned, by the clock of [`Standstill::turn`].
    pub(super) fn turned_at(&self) -> i64 {
        self.turned_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_silence_asks_the_fence_and_all_of_it_is_like_a_restart() {
        let mut still = Standstill::new(10_000, 0);
        assert_eq!((still.turn(5_000), still.is_asking()), (None, false));
        assert_eq!((still.turn(10_001), still.is_asking()), (Some(5_001), true));
        assert!(!still.stands() && !still.is_asking(), "a pause, and the fence stands: nothing has happened");
        assert_eq!(still.turn(30_000), Some(19_999));
        assert!(still.stands(), "like a restart");
        assert!(!still.stands(), "said once");
        assert_eq!(still.turned_at(), 30_000);
    }

    #[test]
    fn who_stands_still_again_while_asking_waits_for_every_answer() {
        let mut still = Standstill::new(10_000, 0);
        assert!(still.turn(20_000).is_some() && still.turn(26_000).is_some());
        assert!(!still.stands() && still.is_asking(), "the first answer was asked for before the second pause");
        assert!(still.stands() && !still.is_asking());
        assert!(still.asking_since().is_none());
    }
}
