//! What one input changes about one job, gathered while it is decided and turned into one record at the end.

use std::collections::BTreeSet;

use kiez_protocol::audit::SubjectKind;
use kiez_protocol::friend::{ClosedReason, FriendMessage};
use kiez_protocol::ids::{FriendId, OfferId};
use kiez_protocol::partner::JobState;
use kiez_protocol::time::Time;

use super::Dispatcher;
use super::card;
use super::decision::Decision;
use super::effect::{
    Actor, AuditRow, Commit, Effects, EventRow, JobRecord, JobRow, Message, Progress, Record, RunRow, Subject,
};
use super::input::PartnerKey;
use super::job::{Job, OfferState, Visit};
use super::proposing;
use super::talk::Talk;

/// The rows and messages of one change of one job.
#[derive(Debug)]
pub struct Change {
    /// The dispatcher's clock.
    pub now: Time,
    events: Vec<EventRow>,
    offers: BTreeSet<usize>,
    visits: Vec<Visit>,
    runs: Vec<RunRow>,
    /// The booking is new or was edited.
    pub booking: bool,
    /// Choices made.
    pub decisions: Vec<Decision>,
    /// The key of the post.
    pub key: Option<PartnerKey>,
    /// What was said.
    pub talk: Talk,
    /// What ops did.
    pub audit: Vec<AuditRow>,
    /// Told after the commit.
    pub then: Vec<Message>,
}

impl Change {
    /// Nothing has changed yet.
    pub fn new(now: Time) -> Change {
        Change {
            now,
            events: Vec::new(),
            offers: BTreeSet::new(),
            visits: Vec::new(),
            runs: Vec::new(),
            booking: false,
            decisions: Vec::new(),
            key: None,
            talk: Talk::default(),
            audit: Vec::new(),
            then: Vec::new(),
        }
    }

    /// Moves the job to a state (or stays there) and notes it as one event.
    pub fn event(&mut self, job: &mut Job, to: JobState, kind: &'static str, actor: Actor, reason: Option<String>) {
        let from = (job.sequence > 0).then_some(job.state);
        job.sequence += 1;
        job.state = to;
        let (sequence, at) = (job.sequence, self.now);
        if let Actor::Ops(by) = &actor {
            let entry = by.did(audited(kind), SubjectKind::Job, job.id).with("state", to).with("attempt", job.attempt);
            self.audit.push(AuditRow { reason: reason.clone(), ..entry });
        }
        self.events.push(EventRow { sequence, from, to, kind, actor, reason, at, client_at: None });
    }

    /// The client's own time of the last event.
    pub fn client_at(&mut self, at: Option<Time>) {
        if let Some(event) = self.events.last_mut() {
            event.client_at = at;
        }
    }

    /// The offer at `index` has changed.
    pub fn offer(&mut self, index: usize) {
        self.offers.insert(index);
    }

    /// The visit has changed.
    pub fn visit(&mut self, visit: &Visit) {
        self.visits.push(visit.clone());
    }

    /// The run has ended, in `end`.
    pub fn run_ended(&mut self, job: &Job, end: JobState) {
        self.runs.push(run_row(job, Some((self.now, end))));
    }

    /// A message to a friend, after the commit.
    pub fn tell(&mut self, friend: FriendId, message: FriendMessage) {
        self.then.push(Message::Friend { friend, message });
    }

    /// Unsays that an offer closes: it lives on after all. Whether that was to be told.
    pub fn unsay_closing(&mut self, id: OfferId) -> bool {
        let before = self.then.len();
        self.then.retain(|message| match message {
            Message::Release { offer, .. } => *offer != id,
            Message::Friend { message: FriendMessage::OfferClosed { offer, .. }, .. } => *offer != id,
            _ => true,
        });
        self.then.len() < before
    }

    fn is_empty(&self) -> bool {
        self.events.is_empty()
            && self.offers.is_empty()
            && self.visits.is_empty()
            && !self.booking
            && self.talk.is_empty()
    }
}

