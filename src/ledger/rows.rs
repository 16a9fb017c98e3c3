//! The rows of one commit: records laid flat, table by table, so that each table takes one statement however many
//! records there are. What comes later in the batch replaces what came before under the same key; what may be written
//! only once (events, decisions, keys) is kept as it is, so that a doubling is refused by the database and not hidden.

use std::collections::HashMap;
use std::fmt::Write;
use std::hash::Hash;

use kiez_protocol::friend::{ClosedReason, WhyReason};
use kiez_protocol::partner::JobState;
use kiez_protocol::talk::Voice;
use kiez_protocol::webhook::{JobNews, Webhook, WebhookType};
use serde::Serialize;
use uuid::Uuid;

use super::audit::AuditLine;
use super::lines::{
    BookingLine, DecisionLine, DutyLine, EventLine, JobLine, KeyLine, MessageLine, OfferLine, OutboxLine, ProposalLine,
    QuestionLine, RunLine, VisitLine, WaitLine,
};
use crate::dispatch::announce::announced;
use crate::dispatch::effect::{Actor, DutyRow, EventRow, JobRecord, Record, WaitRow};
use crate::dispatch::job::{Offer, OfferState, Visit, VisitEnd};
use crate::dispatch::talk::{Proposal, Question, Said, Talk};

/// How long a partner's key is kept, ms.
pub const KEY_KEPT_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// The rows of one commit.
#[derive(Debug, Default)]
pub struct Rows {
    pub jobs: Vec<JobLine>,
    pub bookings: Vec<BookingLine>,
    pub runs: Vec<RunLine>,
    pub offers: Vec<OfferLine>,
    pub visits: Vec<VisitLine>,
    pub events: Vec<EventLine>,
    pub decisions: Vec<DecisionLine>,
    pub keys: Vec<KeyLine>,
    pub duties: Vec<DutyLine>,
    pub waits: Vec<WaitLine>,
    pub questions: Vec<QuestionLine>,
    pub proposals: Vec<ProposalLine>,
    pub messages: Vec<MessageLine>,
    pub outbox: Vec<OutboxLine>,
    pub audits: Vec<AuditLine>,
}

