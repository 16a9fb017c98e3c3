//! What the winner does: contact the customer, do the work, or hand the job back. And the clocks that run meanwhile.

use kiez_protocol::friend::{ClosedReason, FriendMessage, VisitEvent};
use kiez_protocol::ids::{FriendId, JobId, Key};
use kiez_protocol::ops::AlarmKind;
use kiez_protocol::partner::JobState;
use kiez_protocol::refusal::Code;
use kiez_protocol::time::Time;

use super::change::Change;
use super::effect::{Actor, Effects, Message};
use super::hand::{after_all, refused};
use super::job::{Ended, Job, OfferState, VisitEnd};
use super::nearest::Nearby;
use super::verdict::behind_verdict;
use super::{Dispatcher, answers, card, is_final, pausing, posting};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Without an appointment or a word this long after the contact, ops look (rules of the trade, §3).
const STALLED_MS: i64 = 72 * HOUR_MS;
/// The customer's silence confirms after this.
const CONFIRM_MS: i64 = 72 * HOUR_MS;
/// The customer may dispute this long after the job was done.
const DISPUTE_MS: i64 = 14 * DAY_MS;

/// A step a friend reports.
#[derive(Debug)]
pub(super) struct Step {
    pub friend: FriendId,
    pub job: JobId,
    pub event: VisitEvent,
    pub key: Key,
    pub at: Option<Time>,
    pub reason: Option<String>,
}

impl Dispatcher {
    pub(super) fn visited(&mut self, step: Step, now: Time, nearby: &dyn Nearby, effects: &mut Effects) {
        let friend = step.friend;
        // Theirs now, or once: the step may come again after a lost answer.
        let theirs = self.jobs.get(&step.job).is_some_and(|job| {
            let won = OfferState::Closed(ClosedReason::Won);
            job.offers.iter().any(|offer| offer.friend == friend && offer.state == won)
        });
        let Some(mut job) = theirs.then(|| self.take(step.job)).flatten() else {
            let message = refused(Code::NotFound, Some(step.key), None, Some(step.job));
            // After what was recorded before: that the job is over may be among it.
            effects.commits.push(after_all(step.job, vec![Message::Friend { friend, message }]));
            return;
        };
        let done = Message::Friend { friend, message: FriendMessage::Done { key: step.key } };
        let mut change = Change::new(now);
        let active = job.holder() == Some(friend);
        match (step.event, job.state) {
            (VisitEvent::Contacted, JobState::Assigned) if active => {
                change.event(&mut job, JobState::Contacted, "contacted", Actor::Friend(friend), None);
                job.state_due = Some(now + STALLED_MS);
            }
            (VisitEvent::Completed, JobState::Contacted) if active => {
                change.event(&mut job, JobState::Done, "completed", Actor::Friend(friend), None);
                job.state_due = Some(now + CONFIRM_MS);
                self.end_visit(&mut job, &mut change, VisitEnd::Done);
            }
            (VisitEvent::HandBack, JobState::Assigned | JobState::Contacted) if active => {
                self.hand_back(&mut job, &mut change, Actor::Friend(friend), step.reason.clone(), nearby);
            }
            // The same step again, after a lost answer.
            (VisitEvent::Contacted, JobState::Contacted | JobState::Done) | (VisitEvent::Completed, JobState::Done)
                if job.visit.as_ref().is_some_and(|visit| visit.friend == friend) => {}
            (VisitEvent::HandBack, _) if !active && job.blocked.contains(&friend) => {}
            (VisitEvent::Contacted | VisitEvent::Completed | VisitEvent::HandBack, _) => {
                let allowed = if active { card::allowed(job.state) } else { &[] };
                let message = FriendMessage::Error {
                    code: Code::WrongState,
                    key: Some(step.key),
                    offer: None,
                    job: Some(job.id),
                    message_key: "error.wrong_state".to_owned(),
                    allowed: allowed.iter().map(|event| event.as_str().to_owned()).collect(),
                };
                effects.commits.push(after_all(job.id, vec![Message::Friend { friend, message }]));
                self.put(job, now);
                return;
            }
        }
        change.client_at(step.at);
        change.then.insert(0, done);
        self.tell_holder(&job, friend, &mut change);
        self.commit(&job, change, effects);
        self.put(job, now);
        self.consider(friend, now, nearby, effects);
    }

    /// The friend's card of the job, as it is now.
    pub(super) fn tell_holder(&self, job: &Job, friend: FriendId, change: &mut Change) {
        if let Some(visit) = job.visit.as_ref().filter(|visit| visit.friend == friend) {
            let card = Box::new(card::job(job, visit, self.language(friend)));
            change.tell(friend, FriendMessage::Job(card));
        }
    }

