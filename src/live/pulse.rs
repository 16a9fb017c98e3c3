//! The pulse of one line: when it is pinged, by when anything must have come back, and when its session must look at
//! something else. Plain data, turned by the wheel: an idle session owns no timer.

/// When what is due on one line. Instants are ms since the server's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pulse {
    beat_ms: u32,
    ping_at: i64,
    pong_by: i64,
    look_at: i64,
    // The entry in the wheel that counts; others are left over from before.
    due: i64,
}

/// What a turn of the wheel finds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signs {
    /// It is time to ping.
    pub ping: bool,
    /// The session asked to look at something at this time.
    pub look: bool,
    /// Nothing came back in time.
    pub silent: bool,
}

impl Default for Pulse {
    fn default() -> Pulse {
        Pulse { beat_ms: 0, ping_at: i64::MAX, pong_by: i64::MAX, look_at: i64::MAX, due: i64::MAX }
    }
}

impl Pulse {
    /// A line that is pinged every `beat_ms` from `now` on, and whose session looks at something at `look_at`.
    pub fn new(beat_ms: u32, look_at: i64, now: i64) -> Pulse {
        let ping_at = now + i64::from(beat_ms.max(1));
        Pulse { beat_ms: beat_ms.max(1), ping_at, look_at, due: ping_at.min(look_at), ..Pulse::default() }
    }

    /// When something is due next; never for a line that nobody watches.
    pub fn due(&self) -> i64 {
        self.due
    }

    /// The session looks at something at another time. Returns when the wheel must come by, if that is sooner than it
    /// would anyhow.
    pub fn look_at(&mut self, at: i64) -> Option<i64> {
        self.look_at = at;
        (at < self.due).then(|| {
            self.due = at;
            at
        })
    }

    /// The wheel comes by at `now` with an entry that was due at `entry`. `heard` says whether anything came since the
    /// last ping. None if the entry does not count any more; else what is due, and [`Pulse::due`] says when to come
    /// again.
    pub fn turn(&mut self, entry: i64, now: i64, pong_ms: u32, heard: bool) -> Option<Signs> {
        if entry != self.due {
            return None;
        }
        let mut signs = Signs::default();
        if now >= self.pong_by {
            signs.silent = !heard;
            self.pong_by = i64::MAX;
        }
        // A ping that is still to be answered is not repeated.
        if now >= self.ping_at && self.pong_by == i64::MAX {
            signs.ping = true;
            self.pong_by = now + i64::from(pong_ms);
            self.ping_at = now + i64::from(self.beat_ms);
        }
        if now >= self.look_at {
            signs.look = true;
            self.look_at = i64::MAX;
        }
        let next = if self.pong_by == i64::MAX { self.ping_at } else { self.pong_by };
        self.due = next.min(self.look_at);
        Some(signs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PING: Signs = Signs { ping: true, look: false, silent: false };
    const LOOK: Signs = Signs { ping: false, look: true, silent: false };
    const QUIET: Signs = Signs { ping: false, look: false, silent: false };

    #[test]
    fn a_line_that_answers_is_pinged_again_and_one_that_does_not_is_found_silent() {
        let mut pulse = Pulse::new(25_000, i64::MAX, 0);
        assert_eq!(pulse.turn(25_000, 25_010, 10_000, false), Some(PING));
        assert_eq!(pulse.due(), 35_010);
        assert_eq!(pulse.turn(35_010, 35_020, 10_000, true), Some(QUIET));
        assert_eq!(pulse.due(), 50_010, "a beat after the ping, not after the pong");
        assert_eq!(pulse.turn(50_010, 50_010, 10_000, true), Some(PING));
        let silent = Signs { silent: true, ..QUIET };
        assert_eq!(pulse.turn(60_010, 60_011, 10_000, false), Some(silent));
    }

    #[test]
    fn a_pong_may_take_longer_than_a_beat() {
        let mut pulse = Pulse::new(100, i64::MAX, 0);
        assert_eq!(pulse.turn(100, 100, 1_000, false), Some(PING));
        assert_eq!(pulse.due(), 1_100, "no second ping while the first is on its way");
        assert_eq!(pulse.turn(1_100, 1_100, 1_000, true), Some(PING));
    }

    #[test]
    fn a_look_comes_between_beats_and_once() {
        let mut pulse = Pulse::new(25_000, 10_000, 0);
        assert_eq!(pulse.turn(10_000, 10_001, 10_000, false), Some(LOOK));
        assert_eq!(pulse.due(), 25_000);
        assert_eq!(pulse.look_at(12_000), Some(12_000), "sooner than the wheel would come");
        assert_eq!(pulse.turn(25_000, 25_000, 10_000, false), None, "that entry was left over");
        assert_eq!(pulse.turn(12_000, 12_000, 10_000, false), Some(LOOK));
        assert_eq!(pulse.look_at(90_000), None);
        assert_eq!(pulse.turn(25_000, 25_000, 10_000, false), Some(PING));
    }
}
