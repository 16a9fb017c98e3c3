//! The audit log: who did what to whom, when and why. An entry is written in the same commit as what it tells of, and is
//! never changed. It names things by their ids and holds no name, number or address of a friend or a customer; what ops
//! write as a reason stands as they wrote it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::directory::OpsRole;
use crate::time::Time;

/// As whom somebody acted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AuditRole {
    /// Ops, looking.
    Viewer,
    /// Ops, acting on jobs and accounts.
    Dispatcher,
    /// Ops, maintaining the directory.
    Admin,
    /// A friend, on their own profile.
    Friend,
    /// A partner, by their key.
    Partner,
    /// A customer, by the link of their job.
    Customer,
    /// The server itself, by a rule.
    System,
    /// Whoever has the machine: the command line beside the server.
    Operator,
}

impl AuditRole {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            AuditRole::Viewer => "viewer",
            AuditRole::Dispatcher => "dispatcher",
            AuditRole::Admin => "admin",
            AuditRole::Friend => "friend",
            AuditRole::Partner => "partner",
            AuditRole::Customer => "customer",
            AuditRole::System => "system",
            AuditRole::Operator => "operator",
        }
    }
}

impl From<OpsRole> for AuditRole {
    fn from(role: OpsRole) -> AuditRole {
        match role {
            OpsRole::Viewer => AuditRole::Viewer,
            OpsRole::Dispatcher => AuditRole::Dispatcher,
            OpsRole::Admin => AuditRole::Admin,
        }
    }
}

/// What kind of thing was acted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum SubjectKind {
    /// A job, by its id.
    Job,
    /// A friend, by their id.
    Friend,
    /// A community, by its slug.
    Community,
    /// A package, by its slug.
    Package,
    /// A partner, by its slug.
    Partner,
    /// The directory as a whole: `directory`.
    Directory,
    /// A search of ops: `jobs`.
    Search,
}

impl SubjectKind {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            SubjectKind::Job => "job",
            SubjectKind::Friend => "friend",
            SubjectKind::Community => "community",
            SubjectKind::Package => "package",
            SubjectKind::Partner => "partner",
            SubjectKind::Directory => "directory",
            SubjectKind::Search => "search",
        }
    }
}

/// An entry of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct AuditEntry {
    /// Grows from one entry to the next, with gaps.
    pub id: u64,
    /// When, by the server's clock.
    pub at: Time,
    /// Who: the name in an ops token, a friend's id, a partner's slug, `kiez` for the server itself.
    pub actor: String,
    /// As whom.
    pub role: AuditRole,
    /// What was done: `friend_suspended`, `brake_set`. More may come.
    pub action: String,
    /// To what kind of thing.
    pub subject_kind: SubjectKind,
    /// To which: its id or slug.
    pub subject: String,
    /// Why, as it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What else there is to know, in words and numbers: `version`, `from`, `to`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, String>,
}

/// A page of the audit log, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct AuditList {
    /// The entries.
    pub entries: Vec<AuditEntry>,
    /// More: ask again with this as `after`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
}
