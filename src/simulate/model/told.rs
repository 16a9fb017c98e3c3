//! What is told, held against what is committed. A message to a friend, an answer to a partner and a dot on the map all
//! speak of something; it must stand in the ledger by then, and nothing private may be in it but for the winner.

use std::collections::{BTreeMap, BTreeSet};

use kiez_protocol::friend::{
    CapNear, ClosedReason, Duty, FriendMessage, JobCard, LostReason, Offer, Snapshot, Verdict,
};
use kiez_protocol::ids::{FriendId, JobId, Key, OfferId, PartnerSlug, SessionId};
use kiez_protocol::partner::JobState;
use kiez_protocol::refusal::Code;
use kiez_protocol::talk::JobMessage;
use serde::Serialize;

use super::super::streets::friend_no;
use super::book::Book;
use super::{Checked, Model, Rule, hold};
use crate::dispatch::effect::Answer;
use crate::dispatch::job::OfferState;

/// What only the winner may see has one of these in it: streets, names and secret answers the first, phones the second.
const CANARIES: [&str; 2] = ["Kanari", "5550199"];

/// What a friend's newest session believes, by what it was told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard {
    pub session: Option<SessionId>,
    /// Whether it has its snapshot.
    pub fresh: bool,
    pub offers: BTreeSet<OfferId>,
    pub visits: BTreeMap<JobId, JobState>,
}

impl Model {
    /// A record was decided: `book` is the dispatcher's own.
    pub fn said(&mut self, book: &Book, friend: FriendId, message: &FriendMessage) -> Checked {
        match message {
            FriendMessage::Snapshot(snapshot) => self.snapshot_said(book, friend, snapshot),
            FriendMessage::Job(card) => self.card_said(book, friend, card),
            _ => Ok(()),
        }
    }

    /// A snapshot shows every live offer, and every job held whose win is known to be written.
    pub fn snapshot_said(&mut self, book: &Book, friend: FriendId, snapshot: &Snapshot) -> Checked {
        self.tally.looked(Rule::Agree);
        let load = &book.loads[friend_no(friend)];
        let shown: BTreeSet<OfferId> = snapshot.offers.iter().map(|offer| offer.offer).collect();
        let live: BTreeSet<OfferId> = load.hand.iter().chain(&load.beside).copied().collect();
        hold(shown == live, Rule::Agree, None, || {
            format!("{friend} holds {live:?}, and the snapshot shows {shown:?}")
        })?;
        hold(snapshot.duty == book.duties[friend_no(friend)], Rule::Agree, None, || {
            format!("{friend} is on duty {:?}, says the snapshot", snapshot.duty)
        })?;
        for card in &snapshot.visits {
            self.card_said(book, friend, card)?;
        }
        Ok(())
    }

    /// Contact data stands on a card only while its friend holds the job, or has done it.
    fn card_said(&mut self, book: &Book, friend: FriendId, card: &JobCard) -> Checked {
        let Some(page) = book.pages.get(&card.job) else {
            return hold(false, Rule::ToldIsCommitted, card.job, || {
                "a card of a job that was never decided".to_owned()
            });
        };
        self.tally.looked(Rule::Private);
        let theirs = match page.holder() {
            Some(visit) => visit.friend == friend,
            None => {
                let last = page.visits.iter().max_by_key(|visit| visit.attempt);
                page.state == JobState::Done && last.is_some_and(|visit| visit.friend == friend)
            }
        };
        let shows = card.address.is_some() || card.customer.is_some() || card.location.is_some();
        hold(theirs || (!shows && !private(card)), Rule::Private, card.job, || {
            format!("{friend} sees the customer of a job that is {} and not theirs", page.state)
        })?;
        hold(!theirs || shows, Rule::Agree, card.job, || format!("{friend} holds it and does not see where it is"))
    }

