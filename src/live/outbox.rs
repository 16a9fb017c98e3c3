//! What waits to be written to one friend's socket: a short queue between everybody who tells a friend something and the
//! one task that writes. It holds so many messages or bytes and no more: a socket that does not take them is closed, and
//! the friend comes back for a snapshot.
//!
//! It outlives the socket. What is owed stays until it is acknowledged, so that a session can go on over another socket;
//! parked without one, it gathers what comes meanwhile, within a bound. Empty, it owns no memory of its own.
//!
//! Closing is a message, not a lock: whoever closes leaves a word and goes on, the writer finds it in its turn.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::task::{Poll, Waker};

use bytes::Bytes;
use kiez_protocol::friend::FriendMessage;
use kiez_protocol::ids::{Key, OfferId};
use kiez_protocol::refusal::close;

use super::backlog::{Backlog, NeverSent, OutboxLimits, offers_in};
use super::pulse::Pulse;
use crate::metrics;

/// Accepts of one session that wait for a verdict at once, as far as the outbox knows of them.
const AWAITED_MAX: usize = 32;

/// What the writer does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Write this: an envelope as JSON.
    Message(Bytes),
    /// Ping.
    Ping,
    /// Look at what you wanted to look at about now.
    Look,
    /// Close the socket, for good.
    Close(Goodbye),
}

/// With what words a socket is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Goodbye {
    /// The close code: `kiez_protocol::refusal::close`.
    pub code: u16,
    /// For people who build apps, at most 123 bytes.
    pub reason: &'static str,
}

impl Goodbye {
    /// What a writer hears whose session goes on over a newer socket.
    pub const ELSEWHERE: Goodbye = Goodbye { code: close::NORMAL, reason: "the session goes on elsewhere" };

    /// Whether the session may go on over another socket after this. Not for those who shall stay away, and not where
    /// something that was owed is lost.
    pub fn keeps_session(self) -> bool {
        self.code < 4_500 && self.code != close::TOO_SLOW && self.code != close::RESYNC
    }
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// It waits for the writer, or is kept for one.
    Waiting,
    /// There was no room: it is lost, and the outbox closes with [`close::TOO_SLOW`].
    Full,
    /// There was no room in a parked session: it is lost with all that was kept, and nobody can resume it.
    Forgotten,
    /// Nobody will hear it: the outbox was closed for good, or it is worth nothing to a session without a socket.
    Dropped,
}

/// A session that goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resumed {
    /// The writer's turn: the one before is over.
    pub turn: u32,
    /// Offers that have arrived, as the app's last number proves.
    pub arrived: Vec<OfferId>,
}

/// The queue to one friend's socket.
#[derive(Debug)]
pub struct Outbox {
    limits: OutboxLimits,
    // How many sockets have served this session, the present one included. Changed under the lock.
    turn: AtomicU32,
    // Whether anything came since the last ping. On its own, because every frame that comes in says so.
    heard: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    backlog: Backlog,
    line: Line,
    writer: Option<Waker>,
    awaited: Vec<Awaited>,
    pulse: Pulse,
    ping: bool,
    look: bool,
}

