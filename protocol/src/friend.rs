//! The friend socket, `GET /v1/friend` with the subprotocol `kiez.v1`: text frames, one JSON object each.
//!
//! The first frame is [`FriendFrame::Hello`]; the answer is [`FriendMessage::Welcome`] and a
//! [`FriendMessage::Snapshot`]. Messages that are owed carry a `seq`, which the app acknowledges; an offer that is not
//! acknowledged in time counts as undelivered, and the next friend is asked.

use serde::{Deserialize, Serialize};

use crate::directory::Language;
use crate::gate::Gate;
use crate::ids::{CommunitySlug, FriendId, JobId, Key, OfferId, PackageSlug, SessionId};
use crate::money::{Money, PaymentMethod};
use crate::partner::{Address, Answers, Customer, JobState, Window};
use crate::people::{RefusedSetting, Settings};
use crate::place::Point;
use crate::profile::{Account, Cap};
use crate::refusal::Code;
use crate::talk::{AskedView, JobMessage, ProposalView};
use crate::time::Time;

/// A frame from the app to the server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FriendFrame {
    /// The first frame, within five seconds.
    Hello {
        /// The friend's token.
        token: String,
        /// The language of texts.
        #[serde(default)]
        language: Language,
        /// The app's name and version, at most 100 characters.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        app: Option<String>,
        /// The session to resume.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session: Option<SessionId>,
        /// The newest `seq` seen in that session.
        #[serde(default)]
        last_seq: u64,
    },
    /// Go on duty or off.
    Duty {
        /// On or off.
        on: bool,
        /// On until then; without it until off.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Time>,
        /// Answered by `done` with the same key.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<Key>,
    },
    /// Where the friend is. Taken only on duty and on the way.
    Fix {
        /// Latitude, −90 to 90 degrees.
        #[cfg_attr(feature = "schemas", schemars(range(min = -90.0, max = 90.0)))]
        lat: f64,
        /// Longitude, −180 to 180 degrees.
        #[cfg_attr(feature = "schemas", schemars(range(min = -180.0, max = 180.0)))]
        lng: f64,
        /// Radius of uncertainty in metres, not negative; fixes worse than 500 m are not used.
        #[cfg_attr(feature = "schemas", schemars(range(min = 0.0)))]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        accuracy_m: Option<f64>,
        /// When it was measured; only orders fixes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<Time>,
    },
    /// The offer was shown to the person.
    Seen {
        /// Which offer.
        offer: OfferId,
    },
    /// Take the job. The first of the holders gets it.
    Accept {
        /// Which offer.
        offer: OfferId,
        /// The revision the person saw, from 1.
        revision: u32,
        /// Made by the app and kept until a verdict.
        key: Key,
    },
    /// Leave the job to others. Free, without penalty.
    Decline {
        /// Which offer.
        offer: OfferId,
        /// Why.
        reason: DeclineReason,
        /// Answered by `done` with the same key.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<Key>,
    },
    /// Take a decline back, within the time the community's policy gives for it (30 s).
    Undo {
        /// Which offer.
        offer: OfferId,
        /// Answered by `done` with the same key.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<Key>,
    },
    /// Ask the customer something before saying yes. The reply goes to all who hold an offer.
    Ask {
        /// About which offer.
        offer: OfferId,
        /// The question, 1 to 300 characters.
        #[cfg_attr(
            feature = "schemas",
            schemars(length(min = 1, max = 300), regex(pattern = r"^[^\x00]*\S[^\x00]*$"))
        )]
        text: String,
        /// Answered by `done` with the same key.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<Key>,
    },
    /// Propose another time. The customer may confirm it while nobody has accepted; then it is won like an accept.
    Propose {
        /// Under which offer.
        offer: OfferId,
        /// When the friend could come, 1 to 3 windows.
        #[cfg_attr(feature = "schemas", schemars(length(min = 1, max = 3)))]
        windows: Vec<Window>,
        /// Answered by `done` with the same key, and by a verdict when it is confirmed or lost.
        key: Key,
    },
    /// Write to the customer of a job the friend holds, or was named for.
    Message {
        /// Which job.
        job: JobId,
        /// The message, 1 to 1,000 characters.
        #[cfg_attr(
            feature = "schemas",
            schemars(length(min = 1, max = 1000), regex(pattern = r"^[^\x00]*\S[^\x00]*$"))
        )]
        text: String,
        /// Answered by `done` with the same key.
        key: Key,
    },
    /// Something happened on a job the friend holds.
    Visit {
        /// Which job.
        job: JobId,
        /// What.
        event: VisitEvent,
        /// Answered by `done` with the same key.
        key: Key,
        /// When it happened, if the frame was kept offline.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<Time>,
        /// Why, for `hand_back`; at most 300 characters.
        #[cfg_attr(feature = "schemas", schemars(length(max = 300), regex(pattern = r"^[^\x00]*$")))]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Which jobs near by went to others? Answered by `missed`.
    Missed {
        /// Since then, at most 30 days ago; without it 30 days.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since: Option<Time>,
    },
    /// Why not me? Answered by `why`.
    WhyNot {
        /// One of the ids in `missed`, as it came; at most 100 characters.
        #[cfg_attr(feature = "schemas", schemars(length(max = 100)))]
        missed: String,
    },
    /// Everything up to this `seq` has arrived. At most one a second.
    Ack {
        /// The newest `seq` that has arrived.
        seq: u64,
    },
    /// Are you there?
    Ping {
        /// Comes back in `pong`: a number of the app's own, such as its clock in ms.
        t: i64,
    },
    /// What the friend sets themselves. Answered by `settings_result` after the commit; one at a time.
    Settings {
        /// The fields that are set.
        #[serde(flatten)]
        settings: Box<Settings>,
        /// Comes back in `settings_result`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<Key>,
    },
    /// A new token for the running session.
    Refresh {
        /// The new token, of the same friend.
        token: String,
    },
}

