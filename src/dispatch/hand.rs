//! Offers in the hands of friends: how they get there, arrive, and are declined.

use kiez_protocol::friend::{ClosedReason, DeclineReason, FriendMessage, OfferUpdate};
use kiez_protocol::ids::{FriendId, JobId, Key, OfferId};
use kiez_protocol::partner::JobState;
use kiez_protocol::refusal::Code;
use kiez_protocol::time::Time;

use super::change::Change;
use super::effect::{Actor, Commit, Effects, InHand, Message, Subject};
use super::job::{Delivery, Job, Offer, OfferState, Undo};
use super::nearest::Nearby;
use super::silence::takes_accepts;
use super::{Dispatcher, card, direct};

impl Dispatcher {
    /// The message that puts an offer into its friend's hand, with the present word.
    pub(super) fn in_hand(&self, job: &Job, offer: &Offer) -> Message {
        Message::Hold { friend: offer.friend, in_hand: hold(job, offer) }
    }

    /// Offers have arrived: their seats stay where they are.
    pub(super) fn delivered(&mut self, friend: FriendId, offers: &[OfferId]) {
        for id in offers {
            let Some(job) = self.offers.get(id).and_then(|job| self.jobs.get_mut(job)) else { continue };
            if let Some(offer) = job.offers.iter_mut().find(|offer| offer.id == *id && offer.friend == friend) {
                // A failed one keeps its fate: the seat was given on.
                if let Delivery::Waiting(_) = offer.delivery {
                    offer.delivery = Delivery::Arrived;
                }
            }
        }
    }

    /// A friend declines: free, without penalty, and for this job for good.
    #[expect(clippy::too_many_arguments, reason = "the fields of one input, taken apart once")]
    pub(super) fn declined(
        &mut self,
        friend: FriendId,
        id: OfferId,
        reason: DeclineReason,
        key: Option<Key>,
        now: Time,
        nearby: &dyn Nearby,
        effects: &mut Effects,
    ) {
        let mut change = Change::new(now);
        let done = key.map(|key| FriendMessage::Done { key });
        let Some((mut job, index)) = self.take_offer(friend, id) else {
            // After what was recorded before: that its job is over may be among it.
            let then = vec![Message::Friend { friend, message: refused(Code::NotFound, key, Some(id), None) }];
            effects.commits.push(Commit { subject: Subject::Friend(friend), record: None, then });
            return;
        };
        // A no to an offer of an earlier run is a no to the job: the newer offer goes with it, also one that has expired and
        // would come back when the job is unfilled.
        let comes_back = |state| matches!(state, OfferState::Live | OfferState::Closed(ClosedReason::Expired));
        let newer = job.offers.iter().rposition(|offer| offer.friend == friend && comes_back(offer.state));
        let index = newer.filter(|newer| *newer > index).unwrap_or(index);
        match job.offers[index].state {
            OfferState::Live if takes_accepts(&job) => {
                job.blocked.insert(friend);
                self.close_offer(&mut job, &mut change, index, ClosedReason::Declined);
                let why = Some(decline_reason(reason).to_owned());
                let state = job.state;
                change.event(&mut job, state, "offer_declined", Actor::Friend(friend), why);
                let vague = reason == DeclineReason::TooVague;
                job.vague = job.vague.saturating_add(u8::from(vague));
                let undo_ms = job.terms.community.policy.undo_ms;
                // Who was named holds no seat that others wait for.
                if undo_ms > 0 && job.hold_until.is_none() {
                    let offer = job.offers[index].id;
                    job.undoable.push(Undo { offer, until: now + undo_ms, vague });
                }
                // Who was named is asked alone: what others would find does not matter.
                if !direct::is_over(&job) && self.hold_if_vague(&mut job, &mut change) {
                    // Nobody is asked until it is clearer.
                } else if job.state == JobState::Dispatching {
                    self.refill(&mut job, &mut change, nearby);
                    self.unfilled_if_silent(&mut job, &mut change, nearby);
                }
                change.then.extend(done.map(|message| Message::Friend { friend, message }));
            }
            // Too late to give a seat away, and still a no: should the job be dispatched again, they are not asked.
            OfferState::Closed(closed) if closed != ClosedReason::Won && job.blocked.insert(friend) => {
                let why = Some(decline_reason(reason).to_owned());
                let state = job.state;
                change.event(&mut job, state, "declined_late", Actor::Friend(friend), why);
                // An expired offer would come back when the job is unfilled; a declined one does not.
                if closed == ClosedReason::Expired {
                    job.offers[index].state = OfferState::Closed(ClosedReason::Declined);
                    change.offer(index);
                }
                change.then.extend(done.map(|message| Message::Friend { friend, message }));
            }
            // Declined before, or over anyhow: nothing is left to do.
            OfferState::Live | OfferState::Closed(_) => {
                change.then.extend(done.map(|message| Message::Friend { friend, message }));
            }
        }
        self.commit(&job, change, effects);
        self.put(job, now);
        self.consider(friend, now, nearby, effects);
    }

