//! A job while it is open: what was booked, the run that looks for its friend, the visit of the winner.

use std::collections::BTreeSet;
use std::sync::Arc;

use h3o::{CellIndex, LatLng, Resolution};
use kiez_protocol::directory::Friend;
use kiez_protocol::friend::{ClosedReason, WhyReason};
use kiez_protocol::ids::{FriendId, JobId, Key, OfferId, PartnerSlug};
use kiez_protocol::money::{Money, PaymentMethod};
use kiez_protocol::partner::{Address, Answers, Customer, FriendName, JobState, Urgency, Window};
use kiez_protocol::place::Point;
use kiez_protocol::talk::Reply;
use kiez_protocol::time::Time;
use serde::{Deserialize, Serialize};

use super::caps::Taken;
use super::claim::{Claim, Seat};
use super::effect::Actor;
use super::input::{Request, Terms};
use super::proposing::Confirm;
use super::steering::Assign;
use super::talk::Talk;

/// What the partner booked; an edit makes a new one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Booking {
    /// Where, exactly.
    pub place: Point,
    /// Where, for people.
    pub address: Address,
    /// For whom.
    pub customer: Customer,
    /// The answers so far.
    pub answers: Answers,
    /// When the customer has time.
    pub windows: Vec<Window>,
    /// How soon.
    pub urgency: Urgency,
    /// How it is paid.
    pub payment_method: PaymentMethod,
    /// The highest rate an hour, a gate.
    pub max_hourly_rate: Option<Money>,
    /// The partner's own reference.
    pub partner_ref: Option<String>,
    /// For whom the customer asks by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direct: Option<Direct>,
}

/// A friend whom the customer has named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Direct {
    /// Who.
    pub friend: FriendId,
    /// Whether others are asked if they do not take it.
    pub fallback: bool,
}

/// The cell of a place that offers and the map may show: resolution 8, edge about 530 m.
pub fn shown_cell(place: Point) -> CellIndex {
    cell_at(place, Resolution::Eight)
}

/// The cell of a place at a resolution.
pub fn cell_at(place: Point, resolution: Resolution) -> CellIndex {
    LatLng::new(place.lat(), place.lng()).expect("a Point is finite and on the earth").to_cell(resolution)
}

/// What a friend gets for a job, and what everybody else does. `commission + net = gross`, to the cent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pay {
    /// What the customer pays.
    pub gross: Money,
    /// What the platform keeps.
    pub commission: Money,
    /// What the friend gets.
    pub net: Money,
}

/// Where an offer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfferState {
    /// The friend may accept.
    Live,
    /// Closed, and why.
    Closed(ClosedReason),
}

/// One job offered to one friend in one wave.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    /// The id.
    pub id: OfferId,
    /// To whom.
    pub friend: FriendId,
    /// In which run.
    pub attempt: u16,
    /// In which wave, from 1.
    pub wave: u8,
    /// In which seat of the wave, from 0.
    pub wave_seat: u8,
    /// The seat on the claim word: unique within the job.
    pub seat: Seat,
    /// The revision that was last offered.
    pub revision: u32,
    /// When it was decided.
    pub sent_at: Time,
    /// When it ends.
    pub expires_at: Time,
    /// Where it stands.
    pub state: OfferState,
    /// Whether the app has acknowledged it, or its acknowledgement is no longer waited for. Not recorded.
    pub delivery: Delivery,
    /// Renewed for an unfilled job: it does not count towards the friend's hand.
    pub renewed: bool,
    /// Distance rounded to 50 m.
    pub distance_m: u32,
    /// The pay.
    pub pay: Pay,
    /// What gave the friend the seat.
    pub why: WhyReason,
    /// Of the fairness seat: how much longer than those around them the friend had waited, whole days.
    pub deficit_days: Option<u32>,
    /// The rank among the suitable, from 1.
    pub rank: u16,
}

impl Offer {
    /// Whether its friend was named by the customer and holds the only offer.
    pub fn is_direct(&self) -> bool {
        self.why == WhyReason::Named
    }
}

/// Whether an offer has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The app has until then to acknowledge it.
    Waiting(Time),
    /// It has arrived.
    Arrived,
    /// It has not; its seat was given on. The offer stays valid.
    Failed,
}

/// A look for a friend: grows with each redispatch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// When it began.
    pub started_at: Time,
    /// The newest wave, from 1; 0 before the first.
    pub wave: u8,
    /// When the next wave is due, or the next look.
    pub next_wave_at: Time,
    /// Friends asked so far.
    pub asked: u16,
    /// When ops hear that nobody has taken it.
    pub alarm_at: Time,
}

/// What the winner owes.
#[derive(Clone, Debug, PartialEq)]
pub struct Visit {
    /// The winner.
    pub friend: FriendId,
    /// The offer they accepted.
    pub offer: OfferId,
    /// The attempt they won.
    pub attempt: u16,
    /// Which of the friend's places it takes, from 0. No two active visits of a friend share one.
    pub place: u8,
    /// The pay, locked.
    pub pay: Pay,
    /// The key of the accept.
    pub key: Key,
    /// When the accept was taken.
    pub assigned_at: Time,
    /// By when the customer must have been contacted.
    pub contact_due: Time,
    /// When the friend comes, if that is agreed.
    pub appointment: Option<Window>,
    /// Whether it still takes the place.
    pub active: bool,
    /// How it ended, if it has. Visits from before this was recorded are over without it.
    pub ended: Option<Ended>,
}

