//! What is said about a job: questions of friends and their answers, times that friends propose, messages between a friend
//! and the customer. Whoever has not won sees none of it with contact data.

use serde::{Deserialize, Serialize};

use crate::ids::{JobId, OfferId};
use crate::partner::Window;
use crate::time::Time;

/// A question that the server asks itself: friends found the job too vague. It stands where a friend's words would be.
pub const TOO_VAGUE: &str = "question.too_vague";

/// Characters of a question, at most.
pub const QUESTION_CHARS_MAX: usize = 300;
/// Characters of the reply to a question, at most.
pub const REPLY_CHARS_MAX: usize = 500;
/// Characters of a message, at most.
pub const MESSAGE_CHARS_MAX: usize = 1_000;
/// Windows of a proposal, at most.
pub const PROPOSED_MAX: usize = 3;

/// A question about a job, with its reply if there is one. The same for all who hold an offer: who asked is not told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct AskedView {
    /// Counts the questions of the job from 1.
    pub number: u16,
    /// The question, contact data filtered; or a key that begins with `question.`, for a text of the server's.
    pub question: String,
    /// The reply, contact data filtered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<String>,
}

/// Times that a friend proposes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct ProposalView {
    /// The proposal: the id of the friend's offer.
    pub id: OfferId,
    /// When the friend could come: 1 to 3 windows.
    pub windows: Vec<Window>,
    /// When it was made.
    pub proposed_at: Time,
    /// Until when it can be confirmed, if nobody accepts before.
    pub until: Time,
}

/// A reply to a question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Reply {
    /// The number of the question, from 1.
    pub question: u16,
    /// The reply, 1 to 500 characters. Friends see it without contact data.
    #[cfg_attr(feature = "schemas", schemars(length(min = 1, max = 500), regex(pattern = r"^[^\x00]*\S[^\x00]*$")))]
    pub text: String,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Voice {
    /// The customer.
    Customer,
    /// The friend.
    Friend,
}

/// A message between the customer and the friend who holds the job, or was named for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct JobMessage {
    /// The job.
    pub job: JobId,
    /// Counts the messages of the job from 1.
    pub number: u16,
    /// Who said it.
    pub from: Voice,
    /// What was said; without contact data until the job is won.
    pub text: String,
    /// When.
    pub at: Time,
}
