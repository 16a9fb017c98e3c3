//! One job as the records tell of it: its events lead from state to state, each by who may take it there, and every
//! state has its time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kiez_protocol::directory::{Friend, Pricing, WavePlan};
use kiez_protocol::ids::{FriendId, JobId, OfferId, PartnerSlug};
use kiez_protocol::money::{Currency, Money, PaymentMethod};
use kiez_protocol::partner::{JobState, Urgency};
use kiez_protocol::time::Time;

use super::night::Night;
use super::talk::Talked;
use super::{Checked, Rule, Tally, hold};
use crate::dispatch::effect::{Actor, EventRow, JobRecord};
use crate::dispatch::input::Terms;
use crate::dispatch::job::{Booking, Offer, OfferState, Run, Visit};

const HOUR_MS: i64 = 3_600_000;
/// An accept that was sent in time may arrive so much later, ms; a job waits for it before it expires.
pub(super) const GRACE_MS: i64 = 2_000;

/// A friend who was asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub offer: Offer,
    /// Every state it has had.
    pub states: Vec<OfferState>,
    /// When its arrival was reported.
    pub arrived_at: Option<Time>,
    /// It must have arrived by then, or its seat is given on.
    pub arrives_by: Time,
}

impl Asked {
    pub fn is_live(&self) -> bool {
        self.offer.state == OfferState::Live
    }

    /// Whether it did not arrive in time, and its seat may be given on.
    pub fn failed(&self, now: Time) -> bool {
        self.arrives_by <= now && self.arrived_at.is_none_or(|at| at >= self.arrives_by)
    }
}

/// A no that can be taken back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Undoable {
    pub until: Time,
    /// Its seat stays empty so long. One whose offer had not arrived in time is given on already.
    pub seated: bool,
}

/// Everything recorded of one job.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub id: JobId,
    pub partner: PartnerSlug,
    pub terms: Terms,
    pub booking: Arc<Booking>,
    pub state: JobState,
    pub sequence: u32,
    pub attempt: u16,
    pub revision: u32,
    pub created_at: Time,
    pub expires_at: Time,
    pub run: Run,
    pub asked: Vec<Asked>,
    pub visits: Vec<Visit>,
    /// Who declined or handed back.
    pub blocked: BTreeSet<FriendId>,
    /// How many found it too vague since its customer last said more.
    pub found_vague: usize,
    /// Who they are: a no that is taken back counts no more.
    pub vague_by: BTreeSet<FriendId>,
    /// How many were suitable and in reach when it first looked, whatever the wave; where that was seen.
    pub in_reach: Option<usize>,
    /// When its last event happened.
    pub changed_at: Time,
    /// When the newest wave of this run opened.
    pub wave_at: Option<Time>,
    /// When its present state must end.
    pub due: Option<Time>,
    /// What happened last, and when.
    pub last: (&'static str, Time),
    /// Noes that can be taken back.
    pub undoable: BTreeMap<OfferId, Undoable>,
    /// Who takes a no back by the record that is being looked at.
    pub taken_back: Option<FriendId>,
    /// Whether the present run began, or may yet begin, with the friend whom the customer has named.
    pub held: bool,
    /// Until when they alone are asked.
    pub hold_until: Time,
    /// Whether a no of this moment can be taken back: not that of whom a job is held for.
    pub grants_undo: bool,
    pub talked: Talked,
}

impl Page {
    pub fn is_open(&self) -> bool {
        matches!(self.state, JobState::Dispatching | JobState::Unfilled)
    }

    pub fn plan(&self) -> &WavePlan {
        let policy = &self.terms.community.policy;
        match self.booking.urgency {
            Urgency::Urgent => &policy.urgent,
            Urgency::Normal => &policy.normal,
            Urgency::Relaxed => &policy.relaxed,
        }
    }

    /// When its clocks stand.
    pub fn night(&self) -> Night {
        Night::of(&self.terms.community.policy, self.booking.urgency)
    }

