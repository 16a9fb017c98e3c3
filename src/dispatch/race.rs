//! Who gets the job. The word says who was first, the dispatcher whether it counts, the ledger makes it true. Those
//! behind the first wait in order of arrival, until the winner is committed or the first is refused.

use std::sync::Arc;

use kiez_protocol::directory::Friend;
use kiez_protocol::friend::{ClosedReason, FriendMessage, LostReason, Verdict};
use kiez_protocol::ids::{FriendId, Key};
use kiez_protocol::money::Money;
use kiez_protocol::ops::RaceView;
use kiez_protocol::partner::{FriendName, JobState, Window};
use kiez_protocol::refusal::Code;
use kiez_protocol::time::Time;

use super::change::Change;
use super::claim::{Claim, Word};
use super::effect::{Actor, Commit, Effects, Message, Subject};
use super::hand::{after_all, refused};
use super::job::{Aside, Job, Offer, OfferState, Standby, Visit, shown_cell};
use super::nearest::Nearby;
use super::silence::takes_accepts;
use super::verdict::{behind_verdict, verdict};
use super::{ACCEPT_GRACE_MS, Dispatcher, caps, card, gates};

/// Why an accept does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Lost(LostReason),
    NeedsReconfirm,
}

/// How a friend comes to a job.
#[derive(Debug)]
pub(super) struct Win<'a> {
    pub friend: &'a Arc<Friend>,
    /// The key of the accept.
    pub key: Key,
    /// When it was taken.
    pub at: Time,
    /// Who decided it, and why if it was not the friend.
    pub actor: Actor,
    pub reason: Option<String>,
    /// When they come, if that was agreed.
    pub appointment: Option<Window>,
    /// Told first, after the commit.
    pub told: Option<Message>,
}

impl Dispatcher {
    pub(super) fn accepted(
        &mut self,
        accept: Standby,
        first: bool,
        now: Time,
        nearby: &dyn Nearby,
        effects: &mut Effects,
    ) {
        let friend = accept.friend.id;
        let Some(job_id) = self.offers.get(&accept.offer).copied() else {
            // Not open: the ledger knows how it ended, once all that was recorded before is written.
            let then = vec![Message::LookUp { friend, offer: accept.offer, key: accept.key }];
            effects.commits.push(Commit { subject: Subject::Friend(friend), record: None, then });
            return;
        };
        let Some((mut job, index)) = self.take_offer(friend, accept.offer) else {
            let message = refused(Code::NotFound, Some(accept.key), Some(accept.offer), None);
            effects.now.push(Message::Friend { friend, message });
            return;
        };
        assert_eq!(job.id, job_id, "an offer belongs to one job");
        let mut freed = None;
        if takes_accepts(&job) && job.offers[index].attempt == job.attempt {
            freed = self.race(&mut job, index, accept, first, now, nearby, effects);
        } else {
            self.late(&mut job, index, accept, effects);
        }
        self.put(job, now);
        if let Some(friend) = freed {
            self.consider(friend, now, nearby, effects);
        }
    }

    /// An accept on an open job. The friend whose place it freed after all, if any.
    #[expect(clippy::too_many_arguments, reason = "the fields of one input, taken apart once")]
    fn race(
        &mut self,
        job: &mut Job,
        index: usize,
        accept: Standby,
        first: bool,
        now: Time,
        nearby: &dyn Nearby,
        effects: &mut Effects,
    ) -> Option<FriendId> {
        let seat = job.offers[index].seat;
        // A word from before a quarantine does not count: the job has a new one.
        let first = first && job.claim.look() == Word::Taken(seat);
        match self.refusal(job, index, &accept) {
            Some(refusal) => {
                self.refuse(job, index, &accept, refusal, now, effects);
                if !first {
                    self.top_up(job, now, nearby, effects);
                    return None;
                }
                job.claim.retire(seat);
                self.new_word(job, effects);
            }
            None if first => self.win(job, index, &accept, now, effects),
            // This session had no word in hand, or an old one.
            None => match job.claim.take(seat) {
                Word::Open => self.win(job, index, &accept, now, effects),
                Word::Taken(_) => {
                    job.standbys.push(accept);
                    return None;
                }
                Word::Settled(_) | Word::Closed(_) | Word::Retired => {
                    unreachable!("the word of an open job is open or taken")
                }
            },
        }
        self.after_first(job, now, nearby, effects)
    }

