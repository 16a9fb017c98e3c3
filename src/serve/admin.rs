//! What admins maintain: communities, packages, partners, friends, tokens. Each document is checked whole before any of
//! it is taken.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use axum::routing::{get, post, put};
use kiez_protocol::audit::SubjectKind;
use kiez_protocol::directory::{
    Community, Friend, ImportLine, ImportReport, OpsRole, Package, Partner, TokenRequest, TokenView,
};
use kiez_protocol::ids::CommunitySlug;
use kiez_protocol::people::VersionList;
use kiez_protocol::refusal::{Code, Fault};
use serde::de::DeserializeOwned;

use super::problem::{Answered, Refusal, answer, body, json};
use super::query::Query;
use super::{App, auth, bulk};
use crate::dispatch::effect::By;
use crate::import as documents;
use crate::ledger::RegistryError;

/// The routes.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/admin/communities/{slug}", put(community).get(a_community))
        .route("/v1/admin/communities/{slug}/versions", get(communities))
        .route("/v1/admin/packages/{slug}", put(package).get(a_package))
        .route("/v1/admin/packages/{slug}/versions", get(packages))
        .route("/v1/admin/partners/{slug}", put(partner).get(a_partner))
        .route("/v1/admin/partners/{slug}/versions", get(partners))
        .route("/v1/admin/friends/{id}", put(friend).get(a_friend))
        .route("/v1/admin/import", post(import))
        .route("/v1/admin/tokens", post(token))
}

