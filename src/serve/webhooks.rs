//! Where partners want to hear of their jobs, and what was sent there. What is sent, when, and to which addresses is the
//! business of the room that tells the outside; here a partner says where to, and looks.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use kiez_protocol::audit::AuditRole;
use kiez_protocol::ids::{EndpointId, PartnerSlug};
use kiez_protocol::refusal::{Code, Fault};
use kiez_protocol::time::Time;
use kiez_protocol::webhook::{
    DeliveryList, ENDPOINTS_MAX, EndpointOff, EndpointView, PutEndpoint, PutWebhooks, SecretView, URL_BYTES_MAX,
    WebhookList,
};
use uuid::Uuid;

use super::App;
use super::partner::Caller;
use super::problem::{Answered, Refusal, answer, body, json};
use super::query::Query;
use crate::dispatch::effect::By;
use crate::ledger::secret::{Keeper, Secret, written};
use crate::ledger::{DeliveryFilter, Endpoint, RegistryError, Resent, delivery_name, delivery_of};

/// Bytes of a secret: Standard Webhooks asks for 24 to 64.
const SECRET_LEN: usize = 32;
/// So long the secret before the newest signs beside it, ms of real time.
const OVERLAP_MS: i64 = 24 * 3_600_000;
/// Secrets of an endpoint that sign at once; who rotates faster loses the oldest.
const SECRETS_MAX: usize = 3;

/// What partners may name.
#[derive(Clone, Debug)]
pub struct Webhooks {
    /// How secrets are kept.
    pub keeper: Keeper,
    /// Development: plain HTTP, and addresses of this machine.
    pub private: bool,
}

/// The routes.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/webhooks", get(list).put(put))
        .route("/v1/webhooks/deliveries", get(deliveries))
        .route("/v1/webhooks/deliveries/{id}/resend", post(resend))
}

async fn list(State(app): State<Arc<App>>, headers: HeaderMap) -> Answered {
    let caller = Caller::of(&app, &headers).await?;
    let endpoints = app.reader.endpoints(&caller.partner).await?;
    Ok(answer(StatusCode::OK, &shown(&endpoints, &[])))
}

async fn put(State(app): State<Arc<App>>, headers: HeaderMap, request: Request) -> Answered {
    let caller = Caller::of(&app, &headers).await?;
    let PutWebhooks { endpoints: wanted } = json(&body(request, app.limits.body_bytes_max, &app.limits).await?)?;
    check(&wanted, app.webhooks.private)?;
    let partner = caller.partner.clone();
    let by = By { actor: partner.as_str().to_owned(), role: AuditRole::Partner, at: app.clock.now() };
    let (keeper, now) = (app.webhooks.keeper.clone(), app.clock.real());
    let (tell, told) = tokio::sync::oneshot::channel();
    let change = move |stand: Vec<Endpoint>| {
        let mut made = Vec::new();
        let after = wanted.into_iter().map(|wanted| changed(wanted, &stand, &keeper, now, &mut made)).collect();
        // Who asked may be gone; then nobody ever sees the new secrets.
        let _ = tell.send(made);
        after
    };
    let endpoints = app.registry.change_endpoints(partner, change, &by).await.map_err(unwritten)??;
    let made = told.await.unwrap_or_default();
    Ok(answer(StatusCode::OK, &shown(&endpoints, &made)))
}

/// An endpoint as it will stand. The secrets that were made for it come into `made`.
fn changed(
    wanted: PutEndpoint,
    stand: &[Endpoint],
    keeper: &Keeper,
    now: Time,
    made: &mut Vec<(EndpointId, String)>,
) -> Result<Endpoint, Refusal> {
    let PutEndpoint { id, url, events, enabled, rotate } = wanted;
    let before = match id {
        Some(id) => {
            let known = stand.iter().find(|endpoint| endpoint.id == id);
            Some(known.ok_or_else(|| Refusal::not_found("endpoint"))?)
        }
        None => None,
    };
    let id = id.unwrap_or_else(|| EndpointId(Uuid::new_v4()));
    let mut secrets: Vec<Secret> = before.map(|before| before.secrets.clone()).unwrap_or_default();
    secrets.retain(|secret| secret.until.is_none_or(|until| until > now));
    if rotate || secrets.is_empty() {
        let failed = |_| Refusal::new(Code::Unavailable, "the machine gives no randomness");
        let mut secret = [0; SECRET_LEN];
        getrandom::fill(&mut secret).map_err(failed)?;
        for before in &mut secrets {
            before.until.get_or_insert(now + OVERLAP_MS);
        }
        secrets.insert(0, Secret::new(keeper.seal(id, &secret).map_err(failed)?, now));
        secrets.truncate(SECRETS_MAX);
        made.push((id, written(&secret)));
    }
    Ok(Endpoint {
        id,
        url,
        events,
        secrets,
        off: (!enabled).then_some(EndpointOff::Partner),
        created_at: before.map_or(now, |before| before.created_at),
    })
}

