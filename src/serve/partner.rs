//! The partner API: jobs in, their state out. Requests are checked for shape here; what becomes of a job is decided by
//! the dispatcher, and what is read was committed.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use axum::routing::{get, post};
use kiez_protocol::directory::{Community, Package, Partner};
use kiez_protocol::ids::{CommunitySlug, JobId, PartnerSlug};
use kiez_protocol::money::PRICE_MAX;
use kiez_protocol::partner::{
    Address, Answers, CancelJob, Customer, EditJob, GiveAnswers, JobList, JobState, JobView, PackageList, PostJob,
    Window,
};
use kiez_protocol::refusal::{Code, Fault};
use kiez_protocol::talk::{REPLY_CHARS_MAX, Reply};
use sha2::{Digest, Sha256};

use super::App;
use super::auth::PartnerCaller;
use super::customer;
use super::limit::{Allowance, Quota};
use super::places::Place;
use super::problem::{Answered, Refusal, about, answer, body, json};
use crate::dispatch::effect::{Actor, Answer};
use crate::dispatch::fits;
use crate::dispatch::input::{Input, PartnerKey, Terms};
use crate::dispatch::job::{Booking, Direct};
use crate::engine::Overloaded;

const WINDOWS_MAX: usize = 8;
const KEY_LEN_MAX: usize = 255;
const PAGE_MAX: u32 = 200;
const REPLIES_MAX: usize = 16;

/// The routes.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/jobs", post(post_job).get(list))
        .route("/v1/jobs/{id}", get(one).patch(edit))
        .route("/v1/jobs/{id}/answers", post(give_answers))
        .route("/v1/jobs/{id}/cancel", post(cancel))
        .route("/v1/packages", get(packages))
}

/// A partner whose request is being answered.
pub(super) struct Caller {
    pub partner: PartnerSlug,
    quota: Option<(Arc<Quota>, Allowance)>,
    _place: Option<Place>,
}

impl Caller {
    /// Who asks, if their key is good and has room for one more request.
    pub(super) async fn of(app: &App, headers: &HeaderMap) -> Result<Caller, Refusal> {
        let PartnerCaller { partner, quota } = app.auth.partner(headers, &app.reader, &app.limits).await?;
        let Some(quota) = quota else { return Ok(Caller { partner, quota: None, _place: None }) };
        let allowance = allowance(app, &partner);
        let place = quota.enters(allowance).ok_or_else(|| {
            let most = allowance.in_flight_max;
            Refusal::new(Code::TooMany, format!("{most} requests with this key are being answered; try again"))
        })?;
        Ok(Caller { partner, quota: Some((quota, allowance)), _place: Some(place) })
    }

    /// Whether they may post one more job now.
    pub(super) fn posts(&self, app: &App) -> Result<(), Refusal> {
        let Some((quota, allowance)) = &self.quota else { return Ok(()) };
        if quota.takes_job(*allowance, app.clock.elapsed_ms()) {
            return Ok(());
        }
        let Allowance { jobs_per_s, jobs_burst, .. } = allowance;
        let detail = format!("this key takes {jobs_burst} jobs at once and {jobs_per_s} a second; try again");
        Err(Refusal::new(Code::TooMany, detail))
    }
}

/// What a key of this partner may ask for: its own quota where it has one, else everybody's.
fn allowance(app: &App, partner: &PartnerSlug) -> Allowance {
    let limits = &app.limits;
    let own = app.live.directory.partner(partner).and_then(|(partner, _)| partner.quota).unwrap_or_default();
    Allowance {
        jobs_per_s: own.jobs_per_s.unwrap_or(limits.partner_jobs_per_s),
        jobs_burst: own.jobs_burst.unwrap_or(limits.partner_jobs_burst),
        in_flight_max: own.in_flight_max.map_or(limits.partner_in_flight_max, |most| most as usize),
    }
}

async fn post_job(State(app): State<Arc<App>>, headers: HeaderMap, request: Request) -> Answered {
    let caller = Caller::of(&app, &headers).await?;
    caller.posts(&app)?;
    let partner = &caller.partner;
    let key = idempotency_key(&headers)?;
    let bytes = body(request, app.limits.body_bytes_max, &app.limits).await?;
    let key = key.map(|key| PartnerKey { key, body: Sha256::digest(&bytes).into() });
    let by = (Actor::Partner(partner.clone()), None);
    let view = submit(&app, partner, by, key, || json(&bytes)).await?;
    // To the partner alone: who has the link speaks as the customer.
    Ok(posted(&JobView { customer_url: Some(customer::link(&app, &view)?), ..view }))
}