impl From<RegistryError> for Refusal {
    fn from(error: RegistryError) -> Refusal {
        match error {
            RegistryError::Refused(_) | RegistryError::UnknownPartner(_) => {
                Refusal::new(Code::Invalid, error.to_string())
            }
            RegistryError::UnknownFriend(_) => Refusal::not_found("friend"),
            RegistryError::UnknownCommunity(_) => Refusal::not_found("community"),
            RegistryError::KnownFriend(_) => Refusal::param(Code::WrongState, "id", error.to_string()),
            RegistryError::Conflict { .. } => Refusal::param(Code::VersionConflict, "If-Match", error.to_string()),
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
    let expected = expected(&headers)?;
    let (by, community): (By, Community) = document(&app, &headers, request).await?;
    same("slug", &slug, community.slug.as_str())?;
    put_one(&app, ImportLine::Community(community), expected, &by).await
}

async fn package(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(slug): Path<String>,
    request: Request,
) -> Answered {
    let expected = expected(&headers)?;
    let (by, package): (By, Package) = document(&app, &headers, request).await?;
    same("slug", &slug, package.slug.as_str())?;
    put_one(&app, ImportLine::Package(package), expected, &by).await
}

async fn partner(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(slug): Path<String>,
    request: Request,
) -> Answered {
    let expected = expected(&headers)?;
    let (by, partner): (By, Partner) = document(&app, &headers, request).await?;
    same("slug", &slug, partner.slug.as_str())?;
    put_one(&app, ImportLine::Partner(partner), expected, &by).await
}

async fn friend(State(app): State<Arc<App>>, headers: HeaderMap, Path(id): Path<String>, request: Request) -> Answered {
    let expected = expected(&headers)?;
    let (by, friend): (By, Friend) = document(&app, &headers, request).await?;
    same("id", &id, &friend.id.to_string())?;
    put_one(&app, ImportLine::Friend(friend), expected, &by).await
}

/// The version that a change wants to replace, if it says so: `"3"`.
fn expected(headers: &HeaderMap) -> Result<Option<u32>, Refusal> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let version = value.to_str().ok().and_then(|text| text.strip_prefix('"')?.strip_suffix('"')?.parse().ok());
    version.map(Some).ok_or_else(|| Refusal::param(Code::BadRequest, "If-Match", "takes one version as in `\"3\"`"))
}

/// With the version as `ETag`.
fn tagged(mut response: Response<Body>, version: u32) -> Response<Body> {
    let tag = HeaderValue::from_str(&format!("\"{version}\"")).expect("digits");
    response.headers_mut().insert(header::ETAG, tag);
    response
}

async fn a_community(app: State<Arc<App>>, headers: HeaderMap, slug: Path<String>, query: RawQuery) -> Answered {
    look(&app, &headers, SubjectKind::Community, &slug, query).await
}

async fn a_package(app: State<Arc<App>>, headers: HeaderMap, slug: Path<String>, query: RawQuery) -> Answered {
    look(&app, &headers, SubjectKind::Package, &slug, query).await
}

async fn a_partner(app: State<Arc<App>>, headers: HeaderMap, slug: Path<String>, query: RawQuery) -> Answered {
    look(&app, &headers, SubjectKind::Partner, &slug, query).await
}

async fn look(app: &App, headers: &HeaderMap, kind: SubjectKind, slug: &str, RawQuery(query): RawQuery) -> Answered {
    app.auth.require(headers, OpsRole::Admin)?;
    let mut query = Query::of(query.as_deref(), &["version"])?;
    let version = query.take("version").map(|version| version.parse().ok().filter(|version| *version > 0));
    let version =
        version.map(|version| version.ok_or_else(|| Refusal::param(Code::Invalid, "version", "takes 1 or more")));
    let found = app.reader.document(kind, stored_slug(kind, slug)?, version.transpose()?).await?;
    let (document, version) = found.ok_or_else(|| Refusal::not_found(kind.as_str()))?;
    Ok(tagged(answer(StatusCode::OK, &document), version))
}

async fn communities(app: State<Arc<App>>, headers: HeaderMap, slug: Path<String>) -> Answered {
    versions(&app, &headers, SubjectKind::Community, &slug).await
}

async fn packages(app: State<Arc<App>>, headers: HeaderMap, slug: Path<String>) -> Answered {
    versions(&app, &headers, SubjectKind::Package, &slug).await
}

async fn partners(app: State<Arc<App>>, headers: HeaderMap, slug: Path<String>) -> Answered {
    versions(&app, &headers, SubjectKind::Partner, &slug).await
}

async fn versions(app: &App, headers: &HeaderMap, kind: SubjectKind, slug: &str) -> Answered {
    app.auth.require(headers, OpsRole::Admin)?;
    let versions = app.reader.versions(kind, stored_slug(kind, slug)?).await?;
    if versions.is_empty() {
        return Err(Refusal::not_found(kind.as_str()));
    }
    Ok(answer(StatusCode::OK, &VersionList { versions }))
}

/// A slug as it may be stored. What is none is nobody's, and Postgres would choke on a NUL.
fn stored_slug(kind: SubjectKind, slug: &str) -> Result<&str, Refusal> {
    slug.parse::<CommunitySlug>().map(|_| slug).map_err(|_| Refusal::not_found(kind.as_str()))
}

async fn a_friend(State(app): State<Arc<App>>, headers: HeaderMap, Path(id): Path<String>) -> Answered {
    app.auth.require(&headers, OpsRole::Admin)?;
    let id = id.parse().map_err(|_| Refusal::not_found("friend"))?;
    let (friend, version) = app.reader.friend(id).await?.ok_or_else(|| Refusal::not_found("friend"))?;
    Ok(tagged(answer(StatusCode::OK, &friend), version))
}

/// NDJSON: all lines or none.
async fn import(State(app): State<Arc<App>>, headers: HeaderMap, request: Request) -> Answered {
    let by = app.auth.require(&headers, OpsRole::Admin)?;
    let lines = bulk::documents(request, &app.limits).await?;
    let report = app.registry.import(lines, &by).await?;
    tracing::info!(lines = report.imported.values().sum::<u32>(), "imported");
    app.refresh_directory().await?;
    Ok(answer(StatusCode::OK, &report))
}

/// One document: what is wrong with it is named by its field.
async fn put_one(app: &App, document: ImportLine, expected: Option<u32>, by: &By) -> Answered {
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
    let stored = app.registry.put(document, expected, by).await?;
    tracing::info!(kind, version = stored.version, changed = stored.changed, "stored");
    app.refresh_directory().await?;
    let imported = [(kind.to_owned(), 1)].into();
    let report = ImportReport { imported, version: Some(stored.version), changed: Some(stored.changed) };
    Ok(tagged(answer(StatusCode::OK, &report), stored.version))
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
