//! The live map: one plain page, and the feed behind it. A viewer gets a snapshot, then changes at most twice a second.
//! The map never asks the dispatcher anything.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Response, header};
use axum::routing::get;
use h3o::{CellIndex, Resolution};
use kiez_protocol::directory::OpsRole;
use kiez_protocol::ops::{OpsFrame, OpsMessage};
use kiez_protocol::refusal::{Code, close};
use tokio_tungstenite::tungstenite::Bytes;
use tracing::Instrument;
use uuid::Uuid;

use super::App;
use super::problem::Refusal;
use super::socket::{Incoming, Socket, SocketLimits, Upgrade};
use crate::live::feed::Viewer;
use crate::live::roster::Bounds;

const PAGE: &str = include_str!("../../dashboards/map/index.html");
/// The page loads nothing from elsewhere and talks to this server only.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; \
    img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// Between two changes to one viewer, ms.
const CHANGE_MS: u64 = 500;

/// The routes.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/ops", get(page)).route("/v1/ops/feed", get(feed))
}

/// The pages that may open the map's feed. A browser says of every socket which page opens it; whoever is no browser says
/// nothing, and comes by their token alone. Friends' sockets are not asked: apps in a web view come from anywhere, and
/// their token never comes from a cookie.
#[derive(Clone, Debug, Default)]
pub struct Origins(Vec<String>);

impl Origins {
    /// Those of a configured list, parted by spaces; an empty one means pages of the host that is asked.
    pub fn of(list: &str) -> Origins {
        Origins(list.split_whitespace().map(str::to_lowercase).collect())
    }

    fn admit(&self, headers: &HeaderMap) -> bool {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let Some(origin) = origins.next() else { return true };
        let Ok(origin) = origin.to_str().map(str::to_lowercase) else { return false };
        if origins.next().is_some() {
            return false;
        }
        if !self.0.is_empty() {
            return self.0.contains(&origin);
        }
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).map(str::to_lowercase);
        let page = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        page.is_some() && page == host.as_deref()
    }
}

async fn page() -> Response<Body> {
    let mut response = Response::new(Body::from(PAGE));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

async fn feed(State(app): State<Arc<App>>, mut request: Request) -> Result<Response<Body>, Refusal> {
    if !app.origins.admit(request.headers()) {
        return Err(Refusal::new(Code::Forbidden, "pages of this origin may not open the map's feed"));
    }
    let limits = SocketLimits::of(&app.limits, app.limits.ops_message_bytes_max);
    let upgrade = Upgrade::check(&mut request, None, limits)?;
    let Some(waiting) = app.admit() else {
        return Err(Refusal::new(Code::Unavailable, "too many are coming in at once; try again"));
    };
    let (response, socket) = upgrade.split();
    app.tasks.clone().spawn(async move {
        let Some(mut socket) = socket.await else { return };
        let first = tokio::time::timeout(Duration::from_millis(app.limits.hello_ms), subscription(&mut socket)).await;
        drop(waiting);
        let span = tracing::info_span!("viewer", viewer = %Uuid::now_v7().simple(), role = tracing::field::Empty);
        let end = match first {
            Ok(Ok(frame)) => watch(&app, &mut socket, frame).instrument(span.clone()).await,
            Ok(Err(end)) => end,
            Err(_) => (close::NO_HELLO, "no subscription"),
        };
        span.in_scope(|| tracing::debug!(code = end.0, "the map was left"));
        socket.close(end.0, end.1).await;
    });
    Ok(response)
}

async fn subscription(socket: &mut Socket) -> Result<OpsFrame, (u16, &'static str)> {
    loop {
        match socket.receive().await {
            Incoming::Text(text) => {
                let unfit = (close::BAD_FRAME, "the first frame is subscribe");
                return serde_json::from_str(&text).map_err(|_| unfit);
            }
            Incoming::Alive => {}
            Incoming::Broken(code, reason) => return Err((code, reason)),
            Incoming::Gone => return Err((1000, "")),
        }
    }
}

async fn watch(app: &App, socket: &mut Socket, first: OpsFrame) -> (u16, &'static str) {
    let OpsFrame::Subscribe { token, outlines, .. } = &first;
    let outlines = *outlines;
    let role = token.as_ref().and_then(|token| app.auth.ops(token).ok());
    if role.is_none_or(|role| role < OpsRole::Viewer) {
        let error =
            OpsMessage::Error { code: Code::Unauthorized, detail: "the first frame needs an ops token".to_owned() };
        say(socket, &error).await;
        return (close::BAD_TOKEN, "the token is not valid");
    }
    tracing::Span::current().record("role", role.map(tracing::field::debug));
    tracing::debug!("the map is watched");
    let mut viewer = match viewer(&first) {
        Ok(viewer) => viewer,
        Err(detail) => {
            say(socket, &unfit(detail)).await;
            return (close::BAD_FRAME, "the subscription does not fit");
        }
    };
    let mut ticks = tokio::time::interval(Duration::from_millis(CHANGE_MS));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut silent = 0_u32;
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                let change = viewer.change(&app.live.feed, &app.live.roster, app.clock.now());
                silent = if change.is_some() { 0 } else { silent + 1 };
                let went_out = match change {
                    Some(mut message) => {
                        if role < Some(OpsRole::Dispatcher) {
                            unname(&mut message);
                        }
                        if outlines {
                            draw(&mut message);
                        }
                        say(socket, &message).await
                    }
                    // A ping now and then finds out whether anybody still looks.
                    None if silent % 50 == 49 => socket.ping().await,
                    None => true,
                };
                if !went_out {
                    return (1000, "");
                }
            }
            incoming = socket.receive() => match incoming {
                Incoming::Text(text) => {
                    let again = serde_json::from_str::<OpsFrame>(&text).ok().map(|frame| self::viewer(&frame));
                    match again {
                        Some(Ok(elsewhere)) => viewer = elsewhere,
                        Some(Err(detail)) => {
                            say(socket, &unfit(detail)).await;
                        }
                        None => return (close::BAD_FRAME, "the frame is not a subscription"),
                    }
                }
                Incoming::Alive => {}
                Incoming::Broken(code, reason) => return (code, reason),
                Incoming::Gone => return (1000, ""),
            },
            () = app.stop.cancelled() => return (close::RESTARTING, "the server restarts"),
        }
    }
}