/// The names of all frame types, for telling an unknown type from an unfit field.
pub const FRIEND_FRAME_TYPES: &[&str] = &[
    "hello", "duty", "fix", "seen", "accept", "decline", "undo", "ask", "propose", "message", "visit", "missed",
    "why_not", "ack", "ping", "settings", "refresh",
];

/// Why a friend declined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum DeclineReason {
    /// Too far away.
    TooFar,
    /// No time.
    NoTime,
    /// Not something they can do.
    Skill,
    /// The description is too vague.
    TooVague,
    /// Not for this money.
    Pay,
    /// Something else.
    Other,
}

/// What happened on a visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum VisitEvent {
    /// Friend and customer have spoken.
    Contacted,
    /// The work is done; the place is free again.
    Completed,
    /// Cannot do it after all; others are asked.
    HandBack,
}

impl VisitEvent {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            VisitEvent::Contacted => "contacted",
            VisitEvent::Completed => "completed",
            VisitEvent::HandBack => "hand_back",
        }
    }
}

/// A message as it travels: owed messages carry `seq`, passing ones do not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Envelope {
    /// Counts the owed messages of a session from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// The message.
    #[serde(flatten)]
    pub message: FriendMessage,
}

/// A message from the server to the friend. Ignore types you do not know.
#[expect(clippy::large_enum_variant, reason = "it lives from a decision to its commit, then it is text")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FriendMessage {
    /// The answer to `hello`.
    Welcome(Welcome),
    /// Everything that is open for this friend, unless the session was resumed.
    Snapshot(Snapshot),
    /// A job is offered.
    Offer(Offer),
    /// Something about an offer has changed.
    OfferUpdate(OfferUpdate),
    /// An offer is no longer open.
    OfferClosed {
        /// Which offer.
        offer: OfferId,
        /// Why.
        reason: ClosedReason,
    },
    /// The accept has arrived and waits for its commit; the verdict follows.
    AcceptPending {
        /// Which offer.
        offer: OfferId,
    },
    /// The verdict on an accept.
    AcceptResult {
        /// Which offer.
        offer: OfferId,
        /// The accept's key.
        key: Key,
        /// The verdict.
        result: Verdict,
        /// Why it is lost.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<LostReason>,
    },
    /// The full card of a job the friend has won; again after every change.
    Job(Box<JobCard>),
    /// The customer's reply to a question about a job of which this friend holds an offer, or which they hold.
    Answer {
        /// The job.
        job: JobId,
        /// Counts the questions of the job from 1.
        number: u16,
        /// The question.
        question: String,
        /// The reply, contact data filtered.
        text: String,
    },
    /// The customer writes.
    Message(JobMessage),
    /// The frame with this key has been committed.
    Done {
        /// The frame's key.
        key: Key,
    },
    /// A frame was refused.
    Error {
        /// Why.
        code: Code,
        /// The frame's key, if it had one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<Key>,
        /// The offer it was about.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        offer: Option<OfferId>,
        /// The job it was about.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        job: Option<JobId>,
        /// The key of the text for people.
        message_key: String,
        /// What would be allowed.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        allowed: Vec<String>,
    },
    /// The answer to `ping`.
    Pong {
        /// As it came.
        t: i64,
    },
    /// Your duty has changed, by you or by its own end.
    Duty(Duty),
    /// The token ends soon: send `refresh`.
    Expiring {
        /// When it ends.
        at: Time,
    },
    /// The new token is taken.
    Refreshed {
        /// When it ends.
        expires_at: Time,
    },
    /// Stop sending positions: they are dropped at the door.
    StopLocation,
    /// Duty ends soon.
    DutyEnding {
        /// When.
        at: Time,
    },
    /// 80 % or more of a cap is used, with the job just won.
    CapNear(CapNear),
    /// Jobs of your communities near by that others were asked for and you were not.
    Missed(Missed),
    /// Why you were not asked.
    Why(WhyNot),
    /// What became of `settings`, after the commit. What is accepted holds for the next choice.
    SettingsResult {
        /// The key of the frame.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<Key>,
        /// The fields that were taken.
        accepted: Vec<String>,
        /// The fields that were not; they stay as they were.
        refused: Vec<RefusedSetting>,
    },
    /// The friend's account is now this. Also after every `welcome` of a new session while it is not active.
    Account {
        /// Where it stands, with the reason of who decided it.
        account: Account,
    },
    /// The server is going down, or lets no more in just now.
    Draining {
        /// Come back after so many ms of real time: each friend is told another time, so that not all come at once.
        reconnect_in_ms: u32,
    },
}

