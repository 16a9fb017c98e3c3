//! What partners are told: every change of a job's state has its webhook, and what is no change has none.

use std::collections::BTreeSet;

use kiez::dispatch::announce::announced;
use kiez_protocol::partner::JobState;
use kiez_protocol::webhook::WebhookType;

/// Events that leave a job where it stands, whatever they are for: nobody outside hears of them.
const STAYS: &[&str] = &[
    "wave_opened",
    "seat_refilled",
    "offer_declined",
    "decline_undone",
    "declined_late",
    "offers_expired",
    "accept_over_capacity",
    "stalled",
    "edited",
    "answered",
    "reminder",
    "asked",
    "replied",
    "proposed",
    "named_asked",
    "direct_passed",
    "message",
    "alarm",
];

/// Events that bring a job from one state to another, or into the world: a partner hears of each.
const MOVES: &[&str] = &[
    "posted",
    "assigned",
    "assigned_by_ops",
    "paused",
    "resumed",
    "redispatched",
    "contacted",
    "completed",
    "handed_back",
    "no_contact",
    "answers_complete",
    "proposal_confirmed",
    "unfilled",
    "cancelled",
    "expired",
    "confirmed",
    "closed",
];

/// Holds an event that was written to these lists. Every story and every random walk passes here.
pub fn is_told_as_it_should(kind: &str, from: Option<JobState>, to: JobState) {
    let told = announced(from, to).is_some();
    assert_eq!(
        told,
        MOVES.contains(&kind),
        "{kind} from {from:?} to {to}: say in this file whether partners hear of it"
    );
}

const STATES: [JobState; 17] = [
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

#[test]
fn every_kind_of_event_is_told_or_is_not_and_somebody_has_thought_of_it() {
    let known: BTreeSet<&str> = STAYS.iter().chain(MOVES).copied().collect();
    assert_eq!(known.len(), STAYS.len() + MOVES.len(), "none is both");
    let there: BTreeSet<&str> = kiez::metrics::JOB_EVENTS.iter().copied().collect();
    assert_eq!(there, known, "an event of the core about which nobody has said whether partners hear of it");
}

#[test]
fn every_change_of_state_has_a_type_and_every_type_a_change() {
    let mut used = BTreeSet::new();
    for to in STATES {
        for from in std::iter::once(None).chain(STATES.map(Some)) {
            match announced(from, to) {
                None => assert_eq!(from, Some(to), "only what stays is not told"),
                Some(kind) => {
                    let (word, state) = (kind.as_str(), format!("job.{to}"));
                    let back = kind == WebhookType::JobHandedBack && to == JobState::Dispatching;
                    assert!(word == state || back, "{from:?} to {to} is told as {word}");
                    used.insert(word);
                }
            }
        }
    }
    let all: BTreeSet<&str> = WebhookType::ALL.iter().map(|kind| kind.as_str()).collect();
    assert_eq!(used, all, "the closed list");
    assert_eq!(announced(Some(JobState::Assigned), JobState::Dispatching), Some(WebhookType::JobHandedBack));
    assert_eq!(announced(Some(JobState::Paused), JobState::Dispatching), Some(WebhookType::JobDispatching));
}
