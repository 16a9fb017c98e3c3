//! The partner API: jobs in, their state out. `Authorization: Bearer kz_live_…`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::directory::{Country, Language, Package};
use crate::ids::{CommunitySlug, FriendId, JobId, PackageSlug, Word};
use crate::money::{Money, PaymentMethod};
use crate::place::Point;
use crate::talk::{AskedView, ProposalView, Reply};
use crate::time::Time;

/// How soon the job is wanted; it chooses the plan of the waves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// Today.
    Urgent,
    /// The usual.
    #[default]
    Normal,
    /// More than three days ahead.
    Relaxed,
}

impl Urgency {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Urgency::Urgent => "urgent",
            Urgency::Normal => "normal",
            Urgency::Relaxed => "relaxed",
        }
    }
}

/// Where the customer lives. Only the winner sees the street.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// Street and number, 1 to 200 characters.
    #[cfg_attr(feature = "schemas", schemars(length(min = 1, max = 200), regex(pattern = r"^[^\x00]*\S[^\x00]*$")))]
    pub street: String,
    /// Postcode, 1 to 12 characters.
    #[cfg_attr(feature = "schemas", schemars(length(min = 1, max = 12), regex(pattern = r"^[^\x00]*\S[^\x00]*$")))]
    pub postcode: String,
    /// City, 1 to 100 characters.
    #[cfg_attr(feature = "schemas", schemars(length(min = 1, max = 100), regex(pattern = r"^[^\x00]*\S[^\x00]*$")))]
    pub city: String,
    /// Country.
    pub country: Country,
}

/// Who the customer is. Only the winner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Customer {
    /// Name, 1 to 200 characters.
    #[cfg_attr(feature = "schemas", schemars(length(min = 1, max = 200), regex(pattern = r"^[^\x00]*\S[^\x00]*$")))]
    pub name: String,
    /// Phone number in international form, `+4930…`, 6 to 15 digits, at most 32 characters.
    #[cfg_attr(feature = "schemas", schemars(length(max = 32), regex(pattern = r"^\+(?:\D*\d){6,15}\D*$")))]
    pub phone: String,
    /// E-mail address, at most 254 characters.
    #[cfg_attr(feature = "schemas", schemars(length(max = 254), regex(pattern = "@")))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The language to speak.
    pub language: Language,
}

/// A window in which the customer has time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Its start.
    pub from: Time,
    /// Its end, later than the start.
    pub to: Time,
}

/// An answer to a package's question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Answer {
    /// Yes or no.
    YesNo(bool),
    /// A whole number.
    Number(i64),
    /// A text or a choice, at most 500 characters.
    Text(#[cfg_attr(feature = "schemas", schemars(length(max = 500)))] String),
}

/// Answers by the question's name.
pub type Answers = BTreeMap<Word, Answer>;

/// `POST /v1/jobs`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PostJob {
    /// What is booked.
    pub package: PackageSlug,
    /// Which crowd; the partner's own default without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub community: Option<CommunitySlug>,
    /// Where, exactly. Offers show only a coarse cell.
    pub location: Point,
    /// Where, for people.
    pub address: Address,
    /// For whom.
    pub customer: Customer,
    /// The package's questions, answered. What is missing comes back as `missing_answers`.
    #[serde(default)]
    pub answers: Answers,
    /// When the customer has time, at most 8 windows.
    #[cfg_attr(feature = "schemas", schemars(length(max = 8)))]
    #[serde(default)]
    pub windows: Vec<Window>,
    /// How soon.
    #[serde(default)]
    pub urgency: Urgency,
    /// How it is paid.
    pub payment_method: PaymentMethod,
    /// The highest hourly rate the customer pays, in the package's currency; only where it is priced by the hour.
    #[cfg_attr(feature = "schemas", schemars(transform = crate::money::price))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_hourly_rate: Option<Money>,
    /// The partner's own reference, 1 to 100 characters.
    #[cfg_attr(feature = "schemas", schemars(length(min = 1, max = 100), regex(pattern = r"^[^\x00]*\S[^\x00]*$")))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partner_ref: Option<String>,
    /// The friend whom the customer wants: for two hours nobody else is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub friend: Option<FriendId>,
    /// Whether the nearest are asked if that friend does not take it. The customer must have agreed.
    #[serde(default, skip_serializing_if = "is_false")]
    pub fallback: bool,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// `PATCH /v1/jobs/{id}`: what is to change; the rest stays. A change of place, windows or an answer shown in the offer