    /// A message is handed to a friend's session, or would be if there were one.
    /// `text` is how it goes over the wire.
    pub fn told(&mut self, friend: FriendId, message: &FriendMessage, text: &str) -> Checked {
        self.tally.looked(Rule::ToldIsCommitted);
        match message {
            FriendMessage::Offer(offer) => self.told_offer(friend, offer)?,
            FriendMessage::OfferUpdate(update) => {
                self.written(friend, update.offer)?;
                if let Some(offer) = &update.renewed {
                    self.told_offer(friend, offer)?;
                }
            }
            FriendMessage::OfferClosed { offer, reason } => self.told_closed(friend, *offer, *reason)?,
            FriendMessage::AcceptResult { offer, key, result, reason } => {
                self.told_verdict(friend, *offer, *key, *result, *reason)?;
            }
            FriendMessage::Snapshot(snapshot) => {
                for offer in &snapshot.offers {
                    self.told_offer(friend, offer)?;
                    self.public(&text_of(offer))?;
                }
                for card in &snapshot.visits {
                    self.told_card(friend, card)?;
                }
                for said in &snapshot.messages {
                    self.told_message(friend, said)?;
                }
                for told in &snapshot.verdicts {
                    self.told_verdict(friend, told.offer, told.key, told.result, told.reason)?;
                }
                return Ok(());
            }
            FriendMessage::Job(card) => return self.told_card(friend, card),
            FriendMessage::Duty(duty) => {
                let written = duty == &Duty::default() || self.duties.contains(&(friend, duty.on, duty.until));
                hold(written, Rule::ToldIsCommitted, None, || {
                    format!("{friend} is told {duty:?}, which is not written")
                })?;
            }
            FriendMessage::CapNear(near) => self.told_cap(friend, near)?,
            FriendMessage::Message(said) => return self.told_message(friend, said),
            FriendMessage::Welcome(_)
            | FriendMessage::AcceptPending { .. }
            | FriendMessage::SettingsResult { .. }
            | FriendMessage::Account { .. }
            | FriendMessage::Answer { .. }
            | FriendMessage::Done { .. }
            | FriendMessage::Error { .. }
            | FriendMessage::Pong { .. }
            | FriendMessage::Expiring { .. }
            | FriendMessage::Refreshed { .. }
            | FriendMessage::StopLocation
            | FriendMessage::DutyEnding { .. }
            | FriendMessage::Missed(_)
            | FriendMessage::Why(_)
            | FriendMessage::Draining { .. } => {}
        }
        self.public(text)
    }

    /// Whoever sees this has not won: nothing private may be in it.
    pub fn public(&mut self, text: &str) -> Checked {
        self.tally.looked(Rule::Private);
        hold(!names_somebody(text), Rule::Private, None, || format!("in {text}"))
    }

    /// What the customer and a friend have said: to whoever has not won it tells nothing private.
    fn told_message(&mut self, friend: FriendId, said: &JobMessage) -> Checked {
        let page = self.committed.pages.get(&said.job);
        let asked = page.is_some_and(|page| page.asked.iter().any(|asked| asked.offer.friend == friend));
        hold(asked, Rule::ToldIsCommitted, said.job, || {
            format!("{friend} reads a message of a job not offered to them")
        })?;
        let won = page.is_some_and(|page| page.visits.iter().any(|visit| visit.friend == friend));
        if won { Ok(()) } else { self.public(&said.text) }
    }

    /// Most of a cap is used: of one the friend has set, and so much of it.
    fn told_cap(&mut self, friend: FriendId, near: &CapNear) -> Checked {
        let profile = &self.friends[friend_no(friend)];
        let jobs = near.cap.jobs.is_some_and(|most| u64::from(near.jobs) * 100 >= u64::from(most) * 80);
        let income = near.cap.income.zip(near.income).is_some_and(|(most, got)| got.amount * 100 >= most.amount * 80);
        hold(profile.caps.contains(&near.cap) && (jobs || income), Rule::ToldIsCommitted, None, || {
            format!("{friend} is told that a cap is near: {near:?}")
        })
    }

