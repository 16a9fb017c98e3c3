//! The friend socket, `GET /v1/friend`. A stranger says hello within five seconds; with a good token and a place they
//! become a session, a new one or the one they had. Only a session can accept anything.
//!
//! | page | what happens there |
//! | --- | --- |
//! | [`admission`] | how many hellos a second, and when those beyond come back; the same for a drain |
//! | [`caller`] | a friend over plain HTTP |
//! | [`session`] | one socket served: its outbox, its frames, its end |
//! | [`frames`] | what each frame does |
//! | [`position`] | fixes on their way to the roster |
//! | [`settings`] | what friends set themselves |
//! | [`token`] | the end of a token, and its refresh |

pub mod admission;
pub mod caller;
mod frames;
pub mod hindsight;
mod position;
mod session;
mod settings;
mod token;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use axum::routing::get;
use kiez_protocol::FRIEND_SUBPROTOCOL;
use kiez_protocol::directory::{Friend, Language};
use kiez_protocol::friend::{FriendFrame, FriendMessage};
use kiez_protocol::ids::SessionId;
use kiez_protocol::refusal::{Code, close};
use tracing::Instrument;

use super::App;
use super::auth::Denied;
use super::problem::Refusal;
use super::socket::{Incoming, Socket, SocketLimits, Upgrade};
use crate::live::outbox::Goodbye;
use crate::metrics;
use session::Session;

/// The route.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/v1/friend", get(upgrade))
}

async fn upgrade(State(app): State<Arc<App>>, mut request: Request) -> Result<Response<Body>, Refusal> {
    let limits = SocketLimits::of(&app.limits, app.limits.friend_message_bytes_max);
    let upgrade = Upgrade::check(&mut request, Some(FRIEND_SUBPROTOCOL), limits)?;
    let Some(waiting) = app.admit() else {
        metrics::hello("turned_away");
        return Err(Refusal::new(Code::Unavailable, "too many are coming in at once; try again"));
    };
    let (response, socket) = upgrade.split();
    app.tasks.clone().spawn(async move {
        let Some(mut socket) = socket.await else { return };
        match welcome(&app, &mut socket).await {
            Ok(session) => {
                drop(waiting);
                // At DEBUG, for a span is memory and friends stay for hours by the ten thousand; what a session has to
                // say above DEBUG names both itself.
                let span = tracing::debug_span!("session", session = %session.id(), friend = %session.friend());
                // A task of its own: what the hello needed goes with this one.
                app.tasks.clone().spawn(session.run(Box::new(socket)).instrument(span));
            }
            Err(turned) => {
                let outcome = turned.outcome();
                metrics::hello(outcome);
                tracing::debug!(outcome, "nobody came in");
                say_goodbye(socket, turned).await;
            }
        }
    });
    Ok(response)
}

/// Why nobody came in.
enum Turned {
    /// They went by themselves.
    Gone,
    /// They are told why.
    Away(Goodbye),
    /// They are told to come back after so many ms.
    Later(u32, Goodbye),
}

impl Turned {
    fn away(code: u16, reason: &'static str) -> Turned {
        Turned::Away(Goodbye { code, reason })
    }

    /// For the meters.
    fn outcome(&self) -> &'static str {
        match self {
            Turned::Gone => "gone",
            Turned::Later(_, RESTARTING) => "restarting",
            Turned::Later(..) => "later",
            Turned::Away(goodbye) => match goodbye.code {
                close::BAD_TOKEN => "bad_token",
                close::TOKEN_EXPIRED => "token_expired",
                close::FORBIDDEN => "forbidden",
                close::NO_HELLO => "too_late",
                _ => "bad_frame",
            },
        }
    }
}

async fn say_goodbye(mut socket: Socket, turned: Turned) {
    let (goodbye, reconnect_in_ms) = match turned {
        Turned::Gone => return,
        Turned::Away(goodbye) => (goodbye, None),
        Turned::Later(ms, goodbye) => (goodbye, Some(ms)),
    };
    if let Some(reconnect_in_ms) = reconnect_in_ms {
        let text = serde_json::to_vec(&FriendMessage::Draining { reconnect_in_ms }).expect("plain data");
        // Whether or not it is heard, the close code says to come back.
        socket.send(text.into()).await;
    }
    socket.close(goodbye.code, goodbye.reason).await;
}

