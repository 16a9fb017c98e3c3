//! Offers in the hands of friends: how they get there, arrive, and are declined.

use kiez_protocol::friend::{ClosedReason, DeclineReason, FriendMessage};
use kiez_protocol::ids::{FriendId, JobId, Key, OfferId};
use kiez_protocol::partner::JobState;
use kiez_protocol::refusal::Code;
use kiez_protocol::time::Time;

use super::change::Change;
use super::effect::{Actor, Commit, Effects, InHand, Message, Subject};
use super::job::{Delivery, Job, Offer, OfferState};
use super::nearest::Nearby;
use super::silence::takes_accepts;
use super::{Dispatcher, direct};

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
                job.vague = job.vague.saturating_add(u8::from(reason == DeclineReason::TooVague));
                // Who was named is asked alone: what others would find does not matter.
                if !direct::is_over(&job) && self.hold_if_vague(&mut job, &mut change) {
                    // Nobody is asked until it is clearer.
                } else if job.state == JobState::Dispatching {
                    self.refill(&mut job, &mut change, nearby);
                    self.unfilled_if_silent(&mut job, &mut change);
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
