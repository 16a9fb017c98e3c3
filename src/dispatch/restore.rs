//! The dispatcher out of the ledger: after a start everything that was told is there, and what was not told may be
//! decided anew. Also one job out of the ledger, when a record of it was refused; and the same patience with friends who
//! come back when the process stood still for long.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use kiez_protocol::ids::JobId;
use kiez_protocol::ops::AlarmKind;
use kiez_protocol::time::Time;

use super::capacity::Capacity;
use super::claim::Claim;
use super::effect::{Effects, Message, Stored, StoredJob};
use super::fairness::Waits;
use super::hand::after_all;
use super::job::{Delivery, Job, OfferState};
use super::mint::Mint;
use super::nearest::Nearby;
use super::timers::Timers;
use super::{Dispatcher, Pace, RESTORE_GRACE_MS};

impl Dispatcher {
    /// A dispatcher that goes on where the ledger ends. `seed` makes its ids differ from those of earlier starts.
    pub fn restore(stored: Stored, seed: u64, pace: Pace, now: Time) -> Dispatcher {
        let grace = if stored.jobs.is_empty() && stored.duties.is_empty() { 0 } else { pace.real_ms(RESTORE_GRACE_MS) };
        let mut dispatcher = Dispatcher {
            jobs: HashMap::new(),
            offers: HashMap::new(),
            capacity: Capacity::default(),
            waits: Waits::restore(stored.waiting),
            keys: HashMap::new(),
            key_ages: VecDeque::new(),
            timers: Timers::default(),
            duties: HashMap::new(),
            duty_timers: Timers::default(),
            hungry: BTreeSet::new(),
            braked: BTreeSet::new(),
            languages: HashMap::new(),
            cells: HashMap::new(),
            mint: Mint::new(seed),
            pace,
            restored_until: now + grace,
        };
        let mut keys = stored.keys;
        keys.sort_by_key(|key| key.at);
        for key in keys {
            dispatcher.key_ages.push_back((key.at, key.partner.clone(), key.key.key.clone()));
            dispatcher.keys.insert((key.partner, key.key.key), (key.job, key.key.body));
        }
        for row in stored.duties {
            dispatcher.set_duty(row.friend, row.duty, now);
        }
        for row in stored.taken {
            dispatcher.capacity.count(row.friend, row.taken);
        }
        for row in stored.breaches {
            dispatcher.capacity.cool(row.friend, row.cool_until);
        }
        for job in stored.jobs {
            let job = dispatcher.resume(job);
            dispatcher.put(job, now);
        }
        dispatcher
    }

    /// Everything stood still for long: the machine slept, or the process was stopped. Nothing is forgotten, but who is back
    /// already says as little as after a restart, and what could not arrive is not late yet.
    pub(super) fn woken(&mut self, now: Time) {
        if self.jobs.is_empty() && self.duties.is_empty() {
            return;
        }
        self.restored_until = now + self.pace.real_ms(RESTORE_GRACE_MS);
        let (until, pace) = (self.restored_until, self.pace);
        for job in self.jobs.values_mut() {
            let delivery_ms = pace.real_ms(job.terms.community.policy.delivery_ms);
            for offer in &mut job.offers {
                if let (OfferState::Live, Delivery::Waiting(_)) = (offer.state, offer.delivery) {
                    offer.delivery = Delivery::Waiting(until + delivery_ms);
                }
            }
        }
        // In any order: each deadline stands for itself.
        let due: Vec<_> = self.jobs.values().map(|job| (job.id, self.deadline(job, now))).collect();
        for (job, due) in due {
            self.timers.set(job, due);
        }
    }

