//! Is it alive, is it ready, and what do the meters say.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::routing::get;
use kiez_protocol::health::{LedgerHealth, Liveness, Readiness};
use metrics_exporter_prometheus::PrometheusHandle;

use super::App;
use super::problem::answer;

/// `/livez` and `/readyz`, for both listeners.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/livez", get(livez)).route("/readyz", get(readyz))
}

/// `/metrics` as well, for the operator's listener.
pub fn admin_routes() -> Router<Arc<App>> {
    routes().route("/metrics", get(metrics))
}

/// The loop turns at least once a second; after this long without a turn it does not live any more, ms.
const DEAD_MS: i64 = 10_000;

/// The loop turns: 200.
async fn livez(State(app): State<Arc<App>>) -> Response<Body> {
    let alive = app.clock.elapsed_ms() - app.mailbox.turned_at() < DEAD_MS;
    let status = if alive { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    answer(status, &Liveness { alive, turns: app.mailbox.turns() })
}

/// Takes work: 200. Draining, or the ledger is away: 503. `?verbose` says which.
async fn readyz(State(app): State<Arc<App>>, RawQuery(query): RawQuery) -> Response<Body> {
    let (draining, ledger) = (app.stop.is_cancelled(), app.mailbox.ledger_is_reachable() && !app.mailbox.is_stalled());
    let ready = !draining && ledger;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    if query.is_some_and(|query| query.contains("verbose")) {
        let ledger = LedgerHealth {
            reachable: app.mailbox.ledger_is_reachable(),
            keeps_up: !app.mailbox.is_stalled(),
            queue: app.mailbox.ledger_queue_len() as u64,
        };
        let detail = Readiness {
            ready,
            draining: Some(draining),
            standby: Some(false),
            waits_for: None,
            ledger: Some(ledger),
            migrations: Some("current".to_owned()),
            jobs_open: Some(app.mailbox.jobs_open() as u64),
            friends_live: Some(app.live.sessions.connected() as u64),
            mailbox: Some(app.mailbox.len() as u64),
        };
        return answer(status, &detail);
    }
    answer(status, &Readiness { ready, ..Readiness::default() })
}

async fn metrics(State(app): State<Arc<App>>) -> Response<Body> {
    metrics_process::Collector::default().collect();
    let mut response =
        Response::new(Body::from(app.metrics.as_ref().map(PrometheusHandle::render).unwrap_or_default()));
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
