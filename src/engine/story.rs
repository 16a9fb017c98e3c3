//! The story of each job in the log: a line an event, told when its record is committed, so that a search for a job's id
//! finds all that became of it, and nothing that did not. The dispatcher tells nothing itself; its records name their
//! events, and a line is an event with what belongs to it.
//!
//! Ids and words of closed lists only. What people wrote (answers, references, the reasons of a cancel or a hand-back) is
//! not told, nor are names, places and distances: four distances are a place.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};

use kiez_protocol::friend::ClosedReason;
use kiez_protocol::ids::{CommunitySlug, FriendId, JobId, OfferId, PackageSlug, PartnerSlug};
use kiez_protocol::partner::JobState;
use serde::Serialize;
use tracing::Span;

use crate::dispatch::decision::{Decision, Outcome};
use crate::dispatch::effect::{Actor, EventRow, JobRecord, Record};
use crate::dispatch::gates::Gate;
use crate::dispatch::job::{Offer, OfferState};
use crate::metrics;

/// The span in which everything about a job is told.
pub fn about(job: JobId) -> Span {
    tracing::info_span!("job", %job)
}

/// What one record says happened to a job, kept until it is committed.
#[derive(Debug)]
pub struct Chapter {
    lines: Vec<Line>,
    looks: Vec<Look>,
    closed: Vec<(OfferId, FriendId, ClosedReason)>,
}

/// An event with what belongs to it.
#[derive(Debug)]
struct Line {
    kind: &'static str,
    sequence: u32,
    attempt: u16,
    from: Option<JobState>,
    state: JobState,
    partner: Option<PartnerSlug>,
    friend: Option<FriendId>,
    reason: Option<String>,
    part: Part,
}

/// What belongs to events of some kinds.
#[derive(Debug)]
enum Part {
    Posted { community: CommunitySlug, package: PackageSlug },
    Asked { wave: u8, offers: Vec<OfferId>, friends: Vec<FriendId> },
    Declined { offer: Option<OfferId> },
    Won { offer: OfferId, wave: u8, after_ms: i64 },
    Edited { revision: u32 },
    Nothing,
}

/// A look for friends: how many were seen, and which gates held them back.
#[derive(Debug)]
struct Look {
    wave: u8,
    wanted: usize,
    found: usize,
    cap_m: u32,
    held_back: BTreeMap<Gate, usize>,
}

impl Chapter {
    /// The chapter of a record; none if it is not about a job.
    pub fn of(record: &Record) -> Option<Chapter> {
        let Record::Job(record) = record else { return None };
        // A look that found nobody is recorded and makes no event.
        let mut asked = record.decisions.iter().filter(|decision| seated(decision).next().is_some());
        let lines = record.events.iter().map(|event| line(event, record, &mut asked)).collect();
        let closed = record.offers.iter().filter_map(|offer| match offer.state {
            OfferState::Live => None,
            OfferState::Closed(reason) => Some((offer.id, offer.friend, reason)),
        });
        Some(Chapter { lines, looks: record.decisions.iter().map(look).collect(), closed: closed.collect() })
    }

    /// Tells it: the record is committed. Within [`about`] its job.
    pub fn tell(self) {
        for line in self.lines {
            metrics::job_event(line.kind, line.from, line.state);
            line.tell();
        }
        for Look { wave, wanted, found, cap_m, held_back } in &self.looks {
            let held_back = list(held_back.iter().map(|(gate, count)| format!("{}:{count}", word(gate))));
            if *found == 0 {
                tracing::info!(wave, wanted, cap_m, held_back, "nobody_found");
            } else {
                tracing::debug!(wave, wanted, found, cap_m, held_back, "looked");
            }
        }
        for (offer, friend, reason) in &self.closed {
            tracing::debug!(%offer, %friend, reason = word(reason), "offer_closed");
        }
    }
}

