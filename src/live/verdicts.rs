//! The verdicts that were given in the last 24 hours, as they were told: a snapshot names them, and an accept that is
//! repeated hears the same without asking the ledger, also when thousands repeat theirs at once. A convenience and not the
//! truth: what is not remembered here the ledger knows.

use dashmap::DashMap;
use kiez_protocol::friend::{LostReason, ToldVerdict, Verdict};
use kiez_protocol::ids::{FriendId, Key, OfferId};
use kiez_protocol::time::Time;

use super::index;

/// How long a verdict is remembered, ms of the trade's time.
const REMEMBERED_MS: i64 = 24 * 3_600_000;

/// Every friend's verdicts, oldest first.
#[derive(Debug)]
pub struct Verdicts {
    len_max: usize,
    friends: DashMap<FriendId, Vec<ToldVerdict>>,
}

impl Default for Verdicts {
    fn default() -> Verdicts {
        Verdicts::keeping(32)
    }
}

impl Verdicts {
    /// None yet; at most `len_max` for each friend, the newest.
    pub fn keeping(len_max: usize) -> Verdicts {
        Verdicts { len_max, friends: DashMap::new() }
    }

    /// A verdict is told. Only what is final is remembered; the first time counts, but for a no that was taken back.
    pub fn note(&self, friend: FriendId, told: ToldVerdict) {
        match told.result {
            Verdict::Won | Verdict::Lost => {}
            Verdict::TryAgain | Verdict::NeedsReconfirm => return,
        }
        let mut known = self.friends.entry(friend).or_default();
        let before = known.iter().position(|known| (known.offer, known.key) == (told.offer, told.key));
        match before {
            // A no can be taken back: what the same accept hears then stands.
            Some(at) if known[at].reason == Some(LostReason::Declined) => drop(known.remove(at)),
            Some(_) => return,
            None => {}
        }
        if self.len_max == 0 {
            return;
        }
        known.retain(|known| told.at.since(known.at) < REMEMBERED_MS);
        let surplus = (known.len() + 1).saturating_sub(self.len_max);
        known.drain(..surplus);
        known.push(told);
    }

    /// What this accept was told.
    pub fn of(&self, friend: FriendId, offer: OfferId, key: Key) -> Option<(Verdict, Option<LostReason>)> {
        let known = self.friends.get(&friend)?;
        known.iter().find(|told| (told.offer, told.key) == (offer, key)).map(|told| (told.result, told.reason))
    }

    /// What the friend was told in the 24 hours before `now`, oldest first.
    pub fn recent(&self, friend: FriendId, now: Time) -> Vec<ToldVerdict> {
        let known = self.friends.get(&friend);
        let known = known.iter().flat_map(|known| known.iter());
        known.filter(|told| now.since(told.at) < REMEMBERED_MS).copied().collect()
    }

    /// Forgets what is older than 24 hours. To be called now and then.
    pub fn sweep(&self, now: Time) {
        self.friends.retain(|_, known| {
            known.retain(|told| now.since(told.at) < REMEMBERED_MS);
            known.shrink_to_fit();
            !known.is_empty()
        });
        index::shrink(&self.friends);
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const HOUR: i64 = 3_600_000;

    fn told(number: u128, result: Verdict, at: i64) -> ToldVerdict {
        let (offer, key) = (OfferId(Uuid::from_u128(number)), Key(Uuid::from_u128(number)));
        ToldVerdict { offer, key, result, reason: None, at: Time(at) }
    }

    #[test]
    fn a_win_after_a_no_that_was_taken_back_is_what_stands() {
        let verdicts = Verdicts::keeping(3);
        let friend = FriendId(Uuid::from_u128(1));
        let declined = ToldVerdict { reason: Some(LostReason::Declined), ..told(7, Verdict::Lost, 0) };
        verdicts.note(friend, declined);
        verdicts.note(friend, told(7, Verdict::Won, 20));
        verdicts.note(friend, declined);
        let won = told(7, Verdict::Won, 20);
        assert_eq!(verdicts.recent(friend, Time(30)), [won]);
        assert_eq!(verdicts.of(friend, won.offer, won.key), Some((Verdict::Won, None)));
    }

    #[test]
    fn the_newest_final_verdicts_of_a_day_are_remembered_as_first_told() {
        let verdicts = Verdicts::keeping(3);
        let friend = FriendId(Uuid::from_u128(1));
        for number in 1..=4 {
            verdicts.note(friend, told(number, Verdict::Lost, number as i64 * HOUR));
        }
        verdicts.note(friend, told(5, Verdict::TryAgain, 5 * HOUR));
        verdicts.note(friend, told(6, Verdict::NeedsReconfirm, 5 * HOUR));
        verdicts.note(friend, told(4, Verdict::Won, 6 * HOUR));
        let numbers = |now| verdicts.recent(friend, Time(now)).iter().map(|told| told.at.0 / HOUR).collect::<Vec<_>>();
        assert_eq!(numbers(5 * HOUR), [2, 3, 4]);
        assert_eq!(numbers(27 * HOUR), [4]);
        let (offer, key) = (OfferId(Uuid::from_u128(4)), Key(Uuid::from_u128(4)));
        assert_eq!(verdicts.of(friend, offer, key), Some((Verdict::Lost, None)));
        assert_eq!(verdicts.of(FriendId(Uuid::from_u128(2)), offer, key), None);
        verdicts.sweep(Time(28 * HOUR));
        assert!(verdicts.friends.is_empty());
    }
}
