//! The customer's link: who has it speaks as the customer of one job. Its token is the only credential, so it is signed,
//! ends, and is never logged; whatever is wrong with it, the answer is that of a job that does not exist. Programs get JSON,
//! and the customer's page (`customer_page`) gets the same in words.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use axum::routing::{get, post};
use kiez_protocol::customer::{ConfirmProposal, CustomerPage, CustomerQuestion, MessageList, PostMessage};
use kiez_protocol::directory::Country;
use kiez_protocol::friend::CommunityName;
use kiez_protocol::hours::Zone;
use kiez_protocol::ids::{JobId, OfferId};
use kiez_protocol::partner::{CancelJob, GiveAnswers, JobState, JobView};
use kiez_protocol::refusal::Code;
use kiez_protocol::talk::{MESSAGE_CHARS_MAX, PROPOSED_MAX};
use kiez_protocol::time::Time;

use super::App;
use super::customer_page::{self, wants_html};
use super::partner::{check_replies, refused};
use super::problem::{Answered, Refusal, about, answer, body, json};
use crate::dispatch::edges::{Role, allowed};
use crate::dispatch::effect::{Actor, Answer};
use crate::dispatch::input::{Confirm, Input};
use crate::words::Days;

const DAY_MS: i64 = 24 * 3_600_000;

/// The routes.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/customer/{token}", get(look))
        .route("/v1/customer/{token}/answers", post(give_answers))
        .route("/v1/customer/{token}/proposals/{id}/confirm", post(confirm))
        .route("/v1/customer/{token}/messages", get(messages).post(write))
        .route("/v1/customer/{token}/cancel", post(cancel))
}

/// Where customers come in.
#[derive(Clone, Debug)]
pub struct Links {
    /// What links begin with: scheme and authority.
    pub base: String,
    /// How long a link is good, days from the post.
    pub days: u32,
}

/// The link of a job, to a page for people: the token is in the fragment, which no browser sends. The same job has the same link for ever, so that a repeated post is answered alike.
///
/// # Errors
/// When the token cannot be signed.
pub fn link(app: &App, view: &JobView) -> Result<String, Refusal> {
    let ends = view.created_at + i64::from(app.links.days) * DAY_MS;
    let token = app.auth.customer_token(view.id, view.created_at, ends);
    let token = token.map_err(|_| Refusal::new(Code::Internal, "the customer's link cannot be signed"))?;
    Ok(format!("{}/customer#{token}", app.links.base))
}

/// The job of a link, as it is written. A link that is none, or has ended, is like a job that does not exist.
async fn open(app: &App, token: &str) -> Result<JobView, Refusal> {
    let job = app.auth.customer(token, app.clock.now()).ok_or_else(|| Refusal::not_found("job"))?;
    about(job);
    app.reader.any_job_view(job).await?.ok_or_else(|| Refusal::not_found("job"))
}

async fn look(State(app): State<Arc<App>>, Path(token): Path<String>, headers: HeaderMap) -> Answered {
    let job = open(&app, &token).await?;
    let id = job.id;
    let (customer, days) = seen(&app, job).await?;
    let mut response = if wants_html(&headers) {
        customer_page::answered(&customer, &app.reader.messages(id).await?, &days)
    } else {
        answer(StatusCode::OK, &customer)
    };
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    Ok(response)
}

async fn give_answers(State(app): State<Arc<App>>, Path(token): Path<String>, request: Request) -> Answered {
    let view = open(&app, &token).await?;
    let given = body(request, app.limits.body_bytes_max, &app.limits).await?;
    let GiveAnswers { answers, replies } = json(&given)?;
    check_replies(&replies)?;
    let (job, received_at, by) = (view.id, app.clock.now(), Actor::Customer);
    let asked = app.mailbox.ask(|request| Input::Answered { request, by, job, answers, replies, received_at });
    changed(&app, job, asked.await?, None).await
}

async fn confirm(State(app): State<Arc<App>>, Path((token, id)): Path<(String, String)>, request: Request) -> Answered {
    let view = open(&app, &token).await?;
    let given = body(request, app.limits.body_bytes_max, &app.limits).await?;
    let ConfirmProposal { window } = json(&given)?;
    if usize::from(window) >= PROPOSED_MAX {
        return Err(Refusal::param(Code::Invalid, "window", format!("takes 0 to {}", PROPOSED_MAX - 1)));
    }
    let job = view.id;
    let proposal: OfferId = id.parse().map_err(|_| Refusal::not_found("proposal"))?;
    let friend = app.reader.proposer(job, proposal).await?.ok_or_else(|| Refusal::not_found("proposal"))?;
    // The profile of this moment: places and caps are held against it.
    let friend = app.live.directory.friend(friend);
    let (received_at, by) = (app.clock.now(), Actor::Customer);
    let confirm = |request| Box::new(Confirm { request, by, proposal, window, friend, received_at });
    let asked = app.mailbox.ask(|request| Input::Confirmed { job, confirm: confirm(request) });
    changed(&app, job, asked.await?, None).await
}

async fn messages(State(app): State<Arc<App>>, Path(token): Path<String>) -> Answered {
    let view = open(&app, &token).await?;
    said(&app, view.id).await
}

