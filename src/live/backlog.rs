//! What one session owes its friend: messages with numbers, in order, and a mark between those that were handed to the
//! writer and those that wait. An acknowledgement takes from the front; a resume moves the mark back, and all that is left
//! goes out again under the same numbers. Among those that wait there may be passing ones, which have no number.
//!
//! Plain data without a lock; the outbox has that.

use std::collections::VecDeque;

use bytes::Bytes;
use kiez_protocol::friend::FriendMessage;
use kiez_protocol::ids::OfferId;

/// How much may wait, and how much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboxLimits {
    /// Messages that wait for the writer, at least 1.
    pub len_max: u32,
    /// Bytes of text that wait, where more than one message does.
    pub bytes_max: u32,
    /// Messages kept for a resume.
    pub kept_len_max: u32,
    /// Bytes kept for a resume.
    pub kept_bytes_max: u32,
}

impl Default for OutboxLimits {
    fn default() -> OutboxLimits {
        OutboxLimits { len_max: 64, bytes_max: 64 * 1024, kept_len_max: 64, kept_bytes_max: 64 * 1024 }
    }
}

/// An acknowledgement of something that was never sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeverSent;

/// Messages of one session. Holds no allocation while it is empty.
#[derive(Debug, Default)]
pub struct Backlog {
    // First those handed over, all of them owed; behind them those that wait.
    items: VecDeque<Item>,
    handed: usize,
    // The sums over those that wait, and over those handed over.
    waiting_bytes: usize,
    kept_bytes: usize,
    // The number last given.
    numbered: u64,
    // The highest number that was ever handed over.
    sent: u64,
    // What has this number or a lower one cannot go out again: acknowledged, or given up for want of room.
    gone: u64,
}

#[derive(Debug)]
struct Item {
    /// Its number, if it is owed.
    seq: Option<u64>,
    /// The envelope as JSON: UTF-8. Empty if it was given up; then it stands here for its offers only.
    text: Bytes,
    /// Offers whose arrival its acknowledgement proves.
    offers: Vec<OfferId>,
}