    /// Frees the winner's place; what was not done counts no more. The friend, if there was one.
    pub(super) fn end_visit(&mut self, job: &mut Job, change: &mut Change, how: VisitEnd) -> Option<FriendId> {
        let visit = job.visit.as_mut().filter(|visit| visit.active)?;
        visit.active = false;
        visit.ended = Some(Ended { at: change.now, how });
        let friend = visit.friend;
        change.visit(visit);
        self.capacity.free(friend, job.id);
        match how {
            VisitEnd::Done => {}
            VisitEnd::HandedBack | VisitEnd::Cancelled => self.capacity.uncount(friend, job.id),
            VisitEnd::NoContact { cool_until } => {
                self.capacity.uncount(friend, job.id);
                self.capacity.cool(friend, cool_until);
            }
        }
        self.availability(friend, change);
        Some(friend)
    }

    /// The winner cannot do it, or has not called: others are asked, this friend never again. The fourth time the job
    /// is unfilled and ops decide.
    fn hand_back(
        &mut self,
        job: &mut Job,
        change: &mut Change,
        actor: Actor,
        reason: Option<String>,
        nearby: &dyn Nearby,
    ) -> Option<FriendId> {
        job.state_due = None;
        let cool_until = change.now + job.terms.community.policy.cool_down_ms;
        let (kind, how) = match actor {
            Actor::System => ("no_contact", VisitEnd::NoContact { cool_until }),
            Actor::Partner(_) | Actor::Friend(_) | Actor::Customer | Actor::Ops(_) => {
                ("handed_back", VisitEnd::HandedBack)
            }
        };
        let friend = self.end_visit(job, change, how);
        // Who waited behind a win that was told belongs to the attempt that ends here.
        change.then.extend(std::mem::take(&mut job.standbys).iter().map(|standby| behind_verdict(job, standby)));
        job.blocked.extend(friend);
        job.hand_backs = job.hand_backs.saturating_add(1);
        job.winner = None;
        change.event(job, JobState::Dispatching, kind, actor, reason);
        posting::leave_a_round(job, change.now);
        if job.hand_backs > job.terms.community.policy.hand_backs_max {
            self.stand_unfilled(job, change, nearby);
        } else {
            self.start_run(job, change, nearby);
        }
        friend
    }

    /// Something of this job is due.
    pub(super) fn due(&mut self, id: JobId, now: Time, nearby: &dyn Nearby, effects: &mut Effects) {
        let Some(mut job) = self.take(id) else { return };
        let mut change = Change::new(now);
        let mut freed = None;
        match job.state {
            JobState::Dispatching | JobState::Unfilled => self.open_job_due(&mut job, &mut change, nearby),
            JobState::NeedsInfo => answers::remind(&mut job, &mut change),
            JobState::Paused => pausing::remind(&mut job, &mut change),
            JobState::Assigned => {
                change.then.push(Message::Alarm { kind: AlarmKind::ContactBreach, job: id, at: now });
                freed = self.hand_back(&mut job, &mut change, Actor::System, None, nearby);
                if let Some(friend) = freed {
                    self.tell_holder(&job, friend, &mut change);
                }
            }
            JobState::Contacted | JobState::Appointed | JobState::OnTheWay | JobState::InProgress => {
                job.state_due = Some(now + DAY_MS);
                let state = job.state;
                change.event(&mut job, state, "stalled", Actor::System, None);
                change.then.push(Message::Alarm { kind: AlarmKind::Stalled, job: id, at: now });
            }
            JobState::Done => {
                job.state_due = Some(now + DISPUTE_MS - CONFIRM_MS);
                change.event(&mut job, JobState::Confirmed, "confirmed", Actor::System, None);
            }
            JobState::Confirmed | JobState::Unsuccessful | JobState::Disputed => {
                job.state_due = None;
                change.event(&mut job, JobState::Closed, "closed", Actor::System, None);
            }
            JobState::Cancelled | JobState::Expired | JobState::Closed | JobState::Refunded => {}
        }
        self.commit(&job, change, effects);
        self.put(job, now);
        if let Some(friend) = freed {
            self.consider(friend, now, nearby, effects);
        }
    }

    /// When something of this job is due next.
    pub(super) fn deadline(&self, job: &Job, now: Time) -> Option<Time> {
        match job.state {
            JobState::Dispatching | JobState::Unfilled => Some(self.open_deadline(job, now)),
            JobState::NeedsInfo
            | JobState::Paused
            | JobState::Assigned
            | JobState::Contacted
            | JobState::Appointed
            | JobState::OnTheWay
            | JobState::InProgress
            | JobState::Done
            | JobState::Unsuccessful
            | JobState::Confirmed
            | JobState::Disputed => job.state_due,
            JobState::Cancelled | JobState::Expired | JobState::Closed | JobState::Refunded => {
                assert!(is_final(job.state), "only a final job has no deadline");
                None
            }
        }
    }
}
