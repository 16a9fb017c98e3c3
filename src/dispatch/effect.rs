//! Everything the dispatcher can want done, a closed list: records for the ledger, messages that wait for them, and
//! messages that need none. Also what the ledger gives back: jobs and holdings as stored.

use std::collections::BTreeMap;
use std::sync::Arc;

use kiez_protocol::audit::{AuditRole, SubjectKind};
use kiez_protocol::directory::Language;
use kiez_protocol::friend::{Duty, FriendMessage, ToldVerdict};
use kiez_protocol::ids::{CommunitySlug, FriendId, JobId, Key, OfferId, PartnerSlug, SessionId};
use kiez_protocol::ops::{AlarmKind, JobDot, RaceView};
use kiez_protocol::partner::{JobState, JobView};
use kiez_protocol::place::Cell;
use kiez_protocol::refusal::Code;
use kiez_protocol::time::Time;
use serde::{Deserialize, Serialize};

use super::caps::Taken;
use super::claim::{Claim, Seat};
use super::decision::Decision;
use super::input::{PartnerKey, Request, Terms};
use super::job::{Booking, Offer, Pause, Run, Undo, Visit};
use super::talk::Talk;
use super::trial::Trial;

/// What one input led to. Filled by the dispatcher, emptied by the engine.
#[derive(Debug, Default)]
pub struct Effects {
    /// Records, each with the messages that wait for its commit, in order.
    pub commits: Vec<Commit>,
    /// Messages that need no record: told at once.
    pub now: Vec<Message>,
}

/// A record and what is told when it is committed.
#[derive(Debug)]
pub struct Commit {
    /// What it is about; the ledger drops what follows a refused record of the same subject.
    pub subject: Subject,
    /// The record. Without one the messages wait for what was recorded before.
    pub record: Option<Record>,
    /// Told after the commit, in order.
    pub then: Vec<Message>,
}

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A job.
    Job(JobId),
    /// A friend's duty.
    Friend(FriendId),
    /// The waitlist.
    Waitlist,
    /// The audit log alone.
    Audit,
}

/// One record: all rows of one decision, committed together.
#[derive(Clone, Debug)]
pub enum Record {
    /// A job has changed.
    Job(Box<JobRecord>),
    /// A friend went on duty or off.
    Duty(DutyRow),
    /// A job was wanted where its community does not serve yet.
    Waitlist(WaitRow),
    /// Something was done that changes nothing but must be known: a search by name, say.
    Audit(AuditRow),
}

/// The rows of one change of a job.
#[derive(Clone, Debug)]
pub struct JobRecord {
    /// The job itself: inserted or replaced.
    pub job: JobRow,
    /// What was booked, when it is new or was edited: inserted or replaced.
    pub booking: Option<Arc<Booking>>,
    /// Runs that have changed: inserted or replaced by (job, attempt).
    pub runs: Vec<RunRow>,
    /// Offers that have changed: inserted or replaced by id.
    pub offers: Vec<Offer>,
    /// Visits that have changed: inserted or replaced by (job, attempt).
    pub visits: Vec<Visit>,
    /// What happened: inserted.
    pub events: Vec<EventRow>,
    /// Choices made: inserted.
    pub decisions: Vec<Decision>,
    /// The idempotency key of the post: inserted.
    pub key: Option<PartnerKey>,
    /// What was said: questions and proposals inserted or replaced, messages inserted.
    pub talk: Talk,
    /// What ops did, and why: inserted.
    pub audit: Vec<AuditRow>,
}

/// A job's row.
#[derive(Clone, Debug)]
pub struct JobRow {
    /// The id.
    pub id: JobId,
    /// Whose.
    pub partner: PartnerSlug,
    /// The partner's own reference.
    pub partner_ref: Option<String>,
    /// The terms: stored as slugs and versions, with the commission rule's id and basis points.
    pub terms: Terms,
    /// When it was posted.
    pub created_at: Time,
    /// When this row was written, by the dispatcher's clock.
    pub updated_at: Time,
    /// When something is due; every job that is not final has it.
    pub next_deadline: Option<Time>,
    /// The job as its partner sees it: what `GET /v1/jobs/{id}` answers.
    pub view: JobView,
    /// What `restore` needs besides the columns.
    pub progress: Progress,
}

/// What a job needs to go on after a restart, besides its typed columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// The run.
    pub run: Run,
    /// How often it was handed back.
    pub hand_backs: u8,
    /// When its present state runs out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_due: Option<Time>,
    /// Who is not asked again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocked: Vec<FriendId>,
    /// Why it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What dispatch waits for while it is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<Pause>,
    /// Friends who found it too vague since it was described last.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub vague: u8,
    /// Until when the friend whom the customer named is asked alone; over without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_until: Option<Time>,
    /// Declines that can still be taken back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undoable: Vec<Undo>,
}

