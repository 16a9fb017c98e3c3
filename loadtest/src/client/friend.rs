//! A friend's side of the wire, as a good app behaves: it says hello, acknowledges what it gets, comes back after a
//! break by the rules of the wire, and keeps every frame with a key until its answer is known.
//!
//! All methods but [`FriendClient::next`] only note what is to be sent; `next` does the reading and writing and must be
//! awaited in a loop. It may be dropped at any await without losing anything, so it belongs into a `select!`.

use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use kiez_protocol::directory::Language;
use kiez_protocol::friend::{DeclineReason, Envelope, FriendFrame, FriendMessage, Verdict, VisitEvent, Welcome};
use kiez_protocol::ids::{JobId, Key, OfferId, SessionId};
use kiez_protocol::place::Point;
use kiez_protocol::refusal::close;
use tokio::time::{Instant, Sleep};
use tokio_tungstenite::tungstenite::{self, Message};

use super::http::{CallError, Server};
use super::link::{Break, Greeted, Live, greet, seq_of, text};
use crate::chance::{Chance, new_key};

/// The longest wait for a connection with its welcome, ms.
const CONNECT_MS: u64 = 15_000;
/// A write that has not gone out after this many ms ends the connection.
const WRITE_MS: u64 = 5_000;
/// Between two acknowledgements, ms: the wire's rule for apps.
const ACK_EVERY_MS: u64 = 1_000;
/// The least wait before a frame that was answered `try_again` is sent again, ms; the most is five times that.
const TRY_AGAIN_MS: u64 = 200;

/// Makes a new token for the friend when the old one ends.
pub type Mint = Arc<dyn Fn() -> BoxFuture<'static, Result<String, CallError>> + Send + Sync>;

/// Sees everything that goes over a friend's wire: frames just before they are sent, messages as they come.
pub trait Tap: Send + Sync {
    /// The frame is about to be sent.
    fn sent(&self, frame: &FriendFrame);
    /// The message has come.
    fn heard(&self, message: &FriendMessage);
    /// A ping has come; it is answered by itself.
    fn beat(&self) {}
    /// The connection is gone.
    fn down(&self);
}

/// How soon a friend comes back after a break, unless the server said when.
#[derive(Clone, Copy, Debug)]
pub struct Reconnect {
    /// The first try comes after a random 0 to this many ms.
    pub first_max_ms: u64,
    /// Further tries wait a random time of which the upper end doubles up to this many ms.
    pub backoff_max_ms: u64,
}

impl Default for Reconnect {
    /// The rule of the wire: 0 to 5 s, then full jitter up to 30 s.
    fn default() -> Self {
        Reconnect { first_max_ms: 5_000, backoff_max_ms: 30_000 }
    }
}

impl Reconnect {
    /// For demos and kill tests on this machine, where nobody wants to wait.
    pub fn quick() -> Reconnect {
        Reconnect { first_max_ms: 100, backoff_max_ms: 1_000 }
    }
}

/// Who connects, to where and how.
#[derive(Clone)]
pub struct FriendConfig {
    /// Where.
    pub server: Server,
    /// The friend's token.
    pub token: String,
    /// The language of texts.
    pub language: Language,
    /// The name in `hello`.
    pub app: String,
    /// How soon after a break.
    pub reconnect: Reconnect,
    /// An offer is acknowledged after so many ms (and what else has come with it), other messages within a second.
    pub ack_ms: u64,
    /// Makes a new token when the old one ends; without it the friend leaves then.
    pub mint: Option<Mint>,
    /// For the jitter.
    pub seed: u64,
    /// Sees everything.
    pub tap: Option<Arc<dyn Tap>>,
}

impl FriendConfig {
    /// A friend with the rules of the wire.
    pub fn new(server: Server, token: impl Into<String>) -> FriendConfig {
        FriendConfig {
            server,
            token: token.into(),
            language: Language::De,
            app: concat!("kiez-load ", env!("CARGO_PKG_VERSION")).to_owned(),
            reconnect: Reconnect::default(),
            ack_ms: 300,
            mint: None,
            seed: 0,
            tap: None,
        }
    }
}