/// The answer to `hello`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Welcome {
    /// This session, for resuming.
    pub session: SessionId,
    /// Whether the session named in `hello` goes on; else a snapshot follows.
    pub resumed: bool,
    /// The server's clock.
    pub server_time: Time,
    /// How many times faster the trade's time runs than the wall's: 1 but in development.
    pub time_scale: u32,
    /// The server pings at least this often, ms of real time.
    pub heartbeat_ms: u32,
    /// Who you are.
    pub friend: FriendId,
}

/// A friend's duty: what they intend, not whether they can be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Duty {
    /// On or off.
    pub on: bool,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
}

/// Everything that is open for a friend.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Snapshot {
    /// On duty or not.
    pub duty: Duty,
    /// Live offers.
    pub offers: Vec<Offer>,
    /// Jobs held.
    pub visits: Vec<JobCard>,
    /// Verdicts of the last 24 hours, oldest first, as far as the server remembers them: the newest few, and after a
    /// restart those that were won. An accept that is not named here is repeated to hear its verdict.
    #[serde(default)]
    pub verdicts: Vec<ToldVerdict>,
    /// The newest messages of each of these jobs, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<JobMessage>,
}

/// A verdict that was given before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct ToldVerdict {
    /// Which offer.
    pub offer: OfferId,
    /// The accept's key.
    pub key: Key,
    /// The verdict: `won` or `lost`, those that are final.
    pub result: Verdict,
    /// Why it is lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<LostReason>,
    /// When it was given.
    pub at: Time,
}

