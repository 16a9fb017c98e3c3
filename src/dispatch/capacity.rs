//! What each friend holds and may hold: plain data of the dispatcher, derived again by `restore`.

use std::collections::HashMap;

use kiez_protocol::ids::{FriendId, JobId, OfferId};
use smallvec::SmallVec;

/// What one friend holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Jobs held, each in its place. Places are small numbers; the ledger holds that no two active visits share one.
    pub held: SmallVec<[(JobId, u8); 3]>,
    /// Live offers that count towards the hand.
    pub hand: SmallVec<[OfferId; 3]>,
    /// Renewed offers of unfilled jobs: live, but beside the hand.
    pub beside: SmallVec<[OfferId; 1]>,
}

impl Load {
    /// The smallest place that is free.
    pub fn free_place(&self) -> u8 {
        (0..=u8::MAX).find(|place| self.held.iter().all(|(_, taken)| taken != place)).expect("held is far below 256")
    }

    /// All live offers.
    pub fn offers(&self) -> impl Iterator<Item = OfferId> {
        self.hand.iter().chain(&self.beside).copied()
    }

    fn is_empty(&self) -> bool {
        self.held.is_empty() && self.hand.is_empty() && self.beside.is_empty()
    }
}

/// The loads of all friends who hold anything.
#[derive(Clone, Debug, Default)]
pub struct Capacity(HashMap<FriendId, Load>);

impl Capacity {
    /// What `friend` holds, if anything.
    pub fn of(&self, friend: FriendId) -> Option<&Load> {
        self.0.get(&friend)
    }

    /// Gives `friend` a place for `job`; the place.
    pub fn hold(&mut self, friend: FriendId, job: JobId) -> u8 {
        let load = self.0.entry(friend).or_default();
        let place = load.free_place();
        load.held.push((job, place));
        place
    }

    /// Puts a job back into a place, as the ledger says.
    pub fn hold_at(&mut self, friend: FriendId, job: JobId, place: u8) {
        self.0.entry(friend).or_default().held.push((job, place));
    }

    /// Frees the place of `job`.
    pub fn free(&mut self, friend: FriendId, job: JobId) {
        self.change(friend, |load| load.held.retain(|(held, _)| *held != job));
    }

    /// Gives `friend` a live offer; a renewed one lies beside the hand.
    pub fn deal(&mut self, friend: FriendId, offer: OfferId, renewed: bool) {
        let load = self.0.entry(friend).or_default();
        if renewed { load.beside.push(offer) } else { load.hand.push(offer) }
    }

    /// Takes an offer away.
    pub fn drop(&mut self, friend: FriendId, offer: OfferId) {
        self.change(friend, |load| {
            load.hand.retain(|held| *held != offer);
            load.beside.retain(|held| *held != offer);
        });
    }

    fn change(&mut self, friend: FriendId, change: impl FnOnce(&mut Load)) {
        if let Some(load) = self.0.get_mut(&friend) {
            change(load);
            if load.is_empty() {
                self.0.remove(&friend);
            }
        }
    }
}
