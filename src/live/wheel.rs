//! One wheel for what thousands of lines have due: a ring of slots, a slot for each tick. Who is put in is visited at its
//! time, once; one task turns. A timer for each of them would cost each of them memory, and every one a wake-up.
//!
//! The wheel holds nobody: who has gone by the time of the visit is passed over.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

/// Between two slots, ms: nothing is visited later than this after its time.
pub const TICK_MS: i64 = 50;
/// One round is 51 s: longer than a heartbeat, so that most entries are looked at once.
const SLOTS: usize = 1_024;

/// Entries by when they are due, in ms since the server's start.
#[derive(Debug)]
pub struct Wheel<T> {
    slots: Box<[Mutex<Vec<Entry<T>>>]>,
    /// The tick that was turned last.
    turned: AtomicI64,
}

type Entry<T> = (i64, Weak<T>);

impl<T> Default for Wheel<T> {
    fn default() -> Wheel<T> {
        let slots = (0..SLOTS).map(|_| Mutex::new(Vec::new())).collect();
        Wheel { slots, turned: AtomicI64::new(0) }
    }
}

impl<T> Wheel<T> {
    /// Puts somebody in, to be visited at `due`; never if that is `i64::MAX`.
    pub fn put(&self, due: i64, who: Weak<T>) {
        if due == i64::MAX {
            return;
        }
        // The first tick at or after it: never too early.
        let wanted = due.div_euclid(TICK_MS) + i64::from(due.rem_euclid(TICK_MS) != 0);
        loop {
            let tick = wanted.max(self.turned.load(Ordering::SeqCst) + 1);
            let mut slot = self.slot(tick);
            // Turned while we came: the visitor marks a tick before it opens the slot, so what is put in before that
            // mark is seen, and after it another tick is chosen.
            if self.turned.load(Ordering::SeqCst) < tick {
                slot.push((due, who));
                return;
            }
        }
    }

    /// Visits everybody whose time has come by `now`, with the time for which they were put in. For one caller.
    pub fn turn(&self, now: i64, mut visit: impl FnMut(i64, Arc<T>)) {
        let to = now.div_euclid(TICK_MS);
        let from = self.turned.load(Ordering::SeqCst) + 1;
        // After a long pause one round finds everybody.
        for tick in from.max(to - SLOTS as i64 + 1)..=to {
            self.turned.store(tick, Ordering::SeqCst);
            let entries = std::mem::take(&mut *self.slot(tick));
            let mut later = Vec::new();
            for (due, who) in entries {
                if due > now {
                    later.push((due, who));
                } else if let Some(who) = who.upgrade() {
                    visit(due, who);
                }
            }
            if !later.is_empty() {
                self.slot(tick).append(&mut later);
            }
        }
    }

    fn slot(&self, tick: i64) -> MutexGuard<'_, Vec<Entry<T>>> {
        let index = usize::try_from(tick.rem_euclid(SLOTS as i64)).expect("a remainder is not negative");
        self.slots[index].lock().expect("nothing panics while it holds a slot")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visited(wheel: &Wheel<i64>, now: i64) -> Vec<i64> {
        let mut seen = Vec::new();
        wheel.turn(now, |due, who| {
            assert_eq!(due, *who);
            seen.push(due);
        });
        seen
    }

    #[test]
    fn everybody_is_visited_once_at_their_time() {
        let wheel = Wheel::default();
        let all: Vec<_> = [10, 60, 2_000, 51_199, 51_200, 51_260, 400_000].map(Arc::new).into_iter().collect();
        for who in &all {
            wheel.put(**who, Arc::downgrade(who));
        }
        assert!(visited(&wheel, 49).is_empty());
        assert_eq!(visited(&wheel, 50), [10]);
        assert!(visited(&wheel, 99).is_empty());
        assert_eq!(visited(&wheel, 100), [60]);
        let mut seen = Vec::new();
        for now in (150..500_000).step_by(50) {
            for due in visited(&wheel, now) {
                assert!((due..due + TICK_MS).contains(&now), "due {due}, visited {now}");
                seen.push(due);
            }
        }
        assert_eq!(seen, [2_000, 51_199, 51_200, 51_260, 400_000]);
    }

    #[test]
    fn who_has_gone_is_passed_over_and_a_pause_misses_nobody() {
        let wheel = Wheel::default();
        let all: Vec<_> = (1..200).map(|number| Arc::new(number * 1_000)).collect();
        for who in &all {
            wheel.put(**who, Arc::downgrade(who));
        }
        let stay: Vec<_> = all.into_iter().filter(|who| **who % 2_000 == 0).collect();
        let mut seen = visited(&wheel, 300_000);
        seen.sort_unstable();
        assert_eq!(seen, stay.iter().map(|who| **who).collect::<Vec<_>>());
        assert!(visited(&wheel, 600_000).is_empty());
    }

    #[test]
    fn what_is_put_in_during_a_turn_is_visited_in_time() {
        let wheel = Arc::new(Wheel::default());
        let (turner, rounds) = (wheel.clone(), 2_000);
        let counted = Arc::new(AtomicI64::new(0));
        let counter = counted.clone();
        let turning = std::thread::spawn(move || {
            for tick in 1..=rounds {
                turner.turn(tick * TICK_MS, |_, _: Arc<()>| {
                    counter.fetch_add(1, Ordering::SeqCst);
                });
                std::thread::yield_now();
            }
        });
        let who = Arc::new(());
        let mut put = 0;
        while !turning.is_finished() {
            // Already due: always in the very next tick.
            wheel.put(0, Arc::downgrade(&who));
            put += 1;
            std::thread::yield_now();
        }
        turning.join().expect("no panic");
        wheel.turn((rounds + 1) * TICK_MS, |_, _| {
            counted.fetch_add(1, Ordering::SeqCst);
        });
        assert_eq!(counted.load(Ordering::SeqCst), put);
    }
}
