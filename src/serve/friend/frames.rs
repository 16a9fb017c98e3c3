//! What each frame of a friend does. A frame that cannot be taken is answered and the socket stays; only what is no frame
//! at all, or far too many of them, ends it. No verdict is given here on an open job: the session takes the claim word and
//! reports whether it was first.

use kiez_protocol::friend::{FRIEND_FRAME_TYPES, FriendFrame, FriendMessage, LostReason, ToldVerdict, Verdict};
use kiez_protocol::ids::{JobId, Key, OfferId};
use kiez_protocol::partner::Window;
use kiez_protocol::refusal::{Code, close};
use kiez_protocol::talk::{MESSAGE_CHARS_MAX, PROPOSED_MAX, QUESTION_CHARS_MAX};

use super::hindsight::Question;
use super::session::Session;
use crate::dispatch::claim::{Closed, Word};
use crate::dispatch::input::Input;
use crate::live::backlog::NeverSent;
use crate::live::outbox::Goodbye;
use crate::metrics;

/// A reason is at most so long, characters.
const REASON_CHARS_MAX: usize = 300;

/// An accept without a verdict after this is told to be pending, ms.
const PENDING_MS: i64 = 100;

const RESYNC: Goodbye = Goodbye { code: close::RESYNC, reason: "an acknowledgement of what was never sent" };
const TOO_FAST: Goodbye = Goodbye { code: close::TOO_FAST, reason: "too many frames" };

impl Session {
    /// One frame. A refusal is answered and the socket stays.
    ///
    /// # Errors
    /// What ends the session.
    pub fn frame(&mut self, text: &str) -> Result<(), Goodbye> {
        let Ok(frame) = serde_json::from_str::<FriendFrame>(text) else { return self.unfit(text) };
        metrics::frame(kind_of(&frame));
        let (now, limits) = (self.app.clock.elapsed_ms(), &self.app.limits);
        let in_time = match &frame {
            FriendFrame::Fix { .. } => self.paces.take_fix(now, limits),
            FriendFrame::Accept { .. } => self.paces.take_accept(now, limits),
            FriendFrame::Settings { .. } => self.paces.take_settings(now, limits),
            FriendFrame::Hello { .. }
            | FriendFrame::Duty { .. }
            | FriendFrame::Seen { .. }
            | FriendFrame::Decline { .. }
            | FriendFrame::Ask { .. }
            | FriendFrame::Propose { .. }
            | FriendFrame::Message { .. }
            | FriendFrame::Undo { .. }
            | FriendFrame::Visit { .. }
            | FriendFrame::Missed { .. }
            | FriendFrame::WhyNot { .. }
            | FriendFrame::Ack { .. }
            | FriendFrame::Ping { .. }
            | FriendFrame::Refresh { .. } => self.paces.take_frame(now, limits),
        };
        if in_time {
            return self.act(frame);
        }
        metrics::frame_refused("too_fast");
        if !self.paces.take_refusal(now, limits) {
            return Err(TOO_FAST);
        }
        match frame {
            FriendFrame::Fix { lat, lng, accuracy_m, at } => self.fix_too_soon(lat, lng, accuracy_m, at),
            frame => self.refuse(Code::TooMany, key_of(&frame), None, "error.too_many"),
        }
        Ok(())
    }