/// What has happened.
#[derive(Clone, Debug)]
pub enum FriendEvent {
    /// Connected and welcome. The keys are of frames that were sent again because their answer was not known.
    Up {
        /// The welcome.
        welcome: Welcome,
        /// What was sent again.
        repeated: Vec<Key>,
    },
    /// A message. Acknowledging it is taken care of.
    Message(Box<Envelope>),
    /// A message of a type or shape that this client does not know; apps ignore it.
    Unknown(String),
    /// The frame with this key was sent again, because the server could not answer it before.
    TriedAgain(Key),
    /// The connection is gone; the next try comes by itself.
    Down {
        /// The close code, if there was one.
        code: Option<u16>,
        /// What happened, for people.
        cause: String,
        /// When the next try is, ms from now.
        retry_in_ms: u64,
        /// Whether there had been a welcome; else the try itself has failed.
        welcomed: bool,
    },
    /// The server does not want this friend back; nothing more will happen.
    Over {
        /// The close code, 4500 to 4999.
        code: u16,
        /// What the server said.
        cause: String,
    },
}

enum Link {
    Waiting(Instant),
    Connecting(BoxFuture<'static, Result<Greeted, Break>>),
    Up(Box<Live>),
    Over,
}

/// A frame whose answer is not known yet.
struct Owed {
    key: Key,
    frame: FriendFrame,
    /// Set after `try_again`.
    again_at: Option<Instant>,
}

/// A friend's connection to a server, across breaks.
pub struct FriendClient {
    config: FriendConfig,
    chance: Chance,
    link: Link,
    tries: u32,
    session: Option<SessionId>,
    seq_seen: u64,
    owed: Vec<Owed>,
    minting: Option<BoxFuture<'static, Result<String, CallError>>>,
    timer: Pin<Box<Sleep>>,
}

enum Step {
    Heard(Result<Message, Break>),
    Minted(Result<String, CallError>),
    Timer,
}

impl FriendClient {
    /// A friend who connects as soon as [`FriendClient::next`] is awaited.
    pub fn new(config: FriendConfig) -> FriendClient {
        FriendClient {
            chance: Chance::of(config.seed, "reconnect", 0),
            config,
            link: Link::Waiting(Instant::now()),
            tries: 0,
            session: None,
            seq_seen: 0,
            owed: Vec::new(),
            minting: None,
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
        }
    }

    /// Whether there is a welcome on the present connection.
    pub fn is_up(&self) -> bool {
        matches!(self.link, Link::Up(_))
    }

    /// Frames with a key whose answer is not known.
    pub fn owed(&self) -> usize {
        self.owed.len()
    }

    /// Accepts an offer; repeated until a verdict.
    pub fn accept(&mut self, offer: OfferId, revision: u32) -> Key {
        let key = new_key();
        self.owe(key, FriendFrame::Accept { offer, revision, key });
        key
    }

    /// Sends an accept whose answer is known once more, with its key, as an app that has lost the answer; the verdict comes
    /// again.
    pub fn accept_again(&mut self, offer: OfferId, revision: u32, key: Key) {
        if !self.owed.iter().any(|owed| owed.key == key) {
            self.owe(key, FriendFrame::Accept { offer, revision, key });
        }
    }

    /// Declines an offer; repeated until it is answered.
    pub fn decline(&mut self, offer: OfferId, reason: DeclineReason) -> Key {
        let key = new_key();
        self.owe(key, FriendFrame::Decline { offer, reason, key: Some(key) });
        key
    }

    /// Goes on duty or off; repeated until it is answered.
    pub fn duty(&mut self, on: bool) -> Key {
        let key = new_key();
        self.owe(key, FriendFrame::Duty { on, until: None, key: Some(key) });
        key
    }

    /// Says what happened on a job; repeated until it is answered.
    pub fn visit(&mut self, job: JobId, event: VisitEvent, reason: Option<String>) -> Key {
        let key = new_key();
        self.owe(key, FriendFrame::Visit { job, event, key, at: None, reason });
        key
    }

