//! What is due when, for many things of which each is due once: popping costs nothing while nothing is due. Whoever is
//! queued keeps the instant for which they are; an entry that has been overtaken by an earlier one is passed over by them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Mutex, MutexGuard};

use kiez_protocol::ids::FriendId;

type Heap = BinaryHeap<Reverse<(i64, FriendId)>>;

/// Friends by the instant at which somebody must look at them, ms of one clock.
#[derive(Debug, Default)]
pub struct Due(Mutex<Heap>);

impl Due {
    /// `friend` is due at `at`, unless they are queued for that instant or an earlier one: `queued` is when.
    pub fn set(&self, friend: FriendId, at: i64, queued: &mut Option<i64>) {
        if queued.is_none_or(|queued| at < queued) {
            *queued = Some(at);
            self.heap().push(Reverse((at, friend)));
        }
    }

    /// Who is due by `now`, and since when. To be passed over if they are queued for another instant.
    pub fn pop(&self, now: i64) -> Option<(FriendId, i64)> {
        let mut heap = self.heap();
        heap.peek().filter(|Reverse((at, _))| *at <= now)?;
        heap.pop().map(|Reverse((at, friend))| (friend, at))
    }

    fn heap(&self) -> MutexGuard<'_, Heap> {
        self.0.lock().expect("nothing panics while it holds the heap")
    }
}