    fn written(&self, friend: FriendId, offer: OfferId) -> Checked {
        let known = self.committed.page_of(offer).and_then(|page| page.offer(offer));
        let theirs = known.is_some_and(|asked| asked.offer.friend == friend);
        hold(theirs, Rule::ToldIsCommitted, None, || format!("{friend} is told of offer {offer}, which is not written"))
    }

    fn told_offer(&mut self, friend: FriendId, offer: &Offer) -> Checked {
        self.written(friend, offer.offer)?;
        let page = &self.committed.pages[&offer.job];
        let stored = &page.offer(offer.offer).expect("just seen").offer;
        let pay = (offer.gross, offer.commission, offer.net);
        let same = pay == (stored.pay.gross, stored.pay.commission, stored.pay.net) && offer.revision <= page.revision;
        self.tally.looked(Rule::Balance);
        hold(same, Rule::Balance, offer.job, || {
            format!("offer {} is told with {pay:?}, stored is {:?}", offer.offer, stored.pay)
        })
    }

    fn told_closed(&mut self, friend: FriendId, offer: OfferId, reason: ClosedReason) -> Checked {
        self.written(friend, offer)?;
        let page = self.committed.page_of(offer).expect("just seen");
        let states = &page.offer(offer).expect("just seen").states;
        hold(states.contains(&OfferState::Closed(reason)), Rule::ToldIsCommitted, page.id, || {
            format!("{friend} is told {reason:?} of an offer that was {states:?}")
        })
    }

    fn told_verdict(
        &mut self,
        friend: FriendId,
        offer: OfferId,
        key: Key,
        result: Verdict,
        reason: Option<LostReason>,
    ) -> Checked {
        let page = self.committed.page_of(offer);
        let job = page.map(|page| page.id);
        match (result, reason) {
            (Verdict::Won, _) => {
                self.written(friend, offer)?;
                let page = page.expect("just seen");
                let visit = page.visits.iter().find(|visit| visit.friend == friend && visit.offer == offer);
                hold(visit.is_some(), Rule::ToldIsCommitted, job, || {
                    format!("{friend} is told won, and it is not written")
                })?;
                let attempt = visit.expect("just seen").attempt;
                let first = *self.winners.entry((page.id, attempt)).or_insert(friend);
                self.tally.looked(Rule::OneWinner);
                hold(first == friend, Rule::OneWinner, job, || format!("{first} and {friend} are both told won"))?;
            }
            (Verdict::Lost, Some(LostReason::Taken)) => {
                self.written(friend, offer)?;
                let page = page.expect("just seen");
                let attempt = page.offer(offer).expect("just seen").offer.attempt;
                let taken = page.visits.iter().any(|visit| visit.attempt == attempt && visit.friend != friend);
                hold(taken, Rule::ToldIsCommitted, job, || format!("{friend} is told taken, and no win is written"))?;
            }
            (Verdict::Lost, Some(LostReason::JobCancelled)) => {
                let over = page.is_some_and(|page| page.state == JobState::Cancelled);
                hold(over, Rule::ToldIsCommitted, job, || {
                    format!("{friend} is told cancelled, and it is not written")
                })?;
            }
            (Verdict::Lost | Verdict::TryAgain | Verdict::NeedsReconfirm, _) => {}
        }
        if matches!(result, Verdict::TryAgain | Verdict::NeedsReconfirm) {
            return Ok(());
        }
        self.tally.looked(Rule::OneKey);
        let before = self.verdicts.insert((friend, key), (result, reason));
        // An offer that had expired may be renewed, and one that was declined taken back: then the same accept wins.
        let returns = [LostReason::Expired, LostReason::Declined].map(|reason| (Verdict::Lost, Some(reason)));
        let same = before.is_none_or(|before| before.0 == result || returns.contains(&before));
        hold(same, Rule::OneKey, job, || {
            format!("{friend} is told {result:?} {reason:?} after {before:?} for the same key")
        })
    }