    /// Sends a frame that is still unanswered once more, as an impatient finger does. False if its answer has come.
    pub fn repeat(&mut self, key: Key) -> bool {
        let frame = self.owed.iter().find(|owed| owed.key == key).map(|owed| owed.frame.clone());
        frame.is_some_and(|frame| self.send(&frame))
    }

    /// Says where the friend is. False if there is no connection; positions are not kept for later.
    pub fn fix(&mut self, place: Point) -> bool {
        self.send(&FriendFrame::Fix { lat: place.lat(), lng: place.lng(), accuracy_m: Some(10.0), at: None })
    }

    /// Notes a frame to be sent on the present connection. False if there is none.
    pub fn send(&mut self, frame: &FriendFrame) -> bool {
        match &mut self.link {
            Link::Up(live) => {
                if let Some(tap) = &self.config.tap {
                    tap.sent(frame);
                }
                live.out.push_back(text(frame));
                true
            }
            Link::Waiting(_) | Link::Connecting(_) | Link::Over => false,
        }
    }

    /// Says goodbye and waits until it is out, at most a second. What is owed is not waited for.
    pub async fn leave(mut self) {
        if let Link::Up(live) = &mut self.link {
            if let Some(tap) = &self.config.tap {
                tap.down();
            }
            let goodbye = async {
                for message in live.out.drain(..) {
                    live.socket.feed(message).await?;
                }
                live.socket.close(None).await
            };
            // A server that is gone need not hear it.
            let _ = tokio::time::timeout(Duration::from_secs(1), goodbye).await;
        }
    }

    /// Tears the connection without a goodbye, as a dead battery does. It comes back by itself.
    pub fn tear(&mut self) {
        if self.is_up() {
            if let Some(tap) = &self.config.tap {
                tap.down();
            }
            self.link = Link::Waiting(Instant::now());
        }
    }

    /// Waits for the next event. After [`FriendEvent::Over`] it waits for ever.
    pub async fn next(&mut self) -> FriendEvent {
        loop {
            match &mut self.link {
                Link::Over => std::future::pending::<()>().await,
                Link::Waiting(until) => {
                    let until = *until;
                    tokio::time::sleep_until(until).await;
                    self.link = Link::Connecting(self.connect());
                }
                Link::Connecting(connecting) => match connecting.await {
                    Ok(greeted) => return self.up(greeted),
                    Err(fault) => return self.down(fault),
                },
                Link::Up(_) => {
                    if let Some(event) = self.turn().await {
                        return event;
                    }
                }
            }
        }
    }

    async fn turn(&mut self) -> Option<FriendEvent> {
        let wake_at = self.wake_at();
        let Link::Up(live) = &mut self.link else { unreachable!("only called while up") };
        let (timer, minting) = (&mut self.timer, &mut self.minting);
        if timer.deadline() != wake_at {
            timer.as_mut().reset(wake_at);
        }
        let step = std::future::poll_fn(|cx| {
            if let Poll::Ready(Err(fault)) = live.poll_write(cx) {
                return Poll::Ready(Step::Heard(Err(Break::because(fault))));
            }
            if let Poll::Ready(heard) = live.socket.poll_next_unpin(cx) {
                let heard = heard.unwrap_or(Err(tungstenite::Error::ConnectionClosed));
                return Poll::Ready(Step::Heard(heard.map_err(Break::because)));
            }
            if let Some(Poll::Ready(token)) = minting.as_mut().map(|minting| minting.poll_unpin(cx)) {
                return Poll::Ready(Step::Minted(token));
            }
            timer.as_mut().poll(cx).map(|()| Step::Timer)
        })
        .await;
        match step {
            Step::Heard(Ok(message)) => self.heard(message),
            Step::Heard(Err(mut fault)) => {
                let Link::Up(live) = &self.link else { unreachable!("still up") };
                fault.come_back_ms = live.come_back_ms;
                Some(self.down(fault))
            }
            Step::Minted(token) => {
                self.minting = None;
                if let Ok(token) = token {
                    self.config.token.clone_from(&token);
                    self.send(&FriendFrame::Refresh { token });
                }
                None
            }
            Step::Timer => self.due(),
        }
    }

