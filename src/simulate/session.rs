//! A friend's session in the server: what `serve::friend` and `live::sessions` do. It gives no verdict on an open job:
//! it takes a place in the mailbox, tries the word in the friend's hand, and reports whether it was first.

use std::collections::VecDeque;

use kiez_protocol::friend::{FriendFrame, FriendMessage, LostReason, Verdict};
use kiez_protocol::ids::{Key, OfferId, SessionId};
use kiez_protocol::place::Point;
use kiez_protocol::refusal::Code;

use super::faults::Mutation;
use super::house::House;
use super::link::LineNo;
use super::model::Checked;
use super::streets::{FriendNo, Placed, friend_id};
use super::world::{Event, World};
use crate::dispatch::claim::{Closed, Word};
use crate::dispatch::effect::InHand;
use crate::dispatch::input::Input;

#[derive(Debug)]
pub(crate) struct Session {
    pub line: LineNo,
    pub id: SessionId,
    pub hand: Vec<InHand>,
    numbered: u64,
    /// Offers that were sent and not acknowledged, with the number of their message.
    carried: VecDeque<(u64, OfferId)>,
    // The friend has asked to go on duty: a fix right behind it waits until the duty is committed.
    going_on: bool,
    held_fix: Option<Point>,
}

impl Session {
    pub fn new(line: LineNo, id: SessionId) -> Session {
        let (hand, carried) = (Vec::new(), VecDeque::new());
        Session { line, id, hand, numbered: 0, carried, going_on: false, held_fix: None }
    }

    /// An owed message is numbered; it carries the offers whose arrival its acknowledgement proves.
    pub fn number(&mut self, message: &FriendMessage) {
        self.numbered += 1;
        let number = self.numbered;
        match message {
            FriendMessage::Offer(offer) => self.carried.push_back((number, offer.offer)),
            FriendMessage::Snapshot(snapshot) => {
                self.carried.extend(snapshot.offers.iter().map(|offer| (number, offer.offer)));
            }
            FriendMessage::OfferUpdate(update) => {
                self.carried.extend(update.renewed.iter().map(|offer| (number, offer.offer)));
            }
            _ => {}
        }
    }

    fn acknowledged(&mut self, number: u64) -> Vec<OfferId> {
        let arrived = self.carried.partition_point(|(carrier, _)| *carrier <= number);
        self.carried.drain(..arrived).map(|(_, offer)| offer).collect()
    }

    pub fn hold(&mut self, in_hand: InHand) {
        match self.hand.iter_mut().find(|held| held.offer == in_hand.offer) {
            Some(held) => *held = in_hand,
            None => self.hand.push(in_hand),
        }
    }
}