/// The answer to a post.
pub(super) fn posted(view: &JobView) -> Response<Body> {
    let mut response = answer(StatusCode::CREATED, view);
    let location = HeaderValue::from_str(&format!("/v1/jobs/{}", view.id)).expect("an id is plain text");
    response.headers_mut().insert(header::LOCATION, location);
    response
}

/// Checks a post and puts it before the dispatcher; the answer is the job.
pub(super) async fn submit(
    app: &App,
    partner: &PartnerSlug,
    by: (Actor, Option<String>),
    key: Option<PartnerKey>,
    posted: impl FnOnce() -> Result<PostJob, Refusal>,
) -> Result<JobView, Refusal> {
    // While the first request of a key is answered, a second hears that it is.
    let _in_flight = match &key {
        Some(key) => Some(app.in_flight.enter(partner, &key.key).ok_or_else(|| {
            Refusal::new(Code::KeyInFlight, "a request with this idempotency key is being answered; try again")
        })?),
        None => None,
    };
    let (booking, terms) = check(app, partner, posted()?)?;
    if !app.mailbox.admits_jobs() {
        return Err(Overloaded.into());
    }
    let received_at = app.clock.now();
    let name = key.as_ref().map(|key| key.key.clone());
    let (booking, asker, (by, reason)) = (Arc::new(booking), partner.clone(), by);
    let answered = app.mailbox.ask(|request| Input::Posted {
        request,
        partner: asker,
        by,
        reason,
        key,
        booking,
        terms,
        received_at,
    });
    let view = match answered.await? {
        Answer::Posted(view) | Answer::Job(view) => *view,
        Answer::Repeated { job } => {
            let name = name.ok_or_else(|| Refusal::new(Code::Internal, "a repeat without a key"))?;
            let stored = app.reader.repeated(partner, &name).await?;
            stored.ok_or_else(|| {
                Refusal::new(Code::Unavailable, format!("job {job} is still being written; try again"))
            })?
        }
        Answer::WrongState { state, allowed } => return Err(Refusal::wrong_state(state, &allowed)),
        Answer::Tried(_) => return Err(Refusal::new(Code::Internal, "a post is no trial")),
        Answer::Refused { code, detail } => return Err(refused(code, detail)),
    };
    about(view.id);
    Ok(view)
}

pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else { return Ok(None) };
    let visible = |key: &&str| key.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let key = value.to_str().ok().filter(|key| (1..=KEY_LEN_MAX).contains(&key.len())).filter(visible);
    let key = key.filter(|_| values.next().is_none());
    key.map(|key| Some(key.to_owned())).ok_or_else(|| {
        Refusal::param(
            Code::BadRequest,
            "Idempotency-Key",
            format!("takes one value of 1 to {KEY_LEN_MAX} visible ASCII characters"),
        )
    })
}