/// Somebody whose token is good. They cannot accept anything: that takes a [`Session`].
struct Stranger {
    profile: Arc<Friend>,
    language: Language,
    token_ends: i64,
    // The session they would go on with, and the newest number they have of it.
    session: Option<SessionId>,
    last_seq: u64,
}

/// From the first frame to a session.
async fn welcome(app: &Arc<App>, socket: &mut Socket) -> Result<Session, Turned> {
    let wait = Duration::from_millis(app.limits.hello_ms);
    let hello = tokio::select! {
        hello = tokio::time::timeout(wait, hello(app, socket)) => hello,
        () = app.stop.cancelled() => return Err(restarting(app)),
    };
    let stranger = hello.unwrap_or(Err(Turned::away(close::NO_HELLO, "no hello")))?;
    // Known to be a friend, and counted only then: nobody without a token keeps others out.
    let now = app.clock.elapsed_ms();
    app.admission.admit(now).map_err(|ms| Turned::Later(ms, BUSY))?;
    let session = Session::begin(app.clone(), stranger).map_err(|goodbye| match goodbye {
        BUSY => Turned::Later(app.admission.come_again(now), BUSY),
        goodbye => Turned::Away(goodbye),
    })?;
    // Whoever came in while the drain counted its sessions was not among them.
    if app.stop.is_cancelled() { Err(restarting(app)) } else { Ok(session) }
}

fn restarting(app: &App) -> Turned {
    Turned::Later(admission::return_ms(app.live.sessions.connected(), &app.limits), RESTARTING)
}

async fn hello(app: &App, socket: &mut Socket) -> Result<Stranger, Turned> {
    let text = loop {
        match socket.receive().await {
            Incoming::Text(text) => break text,
            Incoming::Alive => {}
            Incoming::Broken(code, reason) => return Err(Turned::away(code, reason)),
            Incoming::Gone => return Err(Turned::Gone),
        }
    };
    let Ok(FriendFrame::Hello { token, language, app: _, session, last_seq }) = serde_json::from_str(&text) else {
        return Err(Turned::away(close::BAD_FRAME, "the first frame is hello"));
    };
    metrics::frame("hello");
    let claim = app.auth.friend(&token).map_err(|denied| match denied {
        Denied::Bad => Turned::away(close::BAD_TOKEN, "the token is not valid"),
        Denied::Expired => Turned::away(close::TOKEN_EXPIRED, "the token has expired"),
    })?;
    let friend = app.live.directory.friend_by_subject(&claim.subject);
    let profile = friend.and_then(|friend| app.live.directory.friend(friend));
    let profile = profile.ok_or(Turned::away(close::BAD_TOKEN, "the token is not valid"))?;
    if !profile.account.may_connect() {
        return Err(Turned::Away(INACTIVE));
    }
    Ok(Stranger { profile, language, token_ends: claim.expires_at.0, session, last_seq })
}

/// What a friend hears whose account is not active.
pub const INACTIVE: Goodbye = Goodbye { code: close::FORBIDDEN, reason: "the account is not active" };
/// What everybody hears when the server goes down.
pub const RESTARTING: Goodbye = Goodbye { code: close::RESTARTING, reason: "the server restarts" };
/// What a friend hears whom the server cannot take just now.
const BUSY: Goodbye = Goodbye { code: close::TRY_AGAIN_LATER, reason: "too many are coming in at once" };

/// Sends every friend home, and says to each when to come back: not all at once. Accepts under way still hear their
/// verdicts.
pub fn drain(app: &App) {
    let leaving = app.live.sessions.connected();
    for outbox in app.live.sessions.outboxes() {
        let reconnect_in_ms = admission::return_ms(leaving, &app.limits);
        outbox.push(FriendMessage::Draining { reconnect_in_ms }, false);
        outbox.close_after_verdicts(RESTARTING);
    }
}
