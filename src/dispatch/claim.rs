//! One word per (job, attempt, revision), shared by the offers of all its waves, that says who was first.
//!
//! A session gives no verdict on an open job: it takes the word and reports to the dispatcher whether it was first. The
//! dispatcher decides whether that counts, and the ledger makes it true; only then is the word settled. A word is
//! replaced, never reopened: a refused first retires it, and the offers still live get a new one.
//!
//! ```text
//! open ─take─▶ taken(seat) ─settle─▶ settled(seat)
//!   │              └──────retire──▶ retired
//!   └─close─▶ closed(reason)
//! ```
//!
//! This file imports `crate::sync` alone, so that `tests/race_loom.rs` can walk its interleavings. Keep `cfg(test)`,
//! `const fn new` and statics out of it: under loom they fail outside a model.

use crate::sync::{AtomicU64, Ordering};

/// The seat of an offer within its job: unique among all offers that share a word.
pub type Seat = u32;

/// Why a job takes no more accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// It was cancelled.
    Cancelled,
    /// It was changed; a new word stands for the new revision.
    Edited,
    /// It is paused.
    Paused,
    /// Its time is over.
    Expired,
}

/// What a look at the word, or an attempt to take it, found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// Nobody was before. From `take`: you are the first.
    Open,
    /// This seat was first; whether it counts is not yet decided or not yet committed.
    Taken(Seat),
    /// This seat has won, and that is committed.
    Settled(Seat),
    /// The job takes no more accepts.
    Closed(Closed),
    /// The first was refused; a new word stands in the offers still live.
    Retired,
}

// The word's layout: the kind in the upper half, the seat or reason in the lower.
const OPEN: u64 = 0;
const TAKEN: u64 = 1 << 32;
const SETTLED: u64 = 2 << 32;
const CLOSED: u64 = 3 << 32;
const RETIRED: u64 = 4 << 32;

/// The word itself.
#[derive(Debug)]
pub struct Claim(AtomicU64);

impl Default for Claim {
    fn default() -> Self {
        Claim::new()
    }
}

impl Claim {
    /// An open word.
    pub fn new() -> Claim {
        Claim(AtomicU64::new(OPEN))
    }

    /// Tries to be first for `seat`. [`Word::Open`] says it worked; anything else is what stands there instead.
    pub fn take(&self, seat: Seat) -> Word {
        match self.0.compare_exchange(OPEN, TAKEN | u64::from(seat), Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Word::Open,
            Err(found) => read(found),
        }
    }

    /// What stands there now.
    pub fn look(&self) -> Word {
        read(self.0.load(Ordering::Acquire))
    }

    /// Stops the taking of accepts.
    ///
    /// # Errors
    /// The seat that was first: its accept must be handled before the close.
    pub fn close(&self, reason: Closed) -> Result<(), Seat> {
        let word = CLOSED | reason as u64;
        match self.0.compare_exchange(OPEN, word, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Ok(()),
            Err(found) => match read(found) {
                Word::Taken(seat) | Word::Settled(seat) => Err(seat),
                Word::Open | Word::Closed(_) | Word::Retired => Ok(()),
            },
        }
    }

    /// The win of `seat` is committed. Returns whether the word was taken by that seat.
    pub fn settle(&self, seat: Seat) -> bool {
        let taken = TAKEN | u64::from(seat);
        self.0.compare_exchange(taken, SETTLED | u64::from(seat), Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// The first, `seat`, was refused. Returns whether the word was taken by that seat.
    pub fn retire(&self, seat: Seat) -> bool {
        self.0.compare_exchange(TAKEN | u64::from(seat), RETIRED, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

fn read(word: u64) -> Word {
    let low = word as u32;
    match word & !u64::from(u32::MAX) {
        OPEN => Word::Open,
        TAKEN => Word::Taken(low),
        SETTLED => Word::Settled(low),
        CLOSED => Word::Closed(match low {
            0 => Closed::Cancelled,
            1 => Closed::Edited,
            2 => Closed::Paused,
            _ => Closed::Expired,
        }),
        _ => Word::Retired,
    }
}
