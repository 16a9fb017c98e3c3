//! Everything that can happen to the dispatcher, a closed list. Inputs carry what was resolved outside (package,
//! community, the instant the frame was taken); the dispatcher looks nothing up but who is near.

use std::sync::Arc;

use kiez_protocol::directory::{CommissionRule, Community, Friend, Language, Package};
use kiez_protocol::friend::{DeclineReason, VisitEvent};
use kiez_protocol::ids::{CommunitySlug, FriendId, JobId, Key, OfferId, PartnerSlug, SessionId};
use kiez_protocol::partner::{Answers, EditJob, Window};
use kiez_protocol::talk::Reply;
use kiez_protocol::time::Time;

use super::effect::{Actor, StoredJob};
use super::job::Booking;
pub use super::proposing::Confirm;

/// Pairs a request with its answer; chosen by who sends the input.
pub type Request = u64;

/// The terms a job is posted under: documents with their versions.
#[derive(Clone, Debug)]
pub struct Terms {
    /// The package.
    pub package: Arc<Package>,
    /// Its version.
    pub package_version: u32,
    /// The community.
    pub community: Arc<Community>,
    /// Its version; also that of its policy.
    pub community_version: u32,
    /// The commission rule: the partner's if it has one, else the community's.
    pub commission: CommissionRule,
}

/// An idempotency key with what it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartnerKey {
    /// The key, at most 255 characters.
    pub key: String,
    /// SHA-256 of the body.
    pub body: [u8; 32],
}