/// A post as the dispatcher takes it: its shape is right, its words are known.
pub(super) fn check(app: &App, partner: &PartnerSlug, posted: PostJob) -> Result<(Booking, Terms), Refusal> {
    let profile = profile(app, partner)?;
    let (community, community_version) = community(app, partner, posted.community)?;
    let (package, package_version) = app.live.directory.package(&posted.package).ok_or_else(|| {
        Refusal::param(Code::UnknownPackage, "package", format!("there is no package `{}`", posted.package))
    })?;
    if !offers(&community, &package) {
        let detail = format!("`{}` is not offered in `{}`", package.slug, community.slug);
        return Err(Refusal::param(Code::NotOffered, "package", detail));
    }
    let mut faults = Vec::new();
    check_address(&posted.address, &mut faults);
    if posted.address.country != community.country {
        faults.push(fault("address.country", "is not the community's country"));
    }
    check_customer(&posted.customer, &mut faults);
    check_windows(&posted.windows, &mut faults);
    check_answers(&package, &posted.answers, &mut faults);
    check_reference(posted.partner_ref.as_deref(), &mut faults);
    if posted.friend.is_some_and(|friend| app.live.directory.friend(friend).is_none()) {
        faults.push(fault("friend", "there is no such friend"));
    }
    if !package.payment_methods.is_empty() && !package.payment_methods.contains(&posted.payment_method) {
        faults.push(fault("payment_method", "the package cannot be paid this way"));
    }
    if posted
        .max_hourly_rate
        .is_some_and(|rate| rate.currency != community.currency || !(1..=PRICE_MAX).contains(&rate.amount))
    {
        let detail = format!("takes an amount of 1 to {PRICE_MAX} in the community's currency");
        faults.push(Fault { param: "max_hourly_rate".to_owned(), detail });
    }
    if !faults.is_empty() {
        return Err(Refusal::faults(faults));
    }
    let booking = Booking {
        place: posted.location,
        address: posted.address,
        customer: posted.customer,
        answers: posted.answers,
        windows: posted.windows,
        urgency: posted.urgency,
        payment_method: posted.payment_method,
        max_hourly_rate: posted.max_hourly_rate,
        partner_ref: posted.partner_ref,
        direct: posted.friend.map(|friend| Direct { friend, fallback: posted.fallback }),
    };
    let commission = profile.commission.as_ref().unwrap_or(&community.commission).at(app.clock.now());
    Ok((booking, Terms { package, package_version, community, community_version, commission }))
}

fn profile(app: &App, partner: &PartnerSlug) -> Result<Arc<Partner>, Refusal> {
    let profile = app.live.directory.partner(partner).map(|(profile, _)| profile);
    profile.ok_or_else(|| Refusal::new(Code::Forbidden, "the partner is not known"))
}

/// The community in which a partner wants something, the named one or their own, in the version that holds now.
pub(super) fn community(
    app: &App,
    partner: &PartnerSlug,
    named: Option<CommunitySlug>,
) -> Result<(Arc<Community>, u32), Refusal> {
    let profile = profile(app, partner)?;
    let slug = named.or_else(|| profile.community.clone());
    let slug =
        slug.ok_or_else(|| Refusal::param(Code::Invalid, "community", "name a community: the partner has no default"))?;
    if app.live.directory.community(&slug).is_none() {
        return Err(Refusal::param(Code::UnknownCommunity, "community", format!("there is no community `{slug}`")));
    }
    let found = app.live.directory.community_at(&slug, app.clock.now());
    found.ok_or_else(|| {
        Refusal::param(Code::NotOffered, "community", format!("`{slug}` has no policy that is valid now"))
    })
}

fn offers(community: &Community, package: &Package) -> bool {
    package.pricing.currency() == community.currency
        && (package.communities.is_empty() || package.communities.contains(&community.slug))
}

async fn one(State(app): State<Arc<App>>, headers: HeaderMap, Path(id): Path<String>) -> Answered {
    let caller = Caller::of(&app, &headers).await?;
    let partner = &caller.partner;
    let view = app.reader.job_view(partner, job_id(&id)?).await?.ok_or_else(|| Refusal::not_found("job"))?;
    about(view.id);
    Ok(answer(StatusCode::OK, &view))
}

async fn list(State(app): State<Arc<App>>, headers: HeaderMap, RawQuery(query): RawQuery) -> Answered {
    let caller = Caller::of(&app, &headers).await?;
    let partner = &caller.partner;
    let (mut state, mut limit, mut after) = (None, 50, None);
    for pair in query.as_deref().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match name {
            "state" => state = Some(job_state(value)?),
            "limit" => {
                limit = value
                    .parse()
                    .ok()
                    .filter(|limit| (1..=PAGE_MAX).contains(limit))
                    .ok_or_else(|| Refusal::param(Code::Invalid, "limit", format!("takes 1 to {PAGE_MAX}")))?;
            }
            "after" => after = Some(job_id(value)?),
            other => return Err(Refusal::param(Code::BadRequest, other, "takes state, limit and after")),
        }
    }
    let mut jobs = app.reader.jobs(partner, state, limit + 1, after).await?;
    let more = jobs.len() > limit as usize;
    jobs.truncate(limit as usize);
    let after = if more { jobs.last().map(|job| job.id) } else { None };
    Ok(answer(StatusCode::OK, &JobList { jobs, after }))
}

