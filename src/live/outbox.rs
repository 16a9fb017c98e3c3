//! What waits to be written to one socket: a short queue between everybody who tells a friend something and the one
//! task that writes. It holds so many messages or bytes and no more: a socket that does not take them is closed, and the
//! friend comes back for a snapshot. Empty, it owns no memory of its own.
//!
//! Closing is a message, not a lock: whoever closes leaves a word and goes on, the writer finds it in its turn.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard};
use std::task::{Poll, Waker};

use bytes::Bytes;
use kiez_protocol::friend::{Envelope, FriendMessage};
use kiez_protocol::ids::OfferId;
use kiez_protocol::refusal::close;

use crate::metrics;

/// How much may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboxLimits {
    /// Messages, at least 1.
    pub len_max: usize,
    /// Bytes of text, where more than one message waits.
    pub bytes_max: usize,
}

impl Default for OutboxLimits {
    fn default() -> OutboxLimits {
        OutboxLimits { len_max: 64, bytes_max: 64 * 1024 }
    }
}

/// A message ready for the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its number, if it is owed.
    pub seq: Option<u64>,
    /// The envelope as JSON: UTF-8.
    pub text: Bytes,
}

/// What the writer does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Write this.
    Message(Item),
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

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// It waits for the writer.
    Waiting,
    /// There was no room: it is lost, and the outbox closes with [`close::TOO_SLOW`].
    Full,
    /// The outbox was closed before: it is lost.
    Closed,
}

/// The queue to one socket.
#[derive(Debug)]
pub struct Outbox {
    limits: OutboxLimits,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    // Neither of the two holds an allocation while it is empty.
    queue: VecDeque<Item>,
    /// Offers sent or waiting that the app has not acknowledged, each with the number of the message that carried it.
    /// A session that can be resumed will keep the messages themselves here.
    carried: VecDeque<(u64, OfferId)>,
    /// The sum over the queue.
    bytes: usize,
    /// The number last given.
    numbered: u64,
    /// The number last handed to the writer.
    handed: u64,
    closing: Option<Goodbye>,
    writer: Option<Waker>,
    // Offers whose accept waits for its verdict.
    awaited: Vec<OfferId>,
}

/// Whether a message is owed: numbered, acknowledged, and sent again when a session is resumed. The others are worth
/// nothing a moment later.
pub fn is_owed(message: &FriendMessage) -> bool {
    match message {
        FriendMessage::Snapshot(_)
        | FriendMessage::Offer(_)
        | FriendMessage::OfferUpdate(_)
        | FriendMessage::OfferClosed { .. }
        | FriendMessage::AcceptResult { .. }
        | FriendMessage::Job(_)
        | FriendMessage::Done { .. }
        | FriendMessage::Duty(_) => true,
        // A refusal is owed where the app keeps the frame until it is answered.
        FriendMessage::Error { key, .. } => key.is_some(),
        FriendMessage::Welcome(_)
        | FriendMessage::AcceptPending { .. }
        | FriendMessage::Pong { .. }
        | FriendMessage::Expiring { .. }
        | FriendMessage::Refreshed { .. }
        | FriendMessage::StopLocation
        | FriendMessage::DutyEnding { .. }
        | FriendMessage::Draining { .. } => false,
    }
}

/// The offers whose arrival the message's acknowledgement proves.
fn offers_in(message: &FriendMessage) -> Vec<OfferId> {
    match message {
        FriendMessage::Offer(offer) => vec![offer.offer],
        FriendMessage::Snapshot(snapshot) => snapshot.offers.iter().map(|offer| offer.offer).collect(),
        FriendMessage::OfferUpdate(update) => update.renewed.iter().map(|offer| offer.offer).collect(),
        FriendMessage::Welcome(_)
        | FriendMessage::OfferClosed { .. }
        | FriendMessage::AcceptPending { .. }
        | FriendMessage::AcceptResult { .. }
        | FriendMessage::Job(_)
        | FriendMessage::Done { .. }
        | FriendMessage::Error { .. }
        | FriendMessage::Pong { .. }
        | FriendMessage::Duty(_)
        | FriendMessage::Expiring { .. }
        | FriendMessage::Refreshed { .. }
        | FriendMessage::StopLocation
        | FriendMessage::DutyEnding { .. }
        | FriendMessage::Draining { .. } => Vec::new(),
    }
}