    /// The next instant at which something is due.
    fn wake_at(&self) -> Instant {
        let Link::Up(live) = &self.link else { unreachable!("only called while up") };
        let stuck = live.stuck_since.map(|since| since + Duration::from_millis(WRITE_MS));
        let again = self.owed.iter().filter_map(|owed| owed.again_at).min();
        let silence = live.heard_at + live.silence_max;
        [live.ack_at, stuck, again].into_iter().flatten().fold(silence, Instant::min)
    }

    fn due(&mut self) -> Option<FriendEvent> {
        let now = Instant::now();
        let Link::Up(live) = &mut self.link else { unreachable!("only called while up") };
        if live.stuck_since.is_some_and(|since| now >= since + Duration::from_millis(WRITE_MS)) {
            return Some(self.down(Break::because("the server takes nothing off the wire")));
        }
        if now >= live.heard_at + live.silence_max {
            return Some(self.down(Break::because("the server has fallen silent")));
        }
        if live.ack_at.is_some_and(|at| now >= at) {
            live.ack_at = None;
            live.acked_at = Some(now);
            live.seq_acked = self.seq_seen;
            self.send(&FriendFrame::Ack { seq: self.seq_seen });
        }
        let owed = self.owed.iter_mut().find(|owed| owed.again_at.is_some_and(|at| now >= at))?;
        owed.again_at = None;
        let (key, frame) = (owed.key, owed.frame.clone());
        self.send(&frame);
        Some(FriendEvent::TriedAgain(key))
    }

    fn heard(&mut self, message: Message) -> Option<FriendEvent> {
        let now = Instant::now();
        let Link::Up(live) = &mut self.link else { unreachable!("only called while up") };
        live.heard_at = now;
        let text = match message {
            Message::Text(text) => text,
            Message::Close(frame) => {
                let (code, cause) = frame
                    .map_or((None, "closed".to_owned()), |frame| (Some(frame.code.into()), frame.reason.to_string()));
                let fault = Break { code, cause, come_back_ms: live.come_back_ms };
                return Some(self.down(fault));
            }
            // Pings are answered by tungstenite, at the next poll.
            Message::Ping(_) => {
                if let Some(tap) = &self.config.tap {
                    tap.beat();
                }
                return None;
            }
            Message::Pong(_) | Message::Binary(_) | Message::Frame(_) => return None,
        };
        let Ok(envelope) = serde_json::from_str::<Envelope>(&text) else {
            self.note_seq(seq_of(&text), ACK_EVERY_MS);
            return Some(FriendEvent::Unknown(text.to_string()));
        };
        if let Some(tap) = &self.config.tap {
            tap.heard(&envelope.message);
        }
        let offered = matches!(envelope.message, FriendMessage::Offer(_));
        self.note_seq(envelope.seq, if offered { self.config.ack_ms } else { ACK_EVERY_MS });
        self.note_answer(&envelope.message);
        Some(FriendEvent::Message(Box::new(envelope)))
    }

    /// Plans the acknowledgement of `seq` within `ack_ms`, but not sooner than a second after the last.
    fn note_seq(&mut self, seq: Option<u64>, ack_ms: u64) {
        let (Some(seq), Link::Up(live)) = (seq, &mut self.link) else { return };
        self.seq_seen = self.seq_seen.max(seq);
        if self.seq_seen > live.seq_acked {
            let soonest = live.acked_at.map(|at| at + Duration::from_millis(ACK_EVERY_MS));
            let wanted = Instant::now() + Duration::from_millis(ack_ms);
            let at = soonest.map_or(wanted, |soonest| soonest.max(wanted));
            live.ack_at = Some(live.ack_at.map_or(at, |planned| planned.min(at)));
        }
    }

    fn note_answer(&mut self, message: &FriendMessage) {
        match message {
            FriendMessage::AcceptResult { key, result: Verdict::TryAgain, .. } => self.plan_again(*key),
            // Too many frames, or the server cannot just now: the frame is not answered by that.
            FriendMessage::Error { key: Some(key), code, .. } if matches!(code.status(), 429 | 500 | 503) => {
                self.plan_again(*key);
            }
            FriendMessage::AcceptResult { key, .. }
            | FriendMessage::Done { key }
            | FriendMessage::Error { key: Some(key), .. } => self.owed.retain(|owed| owed.key != *key),
            FriendMessage::Expiring { .. } => self.minting = self.config.mint.as_ref().map(|mint| mint()),
            FriendMessage::Draining { reconnect_in_ms } => {
                if let Link::Up(live) = &mut self.link {
                    live.come_back_ms = Some(u64::from(*reconnect_in_ms));
                }
            }
            _ => {}
        }
    }

