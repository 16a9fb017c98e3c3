//! Photos of friends: taken in by themselves or by an admin, shown under a type of ours with everything forbidden that a
//! browser might want to do with a file, and only to whom the card is shown: to partners while the friend is listed, to ops,
//! to the friend; to the customer of a job that they hold it is shown by the customer's link. Never to other friends.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use axum::routing::{get, put};
use kiez_protocol::audit::AuditRole;
use kiez_protocol::directory::OpsRole;
use kiez_protocol::ids::FriendId;
use kiez_protocol::listing::PhotoView;
use kiez_protocol::refusal::Code;

use super::App;
use super::friend::caller::caller;
use super::partner::Caller;
use super::picture::{self, Media, Unfit};
use super::problem::{Answered, Refusal, answer, bytes};
use crate::dispatch::effect::By;

/// Photos of one friend at once, before the interval counts.
const BURST: u32 = 5;

/// The routes.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/friend/photo", get(own).put(put_own).delete(erase_own))
        .route("/v1/admin/friends/{id}/photo", put(put_theirs).delete(erase_theirs))
        .route("/v1/ops/friends/{id}/photo", get(for_ops))
        .route("/v1/friends/{id}/photo", get(for_partners))
}

async fn own(State(app): State<Arc<App>>, headers: HeaderMap) -> Answered {
    let friend = caller(&app, &headers)?;
    show(&app, friend.id).await
}

async fn put_own(State(app): State<Arc<App>>, headers: HeaderMap, request: Request) -> Answered {
    let friend = caller(&app, &headers)?.id;
    if !app.photo_paces.take(friend, app.clock.elapsed_ms(), BURST, app.limits.photo_interval_ms) {
        return Err(Refusal::new(Code::TooMany, "too many photos in a short time; try again later"));
    }
    store(&app, friend, themselves(&app, friend), request).await
}

async fn erase_own(State(app): State<Arc<App>>, headers: HeaderMap) -> Answered {
    let friend = caller(&app, &headers)?.id;
    erase(&app, friend, themselves(&app, friend)).await
}

fn themselves(app: &App, friend: FriendId) -> By {
    By { actor: friend.to_string(), role: AuditRole::Friend, at: app.clock.now() }
}

async fn put_theirs(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(id): Path<String>,
    request: Request,
) -> Answered {
    let by = app.auth.require(&headers, OpsRole::Admin)?;
    store(&app, known(&app, &id)?, by, request).await
}

async fn erase_theirs(State(app): State<Arc<App>>, headers: HeaderMap, Path(id): Path<String>) -> Answered {
    let by = app.auth.require(&headers, OpsRole::Admin)?;
    erase(&app, known(&app, &id)?, by).await
}

async fn for_ops(State(app): State<Arc<App>>, headers: HeaderMap, Path(id): Path<String>) -> Answered {
    app.auth.require(&headers, OpsRole::Dispatcher)?;
    show(&app, known(&app, &id)?).await
}

/// Of somebody who is not listed it is as if there were none.
async fn for_partners(State(app): State<Arc<App>>, headers: HeaderMap, Path(id): Path<String>) -> Answered {
    let _caller = Caller::of(&app, &headers).await?;
    let listed = id.parse().ok().filter(|friend| app.live.directory.listing().has(*friend));
    show(&app, listed.ok_or_else(nothing)?).await
}

fn known(app: &App, id: &str) -> Result<FriendId, Refusal> {
    let friend = id.parse().ok().and_then(|friend| app.live.directory.friend(friend));
    friend.map(|friend| friend.id).ok_or_else(|| Refusal::not_found("friend"))
}

fn nothing() -> Refusal {
    Refusal::not_found("photo")
}

async fn store(app: &App, friend: FriendId, by: By, request: Request) -> Answered {
    let file = bytes(request, app.limits.photo_bytes_max, &app.limits).await?;
    let side_max = app.limits.photo_side_max;
    let picture = picture::taken(&file, side_max).map_err(|unfit| {
        let detail = match unfit {
            Unfit::Kind => "takes a JPEG, PNG or WebP, by its bytes".to_owned(),
            Unfit::Broken => "the picture is not whole, or moves".to_owned(),
            Unfit::Extent => format!("takes a picture of 1 to {side_max} pixels a side"),
        };
        Refusal::new(Code::Invalid, detail)
    })?;
    let told = PhotoView {
        media: picture.media.word().to_owned(),
        width: picture.width,
        height: picture.height,
        bytes: u32::try_from(picture.bytes.len()).unwrap_or(u32::MAX),
    };
    app.registry.put_photo(friend, picture.media.word(), picture.bytes, &by).await?;
    tracing::info!(%friend, "photo stored");
    app.refresh_directory().await?;
    Ok(answer(StatusCode::OK, &told))
}

/// Erased is erased, however often it is asked for.
async fn erase(app: &App, friend: FriendId, by: By) -> Answered {
    if app.registry.erase_photo(friend, &by).await? {
        tracing::info!(%friend, "photo erased");
        app.refresh_directory().await?;
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

/// A friend's photo, for whoever may see it.
///
/// # Errors
/// [`Code::NotFound`] where there is none; [`Code::Unavailable`].
pub async fn show(app: &App, friend: FriendId) -> Answered {
    let (media, photo) = app.reader.photo(friend).await?.ok_or_else(nothing)?;
    // One of three words of ours, whatever a hand may have written into the table.
    let known = [Media::Jpeg, Media::Png, Media::Webp].into_iter().find(|known| known.word() == media);
    let media = known.ok_or_else(nothing)?.word();
    let mut response = Response::new(Body::from(photo));
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, media),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"),
        // For the one who asked, and asked again each time: who is no longer listed is no longer shown.
        (header::CACHE_CONTROL, "private, no-cache"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}
