//! What admins maintain: communities, packages, partners, friends, tokens. Each document is checked whole before any of
//! it is taken.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{post, put};
use kiez_protocol::directory::{
    Community, Friend, ImportLine, ImportReport, OpsRole, Package, Partner, TokenRequest, TokenView,
};
use kiez_protocol::refusal::{Code, Fault};
use serde::de::DeserializeOwned;

use super::problem::{Answered, Refusal, answer, body, json};
use super::{App, auth};
use crate::dispatch::effect::By;
use crate::import as documents;
use crate::ledger::RegistryError;

/// The routes.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/admin/communities/{slug}", put(community))
        .route("/v1/admin/packages/{slug}", put(package))
        .route("/v1/admin/partners/{slug}", put(partner))
        .route("/v1/admin/friends/{id}", put(friend))
        .route("/v1/admin/import", post(import))
        .route("/v1/admin/tokens", post(token))
}

impl From<RegistryError> for Refusal {
    fn from(error: RegistryError) -> Refusal {
        match error {
            RegistryError::Refused(_) | RegistryError::UnknownPartner(_) => {
                Refusal::new(Code::Invalid, error.to_string())
            }
            RegistryError::Unreachable(_) => {
                tracing::warn!(why = error.facts(), "the directory could not be written");
                Refusal::new(Code::Unavailable, "the ledger cannot be written now; nothing was changed, try again")
            }
        }
    }
}

async fn community(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(slug): Path<String>,
    request: Request,
) -> Answered {
    let (by, community): (By, Community) = document(&app, &headers, request).await?;
    same("slug", &slug, community.slug.as_str())?;
    put_one(&app, ImportLine::Community(community), &by).await
}

async fn package(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(slug): Path<String>,
    request: Request,
) -> Answered {
    let (by, package): (By, Package) = document(&app, &headers, request).await?;
    same("slug", &slug, package.slug.as_str())?;
    put_one(&app, ImportLine::Package(package), &by).await
}

async fn partner(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(slug): Path<String>,
    request: Request,
) -> Answered {
    let (by, partner): (By, Partner) = document(&app, &headers, request).await?;
    same("slug", &slug, partner.slug.as_str())?;
    put_one(&app, ImportLine::Partner(partner), &by).await
}

async fn friend(State(app): State<Arc<App>>, headers: HeaderMap, Path(id): Path<String>, request: Request) -> Answered {
    let (by, friend): (By, Friend) = document(&app, &headers, request).await?;
    same("id", &id, &friend.id.to_string())?;
    put_one(&app, ImportLine::Friend(friend), &by).await
}

/// NDJSON: all lines or none. Every line that is wrong is named.
async fn import(State(app): State<Arc<App>>, headers: HeaderMap, request: Request) -> Answered {
    let by = app.auth.require(&headers, OpsRole::Admin)?;
    let bytes = body(request, app.limits.import_bytes_max, &app.limits).await?;
    let text = std::str::from_utf8(&bytes).map_err(|_| Refusal::new(Code::BadRequest, "the import is not UTF-8"))?;
    let lines = documents::parse(text, app.limits.import_line_bytes_max).map_err(|faults| {
        let faults =
            faults.into_iter().map(|fault| Fault { param: format!("line {}", fault.line), detail: fault.what });
        Refusal::faults(faults.take(100).collect())
    })?;
    let report = app.registry.import(lines, &by).await?;
    tracing::info!(lines = report.imported.values().sum::<u32>(), "imported");
    app.refresh_directory().await?;
    Ok(answer(StatusCode::OK, &report))
}

/// One document: what is wrong with it is named by its field.
async fn put_one(app: &App, document: ImportLine, by: &By) -> Answered {
    let mut document = [document];
    let fault = |(_, what): (usize, String)| {
        let (param, detail) = what.split_once(": ").unwrap_or(("", &what));
        Fault { param: param.to_owned(), detail: detail.to_owned() }
    };
    let faults: Vec<Fault> = documents::settle(&mut document).into_iter().map(fault).collect();
    if !faults.is_empty() {
        return Err(Refusal::faults(faults));
    }
    let [document] = document;
    let kind = documents::kind(&document);
    let stored = app.registry.put(document, by).await?;
    tracing::info!(kind, version = stored.version, changed = stored.changed, "stored");
    app.refresh_directory().await?;
    let imported = [(kind.to_owned(), 1)].into();
    Ok(answer(StatusCode::OK, &ImportReport { imported, version: Some(stored.version), changed: Some(stored.changed) }))
}

async fn token(State(app): State<Arc<App>>, headers: HeaderMap, request: Request) -> Answered {
    let (by, wanted): (By, TokenRequest) = document(&app, &headers, request).await?;
    let minutes = |minutes: Option<u32>| match minutes {
        Some(minutes) if !(1..=525_600).contains(&minutes) => {
            Err(Refusal::param(Code::Invalid, "minutes", "takes 1 to 525,600"))
        }
        minutes => Ok(minutes.unwrap_or(app.token_minutes)),
    };
    let failed = |error| {
        tracing::error!(%error, "a token could not be signed");
        Refusal::new(Code::Internal, "the token could not be signed")
    };
    let view = match wanted {
        TokenRequest::Friend { friend, minutes: wanted } => {
            if app.live.directory.friend(friend).is_none() {
                return Err(Refusal::param(Code::NotFound, "friend", "there is no such friend"));
            }
            let (token, expires_at) = app.auth.friend_token(friend, minutes(wanted)?).map_err(failed)?;
            TokenView { token, expires_at: Some(expires_at) }
        }
        TokenRequest::Ops { role, name, minutes: wanted } => {
            let name = name.unwrap_or_else(|| "ops".to_owned());
            if name.trim().is_empty() || name.chars().count() > 100 || name.contains('\0') {
                return Err(Refusal::param(Code::Invalid, "name", "takes 1 to 100 characters, none of them NUL"));
            }
            let (token, expires_at) = app.auth.named_ops_token(name, role, minutes(wanted)?).map_err(failed)?;
            TokenView { token, expires_at: Some(expires_at) }
        }
        TokenRequest::Partner { partner } => {
            if app.live.directory.partner(&partner).is_none() {
                return Err(Refusal::param(Code::NotFound, "partner", "there is no such partner"));
            }
            TokenView { token: auth::partner_key(&app.registry, partner, &by).await?, expires_at: None }
        }
    };
    Ok(answer(StatusCode::CREATED, &view))
}

async fn document<T: DeserializeOwned>(app: &App, headers: &HeaderMap, request: Request) -> Result<(By, T), Refusal> {
    let by = app.auth.require(headers, OpsRole::Admin)?;
    Ok((by, json(&body(request, app.limits.body_bytes_max, &app.limits).await?)?))
}

fn same(param: &str, path: &str, body: &str) -> Result<(), Refusal> {
    if path == body {
        return Ok(());
    }
    Err(Refusal::param(Code::Invalid, param, format!("the path says `{path}`, the body `{body}`")))
}