impl Outbox {
    /// Empty and open.
    pub fn new(limits: OutboxLimits) -> Outbox {
        Outbox { limits, state: Mutex::default() }
    }

    /// An accept of this offer waits for its verdict.
    pub fn await_verdict(&self, offer: OfferId) {
        let mut state = self.lock();
        if !state.awaited.contains(&offer) {
            state.awaited.push(offer);
        }
    }

    /// Whether the verdict on this offer is still awaited.
    pub fn awaits_verdict(&self, offer: OfferId) -> bool {
        self.lock().awaited.contains(&offer)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds an outbox")
    }

    /// Puts a message behind those that wait. An owed one gets the next number, from 1.
    pub fn push(&self, message: FriendMessage, owed: bool) -> Pushed {
        let offers = if owed { offers_in(&message) } else { Vec::new() };
        let mut state = self.lock();
        if let FriendMessage::AcceptResult { offer, .. } = &message {
            state.awaited.retain(|awaited| awaited != offer);
        }
        if state.closing.is_some() {
            return Pushed::Closed;
        }
        let seq = owed.then_some(state.numbered + 1);
        let text = serde_json::to_vec(&Envelope { seq, message }).expect("a message has string keys and plain values");
        // A long message alone is no sign of a slow socket: a snapshot must be able to leave, whatever is in it.
        let too_long = !state.queue.is_empty() && state.bytes + text.len() > self.limits.bytes_max;
        if too_long || state.queue.len() >= self.limits.len_max {
            // The socket takes nothing: what waits would only keep its memory.
            state.queue = VecDeque::new();
            state.bytes = 0;
            say_goodbye(state, Goodbye { code: close::TOO_SLOW, reason: "too much is waiting" });
            metrics::outbox_overflow();
            return Pushed::Full;
        }
        if let Some(seq) = seq {
            state.numbered = seq;
            state.carried.extend(offers.into_iter().map(|offer| (seq, offer)));
            // An app that never acknowledges: the oldest offers have long counted as undelivered.
            let surplus = state.carried.len().saturating_sub(self.limits.len_max);
            state.carried.drain(..surplus);
        }
        state.bytes += text.len();
        state.queue.push_back(Item { seq, text: text.into() });
        wake(state);
        Pushed::Waiting
    }

    /// Closes: what waits is still written, then the socket is closed. The first goodbye counts.
    pub fn close(&self, goodbye: Goodbye) {
        let state = self.lock();
        if state.closing.is_none() {
            say_goodbye(state, goodbye);
        }
    }

    /// With what words it closes, if it does.
    pub fn goodbye(&self) -> Option<Goodbye> {
        self.lock().closing
    }

