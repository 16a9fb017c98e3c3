//! The desk of ops: what they do to jobs by hand, each action with its reason. Roles are checked before anything else is
//! read; what becomes of a job is decided by the dispatcher.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use kiez_protocol::desk::{ActOnJob, AssignJob, PostForPartner};
use kiez_protocol::directory::OpsRole;
use kiez_protocol::ids::JobId;
use kiez_protocol::partner::JobState;
use kiez_protocol::refusal::Code;
use kiez_protocol::time::Time;
use sha2::{Digest, Sha256};

use super::App;
use super::partner::{idempotency_key, job_id, posted, refused, submit};
use super::problem::{Answered, Refusal, about, answer, body, json};
use crate::dispatch::effect::{Actor, Answer};
use crate::dispatch::input::{Input, PartnerKey, Request as Asked};

/// A reason is at most so long, characters.
pub(super) const REASON_CHARS_MAX: usize = 300;

/// The routes.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/ops/jobs/{id}/pause", post(pause))
        .route("/v1/ops/jobs/{id}/resume", post(resume))
        .route("/v1/ops/jobs/{id}/assign", post(assign))
        .route("/v1/ops/jobs/{id}/redispatch", post(redispatch))
        .route("/v1/ops/jobs/{id}/cancel", post(cancel))
}

pub(super) async fn post_job(State(app): State<Arc<App>>, headers: HeaderMap, request: Request) -> Answered {
    let caller = app.auth.require(&headers, OpsRole::Dispatcher)?;
    let key = idempotency_key(&headers)?;
    let bytes = body(request, app.limits.body_bytes_max, &app.limits).await?;
    let PostForPartner { partner, reason, job } = json(&bytes)?;
    let (by, reason) = (Actor::Ops(caller), because(reason)?);
    if app.live.directory.partner(&partner).is_none() {
        return Err(Refusal::param(Code::Invalid, "partner", format!("there is no partner `{partner}`")));
    }
    // A partner's own keys have no tab in them, so that the two never meet.
    let key = key.map(|key| PartnerKey { key: format!("ops\t{key}"), body: Sha256::digest(&bytes).into() });
    Ok(posted(&submit(&app, &partner, (by, Some(reason)), key, || Ok(job)).await?))
}

async fn pause(State(app): State<Arc<App>>, headers: HeaderMap, Path(id): Path<String>, request: Request) -> Answered {
    let act = |request, by, job, reason, received_at| Input::Paused { request, by, job, reason, received_at };
    on_job(&app, &headers, &id, request, act).await
}

async fn resume(State(app): State<Arc<App>>, headers: HeaderMap, Path(id): Path<String>, request: Request) -> Answered {
    let act = |request, by, job, reason, received_at| Input::Resumed { request, by, job, reason, received_at };
    on_job(&app, &headers, &id, request, act).await
}

async fn redispatch(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(id): Path<String>,
    request: Request,
) -> Answered {
    let act = |request, by, job, reason, received_at| Input::Redispatched { request, by, job, reason, received_at };
    on_job(&app, &headers, &id, request, act).await
}

async fn cancel(State(app): State<Arc<App>>, headers: HeaderMap, Path(id): Path<String>, request: Request) -> Answered {
    let act = |request, by, job, reason, received_at| Input::Cancelled {
        request,
        by,
        job,
        reason: Some(reason),
        received_at,
    };
    on_job(&app, &headers, &id, request, act).await
}

async fn assign(State(app): State<Arc<App>>, headers: HeaderMap, Path(id): Path<String>, request: Request) -> Answered {
    let caller = app.auth.require(&headers, OpsRole::Dispatcher)?;
    let job = job_id(&id)?;
    let AssignJob { friend, reason } = json(&body(request, app.limits.body_bytes_max, &app.limits).await?)?;
    let (by, reason) = (Actor::Ops(caller), because(reason)?);
    let friend = app.live.directory.friend(friend);
    let friend = friend.ok_or_else(|| Refusal::param(Code::Invalid, "friend", "there is no such friend"))?;
    let received_at = app.clock.now();
    ask(&app, job, |request| Input::Assigned { request, by, job, friend, reason, received_at }).await
}

/// An action that takes nothing but a reason.
async fn on_job(
    app: &App,
    headers: &HeaderMap,
    id: &str,
    request: Request,
    act: impl FnOnce(Asked, Actor, JobId, String, Time) -> Input,
) -> Answered {
    let caller = app.auth.require(headers, OpsRole::Dispatcher)?;
    let job = job_id(id)?;
    let ActOnJob { reason } = json(&body(request, app.limits.body_bytes_max, &app.limits).await?)?;
    let (by, reason) = (Actor::Ops(caller), because(reason)?);
    let received_at = app.clock.now();
    ask(app, job, |request| act(request, by, job, reason, received_at)).await
}

/// Puts an action before the dispatcher. Of a job that it no longer holds the ledger knows the state.
async fn ask(app: &App, job: JobId, input: impl FnOnce(Asked) -> Input) -> Answered {
    about(job);
    let mut cancels = false;
    let input = |request| {
        let input = input(request);
        cancels = matches!(input, Input::Cancelled { .. });
        input
    };
    match app.mailbox.ask(input).await? {
        Answer::Posted(view) | Answer::Job(view) => Ok(answer(StatusCode::OK, &*view)),
        Answer::Repeated { .. } | Answer::Tried(_) => Err(Refusal::new(Code::Internal, "an action is not a repeat")),
        Answer::WrongState { state, allowed } => Err(Refusal::wrong_state(state, &allowed)),
        Answer::Refused { code: Code::NotFound, .. } => match app.reader.any_job_view(job).await? {
            // Cancelled again, after a lost answer or not: it is cancelled.
            Some(view) if cancels && view.state == JobState::Cancelled => Ok(answer(StatusCode::OK, &view)),
            Some(view) => Err(Refusal::wrong_state(view.state, &[])),
            None => Err(Refusal::not_found("job")),
        },
        Answer::Refused { code, detail } => Err(refused(code, detail)),
    }
}

/// A reason, if it is one.
pub(super) fn because(reason: String) -> Result<String, Refusal> {
    let fits = !reason.trim().is_empty() && reason.chars().count() <= REASON_CHARS_MAX && !reason.contains('\0');
    let detail = || format!("takes 1 to {REASON_CHARS_MAX} characters, none of them NUL");
    fits.then_some(reason).ok_or_else(|| Refusal::param(Code::Invalid, "reason", detail()))
}