async fn edit(State(app): State<Arc<App>>, headers: HeaderMap, Path(id): Path<String>, request: Request) -> Answered {
    let caller = Caller::of(&app, &headers).await?;
    let partner = &caller.partner;
    let job = job_id(&id)?;
    let edit: EditJob = json(&body(request, app.limits.body_bytes_max, &app.limits).await?)?;
    let current = app.reader.job_view(partner, job).await?.ok_or_else(|| Refusal::not_found("job"))?;
    about(job);
    let mut faults = Vec::new();
    if edit.location.is_some() != edit.address.is_some() {
        faults.push(fault("location", "a new place needs both `location` and `address`"));
    }
    if let Some(address) = &edit.address {
        check_address(address, &mut faults);
    }
    if let Some(customer) = &edit.customer {
        check_customer(customer, &mut faults);
    }
    if let Some(windows) = &edit.windows {
        check_windows(windows, &mut faults);
    }
    if let (Some(answers), Some((package, _))) = (&edit.answers, app.live.directory.package(&current.package)) {
        check_answers(&package, answers, &mut faults);
    }
    check_reference(edit.partner_ref.as_deref(), &mut faults);
    if !faults.is_empty() {
        return Err(Refusal::faults(faults));
    }
    let received_at = app.clock.now();
    let edit = Box::new(edit);
    let by = Actor::Partner(partner.clone());
    let asked = app.mailbox.ask(|request| Input::Edited { request, by, job, edit, received_at });
    changed(&app, partner, job, asked.await?, None).await
}

async fn give_answers(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(id): Path<String>,
    request: Request,
) -> Answered {
    let caller = Caller::of(&app, &headers).await?;
    let partner = &caller.partner;
    let job = job_id(&id)?;
    let GiveAnswers { answers, replies } = json(&body(request, app.limits.body_bytes_max, &app.limits).await?)?;
    check_replies(&replies)?;
    let (received_at, by) = (app.clock.now(), Actor::Partner(partner.clone()));
    let asked = app.mailbox.ask(|request| Input::Answered { request, by, job, answers, replies, received_at });
    changed(&app, partner, job, asked.await?, None).await
}

async fn cancel(State(app): State<Arc<App>>, headers: HeaderMap, Path(id): Path<String>, request: Request) -> Answered {
    let caller = Caller::of(&app, &headers).await?;
    let partner = &caller.partner;
    let job = job_id(&id)?;
    let CancelJob { reason } = json(&body(request, app.limits.body_bytes_max, &app.limits).await?)?;
    if reason.as_ref().is_some_and(|reason| reason.chars().count() > 300 || reason.contains('\0')) {
        return Err(Refusal::param(Code::Invalid, "reason", "takes at most 300 characters, none of them NUL"));
    }
    let received_at = app.clock.now();
    let by = Actor::Partner(partner.clone());
    let asked = app.mailbox.ask(|request| Input::Cancelled { request, by, job, reason, received_at });
    changed(&app, partner, job, asked.await?, Some(JobState::Cancelled)).await
}

/// The answer to a change. A job the dispatcher no longer holds may have ended: then its state says why it cannot change,
/// unless it is the state that was `wanted`.
async fn changed(app: &App, partner: &PartnerSlug, job: JobId, answered: Answer, wanted: Option<JobState>) -> Answered {
    about(job);
    match answered {
        Answer::Posted(view) | Answer::Job(view) => Ok(answer(StatusCode::OK, &*view)),
        Answer::Repeated { .. } | Answer::Tried(_) => Err(Refusal::new(Code::Internal, "a change is not a repeat")),
        Answer::WrongState { state, allowed } => Err(Refusal::wrong_state(state, &allowed)),
        Answer::Refused { code: Code::NotFound, .. } => match app.reader.job_view(partner, job).await? {
            // Cancelled again, after a lost answer or not: it is cancelled.
            Some(view) if Some(view.state) == wanted => Ok(answer(StatusCode::OK, &view)),
            Some(view) => {
                Err(Refusal::new(Code::WrongState, format!("the job is {}; nothing more can change", view.state)))
            }
            None => Err(Refusal::not_found("job")),
        },
        Answer::Refused { code, detail } => Err(refused(code, detail)),
    }
}

