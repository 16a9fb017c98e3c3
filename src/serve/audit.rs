//! The audit log as ops read it.

use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use kiez_protocol::audit::AuditList;
use kiez_protocol::directory::OpsRole;
use kiez_protocol::refusal::Code;

use super::App;
use super::problem::{Answered, Refusal, answer};
use super::query::Query;
use crate::ledger::AuditFilter;

/// The route.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/v1/ops/audit", get(list))
}

async fn list(State(app): State<Arc<App>>, headers: HeaderMap, RawQuery(query): RawQuery) -> Answered {
    app.auth.require(&headers, OpsRole::Dispatcher)?;
    let mut query = Query::of(query.as_deref(), &["kind", "subject", "actor", "action", "limit", "after"])?;
    let filter = AuditFilter {
        kind: query.value("kind")?,
        subject: query.text("subject", 200)?,
        actor: query.text("actor", 100)?,
        action: query.text("action", 100)?,
    };
    let limit = query.limit()?;
    let after = query.take("after");
    let after = after.map(|after| after.parse::<u64>()).transpose();
    let after = after.map_err(|_| Refusal::param(Code::Invalid, "after", "takes the `after` of the page before"))?;
    let mut entries = app.reader.audit(&filter, limit + 1, after).await?;
    let more = entries.len() > limit as usize;
    entries.truncate(limit as usize);
    let after = if more { entries.last().map(|entry| entry.id) } else { None };
    Ok(answer(StatusCode::OK, &AuditList { entries, after }))
}
