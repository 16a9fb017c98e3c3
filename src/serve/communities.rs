//! What ops do to a community and see of it: the brake, and the waitlist of what is wanted outside of its area.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use kiez_protocol::directory::OpsRole;
use kiez_protocol::ids::CommunitySlug;
use kiez_protocol::people::{BrakeView, SetBrake, Waitlist};

use super::App;
use super::friends::{reason, wanted};
use super::problem::{Answered, Refusal, answer};
use super::query::Query;
use crate::dispatch::effect::By;

/// The routes.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/v1/ops/waitlist", get(waitlist)).route("/v1/ops/communities/{slug}/brake", post(brake))
}

async fn waitlist(State(app): State<Arc<App>>, headers: HeaderMap, RawQuery(query): RawQuery) -> Answered {
    app.auth.require(&headers, OpsRole::Dispatcher)?;
    let mut query = Query::of(query.as_deref(), &["community"])?;
    let community: Option<CommunitySlug> = query.value("community")?;
    let cells = app.reader.waitlist(community.as_ref()).await?;
    Ok(answer(StatusCode::OK, &Waitlist { cells }))
}

/// Stored first, then told to the dispatcher: a restart in between finds it.
async fn brake(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(slug): Path<String>,
    request: Request,
) -> Answered {
    let (by, SetBrake { on, reason: why }): (By, SetBrake) =
        wanted(&app, &headers, OpsRole::Dispatcher, request).await?;
    reason(&why)?;
    let community: CommunitySlug = slug.parse().map_err(|_| Refusal::not_found("community"))?;
    let version = app.registry.set_brake(community.clone(), on, why, &by).await?;
    app.refresh_directory().await?;
    Ok(answer(StatusCode::OK, &BrakeView { community, on, version }))
}