    /// A friend takes a decline back, while its seat is kept empty for that: the offer is theirs again, as it was.
    pub(super) fn undone(
        &mut self,
        friend: FriendId,
        id: OfferId,
        key: Option<Key>,
        received_at: Time,
        now: Time,
        effects: &mut Effects,
    ) {
        let Some((mut job, index)) = self.take_offer(friend, id) else {
            effects.now.push(Message::Friend { friend, message: refused(Code::NotFound, key, Some(id), None) });
            return;
        };
        let done = key.map(|key| Message::Friend { friend, message: FriendMessage::Done { key } });
        // Said twice, after a lost answer.
        if job.offers[index].state == OfferState::Live {
            effects.commits.push(after_all(job.id, done.into_iter().collect()));
        } else if let Some(undo) = self.undo(&mut job, index, received_at, now) {
            let mut change = Change::new(now);
            job.vague = job.vague.saturating_sub(u8::from(undo.vague));
            job.blocked.remove(&friend);
            let (renewed, state) = (job.state == JobState::Unfilled, job.state);
            let expire_at = job.expire_at;
            let offer = &mut job.offers[index];
            offer.state = OfferState::Live;
            offer.renewed = renewed;
            offer.expires_at = if renewed { expire_at } else { offer.expires_at };
            self.capacity.deal(friend, id, renewed);
            self.availability(friend, &mut change);
            change.offer(index);
            change.event(&mut job, state, "decline_undone", Actor::Friend(friend), None);
            let offer = &job.offers[index];
            let card = Box::new(card::offer(&job, offer, self.language(friend)));
            let update = OfferUpdate { offer: id, expires_at: Some(offer.expires_at), renewed: Some(card) };
            change.then.push(self.in_hand(&job, offer));
            change.tell(friend, FriendMessage::OfferUpdate(update));
            change.then.extend(done);
            self.commit(&job, change, effects);
        } else {
            let message = refused(Code::WrongState, key, Some(id), Some(job.id));
            effects.commits.push(after_all(job.id, vec![Message::Friend { friend, message }]));
        }
        self.put(job, now);
    }

    /// Takes the decline of an offer off those that can be taken back, if this one can: in time, while the job still asks,
    /// and while the friend's hand has room for it.
    fn undo(&self, job: &mut Job, index: usize, received_at: Time, now: Time) -> Option<Undo> {
        let offer = &job.offers[index];
        let declined = offer.state == OfferState::Closed(ClosedReason::Declined) && offer.attempt == job.attempt;
        let lasts = job.state == JobState::Unfilled || offer.expires_at > now;
        let most = usize::from(job.terms.community.policy.hand_max);
        let has_room = self.capacity.of(offer.friend).is_none_or(|load| load.hand.len() < most);
        if !declined || !lasts || !takes_accepts(job) || !(has_room || job.state == JobState::Unfilled) {
            return None;
        }
        let place = job.undoable.iter().position(|undo| undo.offer == offer.id && received_at <= undo.until)?;
        Some(job.undoable.remove(place))
    }

    /// The job and the place of an offer in it, if it is this friend's.
    pub(super) fn take_offer(&mut self, friend: FriendId, id: OfferId) -> Option<(Box<Job>, usize)> {
        let job = self.jobs.get(self.offers.get(&id)?)?;
        let index = job.offers.iter().position(|offer| offer.id == id && offer.friend == friend)?;
        Some((self.take(job.id)?, index))
    }
}

/// The offer as it lies in a hand.
pub(super) fn hold(job: &Job, offer: &Offer) -> InHand {
    InHand { offer: offer.id, job: job.id, claim: job.claim.clone(), seat: offer.seat, revision: offer.revision }
}

fn decline_reason(reason: DeclineReason) -> &'static str {
    match reason {
        DeclineReason::TooFar => "too_far",
        DeclineReason::NoTime => "no_time",
        DeclineReason::Skill => "skill",
        DeclineReason::TooVague => "too_vague",
        DeclineReason::Pay => "pay",
        DeclineReason::Other => "other",
    }
}

/// A refusal as a message to a friend.
pub(super) fn refused(code: Code, key: Option<Key>, offer: Option<OfferId>, job: Option<JobId>) -> FriendMessage {
    let message_key = match (code, offer) {
        (Code::NotFound, Some(_)) => "error.offer_not_found",
        (Code::NotFound, None) => "error.job_not_found",
        (Code::WrongState, _) => "error.wrong_state",
        (Code::Invalid, Some(_)) => "error.windows",
        (_, _) => "error.refused",
    };
    FriendMessage::Error { code, key, offer, job, message_key: message_key.to_owned(), allowed: Vec::new() }
}

/// A commit without a record: its messages wait for what was recorded before.
pub(super) fn after_all(job: JobId, then: Vec<Message>) -> Commit {
    Commit { subject: Subject::Job(job), record: None, then }
}
