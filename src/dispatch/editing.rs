//! Edits: what was booked is changed. What friends were shown makes a new revision, which they must confirm anew;
//! a missing answer that comes sets the job going.

use std::sync::Arc;

use kiez_protocol::friend::{ClosedReason, FriendMessage, OfferUpdate};
use kiez_protocol::ids::JobId;
use kiez_protocol::partner::{Answers, EditJob, JobState};
use kiez_protocol::place::rounded_m;
use kiez_protocol::refusal::Code;
use kiez_protocol::time::Time;

use super::change::Change;
use super::claim::{Claim, Closed};
use super::edges::Deed;
use super::effect::{Actor, Answer, Effects, Message};
use super::gates::{Ask, Gate};
use super::hand::after_all;
use super::input::Request;
use super::job::{Aside, Booking, Job, OfferState};
use super::nearest::Nearby;
use super::posting::{expire_at, leave_a_round};
use super::silence::takes_accepts;
use super::wave::farthest_m;
use super::{Dispatcher, area, card};

impl Dispatcher {
    #[expect(clippy::too_many_arguments, reason = "the fields of one input, taken apart once")]
    pub(super) fn edited(
        &mut self,
        request: Request,
        by: Actor,
        id: JobId,
        edit: Box<EditJob>,
        received_at: Time,
        now: Time,
        nearby: &dyn Nearby,
        effects: &mut Effects,
    ) {
        let Some(mut job) = self.theirs(request, &by, id, effects) else { return };
        self.edit(&mut job, request, by, edit, received_at, now, nearby, effects);
        self.put(job, now);
    }

    /// Edits, or sets the edit aside when it is material and the word is taken.
    #[expect(clippy::too_many_arguments, reason = "the fields of one input, taken apart once")]
    pub(super) fn edit(
        &mut self,
        job: &mut Job,
        request: Request,
        by: Actor,
        edit: Box<EditJob>,
        received_at: Time,
        now: Time,
        nearby: &dyn Nearby,
        effects: &mut Effects,
    ) {
        if !by.role().is_some_and(|role| Deed::Edit.may(job.state, role)) {
            return self.refuse_state(job, request, &by, effects);
        }
        if let Some(revision) = edit.revision.filter(|revision| *revision != job.revision) {
            let detail = format!("the job has changed: it is at revision {}, and not at {revision}", job.revision);
            let answer = Answer::Refused { code: Code::NeedsReconfirm, detail };
            effects.commits.push(after_all(job.id, vec![Message::Answer { request, answer }]));
            return;
        }
        let booking = edited(&job.booking, &edit);
        if booking.place != job.booking.place && !area::serves(&job.terms, booking.place) {
            // The job stays where it was: nobody waits for anything.
            let then = vec![Message::Answer { request, answer: area::outside(&job.terms.community) }];
            effects.commits.push(after_all(job.id, then));
            return;
        }
        let missing = card::missing_of(&job.terms.package, &booking.answers);
        if let Some(name) = missing.first().filter(|_| job.state != JobState::NeedsInfo) {
            let detail = format!("answers.{name}: an answer is required");
            let answer = Answer::Refused { code: Code::Invalid, detail };
            effects.commits.push(after_all(job.id, vec![Message::Answer { request, answer }]));
            return;
        }
        if takes_accepts(job) && is_material(job, &booking) && job.claim.close(Closed::Edited).is_err() {
            job.aside.push(Aside::Edit { request, by, edit, received_at });
            return;
        }
        let mut change = Change::new(now);
        self.rebook(job, &mut change, booking, by, "edited", nearby);
        change.then.push(Message::Answer { request, answer: Answer::Job(Box::new(card::view(job))) });
        self.commit(job, change, effects);
    }