impl Line {
    fn tell(self) {
        let Line { kind, sequence, attempt, from: _, state, partner, friend, reason, part } = self;
        let (state, partner) = (state.as_str(), partner.as_ref().map(PartnerSlug::as_str));
        let friend = friend.map(tracing::field::display);
        match part {
            Part::Posted { community, package } => {
                let (community, package) = (community.as_str(), package.as_str());
                tracing::info!(sequence, state, partner, community, package, "{kind}");
            }
            Part::Asked { wave, offers, friends } => {
                let (offers, friends) = (list(offers), list(friends));
                tracing::info!(sequence, state, attempt, wave, offers, friends, "{kind}");
            }
            Part::Declined { offer } => {
                let offer = offer.map(tracing::field::display);
                tracing::info!(sequence, state, attempt, friend, offer, reason, "{kind}");
            }
            Part::Won { offer, wave, after_ms } => {
                tracing::info!(sequence, state, attempt, wave, friend, %offer, after_ms, "{kind}");
            }
            Part::Edited { revision } => tracing::info!(sequence, state, attempt, partner, revision, "{kind}"),
            Part::Nothing => tracing::info!(sequence, state, attempt, partner, friend, "{kind}"),
        }
    }
}

fn line<'r>(event: &EventRow, record: &'r JobRecord, asked: &mut impl Iterator<Item = &'r Decision>) -> Line {
    let (partner, friend) = match &event.actor {
        Actor::System | Actor::Customer | Actor::Ops(_) => (None, None),
        Actor::Partner(partner) => (Some(partner.clone()), None),
        Actor::Friend(friend) => (None, Some(*friend)),
    };
    let offer_of = |friend| record.offers.iter().find(move |offer| Some(offer.friend) == friend);
    let won = record.visits.last().map(|visit| visit.friend);
    let (mut whom, mut reason) = (friend, None);
    let part = match event.kind {
        "posted" => Part::Posted {
            community: record.job.terms.community.slug.clone(),
            package: record.job.terms.package.slug.clone(),
        },
        "wave_opened" | "seat_refilled" => match asked.next() {
            Some(decision) => {
                let made = |friend| record.offers.iter().find(move |offer| is_made(offer, decision, friend));
                let offers = seated(decision).filter_map(made).map(|offer| offer.id).collect();
                Part::Asked { wave: decision.wave, offers, friends: seated(decision).collect() }
            }
            None => Part::Nothing,
        },
        "offer_declined" | "declined_late" | "decline_undone" | "accept_over_capacity" => {
            // One of six words.
            reason.clone_from(&event.reason);
            Part::Declined { offer: offer_of(friend).map(|offer| offer.id) }
        }
        "assigned" | "proposal_confirmed" => match (record.visits.last(), offer_of(won)) {
            (Some(visit), Some(offer)) => {
                whom = won;
                let after_ms = visit.assigned_at.since(record.job.created_at);
                Part::Won { offer: offer.id, wave: offer.wave, after_ms }
            }
            (_, _) => Part::Nothing,
        },
        // From whom it was taken, or to whom it was given. Why is in people's own words.
        "cancelled" | "no_contact" | "assigned_by_ops" => {
            whom = record.visits.last().map(|visit| visit.friend);
            Part::Nothing
        }
        "edited" | "answers_complete" | "answered" => Part::Edited { revision: record.job.view.revision },
        _ => Part::Nothing,
    };
    Line {
        kind: event.kind,
        sequence: event.sequence,
        attempt: record.job.view.attempt,
        from: event.from,
        state: event.to,
        partner,
        friend: whom,
        reason,
        part,
    }
}

fn is_made(offer: &Offer, decision: &Decision, friend: FriendId) -> bool {
    offer.friend == friend && offer.attempt == decision.attempt && offer.wave == decision.wave
}

/// Who got a seat.
fn seated(decision: &Decision) -> impl Iterator<Item = FriendId> {
    decision.seated().map(|(friend, ..)| friend)
}

fn look(decision: &Decision) -> Look {
    let mut held_back = BTreeMap::new();
    for candidate in &decision.candidates {
        if let Outcome::Failed { gate } = candidate.outcome {
            *held_back.entry(gate).or_default() += 1;
        }
    }
    let found = seated(decision).count();
    Look { wave: decision.wave, wanted: decision.seats.len(), found, cap_m: decision.cap_m, held_back }
}

/// A value of a closed list as the wire names it.
fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(_) | Err(_) => String::new(),
    }
}

/// Things on one line, with commas between them.
fn list<T: Display>(things: impl IntoIterator<Item = T>) -> String {
    let mut list = String::new();
    for thing in things {
        if !list.is_empty() {
            list.push(',');
        }
        write!(list, "{thing}").expect("a text takes what is written");
    }
    list
}
