//! What ops do to a job by hand: give it to a friend, have friends asked anew. (They hold it in `pausing` and cancel it in
//! `posting`.) Each is one event with who did it and why, and who is at the word before them goes first, as before a cancel.

use std::sync::Arc;

use kiez_protocol::directory::Friend;
use kiez_protocol::friend::{ClosedReason, FriendMessage, WhyReason};
use kiez_protocol::ids::{JobId, Key, OfferId};
use kiez_protocol::partner::JobState;
use kiez_protocol::place::rounded_m;
use kiez_protocol::refusal::Code;
use kiez_protocol::time::Time;

use super::change::Change;
use super::claim::{Claim, Closed, Seat, Word};
use super::edges::Deed;
use super::effect::{Actor, Answer, Effects, Message};
use super::hand::after_all;
use super::input::Request;
use super::job::{Aside, Delivery, Job, Offer, OfferState, Run};
use super::nearest::Nearby;
use super::race::Win;
use super::silence::takes_accepts;
use super::{Dispatcher, card, pay, posting};

/// A job is to be given to a friend.
#[derive(Clone, Debug)]
pub struct Assign {
    /// To be answered.
    pub request: Request,
    /// By whom.
    pub by: Actor,
    /// To whom.
    pub friend: Arc<Friend>,
    /// Why.
    pub reason: String,
    /// When the request was taken.
    pub received_at: Time,
}

impl Dispatcher {
    #[expect(clippy::too_many_arguments, reason = "the fields of one input, taken apart once")]
    pub(super) fn redispatched(
        &mut self,
        request: Request,
        by: Actor,
        id: JobId,
        reason: String,
        now: Time,
        nearby: &dyn Nearby,
        effects: &mut Effects,
    ) {
        let Some(mut job) = self.theirs(request, &by, id, effects) else { return };
        self.redispatch(&mut job, request, by, reason, now, nearby, effects);
        self.put(job, now);
    }

    /// Has friends asked anew, from the nearest on, or sets that aside when the word is taken. Those who hold an offer of an
    /// unfilled job get one of the new run in its place.
    #[expect(clippy::too_many_arguments, reason = "the fields of one input, taken apart once")]
    pub(super) fn redispatch(
        &mut self,
        job: &mut Job,
        request: Request,
        by: Actor,
        reason: String,
        now: Time,
        nearby: &dyn Nearby,
        effects: &mut Effects,
    ) {
        if !by.role().is_some_and(|role| Deed::Redispatch.may(job.state, role)) {
            return self.refuse_state(job, request, &by, effects);
        }
        // Who says yes to an offer that ends here is told by the dispatcher what became of it, as after an edit.
        if takes_accepts(job) && job.claim.close(Closed::Edited).is_err() {
            return job.aside.push(Aside::Redispatch { request, by, reason });
        }
        let mut change = Change::new(now);
        if takes_accepts(job) {
            change.run_ended(job, job.state);
            self.close_offers(job, &mut change, ClosedReason::Superseded);
        }
        (job.state_due, job.reason, job.winner) = (None, None, None);
        posting::leave_a_round(job, now);
        change.event(job, JobState::Dispatching, "redispatched", by, Some(reason));
        self.start_run(job, &mut change, nearby);
        change.then.push(Message::Answer { request, answer: Answer::Job(Box::new(card::view(job))) });
        self.commit(job, change, effects);
    }

    pub(super) fn assigned(
        &mut self,
        id: JobId,
        assign: Assign,
        now: Time,
        nearby: &dyn Nearby,
        effects: &mut Effects,
    ) {
        let Some(mut job) = self.theirs(assign.request, &assign.by, id, effects) else { return };
        self.assign(&mut job, assign, now, nearby, effects);
        self.put(job, now);
    }