    fn act(&mut self, frame: FriendFrame) -> Result<(), Goodbye> {
        let (friend, received_at) = (self.friend(), self.app.clock.now());
        let key = key_of(&frame);
        let input = match frame {
            FriendFrame::Hello { .. } => {
                self.refuse(Code::WrongState, None, None, "error.hello_twice");
                return Ok(());
            }
            FriendFrame::Fix { lat, lng, accuracy_m, at } => {
                self.fix(lat, lng, accuracy_m, at);
                return Ok(());
            }
            FriendFrame::Accept { offer, revision, key } => {
                self.accept(offer, revision, key);
                return Ok(());
            }
            FriendFrame::Ping { t } => {
                self.outbox.push(FriendMessage::Pong { t }, false);
                return Ok(());
            }
            FriendFrame::Settings { settings, key } => {
                self.settings(settings, key);
                return Ok(());
            }
            FriendFrame::Refresh { token } => {
                self.refresh(&token);
                return Ok(());
            }
            FriendFrame::Missed { since } => {
                self.look_back(Question::Missed { since });
                return Ok(());
            }
            FriendFrame::WhyNot { missed } => {
                self.look_back(Question::Why { missed });
                return Ok(());
            }
            FriendFrame::Ack { seq } => match self.outbox.acknowledged(seq) {
                Ok(offers) if offers.is_empty() => return Ok(()),
                Ok(offers) => Input::Delivered { friend, offers },
                // What else the app believes to have heard nobody knows.
                Err(NeverSent) => return Err(RESYNC),
            },
            FriendFrame::Seen { offer } => Input::Delivered { friend, offers: vec![offer] },
            FriendFrame::Duty { on, until, key } => {
                if until.is_some_and(|until| until <= received_at) {
                    self.refuse(Code::Invalid, key, None, "error.until_is_past");
                    return Ok(());
                }
                self.going_on = on;
                self.held_fix = None;
                Input::Duty { friend, on, until, key, received_at }
            }
            FriendFrame::Decline { offer, reason, key } => Input::Declined { friend, offer, reason, key, received_at },
            FriendFrame::Ask { offer, text, key } => {
                if !says_something(&text, QUESTION_CHARS_MAX) {
                    self.refuse(Code::Invalid, key, Some(offer), "error.text_length");
                    return Ok(());
                }
                Input::Asked { friend, offer, text, key, received_at }
            }
            FriendFrame::Propose { offer, windows, key } => {
                let fits = |window: &Window| window.from < window.to && window.to > received_at;
                if !(1..=PROPOSED_MAX).contains(&windows.len()) || !windows.iter().all(fits) {
                    self.refuse(Code::Invalid, Some(key), Some(offer), "error.windows");
                    return Ok(());
                }
                Input::Proposed { friend, offer, windows, key, received_at }
            }
            FriendFrame::Message { job, text, key } => {
                if !says_something(&text, MESSAGE_CHARS_MAX) {
                    self.refuse(Code::Invalid, Some(key), None, "error.text_length");
                    return Ok(());
                }
                Input::FriendWrote { friend, job, text, key, received_at }
            }
            FriendFrame::Undo { offer, key } => Input::Undone { friend, offer, key, received_at },
            FriendFrame::Visit { job, event, key, at, reason } => {
                if reason.as_ref().is_some_and(|reason| reason.chars().count() > REASON_CHARS_MAX) {
                    self.refuse(Code::Invalid, Some(key), None, "error.reason_too_long");
                    return Ok(());
                }
                // Postgres cannot store it, and a record that is refused costs more than this answer.
                if reason.as_ref().is_some_and(|reason| reason.contains('\0')) {
                    self.refuse(Code::Invalid, Some(key), None, "error.unfit_field");
                    return Ok(());
                }
                Input::Visited { friend, job, event, key, at, reason, received_at }
            }
        };
        if self.app.mailbox.send(input).is_err() {
            self.refuse(Code::Unavailable, key, None, "error.try_again");
        }
        Ok(())
    }

    /// An accept: a place in the mailbox first, then the word, so that a first is certainly in the mailbox.
    fn accept(&mut self, offer: OfferId, revision: u32, key: Key) {
        // A verdict is a verdict: the same accept hears the same.
        if let Some((result, reason)) = self.app.live.verdicts.of(self.friend(), offer, key) {
            tracing::debug!(%offer, result = result.as_str(), "a verdict is told again");
            return self.verdict(offer, key, result, reason);
        }
        let in_hand = self.app.live.sessions.in_hand(self.friend(), offer);
        let job = in_hand.as_ref().map(|held| held.job);
        // The profile of this moment: what was good at hello may not be any more.
        let Some(friend) = self.app.live.directory.friend(self.friend()) else {
            return self.refuse(Code::Forbidden, Some(key), Some(offer), "error.refused");
        };
        let Some(permit) = self.app.mailbox.accept_permit() else {
            return self.verdict_on(job, offer, key, Verdict::TryAgain, None);
        };
        let received_at = self.app.clock.now();
        // An accept of an older revision leaves the word to others.
        let word = in_hand.filter(|held| held.revision == revision).map(|held| (held.claim.take(held.seat), held.seat));
        let first = match word {
            Some((Word::Open, _)) => true,
            Some((Word::Settled(winner), seat)) if winner == seat => {
                return self.verdict_on(job, offer, key, Verdict::Won, None);
            }
            Some((Word::Settled(_), _)) => {
                return self.verdict_on(job, offer, key, Verdict::Lost, Some(LostReason::Taken));
            }
            Some((Word::Closed(Closed::Cancelled), _)) => {
                return self.verdict_on(job, offer, key, Verdict::Lost, Some(LostReason::JobCancelled));
            }
            Some((Word::Closed(Closed::Expired), _)) => {
                return self.verdict_on(job, offer, key, Verdict::Lost, Some(LostReason::Expired));
            }
            Some((Word::Closed(Closed::Paused), _)) => {
                return self.verdict_on(job, offer, key, Verdict::Lost, Some(LostReason::Paused));
            }
            Some((Word::Closed(Closed::Edited) | Word::Taken(_) | Word::Retired, _)) | None => false,
        };
        let now = self.app.clock.elapsed_ms();
        self.outbox.await_verdict(offer, key, now);
        permit.send(Input::Accepted { friend, offer, key, revision, received_at, first });
        self.wake_at(now + PENDING_MS);
    }