fn is_zero(count: &u8) -> bool {
    *count == 0
}

/// A dispatch run's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRow {
    /// The attempt, from 1.
    pub attempt: u16,
    /// When it began.
    pub started_at: Time,
    /// Waves opened.
    pub waves: u8,
    /// Friends asked.
    pub asked: u16,
    /// When it ended, if it has.
    pub ended_at: Option<Time>,
    /// The state in which it ended: assigned, cancelled, expired; a later hand-back leaves it as it is.
    pub end: Option<JobState>,
}

/// An event: one transition, once. The events of a job replay to its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    /// Grows with each event of the job, from 1.
    pub sequence: u32,
    /// The state before; none for the first.
    pub from: Option<JobState>,
    /// The state after.
    pub to: JobState,
    /// What happened: `posted`, `wave_opened`, `offer_declined`, `assigned`.
    pub kind: &'static str,
    /// Who did it.
    pub actor: Actor,
    /// Why.
    pub reason: Option<String>,
    /// The server's time.
    pub at: Time,
    /// The client's time, if it sent one.
    pub client_at: Option<Time>,
}

/// Who did something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The server: a timer.
    System,
    /// A partner.
    Partner(PartnerSlug),
    /// A friend.
    Friend(FriendId),
    /// The customer of the job, by their link.
    Customer,
    /// Somebody of ops. What they do to a job lands in the audit log with it.
    Ops(By),
}

/// A friend's duty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DutyRow {
    /// Who.
    pub friend: FriendId,
    /// On, and until when.
    pub duty: Duty,
    /// When it was changed.
    pub at: Time,
    /// When they were first on duty, if they ever were: since then a newcomer waits.
    pub first_on: Option<Time>,
}

/// A job that was wanted outside of its community's area. Counted by community and cell; nothing else is kept of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitRow {
    /// Whose area.
    pub community: CommunitySlug,
    /// Where, of resolution 7: about five square kilometres.
    pub cell: Cell,
    /// When.
    pub at: Time,
}

/// Who asks for a change, as the audit log will have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct By {
    /// The name in an ops token, a friend's id, a partner's slug; 1 to 200 characters.
    pub actor: String,
    /// As whom.
    pub role: AuditRole,
    /// When they asked, by the server's clock.
    pub at: Time,
}

impl By {
    /// What they did, without a reason and details.
    pub fn did(&self, action: &'static str, subject_kind: SubjectKind, subject: impl ToString) -> AuditRow {
        AuditRow {
            at: self.at,
            actor: self.actor.clone(),
            role: self.role,
            action,
            subject_kind,
            subject: subject.to_string(),
            reason: None,
            details: BTreeMap::new(),
        }
    }
}

/// An entry of the audit log. It is written in the commit of what it tells of, so that neither is there without the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    /// When.
    pub at: Time,
    /// Who: the name in an ops token, a friend's id, a partner's slug.
    pub actor: String,
    /// As whom.
    pub role: AuditRole,
    /// What was done: `friend_suspended`, `job_paused`.
    pub action: &'static str,
    /// To what kind of thing.
    pub subject_kind: SubjectKind,
    /// To which.
    pub subject: String,
    /// Why, as it was written.
    pub reason: Option<String>,
    /// What else there is to know. Never a name, number or address of a person.
    pub details: BTreeMap<&'static str, String>,
}

impl AuditRow {
    /// With the reason they gave.
    pub fn because(mut self, reason: &str) -> AuditRow {
        self.reason = Some(reason.to_owned());
        self
    }

    /// With one more detail: a word or a number, never a name, number or address of a person.
    pub fn with(mut self, name: &'static str, value: impl ToString) -> AuditRow {
        self.details.insert(name, value.to_string());
        self
    }
}

/// An offer in a friend's hand, with the word an accept takes.
#[derive(Clone, Debug)]
pub struct InHand {
    /// The offer.
    pub offer: OfferId,
    /// Its job.
    pub job: JobId,
    /// The word of its attempt and revision.
    pub claim: Arc<Claim>,
    /// Its seat on that word.
    pub seat: Seat,
    /// The revision offered.
    pub revision: u32,
}