fn shown(endpoints: &[Endpoint], made: &[(EndpointId, String)]) -> WebhookList {
    let view = |endpoint: &Endpoint| {
        let new = made.iter().find(|(id, _)| *id == endpoint.id).map(|(_, secret)| secret);
        let secret = |(index, secret): (usize, &Secret)| SecretView {
            secret: new.filter(|_| index == 0).cloned(),
            made_at: secret.made_at,
            until: secret.until,
        };
        EndpointView {
            id: endpoint.id,
            url: endpoint.url.clone(),
            events: endpoint.events.clone(),
            enabled: endpoint.off.is_none(),
            off: endpoint.off,
            secrets: endpoint.secrets.iter().enumerate().map(secret).collect(),
            created_at: endpoint.created_at,
        }
    };
    WebhookList { endpoints: endpoints.iter().map(view).collect() }
}

/// The shape of what is wanted. Which addresses a host has is looked at when something is sent.
fn check(wanted: &[PutEndpoint], private: bool) -> Result<(), Refusal> {
    let mut faults = Vec::new();
    if wanted.len() > ENDPOINTS_MAX {
        let detail = format!("takes at most {ENDPOINTS_MAX}");
        faults.push(Fault { param: "endpoints".to_owned(), detail });
    }
    for (index, endpoint) in wanted.iter().enumerate() {
        if let Err(detail) = check_url(&endpoint.url, private) {
            faults.push(Fault { param: format!("endpoints.{index}.url"), detail: detail.to_owned() });
        }
        let twice = |id: EndpointId| wanted[..index].iter().any(|other| other.id == Some(id));
        if endpoint.id.is_some_and(twice) {
            faults.push(Fault { param: format!("endpoints.{index}.id"), detail: "stands twice".to_owned() });
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(Refusal::faults(faults)) }
}

fn check_url(url: &str, private: bool) -> Result<(), &'static str> {
    if url.len() > URL_BYTES_MAX {
        return Err("takes at most 2,048 bytes");
    }
    let parsed: Uri = url.parse().map_err(|_| "is not a URL")?;
    match parsed.scheme_str() {
        Some("https") => {}
        Some("http") if private => {}
        _ => return Err("takes https://…"),
    }
    let authority = parsed.authority().ok_or("names no host")?;
    if authority.as_str().contains('@') {
        return Err("takes no user and no password");
    }
    if url.contains('#') {
        return Err("takes no fragment");
    }
    if authority.host().is_empty() || authority.host().trim_matches(['[', ']']).is_empty() {
        return Err("names no host");
    }
    Ok(())
}

async fn deliveries(State(app): State<Arc<App>>, headers: HeaderMap, RawQuery(query): RawQuery) -> Answered {
    let caller = Caller::of(&app, &headers).await?;
    let mut query = Query::of(query.as_deref(), &["state", "endpoint", "job", "limit", "after"])?;
    let filter =
        DeliveryFilter { state: query.value("state")?, endpoint: query.value("endpoint")?, job: query.value("job")? };
    let limit = query.limit()?;
    let unfit = || Refusal::param(Code::Invalid, "after", "takes the `after` of the page before");
    let after = query.text("after", 120)?;
    let after = after.as_deref().map(|after| delivery_of(after).ok_or_else(unfit)).transpose()?;
    let deliveries = app.reader.deliveries(&caller.partner, filter, limit + 1, after).await?;
    let mut deliveries = deliveries.ok_or_else(unfit)?;
    let more = deliveries.len() > limit as usize;
    deliveries.truncate(limit as usize);
    let after = if more { deliveries.last().map(|delivery| delivery.id.clone()) } else { None };
    Ok(answer(StatusCode::OK, &DeliveryList { deliveries, after }))
}

async fn resend(State(app): State<Arc<App>>, headers: HeaderMap, Path(id): Path<String>) -> Answered {
    let caller = Caller::of(&app, &headers).await?;
    let partner: PartnerSlug = caller.partner.clone();
    let unknown = || Refusal::not_found("delivery");
    let (message, endpoint) = delivery_of(&id).filter(|_| id.len() <= 200 && !id.contains('\0')).ok_or_else(unknown)?;
    let resent = app.registry.resend(partner.clone(), message.to_owned(), endpoint).await.map_err(unwritten)?;
    match resent {
        Resent::Due => tracing::info!(delivery = delivery_name(message, endpoint), "webhook_resent"),
        Resent::Off => {
            return Err(Refusal::new(Code::Invalid, "its endpoint is switched off or was taken away"));
        }
        Resent::Unknown => return Err(unknown()),
    }
    Ok(StatusCode::ACCEPTED.into_response())
}

fn unwritten(error: RegistryError) -> Refusal {
    tracing::warn!(why = error.facts(), "endpoints could not be written");
    Refusal::new(Code::Unavailable, "the ledger cannot be written now; try again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_plain_https_url() {
        for fits in ["https://shop.example/hooks", "https://shop.example:8443/a?b=c", "https://[2001:db8::1]/x"] {
            assert_eq!(check_url(fits, false), Ok(()), "{fits}");
        }
        for unfit in [
            "http://shop.example/",
            "ftp://shop.example/",
            "https://",
            "https:///x",
            "https://user:pw@shop.example/",
            "https://shop.example/#part",
            "//shop.example",
            "shop.example",
            "",
            "https://[]/",
            "https://ä.example/",
            "https://shop.example/a b",
            "javascript:alert(1)",
            "file:///etc/passwd",
        ] {
            assert!(check_url(unfit, false).is_err(), "{unfit}");
        }
        assert_eq!(check_url("http://127.0.0.1:9000/", true), Ok(()));
        assert!(check_url(&format!("https://shop.example/{}", "a".repeat(2_048)), false).is_err());
    }
}