/// How much of a cap is used in its present month or year.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct CapNear {
    /// The cap.
    pub cap: Cap,
    /// Jobs held or done.
    pub jobs: u32,
    /// Their net pay in the cap's currency, if it limits income.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub income: Option<Money>,
}

/// A job as it is offered: no name, street or phone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Offer {
    /// The offer.
    pub offer: OfferId,
    /// The job.
    pub job: JobId,
    /// The version of the job that is offered; an accept names it.
    pub revision: u32,
    /// The dispatch run, from 1.
    pub attempt: u16,
    /// The wave, from 1.
    pub wave: u8,
    /// The seat in the wave, from 0.
    pub seat: u8,
    /// Whether this friend alone was named by the customer.
    pub direct: bool,
    /// When the offer ends.
    pub expires_at: Time,
    /// Whose job.
    pub community: CommunityName,
    /// What is to be done.
    pub package: PackageSlug,
    /// The package's title in the friend's language.
    pub title: String,
    /// Planned minutes on site, 5 to 480.
    pub duration_min: u16,
    /// Answers shown in the offer, contact data filtered.
    pub answers: Answers,
    /// When the customer has time.
    pub windows: Vec<Window>,
    /// The customer's language.
    pub language: Language,
    /// The H3 cell (resolution 8) of the place.
    pub cell: String,
    /// Postcode and city.
    pub district: String,
    /// Distance in metres, rounded half up to 50.
    pub distance_m: u32,
    /// What the customer pays.
    pub gross: Money,
    /// What the platform keeps.
    pub commission: Money,
    /// What the friend gets.
    pub net: Money,
    /// How it is paid.
    pub payment_method: PaymentMethod,
    /// Why this friend.
    pub why: Why,
    /// What was asked and has its reply.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub questions: Vec<AskedView>,
    /// What this friend has proposed, while it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposal: Option<ProposalView>,
    /// Frames the friend may send about it.
    pub allowed: Vec<String>,
}

/// A community's name and brand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct CommunityName {
    /// The name on the wire.
    pub slug: CommunitySlug,
    /// The brand.
    pub brand: String,
}

/// Why a friend got a seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Why {
    /// What gave the seat.
    pub reason: WhyReason,
    /// The rank among the suitable friends who had not been asked, from 1.
    pub rank: u16,
    /// The distance that ranked them, metres, rounded half up to 50.
    #[serde(default)]
    pub distance_m: u32,
    /// Of the fairness seat: how much longer than those around them they had waited for an offer, whole days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deficit_days: Option<u32>,
}

/// The answer to `missed`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Missed {
    /// The newest first, at most 50.
    pub jobs: Vec<MissedJob>,
}

/// A job for which a friend was not asked. It says neither whose nor where it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct MissedJob {
    /// Names it to this friend alone, and says nothing else.
    pub missed: String,
    /// When it was posted.
    pub at: Time,
    /// Whose.
    pub community: CommunitySlug,
    /// What was to be done.
    pub package: PackageSlug,
}

/// Why a friend was not asked for a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct WhyNot {
    /// Which, as it was asked.
    pub missed: String,
    /// The first gate that did not open, if one did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<Gate>,
    /// The rank among the suitable, from 1, if all gates opened and others came first. Without gate and rank the search
    /// had found enough friends nearer by, or did not know where this one stood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rank: Option<u16>,
    /// The key of the text for people: `why_not.` and the gate, `why_not.rank` or `why_not.beyond`.
    pub message_key: String,
    /// What stood on record.
    pub terms: WhyTerms,
}

/// The terms of a choice, as far as they concern the friend who asks. Nothing of the place, the customer or other friends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct WhyTerms {
    /// When the choice was made.
    pub at: Time,
    /// In which wave.
    pub wave: u8,
    /// How many seats were to be given.
    pub seats: u8,
    /// Nobody farther away was looked at, metres.
    pub cap_m: u32,
    /// How far away the friend stood, metres, rounded half up to 50; absent when they were not among those looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distance_m: Option<u32>,
    /// Everybody who was not looked at stood at least so far away, metres.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beyond_m: Option<u32>,
    /// How much longer than those around them the friend had waited for an offer, whole days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deficit_days: Option<u32>,
}

