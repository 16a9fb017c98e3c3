//! The friend socket. A stranger says hello within five seconds and becomes a session; a session takes frames, hands
//! them to the dispatcher, and writes what the outbox holds. It gives no verdict on an open job: it takes the claim word
//! for an accept and reports whether it was first.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use axum::routing::get;
use kiez_protocol::FRIEND_SUBPROTOCOL;
use kiez_protocol::directory::{Friend, Language};
use kiez_protocol::friend::{FRIEND_FRAME_TYPES, FriendFrame, FriendMessage, LostReason, Verdict, Welcome};
use kiez_protocol::ids::{FriendId, JobId, Key, OfferId, SessionId};
use kiez_protocol::place::Point;
use kiez_protocol::refusal::{Code, close};
use tracing::Instrument;
use uuid::Uuid;

use super::App;
use super::auth::Denied;
use super::limit::Bucket;
use super::problem::Refusal;
use super::socket::{Incoming, Socket, Upgrade};
use crate::dispatch::claim::{Closed, Word};
use crate::dispatch::input::Input;
use crate::live::outbox::{Goodbye, Next, Outbox};
use crate::live::roster::Placed;
use crate::live::sessions::Registered;
use crate::metrics;

/// An accept without a verdict after this is told to be pending, ms.
const PENDING_MS: u64 = 100;
/// Fixes less accurate than this are not used, metres (rules of the trade, §5).
const ACCURACY_MAX_M: f64 = 500.0;
/// How often a session looks whether a duty is committed, for a fix that came right behind it, ms.
const HELD_FIX_LOOK_MS: i64 = 10;
/// How long after its end a token still holds a session, ms.
const TOKEN_GRACE_MS: i64 = 30_000;
/// The app hears this long before its token ends, ms.
const EXPIRING_MS: i64 = 60_000;

/// The route.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/v1/friend", get(upgrade))
}

async fn upgrade(State(app): State<Arc<App>>, mut request: Request) -> Result<Response<Body>, Refusal> {
    let write = Duration::from_millis(app.limits.hello_ms);
    let bytes_max = app.limits.friend_message_bytes_max;
    let upgrade = Upgrade::check(&mut request, Some(FRIEND_SUBPROTOCOL), bytes_max, write)?;
    let Some(waiting) = app.admit() else {
        metrics::hello("turned_away");
        return Err(Refusal::new(Code::Unavailable, "too many are coming in at once; try again"));
    };
    let (response, socket) = upgrade.split();
    app.tasks.clone().spawn(async move {
        let Some(mut socket) = socket.await else { return };
        let hello = tokio::time::timeout(Duration::from_millis(app.limits.hello_ms), hello(&app, &mut socket)).await;
        match hello {
            Ok(Ok(stranger)) => {
                drop(waiting);
                let session = Session::start(app, stranger);
                let (id, friend) = (session.registered.session(), session.friend());
                // At DEBUG, for a span is memory and friends stay for hours by the ten thousand; what a session has to
                // say above DEBUG names both itself.
                let span = tracing::debug_span!("session", session = %id, %friend);
                session.run(socket).instrument(span).await;
            }
            Ok(Err((code, reason))) => {
                metrics::hello(turned_away(code));
                tracing::debug!(code, reason, "no hello was taken");
                socket.close(code, reason).await;
            }
            Err(_) => {
                metrics::hello("too_late");
                socket.close(close::NO_HELLO, "no hello").await;
            }
        }
    });
    Ok(response)
}

/// Why somebody did not come in, for the meters.
fn turned_away(code: u16) -> &'static str {
    match code {
        close::BAD_TOKEN => "bad_token",
        close::TOKEN_EXPIRED => "token_expired",
        close::FORBIDDEN => "forbidden",
        1000 => "gone",
        _ => "bad_frame",
    }
}

/// Somebody whose token is good. They cannot accept anything: that takes a [`Session`].
struct Stranger {
    profile: Arc<Friend>,
    language: Language,
    token_ends: i64,
}

async fn hello(app: &App, socket: &mut Socket) -> Result<Stranger, (u16, &'static str)> {
    loop {
        match socket.receive().await {
            Incoming::Text(text) => {
                let Ok(FriendFrame::Hello { token, language, .. }) = serde_json::from_str(&text) else {
                    return Err((close::BAD_FRAME, "the first frame is hello"));
                };
                let claim = app.auth.friend(&token).map_err(|denied| match denied {
                    Denied::Bad => (close::BAD_TOKEN, "the token is not valid"),
                    Denied::Expired => (close::TOKEN_EXPIRED, "the token has expired"),
                })?;
                let friend = app.live.directory.friend_by_subject(&claim.subject);
                let profile = friend.and_then(|friend| app.live.directory.friend(friend));
                let profile = profile.ok_or((close::BAD_TOKEN, "the token is not valid"))?;
                if !profile.active {
                    return Err((close::FORBIDDEN, "the account is not active"));
                }
                return Ok(Stranger { profile, language, token_ends: claim.expires_at.0 });
            }
            Incoming::Alive => {}
            Incoming::Broken(code, reason) => return Err((code, reason)),
            Incoming::Gone => return Err((1000, "")),
        }
    }
}

