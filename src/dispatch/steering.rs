//! What ops do to a job by hand: hold it and let it go on, give it to a friend, ask anew, cancel. Each action is one event
//! with who did it and why; what the state does not allow is refused with the state and what it does allow. Who is at the
//! word before ops goes first, as for a cancel of the partner.

use std::sync::Arc;

use kiez_protocol::desk::OpsAction;
use kiez_protocol::directory::Friend;
use kiez_protocol::friend::{ClosedReason, WhyReason};
use kiez_protocol::ids::{FriendId, JobId, Key, OfferId};
use kiez_protocol::partner::JobState;
use kiez_protocol::place::rounded_m;
use kiez_protocol::refusal::Code;
use kiez_protocol::time::Time;

use super::change::Change;
use super::claim::{Claim, Closed, Seat, Word};
use super::effect::{Actor, Answer, Effects, Message};
use super::hand::after_all;
use super::input::{Act, Request, Steering};
use super::job::{Aside, Delivery, Job, Offer, OfferState, Run};
use super::nearest::Nearby;
use super::race::Win;
use super::silence::takes_accepts;
use super::visit::PAUSED_MS;
use super::{Dispatcher, card, pay, posting};

/// What ops may do to a job in this state.
pub fn allowed(state: JobState) -> &'static [OpsAction] {
    match state {
        JobState::NeedsInfo => &[OpsAction::Cancel],
        JobState::Dispatching => &[OpsAction::Pause, OpsAction::Assign, OpsAction::Cancel],
        JobState::Paused => &[OpsAction::Resume, OpsAction::Assign, OpsAction::Cancel],
        JobState::Unfilled => &[OpsAction::Pause, OpsAction::Assign, OpsAction::Redispatch, OpsAction::Cancel],
        JobState::Assigned | JobState::Contacted | JobState::Appointed | JobState::OnTheWay => &[OpsAction::Cancel],
        JobState::Unsuccessful => &[OpsAction::Redispatch],
        JobState::InProgress
        | JobState::Done
        | JobState::Confirmed
        | JobState::Disputed
        | JobState::Refunded
        | JobState::Cancelled
        | JobState::Expired
        | JobState::Closed => &[],
    }
}

impl Dispatcher {
    /// Ops act on a job.
    pub(super) fn steered(
        &mut self,
        id: JobId,
        steering: Steering,
        now: Time,
        nearby: &dyn Nearby,
        effects: &mut Effects,
    ) {
        let Some(mut job) = self.take(id) else {
            let detail = "there is no open job with this id".to_owned();
            let answer = Answer::Refused { code: Code::NotFound, detail };
            effects.now.push(Message::Answer { request: steering.request, answer });
            return;
        };
        let freed = self.steer(&mut job, steering, now, nearby, effects);
        self.put(job, now);
        if let Some(friend) = freed {
            self.consider(friend, now, nearby, effects);
        }
    }

    /// Does it, or sets it aside when the word is taken. The friend whose place it freed, if any.
    pub(super) fn steer(
        &mut self,
        job: &mut Job,
        steering: Steering,
        now: Time,
        nearby: &dyn Nearby,
        effects: &mut Effects,
    ) -> Option<FriendId> {
        let action = steering.act.action();
        if !allowed(job.state).contains(&action) {
            refuse(job, steering.request, effects);
            return None;
        }
        let Steering { request, by, act, received_at } = steering;
        let actor = Actor::Ops(by.who.clone());
        let reason = Some(by.reason.clone());
        if let Act::Cancel = act {
            return self.cancel(job, request, actor, reason, received_at, now, effects);
        }
        if let Act::Assign(friend) = act {
            let steering = Steering { request, by, act: Act::Assign(friend.clone()), received_at };
            self.assign(job, steering, &friend, now, nearby, effects);
            return None;
        }
        // Who holds an offer that ends here may have said yes, and goes first.
        let closed = if action == OpsAction::Pause { Closed::Paused } else { Closed::Edited };
        if takes_accepts(job) && job.claim.close(closed).is_err() {
            job.aside.push(Aside::Steer(Box::new(Steering { request, by, act, received_at })));
            return None;
        }
        let mut change = Change::new(now);
        match act {
            Act::Pause => {
                job.reason = Some("ops hold it".to_owned());
                self.pause(job, &mut change, actor, reason);
            }
            Act::Resume => self.resume_run(job, &mut change, actor, reason, nearby),
            Act::Redispatch => self.redispatch(job, &mut change, actor, reason, nearby),
            Act::Assign(_) | Act::Cancel => unreachable!("handled above"),
        }
        change.then.push(Message::Answer { request, answer: Answer::Job(Box::new(card::view(job))) });
        self.commit(job, change, effects);
        None
    }

