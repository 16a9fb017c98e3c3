//! The feed of the live map, `GET /v1/ops/feed`: the viewer subscribes, gets a snapshot, then changes at most twice a
//! second. Changes are idempotent: each carries the new value of a cell or job, not a difference. No message names an
//! exact place, and none a friend but an alarm of long waits, where those who are no viewers look.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{CommunitySlug, FriendId, JobId};
use crate::partner::JobState;
use crate::time::Time;

/// A frame from the map.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum OpsFrame {
    /// The first frame, within five seconds; again to look elsewhere.
    Subscribe {
        /// An ops token; needed in the first frame.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token: Option<String>,
        /// West, south, east, north in degrees; without them the whole world.
        #[cfg_attr(feature = "schemas", schemars(inner(range(min = -180.0, max = 180.0))))]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bounds: Option<[f64; 4]>,
        /// The H3 resolution of the cells, 4 to 9; 8 without it.
        #[cfg_attr(feature = "schemas", schemars(range(min = 4, max = 9)))]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        resolution: Option<u8>,
        /// Send outlines and centres with the cells, for pages without an H3 library.
        #[serde(default)]
        outlines: bool,
    },
}

/// A message to the map.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum OpsMessage {
    /// Everything in view.
    Snapshot(View),
    /// What has changed in view since the last message.
    Change(View),
    /// The subscription was refused.
    Error {
        /// Why.
        code: crate::refusal::Code,
        /// For people who build maps.
        detail: String,
    },
}

/// What the map shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct View {
    /// The server's clock.
    pub at: Time,
    /// Friends by cell. A cell without friends is empty.
    pub cells: Vec<CellView>,
    /// Open jobs. A job that has ended is sent once more with its last state.
    pub jobs: Vec<JobDot>,
    /// The newest races won, newest last; at most 20.
    pub races: Vec<RaceView>,
    /// What happens now.
    pub rates: Rates,
    /// What ops should look at, newest last; at most 20.
    pub alarms: Vec<AlarmView>,
    /// The centres of the cells named in jobs and races, as latitude and longitude in degrees, if outlines were asked
    /// for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub centres: BTreeMap<String, [f64; 2]>,
}

/// The friends in one H3 cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct CellView {
    /// The H3 index in hexadecimal.
    pub cell: String,
    /// Reachable friends on duty.
    pub friends: u32,
    /// Those who hold nothing.
    pub available: u32,
    /// The corners as latitude and longitude in degrees, if outlines were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outline: Vec<[f64; 2]>,
}

/// A job on the map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct JobDot {
    /// The job.
    pub job: JobId,
    /// Its H3 cell at resolution 8, in hexadecimal.
    pub cell: String,
    /// Where it stands.
    pub state: JobState,
    /// The newest wave.
    pub wave: u8,
    /// The cells (resolution 8) of the friends who hold an offer.
    pub offers: Vec<String>,
    /// When it was posted.
    pub created_at: Time,
}

/// A race that was won.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct RaceView {
    /// The job.
    pub job: JobId,
    /// The job's cell at resolution 8.
    pub cell: String,
    /// When the winner's accept was taken.
    pub at: Time,
    /// From the post to the win, ms.
    pub assigned_in_ms: i64,
    /// The wave of the winner.
    pub wave: u8,
}

/// Counts of what the server has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Rates {
    /// Friends with a live session.
    pub friends_live: u32,
    /// Jobs without a winner.
    pub jobs_open: u32,
    /// Offers that friends hold.
    pub offers_out: u32,
    /// Jobs posted since the server started.
    pub jobs_posted: u64,
    /// Jobs won since the server started.
    pub jobs_assigned: u64,
}

/// Something ops should look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct AlarmView {
    /// What.
    pub kind: AlarmKind,
    /// The job it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
    /// Since when.
    pub at: Time,
    /// Of long waits: whose, how many, how long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<LongWaits>,
}

/// So many friends are named in an alarm of long waits, at most.
pub const LONG_WAITS_NAMED_MAX: usize = 32;

/// Friends of a community who wait too long for an offer, and the seats that could have ended such a wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct LongWaits {
    /// Which community.
    pub community: CommunitySlug,
    /// Friends who have waited for their first offer for longer than `policy.first_offer_days`.
    pub first: u32,
    /// Friends who have waited for another offer for longer than `policy.next_offer_days`.
    pub next: u32,
    /// Seats kept for the longest wait that were given in the seven days before, in reach of somebody who waits so long.
    pub seats: u32,
    /// Who they are, the longest wait first, at most 32. Not for viewers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub friends: Vec<FriendId>,
}

/// Kinds of alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AlarmKind {
    /// Nobody has taken the job.
    Unfilled,
    /// The winner has not contacted the customer in time.
    ContactBreach,
    /// The winner has contacted the customer, and nothing has happened for 72 h.
    Stalled,
    /// Dispatch has been held for 24 h.
    Paused,
    /// The ledger refused a record of this job.
    Quarantined,
    /// Friends of a community wait too long for an offer.
    LongWaits,
}

impl AlarmKind {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            AlarmKind::Unfilled => "unfilled",
            AlarmKind::ContactBreach => "contact_breach",
            AlarmKind::Stalled => "stalled",
            AlarmKind::Paused => "paused",
            AlarmKind::Quarantined => "quarantined",
            AlarmKind::LongWaits => "long_waits",
        }
    }
}