    /// The first has been handled: what was set aside for it comes next, then those behind it. The friend whose place
    /// that freed, if any.
    pub(super) fn after_first(
        &mut self,
        job: &mut Job,
        now: Time,
        nearby: &dyn Nearby,
        effects: &mut Effects,
    ) -> Option<FriendId> {
        let mut freed = None;
        for aside in std::mem::take(&mut job.aside) {
            match aside {
                Aside::Cancel { request, by, reason, received_at } => {
                    freed = freed.or(self.cancel(job, request, by, reason, received_at, now, effects));
                }
                Aside::Edit { request, by, edit, received_at } => {
                    self.edit(job, request, by, edit, received_at, now, nearby, effects);
                }
                Aside::Answer { request, by, answers, replies, received_at } => {
                    self.answer(job, request, by, answers, replies, received_at, now, nearby, effects);
                }
                Aside::Confirm(confirm) => self.confirm(job, *confirm, now, effects),
                Aside::Pause { request, by, pause, reason } => {
                    self.hold_or_wait(job, request, by, pause, reason, now, effects);
                }
                Aside::Assign(assign) => self.assign(job, *assign, now, nearby, effects),
                Aside::Redispatch { request, by, reason } => {
                    self.redispatch(job, request, by, reason, now, nearby, effects);
                }
                Aside::Expire => {
                    if takes_accepts(job) {
                        let mut change = Change::new(now);
                        self.expire(job, &mut change);
                        self.commit(job, change, effects);
                    }
                }
            }
        }
        self.try_standbys(job, now, effects);
        self.top_up(job, now, nearby, effects);
        freed
    }

    /// Refills a seat that a refused accept has left, unless somebody is about to win.
    fn top_up(&mut self, job: &mut Job, now: Time, nearby: &dyn Nearby, effects: &mut Effects) {
        if job.state == JobState::Dispatching && job.claim.look() == Word::Open {
            let mut change = Change::new(now);
            self.refill(job, &mut change, nearby);
            self.commit(job, change, effects);
        }
    }

    /// Tries those behind a refused first, in order of arrival, until one wins.
    fn try_standbys(&mut self, job: &mut Job, now: Time, effects: &mut Effects) {
        while takes_accepts(job) && !job.standbys.is_empty() {
            let standby = job.standbys.remove(0);
            let Some(index) = job.offers.iter().position(|offer| offer.id == standby.offer) else {
                effects.commits.push(after_all(job.id, vec![behind_verdict(job, &standby)]));
                continue;
            };
            match self.refusal(job, index, &standby) {
                Some(refusal) => self.refuse(job, index, &standby, refusal, now, effects),
                None => match job.claim.take(job.offers[index].seat) {
                    Word::Open => self.win(job, index, &standby, now, effects),
                    // The new word is out already and somebody has taken it: their accept is in the mailbox.
                    Word::Taken(_) => {
                        job.standbys.insert(0, standby);
                        return;
                    }
                    Word::Settled(_) | Word::Closed(_) | Word::Retired => {
                        unreachable!("the word of an open job is open or taken")
                    }
                },
            }
        }
        self.dismiss(job, effects);
    }

    /// The offers still live get a new word in place of a retired one.
    fn new_word(&self, job: &mut Job, effects: &mut Effects) {
        job.claim = Arc::new(Claim::new());
        // In the order of what was recorded: a hand must not get this word before an offer that is still being written.
        effects.commits.push(after_all(job.id, job.live_offers().map(|offer| self.in_hand(job, offer)).collect()));
    }

    /// Why an accept on an open job does not count, if it does not. Looks at the instant the frame was taken.
    pub(super) fn refusal(&self, job: &Job, index: usize, accept: &Standby) -> Option<Refusal> {
        let offer = &job.offers[index];
        match offer.state {
            OfferState::Live | OfferState::Closed(ClosedReason::Expired) => {}
            OfferState::Closed(ClosedReason::Declined) => return Some(Refusal::Lost(LostReason::Declined)),
            OfferState::Closed(ClosedReason::Capacity) => return Some(Refusal::Lost(LostReason::Capacity)),
            OfferState::Closed(
                ClosedReason::Taken
                | ClosedReason::Won
                | ClosedReason::Cancelled
                | ClosedReason::Superseded
                | ClosedReason::Paused
                | ClosedReason::HandedBack,
            ) => return Some(Refusal::Lost(LostReason::Superseded)),
        }
        if !self.in_time(offer, accept) {
            return Some(Refusal::Lost(LostReason::Expired));
        }
        if accept.revision != job.revision {
            return Some(Refusal::NeedsReconfirm);
        }
        // Who is limited is asked for nothing new; an offer that stands is a word given, and may be taken.
        if !accept.friend.account.may_connect() {
            return Some(Refusal::Lost(LostReason::NotSuitable));
        }
        if !self.has_room(job, &accept.friend, offer.pay.net, accept.received_at) {
            return Some(Refusal::Lost(LostReason::Capacity));
        }
        None
    }

    /// Whether the friend has a place, the time and, by their caps, the wish for one more job. Counted with what this job
    /// would add, in the month and year in which it is taken.
    pub(super) fn has_room(&self, job: &Job, friend: &Friend, net: Money, at: Time) -> bool {
        let load = self.capacity.of(friend.id);
        load.is_none_or(|load| load.held.len() < usize::from(friend.jobs_held_max) && gates::leaves_time(job, load))
            && caps::have_room(friend, load, net, at)
    }

    /// Whether an accept was taken before its offer ended, or within the grace after it.
    pub(super) fn in_time(&self, offer: &Offer, accept: &Standby) -> bool {
        accept.received_at <= offer.expires_at + self.pace.real_ms(ACCEPT_GRACE_MS)
    }

