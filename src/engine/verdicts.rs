//! Accepts on their way to a verdict: how long each waits, by our clock, and what the log and the meters hear of it.

use std::collections::HashMap;

use kiez_protocol::friend::{FriendMessage, LostReason, Verdict};
use kiez_protocol::ids::{FriendId, Key, OfferId};

use crate::clock::Stopwatch;
use crate::metrics;

/// Accepts that are timed at once; those beyond are answered all the same.
const TIMED_MAX: usize = 8_192;

/// When the accepts that wait for their verdict came.
#[derive(Debug, Default)]
pub struct Verdicts(HashMap<(FriendId, Key), Stopwatch>);

impl Verdicts {
    /// An accept has come. Sent again while it waits, it has waited since the first time.
    pub fn begin(&mut self, friend: FriendId, key: Key, since: Stopwatch) {
        if self.0.len() < TIMED_MAX {
            self.0.entry((friend, key)).or_insert(since);
        }
    }

    /// Somebody else answers it: when it came.
    pub fn hand_over(&mut self, friend: FriendId, key: Key) -> Option<Stopwatch> {
        self.0.remove(&(friend, key))
    }

    /// A friend is told something: it may be what an accept has waited for.
    pub fn told(&mut self, friend: FriendId, message: &FriendMessage) {
        if let FriendMessage::AcceptResult { offer, key, result, reason } = message {
            let since = self.0.remove(&(friend, *key));
            tell(friend, *offer, *result, *reason, since);
        } else if let FriendMessage::Error { key: Some(key), .. } = message {
            // An accept for what is not theirs is refused without a verdict.
            self.0.remove(&(friend, *key));
        }
    }
}

/// A verdict is told, on a job that is open: within the span of it the log hears of it, and so do the meters.
fn tell(friend: FriendId, offer: OfferId, result: Verdict, reason: Option<LostReason>, since: Option<Stopwatch>) {
    count(result, reason, since);
    let (result, reason) = (result.as_str(), reason.map(LostReason::as_str));
    tracing::info!(%friend, %offer, result, reason, "verdict");
}

/// A verdict that stands in the ledger is told once more: the story of its job has had it.
pub fn tell_again(
    friend: FriendId,
    offer: OfferId,
    result: Verdict,
    reason: Option<LostReason>,
    since: Option<Stopwatch>,
) {
    count(result, reason, since);
    let (result, reason) = (result.as_str(), reason.map(LostReason::as_str));
    tracing::debug!(%friend, %offer, result, reason, "a verdict is told again");
}

fn count(result: Verdict, reason: Option<LostReason>, since: Option<Stopwatch>) {
    metrics::verdict(result, reason);
    if let Some(since) = since {
        metrics::accept_to_verdict(since.elapsed());
    }
}