    /// Whether a record has this offer.
    pub fn wrote(&self, record: &JobRecord, asked: &Asked) -> bool {
        record.offers.iter().any(|offer| offer.id == asked.offer.id)
    }

    pub fn holder(&self) -> Option<&Visit> {
        self.visits.iter().find(|visit| visit.active)
    }

    pub fn live(&self) -> impl Iterator<Item = &Asked> {
        self.asked.iter().filter(|asked| asked.is_live())
    }

    /// The offer of the friend who was named, in an attempt.
    pub fn direct(&self, attempt: u16) -> Option<&Asked> {
        self.asked.iter().find(|asked| asked.offer.attempt == attempt && asked.offer.is_direct())
    }

    pub fn offer(&self, offer: OfferId) -> Option<&Asked> {
        self.asked.iter().find(|asked| asked.offer.id == offer)
    }
}

impl Page {
    pub fn take(&mut self, event: &EventRow) -> Checked {
        let from = (self.sequence > 0).then_some(self.state);
        hold(event.sequence == self.sequence + 1 && event.from == from, Rule::Events, self.id, || {
            format!("event {} {:?} → {} follows {from:?} at {}", event.sequence, event.from, event.to, self.sequence)
        })?;
        hold(may(from, event.to, &event.actor), Rule::Events, self.id, || {
            format!("{:?} took it from {from:?} to {}", event.actor, event.to)
        })?;
        if event.kind == "wave_opened" {
            let due = self.wave_at.map(|before| self.night().after(before, self.plan().interval_ms));
            let soon = self.state == JobState::Dispatching && due.is_some_and(|due| event.at < due);
            hold(!soon, Rule::Seats, self.id, || format!("a wave opened at {}, and was due at {due:?}", event.at))?;
            self.wave_at = Some(event.at);
        }
        if let (Actor::Friend(friend), "offer_declined" | "declined_late") = (&event.actor, event.kind) {
            self.blocked.insert(*friend);
        }
        let back = matches!((from, event.to), (Some(JobState::Assigned | JobState::Contacted), JobState::Dispatching));
        if back && let Some(visit) = self.visits.iter().max_by_key(|visit| visit.attempt) {
            self.blocked.insert(visit.friend);
        }
        self.sleeps(event)?;
        match event.kind {
            "offer_declined" => self.grants_undo = !self.held,
            "direct_passed" => self.held = false,
            // Handed back once too often: ops decide.
            "unfilled" if matches!(self.last, ("handed_back" | "no_contact", at) if at == event.at) => {
                self.held = false;
            }
            _ => {}
        }
        let agrees = event.actor == Actor::Customer && event.to == JobState::Assigned && from != Some(event.to);
        hold(!agrees || event.kind == "proposal_confirmed", Rule::Events, self.id, || {
            format!("the customer takes it to {} by {}", event.to, event.kind)
        })?;
        (self.sequence, self.state, self.changed_at) = (event.sequence, event.to, event.at);
        self.last = (event.kind, event.at);
        if from != Some(event.to) {
            if event.to == JobState::Dispatching {
                self.wave_at = None;
            }
            let policy = &self.terms.community.policy;
            self.due = match event.to {
                JobState::NeedsInfo => Some(self.reminder_after(event.at)),
                JobState::Contacted | JobState::Done => Some(event.at + 72 * HOUR_MS),
                JobState::Paused => Some(event.at + 24 * HOUR_MS),
                JobState::Assigned => Some(event.at + policy.contact_ms + policy.contact_grace_ms),
                // The customer may dispute until 14 days after the work, of which three went to the confirming.
                JobState::Confirmed => Some(event.at + 11 * 24 * HOUR_MS),
                JobState::Unsuccessful => Some(event.at + 72 * HOUR_MS),
                JobState::Dispatching
                | JobState::Unfilled
                | JobState::Appointed
                | JobState::OnTheWay
                | JobState::InProgress
                | JobState::Disputed
                | JobState::Refunded
                | JobState::Cancelled
                | JobState::Expired
                | JobState::Closed => None,
            };
        } else if let "stalled" | "alarm" = event.kind {
            self.due = Some(event.at + 24 * HOUR_MS);
        } else if event.kind == "reminder" {
            self.due = Some(self.reminder_after(event.at));
        }
        self.vague(event)
    }

