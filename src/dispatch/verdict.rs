//! The verdict on an accept that came too late to race. It follows from how the offer was closed, so that the same accept
//! hears the same again: here while the job is open, and from the ledger when it is over.

use kiez_protocol::friend::{ClosedReason, FriendMessage, LostReason, Verdict};
use kiez_protocol::ids::{JobId, Key, OfferId};
use kiez_protocol::partner::JobState;
use kiez_protocol::time::Time;

use super::effect::{Effects, Message};
use super::hand::after_all;
use super::job::{Job, OfferState, Standby};
use super::silence::takes_accepts;
use super::{Dispatcher, card};

impl Dispatcher {
    /// The winner is committed: those behind hear that they lost, at once.
    pub(super) fn settled(&mut self, id: JobId, attempt: u16, now: Time, effects: &mut Effects) {
        let Some(mut job) = self.take(id) else { return };
        if job.attempt == attempt {
            job.settled = true;
            let behind = std::mem::take(&mut job.standbys);
            effects.now.extend(behind.iter().map(|standby| behind_verdict(&job, standby)));
        }
        self.put(job, now);
    }

    /// An accept on a job, or for an attempt, that takes no more accepts.
    pub(super) fn late(&mut self, job: &mut Job, index: usize, accept: Standby, effects: &mut Effects) {
        let offer = &job.offers[index];
        let (answer, reason) = closed_verdict(job, offer.state);
        // The one in the grace after its end might win as well, if the win is never written.
        let beaten = match reason {
            Some(LostReason::Taken) => true,
            Some(LostReason::Expired) => self.in_time(offer, &accept),
            Some(_) | None => false,
        };
        if beaten && offer.attempt == job.attempt && job.holder().is_some() && !job.settled {
            // Told with the winner's commit, or tried again if that is never written.
            job.standbys.push(accept);
            return;
        }
        let mut then = vec![verdict(&accept, answer, reason)];
        if let (Verdict::Won, Some(visit)) = (answer, job.visit.as_ref())
            && visit.offer == accept.offer
        {
            let friend = accept.friend.id;
            let card = Box::new(card::job(job, visit, self.language(friend)));
            then.push(Message::Friend { friend, message: FriendMessage::Job(card) });
        }
        effects.commits.push(after_all(job.id, then));
    }

    /// Those behind a first that was refused, or that won a job which has ended since, hear their verdict after all that
    /// was recorded before. Nobody is left waiting on a job that nobody can win.
    pub(super) fn dismiss(&self, job: &mut Job, effects: &mut Effects) {
        let waits = !takes_accepts(job) && job.holder().is_some() && !job.settled;
        if !waits && !takes_accepts(job) && !job.standbys.is_empty() {
            let behind = std::mem::take(&mut job.standbys);
            let then = behind.iter().map(|standby| behind_verdict(job, standby)).collect();
            effects.commits.push(after_all(job.id, then));
        }
    }
}

/// The verdict for somebody who waited behind the first.
pub(super) fn behind_verdict(job: &Job, accept: &Standby) -> Message {
    match job.offers.iter().find(|offer| offer.id == accept.offer) {
        Some(offer) => {
            let (answer, reason) = closed_verdict(job, offer.state);
            verdict(accept, answer, reason)
        }
        // The offer was never written: the ledger says so.
        None => Message::LookUp { friend: accept.friend.id, offer: accept.offer, key: accept.key },
    }
}

/// The verdict that follows from how an offer was closed. Whoever won hears it for ever, whatever became of the job.
pub(super) fn closed_verdict(job: &Job, state: OfferState) -> (Verdict, Option<LostReason>) {
    let lost = match state {
        OfferState::Closed(ClosedReason::Won) => return (Verdict::Won, None),
        OfferState::Closed(ClosedReason::Taken) => LostReason::Taken,
        OfferState::Closed(ClosedReason::Cancelled) => LostReason::JobCancelled,
        OfferState::Closed(ClosedReason::Expired) => LostReason::Expired,
        OfferState::Closed(ClosedReason::Superseded) => LostReason::Superseded,
        OfferState::Closed(ClosedReason::Paused) => LostReason::Paused,
        OfferState::Closed(ClosedReason::Declined) => LostReason::Declined,
        OfferState::Closed(ClosedReason::Capacity) => LostReason::Capacity,
        OfferState::Closed(ClosedReason::HandedBack) => LostReason::Closed,
        OfferState::Live => lost_reason(job.state),
    };
    (Verdict::Lost, Some(lost))
}

/// Why an accept of a live offer loses on a job in this state.
fn lost_reason(state: JobState) -> LostReason {
    match state {
        JobState::Cancelled => LostReason::JobCancelled,
        JobState::Expired => LostReason::Expired,
        JobState::NeedsInfo | JobState::Paused => LostReason::Paused,
        JobState::Dispatching | JobState::Unfilled => LostReason::Superseded,
        JobState::Assigned | JobState::Contacted | JobState::Appointed | JobState::OnTheWay | JobState::InProgress => {
            LostReason::Taken
        }
        JobState::Done
        | JobState::Unsuccessful
        | JobState::Confirmed
        | JobState::Disputed
        | JobState::Refunded
        | JobState::Closed => LostReason::Closed,
    }
}

pub(super) fn verdict(accept: &Standby, result: Verdict, reason: Option<LostReason>) -> Message {
    let (offer, key): (OfferId, Key) = (accept.offer, accept.key);
    Message::Friend { friend: accept.friend.id, message: FriendMessage::AcceptResult { offer, key, result, reason } }
}