/// Something to be told or done outside, a closed list.
#[derive(Debug)]
pub enum Message {
    /// A message to a friend's live session, if there is one.
    Friend {
        /// To whom.
        friend: FriendId,
        /// What.
        message: FriendMessage,
    },
    /// Puts an offer into a friend's hand or replaces its word.
    Hold {
        /// Whose hand.
        friend: FriendId,
        /// The offer.
        in_hand: InHand,
    },
    /// Takes an offer out of a friend's hand.
    Release {
        /// Whose hand.
        friend: FriendId,
        /// The offer.
        offer: OfferId,
    },
    /// The snapshot a session waits for. It replaces the hand as well.
    Snapshot {
        /// Whose.
        friend: FriendId,
        /// Which session; another has taken its place if it is gone.
        session: SessionId,
        /// The language of its texts: with it the snapshot can be asked for anew.
        language: Language,
        /// What is open.
        snapshot: Box<kiez_protocol::friend::Snapshot>,
        /// The hand.
        hand: Vec<InHand>,
    },
    /// A friend's duty is now this: the roster and the session act on it.
    Duty {
        /// Whose.
        friend: FriendId,
        /// The duty.
        duty: Duty,
    },
    /// The answer to a request.
    Answer {
        /// Which request.
        request: Request,
        /// The answer.
        answer: Answer,
    },
    /// A win is committed: the word is settled, and the dispatcher hears it as `Input::Settled`.
    Settle {
        /// Which job.
        job: JobId,
        /// In which attempt.
        attempt: u16,
        /// The word.
        claim: Arc<Claim>,
        /// The winner's seat.
        seat: Seat,
    },
    /// An accept for an offer the dispatcher no longer holds: the ledger knows the verdict.
    LookUp {
        /// Who asks.
        friend: FriendId,
        /// Which offer.
        offer: OfferId,
        /// The accept's key.
        key: Key,
    },
    /// The map: a job has changed.
    JobSeen(JobDot),
    /// The map: a race was won.
    RaceWon(RaceView),
    /// The map: whether a friend has a free place and room in the hand.
    Availability {
        /// Who.
        friend: FriendId,
        /// Free.
        free: bool,
    },
    /// Ops should look.
    Alarm {
        /// What.
        kind: AlarmKind,
        /// On which job.
        job: JobId,
        /// Since when.
        at: Time,
    },
}

/// The answer to a partner's request.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The job is posted.
    Posted(Box<JobView>),
    /// The key was used before with the same body: the stored answer is repeated.
    Repeated {
        /// The job it made.
        job: JobId,
    },
    /// What would be.
    Tried(Box<Trial>),
    /// The job as it is now.
    Job(Box<JobView>),
    /// The job's state does not allow it.
    WrongState {
        /// Where it stands.
        state: JobState,
        /// What the same person may do there, by the names on the wire.
        allowed: Vec<&'static str>,
    },
    /// No.
    Refused {
        /// Why.
        code: Code,
        /// In words.
        detail: String,
    },
}

/// An open job as the ledger has it.
#[derive(Clone, Debug)]
pub struct StoredJob {
    /// The row.
    pub row: JobRow,
    /// What was booked.
    pub booking: Arc<Booking>,
    /// All its offers, by seat.
    pub offers: Vec<Offer>,
    /// Its newest visit.
    pub visit: Option<Visit>,
    /// What was said about it, each in its order.
    pub talk: Talk,
}

/// Everything `restore` needs.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// Jobs that are not final.
    pub jobs: Vec<StoredJob>,
    /// Friends on duty.
    pub duties: Vec<DutyRow>,
    /// Idempotency keys of the last seven days.
    pub keys: Vec<StoredKey>,
    /// Wins of the last 24 hours, as their friends were told. Not for the dispatcher, which knows its jobs.
    pub verdicts: Vec<(FriendId, ToldVerdict)>,
    /// Jobs of the last year that are held or were done.
    pub taken: Vec<TakenRow>,
    /// Contact breaches whose cool-down may not be over.
    pub breaches: Vec<BreachRow>,
    /// Since when each friend waits for an offer, and how many they had of late.
    pub waiting: Vec<WaitingRow>,
}

/// Since when a friend waits for an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingRow {
    /// Who.
    pub friend: FriendId,
    /// When they were first on duty, if they ever were.
    pub first_duty: Option<Time>,
    /// Off duty since then; none while on duty.
    pub off_since: Option<Time>,
    /// When they were last offered anything, if they ever were.
    pub last_offer: Option<Time>,
    /// How many offers they had on each day, counted as [`super::fairness::day`] does, ascending.
    pub by_day: Vec<(i64, u32)>,
}

impl WaitingRow {
    /// A friend of whom nothing is known yet.
    pub fn of(friend: FriendId) -> WaitingRow {
        WaitingRow { friend, first_duty: None, off_since: None, last_offer: None, by_day: Vec::new() }
    }
}

/// A job that counts towards a friend's caps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TakenRow {
    /// Whose.
    pub friend: FriendId,
    /// The job.
    pub taken: Taken,
}

/// A friend who let the contact clock run out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreachRow {
    /// Who.
    pub friend: FriendId,
    /// Asked for nothing until then.
    pub cool_until: Time,
}

/// An idempotency key and the job it made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredKey {
    /// Whose.
    pub partner: PartnerSlug,
    /// The key with its body's hash.
    pub key: PartnerKey,
    /// The job.
    pub job: JobId,
    /// When it was used.
    pub at: Time,
}
