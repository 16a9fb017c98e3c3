//! Is it alive, is it ready: what a supervisor, a load balancer and an operator ask, on both listeners.

use serde::{Deserialize, Serialize};

/// `GET /livez`: the loop turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Liveness {
    /// Whether it has turned of late. A process that stays dead is best killed and started again.
    pub alive: bool,
    /// Turns of the dispatcher's loop since the start, at least one a second; 0 before there is one.
    pub turns: u64,
}

/// `GET /readyz`: whether the server takes work. With `?verbose` also what that hangs on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Readiness {
    /// Whether it takes work.
    pub ready: bool,
    /// The server goes down; verbose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draining: Option<bool>,
    /// It was started to stand by and does; verbose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standby: Option<bool>,
    /// What it waits for before it can serve: `ledger`, `lock`, `database` or `address`; verbose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// The ledger; verbose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger: Option<LedgerHealth>,
    /// Whether the database has this server's schema: `current`, for no server starts on another; verbose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migrations: Option<String>,
    /// Jobs without a winner; verbose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jobs_open: Option<u64>,
    /// Friends with a live session; verbose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub friends_live: Option<u64>,
    /// Inputs waiting for the dispatcher; verbose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mailbox: Option<u64>,
}

/// How the ledger does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct LedgerHealth {
    /// It answers.
    pub reachable: bool,
    /// Its queue moves.
    pub keeps_up: bool,
    /// Records waiting to be written.
    pub queue: u64,
}