    /// Messages that wait.
    pub fn len(&self) -> usize {
        self.lock().queue.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The app has received everything up to `seq`. Returns the offers whose arrival that proves, each once. Numbers
    /// that were not yet handed to the writer prove nothing.
    pub fn acknowledged(&self, seq: u64) -> Vec<OfferId> {
        let mut state = self.lock();
        let seq = seq.min(state.handed);
        let arrived = state.carried.partition_point(|&(carrier, _)| carrier <= seq);
        let offers = state.carried.drain(..arrived).map(|(_, offer)| offer).collect();
        if state.carried.is_empty() {
            state.carried = VecDeque::new();
        }
        offers
    }

    /// The next thing to do; waits for it. For one writer. Dropped while it waits, it loses nothing.
    pub async fn next(&self) -> Next {
        poll_fn(|context| {
            let mut state = self.lock();
            if let Some(item) = state.queue.pop_front() {
                state.bytes -= item.text.len();
                state.handed = item.seq.unwrap_or(state.handed);
                if state.queue.is_empty() {
                    state.queue = VecDeque::new();
                }
                return Poll::Ready(Next::Message(item));
            }
            if let Some(goodbye) = state.closing {
                return Poll::Ready(Next::Close(goodbye));
            }
            if !state.writer.as_ref().is_some_and(|writer| writer.will_wake(context.waker())) {
                state.writer = Some(context.waker().clone());
            }
            Poll::Pending
        })
        .await
    }
}

fn say_goodbye(mut state: MutexGuard<'_, State>, goodbye: Goodbye) {
    state.closing = Some(goodbye);
    wake(state);
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
    use std::future::Future;
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::{Context, Wake};

    use kiez_protocol::friend::{ClosedReason, Duty, Snapshot};
    use uuid::Uuid;

    use super::*;

    const LIMITS: OutboxLimits = OutboxLimits { len_max: 4, bytes_max: 1_000 };

    #[derive(Default)]
    struct Woken(AtomicU32);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn poll(outbox: &Outbox, woken: &Arc<Woken>) -> Poll<Next> {
        let waker = woken.clone().into();
        pin!(outbox.next()).poll(&mut Context::from_waker(&waker))
    }

    fn take(outbox: &Outbox) -> (Option<u64>, String) {
        match poll(outbox, &Arc::default()) {
            Poll::Ready(Next::Message(item)) => (item.seq, String::from_utf8(item.text.to_vec()).unwrap()),
            other => panic!("no message: {other:?}"),
        }
    }

    fn pong(t: i64) -> FriendMessage {
        FriendMessage::Pong { t }
    }

    fn offer(id: u128) -> FriendMessage {
        let offer = serde_json::json!({
            "offer": Uuid::from_u128(id), "job": Uuid::nil(), "revision": 1, "attempt": 1, "wave": 1, "seat": 0,
            "direct": false, "expires_at": "2026-11-23T17:00:00Z", "community": {"slug": "berlin", "brand": "B"},
            "package": "wifi", "title": "WLAN", "duration_min": 30, "answers": {}, "windows": [], "language": "de",
            "cell": "", "district": "", "distance_m": 50, "gross": {"amount": 1, "currency": "EUR"},
            "commission": {"amount": 0, "currency": "EUR"}, "net": {"amount": 1, "currency": "EUR"},
            "payment_method": "card_online", "why": {"reason": "nearest", "rank": 1}, "allowed": [],
        });
        FriendMessage::Offer(serde_json::from_value(offer).expect("an offer as on the wire"))
    }

    #[test]
    fn owed_messages_are_numbered_and_passing_ones_are_not() {
        let outbox = Outbox::new(LIMITS);
        outbox.push(pong(1), false);
        outbox.push(FriendMessage::Duty(Duty::default()), true);
        outbox.push(pong(2), false);
        outbox.push(FriendMessage::Snapshot(Snapshot::default()), true);
        assert_eq!(take(&outbox), (None, r#"{"type":"pong","t":1}"#.into()));
        let (seq, text) = take(&outbox);
        assert_eq!(seq, Some(1));
        assert!(text.starts_with(r#"{"seq":1,"type":"duty""#), "{text}");
        assert_eq!(take(&outbox).0, None);
        assert_eq!(take(&outbox).0, Some(2));
        assert!(outbox.is_empty());
    }

    #[test]
    fn a_socket_that_takes_nothing_is_closed_and_holds_nothing() {
        let outbox = Outbox::new(LIMITS);
        for t in 0..4 {
            assert_eq!(outbox.push(pong(t), false), Pushed::Waiting);
        }
        assert_eq!(outbox.push(pong(4), false), Pushed::Full);
        assert_eq!(outbox.push(pong(5), false), Pushed::Closed);
        outbox.close(Goodbye { code: close::REPLACED, reason: "too late" });
        match poll(&outbox, &Arc::default()) {
            Poll::Ready(Next::Close(goodbye)) => assert_eq!(goodbye.code, close::TOO_SLOW),
            other => panic!("{other:?}"),
        }
        let state = outbox.lock();
        assert_eq!((state.queue.capacity(), state.bytes), (0, 0));
    }

    #[test]
    fn bytes_have_a_bound_but_one_message_always_fits() {
        let outbox = Outbox::new(LIMITS);
        let long = || FriendMessage::Error {
            code: kiez_protocol::refusal::Code::Invalid,
            key: None,
            offer: None,
            job: None,
            message_key: "x".repeat(2_000),
            allowed: Vec::new(),
        };
        assert_eq!(outbox.push(long(), false), Pushed::Waiting);
        assert_eq!(take(&outbox).0, None);
        assert_eq!(outbox.push(pong(0), false), Pushed::Waiting);
        assert_eq!(outbox.push(long(), false), Pushed::Full);
    }

    #[test]
    fn a_goodbye_lets_what_waits_go_first() {
        let outbox = Outbox::new(LIMITS);
        outbox.push(FriendMessage::Draining { reconnect_in_ms: 100 }, false);
        let goodbye = Goodbye { code: close::RESTARTING, reason: "restart" };
        outbox.close(goodbye);
        assert_eq!(outbox.push(pong(0), false), Pushed::Closed);
        assert!(take(&outbox).1.contains("draining"));
        assert_eq!(poll(&outbox, &Arc::default()), Poll::Ready(Next::Close(goodbye)));
        assert_eq!(poll(&outbox, &Arc::default()), Poll::Ready(Next::Close(goodbye)));
    }

    #[test]
    fn an_acknowledgement_proves_the_offers_it_covers_once() {
        let outbox = Outbox::new(OutboxLimits { len_max: 4, bytes_max: 10_000 });
        outbox.push(offer(1), true);
        let closed = FriendMessage::OfferClosed { offer: OfferId(Uuid::from_u128(1)), reason: ClosedReason::Taken };
        outbox.push(closed, true);
        outbox.push(offer(2), true);
        assert_eq!(outbox.acknowledged(3), [], "nothing was written yet");
        take(&outbox);
        take(&outbox);
        assert_eq!(outbox.acknowledged(u64::MAX), [OfferId(Uuid::from_u128(1))]);
        take(&outbox);
        assert_eq!(outbox.acknowledged(2), []);
        assert_eq!(outbox.acknowledged(3), [OfferId(Uuid::from_u128(2))]);
        assert_eq!(outbox.acknowledged(3), []);
        // An app that never acknowledges keeps no more than the bound.
        for id in 3..103 {
            outbox.push(offer(id), true);
            take(&outbox);
        }
        assert_eq!(outbox.lock().carried.len(), 4);
    }

    #[test]
    fn the_writer_is_woken_and_a_dropped_wait_loses_nothing() {
        let outbox = Outbox::new(LIMITS);
        let (first, second) = (Arc::<Woken>::default(), Arc::<Woken>::default());
        assert_eq!(poll(&outbox, &first), Poll::Pending);
        assert_eq!(poll(&outbox, &second), Poll::Pending);
        outbox.push(pong(1), false);
        outbox.push(pong(2), false);
        assert_eq!((first.0.load(Ordering::SeqCst), second.0.load(Ordering::SeqCst)), (0, 1));
        assert!(take(&outbox).1.contains(":1"));
        assert!(take(&outbox).1.contains(":2"));
    }

    #[tokio::test]
    async fn a_select_that_often_chooses_another_branch_loses_nothing() {
        let outbox = Arc::new(Outbox::new(OutboxLimits { len_max: 10_000, bytes_max: 1 << 20 }));
        let (other, pushed) = (outbox.clone(), 2_000);
        let pusher = tokio::spawn(async move {
            for t in 0..pushed {
                other.push(pong(t), t % 3 == 0);
                if t % 7 == 0 {
                    tokio::task::yield_now().await;
                }
            }
            other.close(Goodbye { code: 1000, reason: "" });
        });
        let mut got = Vec::new();
        loop {
            tokio::select! {
                () = tokio::task::yield_now() => {}
                next = outbox.next() => match next {
                    Next::Message(item) => got.push(item.text),
                    Next::Close(_) => break,
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
    fn an_empty_outbox_is_small_and_owns_nothing() {
        assert!(size_of::<Outbox>() <= 192, "{}", size_of::<Outbox>());
        let outbox = Outbox::new(LIMITS);
        outbox.push(offer(1), true);
        take(&outbox);
        outbox.acknowledged(1);
        let state = outbox.lock();
        assert_eq!((state.queue.capacity(), state.carried.capacity()), (0, 0));
    }
}