fn viewer(frame: &OpsFrame) -> Result<Viewer, &'static str> {
    let OpsFrame::Subscribe { bounds, resolution, .. } = frame;
    let resolution = resolution.unwrap_or(8);
    if !(4..=9).contains(&resolution) {
        return Err("resolution takes 4 to 9");
    }
    let resolution = Resolution::try_from(resolution).expect("4 to 9 are resolutions");
    let bounds = match bounds {
        None => Bounds::WORLD,
        Some([west, south, east, north]) => {
            let lng = |degrees: &f64| (-180.0..=180.0).contains(degrees);
            let lat = |degrees: &f64| (-90.0..=90.0).contains(degrees);
            if !(lng(west) && lng(east) && lat(south) && lat(north) && south <= north) {
                return Err("bounds take west, south, east, north in degrees");
            }
            Bounds { west: *west, south: *south, east: *east, north: *north }
        }
    };
    Ok(Viewer::new(bounds, resolution))
}

fn unfit(detail: &str) -> OpsMessage {
    OpsMessage::Error { code: Code::Invalid, detail: detail.to_owned() }
}

/// Takes out the friends that alarms name: viewers see how many there are.
fn unname(message: &mut OpsMessage) {
    match message {
        OpsMessage::Snapshot(view) | OpsMessage::Change(view) => {
            for waits in view.alarms.iter_mut().filter_map(|alarm| alarm.waits.as_mut()) {
                waits.friends.clear();
            }
        }
        OpsMessage::Error { .. } => {}
    }
}

/// Adds outlines and centres for a page without an H3 library.
fn draw(message: &mut OpsMessage) {
    let view = match message {
        OpsMessage::Snapshot(view) | OpsMessage::Change(view) => view,
        OpsMessage::Error { .. } => return,
    };
    let degrees = |point: h3o::LatLng| [point.lat(), point.lng()].map(|degree| (degree * 1e5).round() / 1e5);
    for cell in view.cells.iter_mut().filter(|cell| cell.friends > 0) {
        if let Ok(index) = cell.cell.parse::<CellIndex>() {
            cell.outline = index.boundary().iter().copied().map(degrees).collect();
        }
    }
    let named = view.jobs.iter().flat_map(|job| job.offers.iter().chain([&job.cell]));
    let named: Vec<String> = named.chain(view.races.iter().map(|race| &race.cell)).cloned().collect();
    for name in named {
        if let Ok(index) = name.parse::<CellIndex>() {
            view.centres.insert(name, degrees(index.into()));
        }
    }
}

async fn say(socket: &mut Socket, message: &OpsMessage) -> bool {
    let text = serde_json::to_vec(message).expect("the wire's types are plain data");
    socket.send(Bytes::from(text)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let value = |text: &str| HeaderValue::from_str(text).expect("a header");
        let mut headers = HeaderMap::new();
        for (name, text) in pairs {
            headers.append(*name, value(text));
        }
        headers
    }

    #[test]
    fn only_known_pages_open_the_feed() {
        let (own, listed) = (Origins::of(""), Origins::of("https://ops.example.org  http://Desk.example.org:8080"));
        let no_browser = headers(&[("host", "kiez.example")]);
        assert!(own.admit(&no_browser) && listed.admit(&no_browser));
        for (origin, by_host, by_list) in [
            ("https://kiez.example", true, false),
            ("http://KIEZ.example", true, false),
            ("https://kiez.example:444", false, false),
            ("https://kiez.example.evil.example", false, false),
            ("https://ops.example.org", false, true),
            ("http://desk.example.org:8080", false, true),
            ("http://ops.example.org", false, false),
            ("null", false, false),
            ("kiez.example", false, false),
            ("", false, false),
        ] {
            let asked = headers(&[("host", "kiez.example"), ("origin", origin)]);
            assert_eq!((own.admit(&asked), listed.admit(&asked)), (by_host, by_list), "{origin}");
        }
        let twice = headers(&[("host", "a"), ("origin", "http://a"), ("origin", "http://a")]);
        assert!(!own.admit(&twice));
    }
}
