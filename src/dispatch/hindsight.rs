//! Why not me: what the records of a job's choices say about a friend who was not asked. Nothing is decided here, and nothing
//! is told but what concerns the friend: their own distance, the first gate that did not open, their rank.

use kiez_protocol::friend::{WhyNot, WhyTerms};
use kiez_protocol::ids::FriendId;

use super::decision::{Decision, Outcome};

/// What the choices of one job, oldest first, say about `friend`, who calls it `missed`. None if they were asked, or nobody
/// was looked for. The last look that saw them counts; where none did, the first, at which they were beyond its end. A record
/// that was shrunk says nothing about who was not chosen.
pub fn why_not(decisions: &[Decision], friend: FriendId, missed: &str) -> Option<WhyNot> {
    if decisions.iter().any(|decision| decision.seated().any(|(seated, ..)| seated == friend)) {
        return None;
    }
    let seen = |decision: &Decision| decision.candidates.iter().find(|seen| seen.friend == friend).cloned();
    let last = decisions.iter().rev().find_map(|decision| Some((decision, Some(seen(decision)?))));
    let (decision, seen) =
        last.or_else(|| Some((decisions.iter().find(|decision| decision.passed.is_none())?, None)))?;
    let (gate, rank) = match seen.as_ref().map(|seen| seen.outcome) {
        Some(Outcome::Failed { gate }) => (Some(gate), None),
        Some(Outcome::Seat { rank, .. } | Outcome::Ranked { rank }) => (None, Some(rank)),
        None => (None, None),
    };
    let message_key = match (gate, rank) {
        (Some(gate), _) => format!("why_not.{}", gate.as_str()),
        (None, Some(_)) => "why_not.rank".to_owned(),
        (None, None) => "why_not.beyond".to_owned(),
    };
    let terms = WhyTerms {
        at: decision.at,
        wave: decision.wave,
        seats: u8::try_from(decision.seats.len()).unwrap_or(u8::MAX),
        cap_m: decision.cap_m,
        distance_m: seen.as_ref().map(|seen| seen.distance_m),
        beyond_m: decision.beyond_m,
        deficit_days: seen.and_then(|seen| seen.waited).map(|waited| waited.deficit_days),
    };
    Some(WhyNot { missed: missed.to_owned(), gate, rank, message_key, terms })
}
