//! What each friend holds and has done, and what follows from it for a while: plain data of the dispatcher, derived again by
//! `restore`.

use std::collections::HashMap;

use kiez_protocol::ids::{FriendId, JobId, OfferId};
use kiez_protocol::partner::Window;
use kiez_protocol::time::Time;
use smallvec::SmallVec;

use super::caps::{PERIOD_MS, Taken};

/// What one friend holds and has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Jobs held, each in its place. Places are small numbers; the ledger holds that no two active visits share one.
    pub held: SmallVec<[(JobId, u8); 3]>,
    /// Live offers that count towards the hand.
    pub hand: SmallVec<[OfferId; 3]>,
    /// Renewed offers of unfilled jobs: live, but beside the hand.
    pub beside: SmallVec<[OfferId; 1]>,
    /// Appointments agreed for jobs held.
    pub appointments: SmallVec<[(JobId, Window); 1]>,
    /// Jobs of the last year that are held or were done.
    pub taken: Vec<Taken>,
    /// Asked for no job until then, after a contact breach.
    pub cool_until: Option<Time>,
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
        self.held.is_empty()
            && self.hand.is_empty()
            && self.beside.is_empty()
            && self.appointments.is_empty()
            && self.taken.is_empty()
            && self.cool_until.is_none()
    }
}

/// The loads of all friends who hold anything or did a job in the last year.
#[derive(Clone, Debug, Default)]
pub struct Capacity(HashMap<FriendId, Load>);

impl Capacity {
    /// What `friend` holds and has done, if anything.
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

    /// Frees the place of `job`. Whether the job still counts is another question: [`Capacity::uncount`].
    pub fn free(&mut self, friend: FriendId, job: JobId) {
        self.change(friend, |load| {
            load.held.retain(|(held, _)| *held != job);
            load.appointments.retain(|(held, _)| *held != job);
        });
    }

    /// The appointment agreed for a job that `friend` holds, in place of the one before; none takes it away.
    pub fn appoint(&mut self, friend: FriendId, job: JobId, window: Option<Window>) {
        let load = self.0.entry(friend).or_default();
        load.appointments.retain(|(held, _)| *held != job);
        load.appointments.extend(window.map(|window| (job, window)));
        self.change(friend, |_| {});
    }

    /// A job that `friend` holds or has done counts towards their caps. Once, however often it is said.
    pub fn count(&mut self, friend: FriendId, taken: Taken) {
        let load = self.0.entry(friend).or_default();
        load.taken.retain(|before| before.job != taken.job && taken.at.since(before.at) <= PERIOD_MS);
        load.taken.push(taken);
    }

    /// A job that `friend` no longer holds and has not done counts no more.
    pub fn uncount(&mut self, friend: FriendId, job: JobId) {
        self.change(friend, |load| load.taken.retain(|taken| taken.job != job));
    }

    /// `friend` is asked for nothing until then.
    pub fn cool(&mut self, friend: FriendId, until: Time) {
        let load = self.0.entry(friend).or_default();
        load.cool_until = load.cool_until.max(Some(until));
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