    /// A job as it was stored, with its holdings and a new word.
    fn resume(&mut self, stored: StoredJob) -> Box<Job> {
        let StoredJob { row, booking, mut offers, visit, talk } = stored;
        offers.sort_by_key(|offer| offer.seat);
        for offer in &mut offers {
            self.offers.insert(offer.id, row.id);
            offer.delivery = match offer.state {
                // The app says anew what it has: its snapshot carries the offers.
                OfferState::Live => {
                    let policy = &row.terms.community.policy;
                    Delivery::Waiting(self.restored_until + self.pace.real_ms(policy.delivery_ms))
                }
                OfferState::Closed(_) => Delivery::Arrived,
            };
            if offer.state == OfferState::Live {
                self.capacity.deal(offer.friend, offer.id, offer.renewed);
            }
        }
        if let Some(visit) = visit.as_ref().filter(|visit| visit.active) {
            self.capacity.hold_at(visit.friend, row.id, visit.place);
            if visit.appointment.is_some() {
                self.capacity.appoint(visit.friend, row.id, visit.appointment);
            }
        }
        if let Some(visit) = visit.as_ref().filter(|visit| visit.counts()) {
            self.capacity.count(visit.friend, visit.taken(row.id));
        }
        let settled = visit.as_ref().is_some_and(|visit| visit.attempt == row.view.attempt);
        Box::new(Job {
            id: row.id,
            partner: row.partner,
            terms: row.terms,
            booking,
            state: row.view.state,
            sequence: row.view.sequence,
            attempt: row.view.attempt,
            revision: row.view.revision,
            hand_backs: row.progress.hand_backs,
            created_at: row.created_at,
            expire_at: row.view.expires_at,
            state_due: row.progress.state_due,
            run: row.progress.run,
            offers,
            blocked: row.progress.blocked.into_iter().collect(),
            winner: row.view.friend,
            visit,
            reason: row.progress.reason,
            pause: row.progress.pause,
            vague: row.progress.vague,
            hold_until: row.progress.hold_until,
            talk,
            undoable: row.progress.undoable,
            claim: Arc::new(Claim::new()),
            standbys: Vec::new(),
            aside: Vec::new(),
            settled,
        })
    }

    /// The ledger has refused a record of this job for good: what is stored stands. Its word is new, so nobody is first any
    /// more: what was set aside comes next, then who waited behind the win that was never written is tried in order.
    pub(super) fn reread(
        &mut self,
        id: JobId,
        stored: Option<Box<StoredJob>>,
        now: Time,
        nearby: &dyn Nearby,
        effects: &mut Effects,
    ) {
        let old = self.take(id);
        if let Some(old) = &old {
            for offer in old.live_offers() {
                self.capacity.drop(offer.friend, offer.id);
            }
            if let Some(visit) = &old.visit {
                self.capacity.free(visit.friend, id);
                self.capacity.uncount(visit.friend, id);
            }
            self.forget(old);
        }
        effects.now.push(Message::Alarm { kind: AlarmKind::Quarantined, job: id, at: now });
        let Some(stored) = stored else {
            self.keys.retain(|_, (job, _)| *job != id);
            for offer in old.iter().flat_map(|old| &old.offers) {
                self.waits.take_back(offer.friend, offer.sent_at);
            }
            return;
        };
        let mut job = self.resume(*stored);
        // What has arrived, or has not, did so whatever became of a record. Of a job that was over nothing is known any more:
        // its apps were told long ago, and will not say so again.
        for offer in &mut job.offers {
            let known = old.iter().flat_map(|old| &old.offers).find(|known| known.id == offer.id);
            offer.delivery = known.map_or(Delivery::Arrived, |known| known.delivery);
        }
        let mut hands: Vec<Message> = Vec::new();
        if let Some(old) = old {
            let unwritten = old.offers.iter().filter(|offer| job.offers.iter().all(|stored| stored.id != offer.id));
            for offer in unwritten {
                self.waits.take_back(offer.friend, offer.sent_at);
                hands.push(Message::Release { friend: offer.friend, offer: offer.id });
            }
            let friends: BTreeSet<_> = old.offers.iter().map(|offer| offer.friend).collect();
            hands.extend(friends.into_iter().map(|friend| self.available(friend)));
            (job.standbys, job.aside) = (old.standbys, old.aside);
        }
        hands.extend(job.live_offers().map(|offer| self.in_hand(&job, offer)));
        // In the order of what was recorded, as all that reaches a hand.
        effects.commits.push(after_all(id, hands));
        let freed = self.after_first(&mut job, now, nearby, effects);
        self.put(job, now);
        if let Some(friend) = freed {
            self.consider(friend, now, nearby, effects);
        }
    }
}
