//! Who is told what: the last step of the engine, and what is unsaid when a record was refused.

use kiez_protocol::friend::{FriendMessage, LostReason, ToldVerdict, Verdict};
use kiez_protocol::ids::{FriendId, Key, OfferId};
use kiez_protocol::ops::AlarmKind;
use kiez_protocol::refusal::Code;

use super::faults::Mutation;
use super::house::House;
use super::model::{Checked, text_of};
use super::people::DAY_MS;
use super::streets::friend_no;
use super::world::{Event, World};
use crate::dispatch::effect::{Answer, Message};
use crate::dispatch::input::{Input, Request};

impl World {
    pub(crate) fn tell(&mut self, house: &mut House, message: Message) -> Checked {
        match message {
            Message::Friend { friend, message } => self.tell_friend(house, friend, message),
            Message::Hold { friend, in_hand } => {
                if let Some(session) = house.sessions.get_mut(&friend_no(friend)) {
                    session.hold(in_hand);
                }
                Ok(())
            }
            Message::Release { friend, offer } => {
                if let Some(session) = house.sessions.get_mut(&friend_no(friend)) {
                    session.hand.retain(|held| held.offer != offer);
                }
                Ok(())
            }
            Message::Snapshot { friend, session, mut snapshot, hand, .. } => {
                let number = friend_no(friend);
                match house.sessions.get_mut(&number).filter(|present| present.id == session) {
                    Some(present) => present.hand = hand,
                    None => return Ok(()),
                }
                let told = house.verdicts.get(&number).into_iter().flatten();
                snapshot.verdicts = told.filter(|told| self.now.since(told.at) < DAY_MS).copied().collect();
                self.tell_friend(house, friend, FriendMessage::Snapshot(*snapshot))
            }
            Message::Duty { friend, duty } => {
                self.duty_stands(house, friend_no(friend), duty.on);
                Ok(())
            }
            Message::Answer { request, answer } => self.answer(house, request, answer),
            Message::Settle { job, attempt, claim, seat } => {
                claim.settle(seat);
                house.next.push_back(Input::Settled { job, attempt });
                Ok(())
            }
            Message::LookUp { friend, offer, key } => {
                let wait = self.fate.span_ms(5, 0.8).max(1);
                self.plan(wait, Event::LookedUp(house.number, friend, offer, key));
                Ok(())
            }
            Message::JobSeen(dot) => self.model.public(&text_of(&dot)),
            Message::RaceWon(race) => self.model.public(&text_of(&race)),
            Message::Availability { .. } => Ok(()),
            Message::Alarm { kind, job, .. } => {
                self.note_job(job, || format!("alarm: {kind:?}"));
                self.count.alarms += 1;
                if kind == AlarmKind::Unfilled {
                    self.ops_look(job);
                }
                Ok(())
            }
        }
    }

    pub(crate) fn tell_friend(&mut self, house: &mut House, friend: FriendId, mut message: FriendMessage) -> Checked {
        match (self.setting.mutation, &mut message) {
            (Some(Mutation::StreetInOffer), FriendMessage::Offer(offer)) => {
                offer.district = super::shop::street(7);
            }
            (Some(Mutation::WinnerTwice), FriendMessage::AcceptResult { result, reason, .. })
                if *reason == Some(LostReason::Taken) =>
            {
                (*result, *reason) = (Verdict::Won, None);
            }
            (Some(Mutation::SwallowedVerdict), FriendMessage::AcceptResult { key, .. })
                if key.0.as_u128() % 10 == 3 =>
            {
                return Ok(());
            }
            (Some(Mutation::SwallowedClosing), FriendMessage::OfferClosed { offer, .. })
                if offer.0.as_u128() % 10 == 3 =>
            {
                return Ok(());
            }
            _ => {}
        }
        if let FriendMessage::Answer { job, number, .. } = &message {
            if self.setting.mutation == Some(Mutation::SwallowedReply) && self.count.told.is_multiple_of(3) {
                self.count.told += 1;
                return Ok(());
            }
            house.book.told_reply(friend, *job, *number);
        }
        let text = text_of(&message);
        self.count.told += 1;
        self.stir(text.as_bytes());
        self.noted_told(friend, &message, &text);
        self.model.told(friend, &message, &text)?;
        if let FriendMessage::AcceptResult { offer, key, result, reason } = message {
            house.note_verdict(friend_no(friend), ToldVerdict { offer, key, result, reason, at: self.now });
        }
        self.send(house, friend_no(friend), message);
        Ok(())
    }

    fn answer(&mut self, house: &mut House, request: Request, answer: Answer) -> Checked {
        let Some(asker) = house.askers.remove(&request) else { return Ok(()) };
        self.note_answer(&asker, &answer);
        self.model.answered(&asker.partner, asker.job, &answer)?;
        self.reply(asker.ask, answer);
        Ok(())
    }

    /// A verdict was read from the ledger.
    pub(crate) fn looked_up(&mut self, house: &mut House, friend: FriendId, offer: OfferId, key: Key) -> Checked {
        let away = self.now < self.away_until;
        let message = match self.ledger.verdict(friend, offer, key).filter(|_| !away) {
            Some((result, reason)) => FriendMessage::AcceptResult { offer, key, result, reason },
            None if away => FriendMessage::AcceptResult { offer, key, result: Verdict::TryAgain, reason: None },
            None => FriendMessage::Error {
                code: Code::NotFound,
                key: Some(key),
                offer: Some(offer),
                job: None,
                message_key: "error.offer_not_found".to_owned(),
                allowed: Vec::new(),
            },
        };
        self.tell_friend(house, friend, message)
    }
}

/// What whoever waits hears when the record behind a message was refused: ask again. Everything else is unsaid.
pub(super) fn taken_back(message: Message) -> Option<Message> {
    match message {
        Message::Friend { friend, message: FriendMessage::AcceptResult { offer, key, .. } } => {
            let message = FriendMessage::AcceptResult { offer, key, result: Verdict::TryAgain, reason: None };
            Some(Message::Friend { friend, message })
        }
        Message::Friend { friend, message: FriendMessage::Done { key } } => {
            let message = FriendMessage::Error {
                code: Code::Unavailable,
                key: Some(key),
                offer: None,
                job: None,
                message_key: "error.try_again".to_owned(),
                allowed: Vec::new(),
            };
            Some(Message::Friend { friend, message })
        }
        Message::Answer { request, .. } => {
            let detail = "the ledger refused the record; nothing was changed".to_owned();
            Some(Message::Answer { request, answer: Answer::Refused { code: Code::Unavailable, detail } })
        }
        Message::LookUp { .. } | Message::Duty { .. } => Some(message),
        Message::Snapshot { .. }
        | Message::Friend { .. }
        | Message::Hold { .. }
        | Message::Release { .. }
        | Message::Settle { .. }
        | Message::JobSeen(_)
        | Message::RaceWon(_)
        | Message::Availability { .. }
        | Message::Alarm { .. } => None,
    }
}
