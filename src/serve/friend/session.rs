//! One friend's socket while it is served. A session takes frames, hands them to the dispatcher, and writes what its
//! outbox holds; it waits for either and for nothing else. What comes by the clock it hears from the wheel, through the
//! outbox; a timer of its own it makes only for the moments in which it needs one.
//!
//! There are as many of these as friends, most of them idle: what this task holds is memory times all of them.

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use kiez_protocol::friend::{FriendMessage, Welcome};
use kiez_protocol::ids::{FriendId, SessionId};
use kiez_protocol::refusal::close;
use tokio::time::Sleep;
use uuid::Uuid;

use super::super::App;
use super::super::limit::Pace;
use super::super::socket::{Incoming, Socket};
use super::token::TokenClock;
use super::{BUSY, INACTIVE, Stranger};
use crate::config::Limits;
use crate::dispatch::input::Input;
use crate::live::fix::Fix;
use crate::live::outbox::{Goodbye, Next, Outbox};
use crate::live::pulse::Pulse;
use crate::live::sessions::{Registered, Resumed};
use crate::metrics;

/// A friend's connection.
pub struct Session {
    pub(super) app: Arc<App>,
    pub(super) outbox: Arc<Outbox>,
    registered: Registered,
    pub(super) token: TokenClock,
    pub(super) paces: Paces,
    // The friend has asked to go on duty: a fix right behind it waits until the duty is committed.
    pub(super) going_on: bool,
    // The newest fix that could not be placed yet.
    pub(super) held_fix: Option<Fix>,
    // Settings of this session are being stored.
    pub(super) setting: Arc<AtomicBool>,
    soon: Soon,
}

/// Why a socket is served no longer.
enum End {
    /// The other side has gone, or takes nothing.
    Gone,
    /// It is told goodbye.
    Goodbye(Goodbye),
}

impl Session {
    /// A stranger becomes a session: the one they had, if it can go on, or a new one.
    ///
    /// # Errors
    /// The account is not active any more, or the dispatcher cannot take them now.
    pub fn begin(app: Arc<App>, stranger: Stranger) -> Result<Session, Goodbye> {
        let Stranger { profile, language, token_ends, session, last_seq } = stranger;
        let (friend, account) = (profile.id, profile.account.clone());
        let welcome = |session, resumed| {
            FriendMessage::Welcome(Welcome {
                session,
                resumed,
                server_time: app.clock.now(),
                time_scale: app.clock.scale(),
                heartbeat_ms: u32::try_from(app.limits.heartbeat_ms).unwrap_or(u32::MAX),
                friend,
            })
        };
        let sessions = &app.live.sessions;
        let resumed = session.and_then(|id| sessions.resume(friend, id, language, last_seq, &welcome(id, true)));
        let outcome = if resumed.is_some() { "resumed" } else { "new" };
        let (registered, outbox, first) = match resumed {
            Some(Resumed { registered, outbox, arrived }) => {
                let delivered = (!arrived.is_empty()).then_some(Input::Delivered { friend, offers: arrived });
                (registered, outbox, delivered)
            }
            None => {
                let id = SessionId(Uuid::now_v7());
                let outbox = Arc::new(Outbox::new(app.outbox_limits()));
                outbox.push(welcome(id, false), false);
                // The same app, or another device that shall stay away?
                let same_app = session.is_some_and(|session| sessions.is_newest(friend, session));
                let (registered, displaced) = sessions.register(friend, id, language, outbox.clone());
                if let Some(displaced) = displaced {
                    displaced.close(if same_app { STALE } else { REPLACED });
                }
                // Whoever was limited while they were away hears it, and why.
                if !account.is_active() {
                    outbox.push(FriendMessage::Account { account }, true);
                }
                // The dispatcher goes on telling a session that goes on; only a new one needs its snapshot.
                (registered, outbox, Some(Input::Joined { friend, session: id, language }))
            }
        };
        let id = registered.session();
        app.live.roster.join(friend, id, registered.turn(), profile);
        // A friend may have been dismissed between the look at the account and the registration.
        if app.live.directory.friend(friend).is_none_or(|friend| !friend.account.may_connect()) {
            return Err(INACTIVE);
        }
        if first.is_some_and(|first| app.mailbox.send(first).is_err()) {
            return Err(BUSY);
        }
        let token = TokenClock::new(token_ends);
        let now = app.clock.elapsed_ms();
        let pulse = Pulse::new(beat_ms(id, app.limits.heartbeat_ms), token.look_at(&app.clock, &app.limits), now);
        app.live.watch(&outbox, pulse);
        metrics::hello(outcome);
        tracing::debug!(session = %id, %friend, outcome, "joined");
        let paces = Paces::default();
        let (going_on, held_fix, soon) = (false, None, Soon(None));
        let setting = Arc::new(AtomicBool::new(false));
        Ok(Session { app, outbox, registered, token, paces, going_on, held_fix, setting, soon })
    }

    /// Whose.
    pub fn friend(&self) -> FriendId {
        self.registered.friend()
    }

    /// Which.
    pub fn id(&self) -> SessionId {
        self.registered.session()
    }

    /// Serves the socket to its end. It is boxed, because what is moved into a task may lie there twice.
    pub async fn run(mut self, mut socket: Box<Socket>) {
        let end = self.serve(&mut socket).await;
        let Session { app, registered, .. } = self;
        let (friend, session, turn) = (registered.friend(), registered.session(), registered.turn());
        let keep = match end {
            End::Gone => true,
            End::Goodbye(goodbye) => goodbye.keeps_session(),
        };
        if keep {
            registered.park();
        } else {
            drop(registered);
        }
        let code = match end {
            End::Gone => metrics::GONE,
            End::Goodbye(goodbye) => goodbye.code,
        };
        metrics::session_closed(code);
        tracing::debug!(code, keep, "left");
        // The friend stays suspect for a while, whether the session is kept or not.
        app.live.depart(friend, session, turn, app.clock.elapsed_ms());
        if let End::Goodbye(Goodbye { code, reason }) = end {
            Box::pin(socket.close(code, reason)).await;
        }
    }