    /// Gives the job to a friend: takes the word for them, or stands behind who has it.
    pub(super) fn assign(
        &mut self,
        job: &mut Job,
        assign: Assign,
        now: Time,
        nearby: &dyn Nearby,
        effects: &mut Effects,
    ) {
        let (request, friend) = (assign.request, &assign.friend);
        if !assign.by.role().is_some_and(|role| Deed::Assign.may(job.state, role)) {
            return self.refuse_state(job, request, &assign.by, effects);
        }
        let no = |detail: &str| Answer::Refused { code: Code::NotSuitable, detail: detail.to_owned() };
        let payed = pay::for_job(job, friend);
        let refusal = match payed {
            _ if !friend.account.is_active() => Some(no("the friend's account is not active")),
            _ if job.blocked.contains(&friend.id) => Some(no("the friend has declined this job or handed it back")),
            None => Some(no("the friend has no hourly rate in this currency")),
            Some(pay) if !self.has_room(job, friend, pay.net, assign.received_at) => {
                Some(no("the friend has no free place, no time, or a cap that this job would go beyond"))
            }
            Some(_) => None,
        };
        if let Some(answer) = refusal {
            effects.commits.push(after_all(job.id, vec![Message::Answer { request, answer }]));
            return;
        }
        let held = job.offers.iter().position(|offer| offer.friend == friend.id && offer.attempt == job.attempt);
        let held = held.filter(|_| takes_accepts(job));
        let next = Seat::try_from(job.offers.len()).expect("a job has far fewer than 2^32 offers");
        let seat = held.map_or(next, |index| job.offers[index].seat);
        if !takes_accepts(job) {
            // The run of a held job is over. This one asks nobody.
            job.attempt += 1;
            job.run = Run { started_at: now, wave: 0, next_wave_at: now, asked: 0, alarm_at: now };
            job.claim = Arc::new(Claim::new());
        }
        match job.claim.take(seat) {
            Word::Open => {}
            Word::Taken(_) => return job.aside.push(Aside::Assign(Box::new(assign))),
            Word::Settled(_) | Word::Closed(_) | Word::Retired => {
                unreachable!("the word of an open job is open or taken")
            }
        }
        let index = held.unwrap_or(job.offers.len());
        let lies_open = held.is_some_and(|index| job.offers[index].state == OfferState::Live);
        if held.is_none() {
            let place = job.booking.place;
            let distance_m = nearby.find(friend.id).map(|standing| rounded_m(standing.position.distance_m(place)));
            let payed = payed.expect("refused without it");
            let offer = Offer {
                id: OfferId(self.mint.next(now)),
                friend: friend.id,
                attempt: job.attempt,
                wave: job.run.wave.max(1),
                // Beside the seats that waves have.
                wave_seat: job.terms.community.policy.seats,
                seat,
                revision: job.revision,
                sent_at: now,
                expires_at: now,
                state: OfferState::Live,
                delivery: Delivery::Arrived,
                renewed: false,
                // Nobody knows where they stand: nearest is nothing it speaks of.
                distance_m: distance_m.unwrap_or(0),
                pay: payed,
                why: WhyReason::Assigned,
                deficit_days: None,
                rank: 1,
            };
            self.offers.insert(offer.id, job.id);
            job.offers.push(offer);
        }
        // Who was found for it knows what there is to know.
        (job.pause, job.vague) = (None, 0);
        let win = Win {
            friend,
            key: Key(self.mint.next(now)),
            at: assign.received_at,
            actor: assign.by,
            reason: Some(assign.reason),
            appointment: None,
            told: None,
        };
        let mut change = self.give(job, index, win, now);
        if lies_open {
            // There is no verdict that would say so.
            let closed = FriendMessage::OfferClosed { offer: job.offers[index].id, reason: ClosedReason::Won };
            change.tell(friend.id, closed);
        }
        change.then.push(Message::Answer { request, answer: Answer::Job(Box::new(card::view(job))) });
        self.commit(job, change, effects);
    }
}
