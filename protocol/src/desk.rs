//! The desk of ops, `/v1/ops/…`: what they do to jobs by hand. `Authorization: Bearer` with an ops token of the role
//! `dispatcher` or `admin`; looking takes `viewer`. Every action asks a reason, which stays with the job's events.

use serde::{Deserialize, Serialize};

use crate::ids::{FriendId, PartnerSlug};
use crate::partner::PostJob;

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
