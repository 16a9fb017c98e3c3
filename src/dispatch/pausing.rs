//! Dispatch that is held: by ops, with a reason, or because friends find the job too vague, until its customer has said
//! more. The word is closed and the offers end; whoever goes on begins a new run, in which the same friends may be asked.

use kiez_protocol::friend::ClosedReason;
use kiez_protocol::ids::JobId;
use kiez_protocol::ops::AlarmKind;
use kiez_protocol::partner::JobState;
use kiez_protocol::time::Time;

use super::change::Change;
use super::claim::Closed;
use super::edges::Deed;
use super::effect::{Actor, Answer, Effects, Message};
use super::input::Request;
use super::job::{Aside, Job, Pause};
use super::nearest::Nearby;
use super::posting::leave_a_round;
use super::silence::takes_accepts;
use super::{Dispatcher, card};

/// A paused job is shown to ops after this, and again, ms (rules of the trade, §3).
const ALARM_MS: i64 = 24 * 3_600_000;
/// Why a job waits for its customer, as its partner reads it.
const TOO_VAGUE: &str = "too_vague";

impl Dispatcher {
    pub(super) fn paused(
        &mut self,
        request: Request,
        by: Actor,
        id: JobId,
        reason: String,
        now: Time,
        effects: &mut Effects,
    ) {
        let Some(mut job) = self.theirs(request, &by, id, effects) else { return };
        if by.role().is_some_and(|role| Deed::Pause.may(job.state, role)) {
            self.hold_or_wait(&mut job, Some(request), by, Pause::Ops, Some(reason), now, effects);
        } else {
            self.refuse_state(&job, request, &by, effects);
        }
        self.put(job, now);
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one input, taken apart once")]
    pub(super) fn resumed(
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
        if by.role().is_some_and(|role| Deed::Resume.may(job.state, role)) {
            let mut change = Change::new(now);
            self.go_on(&mut job, &mut change, by, Some(reason), nearby);
            change.then.push(Message::Answer { request, answer: Answer::Job(Box::new(card::view(&job))) });
            self.commit(&job, change, effects);
        } else {
            self.refuse_state(&job, request, &by, effects);
        }
        self.put(job, now);
    }

    /// Holds dispatch, or sets that aside when the word is taken: if that accept wins, there is nothing left to hold.
    #[expect(clippy::too_many_arguments, reason = "the fields of one input, taken apart once")]
    pub(super) fn hold_or_wait(
        &mut self,
        job: &mut Job,
        request: Option<Request>,
        by: Actor,
        pause: Pause,
        reason: Option<String>,
        now: Time,
        effects: &mut Effects,
    ) {
        if !takes_accepts(job) {
            if let Some(request) = request {
                self.refuse_state(job, request, &by, effects);
            }
            return;
        }
        if job.claim.close(Closed::Paused).is_err() {
            job.aside.push(Aside::Pause { request, by, pause, reason });
            return;
        }
        let mut change = Change::new(now);
        self.hold(job, &mut change, by, pause, reason);
        if let Some(request) = request {
            change.then.push(Message::Answer { request, answer: Answer::Job(Box::new(card::view(job))) });
        }
        self.commit(job, change, effects);
    }

    /// So many friends found it too vague that its customer is asked before anybody else is: whether that is so. Called
    /// where a friend has declined.
    pub(super) fn hold_if_vague(&mut self, job: &mut Job, change: &mut Change) -> bool {
        if job.vague < job.terms.community.policy.vague_max || !takes_accepts(job) {
            return false;
        }
        match job.claim.close(Closed::Paused) {
            Ok(()) => self.hold(job, change, Actor::System, Pause::Vague, Some(TOO_VAGUE.to_owned())),
            Err(_) => {
                let reason = Some(TOO_VAGUE.to_owned());
                job.aside.push(Aside::Pause { request: None, by: Actor::System, pause: Pause::Vague, reason });
            }
        }
        true
    }

    /// The word is closed: the offers end, and nobody is asked any more.
    fn hold(&mut self, job: &mut Job, change: &mut Change, by: Actor, pause: Pause, reason: Option<String>) {
        change.run_ended(job, JobState::Paused);
        job.pause = Some(pause);
        job.reason = by.shown(reason.as_deref(), "held_by_ops");
        job.state_due = Some(change.now + ALARM_MS);
        change.event(job, JobState::Paused, "paused", by, reason);
        self.close_offers(job, change, ClosedReason::Paused);
    }

    /// Dispatch goes on, with a run of its own and time for it.
    pub(super) fn go_on(
        &mut self,
        job: &mut Job,
        change: &mut Change,
        by: Actor,
        reason: Option<String>,
        nearby: &dyn Nearby,
    ) {
        (job.pause, job.reason, job.state_due, job.vague) = (None, None, None, 0);
        leave_a_round(job, change.now);
        change.event(job, JobState::Dispatching, "resumed", by, reason);
        self.start_run(job, change, nearby);
    }
}

/// A job has waited for a day: ops look.
pub(super) fn remind(job: &mut Job, change: &mut Change) {
    job.state_due = Some(change.now + ALARM_MS);
    change.event(job, JobState::Paused, "alarm", Actor::System, None);
    change.then.push(Message::Alarm { kind: AlarmKind::Paused, job: job.id, at: change.now });
}
