//! Why these four: the record of one choice. Kept for every wave and every seat given on, so that it can be explained to
//! the friend who was not asked, and made again: [`Decision::again`] knows nothing but the record, and must come to the
//! same seats.

use kiez_protocol::friend::WhyReason;
use kiez_protocol::ids::FriendId;
use kiez_protocol::time::Time;
use serde::{Deserialize, Serialize};

use super::gates::Gate;
use super::rank::{FairnessSeat, Given, Wait, Weighed, rank};

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
        Decision { attempt, wave, at, policy_version, cap_m, seats, fairness, median_offers, candidates, beyond_m }
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