    async fn serve(&mut self, socket: &mut Socket) -> End {
        let turn = self.registered.turn();
        loop {
            // Each branch is cancel-safe: a message stays in the outbox or in the socket's buffer until it is taken.
            let done = tokio::select! {
                biased;
                next = self.outbox.next(turn) => match next {
                    Next::Message(text) => {
                        if !socket.send(text).await {
                            return End::Gone;
                        }
                        // What was told may have been the duty that a fix waits for.
                        self.place_held();
                        Ok(())
                    }
                    Next::Ping => {
                        if !socket.ping().await {
                            return End::Gone;
                        }
                        Ok(())
                    }
                    Next::Look => self.look_at_token(),
                    Next::Close(goodbye) => Err(goodbye),
                },
                incoming = socket.receive() => {
                    self.outbox.heard();
                    let (friend, session) = (self.friend(), self.registered.session());
                    self.app.live.roster.heard(friend, session, self.app.clock.elapsed_ms());
                    match incoming {
                        Incoming::Text(text) => self.frame(&text),
                        Incoming::Alive => Ok(()),
                        Incoming::Broken(code, reason) => Err(Goodbye { code, reason }),
                        Incoming::Gone => return End::Gone,
                    }
                }
                () = self.soon.come() => {
                    self.soon = Soon(None);
                    self.tell_pending();
                    self.place_held();
                    Ok(())
                }
            };
            if let Err(goodbye) = done {
                return End::Goodbye(goodbye);
            }
        }
    }

    /// Wakes the session at this time, ms since the server's start, or sooner if it wakes sooner anyhow.
    pub(super) fn wake_at(&mut self, at: i64) {
        let now = self.app.clock.elapsed_ms();
        self.soon.no_later_than(Duration::from_millis(u64::try_from(at - now).unwrap_or(0)));
    }
}

/// What an older socket of another device hears.
const REPLACED: Goodbye = Goodbye { code: close::REPLACED, reason: "another device has connected" };
/// What an older socket hears whose own app has come back and could not go on from there.
const STALE: Goodbye = Goodbye { code: close::RESYNC, reason: "the app has begun anew" };

/// The time between two pings of a session: a tenth more or less than the rule, so that a thousand who came together do
/// not ping together for ever.
fn beat_ms(session: SessionId, heartbeat_ms: u64) -> u32 {
    let share = (session.0.as_u128() % 21) as u64;
    u32::try_from(heartbeat_ms * (90 + share) / 100).unwrap_or(u32::MAX)
}

/// A timer that is there only while something is due soon: an accept without a verdict, a fix that may not be placed yet.
struct Soon(Option<Pin<Box<Sleep>>>);

impl Soon {
    fn no_later_than(&mut self, wait: Duration) {
        let sleep = tokio::time::sleep(wait);
        if self.0.as_ref().is_none_or(|present| sleep.deadline() < present.deadline()) {
            self.0 = Some(Box::pin(sleep));
        }
    }

    async fn come(&mut self) {
        match &mut self.0 {
            Some(sleep) => sleep.await,
            None => pending().await,
        }
    }
}

/// How fast a friend may talk.
#[derive(Debug, Default)]
pub struct Paces {
    fixes: Pace,
    accepts: Pace,
    settings: Pace,
    frames: Pace,
    refusals: Pace,
}

/// At once, before the interval counts.
const FIX_BURST: u32 = 5;
const SETTINGS_BURST: u32 = 5;
const FRAME_BURST: u32 = 20;
const ACCEPT_BURST: u32 = 40;

impl Paces {
    /// Whether one more position is in time at `now`; so for the others.
    pub fn take_fix(&mut self, now: i64, limits: &Limits) -> bool {
        self.fixes.take(now, FIX_BURST, limits.fix_interval_ms)
    }

    /// When the next position will be in time.
    pub fn next_fix(&self, limits: &Limits) -> i64 {
        self.fixes.next(FIX_BURST, limits.fix_interval_ms)
    }

    /// An accept.
    pub fn take_accept(&mut self, now: i64, limits: &Limits) -> bool {
        self.accepts.take(now, ACCEPT_BURST, limits.accept_interval_ms)
    }

    /// Settings: each costs the ledger a commit.
    pub fn take_settings(&mut self, now: i64, limits: &Limits) -> bool {
        self.settings.take(now, SETTINGS_BURST, limits.settings_interval_ms)
    }

    /// Any other frame.
    pub fn take_frame(&mut self, now: i64, limits: &Limits) -> bool {
        self.frames.take(now, FRAME_BURST, limits.frame_interval_ms)
    }

    /// A refusal of a frame that was not in time.
    pub fn take_refusal(&mut self, now: i64, limits: &Limits) -> bool {
        let per_minute = limits.refusals_per_minute_max.max(1);
        self.refusals.take(now, per_minute, 60_000 / i64::from(per_minute))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The size of the future that a function makes.
    fn future_bytes<A, B, F: Future>(_: impl FnOnce(A, B) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn an_idle_friend_is_small() {
        let (task, socket) = (future_bytes(Session::run), size_of::<Socket>());
        let (session, outbox) = (size_of::<Session>(), size_of::<Outbox>());
        println!("task {task} B, of it socket {socket} B and session {session} B; outbox {outbox} B");
        assert!(task < 1_000, "{task}");
    }
}
