//! Places of which there are only so many: connections, sockets without a hello, requests of one key. Whoever holds a
//! place gives it back by going.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A number of places.
#[derive(Clone, Debug, Default)]
pub struct Places(Arc<AtomicUsize>);

impl Places {
    /// A place, if fewer than `most` are taken.
    pub fn take(&self, most: usize) -> Option<Place> {
        let before = self.0.fetch_add(1, Ordering::Relaxed);
        let place = Place(self.0.clone());
        (before < most).then_some(place)
    }

    /// How many are taken.
    pub fn taken(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// A place that is taken until this is dropped.
#[derive(Debug)]
pub struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::Places;

    #[test]
    fn a_place_is_free_again_when_its_holder_goes() {
        let places = Places::default();
        let held: Vec<_> = (0..3).map(|_| places.take(3).expect("there is room")).collect();
        assert!(places.take(3).is_none());
        assert_eq!(places.taken(), 3, "whoever was refused holds nothing");
        drop(held);
        assert!(places.taken() == 0 && places.take(1).is_some());
    }
}