/// makes a new revision, which friends must confirm anew.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct EditJob {
    /// The revision this edit is meant for, from 1: where the job is at another by now it is refused with
    /// `needs_reconfirm`. Without it the edit is taken as it comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u32>,
    /// A new exact place; needs `address` as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<Point>,
    /// A new address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Address>,
    /// A corrected customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<Customer>,
    /// Answers to add or replace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<Answers>,
    /// New windows in place of the old, at most 8.
    #[cfg_attr(feature = "schemas", schemars(length(max = 8)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub windows: Option<Vec<Window>>,
    /// A new reference of the partner's own, 1 to 100 characters.
    #[cfg_attr(feature = "schemas", schemars(length(min = 1, max = 100), regex(pattern = r"^[^\x00]*\S[^\x00]*$")))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partner_ref: Option<String>,
}

/// `POST /v1/jobs/{id}/answers`: answers that are missing, or better ones. The rest stays.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct GiveAnswers {
    /// The package's questions, answered. A required answer can be replaced and not taken away.
    #[serde(default)]
    pub answers: Answers,
    /// Replies to questions of friends, at most 16.
    #[cfg_attr(feature = "schemas", schemars(length(max = 16)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replies: Vec<Reply>,
}

/// `POST /v1/jobs/{id}/cancel`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CancelJob {
    /// Why, at most 300 characters.
    #[cfg_attr(feature = "schemas", schemars(length(max = 300), regex(pattern = r"^[^\x00]*$")))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// A required answer is missing; nothing is dispatched.
    NeedsInfo,
    /// Friends are being asked.
    Dispatching,
    /// Dispatch is held.
    Paused,
    /// All waves are used; ops know.
    Unfilled,
    /// A friend has won it; the contact clock runs.
    Assigned,
    /// Friend and customer have spoken.
    Contacted,
    /// A time is agreed.
    Appointed,
    /// The friend is on the way.
    OnTheWay,
    /// The friend is at work.
    InProgress,
    /// The friend says it is done.
    Done,
    /// It could not be done.
    Unsuccessful,
    /// The customer says it is done, or said nothing for 72 h.
    Confirmed,
    /// The customer disagrees.
    Disputed,
    /// The customer got the money back.
    Refunded,
    /// Cancelled before the work began.
    Cancelled,
    /// Nobody was found in time.
    Expired,
    /// Nothing more can happen.
    Closed,
}

impl JobState {
    /// Every state, in the order of a job's life.
    pub const ALL: [JobState; 17] = [
        JobState::NeedsInfo,
        JobState::Dispatching,
        JobState::Paused,
        JobState::Unfilled,
        JobState::Assigned,
        JobState::Contacted,
        JobState::Appointed,
        JobState::OnTheWay,
        JobState::InProgress,
        JobState::Done,
        JobState::Unsuccessful,
        JobState::Confirmed,
        JobState::Disputed,
        JobState::Refunded,
        JobState::Cancelled,
        JobState::Expired,
        JobState::Closed,
    ];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            JobState::NeedsInfo => "needs_info",
            JobState::Dispatching => "dispatching",
            JobState::Paused => "paused",
            JobState::Unfilled => "unfilled",
            JobState::Assigned => "assigned",
            JobState::Contacted => "contacted",
            JobState::Appointed => "appointed",
            JobState::OnTheWay => "on_the_way",
            JobState::InProgress => "in_progress",
            JobState::Done => "done",
            JobState::Unsuccessful => "unsuccessful",
            JobState::Confirmed => "confirmed",
            JobState::Disputed => "disputed",
            JobState::Refunded => "refunded",
            JobState::Cancelled => "cancelled",
            JobState::Expired => "expired",
            JobState::Closed => "closed",
        }
    }
}