impl Backlog {
    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.items.len() - self.handed
    }

    /// Puts a message behind those that wait, whether it fits or not. An owed one gets the next number, from 1.
    pub fn push(&mut self, text: Vec<u8>, owed: bool, offers: Vec<OfferId>) {
        let (seq, text) = if owed {
            self.numbered += 1;
            (Some(self.numbered), numbered(self.numbered, &text))
        } else {
            (None, text.into())
        };
        self.waiting_bytes += text.len();
        self.items.push_back(Item { seq, text, offers });
    }

    /// Whether more waits than a socket that takes anything at all would let wait. One long message alone is no sign: a
    /// snapshot must be able to leave, whatever is in it.
    pub fn is_full(&self, limits: OutboxLimits) -> bool {
        let waiting = self.waiting();
        waiting > limits.len_max as usize || (waiting > 1 && self.waiting_bytes > limits.bytes_max as usize)
    }

    /// The next text that waits. One that is owed is kept.
    pub fn hand_over(&mut self, limits: OutboxLimits) -> Option<Bytes> {
        let item = self.items.get(self.handed)?;
        let (text, seq) = (item.text.clone(), item.seq);
        self.waiting_bytes -= text.len();
        match seq {
            Some(seq) => {
                self.handed += 1;
                self.kept_bytes += text.len();
                self.sent = self.sent.max(seq);
                self.give_up(limits.kept_len_max as usize, limits.kept_bytes_max as usize);
            }
            None => {
                self.items.remove(self.handed);
                self.shrink();
            }
        }
        Some(text)
    }

    /// The app has received everything up to `seq`. Returns the offers whose arrival that proves, each once.
    ///
    /// # Errors
    /// [`NeverSent`] for a number beyond all that was handed over.
    pub fn acknowledged(&mut self, seq: u64) -> Result<Vec<OfferId>, NeverSent> {
        if seq > self.sent {
            return Err(NeverSent);
        }
        let (mut arrived, mut at, handed) = (Vec::new(), 0, self.handed);
        self.items.retain_mut(|item| {
            let was_handed = at < handed;
            at += 1;
            if item.seq.is_none_or(|number| number > seq) {
                return true;
            }
            arrived.append(&mut item.offers);
            // One that waits to be sent again may have arrived the first time.
            let bytes = if was_handed { &mut self.kept_bytes } else { &mut self.waiting_bytes };
            *bytes -= item.text.len();
            self.handed -= usize::from(was_handed);
            false
        });
        self.gone = self.gone.max(seq);
        self.shrink();
        Ok(arrived)
    }

    /// Gives up the oldest of those handed over until so many messages and bytes are left: the app has them, as a rule,
    /// and has not said so yet. Messages that are too long keep their place, so that their offers can still arrive.
    fn give_up(&mut self, len_max: usize, bytes_max: usize) {
        while self.handed > len_max {
            let item = self.pop_handed();
            self.gone = self.gone.max(item.seq.unwrap_or(0));
        }
        for item in self.items.iter_mut().take(self.handed) {
            if self.kept_bytes <= bytes_max {
                break;
            }
            self.kept_bytes -= item.text.len();
            self.gone = self.gone.max(item.seq.unwrap_or(0));
            item.text = Bytes::new();
        }
        self.shrink();
    }

    /// Whether all that is left is within what may be kept, once those handed over have made room.
    pub fn fits(&mut self, limits: OutboxLimits) -> bool {
        let (len_max, bytes_max) = (limits.kept_len_max as usize, limits.kept_bytes_max as usize);
        let (waiting, bytes) = (self.items.len() - self.handed, self.waiting_bytes);
        if waiting > len_max || bytes > bytes_max {
            return false;
        }
        self.give_up(len_max - waiting, bytes_max - bytes);
        true
    }

    fn pop_handed(&mut self) -> Item {
        let item = self.items.pop_front().expect("the caller has seen that one is there");
        self.handed -= 1;
        self.kept_bytes -= item.text.len();
        item
    }

    /// Drops what is worth nothing a moment later.
    pub fn only_owed(&mut self) {
        self.items.retain(|item| item.seq.is_some());
        self.waiting_bytes = self.items.iter().skip(self.handed).map(|item| item.text.len()).sum();
        self.shrink();
    }

    /// Begins again behind `last_seq`, with `welcome` in front: everything owed from there on waits again. None if that
    /// cannot be: it was never sent, it is not kept any more, or there is more than may be kept.
    pub fn rewind(&mut self, last_seq: u64, welcome: Vec<u8>, limits: OutboxLimits) -> Option<Vec<OfferId>> {
        if last_seq < self.gone {
            return None;
        }
        let arrived = self.acknowledged(last_seq).ok()?;
        self.only_owed();
        if !self.fits(limits) || last_seq < self.gone {
            return None;
        }
        self.waiting_bytes += self.kept_bytes + welcome.len();
        (self.handed, self.kept_bytes) = (0, 0);
        self.items.push_front(Item { seq: None, text: welcome.into(), offers: Vec::new() });
        Some(arrived)
    }

    /// Whether it has no memory of its own.
    #[cfg(test)]
    pub fn owns_nothing(&self) -> bool {
        self.items.capacity() == 0
    }

    /// Gives everything up.
    pub fn clear(&mut self) {
        self.items = VecDeque::new();
        (self.handed, self.waiting_bytes, self.kept_bytes) = (0, 0, 0);
        self.gone = self.numbered;
    }

    fn shrink(&mut self) {
        if self.items.is_empty() {
            self.items = VecDeque::new();
        }
    }
}

/// The text of an owed message: the message's own object, with its number in front.
fn numbered(seq: u64, message: &[u8]) -> Bytes {
    let (open, rest) = message.split_first().expect("an object has a brace");
    debug_assert_eq!(*open, b'{');
    let mut text = Vec::with_capacity(message.len() + 28);
    text.extend_from_slice(format!("{{\"seq\":{seq},").as_bytes());
    text.extend_from_slice(rest);
    text.into()
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
        | FriendMessage::Answer { .. }
        | FriendMessage::Message(_)
        | FriendMessage::Done { .. }
        | FriendMessage::Duty(_)
        | FriendMessage::CapNear(_)
        | FriendMessage::SettingsResult { .. }
        | FriendMessage::Account { .. } => true,
        // A refusal is owed where the app keeps the frame until it is answered.
        FriendMessage::Error { key, .. } => key.is_some(),
        FriendMessage::Welcome(_)
        | FriendMessage::AcceptPending { .. }
        | FriendMessage::Pong { .. }
        | FriendMessage::Expiring { .. }
        | FriendMessage::Refreshed { .. }
        | FriendMessage::StopLocation
        | FriendMessage::DutyEnding { .. }
        | FriendMessage::Missed(_)
        | FriendMessage::Why(_)
        | FriendMessage::Draining { .. } => false,
    }
}

