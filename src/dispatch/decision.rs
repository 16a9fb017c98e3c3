//! Why these four: the record of one choice. Kept for every wave and every seat given on, so that it can be explained to
//! the friend who was not asked, and made again: [`Decision::again`] knows nothing but the record, and must come to the
//! same seats. After thirty days those who were not chosen shrink to counts, after a year the record goes.

use std::collections::BTreeMap;

use kiez_protocol::friend::WhyReason;
use kiez_protocol::ids::FriendId;
use kiez_protocol::time::Time;
use serde::{Deserialize, Serialize};

use super::fairness::DAY_MS;
use super::gates::Gate;
use super::rank::{FairnessSeat, Given, Wait, Weighed, rank};

/// A record is whole for so long, ms: as long as a friend may ask why it was not them (rules of the trade, §4).
pub const WHOLE_MS: i64 = 30 * DAY_MS;
/// A record is kept for so long, ms: twelve months.
pub const KEPT_MS: i64 = 365 * DAY_MS;

/// One choice of friends for seats of one wave. It names friends and rounded distances, never a cell or a position.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// The dispatch run.
    pub attempt: u16,
    /// The wave the seats belong to.
    pub wave: u8,
    /// When it was made.
    pub at: Time,
    /// The version of the community whose policy it followed.
    pub policy_version: u32,
    /// The distance cap in metres within which the friends were found.
    pub cap_m: u32,
    /// The seats of the wave that were to be given, ascending.
    pub seats: Vec<u8>,
    /// The one among them that goes to the longest wait, where the cap holds enough for all of them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fairness: Option<FairnessSeat>,
    /// The median of the offers in 30 days of those who are suitable here: the neighbourhood's.
    #[serde(default)]
    pub median_offers: u32,
    /// Everybody the walk saw up to where it stopped: first the suitable in their order, then the others.
    pub candidates: Vec<Candidate>,
    /// Everybody else stands at least so far away, metres; absent when the walk went to the end of the cap.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub beyond_m: Option<u32>,
    /// How many were seen and not chosen, once they are no longer among the candidates. Such a record can not be made again.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub passed: Option<Passed>,
}

/// What is left of those who were not chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed {
    /// Suitable, but others came first.
    pub ranked: u32,
    /// Not suitable, by the first gate that failed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub failed: BTreeMap<Gate, u32>,
}

/// What the choice saw in one friend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Who.
    pub friend: FriendId,
    /// Distance rounded to 50 m: the first term of the ranking.
    pub distance_m: u32,
    /// The other terms, for who is suitable.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub waited: Option<Waited>,
    /// The outcome.
    pub outcome: Outcome,
}

/// The second term of the ranking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waited {
    /// How long they have waited.
    #[serde(flatten)]
    pub wait: Wait,
    /// How much longer that is than for those around them, whole days.
    pub deficit_days: u32,
}

/// Suitable or not, and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Got a seat.
    Seat {
        /// Which seat of the wave.
        seat: u8,
        /// The rank among the suitable, from 1.
        rank: u16,
        /// What gave it.
        why: WhyReason,
    },
    /// Suitable, but others came first.
    Ranked {
        /// The rank among the suitable, from 1.
        rank: u16,
    },
    /// Not suitable.
    Failed {
        /// The first gate that failed.
        gate: Gate,
    },
}

/// The facts of a choice that do not depend on friends.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// The dispatch run.
    pub attempt: u16,
    /// The wave.
    pub wave: u8,
    /// When.
    pub at: Time,
    /// The version of the community.
    pub policy_version: u32,
    /// The distance cap, metres.
    pub cap_m: u32,
    /// The walk's end, metres.
    pub beyond_m: Option<u32>,
}

impl Decision {
    /// Makes a choice: the order of the suitable and their seats. `failed` are the others the walk saw, each with rounded
    /// metres and the first gate that failed, by distance and id.
    pub fn make(
        frame: Frame,
        seats: Vec<u8>,
        fairness: Option<FairnessSeat>,
        suitable: Vec<Weighed>,
        failed: Vec<(FriendId, u32, Gate)>,
    ) -> Decision {
        let Frame { attempt, wave, at, policy_version, cap_m, beyond_m } = frame;
        let ranking = rank(suitable);
        let given = ranking.give(&seats, fairness);
        let outcome = |index: usize| {
            let rank = u16::try_from(index + 1).unwrap_or(u16::MAX);
            match given.iter().find(|given| given.index == index) {
                Some(Given { seat, why, index: _ }) => Outcome::Seat { seat: *seat, rank, why: *why },
                None => Outcome::Ranked { rank },
            }
        };
        let fits = ranking.ranked.iter().enumerate().map(|(index, (weighed, deficit_days))| Candidate {
            friend: weighed.friend,
            distance_m: weighed.distance_m,
            waited: Some(Waited { wait: weighed.wait, deficit_days: *deficit_days }),
            outcome: outcome(index),
        });
        let others = failed.into_iter().map(|(friend, distance_m, gate)| Candidate {
            friend,
            distance_m,
            waited: None,
            outcome: Outcome::Failed { gate },
        });
        let (median_offers, candidates) = (ranking.median_offers, fits.chain(others).collect());
        Decision {
            attempt,
            wave,
            at,
            policy_version,
            cap_m,
            seats,
            fairness,
            median_offers,
            candidates,
            beyond_m,
            passed: None,
        }
    }