impl Rows {
    /// The rows of these records, in an order that can be written: places are freed before they are taken.
    pub fn of<'r>(records: impl IntoIterator<Item = &'r Record>) -> Rows {
        let mut rows = Rows::default();
        for record in records {
            match record {
                Record::Job(record) => rows.add_job(record),
                Record::Duty(duty) => rows.duties.push(duty_line(duty)),
                Record::Waitlist(wait) => rows.add_wait(wait),
                Record::Audit(row) => rows.audits.push(AuditLine::of(row)),
            }
        }
        keep_last(&mut rows.jobs, |line| line.id);
        keep_last(&mut rows.bookings, |line| line.job);
        keep_last(&mut rows.runs, |line| (line.job, line.attempt));
        keep_last(&mut rows.offers, |line| line.id);
        keep_last(&mut rows.visits, |line| (line.job, line.attempt));
        keep_last(&mut rows.questions, |line| (line.job, line.number));
        keep_last(&mut rows.proposals, |line| line.offer);
        keep_last(&mut rows.duties, |line| line.friend);
        // Unique constraints are checked row by row: who gives a place up goes before who takes it.
        rows.visits.sort_by_key(|line| line.active);
        rows.offers.sort_by_key(|line| line.state == WON);
        rows
    }

    /// A statement may touch a row only once, so requests for one cell are added up here.
    fn add_wait(&mut self, wait: &WaitRow) {
        let (community, cell, at) = (wait.community.as_str(), wait.cell.to_string(), wait.at.0);
        match self.waits.iter_mut().find(|line| line.community == community && line.cell == cell) {
            Some(line) => {
                line.requests += 1;
                line.last_at = at;
            }
            None => {
                let community = community.to_owned();
                self.waits.push(WaitLine { community, cell, requests: 1, first_at: at, last_at: at });
            }
        }
    }

    fn add_job(&mut self, record: &JobRecord) {
        let row = &record.job;
        let view = &row.view;
        let job = row.id.0;
        let view_json = json(view);
        self.jobs.push(JobLine {
            id: job,
            partner: row.partner.as_str().to_owned(),
            partner_ref: row.partner_ref.clone(),
            community: row.terms.community.slug.as_str().to_owned(),
            community_version: row.terms.community_version.into(),
            package: row.terms.package.slug.as_str().to_owned(),
            package_version: row.terms.package_version.into(),
            commission_rule: row.terms.commission.id.as_str().to_owned(),
            commission_basis_points: row.terms.commission.basis_points.into(),
            state: state_word(view.state),
            attempt: view.attempt.into(),
            revision: view.revision.into(),
            sequence: view.sequence.into(),
            created_at: row.created_at.0,
            updated_at: row.updated_at.0,
            expire_at: view.expires_at.0,
            next_deadline: row.next_deadline.map(|due| due.0),
            price: view.price.map(|price| price.amount),
            commission: view.commission.map(|commission| commission.amount),
            currency: view.price.or(view.commission).map(|money| money.currency.code()),
            view: view_json.clone(),
            progress: json(&row.progress),
        });
        if let Some(booking) = &record.booking {
            self.bookings.push(BookingLine { job, doc: json(&**booking) });
        }
        self.runs.extend(record.runs.iter().map(|run| RunLine {
            job,
            attempt: run.attempt.into(),
            started_at: run.started_at.0,
            waves: run.waves.into(),
            asked: run.asked.into(),
            ended_at: run.ended_at.map(|at| at.0),
            end_state: run.end.map(state_word),
        }));
        self.offers.extend(record.offers.iter().map(|offer| offer_line(job, offer)));
        self.visits.extend(record.visits.iter().map(|visit| visit_line(job, visit)));
        self.events.extend(record.events.iter().map(|event| {
            let (actor, actor_id) = match &event.actor {
                Actor::System => ("system", None),
                Actor::Partner(partner) => ("partner", Some(partner.as_str().to_owned())),
                Actor::Friend(friend) => ("friend", Some(friend.to_string())),
                Actor::Customer => ("customer", None),
                Actor::Ops(by) => ("ops", Some(by.actor.clone())),
            };
            EventLine {
                job,
                sequence: event.sequence.into(),
                from_state: event.from.map(state_word),
                to_state: state_word(event.to),
                kind: event.kind,
                actor,
                actor_id,
                reason: event.reason.clone(),
                at: event.at.0,
                client_at: event.client_at.map(|at| at.0),
            }
        }));
        self.outbox.extend(news(record).map(|(kind, event)| OutboxLine {
            // Stable without being stored: a job has one event of this number.
            message: format!("msg_{}_{}", job.simple(), event.sequence),
            partner: row.partner.as_str().to_owned(),
            kind: kind.as_str(),
            job,
            sequence: event.sequence.into(),
            at: event.at.0,
            body: json(&Webhook { kind, timestamp: event.at, data: JobNews::of(view, event.to, event.sequence) }),
        }));
        let Talk { questions, proposals, messages } = &record.talk;
        self.questions.extend(questions.iter().map(|question| question_line(job, question)));
        self.proposals.extend(proposals.iter().map(|proposal| proposal_line(job, proposal)));
        self.messages.extend(messages.iter().map(|said| message_line(job, said)));
        self.decisions.extend(record.decisions.iter().map(|decision| DecisionLine {
            job,
            attempt: decision.attempt.into(),
            wave: decision.wave.into(),
            at: decision.at.0,
            doc: json(decision),
        }));
        self.keys.extend(record.key.iter().map(|key| KeyLine {
            partner: row.partner.as_str().to_owned(),
            key: key.key.clone(),
            body: hex(&key.body),
            job,
            answer: view_json.clone(),
            at: row.updated_at.0,
        }));
        self.audits.extend(record.audit.iter().map(AuditLine::of));
    }
}

/// The events of a record that partners hear of.
fn news(record: &JobRecord) -> impl Iterator<Item = (WebhookType, &EventRow)> {
    record.events.iter().filter_map(|event| Some((announced(event.from, event.to)?, event)))
}

/// Whether a record has something that partners hear of.
pub fn is_news(record: &Record) -> bool {
    match record {
        Record::Job(record) => news(record).next().is_some(),
        Record::Duty(_) | Record::Waitlist(_) | Record::Audit(_) => false,
    }
}

fn offer_line(job: Uuid, offer: &Offer) -> OfferLine {
    OfferLine {
        id: offer.id.0,
        job,
        friend: offer.friend.0,
        attempt: offer.attempt.into(),
        wave: offer.wave.into(),
        wave_seat: offer.wave_seat.into(),
        seat: offer.seat.into(),
        revision: offer.revision.into(),
        sent_at: offer.sent_at.0,
        expires_at: offer.expires_at.0,
        state: offer_word(offer.state),
        renewed: offer.renewed,
        distance_m: offer.distance_m.into(),
        gross: offer.pay.gross.amount,
        commission: offer.pay.commission.amount,
        net: offer.pay.net.amount,
        currency: offer.pay.gross.currency.code(),
        why: match offer.why {
            WhyReason::Nearest => "nearest",
            WhyReason::Fairness => "fairness",
            WhyReason::Named => "named",
            WhyReason::Assigned => "assigned",
        },
        deficit_days: offer.deficit_days.map(i64::from),
        rank: offer.rank.into(),
    }
}