/// The offers whose arrival the message's acknowledgement proves.
pub fn offers_in(message: &FriendMessage) -> Vec<OfferId> {
    match message {
        FriendMessage::Offer(offer) => vec![offer.offer],
        FriendMessage::Snapshot(snapshot) => snapshot.offers.iter().map(|offer| offer.offer).collect(),
        FriendMessage::OfferUpdate(update) => update.renewed.iter().map(|offer| offer.offer).collect(),
        FriendMessage::Welcome(_)
        | FriendMessage::OfferClosed { .. }
        | FriendMessage::AcceptPending { .. }
        | FriendMessage::AcceptResult { .. }
        | FriendMessage::Job(_)
        | FriendMessage::Answer { .. }
        | FriendMessage::Message(_)
        | FriendMessage::Done { .. }
        | FriendMessage::Error { .. }
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
        | FriendMessage::Draining { .. } => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use kiez_protocol::friend::ClosedReason;
    use uuid::Uuid;

    use super::*;

    const LIMITS: OutboxLimits = OutboxLimits { len_max: 4, bytes_max: 4_000, kept_len_max: 4, kept_bytes_max: 4_000 };

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

    fn id(number: u128) -> OfferId {
        OfferId(Uuid::from_u128(number))
    }

    fn push(backlog: &mut Backlog, message: &FriendMessage) {
        let text = serde_json::to_vec(message).expect("plain values");
        backlog.push(text, true, offers_in(message));
    }

    fn hand_over(backlog: &mut Backlog, limits: OutboxLimits) -> usize {
        std::iter::from_fn(|| backlog.hand_over(limits)).count()
    }

    #[test]
    fn an_acknowledgement_proves_the_offers_it_covers_once() {
        let mut backlog = Backlog::default();
        push(&mut backlog, &offer(1));
        push(&mut backlog, &FriendMessage::OfferClosed { offer: id(1), reason: ClosedReason::Taken });
        push(&mut backlog, &offer(2));
        assert_eq!(backlog.acknowledged(1), Err(NeverSent), "nothing was handed over yet");
        assert!(backlog.hand_over(LIMITS).is_some() && backlog.hand_over(LIMITS).is_some());
        assert_eq!(backlog.acknowledged(3), Err(NeverSent), "the third still waits");
        assert_eq!(backlog.acknowledged(2), Ok(vec![id(1)]));
        assert!(backlog.hand_over(LIMITS).is_some());
        assert_eq!(backlog.acknowledged(2), Ok(vec![]));
        assert_eq!(backlog.acknowledged(3), Ok(vec![id(2)]));
        assert_eq!(backlog.acknowledged(3), Ok(vec![]));
        assert!(backlog.owns_nothing());
    }

    #[test]
    fn an_app_that_never_acknowledges_keeps_no_more_than_the_bound() {
        let mut backlog = Backlog::default();
        let limits = OutboxLimits { kept_bytes_max: 1_500, ..LIMITS };
        for number in 1..=100 {
            push(&mut backlog, &offer(number));
            hand_over(&mut backlog, limits);
        }
        assert_eq!(backlog.items.len(), 4);
        assert!((1..=1_500).contains(&backlog.kept_bytes), "{}", backlog.kept_bytes);
        // What was given up for its length can still be acknowledged, and cannot be sent again.
        let given_up = backlog.items.iter().filter(|item| item.text.is_empty()).count();
        assert!((1..4).contains(&given_up), "{given_up}");
        assert_eq!(backlog.rewind(96 + given_up as u64 - 1, Vec::new(), limits), None);
        assert_eq!(backlog.acknowledged(100), Ok((97..=100).map(id).collect()));
    }

    #[test]
    fn a_message_longer_than_all_that_is_kept_arrives_all_the_same() {
        let mut backlog = Backlog::default();
        let limits = OutboxLimits { kept_bytes_max: 100, ..LIMITS };
        push(&mut backlog, &offer(1));
        assert!(backlog.hand_over(limits).is_some_and(|text| text.len() > 100));
        assert_eq!((backlog.kept_bytes, backlog.gone), (0, 1));
        assert_eq!(backlog.acknowledged(1), Ok(vec![id(1)]));
    }

    #[test]
    fn the_mark_goes_back_and_the_numbers_stay() {
        let mut backlog = Backlog::default();
        for number in 1..=3 {
            push(&mut backlog, &offer(number));
        }
        assert_eq!(hand_over(&mut backlog, LIMITS), 3);
        assert_eq!(backlog.rewind(4, Vec::new(), LIMITS), None, "never sent");
        assert_eq!(backlog.rewind(1, b"{}".to_vec(), LIMITS), Some(vec![id(1)]));
        assert_eq!((backlog.waiting(), backlog.kept_bytes), (3, 0));
        let first = backlog.hand_over(LIMITS).expect("the welcome");
        assert_eq!(&first[..], b"{}");
        let second = backlog.hand_over(LIMITS).expect("what the app has not seen");
        assert!(second.starts_with(br#"{"seq":2,"type":"offer""#));
        assert_eq!(backlog.acknowledged(3), Ok(vec![id(2), id(3)]), "it was sent before, on another socket");
        assert_eq!((hand_over(&mut backlog, LIMITS), backlog.owns_nothing()), (0, true));
        push(&mut backlog, &offer(4));
        assert!(backlog.hand_over(LIMITS).expect("one more").starts_with(br#"{"seq":4,"#));
    }
}
