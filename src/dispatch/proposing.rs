//! A friend who would come at another time proposes it. The proposal keeps the friend's seat for a while, and nothing else:
//! whoever accepts plainly meanwhile wins. If the customer confirms first, the confirm takes the claim word in the
//! proposer's name, and what follows is a win like any other, with its appointment set.

use std::sync::Arc;

use kiez_protocol::directory::Friend;
use kiez_protocol::friend::{FriendMessage, OfferUpdate, Verdict};
use kiez_protocol::ids::{FriendId, JobId, Key, OfferId};
use kiez_protocol::partner::Window;
use kiez_protocol::refusal::Code;
use kiez_protocol::time::Time;

use super::change::Change;
use super::claim::Word;
use super::edges::Deed;
use super::effect::{Actor, Answer, Effects, Message};
use super::hand::{after_all, refused};
use super::input::Request;
use super::job::{Aside, Job, OfferState, Standby};
use super::race::{Win, race_won};
use super::silence::takes_accepts;
use super::talk::Proposal;
use super::verdict::verdict;
use super::{Dispatcher, card, gates};

/// A proposal as it comes from a friend; its windows are 1 to 3, each with an end after its beginning.
#[derive(Debug)]
pub(super) struct Propose {
    pub friend: FriendId,
    pub offer: OfferId,
    pub windows: Vec<Window>,
    pub key: Key,
}

/// A customer's yes to one of the proposed windows.
#[derive(Clone, Debug)]
pub struct Confirm {
    /// To be answered.
    pub request: Request,
    /// Who says it.
    pub by: Actor,
    /// The proposal, by its offer.
    pub proposal: OfferId,
    /// Which of its windows, from 0.
    pub window: u8,
    /// The proposer's profile of this moment, if they are still there.
    pub friend: Option<Arc<Friend>>,
    /// When the request was taken.
    pub received_at: Time,
}

impl Dispatcher {
    pub(super) fn proposed(&mut self, propose: Propose, now: Time, effects: &mut Effects) {
        let Propose { friend, offer: id, windows, key } = propose;
        let Some((mut job, index)) = self.take_offer(friend, id) else {
            effects.now.push(Message::Friend { friend, message: refused(Code::NotFound, Some(key), Some(id), None) });
            return;
        };
        let done = Message::Friend { friend, message: FriendMessage::Done { key } };
        let before = job.talk.proposals.iter().position(|proposal| proposal.offer == id);
        let stands = before.is_some_and(|at| job.talk.proposals[at].revision == job.revision);
        if before.is_some_and(|at| job.talk.proposals[at].key == key) {
            // The same proposal again, after a lost answer.
            effects.commits.push(after_all(job.id, vec![done]));
            return self.put(job, now);
        }
        let over = windows.iter().any(|window| window.to <= now);
        let refusal = if job.offers[index].state != OfferState::Live || !takes_accepts(&job) || stands || over {
            let code = if over { Code::Invalid } else { Code::WrongState };
            Some(refused(code, Some(key), Some(id), Some(job.id)))
        } else {
            None
        };
        if let Some(message) = refusal {
            effects.commits.push(after_all(job.id, vec![Message::Friend { friend, message }]));
            return self.put(job, now);
        }
        let mut change = Change::new(now);
        let until = (now + job.terms.community.policy.proposal_ms).min(job.expire_at);
        let proposal = Proposal { offer: id, friend, revision: job.revision, key, windows, proposed_at: now, until };
        change.talk.proposals.push(proposal.clone());
        match before {
            Some(at) => job.talk.proposals[at] = proposal,
            None => job.talk.proposals.push(proposal),
        }
        let state = job.state;
        change.event(&mut job, state, "proposed", Actor::Friend(friend), None);
        change.then.push(done);
        // The seat is theirs while the customer thinks about it.
        let offer = &mut job.offers[index];
        if offer.expires_at < until {
            offer.expires_at = until;
            change.offer(index);
            let update = OfferUpdate { offer: id, expires_at: Some(until), renewed: None };
            change.tell(friend, FriendMessage::OfferUpdate(update));
        }
        self.commit(&job, change, effects);
        self.put(job, now);
    }

