//! The accounts of friends: applications and checks come in by admins, ops look and turn accounts, and every step is in the
//! audit log. What may become of an account is decided in `dispatch::account`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use kiez_protocol::audit::SubjectKind;
use kiez_protocol::directory::{Community, Friend, OpsRole};
use kiez_protocol::ids::FriendId;
use kiez_protocol::money::Money;
use kiez_protocol::people::{Because, FriendAccount, FriendLine, FriendList, FriendLoad, OpsFriend, PostCheck};
use kiez_protocol::profile::{Account, Period};
use kiez_protocol::refusal::{Code, Fault};
use kiez_protocol::time::Time;
use serde::de::DeserializeOwned;

use super::App;
use super::problem::{Answered, Refusal, answer, body, json};
use super::query::Query;
use crate::dispatch::account::{self, NotNow, Turn};
use crate::dispatch::effect::{AuditRow, By};
use crate::import;
use crate::ledger::AuditFilter;
use crate::live::reach::Reach;

/// Entries of the audit log that stand beside a friend.
const AUDIT_MAX: u32 = 50;
const REASON_CHARS_MAX: usize = 300;
const STATES: [&str; 7] = ["applied", "checked", "tested", "active", "limited", "suspended", "left"];

/// The routes.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/admin/friends", post(apply))
        .route("/v1/admin/friends/{id}/checks", post(check))
        .route("/v1/ops/friends", get(list))
        .route("/v1/ops/friends/{id}", get(one))
        .route("/v1/ops/friends/{id}/limit", post(limit))
        .route("/v1/ops/friends/{id}/suspend", post(suspend))
        .route("/v1/ops/friends/{id}/reinstate", post(reinstate))
        .route("/v1/ops/friends/{id}/leave", post(leave))
}

/// The body of a request of somebody with a role.
pub async fn wanted<T: DeserializeOwned>(
    app: &App,
    headers: &HeaderMap,
    role: OpsRole,
    request: Request,
) -> Result<(By, T), Refusal> {
    let by = app.auth.require(headers, role)?;
    Ok((by, json(&body(request, app.limits.body_bytes_max, &app.limits).await?)?))
}

/// A reason as people write it.
pub fn reason(text: &str) -> Result<(), Refusal> {
    if text.trim().is_empty() || text.chars().count() > REASON_CHARS_MAX || text.contains('\0') {
        return Err(Refusal::param(Code::Invalid, "reason", "takes 1 to 300 characters, none of them NUL"));
    }
    Ok(())
}

async fn apply(State(app): State<Arc<App>>, headers: HeaderMap, request: Request) -> Answered {
    let (by, mut friend): (By, Friend) = wanted(&app, &headers, OpsRole::Admin, request).await?;
    let mut faults: Vec<Fault> = import::friend_faults(&friend).iter().map(|what| fault(what)).collect();
    if !friend.checks.is_empty() || !friend.certificates.is_empty() {
        let detail = "checks and certificates are recorded by POST /v1/admin/friends/{id}/checks".to_owned();
        faults.push(Fault { param: "checks".to_owned(), detail });
    }
    if !faults.is_empty() {
        return Err(Refusal::faults(faults));
    }
    friend.account = Account::Applied;
    app.registry.apply(friend.clone(), &by).await?;
    tracing::info!(friend = %friend.id, "applied");
    app.refresh_directory().await?;
    Ok(answer(StatusCode::CREATED, &view(&app, &friend, 1, by.at)))
}

async fn check(State(app): State<Arc<App>>, headers: HeaderMap, Path(id): Path<String>, request: Request) -> Answered {
    let (by, check): (By, PostCheck) = wanted(&app, &headers, OpsRole::Admin, request).await?;
    let faults = import::check_faults(&check, by.at);
    if !faults.is_empty() {
        let fault = |(param, detail): (&str, &str)| Fault { param: param.to_owned(), detail: detail.to_owned() };
        return Err(Refusal::faults(faults.into_iter().map(fault).collect()));
    }
    let (newest, at) = (app.clone(), by.at);
    change(&app, friend_id(&id)?, at, move |friend| {
        let communities = communities(&newest, friend);
        let rows = account::record(friend, &check, &communities, &by);
        let faults = import::friend_faults(friend);
        if faults.is_empty() { Ok(rows) } else { Err(Refusal::faults(faults.iter().map(|what| fault(what)).collect())) }
    })
    .await
}

async fn limit(State(app): State<Arc<App>>, headers: HeaderMap, Path(id): Path<String>, request: Request) -> Answered {
    turn(&app, &headers, &id, request, Turn::Limit).await
}

async fn suspend(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(id): Path<String>,
    request: Request,
) -> Answered {
    turn(&app, &headers, &id, request, Turn::Suspend).await
}

async fn reinstate(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(id): Path<String>,
    request: Request,
) -> Answered {
    turn(&app, &headers, &id, request, Turn::Reinstate).await
}

async fn leave(State(app): State<Arc<App>>, headers: HeaderMap, Path(id): Path<String>, request: Request) -> Answered {
    turn(&app, &headers, &id, request, Turn::Leave).await
}

async fn turn(app: &Arc<App>, headers: &HeaderMap, id: &str, request: Request, turn: Turn) -> Answered {
    let (by, because): (By, Because) = wanted(app, headers, OpsRole::Dispatcher, request).await?;
    reason(&because.reason)?;
    let at = by.at;
    change(app, friend_id(id)?, at, move |friend| {
        account::turn(friend, turn, &because.reason, &by).map_err(|NotNow { state, from }| {
            Refusal::new(Code::WrongState, format!("the account is {state}; this goes from {}", from.join(" and ")))
        })
    })
    .await
}