    /// The same choice made again, of nothing but the facts in this record: who was seen, how far away, how long they had
    /// waited, and which gate kept them. It equals this one, or this one was not made by the rules.
    pub fn again(&self) -> Decision {
        let weigh = |candidate: &Candidate| {
            let wait = candidate.waited?.wait;
            Some(Weighed { friend: candidate.friend, distance_m: candidate.distance_m, wait })
        };
        let fail = |candidate: &Candidate| match candidate.outcome {
            Outcome::Failed { gate } => Some((candidate.friend, candidate.distance_m, gate)),
            Outcome::Seat { .. } | Outcome::Ranked { .. } => None,
        };
        let frame = Frame {
            attempt: self.attempt,
            wave: self.wave,
            at: self.at,
            policy_version: self.policy_version,
            cap_m: self.cap_m,
            beyond_m: self.beyond_m,
        };
        let suitable = self.candidates.iter().filter_map(weigh).collect();
        let mut failed: Vec<_> = self.candidates.iter().filter_map(fail).collect();
        failed.sort_unstable_by_key(|&(friend, distance_m, _)| (distance_m, friend));
        Decision::make(frame, self.seats.clone(), self.fairness, suitable, failed)
    }

    /// The same record with those who were not chosen as counts: who got a seat, why and by which terms stays, and how far
    /// the walk went. Shrinking it again changes nothing.
    pub fn shrink(mut self) -> Decision {
        let mut passed = self.passed.take().unwrap_or_default();
        self.candidates.retain(|candidate| match candidate.outcome {
            Outcome::Seat { .. } => true,
            Outcome::Ranked { .. } => {
                passed.ranked += 1;
                false
            }
            Outcome::Failed { gate } => {
                *passed.failed.entry(gate).or_default() += 1;
                false
            }
        });
        self.passed = Some(passed);
        self
    }

    /// How much longer than those around them a friend who is suitable had waited, whole days.
    pub fn deficit_days(&self, friend: FriendId) -> Option<u32> {
        let seen = self.candidates.iter().find(|candidate| candidate.friend == friend)?;
        seen.waited.map(|waited| waited.deficit_days)
    }

    /// Who got a seat: friend, seat of the wave, rank and what gave it, in the order of rank.
    pub fn seated(&self) -> impl Iterator<Item = (FriendId, u8, u16, WhyReason)> {
        self.candidates.iter().filter_map(|candidate| match candidate.outcome {
            Outcome::Seat { seat, rank, why } => Some((candidate.friend, seat, rank, why)),
            Outcome::Ranked { .. } | Outcome::Failed { .. } => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_shrunk_record_keeps_the_chosen_and_counts_the_others() {
        let friend = |id| FriendId(Uuid::from_u128(id));
        let weighed = |id: u128, distance_m| Weighed { friend: friend(id), distance_m, wait: Wait::default() };
        let suitable = (1..=6).map(|id| weighed(id, 100 * id as u32)).collect();
        let failed = vec![(friend(7), 50, Gate::Caps), (friend(8), 100, Gate::Skill), (friend(9), 150, Gate::Caps)];
        let frame = Frame { attempt: 1, wave: 1, at: Time(0), policy_version: 3, cap_m: 3_800, beyond_m: Some(625) };
        let whole = Decision::make(frame, vec![0, 1, 2, 3], None, suitable, failed);
        let shrunk = whole.clone().shrink();
        assert_eq!(shrunk.seated().collect::<Vec<_>>(), whole.seated().collect::<Vec<_>>());
        assert_eq!(shrunk.candidates, whole.candidates[..4], "with the terms by which they were ranked");
        let passed = Passed { ranked: 2, failed: BTreeMap::from([(Gate::Skill, 1), (Gate::Caps, 2)]) };
        assert_eq!(shrunk.passed.as_ref(), Some(&passed));
        assert_eq!((shrunk.beyond_m, shrunk.cap_m, shrunk.policy_version), (Some(625), 3_800, 3));
        assert_eq!(shrunk.clone().shrink(), shrunk, "once more changes nothing");
        let text = serde_json::to_string(&shrunk).expect("plain data");
        assert_eq!(serde_json::from_str::<Decision>(&text).expect("reads"), shrunk);
        assert!(!text.contains(&friend(9).to_string()));
    }
}