/// Which messages an app acknowledges.
pub(crate) fn is_owed(message: &FriendMessage) -> bool {
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
        | FriendMessage::CapNear(_)
        | FriendMessage::SettingsResult { .. }
        | FriendMessage::Account { .. }
        | FriendMessage::Duty(_) => true,
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

impl World {
    /// A frame has arrived on a session's line.
    pub(crate) fn frame(&mut self, house: &mut House, friend: FriendNo, line: LineNo, frame: FriendFrame) -> Checked {
        let Some(session) = house.sessions.get_mut(&friend).filter(|session| session.line == line) else {
            return Ok(());
        };
        let (id, received_at) = (friend_id(friend), self.now);
        let (input, key) = match frame {
            FriendFrame::Fix { lat, lng, .. } => {
                if let Ok(at) = Point::new(lat, lng) {
                    self.fix(house, friend, at);
                }
                return Ok(());
            }
            FriendFrame::Accept { offer, revision, key } => return self.accept(house, friend, offer, revision, key),
            FriendFrame::Ack { seq } => {
                let offers = session.acknowledged(seq);
                if offers.is_empty() {
                    return Ok(());
                }
                (Input::Delivered { friend: id, offers }, None)
            }
            FriendFrame::Seen { offer } => (Input::Delivered { friend: id, offers: vec![offer] }, None),
            FriendFrame::Duty { on, until, key } => {
                if until.is_some_and(|until| until <= received_at) {
                    self.refuse(house, friend, Code::Invalid, key);
                    return Ok(());
                }
                session.going_on = on;
                session.held_fix = None;
                (Input::Duty { friend: id, on, until, key, received_at }, key)
            }
            FriendFrame::Decline { offer, reason, key } => {
                (Input::Declined { friend: id, offer, reason, key, received_at }, key)
            }
            FriendFrame::Ask { offer, text, key } => (Input::Asked { friend: id, offer, text, key, received_at }, key),
            FriendFrame::Propose { offer, windows, key } => {
                (Input::Proposed { friend: id, offer, windows, key, received_at }, Some(key))
            }
            FriendFrame::Message { job, text, key } => {
                (Input::FriendWrote { friend: id, job, text, key, received_at }, Some(key))
            }
            FriendFrame::Undo { offer, key } => (Input::Undone { friend: id, offer, key, received_at }, key),
            FriendFrame::Visit { job, event, key, at, reason } => {
                (Input::Visited { friend: id, job, event, key, at, reason, received_at }, Some(key))
            }
            // The people of this city have no tokens, leave their settings, and their pings are in how lines break; what they
            // missed they read in the ledger.
            FriendFrame::Hello { .. }
            | FriendFrame::Settings { .. }
            | FriendFrame::Ping { .. }
            | FriendFrame::Refresh { .. }
            | FriendFrame::Missed { .. }
            | FriendFrame::WhyNot { .. } => return Ok(()),
        };
        if self.put(house, input).is_err() {
            self.refuse(house, friend, Code::Unavailable, key);
        }
        Ok(())
    }

    /// A place in the mailbox first, then the word, so that a first is certainly in the mailbox.
    fn accept(&mut self, house: &mut House, friend: FriendNo, offer: OfferId, revision: u32, key: Key) -> Checked {
        // A verdict is a verdict: the same accept hears the same.
        if let Some((result, reason)) = house.verdict_on(friend, offer, key) {
            return self.verdict(house, friend, offer, key, result, reason);
        }
        if !house.has_permit() {
            return self.verdict(house, friend, offer, key, Verdict::TryAgain, None);
        }
        let session = house.sessions.get(&friend).expect("its frame has just come");
        let in_hand = session.hand.iter().find(|held| held.offer == offer);
        // An accept of an older revision leaves the word to others.
        let in_hand = in_hand.filter(|held| held.revision == revision);
        if let Some(held) = in_hand.filter(|held| held.claim.look() == Word::Open) {
            house.book.firsts.entry(held.job).or_default().insert(offer);
        }
        let slow = self.setting.mutation == Some(Mutation::SlowAccept);
        let word = in_hand.filter(|_| !slow).map(|held| (held.claim.take(held.seat), held.seat));
        let lost = |reason| (Verdict::Lost, Some(reason));
        let told = match word {
            Some((Word::Open, _)) => Err(true),
            Some((Word::Settled(winner), seat)) if winner == seat => Ok((Verdict::Won, None)),
            Some((Word::Settled(_), _)) => Ok(lost(LostReason::Taken)),
            Some((Word::Closed(Closed::Cancelled), _)) => Ok(lost(LostReason::JobCancelled)),
            Some((Word::Closed(Closed::Expired), _)) => Ok(lost(LostReason::Expired)),
            Some((Word::Closed(Closed::Paused), _)) => Ok(lost(LostReason::Paused)),
            Some((Word::Closed(Closed::Edited) | Word::Taken(_) | Word::Retired, _)) | None => Err(false),
        };
        match told {
            Ok((result, reason)) => self.verdict(house, friend, offer, key, result, reason),
            Err(first) => {
                let (profile, received_at) = (self.people[friend].profile.clone(), self.now);
                let input = Input::Accepted { friend: profile, offer, key, revision, received_at, first };
                if slow {
                    self.plan(30_000, Event::SlowAccept(house.number, Box::new(input)));
                } else {
                    self.put_accept(house, input);
                }
                Ok(())
            }
        }
    }

    fn verdict(
        &mut self,
        house: &mut House,
        friend: FriendNo,
        offer: OfferId,
        key: Key,
        result: Verdict,
        reason: Option<LostReason>,
    ) -> Checked {
        self.tell_friend(house, friend_id(friend), FriendMessage::AcceptResult { offer, key, result, reason })
    }

    fn refuse(&mut self, house: &mut House, friend: FriendNo, code: Code, key: Option<Key>) {
        let message_key = "error.refused".to_owned();
        let message = FriendMessage::Error { code, key, offer: None, job: None, message_key, allowed: Vec::new() };
        self.send(house, friend, message);
    }

    /// A position goes straight to the streets, where only the newest counts. Off duty it is dropped at the door.
    fn fix(&mut self, house: &mut House, friend: FriendNo, at: Point) {
        let session = house.sessions.get_mut(&friend).expect("its frame has just come");
        if house.streets.records[friend].on_duty {
            session.held_fix = None;
            self.place(house, friend, at);
        } else if session.going_on {
            session.held_fix = Some(at);
        } else {
            self.send(house, friend, FriendMessage::StopLocation);
        }
    }

    fn place(&mut self, house: &mut House, friend: FriendNo, at: Point) {
        if house.streets.place(friend, at, self.now) == Placed::First {
            // Not told for want of room: the next look of a hungry job finds them.
            let _ = self.put(house, Input::Placed { friend: friend_id(friend) });
        }
    }

    /// A duty is committed: the fix that came right behind it can be placed.
    pub(crate) fn duty_stands(&mut self, house: &mut House, friend: FriendNo, on: bool) {
        house.streets.set_duty(friend, on, self.now);
        let held = house.sessions.get_mut(&friend).and_then(|session| session.held_fix.take());
        if let Some(at) = held {
            if on {
                self.place(house, friend, at);
            } else if let Some(session) = house.sessions.get_mut(&friend).filter(|session| session.going_on) {
                session.held_fix = Some(at);
            }
        }
    }

    /// Hands a message to the friend's session, if there is one.
    pub(crate) fn send(&mut self, house: &mut House, friend: FriendNo, message: FriendMessage) {
        let Some(session) = house.sessions.get_mut(&friend) else { return };
        if is_owed(&message) {
            session.number(&message);
        }
        let (line, id) = (session.line, session.id);
        self.model.hears(friend_id(friend), id, &message);
        self.send_down(line, message);
    }
}
