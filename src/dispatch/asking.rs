//! Friends ask before they say yes: a few short questions each. The customer replies, and the reply goes to everybody who
//! holds an offer, for what one asks others wonder too. Who asks has a little longer to decide.

use kiez_protocol::friend::{FriendMessage, OfferUpdate};
use kiez_protocol::ids::{FriendId, Key, OfferId};
use kiez_protocol::refusal::Code;
use kiez_protocol::talk::Reply;
use kiez_protocol::time::Time;

use super::Dispatcher;
use super::change::Change;
use super::contact::for_strangers;
use super::effect::{Actor, Effects, Message};
use super::hand::{after_all, refused};
use super::job::{Job, OfferState};
use super::quiet::WaveClock;
use super::silence::takes_accepts;
use super::talk::{Asker, Question};

/// A question as it comes from a friend.
#[derive(Debug)]
pub(super) struct Ask {
    pub friend: FriendId,
    pub offer: OfferId,
    pub text: String,
    pub key: Option<Key>,
}

impl Dispatcher {
    pub(super) fn asked(&mut self, ask: Ask, now: Time, effects: &mut Effects) {
        let Ask { friend, offer: id, text, key } = ask;
        let Some((mut job, index)) = self.take_offer(friend, id) else {
            effects.now.push(Message::Friend { friend, message: refused(Code::NotFound, key, Some(id), None) });
            return;
        };
        let done = key.map(|key| Message::Friend { friend, message: FriendMessage::Done { key } });
        let theirs = || job.talk.questions.iter().filter_map(|question| question.asker).filter(|a| a.friend == friend);
        if key.is_some() && theirs().any(|asker| asker.key == key) {
            // The same question again, after a lost answer.
            effects.commits.push(after_all(job.id, done.into_iter().collect()));
            return self.put(job, now);
        }
        let policy = &job.terms.community.policy;
        let (before, most, extends_ms) = (theirs().count(), policy.questions_max, policy.ask_extends_ms);
        let refusal = if job.offers[index].state != OfferState::Live || !takes_accepts(&job) {
            Some(refused(Code::WrongState, key, Some(id), Some(job.id)))
        } else if before >= usize::from(most) {
            Some(used_up(key, id))
        } else {
            None
        };
        if let Some(message) = refusal {
            effects.commits.push(after_all(job.id, vec![Message::Friend { friend, message }]));
            return self.put(job, now);
        }
        let mut change = Change::new(now);
        let nth = u8::try_from(before + 1).expect("a friend asks few questions");
        let first = !theirs().any(|asker| asker.offer == id);
        self.ask(&mut job, &mut change, Some(Asker { friend, offer: id, nth, key }), &text);
        let state = job.state;
        change.event(&mut job, state, "asked", Actor::Friend(friend), None);
        change.then.extend(done);
        // Once an offer, by a clock that stands at night, and never beyond the job's own end.
        let longer = WaveClock::of(&job).after(job.offers[index].expires_at, extends_ms);
        let until = longer.min(job.expire_at);
        let offer = &mut job.offers[index];
        if first && until > offer.expires_at {
            offer.expires_at = until;
            change.offer(index);
            let update = OfferUpdate { offer: id, expires_at: Some(until), renewed: None };
            change.tell(friend, FriendMessage::OfferUpdate(update));
        }
        self.commit(&job, change, effects);
        self.put(job, now);
    }

    /// Notes a question, without contact data.
    pub(super) fn ask(&self, job: &mut Job, change: &mut Change, asker: Option<Asker>, text: &str) {
        let number = u16::try_from(job.talk.questions.len() + 1).expect("a job has few questions");
        // Nobody is asked twice for the same, least of all by the server.
        let text = if asker.is_some() { for_strangers(text, &job.booking) } else { text.to_owned() };
        let question = Question { number, asker, text, asked_at: change.now, reply: None };
        change.talk.questions.push(question.clone());
        job.talk.questions.push(question);
    }

    /// Notes the customer's replies; who holds an offer or the job hears those that are new. Whether any was.
    pub(super) fn reply(&self, job: &mut Job, change: &mut Change, replies: &[Reply]) -> bool {
        let mut told = Vec::new();
        for Reply { question, text } in replies {
            let text = for_strangers(text, &job.booking);
            let asked = job.talk.questions.iter_mut().find(|asked| asked.number == *question);
            let asked = asked.expect("replies were held against the questions");
            if asked.reply.as_ref().is_some_and(|(before, _)| *before == text) {
                continue;
            }
            asked.reply = Some((text.clone(), change.now));
            change.talk.questions.push(asked.clone());
            told.push((asked.number, asked.text.clone(), text));
        }
        let holders: Vec<_> = job.live_offers().map(|offer| offer.friend).chain(job.holder()).collect();
        for friend in holders {
            for (number, question, text) in &told {
                let (number, question, text) = (*number, question.clone(), text.clone());
                change.tell(friend, FriendMessage::Answer { job: job.id, number, question, text });
            }
        }
        !told.is_empty()
    }
}

fn used_up(key: Option<Key>, offer: OfferId) -> FriendMessage {
    let message_key = "error.questions_used_up".to_owned();
    FriendMessage::Error {
        code: Code::WrongState,
        key,
        offer: Some(offer),
        job: None,
        message_key,
        allowed: Vec::new(),
    }
}