impl Visit {
    /// Whether it counts towards the friend's caps: held, or done.
    pub fn counts(&self) -> bool {
        self.active || self.ended.is_some_and(|ended| ended.how == VisitEnd::Done)
    }

    /// How it counts.
    pub fn taken(&self, job: JobId) -> Taken {
        Taken { job, at: self.assigned_at, net: self.pay.net }
    }
}

/// The end of a visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// When.
    pub at: Time,
    /// How.
    pub how: VisitEnd,
}

/// How a visit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VisitEnd {
    /// The work is done; it counts towards the friend's caps.
    Done,
    /// The friend could not do it.
    HandedBack,
    /// The customer was not contacted in time.
    NoContact {
        /// The friend is asked for no job until then.
        cool_until: Time,
    },
    /// The job was cancelled.
    Cancelled,
}

/// An accept that came second and waits for the first's fate.
#[derive(Clone, Debug, PartialEq)]
pub struct Standby {
    /// Who.
    pub friend: Arc<Friend>,
    /// Which offer.
    pub offer: OfferId,
    /// The accept's key.
    pub key: Key,
    /// The revision the person saw.
    pub revision: u32,
    /// When it was taken.
    pub received_at: Time,
}

/// What found the word taken and waits until that accept has been handled.
#[derive(Clone, Debug)]
pub enum Aside {
    /// A cancel.
    Cancel {
        /// To be answered.
        request: Request,
        /// Who calls it off.
        by: Actor,
        /// Why.
        reason: Option<String>,
        /// When it was taken.
        received_at: Time,
    },
    /// A material edit.
    Edit {
        /// To be answered.
        request: Request,
        /// Who changes it.
        by: Actor,
        /// What changes.
        edit: Box<kiez_protocol::partner::EditJob>,
        /// When it was taken.
        received_at: Time,
    },
    /// Answers that friends must look at.
    Answer {
        /// To be answered.
        request: Request,
        /// By whom.
        by: Actor,
        /// The answers.
        answers: Answers,
        /// Replies to questions.
        replies: Vec<Reply>,
        /// When they were taken.
        received_at: Time,
    },
    /// A customer's yes to a proposal.
    Confirm(Box<Confirm>),
    /// The job's end without a winner.
    Expire,
    /// The job goes to a friend by the hand of ops.
    Assign(Box<Assign>),
    /// Friends are asked anew.
    Redispatch {
        /// To be answered.
        request: Request,
        /// By whom.
        by: Actor,
        /// Why.
        reason: String,
    },
    /// A pause.
    Pause {
        /// To be answered, if somebody asked for it.
        request: Option<Request>,
        /// Who holds it.
        by: Actor,
        /// What it waits for.
        pause: Pause,
        /// Why, in words.
        reason: Option<String>,
    },
}

/// A decline that can be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    /// The offer that was declined.
    pub offer: OfferId,
    /// Until then.
    pub until: Time,
    /// It was found too vague, and counts as that until it is taken back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub vague: bool,
}

/// What dispatch waits for while it is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pause {
    /// Ops, who held it.
    Ops,
    /// The customer, who is asked to say more: too many friends found it too vague.
    Vague,
}

/// A job in the dispatcher's hands.
#[derive(Clone, Debug)]
pub struct Job {
    /// The id.
    pub id: JobId,
    /// Whose.
    pub partner: PartnerSlug,
    /// The terms it was posted under.
    pub terms: Terms,
    /// What was booked.
    pub booking: Arc<Booking>,
    /// Where it stands.
    pub state: JobState,
    /// Grows with each event.
    pub sequence: u32,
    /// Dispatch runs, from 1; 0 before the first.
    pub attempt: u16,
    /// Material edits, from 1.
    pub revision: u32,
    /// How often it was handed back.
    pub hand_backs: u8,
    /// When it was posted.
    pub created_at: Time,
    /// When it ends without a winner.
    pub expire_at: Time,
    /// When its present state runs out, for states with a clock of their own.
    pub state_due: Option<Time>,
    /// The run.
    pub run: Run,
    /// All its offers, of every attempt, in the order they were made.
    pub offers: Vec<Offer>,
    /// Who is not asked again: declined, handed back.
    pub blocked: BTreeSet<FriendId>,
    /// The visit of the present or last winner.
    pub visit: Option<Visit>,
    /// The present or last winner, as the partner sees them.
    pub winner: Option<FriendName>,
    /// Why it ended or waits.
    pub reason: Option<String>,
    /// What dispatch waits for, while it is held.
    pub pause: Option<Pause>,
    /// Friends who found it too vague since it was described last.
    pub vague: u8,
    /// Until when the friend whom the customer named is asked alone; over without it.
    pub hold_until: Option<Time>,
    /// What is said about it.
    pub talk: Talk,
    /// Declines of the present run that can still be taken back; until then their seats stay empty.
    pub undoable: Vec<Undo>,
    /// The word of the present attempt and revision.
    pub claim: Arc<Claim>,
    /// Accepts behind the first, in order of arrival.
    pub standbys: Vec<Standby>,
    /// What waits for the first's accept.
    pub aside: Vec<Aside>,
    /// Whether the winner's record is committed.
    pub settled: bool,
}

impl Job {
    /// The plan of its waves.
    pub fn plan(&self) -> &kiez_protocol::directory::WavePlan {
        let policy = &self.terms.community.policy;
        match self.booking.urgency {
            Urgency::Urgent => &policy.urgent,
            Urgency::Normal => &policy.normal,
            Urgency::Relaxed => &policy.relaxed,
        }
    }
}