/// What gave a friend the seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum WhyReason {
    /// Among the nearest suitable friends.
    Nearest,
    /// The longest wait among those near.
    Fairness,
    /// The customer has named this friend.
    Named,
    /// Given by ops, whatever the ranks.
    Assigned,
}

/// What has changed about an offer; absent fields stay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct OfferUpdate {
    /// Which offer.
    pub offer: OfferId,
    /// A new end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// The whole offer anew, after the job was edited: look again before accepting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewed: Option<Box<Offer>>,
}

/// Why an offer is no longer open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ClosedReason {
    /// Somebody else has it.
    Taken,
    /// You have it.
    Won,
    /// The job was cancelled.
    Cancelled,
    /// Its time is over.
    Expired,
    /// The job has changed, and no longer suits you; or a new look for a friend stands in its place.
    Superseded,
    /// The job is paused.
    Paused,
    /// You declined.
    Declined,
    /// You handed the job back.
    HandedBack,
    /// You held all you may hold when you accepted.
    Capacity,
}

/// The verdict on an accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is yours, and that is committed.
    Won,
    /// It is not.
    Lost,
    /// The server could not decide; send the same accept again.
    TryAgain,
    /// The job has changed since; look at the new offer and accept that.
    NeedsReconfirm,
}

impl Verdict {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Won => "won",
            Verdict::Lost => "lost",
            Verdict::TryAgain => "try_again",
            Verdict::NeedsReconfirm => "needs_reconfirm",
        }
    }
}

/// Why an accept lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum LostReason {
    /// Somebody else was first.
    Taken,
    /// The offer had ended.
    Expired,
    /// The job was cancelled.
    JobCancelled,
    /// You hold all you may hold.
    Capacity,
    /// You had declined.
    Declined,
    /// The job is paused.
    Paused,
    /// Another offer stands in its place.
    Superseded,
    /// A gate no longer holds.
    NotSuitable,
    /// The job is over.
    Closed,
}

impl LostReason {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            LostReason::Taken => "taken",
            LostReason::Expired => "expired",
            LostReason::JobCancelled => "job_cancelled",
            LostReason::Capacity => "capacity",
            LostReason::Declined => "declined",
            LostReason::Paused => "paused",
            LostReason::Superseded => "superseded",
            LostReason::NotSuitable => "not_suitable",
            LostReason::Closed => "closed",
        }
    }
}

/// The full card of a job, for the friend who has won it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct JobCard {
    /// The job.
    pub job: JobId,
    /// Where it stands.
    pub state: JobState,
    /// Its version.
    pub revision: u32,
    /// The dispatch run in which it was won.
    pub attempt: u16,
    /// Whose job.
    pub community: CommunityName,
    /// What is to be done.
    pub package: PackageSlug,
    /// The package's title in the friend's language.
    pub title: String,
    /// Planned minutes on site.
    pub duration_min: u16,
    /// All answers. Empty, like address and customer, when the friend no longer holds the job.
    pub answers: Answers,
    /// When the customer has time.
    pub windows: Vec<Window>,
    /// The exact place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<Point>,
    /// The address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Address>,
    /// The customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<Customer>,
    /// What the customer pays.
    pub gross: Money,
    /// What the platform keeps.
    pub commission: Money,
    /// What the friend gets.
    pub net: Money,
    /// How it is paid.
    pub payment_method: PaymentMethod,
    /// When it was won.
    pub assigned_at: Time,
    /// By when the customer must have been contacted.
    pub contact_due: Time,
    /// When the friend comes, if that is agreed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub appointment: Option<Window>,
    /// Visit events the friend may send.
    pub allowed: Vec<VisitEvent>,
}
