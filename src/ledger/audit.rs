//! The audit log as it is stored: written by the dispatcher's commits and by what admins change, each in the transaction
//! of what it tells of, and never changed. The tables refuse an update and a delete.

use kiez_protocol::audit::AuditEntry;
use serde::Serialize;

use super::either::{Arg, Row, Session};
use super::rows::json;
use crate::dispatch::effect::AuditRow;

/// A row of `audit`. Its id comes from the database.
#[derive(Debug, Serialize)]
pub struct AuditLine {
    at: i64,
    actor: String,
    role: &'static str,
    action: &'static str,
    subject_kind: &'static str,
    subject: String,
    reason: Option<String>,
    details: String,
}

impl AuditLine {
    /// An entry as it goes to either engine.
    pub fn of(row: &AuditRow) -> AuditLine {
        AuditLine {
            at: row.at.0,
            actor: row.actor.clone(),
            role: row.role.as_str(),
            action: row.action,
            subject_kind: row.subject_kind.as_str(),
            subject: row.subject.clone(),
            reason: row.reason.clone(),
            details: json(&row.details),
        }
    }
}

/// Adds entries, in this order. The caller holds the transaction.
pub async fn put(session: &mut Session<'_>, lines: &[AuditLine]) -> sqlx::Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    let sql = match session {
        Session::Sqlite(_) => {
            "insert into audit (at, actor, role, action, subject_kind, subject, reason, details)
             select value ->> 'at', value ->> 'actor', value ->> 'role', value ->> 'action', value ->> 'subject_kind',
                 value ->> 'subject', value ->> 'reason', value ->> 'details'
             from jsonb_each($1) order by key"
        }
        Session::Postgres(_) => {
            "insert into audit (at, actor, role, action, subject_kind, subject, reason, details)
             select (value ->> 'at')::bigint, value ->> 'actor', value ->> 'role', value ->> 'action',
                 value ->> 'subject_kind', value ->> 'subject', value ->> 'reason', (value ->> 'details')::json
             from json_array_elements($1) with ordinality as each (value, number) order by number"
        }
    };
    session.run(sql, [Arg::Doc(json(&lines))]).await.map(|_| ())
}

/// An entry as it stands in the table.
pub fn entry(row: &Row) -> sqlx::Result<AuditEntry> {
    Ok(AuditEntry {
        id: row.int("id")?,
        at: row.time("at")?,
        actor: row.text("actor")?.to_owned(),
        role: row.word("role")?,
        action: row.text("action")?.to_owned(),
        subject_kind: row.word("subject_kind")?,
        subject: row.text("subject")?.to_owned(),
        reason: row.maybe_text("reason")?.map(ToOwned::to_owned),
        details: row.doc("details")?,
    })
}
