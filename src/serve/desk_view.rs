//! What ops see of jobs: a list by what they stand for, one job with its timeline and the choices behind it, and, with a
//! reason that is written down, who the customer is and where. Read from the ledger; the dispatcher is not asked.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use kiez_protocol::audit::SubjectKind;
use kiez_protocol::desk::{ActOnJob, DeskCandidate, DeskDecision, DeskJob, DeskLine, DeskList, DeskLook, DeskOffer};
use kiez_protocol::directory::OpsRole;
use kiez_protocol::friend::Why;
use kiez_protocol::refusal::Code;

use super::App;
use super::desk::{REASON_CHARS_MAX, because, post_job};
use super::partner::job_id;
use super::problem::{Answered, Refusal, about, answer, body, json};
use super::query::Query;
use crate::dispatch::decision::{Candidate, Decision, Outcome};
use crate::dispatch::edges::{Role, allowed};
use crate::dispatch::job::{Offer, OfferState, shown_cell};
use crate::ledger::{JobFile, JobFilter, ListedJob};

/// A name or a number is sought with so many characters at least.
const Q_CHARS_MIN: usize = 3;
/// A text to look for is at most so long, characters.
const TEXT_CHARS_MAX: usize = 100;

/// The routes.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/ops/jobs", post(post_job).get(list))
        .route("/v1/ops/jobs/{id}", get(one))
        .route("/v1/ops/jobs/{id}/look", post(look))
}

async fn list(State(app): State<Arc<App>>, headers: HeaderMap, RawQuery(query): RawQuery) -> Answered {
    let by = app.auth.require(&headers, OpsRole::Viewer)?;
    let known = ["state", "community", "partner_ref", "friend", "postcode", "q", "reason", "limit", "after"];
    let mut query = Query::of(query.as_deref(), &known)?;
    let filter = JobFilter {
        state: query.value("state")?,
        community: query.value("community")?,
        partner_ref: query.text("partner_ref", TEXT_CHARS_MAX)?,
        friend: query.value("friend")?,
        postcode: query.text("postcode", 12)?,
        q: query.text("q", TEXT_CHARS_MAX)?,
    };
    let reason = query.text("reason", REASON_CHARS_MAX)?.filter(|reason| !reason.trim().is_empty());
    let (limit, after) = (query.limit()?, query.value("after")?);
    if let Some(q) = &filter.q {
        // Who looks for a person leaves a trace before they see anything. Whom they looked for is not kept.
        app.auth.require(&headers, OpsRole::Dispatcher)?;
        if q.trim().chars().count() < Q_CHARS_MIN {
            return Err(Refusal::param(Code::Invalid, "q", format!("takes at least {Q_CHARS_MIN} characters")));
        }
        let reason = reason.ok_or_else(|| Refusal::param(Code::Invalid, "reason", "a search for a person asks why"))?;
        app.registry.note(by.did("jobs_searched", SubjectKind::Search, "jobs").because(&reason)).await?;
    }
    let mut jobs = app.reader.jobs_of_ops(&filter, limit + 1, after).await?;
    let more = jobs.len() > limit as usize;
    jobs.truncate(limit as usize);
    let after = if more { jobs.last().map(|job| job.view.id) } else { None };
    let line =
        |job: ListedJob| DeskLine { partner: job.partner, postcode: job.postcode, city: job.city, job: job.view };
    Ok(answer(StatusCode::OK, &DeskList { jobs: jobs.into_iter().map(line).collect(), after }))
}

async fn one(State(app): State<Arc<App>>, headers: HeaderMap, Path(id): Path<String>) -> Answered {
    app.auth.require(&headers, OpsRole::Viewer)?;
    let file = app.reader.job_file(job_id(&id)?).await?.ok_or_else(|| Refusal::not_found("job"))?;
    about(file.view.id);
    Ok(answer(StatusCode::OK, &shown(file)))
}

/// The exact place and the customer. It is written down who looked and why, and only then shown.
async fn look(State(app): State<Arc<App>>, headers: HeaderMap, Path(id): Path<String>, request: Request) -> Answered {
    let caller = app.auth.require(&headers, OpsRole::Dispatcher)?;
    let job = job_id(&id)?;
    let ActOnJob { reason } = json(&body(request, app.limits.body_bytes_max, &app.limits).await?)?;
    let reason = because(reason)?;
    let booking = app.reader.booking(job).await?.ok_or_else(|| Refusal::not_found("job"))?;
    about(job);
    app.registry.note(caller.did("job_looked_at", SubjectKind::Job, job).because(&reason)).await?;
    let look = DeskLook {
        job,
        location: booking.place,
        address: booking.address,
        customer: booking.customer,
        answers: booking.answers,
    };
    Ok(answer(StatusCode::OK, &look))
}

fn shown(file: JobFile) -> DeskJob {
    let booking = &file.booking;
    DeskJob {
        partner: file.partner,
        postcode: booking.address.postcode.clone(),
        city: booking.address.city.clone(),
        cell: shown_cell(booking.place).to_string(),
        language: booking.customer.language,
        payment_method: booking.payment_method,
        policy_version: file.community_version,
        package_version: file.package_version,
        next_deadline: file.next_deadline,
        allowed: allowed(file.view.state, Role::Ops).into_iter().map(str::to_owned).collect(),
        job: file.view,
        timeline: file.events,
        runs: file.runs,
        offers: file.offers.iter().map(offer).collect(),
        decisions: file.decisions.into_iter().map(decision).collect(),
    }
}

fn offer(offer: &Offer) -> DeskOffer {
    DeskOffer {
        offer: offer.id,
        friend: offer.friend,
        attempt: offer.attempt,
        wave: offer.wave,
        seat: offer.wave_seat,
        revision: offer.revision,
        sent_at: offer.sent_at,
        expires_at: offer.expires_at,
        closed: match offer.state {
            OfferState::Live => None,
            OfferState::Closed(reason) => Some(reason),
        },
        gross: offer.pay.gross,
        commission: offer.pay.commission,
        net: offer.pay.net,
        why: Why {
            reason: offer.why,
            rank: offer.rank,
            distance_m: offer.distance_m,
            deficit_days: offer.deficit_days,
        },
    }
}

fn decision(decision: Decision) -> DeskDecision {
    DeskDecision {
        attempt: decision.attempt,
        wave: decision.wave,
        at: decision.at,
        policy_version: decision.policy_version,
        cap_m: decision.cap_m,
        seats: decision.seats,
        median_offers: decision.median_offers,
        candidates: decision.candidates.into_iter().map(candidate).collect(),
        beyond_m: decision.beyond_m,
        ranked: decision.passed.as_ref().map(|passed| passed.ranked),
        failed: decision.passed.map(|passed| passed.failed).unwrap_or_default(),
    }
}

fn candidate(seen: Candidate) -> DeskCandidate {
    let (gate, rank, seat, why) = match seen.outcome {
        Outcome::Failed { gate } => (Some(gate), None, None, None),
        Outcome::Ranked { rank } => (None, Some(rank), None, None),
        Outcome::Seat { seat, rank, why } => (None, Some(rank), Some(seat), Some(why)),
    };
    DeskCandidate {
        friend: seen.friend,
        distance_m: seen.distance_m,
        gate,
        rank,
        seat,
        why,
        waited_days: seen.waited.map(|waited| waited.wait.days),
        offers: seen.waited.map(|waited| waited.wait.offers),
        deficit_days: seen.waited.map(|waited| waited.deficit_days),
    }
}
