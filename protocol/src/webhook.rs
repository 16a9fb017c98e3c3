//! Webhooks: what a partner's own server is told of its jobs, by Standard Webhooks 1.0. A body is [`Webhook`]; the headers
//! `webhook-id`, `webhook-timestamp` and `webhook-signature` go with it. Deliveries come at least once and may overtake each
//! other: the id is the same however often one comes, and `sequence` grows with each change of a job.

use serde::{Deserialize, Serialize};

use crate::ids::{CommunitySlug, EndpointId, JobId, PackageSlug, Word};
use crate::money::Money;
use crate::partner::{FriendName, JobState, JobView, Window};
use crate::time::Time;

/// The longest URL of an endpoint, bytes.
pub const URL_BYTES_MAX: usize = 2_048;
/// The most endpoints of a partner.
pub const ENDPOINTS_MAX: usize = 10;

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// What a webhook tells of, a closed list.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
        pub enum WebhookType { $($(#[$doc])* #[serde(rename = $word)] $name,)* }

        impl WebhookType {
            /// All of them.
            pub const ALL: &'static [WebhookType] = &[$(WebhookType::$name),*];

            /// The name on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(WebhookType::$name => $word),* }
            }
        }
    };
}

events! {
    /// A required answer is missing.
    JobNeedsInfo = "job.needs_info",
    /// Friends are being asked.
    JobDispatching = "job.dispatching",
    /// Dispatch is held.
    JobPaused = "job.paused",
    /// All waves are used.
    JobUnfilled = "job.unfilled",
    /// A friend has won it.
    JobAssigned = "job.assigned",
    /// The friend has given it back, or has lost it; others are asked.
    JobHandedBack = "job.handed_back",
    /// Friend and customer have spoken.
    JobContacted = "job.contacted",
    /// A time is agreed.
    JobAppointed = "job.appointed",
    /// The friend is on the way.
    JobOnTheWay = "job.on_the_way",
    /// The friend is at work.
    JobInProgress = "job.in_progress",
    /// The friend says it is done.
    JobDone = "job.done",
    /// It could not be done.
    JobUnsuccessful = "job.unsuccessful",
    /// The customer says it is done, or said nothing.
    JobConfirmed = "job.confirmed",
    /// The customer disagrees.
    JobDisputed = "job.disputed",
    /// The customer got the money back.
    JobRefunded = "job.refunded",
    /// It was called off.
    JobCancelled = "job.cancelled",
    /// Nobody was found in time.
    JobExpired = "job.expired",
    /// Nothing more can happen.
    JobClosed = "job.closed",
}

/// The body of a webhook.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Webhook {
    /// What happened.
    #[serde(rename = "type")]
    pub kind: WebhookType,
    /// When it happened, in the trade's time; `webhook-timestamp` says when it was sent.
    pub timestamp: Time,
    /// The job after it.
    pub data: JobNews,
}

/// A job as a webhook tells of it: what its partner may see, and no more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct JobNews {
    /// The job.
    pub job: JobId,
    /// Where it stands after this.
    pub state: JobState,
    /// Dispatch runs so far, from 1; 0 while answers are missing.
    pub attempt: u16,
    /// Grows with each change of the job: what has a lower one is older.
    pub sequence: u32,
    /// Material edits, from 1.
    pub revision: u32,
    /// The package.
    pub package: PackageSlug,
    /// The community.
    pub community: CommunitySlug,
    /// The partner's own reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partner_ref: Option<String>,
    /// The gross price, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Money>,
    /// The commission in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commission: Option<Money>,
    /// Required questions without an answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing_answers: Vec<Word>,
    /// The winner, from the win on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub friend: Option<FriendName>,
    /// When the winner's accept was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assigned_at: Option<Time>,
    /// By when the friend contacts the customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact_due: Option<Time>,
    /// When the friend comes, if that is agreed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub appointment: Option<Window>,
    /// Why it ended or waits, if there is a reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl JobNews {
    /// What is told of a job when this event has brought it to a state. The rest is the job as its partner sees it.
    pub fn of(view: &JobView, state: JobState, sequence: u32) -> JobNews {
        JobNews {
            job: view.id,
            state,
            attempt: view.attempt,
            sequence,
            revision: view.revision,
            package: view.package.clone(),
            community: view.community.clone(),
            partner_ref: view.partner_ref.clone(),
            price: view.price,
            commission: view.commission,
            missing_answers: view.missing_answers.clone(),
            friend: view.friend.clone(),
            assigned_at: view.assigned_at,
            contact_due: view.contact_due,
            appointment: view.appointment,
            reason: view.reason.clone(),
        }
    }
}

/// `PUT /v1/webhooks`: all endpoints of the partner. What is not in the list goes away.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PutWebhooks {
    /// The endpoints, at most 10.
    #[cfg_attr(feature = "schemas", schemars(length(max = 10)))]
    pub endpoints: Vec<PutEndpoint>,
}