    fn told_card(&mut self, friend: FriendId, card: &JobCard) -> Checked {
        let page = self.committed.pages.get(&card.job);
        let won = page.is_some_and(|page| page.visits.iter().any(|visit| visit.friend == friend));
        if !won {
            hold(!private(card), Rule::Private, card.job, || {
                format!("{friend} sees the customer before the win is written")
            })?;
        }
        hold(won, Rule::ToldIsCommitted, card.job, || format!("{friend} gets a card, and the win is not written"))
    }

    /// A session has really got this: what it believes from now on.
    pub fn hears(&mut self, friend: FriendId, session: SessionId, message: &FriendMessage) {
        let heard = &mut self.heard[friend_no(friend)];
        if heard.session != Some(session) {
            return;
        }
        match message {
            FriendMessage::Snapshot(snapshot) => {
                heard.fresh = true;
                heard.offers = snapshot.offers.iter().map(|offer| offer.offer).collect();
                heard.visits = snapshot.visits.iter().map(|card| (card.job, card.state)).collect();
            }
            FriendMessage::Offer(offer) => drop(heard.offers.insert(offer.offer)),
            FriendMessage::OfferUpdate(update) if update.renewed.is_some() => drop(heard.offers.insert(update.offer)),
            FriendMessage::OfferClosed { offer, .. } => drop(heard.offers.remove(offer)),
            // The verdict says that an offer is over where nothing else does.
            FriendMessage::AcceptResult { offer, result: Verdict::Won, .. }
            | FriendMessage::AcceptResult {
                offer, result: Verdict::Lost, reason: Some(LostReason::Capacity), ..
            } => drop(heard.offers.remove(offer)),
            FriendMessage::Job(card) => {
                let holds = card.address.is_some() && card.state != JobState::Done;
                if holds {
                    heard.visits.insert(card.job, card.state);
                } else {
                    heard.visits.remove(&card.job);
                }
            }
            _ => {}
        }
    }

    /// A partner gets an answer.
    pub fn answered(&mut self, partner: &PartnerSlug, job: Option<JobId>, answer: &Answer) -> Checked {
        self.tally.looked(Rule::ToldIsCommitted);
        match answer {
            Answer::Posted(view) | Answer::Job(view) => {
                let page = self.committed.pages.get(&view.id);
                let stands = page.is_some_and(|page| page.sequence >= view.sequence && page.partner == *partner);
                hold(stands, Rule::ToldIsCommitted, view.id, || {
                    format!("{partner} hears {}, not written", view.state)
                })?;
                if let Answer::Posted(_) = answer {
                    self.acknowledged.push(view.id);
                }
                self.public(&text_of(&**view))
            }
            Answer::Repeated { job } => {
                let page = self.committed.pages.get(job);
                let stands = page.is_some_and(|page| page.partner == *partner);
                hold(stands, Rule::ToldIsCommitted, *job, || format!("{partner} hears that the key made this job"))
            }
            Answer::Refused { code: Code::NotFound, .. } => {
                self.tally.looked(Rule::Kept);
                let open = job.filter(|job| self.committed.open.contains(job));
                hold(open.is_none(), Rule::Kept, open, || format!("{partner} hears that there is no such job"))
            }
            Answer::Refused { .. } | Answer::WrongState { .. } | Answer::Tried(_) => Ok(()),
        }
    }

    /// Every job that was acknowledged is still known.
    pub fn kept(&mut self) -> Checked {
        for job in &self.acknowledged {
            self.tally.looked(Rule::Kept);
            let known = self.committed.pages.contains_key(job);
            hold(known, Rule::Kept, *job, || "was acknowledged, and nobody knows it".to_owned())?;
        }
        Ok(())
    }
}

fn private(message: &impl Serialize) -> bool {
    names_somebody(&text_of(message))
}

pub(super) fn names_somebody(text: &str) -> bool {
    CANARIES.iter().any(|canary| text.contains(canary))
}

/// A message as it goes over the wire.
pub(crate) fn text_of(message: &impl Serialize) -> String {
    serde_json::to_string(message).expect("a message has string keys and plain values")
}