    /// A friend takes a no back: `taken_at` is when the server had it, where that is known.
    pub fn undone(&mut self, event: &EventRow, taken_at: Option<Time>) -> Checked {
        let Actor::Friend(friend) = &event.actor else {
            return hold(false, Rule::Undo, self.id, || format!("{:?} takes a no back", event.actor));
        };
        let theirs = |offer: &OfferId| self.offer(*offer).is_some_and(|asked| asked.offer.friend == *friend);
        let found = self.undoable.iter().find(|(offer, _)| theirs(offer)).map(|(offer, undo)| (*offer, undo.until));
        let in_time = found.is_some_and(|(_, until)| taken_at.is_none_or(|at| at <= until));
        hold(in_time, Rule::Undo, self.id, || format!("{friend} takes a no back at {taken_at:?}: {found:?}"))?;
        let (offer, _) = found.expect("just seen");
        self.undoable.remove(&offer);
        self.blocked.remove(friend);
        if self.vague_by.remove(friend) {
            self.found_vague = self.found_vague.saturating_sub(1);
        }
        self.taken_back = Some(*friend);
        Ok(())
    }

    /// The customer is reminded of missing answers an hour and a day after the post, but not at night; three days after
    /// it, it is over.
    fn reminder_after(&self, at: Time) -> Time {
        let due = [1, 24].map(|hours| self.created_at + hours * HOUR_MS).into_iter().find(|due| *due > at);
        let end = self.created_at + 72 * HOUR_MS;
        due.map_or(end, |due| self.night().until(due).unwrap_or(due).min(end))
    }

    /// At night the clocks stand: nobody is asked or reminded, and no time runs out on a search. What people do then may
    /// end it all the same.
    fn sleeps(&self, event: &EventRow) -> Checked {
        let ends = matches!(self.last.0, "handed_back" | "no_contact" | "direct_passed") && self.last.1 == event.at;
        let rests = match event.kind {
            "wave_opened" | "seat_refilled" | "named_asked" | "reminder" => true,
            "unfilled" => !ends,
            _ => false,
        };
        let night = self.night().until(event.at).filter(|_| rests);
        hold(night.is_none(), Rule::Night, self.id, || format!("{} at {}, at night", event.kind, event.at))
    }

    /// Found too vague by so many friends, it is held until its customer has said more, and nobody else is asked.
    fn vague(&mut self, event: &EventRow) -> Checked {
        let most = usize::from(self.terms.community.policy.vague_max);
        match event.kind {
            "offer_declined" if event.reason.as_deref() == Some("too_vague") => {
                self.found_vague += 1;
                if let Actor::Friend(friend) = &event.actor {
                    self.vague_by.insert(*friend);
                }
            }
            "resumed" | "assigned_by_ops" => self.found_vague = 0,
            "paused" if event.actor == Actor::System => {
                let found = self.found_vague;
                hold(found >= most, Rule::Seats, self.id, || format!("held as too vague, as {found} found it"))?;
            }
            "wave_opened" | "seat_refilled" => {
                let found = self.found_vague;
                hold(found < most, Rule::Seats, self.id, || format!("{found} found it too vague, and it asks on"))?;
            }
            _ => {}
        }
        Ok(())
    }

    /// When its present state must end.
    pub fn due(&self) -> Option<Time> {
        if self.is_open() { Some(self.expires_at + GRACE_MS) } else { self.due }
    }
}

