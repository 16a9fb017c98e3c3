//! Which searches can still need an old entry of the roster.
//!
//! Searches count themselves in under the parity of the epoch in which they began; the epoch moves on only when nobody
//! is left from the one before. So when it has moved on twice since an entry was given up, every search that had begun
//! by then has ended.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// Counts epochs, and the searches of the present one and the one before.
#[derive(Debug, Default)]
pub struct Epoch {
    now: AtomicU64,
    searches: [AtomicU64; 2],
}

impl Epoch {
    /// The epoch in which what is given up now was given up.
    pub fn now(&self) -> u64 {
        self.now.load(SeqCst)
    }

    /// A search begins; the epoch to end it with.
    pub fn begin(&self) -> u64 {
        loop {
            let epoch = self.now();
            self.counted(epoch).fetch_add(1, SeqCst);
            // Counted in before the epoch was left: it cannot move on twice from here until the search ends.
            if self.now() == epoch {
                return epoch;
            }
            self.counted(epoch).fetch_sub(1, SeqCst);
        }
    }

    /// The search that began in this epoch has ended.
    pub fn end(&self, epoch: u64) {
        self.counted(epoch).fetch_sub(1, SeqCst);
    }

    /// Moves on by two, or as far as the searches under way allow; the epoch then.
    pub fn advance(&self) -> u64 {
        for _ in 0..2 {
            let epoch = self.now();
            if self.counted(epoch + 1).load(SeqCst) > 0 {
                break;
            }
            // Another sweep may have moved it: then that one's step counts.
            let _ = self.now.compare_exchange(epoch, epoch + 1, SeqCst, SeqCst);
        }
        self.now()
    }

    /// Whether all searches have ended that had begun when something was given up.
    pub fn is_over(given_up: u64, now: u64) -> bool {
        now >= given_up + 2
    }

    fn counted(&self, epoch: u64) -> &AtomicU64 {
        &self.searches[(epoch % 2) as usize]
    }
}
