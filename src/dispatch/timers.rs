//! Who is due when: one deadline a job, one or two a friend on duty. Deadlines are absolute instants.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use kiez_protocol::time::Time;

/// The next deadline of each of many things.
#[derive(Clone, Debug)]
pub struct Timers<K> {
    by_time: BTreeSet<(Time, K)>,
    by_key: HashMap<K, Time>,
}

impl<K: Copy + Ord + Hash> Default for Timers<K> {
    fn default() -> Self {
        Timers { by_time: BTreeSet::new(), by_key: HashMap::new() }
    }
}

impl<K: Copy + Ord + Hash> Timers<K> {
    /// Sets the deadline of `key`, or takes it away.
    pub fn set(&mut self, key: K, due: Option<Time>) {
        let before = match due {
            Some(due) => self.by_key.insert(key, due),
            None => self.by_key.remove(&key),
        };
        if before == due {
            return;
        }
        if let Some(before) = before {
            self.by_time.remove(&(before, key));
        }
        if let Some(due) = due {
            self.by_time.insert((due, key));
        }
    }

    /// The earliest deadline.
    pub fn next(&self) -> Option<Time> {
        self.by_time.first().map(|(due, _)| *due)
    }

    /// What is due first, if it is due by `now`.
    pub fn due(&self, now: Time) -> Option<K> {
        self.by_time.first().filter(|(due, _)| *due <= now).map(|(_, key)| *key)
    }
}
