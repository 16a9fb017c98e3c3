//! Post and cancel: how a job begins, and how it ends before the work does.

use std::sync::Arc;

use kiez_protocol::friend::ClosedReason;
use kiez_protocol::ids::{JobId, PartnerSlug};
use kiez_protocol::partner::JobState;
use kiez_protocol::refusal::Code;
use kiez_protocol::time::Time;

use super::change::Change;
use super::claim::{Claim, Closed};
use super::edges::Deed;
use super::effect::{Actor, Answer, Commit, Effects, Message, Subject};
use super::hand::after_all;
use super::input::{PartnerKey, Request, Terms};
use super::job::{Aside, Booking, Job, Run, VisitEnd};
use super::nearest::Nearby;
use super::quiet::WaveClock;
use super::silence::takes_accepts;
use super::talk::Talk;
use super::{Dispatcher, KEY_KEPT_MS, answers, area, card};

/// Who posts, and why where that is asked.
#[derive(Debug)]
pub(super) struct Poster {
    pub by: Actor,
    pub reason: Option<String>,
}

impl Dispatcher {
    #[expect(clippy::too_many_arguments, reason = "the fields of one input, taken apart once")]
    pub(super) fn posted(
        &mut self,
        request: Request,
        partner: PartnerSlug,
        by: Poster,
        key: Option<PartnerKey>,
        booking: Arc<Booking>,
        terms: Terms,
        received_at: Time,
        now: Time,
        nearby: &dyn Nearby,
        effects: &mut Effects,
    ) {
        if let Some(key) = &key
            && let Some((job, body)) = self.keys.get(&(partner.clone(), key.key.clone()))
        {
            let answer = if *body == key.body {
                Answer::Repeated { job: *job }
            } else {
                let detail = "the idempotency key was used for a request with another body".to_owned();
                Answer::Refused { code: Code::KeyReused, detail }
            };
            // After what was recorded before: the first request's own commit may be among it.
            let then = vec![Message::Answer { request, answer }];
            effects.commits.push(Commit { subject: Subject::Job(*job), record: None, then });
            return;
        }
        if !area::serves(&terms, booking.place) {
            return self.turn_away(request, &terms.community, booking.place, now, effects);
        }
        let id = JobId(self.mint.next(now));
        let mut job = Box::new(fresh(id, partner.clone(), terms, booking, received_at, now));
        let mut change = Change::new(now);
        change.booking = true;
        if let Some(key) = key {
            self.keys.insert((partner.clone(), key.key.clone()), (id, key.body));
            self.key_ages.push_back((now, partner, key.key.clone()));
            change.key = Some(key);
        }
        let complete = card::missing_answers(&job).is_empty();
        let state = if complete { JobState::Dispatching } else { JobState::NeedsInfo };
        change.event(&mut job, state, "posted", by.by, by.reason);
        if complete {
            self.start_run(&mut job, &mut change, nearby);
        } else {
            job.state_due = Some(answers::next_reminder(&job, now));
        }
        change.then.push(Message::Answer { request, answer: Answer::Posted(Box::new(card::view(&job))) });
        self.commit(&job, change, effects);
        self.put(job, now);
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one input, taken apart once")]
    pub(super) fn cancelled(
        &mut self,
        request: Request,
        by: Actor,
        id: JobId,
        reason: Option<String>,
        received_at: Time,
        now: Time,
        nearby: &dyn Nearby,
        effects: &mut Effects,
    ) {
        let Some(mut job) = self.theirs(request, &by, id, effects) else { return };
        let friend = self.cancel(&mut job, request, by, reason, received_at, now, effects);
        self.put(job, now);
        if let Some(friend) = friend {
            self.consider(friend, now, nearby, effects);
        }
    }

    /// Cancels, or sets the cancel aside when the word is taken. The friend whose place it freed, if any.
    #[expect(clippy::too_many_arguments, reason = "the fields of one input, taken apart once")]
    pub(super) fn cancel(
        &mut self,
        job: &mut Job,
        request: Request,
        by: Actor,
        reason: Option<String>,
        received_at: Time,
        now: Time,
        effects: &mut Effects,
    ) -> Option<kiez_protocol::ids::FriendId> {
        if !by.role().is_some_and(|role| Deed::Cancel.may(job.state, role)) {
            self.refuse_state(job, request, &by, effects);
            return None;
        }
        if takes_accepts(job) && job.claim.close(Closed::Cancelled).is_err() {
            job.aside.push(Aside::Cancel { request, by, reason, received_at });
            return None;
        }
        let mut change = Change::new(now);
        if takes_accepts(job) {
            change.run_ended(job, JobState::Cancelled);
        }
        job.reason = by.shown(reason.as_deref(), "cancelled_by_ops");
        change.event(job, JobState::Cancelled, "cancelled", by, reason);
        self.close_offers(job, &mut change, ClosedReason::Cancelled);
        let friend = self.end_visit(job, &mut change, VisitEnd::Cancelled);
        if let Some(friend) = friend {
            self.tell_holder(job, friend, &mut change);
        }
        change.then.push(Message::Answer { request, answer: Answer::Job(Box::new(card::view(job))) });
        self.commit(job, change, effects);
        friend
    }

    /// The job, if it is theirs; otherwise the request is answered as if there were none.
    pub(super) fn theirs(
        &mut self,
        request: Request,
        by: &Actor,
        id: JobId,
        effects: &mut Effects,
    ) -> Option<Box<Job>> {
        match self.jobs.get(&id) {
            Some(job) if by.knows(job) => self.take(id),
            Some(_) | None => {
                let detail = "there is no open job of yours with this id".to_owned();
                let answer = Answer::Refused { code: Code::NotFound, detail };
                // After what was recorded before: that the job is over may be among it.
                effects.commits.push(after_all(id, vec![Message::Answer { request, answer }]));
                None
            }
        }
    }

    pub(super) fn forget_keys(&mut self, now: Time) {
        while self.key_ages.front().is_some_and(|(at, _, _)| now.since(*at) > KEY_KEPT_MS) {
            if let Some((_, partner, key)) = self.key_ages.pop_front() {
                self.keys.remove(&(partner, key));
            }
        }
    }
}

/// A job that was just posted, before anything has happened to it.
pub(super) fn fresh(
    id: JobId,
    partner: PartnerSlug,
    terms: Terms,
    booking: Arc<Booking>,
    created_at: Time,
    now: Time,
) -> Job {
    let mut job = Job {
        id,
        partner,
        terms,
        booking,
        state: JobState::NeedsInfo,
        sequence: 0,
        attempt: 0,
        revision: 1,
        hand_backs: 0,
        created_at,
        expire_at: created_at,
        state_due: None,
        run: Run { started_at: now, wave: 0, next_wave_at: now, asked: 0, alarm_at: now },
        offers: Vec::new(),
        blocked: std::collections::BTreeSet::new(),
        visit: None,
        winner: None,
        reason: None,
        pause: None,
        vague: 0,
        undoable: Vec::new(),
        hold_until: None,
        talk: Talk::default(),
        claim: Arc::new(Claim::new()),
        standbys: Vec::new(),
        aside: Vec::new(),
        settled: false,
    };
    job.expire_at = expire_at(&job);
    // Until the first run begins it is only known that there will be a hold.
    job.hold_until = job.booking.direct.map(|_| job.expire_at);
    job
}

/// When the job ends without a winner: after the plan's time, or with its last wish window.
pub(super) fn expire_at(job: &Job) -> Time {
    let plan = job.plan();
    if plan.expire_ms > 0 {
        return job.created_at + plan.expire_ms;
    }
    let end = job.booking.windows.iter().map(|window| window.to).max();
    // Urgent without a window that lies ahead: till the alarm has been heard.
    end.filter(|end| *end > job.created_at).unwrap_or(job.created_at + 2 * plan.alarm_ms)
}

/// A redispatch, or a job whose answers came late, has at least one round of waves before it expires.
pub(super) fn leave_a_round(job: &mut Job, now: Time) {
    let plan = job.plan();
    let round = plan.interval_ms * i64::from(plan.waves) + plan.alarm_ms;
    job.expire_at = job.expire_at.max(WaveClock::of(job).after(now, round));
}