    /// Tells a friend why their accept does not count. An offer over capacity is closed and recorded.
    fn refuse(
        &mut self,
        job: &mut Job,
        index: usize,
        accept: &Standby,
        refusal: Refusal,
        now: Time,
        effects: &mut Effects,
    ) {
        let friend = accept.friend.id;
        let mut change = Change::new(now);
        match refusal {
            Refusal::NeedsReconfirm => {
                let offer = &job.offers[index];
                let card = card::offer(job, offer, self.language(friend));
                let update = kiez_protocol::friend::OfferUpdate {
                    offer: offer.id,
                    expires_at: None,
                    renewed: Some(Box::new(card)),
                };
                change.tell(friend, FriendMessage::OfferUpdate(update));
                change.then.push(verdict(accept, Verdict::NeedsReconfirm, None));
            }
            Refusal::Lost(reason) => {
                if reason == LostReason::Capacity && job.offers[index].state == OfferState::Live {
                    self.close_offer(job, &mut change, index, ClosedReason::Capacity);
                    change.event(job, job.state, "accept_over_capacity", Actor::Friend(friend), None);
                }
                change.then.push(verdict(accept, Verdict::Lost, Some(reason)));
            }
        }
        self.commit(job, change, effects);
    }

    /// The job is theirs: once the record is committed.
    fn win(&mut self, job: &mut Job, index: usize, accept: &Standby, now: Time, effects: &mut Effects) {
        let win = Win {
            friend: &accept.friend,
            key: accept.key,
            at: accept.received_at,
            actor: Actor::Friend(accept.friend.id),
            reason: None,
            appointment: None,
            told: Some(verdict(accept, Verdict::Won, None)),
        };
        let mut change = self.give(job, index, win, now);
        change.then.push(race_won(job, index, accept.received_at, now));
        self.commit(job, change, effects);
    }

    /// Gives the job to the friend of an offer that has taken the word; what has changed, to be committed.
    pub(super) fn give(&mut self, job: &mut Job, index: usize, win: Win<'_>, now: Time) -> Change {
        assert!(job.holder().is_none(), "a job has at most one active winner");
        let Win { friend: profile, key, at, actor, reason, appointment, told } = win;
        let friend = profile.id;
        let mut change = Change::new(now);
        change.run_ended(job, JobState::Assigned);
        let kind = match &actor {
            Actor::Ops(_) => "assigned_by_ops",
            Actor::Customer => "proposal_confirmed",
            Actor::Friend(_) | Actor::Partner(_) | Actor::System => "assigned",
        };
        change.event(job, JobState::Assigned, kind, actor, reason);
        let policy = &job.terms.community.policy;
        let (contact_due, grace) = (now + policy.contact_ms, policy.contact_grace_ms);
        let offer = &job.offers[index];
        let visit = Visit {
            friend,
            offer: offer.id,
            attempt: job.attempt,
            place: self.capacity.hold(friend, job.id),
            pay: offer.pay,
            key,
            assigned_at: at,
            contact_due,
            appointment,
            active: true,
            ended: None,
        };
        let seat = offer.seat;
        self.capacity.count(friend, visit.taken(job.id));
        if appointment.is_some() {
            self.capacity.appoint(friend, job.id, appointment);
        }
        let load = self.capacity.of(friend).expect("they hold this job");
        assert!(load.held.len() <= usize::from(profile.jobs_held_max), "a friend never exceeds capacity");
        let near: Vec<_> = caps::near(profile, load, at).collect();
        if offer.state == OfferState::Live {
            self.close_offer(job, &mut change, index, ClosedReason::Won);
        } else {
            // Won in the grace after its expiry.
            job.offers[index].state = OfferState::Closed(ClosedReason::Won);
            change.offer(index);
        }
        (job.state_due, job.reason) = (Some(contact_due + grace), None);
        job.winner = Some(FriendName { id: friend, name: profile.name.clone() });
        change.visit(&visit);
        job.visit = Some(visit);
        job.settled = false;
        let messages = std::mem::take(&mut change.then);
        change.then.push(Message::Settle { job: job.id, attempt: job.attempt, claim: job.claim.clone(), seat });
        change.then.extend(told);
        let visit = job.visit.as_ref().expect("just set");
        change.tell(friend, FriendMessage::Job(Box::new(card::job(job, visit, self.language(friend)))));
        for cap in near {
            change.tell(friend, FriendMessage::CapNear(cap));
        }
        change.then.extend(messages);
        self.close_offers(job, &mut change, ClosedReason::Taken);
        self.availability(friend, &mut change);
        change
    }
}

/// The race as the map sees it.
pub(super) fn race_won(job: &Job, index: usize, at: Time, now: Time) -> Message {
    Message::RaceWon(RaceView {
        job: job.id,
        cell: shown_cell(job.booking.place).to_string(),
        at: now,
        assigned_in_ms: at.since(job.created_at),
        wave: job.offers[index].wave,
    })
}
