//! The desk of ops, `/v1/ops/…`: what they see of jobs, and do to them by hand. `Authorization: Bearer` with an ops token of the role
//! `dispatcher` or `admin`; looking takes `viewer`. Every action asks a reason, which stays with the job's events.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::directory::Language;
use crate::friend::{ClosedReason, Why, WhyReason};
use crate::gate::Gate;
use crate::ids::{FriendId, JobId, OfferId, PartnerSlug};
use crate::money::{Money, PaymentMethod};
use crate::partner::{Address, Answers, Customer, JobState, JobView, PostJob};
use crate::place::Point;
use crate::time::Time;

/// `POST /v1/ops/jobs`: a job in a partner's name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PostForPartner {
    /// In whose name.
    pub partner: PartnerSlug,
    /// Why ops post it, 1 to 300 characters.
    #[cfg_attr(feature = "schemas", schemars(length(min = 1, max = 300), regex(pattern = r"^[^\x00]*\S[^\x00]*$")))]
    pub reason: String,
    /// The job, as the partner would post it.
    pub job: PostJob,
}

/// `POST /v1/ops/jobs/{id}/pause`, `resume`, `redispatch` and `cancel`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ActOnJob {
    /// Why, 1 to 300 characters.
    #[cfg_attr(feature = "schemas", schemars(length(min = 1, max = 300), regex(pattern = r"^[^\x00]*\S[^\x00]*$")))]
    pub reason: String,
}

/// `POST /v1/ops/jobs/{id}/assign`: gives the job to a friend, whatever the gates say. A free place, the friend's own caps
/// and their agreed appointments still count, and nobody gets a job that they declined or handed back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AssignJob {
    /// To whom.
    pub friend: FriendId,
    /// Why, 1 to 300 characters.
    #[cfg_attr(feature = "schemas", schemars(length(min = 1, max = 300), regex(pattern = r"^[^\x00]*\S[^\x00]*$")))]
    pub reason: String,
}

/// A job as ops see it in a list: whose it is and where, by district.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct DeskLine {
    /// Whose.
    pub partner: PartnerSlug,
    /// The postcode.
    pub postcode: String,
    /// The city.
    pub city: String,
    /// The job, as its partner sees it.
    pub job: JobView,
}

/// `GET /v1/ops/jobs`: a page, newest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct DeskList {
    /// The jobs of this page.
    pub jobs: Vec<DeskLine>,
    /// `after` of the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<JobId>,
}

/// `GET /v1/ops/jobs/{id}`: a job with all that became of it. No street, name or phone of the customer, no exact place:
/// these take a look with a reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct DeskJob {
    /// Whose.
    pub partner: PartnerSlug,
    /// The postcode.
    pub postcode: String,
    /// The city.
    pub city: String,
    /// The H3 cell of the place at resolution 8, in hexadecimal.
    pub cell: String,
    /// The customer's language.
    pub language: Language,
    /// How it is paid.
    pub payment_method: PaymentMethod,
    /// The version of the community under whose policy it runs.
    pub policy_version: u32,
    /// The version of the package it was posted for.
    pub package_version: u32,
    /// When something is due next; absent when nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_deadline: Option<Time>,
    /// What ops may do with it now: `pause`, `resume`, `assign`, `redispatch`, `cancel`.
    pub allowed: Vec<String>,
    /// The job, as its partner sees it.
    pub job: JobView,
    /// What happened, oldest first.
    pub timeline: Vec<DeskEvent>,
    /// The looks for a friend, one an attempt.
    pub runs: Vec<DeskRun>,
    /// Who was asked, in this order.
    pub offers: Vec<DeskOffer>,
    /// Why these and not others, one a choice, oldest first; the last 200.
    pub decisions: Vec<DeskDecision>,
}

/// Something that happened to a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct DeskEvent {
    /// Grows with each event of the job, from 1.
    pub sequence: u32,
    /// When, by the server's clock.
    pub at: Time,
    /// When, by the app that kept it offline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_at: Option<Time>,
    /// The state before; absent for the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<JobState>,
    /// The state after.
    pub to: JobState,
    /// What: `posted`, `wave_opened`, `offer_declined`, `assigned_by_ops`. More may come.
    pub kind: String,
    /// Who: `system`, `partner`, `friend`, `customer`, `ops`.
    pub actor: String,
    /// Which: a slug, a friend's id, the name in an ops token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor_id: Option<String>,
    /// Why, as it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A look for a friend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct DeskRun {
    /// The attempt, from 1.
    pub attempt: u16,
    /// When it began.
    pub started_at: Time,
    /// Waves opened.
    pub waves: u8,
    /// Friends asked.
    pub asked: u16,
    /// When it ended, if it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Time>,
    /// The state in which it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<JobState>,
}

/// An offer to a friend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct DeskOffer {
    /// The offer.
    pub offer: OfferId,
    /// To whom.
    pub friend: FriendId,
    /// In which attempt.
    pub attempt: u16,
    /// In which wave.
    pub wave: u8,
    /// In which seat of the wave, from 0.
    pub seat: u8,
    /// The revision that was offered.
    pub revision: u32,
    /// When.
    pub sent_at: Time,
    /// Until when.
    pub expires_at: Time,
    /// Why it is no longer open; absent while it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<ClosedReason>,
    /// What the customer pays.
    pub gross: Money,
    /// What the platform keeps.
    pub commission: Money,
    /// What the friend gets.
    pub net: Money,
    /// Why this friend.
    pub why: Why,
}

/// A choice of friends for seats of a wave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct DeskDecision {
    /// The attempt.
    pub attempt: u16,
    /// The wave.
    pub wave: u8,
    /// When.
    pub at: Time,
    /// The version of the community whose policy it followed.
    pub policy_version: u32,
    /// Nobody farther away was looked at, metres.
    pub cap_m: u32,
    /// The seats that were to be given.
    pub seats: Vec<u8>,
    /// The median of the offers in 30 days of those who were suitable.
    pub median_offers: u32,
    /// Everybody the walk saw: first the suitable in their order, then the others by distance. After 30 days only those who
    /// were chosen.
    pub candidates: Vec<DeskCandidate>,
    /// Everybody else stood at least so far away, metres; absent when the walk went to the end of the cap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beyond_m: Option<u32>,
    /// After 30 days: how many were suitable and not chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ranked: Option<u32>,
    /// After 30 days: how many were not suitable, by the first gate that did not open.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub failed: BTreeMap<Gate, u32>,
}

/// What a choice saw in one friend. With a gate they were not suitable, with a rank they were, with a seat they were asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct DeskCandidate {
    /// Who.
    pub friend: FriendId,
    /// How far away, metres, rounded half up to 50.
    pub distance_m: u32,
    /// The first gate that did not open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<Gate>,
    /// The rank among the suitable, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rank: Option<u16>,
    /// The seat they got.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seat: Option<u8>,
    /// What gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<WhyReason>,
    /// Whole days since their last offer, or since they were first on duty; of the suitable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waited_days: Option<u32>,
    /// Their offers of the last 30 days; of the suitable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offers: Option<u32>,
    /// How much longer they had waited than those around them, whole days; of the suitable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deficit_days: Option<u32>,
}

/// `POST /v1/ops/jobs/{id}/look`: what only a reason and an entry of the audit log show.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct DeskLook {
    /// The job.
    pub job: JobId,
    /// Where, exactly.
    pub location: Point,
    /// Where, for people.
    pub address: Address,
    /// For whom.
    pub customer: Customer,
    /// All answers.
    pub answers: Answers,
}