impl std::fmt::Display for JobState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A job as its partner sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct JobView {
    /// The id.
    pub id: JobId,
    /// Where it stands.
    pub state: JobState,
    /// Dispatch runs so far, from 1; 0 while answers are missing.
    pub attempt: u16,
    /// The newest wave of this run, from 1; 0 before the first.
    pub wave: u8,
    /// Offers that friends hold now.
    pub offers_out: u16,
    /// Friends asked in this run.
    pub asked: u16,
    /// Material edits, from 1.
    pub revision: u32,
    /// Grows with each change of the job.
    pub sequence: u32,
    /// The package.
    pub package: PackageSlug,
    /// The community.
    pub community: CommunitySlug,
    /// The version of the community whose policy the job goes by, from 1; 0 of a job from before this was told.
    #[serde(default)]
    pub policy_version: u32,
    /// The gross price; without it until somebody wins a job priced by the hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Money>,
    /// The commission in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commission: Option<Money>,
    /// Required questions without an answer.
    #[serde(default)]
    pub missing_answers: Vec<Word>,
    /// The urgency.
    pub urgency: Urgency,
    /// The windows.
    pub windows: Vec<Window>,
    /// The partner's own reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partner_ref: Option<String>,
    /// The winner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub friend: Option<FriendName>,
    /// The customer's link to a page about the job, a secret of the customer's: what is behind `#` is the `{token}` of
    /// `/v1/customer/{token}`. Only in the answer to the post.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_url: Option<String>,
    /// When it was posted.
    pub created_at: Time,
    /// When the winner's accept was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assigned_at: Option<Time>,
    /// By when the friend contacts the customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact_due: Option<Time>,
    /// When the friend comes, if that is agreed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub appointment: Option<Window>,
    /// Questions of friends without a reply.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub questions: Vec<AskedView>,
    /// Times that friends have proposed; each can be confirmed until its `until`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proposals: Vec<ProposalView>,
    /// When it expires without a winner.
    pub expires_at: Time,
    /// Why it ended or waits, if there is a reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The winner as the partner sees them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct FriendName {
    /// The friend.
    pub id: FriendId,
    /// The real name.
    pub name: String,
}

/// `GET /v1/jobs`: a page, newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct JobList {
    /// The jobs of this page.
    pub jobs: Vec<JobView>,
    /// `after` of the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<JobId>,
}

/// `GET /v1/packages`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct PackageList {
    /// All packages.
    pub packages: Vec<Package>,
}

/// `POST /v1/jobs/dry-run`: what would become of a post at this moment. Nothing is recorded and nobody is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct DryRun {
    /// The friends that the first wave asks, where there are as many.
    pub wanted: u8,
    /// How many suitable friends it would find for that now, far or near.
    pub would_find: u8,
    /// How far away they are, nearest first: bands, no positions.
    pub distances: Vec<DistanceBand>,
    /// How soon the newest jobs of this community and urgency were won; absent where there were fewer than five.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assign: Option<AssignTimes>,
    /// Required questions without an answer: nobody would be asked before they come.
    #[serde(default)]
    pub missing_answers: Vec<Word>,
    /// The gross price; without it the job is priced by who wins it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Money>,
    /// The commission in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commission: Option<Money>,
    /// Whether the community does not serve this place: a post would be refused.
    pub outside_area: bool,
    /// Whether the community makes no new offers now.
    pub brake: bool,
}

/// A span of distances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct DistanceBand {
    /// At least so far away, metres.
    pub from_m: u32,
    /// Nearer than this, metres; absent for all that is farther.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_m: Option<u32>,
}

/// From the beginning of a run to the accept that won it, of the newest runs of a community and urgency that were won.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct AssignTimes {
    /// Half of them were won within this, ms.
    pub median_ms: i64,
    /// Four of five were won within this, ms.
    pub p80_ms: i64,
    /// How many they are, 5 to 50.
    pub jobs: u32,
}