    pub(super) fn confirmed(&mut self, id: JobId, confirm: Confirm, now: Time, effects: &mut Effects) {
        let Some(mut job) = self.theirs(confirm.request, &confirm.by, id, effects) else { return };
        self.confirm(&mut job, confirm, now, effects);
        self.put(job, now);
    }

    /// Confirms, or sets the confirm aside when the word is taken: a plain accept goes first.
    pub(super) fn confirm(&mut self, job: &mut Job, confirm: Confirm, now: Time, effects: &mut Effects) {
        let Confirm { request, ref by, proposal, window, .. } = confirm;
        if job
            .visit
            .as_ref()
            .is_some_and(|visit| visit.active && visit.offer == proposal && visit.appointment.is_some())
        {
            // Confirmed before.
            let answer = Answer::Job(Box::new(card::view(job)));
            effects.commits.push(after_all(job.id, vec![Message::Answer { request, answer }]));
            return;
        }
        if !by.role().is_some_and(|role| Deed::Confirm.may(job.state, role)) {
            return self.refuse_state(job, request, by, effects);
        }
        let no = |code, detail: &str| {
            let answer = Answer::Refused { code, detail: detail.to_owned() };
            after_all(job.id, vec![Message::Answer { request, answer }])
        };
        let Some(at) = job.talk.proposals.iter().position(|made| made.offer == proposal) else {
            effects.commits.push(no(Code::NotFound, "there is no such proposal"));
            return;
        };
        let made = job.talk.proposals[at].clone();
        let Some(appointment) = made.windows.get(usize::from(window)).copied() else {
            effects.commits.push(no(Code::Invalid, "window: the proposal has no such window"));
            return;
        };
        let index = job.offers.iter().position(|offer| offer.id == proposal).expect("a proposal has its offer");
        let stands = job.open_proposals().any(|open| open.offer == proposal) && confirm.received_at <= made.until;
        let Some(friend) = confirm.friend.clone().filter(|_| stands && appointment.to > now) else {
            effects.commits.push(no(Code::WrongState, "the proposal no longer stands"));
            return;
        };
        let received_at = confirm.received_at;
        let standby = Standby { friend, offer: proposal, key: made.key, revision: made.revision, received_at };
        let busy = self.capacity.of(made.friend).is_some_and(|load| !gates::is_free(load, appointment));
        if busy || self.refusal(job, index, &standby).is_some() {
            effects.commits.push(no(Code::WrongState, "the friend cannot come then any more"));
            return;
        }
        match job.claim.take(job.offers[index].seat) {
            Word::Open => {
                let win = Win {
                    friend: &standby.friend,
                    key: standby.key,
                    at: received_at,
                    actor: confirm.by,
                    reason: None,
                    appointment: Some(appointment),
                    told: Some(verdict(&standby, Verdict::Won, None)),
                };
                let mut change = self.give(job, index, win, now);
                change.then.push(Message::Answer { request, answer: Answer::Job(Box::new(card::view(job))) });
                change.then.push(race_won(job, index, received_at, now));
                self.commit(job, change, effects);
            }
            Word::Taken(_) => job.aside.push(Aside::Confirm(Box::new(confirm))),
            Word::Settled(_) | Word::Closed(_) | Word::Retired => {
                unreachable!("the word of an open job is open or taken")
            }
        }
    }
}

/// The verdict that a proposer hears when the seat is closed by somebody else.
pub(super) fn lost(job: &Job, index: usize) -> Option<FriendMessage> {
    let offer = &job.offers[index];
    let made = job.talk.proposals.iter().find(|proposal| proposal.offer == offer.id)?;
    let (result, reason) = super::verdict::closed_verdict(job, offer.state);
    Some(FriendMessage::AcceptResult { offer: offer.id, key: made.key, result, reason })
}