/// Changes a profile and follows it at once: whoever may not connect any more is gone before the answer.
async fn change(
    app: &Arc<App>,
    friend: FriendId,
    at: Time,
    change: impl FnOnce(&mut Friend) -> Result<Vec<AuditRow>, Refusal> + Send + 'static,
) -> Answered {
    let (friend, version, ()) =
        app.registry.change_friend(friend, move |friend| change(friend).map(|rows| (rows, ()))).await??;
    tracing::info!(friend = %friend.id, account = friend.account.as_str(), "account");
    app.refresh_directory().await?;
    Ok(answer(StatusCode::OK, &view(app, &friend, version, at)))
}

/// The friend's communities in their newest versions.
fn communities(app: &App, friend: &Friend) -> Vec<Arc<Community>> {
    friend.communities.iter().filter_map(|slug| app.live.directory.community(slug)).map(|(found, _)| found).collect()
}

fn view(app: &App, friend: &Friend, version: u32, now: Time) -> FriendAccount {
    let missing = account::missing(friend, &communities(app, friend), now);
    FriendAccount { friend: friend.id, account: friend.account.clone(), version, missing }
}

async fn list(State(app): State<Arc<App>>, headers: HeaderMap, RawQuery(query): RawQuery) -> Answered {
    app.auth.require(&headers, OpsRole::Dispatcher)?;
    let mut query = Query::of(query.as_deref(), &["account", "community", "limit", "after"])?;
    let state = query.take("account");
    if state.as_ref().is_some_and(|state| !STATES.contains(&state.as_str())) {
        return Err(Refusal::param(Code::Invalid, "account", format!("takes one of {}", STATES.join(", "))));
    }
    let (community, after) = (query.value("community")?, query.value("after")?);
    let limit = query.limit()?;
    let mut friends = app.reader.friends(state.as_deref(), community.as_ref(), limit + 1, after).await?;
    let more = friends.len() > limit as usize;
    friends.truncate(limit as usize);
    let after = if more { friends.last().map(|friend| friend.id) } else { None };
    let line = |friend: Friend| FriendLine {
        id: friend.id,
        name: friend.name,
        tier: friend.tier,
        account: friend.account,
        communities: friend.communities,
        country: friend.country,
    };
    Ok(answer(StatusCode::OK, &FriendList { friends: friends.into_iter().map(line).collect(), after }))
}

async fn one(State(app): State<Arc<App>>, headers: HeaderMap, Path(id): Path<String>) -> Answered {
    let by = app.auth.require(&headers, OpsRole::Dispatcher)?;
    let id = friend_id(&id)?;
    let (mut profile, version) = app.reader.friend(id).await?.ok_or_else(|| Refusal::not_found("friend"))?;
    let load = load(&app, &profile, by.at).await?;
    let theirs =
        AuditFilter { kind: Some(SubjectKind::Friend), subject: Some(id.to_string()), ..AuditFilter::default() };
    let audit = app.reader.audit(&theirs, AUDIT_MAX, None).await?;
    let missing = account::missing(&profile, &communities(&app, &profile), by.at);
    // Where they live and work, whom they know, how to reach them: nothing of it is needed at a desk.
    profile.anchors.clear();
    profile.blocks.clear();
    (profile.phone, profile.email, profile.subject) = (None, None, None);
    let reach = match app.live.roster.reach(id) {
        Reach::Live => "live",
        Reach::Suspect => "suspect",
        Reach::PushOnly => "push_only",
        Reach::Unreachable => "unreachable",
    };
    let on_duty = app.live.roster.on_duty(id);
    Ok(answer(StatusCode::OK, &OpsFriend { profile, version, missing, on_duty, reach: reach.to_owned(), load, audit }))
}

async fn load(app: &App, friend: &Friend, now: Time) -> Result<FriendLoad, Refusal> {
    let began = |period| friend.period_began(period, now).unwrap_or(now);
    let (month, year) = (began(Period::Month), began(Period::Year));
    let visits = app.reader.visits(friend.id, year).await?;
    let since = |since: Time| visits.iter().filter(move |(_, assigned_at, _)| *assigned_at >= since);
    let jobs = |from| u32::try_from(since(from).count()).unwrap_or(u32::MAX);
    let income = |from| {
        let mut sums: BTreeMap<&'static str, Money> = BTreeMap::new();
        for (_, _, net) in since(from) {
            let sum = sums.entry(net.currency.code()).or_insert(Money { amount: 0, currency: net.currency });
            sum.amount += net.amount;
        }
        sums.into_values().collect()
    };
    Ok(FriendLoad {
        jobs_held: u32::try_from(visits.iter().filter(|(held, ..)| *held).count()).unwrap_or(u32::MAX),
        offers_live: app.reader.offers_live(friend.id).await?,
        jobs_month: jobs(month),
        jobs_year: jobs(year),
        income_month: income(month),
        income_year: income(year),
    })
}

fn fault(what: &str) -> Fault {
    let (param, detail) = what.split_once(": ").unwrap_or(("", what));
    Fault { param: param.to_owned(), detail: detail.to_owned() }
}

fn friend_id(text: &str) -> Result<FriendId, Refusal> {
    text.parse().map_err(|_| Refusal::not_found("friend"))
}