/// Something has happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// A job is posted, by its partner or in its name.
    Posted {
        /// To be answered.
        request: Request,
        /// Whose.
        partner: PartnerSlug,
        /// Who posted it: the partner, or ops in its name.
        by: Actor,
        /// Why, where ops did.
        reason: Option<String>,
        /// The idempotency key, if the request has one.
        key: Option<PartnerKey>,
        /// The job itself.
        booking: Arc<Booking>,
        /// The terms.
        terms: Terms,
        /// When the request was taken.
        received_at: Time,
    },
    /// What would become of a post? Nothing is recorded, nobody is asked, and the answer is all there is.
    Tried {
        /// To be answered.
        request: Request,
        /// Whose it would be.
        partner: PartnerSlug,
        /// The job itself.
        booking: Arc<Booking>,
        /// The terms.
        terms: Terms,
        /// When the request was taken.
        received_at: Time,
    },
    /// What was booked is changed.
    Edited {
        /// To be answered.
        request: Request,
        /// By whom; another partner's job is answered like one that does not exist.
        by: Actor,
        /// Which.
        job: JobId,
        /// What changes.
        edit: Box<EditJob>,
        /// When the request was taken.
        received_at: Time,
    },
    /// Questions are answered: the package's that were left open, or those that hold the job up.
    Answered {
        /// To be answered.
        request: Request,
        /// By whom.
        by: Actor,
        /// On which job.
        job: JobId,
        /// The answers.
        answers: Answers,
        /// Replies to the questions of friends.
        replies: Vec<Reply>,
        /// When the request was taken.
        received_at: Time,
    },
    /// A friend asks something about an offer.
    Asked {
        /// Who.
        friend: FriendId,
        /// About which offer.
        offer: OfferId,
        /// What, at most 300 characters.
        text: String,
        /// To be answered with `done`.
        key: Option<Key>,
        /// When the frame was taken.
        received_at: Time,
    },
    /// A friend proposes when they could come.
    Proposed {
        /// Who.
        friend: FriendId,
        /// Under which offer.
        offer: OfferId,
        /// When, 1 to 3 windows.
        windows: Vec<Window>,
        /// To be answered with `done`, and by a verdict when it is confirmed or lost.
        key: Key,
        /// When the frame was taken.
        received_at: Time,
    },
    /// A customer says yes to a proposal.
    Confirmed {
        /// On which job.
        job: JobId,
        /// To what.
        confirm: Box<Confirm>,
    },
    /// A friend writes to the customer.
    FriendWrote {
        /// Who.
        friend: FriendId,
        /// About which job.
        job: JobId,
        /// What, at most 1,000 characters.
        text: String,
        /// To be answered with `done`.
        key: Key,
        /// When the frame was taken.
        received_at: Time,
    },
    /// The customer writes to the friend.
    CustomerWrote {
        /// To be answered.
        request: Request,
        /// Who says it is them.
        by: Actor,
        /// About which job.
        job: JobId,
        /// What, at most 1,000 characters.
        text: String,
        /// The same key is the same message.
        key: Option<Key>,
        /// When the request was taken.
        received_at: Time,
    },
    /// Dispatch is held: the offers end, and nobody is asked.
    Paused {
        /// To be answered.
        request: Request,
        /// By whom.
        by: Actor,
        /// Which job.
        job: JobId,
        /// Why.
        reason: String,
        /// When the request was taken.
        received_at: Time,
    },
    /// Dispatch goes on, with a run of its own.
    Resumed {
        /// To be answered.
        request: Request,
        /// By whom.
        by: Actor,
        /// Which job.
        job: JobId,
        /// Why.
        reason: String,
        /// When the request was taken.
        received_at: Time,
    },
    /// A job is cancelled.
    Cancelled {
        /// To be answered.
        request: Request,
        /// By whom.
        by: Actor,
        /// Which.
        job: JobId,
        /// Why.
        reason: Option<String>,
        /// When the request was taken.
        received_at: Time,
    },
    /// A job is given to a friend, whatever the gates say.
    Assigned {
        /// To be answered.
        request: Request,
        /// By whom.
        by: Actor,
        /// Which job.
        job: JobId,
        /// To whom.
        friend: Arc<Friend>,
        /// Why.
        reason: String,
        /// When the request was taken.
        received_at: Time,
    },
    /// Friends are asked anew, in a run of its own.
    Redispatched {
        /// To be answered.
        request: Request,
        /// By whom.
        by: Actor,
        /// For which job.
        job: JobId,
        /// Why.
        reason: String,
        /// When the request was taken.
        received_at: Time,
    },
    /// A friend accepts. The session has tried the word before.
    Accepted {
        /// Who.
        friend: Arc<Friend>,
        /// Which offer.
        offer: OfferId,
        /// The accept's key.
        key: Key,
        /// The revision the person saw.
        revision: u32,
        /// When the frame was taken.
        received_at: Time,
        /// Whether this session took the word.
        first: bool,
    },
    /// A friend declines.
    Declined {
        /// Who.
        friend: FriendId,
        /// Which offer.
        offer: OfferId,
        /// Why.
        reason: DeclineReason,
        /// To be answered with `done`.
        key: Option<Key>,
        /// When the frame was taken.
        received_at: Time,
    },
    /// A friend takes a decline back.
    Undone {
        /// Who.
        friend: FriendId,
        /// Which offer.
        offer: OfferId,
        /// To be answered with `done`.
        key: Option<Key>,
        /// When the frame was taken.
        received_at: Time,
    },
    /// Offers have arrived at the app.
    Delivered {
        /// Whose app.
        friend: FriendId,
        /// Which offers.
        offers: Vec<OfferId>,
    },
    /// Something happened on a visit.
    Visited {
        /// By whom.
        friend: FriendId,
        /// On which job.
        job: JobId,
        /// What.
        event: VisitEvent,
        /// To be answered with `done`.
        key: Key,
        /// The client's time, if it was kept offline.
        at: Option<Time>,
        /// Why, for a hand-back.
        reason: Option<String>,
        /// When the frame was taken.
        received_at: Time,
    },
    /// A friend goes on duty or off.
    Duty {
        /// Who.
        friend: FriendId,
        /// On or off.
        on: bool,
        /// On until then.
        until: Option<Time>,
        /// To be answered with `done`.
        key: Option<Key>,
        /// When the frame was taken.
        received_at: Time,
    },
    /// A session has said hello and wants its snapshot.
    Joined {
        /// Whose.
        friend: FriendId,
        /// Which session.
        session: SessionId,
        /// The language of its texts.
        language: Language,
    },
    /// A friend has come into reach: a first position after joining or going on duty.
    Placed {
        /// Who.
        friend: FriendId,
    },
    /// A community makes no new offers, or makes them again. A dispatcher that has just been restored brakes for nobody.
    Brake {
        /// Which.
        community: CommunitySlug,
        /// On: no new offers.
        on: bool,
    },
    /// The win of a job is committed: those who waited behind the winner can be told.
    Settled {
        /// Which job.
        job: JobId,
        /// In which attempt.
        attempt: u16,
    },
    /// A record of this job was refused by the ledger for good. What is stored stands.
    Reread {
        /// Which job.
        job: JobId,
        /// As the ledger has it; none if it was never written.
        stored: Option<Box<StoredJob>>,
    },
    /// The process stood still for long, and so did everything around it: friends come back over some seconds, as after a
    /// restart.
    Woken,
    /// The earliest deadline may be due: one is handled, if one is.
    Tick,
}