/// Who may take a job from where to where.
fn may(from: Option<JobState>, to: JobState, actor: &Actor) -> bool {
    use JobState::{
        Assigned, Cancelled, Closed, Confirmed, Contacted, Dispatching, Done, Expired, NeedsInfo, Paused, Unfilled,
        Unsuccessful,
    };
    let Some(from) = from else {
        return matches!((to, actor), (NeedsInfo | Dispatching, Actor::Partner(_) | Actor::Ops(_)));
    };
    from == to
        || match actor {
            Actor::Partner(_) | Actor::Customer | Actor::Ops(_) => {
                let gives = matches!((from, to), (NeedsInfo | Paused, Dispatching));
                let cancels = to == Cancelled
                    && matches!(from, NeedsInfo | Dispatching | Paused | Unfilled | Assigned | Contacted);
                let holds = to == Paused && matches!(from, Dispatching | Unfilled);
                let ops = matches!(actor, Actor::Ops(_));
                let steers = matches!(
                    (from, to),
                    (Dispatching | Paused | Unfilled, Assigned) | (Unfilled | Unsuccessful, Dispatching)
                );
                let agrees = *actor == Actor::Customer && matches!((from, to), (Dispatching | Unfilled, Assigned));
                gives || cancels || agrees || ops && (holds || steers)
            }
            Actor::Friend(_) => matches!(
                (from, to),
                (Dispatching | Unfilled, Assigned)
                    | (Assigned, Contacted)
                    | (Contacted, Done)
                    | (Assigned | Contacted, Dispatching)
            ),
            Actor::System => matches!(
                (from, to),
                (NeedsInfo | Dispatching | Unfilled, Expired)
                    | (Dispatching, Unfilled)
                    | (Dispatching | Unfilled, Paused)
                    | (Assigned, Dispatching)
                    | (Done, Confirmed)
                    | (Confirmed, Closed)
            ),
        }
}

/// The price by the package, the commission by the rule, rounded half to even; both by arithmetic of our own.
pub(super) fn balance(page: &Page, offer: &Offer, friend: &Friend, tally: &mut Tally) -> Checked {
    tally.looked(Rule::Balance);
    let (pay, gross) = (offer.pay, gross_of(page, friend));
    let adds_up = pay.commission.amount + pay.net.amount == pay.gross.amount && gross == Some(pay.gross);
    hold(adds_up && net_of(page, friend) == Some(pay.net), Rule::Balance, page.id, || {
        format!("{} of {} is kept and {} paid out, the price is {gross:?}", pay.commission, pay.gross, pay.net)
    })
}

/// What the customer pays when this friend does it.
fn gross_of(page: &Page, friend: &Friend) -> Option<Money> {
    let package = &page.terms.package;
    let gross = match package.pricing {
        Pricing::Fixed { price } => price,
        Pricing::Guide { from, .. } => from,
        Pricing::Hourly { .. } => {
            let rate = friend.hourly_rate?;
            Money { amount: share(rate.amount, i64::from(package.duration_min), 60), ..rate }
        }
    };
    // The smallest Swiss coin.
    let coins = gross.currency == Currency::Chf && page.booking.payment_method == PaymentMethod::Cash;
    Some(if coins { Money { amount: (gross.amount as f64 / 5.0).round() as i64 * 5, ..gross } } else { gross })
}

/// What is left for them.
pub(super) fn net_of(page: &Page, friend: &Friend) -> Option<Money> {
    let gross = gross_of(page, friend)?;
    let kept = share(gross.amount, i64::from(page.terms.commission.basis_points), 10_000);
    Some(Money { amount: gross.amount - kept, ..gross })
}

/// So many parts of a whole, rounded half to even.
fn share(amount: i64, parts: i64, whole: i64) -> i64 {
    let exact = i128::from(amount) * i128::from(parts);
    let (low, rest) = (exact.div_euclid(whole.into()), 2 * exact.rem_euclid(whole.into()));
    let up = rest > whole.into() || (rest == whole.into() && low % 2 == 1);
    (low + i128::from(up)) as i64
}