fn visit_line(job: Uuid, visit: &Visit) -> VisitLine {
    VisitLine {
        job,
        attempt: visit.attempt.into(),
        friend: visit.friend.0,
        offer: visit.offer.0,
        place: visit.place.into(),
        gross: visit.pay.gross.amount,
        commission: visit.pay.commission.amount,
        net: visit.pay.net.amount,
        currency: visit.pay.gross.currency.code(),
        accept_key: visit.key.0,
        assigned_at: visit.assigned_at.0,
        contact_due: visit.contact_due.0,
        appointment_from: visit.appointment.map(|window| window.from.0),
        appointment_to: visit.appointment.map(|window| window.to.0),
        active: visit.active,
        ended_at: visit.ended.map(|ended| ended.at.0),
        outcome: visit.ended.map(|ended| match ended.how {
            VisitEnd::Done => DONE,
            VisitEnd::HandedBack => HANDED_BACK,
            VisitEnd::NoContact { .. } => NO_CONTACT,
            VisitEnd::Cancelled => CANCELLED,
        }),
        cool_until: visit.ended.and_then(|ended| match ended.how {
            VisitEnd::NoContact { cool_until } => Some(cool_until.0),
            VisitEnd::Done | VisitEnd::HandedBack | VisitEnd::Cancelled => None,
        }),
    }
}

fn question_line(job: Uuid, question: &Question) -> QuestionLine {
    let (asker, reply) = (question.asker, question.reply.as_ref());
    QuestionLine {
        job,
        number: question.number.into(),
        friend: asker.map(|asker| asker.friend.0),
        offer: asker.map(|asker| asker.offer.0),
        nth: asker.map(|asker| asker.nth.into()),
        key: asker.and_then(|asker| asker.key).map(|key| key.0),
        text: question.text.clone(),
        asked_at: question.asked_at.0,
        reply: reply.map(|(text, _)| text.clone()),
        replied_at: reply.map(|(_, at)| at.0),
    }
}

fn proposal_line(job: Uuid, proposal: &Proposal) -> ProposalLine {
    ProposalLine {
        offer: proposal.offer.0,
        job,
        friend: proposal.friend.0,
        revision: proposal.revision.into(),
        key: proposal.key.0,
        windows: json(&proposal.windows),
        proposed_at: proposal.proposed_at.0,
        until: proposal.until.0,
    }
}

fn message_line(job: Uuid, said: &Said) -> MessageLine {
    MessageLine {
        job,
        number: said.number.into(),
        friend: said.friend.0,
        voice: match said.from {
            Voice::Customer => "customer",
            Voice::Friend => "friend",
        },
        text: said.text.clone(),
        key: said.key.map(|key| key.0),
        at: said.at.0,
    }
}

// How a visit ended.
pub const DONE: &str = "done";
pub const HANDED_BACK: &str = "handed_back";
pub const NO_CONTACT: &str = "no_contact";
pub const CANCELLED: &str = "cancelled";

fn duty_line(duty: &DutyRow) -> DutyLine {
    DutyLine {
        friend: duty.friend.0,
        on_duty: duty.duty.on,
        until: duty.duty.until.map(|until| until.0),
        at: duty.at.0,
        first_on_at: duty.first_on.map(|at| at.0),
    }
}

/// The word of an offer the friend may accept.
pub const LIVE: &str = "live";
const WON: &str = "won";

fn offer_word(state: OfferState) -> &'static str {
    match state {
        OfferState::Live => LIVE,
        OfferState::Closed(reason) => match reason {
            ClosedReason::Taken => "taken",
            ClosedReason::Won => WON,
            ClosedReason::Cancelled => "cancelled",
            ClosedReason::Expired => "expired",
            ClosedReason::Superseded => "superseded",
            ClosedReason::Paused => "paused",
            ClosedReason::Declined => "declined",
            ClosedReason::HandedBack => "handed_back",
            ClosedReason::Capacity => "capacity",
        },
    }
}

/// The word of a job's state: that of the wire.
pub fn state_word(state: JobState) -> String {
    json(&state).trim_matches('"').to_owned()
}

/// The JSON of one of our own types.
pub fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("our types have string keys and finite numbers")
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes everything");
        text
    })
}

/// The 32 bytes of a hexadecimal SHA-256.
pub fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

/// Keeps the last line of each key, in the order in which those stand.
fn keep_last<L, K: Eq + Hash>(lines: &mut Vec<L>, key: impl Fn(&L) -> K) {
    let last: HashMap<K, usize> = lines.iter().enumerate().map(|(at, line)| (key(line), at)).collect();
    if last.len() < lines.len() {
        let mut at = 0..;
        lines.retain(|line| at.next() == last.get(&key(line)).copied());
    }
}