/// The dispatcher's no, with the field it is about where there is one.
pub(super) fn refused(code: Code, detail: String) -> Refusal {
    match code {
        Code::OutsideArea => Refusal::param(code, "location", detail),
        _ => Refusal::new(code, detail),
    }
}

async fn packages(State(app): State<Arc<App>>, headers: HeaderMap) -> Answered {
    let _caller = Caller::of(&app, &headers).await?;
    let packages = app.live.directory.packages().into_iter().map(|package| (*package).clone()).collect();
    Ok(answer(StatusCode::OK, &PackageList { packages }))
}

pub(super) fn job_id(text: &str) -> Result<JobId, Refusal> {
    text.parse().map_err(|_| Refusal::not_found("job"))
}

pub(super) fn job_state(text: &str) -> Result<JobState, Refusal> {
    serde_json::from_value(serde_json::Value::String(text.to_owned()))
        .map_err(|_| Refusal::param(Code::Invalid, "state", format!("`{text}` is not a state of a job")))
}

fn fault(param: &str, detail: &str) -> Fault {
    Fault { param: param.to_owned(), detail: detail.to_owned() }
}

fn check_text(param: &str, text: &str, most: usize, faults: &mut Vec<Fault>) {
    let length = text.trim().chars().count();
    // A text that Postgres cannot store would be refused by the ledger, when the job is decided already.
    if length == 0 || text.chars().count() > most || text.contains('\0') {
        faults
            .push(Fault { param: param.to_owned(), detail: format!("takes 1 to {most} characters, none of them NUL") });
    }
}

fn check_address(address: &Address, faults: &mut Vec<Fault>) {
    check_text("address.street", &address.street, 200, faults);
    check_text("address.postcode", &address.postcode, 12, faults);
    check_text("address.city", &address.city, 100, faults);
}

fn check_customer(customer: &Customer, faults: &mut Vec<Fault>) {
    check_text("customer.name", &customer.name, 200, faults);
    let digits = customer.phone.chars().filter(char::is_ascii_digit).count();
    if !customer.phone.starts_with('+') || !(6..=15).contains(&digits) || customer.phone.chars().count() > 32 {
        faults.push(fault("customer.phone", "takes an international number such as +49301234567"));
    }
    if customer.email.as_ref().is_some_and(|email| email.chars().count() > 254 || !email.contains('@')) {
        faults.push(fault("customer.email", "takes an e-mail address"));
    }
}

fn check_windows(windows: &[Window], faults: &mut Vec<Fault>) {
    if windows.len() > WINDOWS_MAX {
        faults.push(Fault { param: "windows".to_owned(), detail: format!("takes at most {WINDOWS_MAX} windows") });
    }
    if windows.iter().any(|window| window.from >= window.to) {
        faults.push(fault("windows", "a window ends after it begins"));
    }
}

fn check_answers(package: &Package, answers: &Answers, faults: &mut Vec<Fault>) {
    for (name, answer) in answers {
        let param = format!("answers.{name}");
        match package.questions.iter().find(|question| question.name == *name) {
            None => faults.push(Fault { param, detail: "the package asks no such question".to_owned() }),
            Some(question) => {
                if let Err(detail) = fits(answer, &question.answer) {
                    faults.push(Fault { param, detail });
                }
            }
        }
    }
}

/// Replies that can be read.
///
/// # Errors
/// What is wrong with them.
pub(super) fn check_replies(replies: &[Reply]) -> Result<(), Refusal> {
    let mut faults = Vec::new();
    if replies.len() > REPLIES_MAX {
        faults.push(Fault { param: "replies".to_owned(), detail: format!("takes at most {REPLIES_MAX}") });
    }
    for (index, reply) in replies.iter().enumerate() {
        check_text(&format!("replies.{index}.text"), &reply.text, REPLY_CHARS_MAX, &mut faults);
    }
    if faults.is_empty() { Ok(()) } else { Err(Refusal::faults(faults)) }
}

fn check_reference(reference: Option<&str>, faults: &mut Vec<Fault>) {
    if let Some(reference) = reference {
        check_text("partner_ref", reference, 100, faults);
    }
}