/// A friend's connection.
struct Session {
    app: Arc<App>,
    profile: Arc<Friend>,
    language: Language,
    outbox: Arc<Outbox>,
    registered: Registered,
    token_ends: i64,
    warned: bool,
    fixes: Bucket,
    frames: Bucket,
    refusals: Bucket,
    pending: Vec<(i64, OfferId)>,
    // The friend has asked to go on duty: a fix right behind it waits until the duty is committed.
    going_on: bool,
    // The newest fix that could not be placed yet.
    held_fix: Option<Point>,
    next_ping: i64,
    pinged: Option<i64>,
}

/// Why a session ends.
type End = (u16, &'static str);

impl Session {
    fn start(app: Arc<App>, stranger: Stranger) -> Session {
        let Stranger { profile, language, token_ends } = stranger;
        let friend = profile.id;
        let id = SessionId(Uuid::now_v7());
        let outbox = Arc::new(Outbox::new(app.outbox_limits()));
        outbox.push(
            FriendMessage::Welcome(Welcome {
                session: id,
                resumed: false,
                server_time: app.clock.now(),
                time_scale: app.clock.scale(),
                heartbeat_ms: u32::try_from(app.limits.heartbeat_ms).unwrap_or(u32::MAX),
                friend,
            }),
            false,
        );
        let (registered, displaced) = app.live.sessions.register(friend, id, outbox.clone());
        if let Some(displaced) = displaced {
            displaced.close(Goodbye { code: close::REPLACED, reason: "another device has connected" });
        }
        app.live.roster.join(friend, id, profile.clone());
        let now = app.clock.elapsed_ms();
        let next_ping = now + beat_ms(id, app.limits.heartbeat_ms);
        let limits = &app.limits;
        Session {
            fixes: Bucket::new(5, limits.fix_interval_ms, now),
            frames: Bucket::new(20, limits.frame_interval_ms, now),
            refusals: Bucket::new(
                limits.refusals_per_minute_max,
                60_000 / i64::from(limits.refusals_per_minute_max.max(1)),
                now,
            ),
            app,
            profile,
            language,
            outbox,
            registered,
            token_ends,
            warned: false,
            pending: Vec::new(),
            going_on: false,
            held_fix: None,
            next_ping,
            pinged: None,
        }
    }

    fn friend(&self) -> FriendId {
        self.registered.friend()
    }

    async fn run(mut self, mut socket: Socket) {
        let joined =
            Input::Joined { friend: self.friend(), session: self.registered.session(), language: self.language };
        let end = if self.app.mailbox.send(joined).is_err() {
            metrics::hello("busy");
            (close::TRY_AGAIN_LATER, "the server is busy")
        } else {
            metrics::hello("admitted");
            tracing::debug!("joined");
            self.serve(&mut socket).await
        };
        metrics::session_closed(end.0);
        tracing::debug!(code = end.0, reason = end.1, "left");
        // The hand and the outbox go with the registration; the friend stays suspect for a while.
        self.app.live.depart(self.friend(), self.registered.session(), self.app.clock.elapsed_ms());
        drop(self);
        if end.0 != 1000 {
            socket.close(end.0, end.1).await;
        }
    }

    async fn serve(&mut self, socket: &mut Socket) -> End {
        let outbox = self.outbox.clone();
        loop {
            let wake = self.next_wake();
            // Each branch is cancel-safe: a message stays in the outbox or in the socket's buffer until it is taken.
            tokio::select! {
                biased;
                next = outbox.next() => match next {
                    Next::Message(item) => {
                        if !socket.send(item.text).await {
                            return (1000, "");
                        }
                    }
                    Next::Close(goodbye) => return (goodbye.code, goodbye.reason),
                },
                incoming = socket.receive() => {
                    self.pinged = None;
                    match incoming {
                        Incoming::Text(text) => if let Err(end) = self.frame(&text) { return end },
                        Incoming::Alive => {}
                        Incoming::Broken(code, reason) => return (code, reason),
                        Incoming::Gone => return (1000, ""),
                    }
                }
                () = tokio::time::sleep(wake) => if let Err(end) = self.woken(socket).await { return end },
            }
        }
    }

    /// Until the next heartbeat, pending accept or token check.
    fn next_wake(&self) -> Duration {
        let now = self.app.clock.elapsed_ms();
        let limits = &self.app.limits;
        let ms = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
        let heartbeat = match self.pinged {
            Some(at) => at + ms(limits.pong_ms),
            None => self.next_ping,
        };
        let token = self.token_ends - self.app.clock.real().0 + now;
        let token = if self.warned { token + TOKEN_GRACE_MS } else { token - EXPIRING_MS };
        let pending = self.pending.iter().map(|(at, _)| at + ms(PENDING_MS)).min().unwrap_or(i64::MAX);
        let held = self.held_fix.map_or(i64::MAX, |_| now + HELD_FIX_LOOK_MS);
        let wake = heartbeat.min(token).min(pending).min(held) - now;
        Duration::from_millis(u64::try_from(wake.max(1)).unwrap_or(1))
    }

    async fn woken(&mut self, socket: &mut Socket) -> Result<(), End> {
        let now = self.app.clock.elapsed_ms();
        let pong_ms = self.app.limits.pong_ms.cast_signed();
        for (_, offer) in self.pending.extract_if(.., |(at, _)| now - *at >= PENDING_MS.cast_signed()) {
            if self.outbox.awaits_verdict(offer) {
                self.outbox.push(FriendMessage::AcceptPending { offer }, false);
            }
        }
        if self.held_fix.is_some() {
            if self.app.live.roster.on_duty(self.friend()) {
                if self.fixes.take(now) {
                    self.place_held();
                }
            } else if !self.going_on {
                self.held_fix = None;
            }
        }
        match self.pinged {
            Some(at) if now - at >= pong_ms => return Err((close::NO_PONG, "no pong")),
            // Whether or not the friend was heard meanwhile: the app, too, must hear that the line is good.
            None if now >= self.next_ping => {
                self.pinged = Some(now);
                self.next_ping = now + beat_ms(self.registered.session(), self.app.limits.heartbeat_ms);
                if !socket.ping().await {
                    return Err((1000, ""));
                }
            }
            Some(_) | None => {}
        }
        let left = self.token_ends - self.app.clock.real().0;
        if left <= -TOKEN_GRACE_MS {
            return Err((close::TOKEN_EXPIRED, "the token has expired"));
        }
        if left <= EXPIRING_MS && !self.warned {
            self.warned = true;
            self.outbox.push(FriendMessage::Expiring { at: kiez_protocol::time::Time(self.token_ends) }, false);
        }
        Ok(())
    }

    /// One frame. An error ends the session; a refusal is answered and the socket stays.
    fn frame(&mut self, text: &str) -> Result<(), End> {
        let now = self.app.clock.elapsed_ms();
        let Ok(frame) = serde_json::from_str::<FriendFrame>(text) else { return self.unfit(text) };
        metrics::frame(kind_of(&frame));
        let limited = match &frame {
            FriendFrame::Fix { .. } => !self.fixes.take(now),
            FriendFrame::Accept { .. } => false,
            _ => !self.frames.take(now),
        };
        if limited {
            metrics::frame_refused("too_fast");
            if !self.refusals.take(now) {
                return Err((close::TOO_FAST, "too many frames"));
            }
            if let FriendFrame::Fix { lat, lng, accuracy_m, .. } = frame {
                metrics::fix("too_fast");
                // The newest is kept and placed when it may be.
                if let Some(point) =
                    usable(lat, lng, accuracy_m).filter(|_| self.app.live.roster.on_duty(self.friend()))
                {
                    self.held_fix = Some(point);
                }
                return Ok(());
            }
            self.refuse(Code::TooMany, key_of(&frame), None, "error.too_many");
            return Ok(());
        }
        self.act(frame);
        Ok(())
    }

    fn act(&mut self, frame: FriendFrame) {
        let (friend, received_at) = (self.friend(), self.app.clock.now());
        let key = key_of(&frame);
        let input = match frame {
            FriendFrame::Hello { .. } => return self.refuse(Code::WrongState, None, None, "error.hello_twice"),
            FriendFrame::Fix { lat, lng, accuracy_m, at: _ } => return self.fix(lat, lng, accuracy_m),
            FriendFrame::Accept { offer, revision, key } => return self.accept(offer, revision, key),
            FriendFrame::Ping { t } => {
                self.outbox.push(FriendMessage::Pong { t }, false);
                return;
            }
            FriendFrame::Refresh { token } => return self.refresh(&token),
            FriendFrame::Ack { seq } => {
                let offers = self.outbox.acknowledged(seq);
                if offers.is_empty() {
                    return;
                }
                Input::Delivered { friend, offers }
            }
            FriendFrame::Seen { offer } => Input::Delivered { friend, offers: vec![offer] },
            FriendFrame::Duty { on, until, key } => {
                if until.is_some_and(|until| until <= received_at) {
                    return self.refuse(Code::Invalid, key, None, "error.until_is_past");
                }
                self.going_on = on;
                self.held_fix = None;
                Input::Duty { friend, on, until, key, received_at }
            }
            FriendFrame::Decline { offer, reason, key } => Input::Declined { friend, offer, reason, key, received_at },
            FriendFrame::Visit { job, event, key, at, reason } => {
                if reason.as_ref().is_some_and(|reason| reason.chars().count() > 300) {
                    return self.refuse(Code::Invalid, Some(key), None, "error.reason_too_long");
                }
                Input::Visited { friend, job, event, key, at, reason, received_at }
            }
        };
        if self.app.mailbox.send(input).is_err() {
            self.refuse(Code::Unavailable, key, None, "error.try_again");
        }
    }

    /// An accept: a place in the mailbox first, then the word, so that a first is certainly in the mailbox.
    fn accept(&mut self, offer: OfferId, revision: u32, key: Key) {
        let in_hand = self.app.live.sessions.in_hand(self.friend(), offer);
        let job = in_hand.as_ref().map(|held| held.job);
        let Some(permit) = self.app.mailbox.accept_permit() else {
            return self.verdict(job, offer, key, Verdict::TryAgain, None);
        };
        let received_at = self.app.clock.now();
        // An accept of an older revision leaves the word to others.
        let word = in_hand.filter(|held| held.revision == revision).map(|held| (held.claim.take(held.seat), held.seat));
        let first = match word {
            Some((Word::Open, _)) => true,
            Some((Word::Settled(winner), seat)) if winner == seat => {
                return self.verdict(job, offer, key, Verdict::Won, None);
            }
            Some((Word::Settled(_), _)) => {
                return self.verdict(job, offer, key, Verdict::Lost, Some(LostReason::Taken));
            }
            Some((Word::Closed(Closed::Cancelled), _)) => {
                return self.verdict(job, offer, key, Verdict::Lost, Some(LostReason::JobCancelled));
            }
            Some((Word::Closed(Closed::Expired), _)) => {
                return self.verdict(job, offer, key, Verdict::Lost, Some(LostReason::Expired));
            }
            Some((Word::Closed(Closed::Paused), _)) => {
                return self.verdict(job, offer, key, Verdict::Lost, Some(LostReason::Paused));
            }
            Some((Word::Closed(Closed::Edited) | Word::Taken(_) | Word::Retired, _)) | None => false,
        };
        self.outbox.await_verdict(offer);
        self.pending.push((self.app.clock.elapsed_ms(), offer));
        permit.send(Input::Accepted { friend: self.profile.clone(), offer, key, revision, received_at, first });
    }

    /// A verdict that needs nobody else: the word is settled or closed, or there is no room to ask.
    fn verdict(&self, job: Option<JobId>, offer: OfferId, key: Key, result: Verdict, reason: Option<LostReason>) {
        metrics::verdict(result, reason);
        let (friend, job) = (self.friend(), job.map(tracing::field::display));
        let (told, because) = (result.as_str(), reason.map(LostReason::as_str));
        tracing::info!(job, %friend, %offer, result = told, reason = because, "verdict");
        self.outbox.push(FriendMessage::AcceptResult { offer, key, result, reason }, true);
    }

    /// A position goes straight to the roster, where only the newest counts. Off duty it is dropped at the door.
    fn fix(&mut self, lat: f64, lng: f64, accuracy_m: Option<f64>) {
        let friend = self.friend();
        let Ok(point) = Point::new(lat, lng) else {
            metrics::fix("off_earth");
            return self.refuse(Code::Invalid, None, None, "error.fix_off_earth");
        };
        if accuracy_m.is_some_and(|accuracy| !(0.0..=ACCURACY_MAX_M).contains(&accuracy)) {
            metrics::fix("inaccurate");
            return;
        }
        if !self.app.live.roster.on_duty(friend) {
            if self.going_on {
                self.held_fix = Some(point);
                return;
            }
            metrics::fix("off_duty");
            self.outbox.push(FriendMessage::StopLocation, false);
            return;
        }
        self.held_fix = None;
        self.place(point);
    }

    fn place_held(&mut self) {
        if let Some(point) = self.held_fix.take() {
            self.place(point);
        }
    }

    fn place(&self, point: Point) {
        let friend = self.friend();
        metrics::fix("taken");
        if self.app.live.roster.place(friend, point, self.app.clock.elapsed_ms()) == Placed::First {
            // Not told for want of room: the next look of a hungry job finds them.
            let _ = self.app.mailbox.send(Input::Placed { friend });
        }
    }

    fn refresh(&mut self, token: &str) {
        let claim = self.app.auth.friend(token).ok();
        let same =
            claim.filter(|claim| self.app.live.directory.friend_by_subject(&claim.subject) == Some(self.friend()));
        match same {
            Some(claim) => {
                self.token_ends = claim.expires_at.0;
                self.warned = false;
                self.outbox.push(FriendMessage::Refreshed { expires_at: claim.expires_at }, false);
            }
            None => self.refuse(Code::Unauthorized, None, None, "error.bad_token"),
        }
    }

    /// A text that is no frame of ours: an unknown type or an unfit field is answered; what is not an object with a
    /// `type` ends the session.
    fn unfit(&mut self, text: &str) -> Result<(), End> {
        let value: serde_json::Value =
            serde_json::from_str(text).map_err(|_| (close::BAD_FRAME, "the frame is not JSON"))?;
        let kind =
            value.get("type").and_then(serde_json::Value::as_str).ok_or((close::BAD_FRAME, "the frame has no type"))?;
        if !self.frames.take(self.app.clock.elapsed_ms()) && !self.refusals.take(self.app.clock.elapsed_ms()) {
            return Err((close::TOO_FAST, "too many frames"));
        }
        let key = value.get("key").and_then(serde_json::Value::as_str).and_then(|key| key.parse().ok());
        let offer = value.get("offer").and_then(serde_json::Value::as_str).and_then(|offer| offer.parse().ok());
        if let Some(kind) = FRIEND_FRAME_TYPES.iter().find(|known| **known == kind) {
            metrics::frame(kind);
            metrics::frame_refused("unfit");
            // Not in serde's words: they repeat what the frame holds.
            tracing::debug!(kind, "unfit frame");
            self.refuse(Code::Invalid, key, offer, "error.unfit_field");
        } else {
            metrics::frame("unknown");
            metrics::frame_refused("unknown_type");
            tracing::debug!("a frame of a type that is not known");
            self.refuse(Code::UnknownType, key, offer, "error.unknown_type");
        }
        Ok(())
    }

    fn refuse(&self, code: Code, key: Option<Key>, offer: Option<OfferId>, message_key: &str) {
        let message_key = message_key.to_owned();
        let owed = key.is_some();
        self.outbox.push(FriendMessage::Error { code, key, offer, job: None, message_key, allowed: Vec::new() }, owed);
    }
}

/// A fix that is on the earth and accurate enough.
fn usable(lat: f64, lng: f64, accuracy_m: Option<f64>) -> Option<Point> {
    let accurate = accuracy_m.is_none_or(|accuracy| (0.0..=ACCURACY_MAX_M).contains(&accuracy));
    Point::new(lat, lng).ok().filter(|_| accurate)
}

/// The time between two pings of a session: a tenth more or less than the rule, so that a thousand who came together do
/// not ping together for ever.
fn beat_ms(session: SessionId, heartbeat_ms: u64) -> i64 {
    let share = (session.0.as_u128() % 21) as u64;
    (heartbeat_ms * (90 + share) / 100).cast_signed()
}

/// The type of a frame, as the wire names it.
fn kind_of(frame: &FriendFrame) -> &'static str {
    match frame {
        FriendFrame::Hello { .. } => "hello",
        FriendFrame::Duty { .. } => "duty",
        FriendFrame::Fix { .. } => "fix",
        FriendFrame::Seen { .. } => "seen",
        FriendFrame::Accept { .. } => "accept",
        FriendFrame::Decline { .. } => "decline",
        FriendFrame::Visit { .. } => "visit",
        FriendFrame::Ack { .. } => "ack",
        FriendFrame::Ping { .. } => "ping",
        FriendFrame::Refresh { .. } => "refresh",
    }
}

fn key_of(frame: &FriendFrame) -> Option<Key> {
    match frame {
        FriendFrame::Accept { key, .. } | FriendFrame::Visit { key, .. } => Some(*key),
        FriendFrame::Duty { key, .. } | FriendFrame::Decline { key, .. } => *key,
        FriendFrame::Hello { .. }
        | FriendFrame::Fix { .. }
        | FriendFrame::Seen { .. }
        | FriendFrame::Ack { .. }
        | FriendFrame::Ping { .. }
        | FriendFrame::Refresh { .. } => None,
    }
}
