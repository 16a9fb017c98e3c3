//! Why these four: the record of one choice. Kept for every wave, so that it can be explained to the friend who was not
//! asked, and run again.

use kiez_protocol::friend::WhyReason;
use kiez_protocol::ids::FriendId;
use kiez_protocol::time::Time;
use serde::{Deserialize, Serialize};

use super::gates::Gate;

/// One choice of friends for one wave. It names friends and rounded distances, never a cell or a position.
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
    /// How many were wanted.
    pub wanted: u8,
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
    /// Distance rounded to 50 m.
    pub distance_m: u32,
    /// The outcome.
    pub outcome: Outcome,
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
