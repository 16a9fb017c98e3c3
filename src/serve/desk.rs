//! The desk of ops: what they do to jobs by hand, each action with its reason. Roles are checked before anything else is
//! read; what becomes of a job is decided by the dispatcher.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use kiez_protocol::desk::{ActOnJob, AssignJob, OpsAction, PostForPartner};
use kiez_protocol::directory::OpsRole;
use kiez_protocol::ids::JobId;
use kiez_protocol::partner::JobState;
use kiez_protocol::refusal::Code;
use sha2::{Digest, Sha256};

use super::App;
use super::auth::OpsCaller;
use super::partner::{idempotency_key, job_id, refused, submit};
use super::problem::{Answered, Refusal, about, answer, body, json};
use crate::dispatch::effect::Answer;
use crate::dispatch::input::{Act, ByOps, Input, PartnerKey, Steering};

/// A reason is at most so long, characters.
const REASON_CHARS_MAX: usize = 300;

/// The routes.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/ops/jobs", post(post_job))
        .route("/v1/ops/jobs/{id}/pause", post(pause))
        .route("/v1/ops/jobs/{id}/resume", post(resume))
        .route("/v1/ops/jobs/{id}/assign", post(assign))
        .route("/v1/ops/jobs/{id}/redispatch", post(redispatch))
        .route("/v1/ops/jobs/{id}/cancel", post(cancel))
}

async fn post_job(State(app): State<Arc<App>>, headers: HeaderMap, request: Request) -> Answered {
    let caller = app.auth.caller(&headers, OpsRole::Dispatcher)?;
    let key = idempotency_key(&headers)?;
    let bytes = body(request, app.limits.body_bytes_max, &app.limits).await?;
    let PostForPartner { partner, reason, job } = json(&bytes)?;
    let by = by(caller, reason)?;
    if app.live.directory.partner(&partner).is_none() {
        return Err(Refusal::param(Code::Invalid, "partner", format!("there is no partner `{partner}`")));
    }
    // A partner's own keys have no tab in them, so that the two never meet.
    let key = key.map(|key| PartnerKey { key: format!("ops\t{key}"), body: Sha256::digest(&bytes).into() });
    submit(&app, &partner, Some(by), key, || Ok(job)).await
}

async fn pause(State(app): State<Arc<App>>, headers: HeaderMap, Path(id): Path<String>, request: Request) -> Answered {
    act(&app, &headers, &id, request, Act::Pause).await
}

async fn resume(State(app): State<Arc<App>>, headers: HeaderMap, Path(id): Path<String>, request: Request) -> Answered {
    act(&app, &headers, &id, request, Act::Resume).await
}

async fn redispatch(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(id): Path<String>,
    request: Request,
) -> Answered {
    act(&app, &headers, &id, request, Act::Redispatch).await
}

async fn cancel(State(app): State<Arc<App>>, headers: HeaderMap, Path(id): Path<String>, request: Request) -> Answered {
    act(&app, &headers, &id, request, Act::Cancel).await
}

async fn assign(State(app): State<Arc<App>>, headers: HeaderMap, Path(id): Path<String>, request: Request) -> Answered {
    let caller = app.auth.caller(&headers, OpsRole::Dispatcher)?;
    let job = job_id(&id)?;
    let AssignJob { friend, reason } = json(&body(request, app.limits.body_bytes_max, &app.limits).await?)?;
    let by = by(caller, reason)?;
    let friend = app.live.directory.friend(friend);
    let friend = friend.ok_or_else(|| Refusal::param(Code::Invalid, "friend", "there is no such friend"))?;
    steer(&app, job, by, Act::Assign(friend)).await
}

async fn act(app: &App, headers: &HeaderMap, id: &str, request: Request, act: Act) -> Answered {
    let caller = app.auth.caller(headers, OpsRole::Dispatcher)?;
    let job = job_id(id)?;
    let ActOnJob { reason } = json(&body(request, app.limits.body_bytes_max, &app.limits).await?)?;
    steer(app, job, by(caller, reason)?, act).await
}

/// Puts an action before the dispatcher. Of a job that it no longer holds the ledger knows the state.
async fn steer(app: &App, job: JobId, by: ByOps, act: Act) -> Answered {
    about(job);
    let (action, received_at) = (act.action(), app.clock.now());
    let steering = |request| Box::new(Steering { request, by, act, received_at });
    match app.mailbox.ask(|request| Input::Steered { job, steering: steering(request) }).await? {
        Answer::Posted(view) | Answer::Job(view) => Ok(answer(StatusCode::OK, &*view)),
        Answer::Repeated { .. } => Err(Refusal::new(Code::Internal, "an action is not a repeat")),
        Answer::WrongState { state, allowed } => Err(Refusal::wrong_state(state, allowed)),
        Answer::Refused { code: Code::NotFound, .. } => match app.reader.any_job_view(job).await? {
            // Cancelled again, after a lost answer or not: it is cancelled.
            Some(view) if action == OpsAction::Cancel && view.state == JobState::Cancelled => {
                Ok(answer(StatusCode::OK, &view))
            }
            Some(view) => Err(Refusal::wrong_state(view.state, &[])),
            None => Err(Refusal::not_found("job")),
        },
        Answer::Refused { code, detail } => Err(refused(code, detail)),
    }
}

fn by(caller: OpsCaller, reason: String) -> Result<ByOps, Refusal> {
    let fits = !reason.trim().is_empty() && reason.chars().count() <= REASON_CHARS_MAX && !reason.contains('\0');
    if !fits {
        let detail = format!("takes 1 to {REASON_CHARS_MAX} characters, none of them NUL");
        return Err(Refusal::param(Code::Invalid, "reason", detail));
    }
    Ok(ByOps { who: caller.who, reason })
}
