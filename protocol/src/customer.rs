//! The customer's link: `/v1/customer/{token}`, one job, no account. Whoever has the link speaks as the customer of that job
//! and of no other; after a while it leads nowhere.

use serde::{Deserialize, Serialize};

use crate::directory::AnswerKind;
use crate::friend::CommunityName;
use crate::ids::{JobId, Key, PackageSlug, Word};
use crate::listing::ProfileCard;
use crate::money::Money;
use crate::partner::{Answer, JobState, Window};
use crate::talk::{AskedView, JobMessage, ProposalView};
use crate::time::Time;

/// A job as its customer sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct CustomerPage {
    /// The job.
    pub job: JobId,
    /// Where it stands.
    pub state: JobState,
    /// With whom it was booked.
    pub community: CommunityName,
    /// What was booked.
    pub package: PackageSlug,
    /// The package's title in the customer's language.
    pub title: String,
    /// The price, where it is known before somebody wins the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Money>,
    /// When the customer has time.
    pub windows: Vec<Window>,
    /// The full name of the friend who comes, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub friend: Option<String>,
    /// Who that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card: Option<ProfileCard>,
    /// When they come, if that is agreed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub appointment: Option<Window>,
    /// The package's questions with the answers so far.
    pub questions: Vec<CustomerQuestion>,
    /// Questions of friends, and of the server, without a reply.
    pub asked: Vec<AskedView>,
    /// Times that can be confirmed now.
    pub proposals: Vec<ProposalView>,
    /// What the customer may do now, by the last part of its path.
    pub allowed: Vec<String>,
    /// When it was booked.
    pub created_at: Time,
    /// When it expires without a winner.
    pub expires_at: Time,
}

/// A question of the package.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct CustomerQuestion {
    /// The name of the answer.
    pub name: Word,
    /// The question in the customer's language.
    pub text: String,
    /// What kind of answer it takes.
    pub kind: AnswerKind,
    /// Nobody is asked without it.
    pub required: bool,
    /// The answer so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
}

/// `POST /v1/customer/{token}/proposals/{id}/confirm`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ConfirmProposal {
    /// Which of the proposal's windows, from 0.
    #[cfg_attr(feature = "schemas", schemars(range(max = 2)))]
    #[serde(default)]
    pub window: u8,
}

/// `POST /v1/customer/{token}/messages`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PostMessage {
    /// The message, 1 to 1,000 characters.
    #[cfg_attr(feature = "schemas", schemars(length(min = 1, max = 1000), regex(pattern = r"^[^\x00]*\S[^\x00]*$")))]
    pub text: String,
    /// The same key is the same message, however often it is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Key>,
}

/// `GET /v1/customer/{token}/messages`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct MessageList {
    /// What was said, in its order.
    pub messages: Vec<JobMessage>,
}