/// An endpoint as its partner wants it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PutEndpoint {
    /// The endpoint that is meant; a new one without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<EndpointId>,
    /// Where to post: `https://…`, at most 2,048 characters, without user, password and fragment.
    #[cfg_attr(feature = "schemas", schemars(length(max = 2048), regex(pattern = "^https?://")))]
    pub url: String,
    /// What is told there; everything without a word.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<WebhookType>,
    /// Whether anything is told there.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub enabled: bool,
    /// Makes a new secret. The one before signs beside it for 24 hours, so that receivers can be changed one by one.
    #[serde(default, skip_serializing_if = "is_no")]
    pub rotate: bool,
}

fn yes() -> bool {
    true
}
fn is_yes(flag: &bool) -> bool {
    *flag
}
fn is_no(flag: &bool) -> bool {
    !flag
}

/// `GET /v1/webhooks`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct WebhookList {
    /// The endpoints, in the order in which they were made.
    pub endpoints: Vec<EndpointView>,
}

/// An endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct EndpointView {
    /// The id.
    pub id: EndpointId,
    /// Where to.
    pub url: String,
    /// What is told there; empty: everything.
    #[serde(default)]
    pub events: Vec<WebhookType>,
    /// Whether anything is told there.
    pub enabled: bool,
    /// Why nothing is told there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub off: Option<EndpointOff>,
    /// What signs, the newest first.
    pub secrets: Vec<SecretView>,
    /// When it was made, in real time.
    pub created_at: Time,
}

/// A secret that signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct SecretView {
    /// `whsec_…`: shown once, in the answer that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// When it was made, in real time.
    pub made_at: Time,
    /// It signs until then; the newest signs until there is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
}

/// Why nothing is told to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum EndpointOff {
    /// It has answered 410: it does not want any more.
    Gone,
    /// Its partner said so.
    Partner,
}

/// `GET /v1/webhooks/deliveries`: a page, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct DeliveryList {
    /// The deliveries of this page.
    pub deliveries: Vec<DeliveryView>,
    /// `after` of the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// A webhook on its way to one endpoint, or there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct DeliveryView {
    /// Its name here: the webhook's id and the endpoint.
    pub id: String,
    /// The header `webhook-id`: the same for every endpoint and every try.
    pub webhook_id: String,
    /// Where to.
    pub endpoint: EndpointId,
    /// What it tells of.
    #[serde(rename = "type")]
    pub kind: WebhookType,
    /// The job.
    pub job: JobId,
    /// The job's sequence number.
    pub sequence: u32,
    /// Where it stands.
    pub state: DeliveryState,
    /// Tries so far.
    pub attempts: u32,
    /// When it happened, in the trade's time.
    pub timestamp: Time,
    /// When it was tried last, in real time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tried_at: Option<Time>,
    /// What came of the last try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// The status of the last answer, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// How long the last try took, ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u32>,
    /// When it is tried next, in real time; absent where that is now or never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_try_at: Option<Time>,
}

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// It will be tried, again or for the first time.
    Waiting,
    /// The endpoint has taken it.
    Delivered,
    /// It is not tried any more, unless it is sent again by hand.
    Dead,
}

impl DeliveryState {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            DeliveryState::Waiting => "waiting",
            DeliveryState::Delivered => "delivered",
            DeliveryState::Dead => "dead",
        }
    }
}

/// What came of a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A status of 200 to 299.
    Accepted,
    /// Another status.
    Status,
    /// A status of 300 to 399: redirects are not followed.
    Redirect,
    /// 410: the endpoint wants no more, and is switched off.
    Gone,
    /// The host has no address.
    NoAddress,
    /// The host has an address of a private network, or another that is not public.
    ForbiddenAddress,
    /// Nobody listens there, or no way leads there.
    Refused,
    /// TLS failed: the certificate, as a rule.
    Tls,
    /// It took too long.
    Timeout,
    /// The connection broke, or what came was not HTTP.
    Broken,
    /// The secret cannot be read: the server's `webhooks.sealing_key` is another one.
    NoSecret,
    /// The endpoint was switched off or taken away before it was taken.
    EndpointOff,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Outcome; 12] = [
        Outcome::Accepted,
        Outcome::Status,
        Outcome::Redirect,
        Outcome::Gone,
        Outcome::NoAddress,
        Outcome::ForbiddenAddress,
        Outcome::Refused,
        Outcome::Tls,
        Outcome::Timeout,
        Outcome::Broken,
        Outcome::NoSecret,
        Outcome::EndpointOff,
    ];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Accepted => "accepted",
            Outcome::Status => "status",
            Outcome::Redirect => "redirect",
            Outcome::Gone => "gone",
            Outcome::NoAddress => "no_address",
            Outcome::ForbiddenAddress => "forbidden_address",
            Outcome::Refused => "refused",
            Outcome::Tls => "tls",
            Outcome::Timeout => "timeout",
            Outcome::Broken => "broken",
            Outcome::NoSecret => "no_secret",
            Outcome::EndpointOff => "endpoint_off",
        }
    }
}