    /// Holds a job that takes accepts: the run ends, and its offers are taken back. The caller has closed the word.
    pub(super) fn pause(&mut self, job: &mut Job, change: &mut Change, actor: Actor, reason: Option<String>) {
        change.run_ended(job, JobState::Paused);
        change.event(job, JobState::Paused, "paused", actor, reason);
        job.state_due = Some(change.now + PAUSED_MS);
        self.close_offers(job, change, ClosedReason::Paused);
    }

    /// A held job asks again: in a run of its own, so that those whose offers were taken back are asked as well.
    pub(super) fn resume_run(
        &mut self,
        job: &mut Job,
        change: &mut Change,
        actor: Actor,
        reason: Option<String>,
        nearby: &dyn Nearby,
    ) {
        self.run_anew(job, change, "resumed", actor, reason, nearby);
    }

    /// Asks anew, from the nearest on: those who hold an offer of an unfilled job get one of the new run in its place.
    fn redispatch(
        &mut self,
        job: &mut Job,
        change: &mut Change,
        actor: Actor,
        reason: Option<String>,
        nearby: &dyn Nearby,
    ) {
        if takes_accepts(job) {
            change.run_ended(job, job.state);
            self.close_offers(job, change, ClosedReason::Superseded);
        }
        self.run_anew(job, change, "redispatched", actor, reason, nearby);
    }

    fn run_anew(
        &mut self,
        job: &mut Job,
        change: &mut Change,
        kind: &'static str,
        actor: Actor,
        reason: Option<String>,
        nearby: &dyn Nearby,
    ) {
        (job.state_due, job.reason, job.winner) = (None, None, None);
        posting::leave_a_round(job, change.now);
        change.event(job, JobState::Dispatching, kind, actor, reason);
        self.start_run(job, change, nearby);
    }

    /// Gives the job to a friend: takes the word for them, or stands behind who has it.
    fn assign(
        &mut self,
        job: &mut Job,
        steering: Steering,
        friend: &Arc<Friend>,
        now: Time,
        nearby: &dyn Nearby,
        effects: &mut Effects,
    ) {
        let request = steering.request;
        let no = |detail: &str| Answer::Refused { code: Code::NotSuitable, detail: detail.to_owned() };
        let payed = pay::offered(&job.terms, friend, job.booking.payment_method);
        let refusal = match payed {
            _ if !friend.account.is_active() => Some(no("the friend's account is not active")),
            _ if job.blocked.contains(&friend.id) => Some(no("the friend has declined this job or handed it back")),
            None => Some(no("the friend has no hourly rate in this currency")),
            Some(pay) if !self.has_room(job, friend, pay.net, steering.received_at) => {
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
            Word::Taken(_) => return job.aside.push(Aside::Steer(Box::new(steering))),
            Word::Settled(_) | Word::Closed(_) | Word::Retired => {
                unreachable!("the word of an open job is open or taken")
            }
        }
        let index = held.unwrap_or(job.offers.len());
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
                rank: 1,
            };
            self.offers.insert(offer.id, job.id);
            job.offers.push(offer);
        }
        let Steering { by, received_at, .. } = steering;
        let win = Win {
            friend,
            key: Key(self.mint.next(now)),
            at: received_at,
            actor: Actor::Ops(by.who),
            reason: Some(by.reason),
            told: None,
        };
        let mut change = self.give(job, index, win, now);
        change.then.push(Message::Answer { request, answer: Answer::Job(Box::new(card::view(job))) });
        self.commit(job, change, effects);
    }
}

/// Refuses what the job's state does not allow, and says what it does.
fn refuse(job: &Job, request: Request, effects: &mut Effects) {
    let answer = Answer::WrongState { state: job.state, allowed: allowed(job.state) };
    effects.commits.push(after_all(job.id, vec![Message::Answer { request, answer }]));
}