    /// The job stands for a new booking from now on. If that is material and the job takes accepts, its word is closed.
    pub(super) fn rebook(
        &mut self,
        job: &mut Job,
        change: &mut Change,
        booking: Booking,
        by: Actor,
        kind: &'static str,
        nearby: &dyn Nearby,
    ) {
        let (open, material, now) = (takes_accepts(job), is_material(job, &booking), change.now);
        change.booking = true;
        let (moved, shifted) = (job.booking.place != booking.place, job.booking.windows != booking.windows);
        job.booking = Arc::new(booking);
        if shifted && job.plan().expire_ms == 0 {
            job.expire_at = expire_at(job).max(now);
        }
        // Before anybody is asked: the first offers of a job whose answers have come name this revision.
        if material {
            job.revision += 1;
        }
        if job.state == JobState::NeedsInfo && card::missing_answers(job).is_empty() {
            job.state_due = None;
            leave_a_round(job, now);
            change.event(job, JobState::Dispatching, "answers_complete", by, None);
            self.start_run(job, change, nearby);
        } else {
            change.event(job, job.state, kind, by, None);
        }
        if open && material {
            job.claim = Arc::new(Claim::new());
            // What was declined is another job by now, and stays declined.
            job.undoable.clear();
            self.close_unfit(job, change, nearby);
            self.renew_offers(job, change, moved.then_some(nearby));
            if job.state == JobState::Dispatching {
                self.refill(job, change, nearby);
            }
        }
        if let Some(visit) = job.visit.as_ref().filter(|visit| visit.active) {
            let card = card::job(job, visit, self.language(visit.friend));
            change.tell(visit.friend, FriendMessage::Job(Box::new(card)));
        }
    }

    /// Friends whom the job no longer suits as it is now are let go, and their seats given on: too far away, another
    /// language, no time. Who has walked off the roster keeps the offer; nobody knows where they stand.
    fn close_unfit(&mut self, job: &mut Job, change: &mut Change, nearby: &dyn Nearby) {
        for index in 0..job.offers.len() {
            let offer = &job.offers[index];
            let Some(standing) = nearby.find(offer.friend).filter(|_| offer.state == OfferState::Live) else {
                continue;
            };
            let ask = Ask { job, stage: u8::MAX, now: change.now, cap_m: farthest_m(job) };
            let distance_m = standing.position.distance_m(job.booking.place);
            let load = self.capacity.of(offer.friend);
            let fits = EDITABLE.into_iter().all(|gate| ask.opens(gate, &standing, distance_m, load));
            if !fits {
                self.close_offer(job, change, index, ClosedReason::Superseded);
            }
        }
    }

    /// The live offers now offer the new revision; if the place has moved, at the distance at which their friends stand
    /// now. An offer lasts as long as its job at most, and one of an unfilled job as long as that.
    fn renew_offers(&self, job: &mut Job, change: &mut Change, moved: Option<&dyn Nearby>) {
        for index in 0..job.offers.len() {
            if job.offers[index].state != OfferState::Live {
                continue;
            }
            let (place, revision, expire_at) = (job.booking.place, job.revision, job.expire_at);
            let offer = &mut job.offers[index];
            offer.revision = revision;
            offer.expires_at = if offer.renewed { expire_at } else { offer.expires_at.min(expire_at) };
            if let Some(standing) = moved.and_then(|nearby| nearby.find(offer.friend)) {
                offer.distance_m = rounded_m(standing.position.distance_m(place));
            }
            change.offer(index);
            let offer = &job.offers[index];
            let renewed = Box::new(card::offer(job, offer, self.language(offer.friend)));
            change.then.push(self.in_hand(job, offer));
            let update = OfferUpdate { offer: offer.id, expires_at: None, renewed: Some(renewed) };
            change.tell(offer.friend, FriendMessage::OfferUpdate(update));
        }
    }
}

/// The gates on which an edit can tell.
const EDITABLE: [Gate; 3] = [Gate::Language, Gate::Distance, Gate::Overlap];

pub(super) fn edited(booking: &Booking, edit: &EditJob) -> Booking {
    let mut booking = booking.clone();
    if let Some(place) = edit.location {
        booking.place = place;
    }
    if let Some(address) = &edit.address {
        booking.address = address.clone();
    }
    if let Some(customer) = &edit.customer {
        booking.customer = customer.clone();
    }
    if let Some(answers) = &edit.answers {
        booking.answers.extend(answers.clone());
    }
    if let Some(windows) = &edit.windows {
        booking.windows.clone_from(windows);
    }
    if let Some(partner_ref) = &edit.partner_ref {
        booking.partner_ref = Some(partner_ref.clone());
    }
    booking
}

/// Whether friends must look again: place, windows, the language to speak, or an answer shown in the offer.
pub(super) fn is_material(job: &Job, new: &Booking) -> bool {
    let old = &*job.booking;
    let shown = |answers: &Answers| -> Vec<_> {
        let questions = job.terms.package.questions.iter().filter(|question| question.in_offer);
        questions.map(|question| answers.get(&question.name).cloned()).collect()
    };
    old.place != new.place
        || old.address.postcode != new.address.postcode
        || old.windows != new.windows
        || old.customer.language != new.customer.language
        || shown(&old.answers) != shown(&new.answers)
}
