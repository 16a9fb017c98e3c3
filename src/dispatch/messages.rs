//! Messages between the customer and one friend: the one who holds the job, or, from the post on, the one whom the customer
//! has named. Until the job is won they carry no contact data, in either direction.

use kiez_protocol::friend::FriendMessage;
use kiez_protocol::ids::{FriendId, JobId, Key};
use kiez_protocol::refusal::Code;
use kiez_protocol::talk::Voice;
use kiez_protocol::time::Time;

use super::Dispatcher;
use super::card;
use super::change::Change;
use super::contact::for_strangers;
use super::edges::Deed;
use super::effect::{Actor, Answer, Effects, Message};
use super::hand::{after_all, refused};
use super::input::Request;
use super::job::Job;
use super::silence::takes_accepts;
use super::talk::Said;

impl Dispatcher {
    /// A friend writes to the customer.
    pub(super) fn friend_wrote(
        &mut self,
        friend: FriendId,
        id: JobId,
        text: &str,
        key: Key,
        now: Time,
        effects: &mut Effects,
    ) {
        let known = self.jobs.get(&id).is_some_and(|job| job.offers.iter().any(|offer| offer.friend == friend));
        let Some(mut job) = known.then(|| self.take(id)).flatten() else {
            let message = refused(Code::NotFound, Some(key), None, Some(id));
            effects.now.push(Message::Friend { friend, message });
            return;
        };
        let done = Message::Friend { friend, message: FriendMessage::Done { key } };
        let again = job.talk.messages.iter().any(|said| said.key == Some(key) && said.friend == friend);
        if again {
            effects.commits.push(after_all(id, vec![done]));
        } else if companion(&job) != Some(friend) || is_full(&job) {
            let message = refused(Code::WrongState, Some(key), None, Some(id));
            effects.commits.push(after_all(id, vec![Message::Friend { friend, message }]));
        } else {
            let mut change = Change::new(now);
            change.then.push(done);
            say(&mut job, &mut change, friend, Voice::Friend, text, Some(key));
            self.commit(&job, change, effects);
        }
        self.put(job, now);
    }

    /// The customer writes to the friend.
    #[expect(clippy::too_many_arguments, reason = "the fields of one input, taken apart once")]
    pub(super) fn customer_wrote(
        &mut self,
        request: Request,
        by: Actor,
        id: JobId,
        text: &str,
        key: Option<Key>,
        now: Time,
        effects: &mut Effects,
    ) {
        let Some(mut job) = self.theirs(request, &by, id, effects) else { return };
        let may = by.role().is_some_and(|role| Deed::Message.may(job.state, role));
        let again = key.is_some() && job.talk.messages.iter().any(|said| said.key == key);
        match companion(&job) {
            _ if again => {
                let answer = Answer::Job(Box::new(card::view(&job)));
                effects.commits.push(after_all(id, vec![Message::Answer { request, answer }]));
            }
            Some(_) if may && is_full(&job) => {
                let detail = "no more messages can be kept for this job".to_owned();
                let answer = Answer::Refused { code: Code::WrongState, detail };
                effects.commits.push(after_all(id, vec![Message::Answer { request, answer }]));
            }
            Some(friend) if may => {
                let mut change = Change::new(now);
                say(&mut job, &mut change, friend, Voice::Customer, text, key);
                let said = job.talk.messages.last().expect("just said").view(&job);
                change.tell(friend, FriendMessage::Message(said));
                change.then.push(Message::Answer { request, answer: Answer::Job(Box::new(card::view(&job))) });
                self.commit(&job, change, effects);
            }
            Some(_) | None => self.refuse_state(&job, request, &by, effects),
        }
        self.put(job, now);
    }
}

/// The friend with whom the customer may speak now.
pub(super) fn companion(job: &Job) -> Option<FriendId> {
    let named = || job.live_offers().find(|offer| takes_accepts(job) && offer.is_direct()).map(|offer| offer.friend);
    job.holder().or_else(named)
}

fn is_full(job: &Job) -> bool {
    job.talk.messages.len() >= usize::from(job.terms.community.policy.messages_max)
}

fn say(job: &mut Job, change: &mut Change, friend: FriendId, from: Voice, text: &str, key: Option<Key>) {
    let number = u16::try_from(job.talk.messages.len() + 1).expect("messages are counted by a u16");
    // Who holds the job has the customer's data already.
    let text = if job.holder().is_some() { text.to_owned() } else { for_strangers(text, &job.booking) };
    let said = Said { number, friend, from, text, key, at: change.now };
    change.talk.messages.push(said.clone());
    job.talk.messages.push(said);
    let actor = match from {
        Voice::Customer => Actor::Customer,
        Voice::Friend => Actor::Friend(friend),
    };
    change.event(job, job.state, "message", actor, None);
}