    fn plan_again(&mut self, key: Key) {
        let wait = Duration::from_millis(TRY_AGAIN_MS + self.chance.below(4 * TRY_AGAIN_MS as usize) as u64);
        if let Some(owed) = self.owed.iter_mut().find(|owed| owed.key == key) {
            owed.again_at = Some(Instant::now() + wait);
        }
    }

    fn owe(&mut self, key: Key, frame: FriendFrame) {
        self.send(&frame);
        self.owed.push(Owed { key, frame, again_at: None });
    }

    fn up(&mut self, Greeted { socket, welcome, token }: Greeted) -> FriendEvent {
        self.config.token = token;
        self.tries = 0;
        if !welcome.resumed {
            self.seq_seen = 0;
        }
        self.session = Some(welcome.session);
        let repeated = self.owed.iter().map(|owed| owed.key).collect();
        if let Some(tap) = &self.config.tap {
            tap.heard(&FriendMessage::Welcome(welcome.clone()));
        }
        for owed in &mut self.owed {
            owed.again_at = None;
            if let Some(tap) = &self.config.tap {
                tap.sent(&owed.frame);
            }
        }
        let out = self.owed.iter().map(|owed| text(&owed.frame)).collect();
        self.link = Link::Up(Box::new(Live::new(socket, &welcome, out, self.seq_seen)));
        FriendEvent::Up { welcome, repeated }
    }

    fn down(&mut self, fault: Break) -> FriendEvent {
        let welcomed = self.is_up();
        if let Some(tap) = self.config.tap.as_ref().filter(|_| welcomed) {
            tap.down();
        }
        if let Some(code) = fault.code.filter(|code| (4_500..5_000).contains(code)) {
            self.link = Link::Over;
            return FriendEvent::Over { code, cause: fault.cause };
        }
        if fault.code == Some(close::TOKEN_EXPIRED) && self.config.mint.is_none() {
            self.link = Link::Over;
            return FriendEvent::Over { code: close::TOKEN_EXPIRED, cause: fault.cause };
        }
        if fault.code == Some(close::TOKEN_EXPIRED) {
            self.minting = self.config.mint.as_ref().map(|mint| mint());
        }
        let Reconnect { first_max_ms, backoff_max_ms } = self.config.reconnect;
        let upper = if self.tries == 0 {
            first_max_ms
        } else {
            first_max_ms.max(1).saturating_mul(1 << self.tries.min(16)).min(backoff_max_ms)
        };
        let jittered = self.chance.below(upper as usize + 1) as u64;
        let retry_in_ms = fault.come_back_ms.unwrap_or(jittered);
        self.tries += 1;
        self.link = Link::Waiting(Instant::now() + Duration::from_millis(retry_in_ms));
        FriendEvent::Down { code: fault.code, cause: fault.cause, retry_in_ms, welcomed }
    }

    fn connect(&mut self) -> BoxFuture<'static, Result<Greeted, Break>> {
        let minting = self.minting.take();
        let config = self.config.clone();
        let (session, last_seq) = (self.session, self.seq_seen);
        let connecting = async move {
            let token = match minting {
                Some(minting) => minting.await.map_err(Break::because)?,
                None => config.token,
            };
            let (language, app) = (config.language, Some(config.app));
            let hello = FriendFrame::Hello { token: token.clone(), language, app, session, last_seq };
            let (socket, welcome) = greet(&config.server, hello).await?;
            Ok(Greeted { socket, welcome, token })
        };
        async move {
            let limit = Duration::from_millis(CONNECT_MS);
            tokio::time::timeout(limit, connecting).await.unwrap_or_else(|_| Err(Break::because("no welcome in time")))
        }
        .boxed()
    }
}