async fn write(State(app): State<Arc<App>>, Path(token): Path<String>, request: Request) -> Answered {
    let view = open(&app, &token).await?;
    let given = body(request, app.limits.body_bytes_max, &app.limits).await?;
    let PostMessage { text, key } = json(&given)?;
    if text.trim().is_empty() || text.chars().count() > MESSAGE_CHARS_MAX || text.contains('\0') {
        let detail = format!("takes 1 to {MESSAGE_CHARS_MAX} characters, none of them NUL");
        return Err(Refusal::param(Code::Invalid, "text", detail));
    }
    let (job, received_at, by) = (view.id, app.clock.now(), Actor::Customer);
    let asked = app.mailbox.ask(|request| Input::CustomerWrote { request, by, job, text, key, received_at });
    settled(&app, job, asked.await?, None).await?;
    said(&app, job).await
}

async fn cancel(State(app): State<Arc<App>>, Path(token): Path<String>, request: Request) -> Answered {
    let view = open(&app, &token).await?;
    let given = body(request, app.limits.body_bytes_max, &app.limits).await?;
    let CancelJob { reason } = json(&given)?;
    if reason.as_ref().is_some_and(|reason| reason.chars().count() > 300 || reason.contains('\0')) {
        return Err(Refusal::param(Code::Invalid, "reason", "takes at most 300 characters, none of them NUL"));
    }
    let (job, received_at, by) = (view.id, app.clock.now(), Actor::Customer);
    let asked = app.mailbox.ask(|request| Input::Cancelled { request, by, job, reason, received_at });
    changed(&app, job, asked.await?, Some(JobState::Cancelled)).await
}

/// The page after a change.
async fn changed(app: &App, job: JobId, answered: Answer, wanted: Option<JobState>) -> Answered {
    let view = settled(app, job, answered, wanted).await?;
    page(app, view).await
}

/// The job after a change, or why there was none. One that the dispatcher no longer holds has ended: then its state says
/// why, unless it is the state that was `wanted`.
async fn settled(app: &App, job: JobId, answered: Answer, wanted: Option<JobState>) -> Result<JobView, Refusal> {
    match answered {
        Answer::Posted(view) | Answer::Job(view) => Ok(*view),
        Answer::Repeated { .. } | Answer::Tried(_) => {
            Err(Refusal::new(Code::Internal, "a change is neither a repeat nor a trial"))
        }
        Answer::WrongState { state, allowed } => Err(Refusal::wrong_state(state, &allowed)),
        Answer::Refused { code: Code::NotFound, .. } => match app.reader.any_job_view(job).await? {
            Some(view) if Some(view.state) == wanted => Ok(view),
            Some(view) => Err(Refusal::wrong_state(view.state, &[])),
            None => Err(Refusal::not_found("job")),
        },
        Answer::Refused { code, detail } => Err(refused(code, detail)),
    }
}

async fn said(app: &App, job: JobId) -> Answered {
    let messages = app.reader.messages(job).await?;
    Ok(answer(StatusCode::OK, &MessageList { messages }))
}

async fn page(app: &App, view: JobView) -> Result<Response<Body>, Refusal> {
    let (customer, _) = seen(app, view).await?;
    Ok(answer(StatusCode::OK, &customer))
}

/// A job as its customer sees it, and how they say when. What the partner sees besides (references, numbers of runs) is
/// not theirs.
async fn seen(app: &App, view: JobView) -> Result<(CustomerPage, Days), Refusal> {
    let booking = app.reader.booking(view.id).await?.ok_or_else(|| Refusal::not_found("job"))?;
    let now: Time = app.clock.now();
    let language = booking.customer.language;
    let package = app.live.directory.package(&view.package).map(|(package, _)| package);
    let community = app.live.directory.community(&view.community).map(|(community, _)| community);
    let country = community.as_ref().map_or(Country::De, |community| community.country);
    let zone = Zone::of(community.as_ref().map_or("", |community| community.time_zone.as_str()), country);
    let brand = community.map(|community| community.brand.clone());
    let questions = package.iter().flat_map(|package| &package.questions).map(|question| CustomerQuestion {
        name: question.name.clone(),
        text: question.text.get(language).to_owned(),
        kind: question.answer.clone(),
        required: question.required,
        answer: booking.answers.get(&question.name).cloned(),
    });
    let now_open = |deed: &&str| match *deed {
        // Before somebody holds the job there must be a friend who was named.
        "messages" => view.friend.is_some() || booking.direct.is_some(),
        _ => true,
    };
    let allowed = allowed(view.state, Role::Customer).into_iter().filter(now_open).map(str::to_owned).collect();
    let customer = CustomerPage {
        job: view.id,
        state: view.state,
        community: CommunityName { brand: brand.unwrap_or_default(), slug: view.community },
        title: package.as_ref().map(|package| package.title.get(language).to_owned()).unwrap_or_default(),
        questions: questions.collect(),
        package: view.package,
        price: view.price,
        windows: view.windows,
        friend: view.friend.map(|friend| friend.name),
        appointment: view.appointment,
        asked: view.questions,
        proposals: view.proposals.into_iter().filter(|proposal| proposal.until >= now).collect(),
        allowed,
        created_at: view.created_at,
        expires_at: view.expires_at,
    };
    Ok((customer, Days { zone, language }))
}