    /// A verdict that needs nobody else: the word is settled or closed, or there is no room to ask.
    fn verdict_on(&self, job: Option<JobId>, offer: OfferId, key: Key, result: Verdict, reason: Option<LostReason>) {
        let (friend, job) = (self.friend(), job.map(tracing::field::display));
        let (told, because) = (result.as_str(), reason.map(LostReason::as_str));
        tracing::info!(job, %friend, %offer, result = told, reason = because, "verdict");
        self.verdict(offer, key, result, reason);
    }

    fn verdict(&self, offer: OfferId, key: Key, result: Verdict, reason: Option<LostReason>) {
        metrics::verdict(result, reason);
        let told = ToldVerdict { offer, key, result, reason, at: self.app.clock.now() };
        self.app.live.verdicts.note(self.friend(), told);
        self.outbox.push(FriendMessage::AcceptResult { offer, key, result, reason }, true);
    }

    /// Tells the app of accepts that have waited for their verdict long enough to say so.
    pub fn tell_pending(&mut self) {
        let (offers, next) = self.outbox.pending(self.app.clock.elapsed_ms(), PENDING_MS);
        for offer in offers {
            self.outbox.push(FriendMessage::AcceptPending { offer }, false);
        }
        if let Some(next) = next {
            self.wake_at(next);
        }
    }

    /// A text that is no frame of ours: an unknown type or an unfit field is answered; what is not an object with a
    /// `type` ends the session.
    fn unfit(&mut self, text: &str) -> Result<(), Goodbye> {
        let value: serde_json::Value = serde_json::from_str(text).map_err(|_| bad_frame("the frame is not JSON"))?;
        let kind = value.get("type").and_then(serde_json::Value::as_str);
        let kind = kind.ok_or(bad_frame("the frame has no type"))?;
        let now = self.app.clock.elapsed_ms();
        if !self.paces.take_frame(now, &self.app.limits) && !self.paces.take_refusal(now, &self.app.limits) {
            return Err(TOO_FAST);
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

    /// Answers a frame with a refusal. It is owed where the app keeps the frame until it is answered.
    pub fn refuse(&self, code: Code, key: Option<Key>, offer: Option<OfferId>, message_key: &str) {
        let message_key = message_key.to_owned();
        let owed = key.is_some();
        self.outbox.push(FriendMessage::Error { code, key, offer, job: None, message_key, allowed: Vec::new() }, owed);
    }
}

/// Whether a text has something to say and no more than so many characters. Postgres has no place for a NUL.
fn says_something(text: &str, chars_max: usize) -> bool {
    !text.trim().is_empty() && text.chars().count() <= chars_max && !text.contains('\0')
}

fn bad_frame(reason: &'static str) -> Goodbye {
    Goodbye { code: close::BAD_FRAME, reason }
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
        FriendFrame::Ask { .. } => "ask",
        FriendFrame::Propose { .. } => "propose",
        FriendFrame::Message { .. } => "message",
        FriendFrame::Undo { .. } => "undo",
        FriendFrame::Visit { .. } => "visit",
        FriendFrame::Missed { .. } => "missed",
        FriendFrame::WhyNot { .. } => "why_not",
        FriendFrame::Ack { .. } => "ack",
        FriendFrame::Ping { .. } => "ping",
        FriendFrame::Settings { .. } => "settings",
        FriendFrame::Refresh { .. } => "refresh",
    }
}

fn key_of(frame: &FriendFrame) -> Option<Key> {
    match frame {
        FriendFrame::Accept { key, .. }
        | FriendFrame::Visit { key, .. }
        | FriendFrame::Propose { key, .. }
        | FriendFrame::Message { key, .. } => Some(*key),
        FriendFrame::Duty { key, .. }
        | FriendFrame::Decline { key, .. }
        | FriendFrame::Undo { key, .. }
        | FriendFrame::Ask { key, .. }
        | FriendFrame::Settings { key, .. } => *key,
        FriendFrame::Hello { .. }
        | FriendFrame::Fix { .. }
        | FriendFrame::Seen { .. }
        | FriendFrame::Missed { .. }
        | FriendFrame::WhyNot { .. }
        | FriendFrame::Ack { .. }
        | FriendFrame::Ping { .. }
        | FriendFrame::Refresh { .. } => None,
    }
}