/// What the audit log calls an event of a job that ops have made.
fn audited(kind: &'static str) -> &'static str {
    match kind {
        "posted" => "job_posted",
        "paused" => "job_paused",
        "resumed" => "job_resumed",
        "assigned_by_ops" => "job_assigned",
        "redispatched" => "job_redispatched",
        "cancelled" => "job_cancelled",
        _ => "job_changed",
    }
}

fn run_row(job: &Job, ended: Option<(Time, JobState)>) -> RunRow {
    RunRow {
        attempt: job.attempt,
        started_at: job.run.started_at,
        waves: job.run.wave,
        asked: job.run.asked,
        ended_at: ended.map(|(at, _)| at),
        end: ended.map(|(_, end)| end),
    }
}

impl Dispatcher {
    /// Turns a change into a record with the messages that wait for it, and sets the job's deadline.
    pub(super) fn commit(&mut self, job: &Job, mut change: Change, effects: &mut Effects) {
        let subject = Subject::Job(job.id);
        if change.is_empty() {
            if !change.then.is_empty() {
                effects.commits.push(Commit { subject, record: None, then: change.then });
            }
            return;
        }
        let present = change.runs.iter().any(|run| run.attempt == job.attempt);
        if job.attempt > 0 && !present && matches!(job.state, JobState::Dispatching | JobState::Unfilled) {
            change.runs.push(run_row(job, None));
        }
        change.then.push(Message::JobSeen(card::dot(job, |offer| self.cells.get(&offer.id).map(ToString::to_string))));
        let row = JobRow {
            id: job.id,
            partner: job.partner.clone(),
            partner_ref: job.booking.partner_ref.clone(),
            terms: job.terms.clone(),
            created_at: job.created_at,
            updated_at: change.now,
            next_deadline: self.deadline(job, change.now),
            view: card::view(job),
            progress: Progress {
                run: job.run.clone(),
                hand_backs: job.hand_backs,
                state_due: job.state_due,
                blocked: job.blocked.iter().copied().collect(),
                reason: job.reason.clone(),
                pause: job.pause,
                vague: job.vague,
                hold_until: job.hold_until,
                undoable: job.undoable.clone(),
            },
        };
        assert!(is_final(job.state) || row.next_deadline.is_some(), "a job that is not final has a next deadline");
        let record = JobRecord {
            job: row,
            booking: change.booking.then(|| job.booking.clone()),
            runs: change.runs,
            offers: change.offers.iter().map(|index| job.offers[*index].clone()).collect(),
            visits: change.visits,
            events: change.events,
            decisions: change.decisions,
            key: change.key,
            talk: change.talk,
            audit: change.audit,
        };
        effects.commits.push(Commit { subject, record: Some(Record::Job(Box::new(record))), then: change.then });
    }

    /// Closes the live offer at `index` and takes it out of the friend's hand. Tells the friend, after the commit.
    pub(super) fn close_offer(&mut self, job: &mut Job, change: &mut Change, index: usize, reason: ClosedReason) {
        let offer = &mut job.offers[index];
        assert_eq!(offer.state, OfferState::Live, "an offer is closed once");
        offer.state = OfferState::Closed(reason);
        let (friend, id) = (offer.friend, offer.id);
        change.offer(index);
        self.capacity.drop(friend, id);
        self.cells.remove(&id);
        self.availability(friend, change);
        change.then.push(Message::Release { friend, offer: id });
        // Who has proposed another time hears what came of it; who said no, or yes, knows.
        if !matches!(reason, ClosedReason::Won | ClosedReason::Declined)
            && let Some(verdict) = proposing::lost(job, index)
        {
            change.tell(friend, verdict);
        }
        match reason {
            // The verdict says it.
            ClosedReason::Won | ClosedReason::Capacity => {}
            ClosedReason::Taken
            | ClosedReason::Cancelled
            | ClosedReason::Expired
            | ClosedReason::Superseded
            | ClosedReason::Paused
            | ClosedReason::Declined
            | ClosedReason::HandedBack => change.tell(friend, FriendMessage::OfferClosed { offer: id, reason }),
        }
    }

    /// Closes every live offer.
    pub(super) fn close_offers(&mut self, job: &mut Job, change: &mut Change, reason: ClosedReason) {
        for index in 0..job.offers.len() {
            if job.offers[index].state == OfferState::Live {
                self.close_offer(job, change, index, reason);
            }
        }
    }

    /// Tells the map whether a friend is free.
    pub(super) fn availability(&self, friend: FriendId, change: &mut Change) {
        change.then.push(self.available(friend));
    }

    /// Whether a friend is free, as the map hears it.
    pub(super) fn available(&self, friend: FriendId) -> Message {
        let free = self.capacity.of(friend).is_none_or(|load| load.held.is_empty() && load.hand.is_empty());
        Message::Availability { friend, free }
    }
}

/// Whether nothing more can happen to a job in this state.
pub fn is_final(state: JobState) -> bool {
    match state {
        JobState::Cancelled | JobState::Expired | JobState::Closed | JobState::Refunded => true,
        JobState::NeedsInfo
        | JobState::Dispatching
        | JobState::Paused
        | JobState::Unfilled
        | JobState::Assigned
        | JobState::Contacted
        | JobState::Appointed
        | JobState::OnTheWay
        | JobState::InProgress
        | JobState::Done
        | JobState::Unsuccessful
        | JobState::Confirmed
        | JobState::Disputed => false,
    }
}
