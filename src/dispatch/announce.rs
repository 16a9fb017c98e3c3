//! What a partner is told of a change of their job: every change of state has its type, and what leaves a job where it
//! stands has none. The ledger makes rows of it, in the commit of the event itself.

use kiez_protocol::partner::JobState;
use kiez_protocol::webhook::WebhookType;

/// The type of the webhook that tells of an event, if it is one that partners hear of.
pub fn announced(from: Option<JobState>, to: JobState) -> Option<WebhookType> {
    if from == Some(to) {
        return None;
    }
    Some(match to {
        // Back to the others: the friend could not, or did not.
        JobState::Dispatching if from.is_some_and(is_held) => WebhookType::JobHandedBack,
        JobState::Dispatching => WebhookType::JobDispatching,
        JobState::NeedsInfo => WebhookType::JobNeedsInfo,
        JobState::Paused => WebhookType::JobPaused,
        JobState::Unfilled => WebhookType::JobUnfilled,
        JobState::Assigned => WebhookType::JobAssigned,
        JobState::Contacted => WebhookType::JobContacted,
        JobState::Appointed => WebhookType::JobAppointed,
        JobState::OnTheWay => WebhookType::JobOnTheWay,
        JobState::InProgress => WebhookType::JobInProgress,
        JobState::Done => WebhookType::JobDone,
        JobState::Unsuccessful => WebhookType::JobUnsuccessful,
        JobState::Confirmed => WebhookType::JobConfirmed,
        JobState::Disputed => WebhookType::JobDisputed,
        JobState::Refunded => WebhookType::JobRefunded,
        JobState::Cancelled => WebhookType::JobCancelled,
        JobState::Expired => WebhookType::JobExpired,
        JobState::Closed => WebhookType::JobClosed,
    })
}

/// Whether a friend has the job in this state and works at it.
fn is_held(state: JobState) -> bool {
    match state {
        JobState::Assigned | JobState::Contacted | JobState::Appointed | JobState::OnTheWay | JobState::InProgress => {
            true
        }
        JobState::NeedsInfo
        | JobState::Dispatching
        | JobState::Paused
        | JobState::Unfilled
        | JobState::Done
        | JobState::Unsuccessful
        | JobState::Confirmed
        | JobState::Disputed
        | JobState::Refunded
        | JobState::Cancelled
        | JobState::Expired
        | JobState::Closed => false,
    }
}