/// An accept without a verdict.
#[derive(Debug)]
struct Awaited {
    key: Key,
    offer: OfferId,
    /// Ms since the server's start.
    since: i64,
    /// The app was told that it waits.
    told: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Line {
    /// A socket takes what comes.
    #[default]
    Served,
    /// What waits is still written; then the socket is closed, and not before all verdicts if so said.
    Closing { goodbye: Goodbye, after_verdicts: bool },
    /// Without a socket; owed messages gather.
    Parked,
    /// Nothing is taken and nothing is kept any more.
    Over,
}

impl Outbox {
    /// Empty, open, and in its first turn.
    pub fn new(limits: OutboxLimits) -> Outbox {
        Outbox { limits, turn: AtomicU32::new(1), heard: AtomicBool::new(false), state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds an outbox")
    }

    /// Puts a message behind those that wait. An owed one gets the next number, from 1.
    pub fn push(&self, message: FriendMessage, owed: bool) -> Pushed {
        let offers = if owed { offers_in(&message) } else { Vec::new() };
        let answers = answered(&message);
        let text = serde_json::to_vec(&message).expect("a message has string keys and plain values");
        let mut state = self.lock();
        if let Some(key) = answers {
            state.awaited.retain(|awaited| awaited.key != key);
        }
        let parked = match state.line {
            Line::Served => false,
            // What comes now goes out before the goodbye, or is kept behind it.
            Line::Closing { goodbye, .. } if goodbye.keeps_session() => false,
            Line::Parked if owed => true,
            Line::Closing { .. } | Line::Parked | Line::Over => return Pushed::Dropped,
        };
        state.backlog.push(text, owed, offers);
        if parked && !state.backlog.fits(self.limits) {
            state.end();
            return Pushed::Forgotten;
        }
        if !parked && state.backlog.is_full(self.limits) {
            // The socket takes nothing: what waits would only keep its memory.
            state.end();
            let goodbye = Goodbye { code: close::TOO_SLOW, reason: "too much is waiting" };
            state.line = Line::Closing { goodbye, after_verdicts: false };
            wake(state);
            metrics::outbox_overflow();
            return Pushed::Full;
        }
        wake(state);
        Pushed::Waiting
    }

    /// Closes: what waits is still written, then the socket is closed. The first goodbye counts, but one that ends the
    /// session for good comes before one that does not.
    pub fn close(&self, goodbye: Goodbye) {
        self.say_goodbye(goodbye, false);
    }

    /// Closes as [`Outbox::close`] does, but not before every accept under way has its verdict.
    pub fn close_after_verdicts(&self, goodbye: Goodbye) {
        self.say_goodbye(goodbye, true);
    }

    fn say_goodbye(&self, goodbye: Goodbye, after_verdicts: bool) {
        let mut state = self.lock();
        match state.line {
            Line::Served => state.line = Line::Closing { goodbye, after_verdicts },
            Line::Closing { goodbye: before, .. } if before.keeps_session() && !goodbye.keeps_session() => {
                state.line = Line::Closing { goodbye, after_verdicts };
            }
            Line::Parked if !goodbye.keeps_session() => state.end(),
            Line::Closing { .. } | Line::Parked | Line::Over => return,
        }
        wake(state);
    }

    /// With what words it closes, if it does.
    pub fn goodbye(&self) -> Option<Goodbye> {
        match self.lock().line {
            Line::Closing { goodbye, .. } => Some(goodbye),
            Line::Served | Line::Parked | Line::Over => None,
        }
    }

    /// Messages that wait for the writer.
    pub fn len(&self) -> usize {
        self.lock().backlog.waiting()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The app has received everything up to `seq`. Returns the offers whose arrival that proves, each once.
    ///
    /// # Errors
    /// [`NeverSent`] for a number beyond all that was handed to a writer.
    pub fn acknowledged(&self, seq: u64) -> Result<Vec<OfferId>, NeverSent> {
        self.lock().backlog.acknowledged(seq)
    }

    /// The next thing to do for the writer of this turn; waits for it. Dropped while it waits, it loses nothing.
    pub async fn next(&self, turn: u32) -> Next {
        poll_fn(|context| {
            let mut state = self.lock();
            if self.turn() != turn {
                return Poll::Ready(Next::Close(Goodbye::ELSEWHERE));
            }
            if let Some(text) = state.backlog.hand_over(self.limits) {
                return Poll::Ready(Next::Message(text));
            }
            if let Line::Closing { goodbye, after_verdicts } = state.line
                && (!after_verdicts || state.awaited.is_empty())
            {
                return Poll::Ready(Next::Close(goodbye));
            }
            if std::mem::take(&mut state.ping) {
                return Poll::Ready(Next::Ping);
            }
            if std::mem::take(&mut state.look) {
                return Poll::Ready(Next::Look);
            }
            if !state.writer.as_ref().is_some_and(|writer| writer.will_wake(context.waker())) {
                state.writer = Some(context.waker().clone());
            }
            Poll::Pending
        })
        .await
    }
}

/// Accepts under way.
impl Outbox {
    /// An accept of this offer waits for its verdict since `now`, ms since the server's start.
    pub fn await_verdict(&self, offer: OfferId, key: Key, now: i64) {
        let mut state = self.lock();
        // One that is sent again waits anew; of very many the app is not told that they wait.
        state.awaited.retain(|awaited| awaited.key != key);
        if state.awaited.len() < AWAITED_MAX {
            state.awaited.push(Awaited { key, offer, since: now, told: false });
        }
    }

    /// The offers whose verdict is awaited for `ms` by now, each once, and when the next one will be, if one waits.
    pub fn pending(&self, now: i64, ms: i64) -> (Vec<OfferId>, Option<i64>) {
        let mut state = self.lock();
        let mut overdue = Vec::new();
        for awaited in state.awaited.iter_mut().filter(|awaited| !awaited.told && awaited.since + ms <= now) {
            awaited.told = true;
            overdue.push(awaited.offer);
        }
        let next = state.awaited.iter().filter(|awaited| !awaited.told).map(|awaited| awaited.since + ms).min();
        (overdue, next)
    }
}

/// The pulse.
impl Outbox {
    /// The line is watched from now on. Returns when the wheel comes by first.
    pub fn watch(&self, pulse: Pulse) -> i64 {
        let mut state = self.lock();
        state.pulse = pulse;
        pulse.due()
    }

    /// The session looks at something at this time. Returns when the wheel must come by, if sooner than it would anyhow.
    pub fn look_at(&self, at: i64) -> Option<i64> {
        self.lock().pulse.look_at(at)
    }

    /// Something has come in: the line lives.
    pub fn heard(&self) {
        self.heard.store(true, Ordering::Relaxed);
    }

    /// The wheel comes by at `now` with an entry that was due at `entry`: tells the writer to ping or to look, or closes a
    /// line from which nothing came since the last ping. Returns when to come again.
    pub fn turn_pulse(&self, entry: i64, now: i64, pong_ms: u32) -> Option<i64> {
        let mut state = self.lock();
        let signs = state.pulse.turn(entry, now, pong_ms, self.heard.load(Ordering::Relaxed))?;
        if signs.silent {
            if state.line == Line::Served {
                let goodbye = Goodbye { code: close::NO_PONG, reason: "no pong" };
                state.line = Line::Closing { goodbye, after_verdicts: false };
            }
            wake(state);
            return None;
        }
        if signs.ping {
            self.heard.store(false, Ordering::Relaxed);
            state.ping = true;
        }
        state.look |= signs.look;
        let due = state.pulse.due();
        if signs.ping || signs.look {
            wake(state);
        }
        Some(due)
    }
}

/// From one socket to the next.
impl Outbox {
    /// The turn of the present writer, from 1.
    pub fn turn(&self) -> u32 {
        self.turn.load(Ordering::Relaxed)
    }

    /// The socket of this turn is gone: what is owed is kept, what was passing is not. Returns false if nothing is kept:
    /// another turn has begun, the session ended for good, or it owes more than is kept.
    pub fn park(&self, turn: u32) -> bool {
        let mut state = self.lock();
        if self.turn() != turn {
            return false;
        }
        let keeps = match state.line {
            Line::Served => true,
            Line::Closing { goodbye, .. } => goodbye.keeps_session(),
            Line::Parked | Line::Over => false,
        };
        state.backlog.only_owed();
        if !keeps || !state.backlog.fits(self.limits) {
            state.end();
            return false;
        }
        state.line = Line::Parked;
        state.rest();
        true
    }

    /// The session goes on over another socket, whose app has received everything up to `last_seq`: `welcome` comes
    /// first, then what is owed from there on, in order and under the same numbers. The writer before is told to close.
    /// None if the app cannot be brought up from there; then nothing that was passing waits any more, and another session
    /// is to take the place of this one.
    pub fn resume(&self, last_seq: u64, welcome: &FriendMessage) -> Option<Resumed> {
        let welcome = serde_json::to_vec(welcome).expect("a message has string keys and plain values");
        let mut state = self.lock();
        match state.line {
            Line::Served | Line::Parked => {}
            Line::Closing { goodbye, .. } if goodbye.keeps_session() => {}
            Line::Closing { .. } | Line::Over => return None,
        }
        let arrived = state.backlog.rewind(last_seq, welcome, self.limits)?;
        state.line = Line::Served;
        let turn = self.turn() + 1;
        self.turn.store(turn, Ordering::Relaxed);
        let writer_before = state.rest();
        drop(state);
        if let Some(writer) = writer_before {
            writer.wake();
        }
        Some(Resumed { turn, arrived })
    }
}

impl State {
    /// Nothing is taken and nothing is kept any more.
    fn end(&mut self) {
        self.line = Line::Over;
        self.backlog.clear();
        self.awaited = Vec::new();
    }

    /// Forgets what belonged to the socket. Returns who was writing.
    fn rest(&mut self) -> Option<Waker> {
        (self.awaited, self.pulse) = (Vec::new(), Pulse::default());
        (self.ping, self.look) = (false, false);
        self.writer.take()
    }
}

/// The key of the accept that a message answers.
fn answered(message: &FriendMessage) -> Option<Key> {
    match message {
        FriendMessage::AcceptResult { key, .. } => Some(*key),
        FriendMessage::Error { key, .. } => *key,
        FriendMessage::Welcome(_)
        | FriendMessage::Snapshot(_)
        | FriendMessage::Offer(_)
        | FriendMessage::OfferUpdate(_)
        | FriendMessage::OfferClosed { .. }
        | FriendMessage::AcceptPending { .. }
        | FriendMessage::Job(_)
        | FriendMessage::Answer { .. }
        | FriendMessage::Message(_)
        | FriendMessage::Done { .. }
        | FriendMessage::Pong { .. }
        | FriendMessage::Duty(_)
        | FriendMessage::Expiring { .. }
        | FriendMessage::Refreshed { .. }
        | FriendMessage::StopLocation
        | FriendMessage::DutyEnding { .. }
        | FriendMessage::CapNear(_)
        | FriendMessage::Missed(_)
        | FriendMessage::Why(_)
        | FriendMessage::SettingsResult { .. }
        | FriendMessage::Account { .. }
        | FriendMessage::Draining { .. } => None,
    }
}

/// Lets go first, so that the writer does not wake into a held lock.
fn wake(mut state: MutexGuard<'_, State>) {
    let writer = state.writer.take();
    drop(state);
    if let Some(writer) = writer {
        writer.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::{Context, Wake};

    use kiez_protocol::friend::{Duty, Envelope, Snapshot, Verdict};
    use uuid::Uuid;

    use super::*;

    const LIMITS: OutboxLimits = OutboxLimits { len_max: 4, bytes_max: 1_000, kept_len_max: 4, kept_bytes_max: 1_000 };
    const RESTART: Goodbye = Goodbye { code: close::RESTARTING, reason: "restart" };
    const AWAY: Goodbye = Goodbye { code: close::REPLACED, reason: "another device" };

    #[derive(Default)]
    struct Woken(AtomicU32);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    impl Woken {
        fn times(&self) -> u32 {
            self.0.load(Ordering::SeqCst)
        }
    }

    fn poll(outbox: &Outbox, turn: u32, woken: &Arc<Woken>) -> Poll<Next> {
        let waker = woken.clone().into();
        pin!(outbox.next(turn)).poll(&mut Context::from_waker(&waker))
    }

    fn next(outbox: &Outbox) -> Option<Next> {
        match poll(outbox, outbox.turn(), &Arc::default()) {
            Poll::Ready(next) => Some(next),
            Poll::Pending => None,
        }
    }

    /// The number and the text of what waits, all of it.
    fn take_all(outbox: &Outbox) -> Vec<(Option<u64>, String)> {
        let mut taken = Vec::new();
        while let Some(Next::Message(text)) = next(outbox) {
            let envelope: Envelope = serde_json::from_slice(&text).expect("an envelope");
            taken.push((envelope.seq, String::from_utf8(text.to_vec()).expect("UTF-8")));
        }
        taken
    }

    fn seqs(outbox: &Outbox) -> Vec<Option<u64>> {
        take_all(outbox).into_iter().map(|(seq, _)| seq).collect()
    }

    fn pong(t: i64) -> FriendMessage {
        FriendMessage::Pong { t }
    }

    fn duty() -> FriendMessage {
        FriendMessage::Duty(Duty::default())
    }

    fn error(length: usize) -> FriendMessage {
        FriendMessage::Error {
            code: kiez_protocol::refusal::Code::Invalid,
            key: None,
            offer: None,
            job: None,
            message_key: "x".repeat(length),
            allowed: Vec::new(),
        }
    }

    #[test]
    fn owed_messages_are_numbered_and_passing_ones_are_not() {
        let outbox = Outbox::new(LIMITS);
        outbox.push(pong(1), false);
        outbox.push(duty(), true);
        outbox.push(pong(2), false);
        outbox.push(FriendMessage::Snapshot(Snapshot::default()), true);
        let taken = take_all(&outbox);
        assert_eq!(taken.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), [None, Some(1), None, Some(2)]);
        assert_eq!(taken[0].1, r#"{"type":"pong","t":1}"#);
        assert!(taken[1].1.starts_with(r#"{"seq":1,"type":"duty""#), "{}", taken[1].1);
        assert!(outbox.is_empty());
    }

    #[test]
    fn a_socket_that_takes_nothing_is_closed_and_holds_nothing() {
        let outbox = Outbox::new(LIMITS);
        for t in 0..4 {
            assert_eq!(outbox.push(pong(t), t == 0), Pushed::Waiting);
        }
        assert_eq!(outbox.push(pong(4), false), Pushed::Full);
        assert_eq!(outbox.push(pong(5), true), Pushed::Dropped);
        outbox.close(AWAY);
        assert!(matches!(next(&outbox), Some(Next::Close(goodbye)) if goodbye.code == close::TOO_SLOW));
        assert!(!outbox.park(1), "what was owed is lost");
        assert_eq!(outbox.resume(0, &pong(0)), None);
    }

    #[test]
    fn bytes_have_a_bound_but_one_message_always_fits() {
        let outbox = Outbox::new(LIMITS);
        assert_eq!(outbox.push(error(2_000), false), Pushed::Waiting);
        assert_eq!(take_all(&outbox).len(), 1);
        assert_eq!(outbox.push(pong(0), false), Pushed::Waiting);
        assert_eq!(outbox.push(error(2_000), false), Pushed::Full);
    }

    #[test]
    fn a_goodbye_lets_what_waits_go_first_and_what_comes_late_is_kept() {
        let outbox = Outbox::new(LIMITS);
        outbox.push(FriendMessage::Draining { reconnect_in_ms: 100 }, false);
        outbox.close(RESTART);
        assert_eq!(outbox.push(duty(), true), Pushed::Waiting);
        assert_eq!(seqs(&outbox), [None, Some(1)]);
        assert_eq!(next(&outbox), Some(Next::Close(RESTART)));
        assert_eq!(outbox.push(duty(), true), Pushed::Waiting, "the socket may be closing, the session is not");
        assert!(outbox.park(1));
        assert!(outbox.resume(1, &pong(0)).is_some());
        assert_eq!(seqs(&outbox), [None, Some(2)]);
        outbox.close(RESTART);
        outbox.close(AWAY);
        assert_eq!(outbox.push(duty(), true), Pushed::Dropped);
        assert_eq!(next(&outbox), Some(Next::Close(AWAY)), "for good comes before for now");
        assert!(!outbox.park(2));
    }

    #[test]
    fn a_drain_waits_for_the_verdict() {
        let outbox = Outbox::new(LIMITS);
        let (offer, key) = (OfferId(Uuid::from_u128(1)), Key(Uuid::from_u128(2)));
        outbox.await_verdict(offer, key, 0);
        outbox.close_after_verdicts(RESTART);
        assert_eq!(next(&outbox), None);
        let woken = Arc::<Woken>::default();
        assert_eq!(poll(&outbox, 1, &woken), Poll::Pending);
        outbox.push(FriendMessage::AcceptResult { offer, key, result: Verdict::Won, reason: None }, true);
        assert_eq!(woken.times(), 1);
        assert_eq!(seqs(&outbox), [Some(1)]);
        assert_eq!(next(&outbox), Some(Next::Close(RESTART)));
    }

    #[test]
    fn an_accept_is_pending_once_and_until_its_verdict() {
        let outbox = Outbox::new(LIMITS);
        let key = |number| Key(Uuid::from_u128(number));
        let offer = |number| OfferId(Uuid::from_u128(number));
        outbox.await_verdict(offer(1), key(1), 0);
        outbox.await_verdict(offer(2), key(2), 50);
        assert_eq!(outbox.pending(99, 100), (vec![], Some(100)));
        assert_eq!(outbox.pending(100, 100), (vec![offer(1)], Some(150)));
        outbox.push(
            FriendMessage::AcceptResult { offer: offer(2), key: key(2), result: Verdict::Lost, reason: None },
            true,
        );
        assert_eq!(outbox.pending(200, 100), (vec![], None));
        // Accepts that are never answered are forgotten, not gathered.
        for number in 0..1_000 {
            outbox.await_verdict(offer(number), key(number), 0);
        }
        assert_eq!(outbox.lock().awaited.len(), AWAITED_MAX);
    }

    #[test]
    fn a_parked_session_gathers_what_is_owed_and_goes_on_where_the_app_was() {
        let outbox = Outbox::new(LIMITS);
        outbox.push(duty(), true);
        outbox.push(duty(), true);
        assert_eq!(seqs(&outbox), [Some(1), Some(2)]);
        outbox.push(pong(1), false);
        assert!(outbox.park(1));
        assert_eq!(outbox.push(pong(2), false), Pushed::Dropped);
        assert_eq!(outbox.push(duty(), true), Pushed::Waiting);
        assert_eq!(outbox.resume(3, &pong(0)), None, "never sent");
        assert_eq!(outbox.resume(1, &pong(0)), Some(Resumed { turn: 2, arrived: vec![] }));
        let taken = take_all(&outbox);
        assert_eq!(taken[0].1, r#"{"type":"pong","t":0}"#, "the welcome comes first");
        assert_eq!(taken[1..].iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), [Some(2), Some(3)]);
        assert_eq!(outbox.acknowledged(3), Ok(vec![]));
        assert!(outbox.park(2));
        assert_eq!(outbox.resume(2, &pong(0)), None, "already dropped");
        assert!(outbox.resume(3, &pong(0)).is_some());
        assert_eq!(seqs(&outbox), [None]);
    }

    #[test]
    fn a_resume_takes_the_session_from_a_writer_that_still_waits() {
        let outbox = Outbox::new(LIMITS);
        let woken = Arc::<Woken>::default();
        assert_eq!(poll(&outbox, 1, &woken), Poll::Pending);
        assert_eq!(outbox.resume(0, &pong(0)).map(|resumed| resumed.turn), Some(2));
        assert_eq!(woken.times(), 1);
        assert_eq!(poll(&outbox, 1, &woken), Poll::Ready(Next::Close(Goodbye::ELSEWHERE)));
        assert!(!outbox.park(1), "it has no say any more");
        outbox.push(duty(), true);
        assert_eq!(seqs(&outbox), [None, Some(1)]);
    }

    #[test]
    fn a_parked_session_that_owes_too_much_is_forgotten() {
        let outbox = Outbox::new(LIMITS);
        outbox.push(duty(), true);
        outbox.push(duty(), true);
        assert_eq!(seqs(&outbox).len(), 2);
        assert!(outbox.park(1));
        // What was handed over makes room, and can then not be sent again.
        for _ in 0..4 {
            assert_eq!(outbox.push(duty(), true), Pushed::Waiting);
        }
        assert_eq!(outbox.push(duty(), true), Pushed::Forgotten);
        assert_eq!(outbox.push(duty(), true), Pushed::Dropped);
        assert_eq!(outbox.resume(2, &pong(0)), None);
    }

    #[test]
    fn the_writer_pings_and_looks_when_the_wheel_says_so_and_a_silent_line_is_closed() {
        let outbox = Outbox::new(LIMITS);
        let woken = Arc::<Woken>::default();
        assert_eq!(outbox.watch(Pulse::new(1_000, 500, 0)), 500);
        assert_eq!(poll(&outbox, 1, &woken), Poll::Pending);
        assert_eq!(outbox.turn_pulse(500, 500, 100), Some(1_000));
        assert_eq!((next(&outbox), woken.times()), (Some(Next::Look), 1));
        assert_eq!(outbox.turn_pulse(1_000, 1_000, 100), Some(1_100));
        assert_eq!(next(&outbox), Some(Next::Ping));
        outbox.heard();
        assert_eq!(poll(&outbox, 1, &woken), Poll::Pending);
        assert_eq!(outbox.turn_pulse(1_100, 1_100, 100), Some(2_000));
        assert_eq!(woken.times(), 1, "a line that answers costs no second wake-up");
        assert_eq!(outbox.turn_pulse(2_000, 2_000, 100), Some(2_100));
        assert_eq!(next(&outbox), Some(Next::Ping));
        assert_eq!(outbox.turn_pulse(2_100, 2_100, 100), None);
        assert!(matches!(next(&outbox), Some(Next::Close(goodbye)) if goodbye.code == close::NO_PONG));
        assert!(outbox.park(1), "a lost network is what resuming is for");
        assert_eq!(outbox.turn_pulse(2_100, 9_999, 100), None);
    }

    #[test]
    fn the_writer_is_woken_and_a_dropped_wait_loses_nothing() {
        let outbox = Outbox::new(LIMITS);
        let (first, second) = (Arc::<Woken>::default(), Arc::<Woken>::default());
        assert_eq!(poll(&outbox, 1, &first), Poll::Pending);
        assert_eq!(poll(&outbox, 1, &second), Poll::Pending);
        outbox.push(pong(1), false);
        outbox.push(pong(2), false);
        assert_eq!((first.times(), second.times()), (0, 1));
        assert_eq!(take_all(&outbox).len(), 2);
    }

    #[tokio::test]
    async fn a_select_that_often_chooses_another_branch_loses_nothing() {
        let limits = OutboxLimits { len_max: 10_000, bytes_max: 1 << 20, ..LIMITS };
        let outbox = Arc::new(Outbox::new(limits));
        let (other, pushed) = (outbox.clone(), 2_000);
        let pusher = tokio::spawn(async move {
            for t in 0..pushed {
                other.push(pong(t), t % 3 == 0);
                if t % 7 == 0 {
                    tokio::task::yield_now().await;
                }
            }
            other.close(RESTART);
        });
        let mut got = Vec::new();
        loop {
            tokio::select! {
                () = tokio::task::yield_now() => {}
                next = outbox.next(1) => match next {
                    Next::Message(text) => got.push(text),
                    Next::Close(_) => break,
                    Next::Ping | Next::Look => unreachable!("nobody watches it"),
                },
            }
        }
        pusher.await.unwrap();
        assert_eq!(got.len(), pushed as usize);
        for (t, text) in got.iter().enumerate() {
            let envelope: Envelope = serde_json::from_slice(text).unwrap();
            assert_eq!(envelope.message, pong(t as i64));
        }
    }

    #[test]
    fn an_outbox_without_messages_is_small_and_owns_nothing() {
        assert!(size_of::<Outbox>() <= 256, "{}", size_of::<Outbox>());
        let outbox = Outbox::new(LIMITS);
        outbox.push(duty(), true);
        outbox.push(pong(1), false);
        take_all(&outbox);
        outbox.acknowledged(1).expect("it was sent");
        assert!(outbox.lock().backlog.owns_nothing());
    }
}
