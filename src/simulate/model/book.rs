//! A record with all records before it. Every record must follow from the book as it was: events without a gap, offers
//! that open once and close once, one winner, a free place, money that adds up, a deadline.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use kiez_protocol::directory::{Community, Friend, Pricing};
use kiez_protocol::friend::{ClosedReason, Duty, WhyReason};
use kiez_protocol::ids::{FriendId, JobId, Key, OfferId, PartnerSlug};
use kiez_protocol::money::Money;
use kiez_protocol::partner::{JobState, Window};
use kiez_protocol::time::Time;

use super::super::streets::{Streets, friend_no};
use super::job::{Asked, GRACE_MS, Page, Undoable, balance};
use super::talk::Owed;
use super::{Checked, Rule, Tally, choice, hold};
use crate::dispatch::decision::{Decision, Outcome};
use crate::dispatch::effect::{DutyRow, EventRow, JobRecord, Record};
use crate::dispatch::input::Terms;
use crate::dispatch::job::{Offer, OfferState, Visit, VisitEnd};
use crate::dispatch::rank::Wait;

const DAY_MS: i64 = 24 * 3_600_000;

/// What one friend holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Load {
    pub held: Vec<(JobId, u8)>,
    pub hand: Vec<OfferId>,
    pub beside: Vec<OfferId>,
    /// Jobs held or done, when they were won and for how much.
    pub taken: Vec<(JobId, Time, Money)>,
    /// Asked for nothing until then, after a contact breach.
    pub cool_until: Option<Time>,
    /// When they were first on duty.
    pub first_on: Option<Time>,
    /// When they were asked, each time.
    pub offered: Vec<Time>,
    /// Times agreed on for jobs held.
    pub appointments: Vec<(JobId, Window)>,
    /// An offer was never written: the dispatcher may have lost count of their wait.
    pub hazy: bool,
    pub changed_at: Time,
}

impl Load {
    /// How long they have waited for an offer: in whole days, and against how many of the last thirty.
    pub fn wait(&self, now: Time) -> Wait {
        let last = self.offered.iter().max().copied();
        let since = last.or(self.first_on).unwrap_or(now);
        let today = now.0.div_euclid(DAY_MS);
        let offers = self.offered.iter().rev().take_while(|at| at.0.div_euclid(DAY_MS) + 30 > today).count();
        Wait { days: (now.since(since) / DAY_MS) as u32, newcomer: last.is_none(), offers: offers as u32 }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Book {
    agreed: Arc<[Arc<Community>]>,
    pub pages: HashMap<JobId, Page>,
    /// Jobs that are not final, oldest first.
    pub open: BTreeSet<JobId>,
    pub loads: Vec<Load>,
    pub duties: Vec<Duty>,
    offers: HashMap<OfferId, JobId>,
    keys: BTreeMap<(PartnerSlug, String), JobId>,
    /// When live offers and present states must end.
    pub ends: BTreeSet<(Time, OfferId)>,
    pub dues: BTreeSet<(Time, JobId)>,
    /// Until then, after a start, no wave is spent on those who happen to be back.
    pub restored_until: Time,
    /// Records refused since everything was last written: a friend may be over capacity in memory until they are read
    /// again.
    pub unsettled: bool,
    /// When the undo that is being handled was taken, where that is known.
    pub undo_at: Option<Time>,
    /// Of each proposal, when the server had a yes to it.
    pub confirms: HashMap<OfferId, Vec<Time>>,
    /// Accepts that were first at a word and have not been handled.
    pub firsts: HashMap<JobId, BTreeSet<OfferId>>,
    /// The revision that each accept has seen.
    pub seen: HashMap<Key, u32>,
    /// Replies that were decided and not told.
    pub owed: Vec<Owed>,
}

impl Book {
    pub fn new(friends: usize, agreed: Arc<[Arc<Community>]>) -> Book {
        Book {
            agreed,
            pages: HashMap::new(),
            open: BTreeSet::new(),
            loads: vec![Load::default(); friends],
            duties: vec![Duty::default(); friends],
            offers: HashMap::new(),
            keys: BTreeMap::new(),
            ends: BTreeSet::new(),
            dues: BTreeSet::new(),
            restored_until: Time(0),
            unsettled: false,
            undo_at: None,
            confirms: HashMap::new(),
            firsts: HashMap::new(),
            seen: HashMap::new(),
            owed: Vec::new(),
        }
    }

    pub fn page_of(&self, offer: OfferId) -> Option<&Page> {
        self.pages.get(self.offers.get(&offer)?)
    }

    /// The job of an offer.
    pub fn job_of(&self, offer: OfferId) -> Option<JobId> {
        self.offers.get(&offer).copied()
    }

    /// Takes a record in. Its choices are looked at where the streets are given, as they are at that moment.
    pub fn apply(
        &mut self,
        record: &Record,
        friends: &[Arc<Friend>],
        tally: &mut Tally,
        streets: Option<&Streets>,
    ) -> Checked {
        match record {
            Record::Duty(DutyRow { friend, duty, at, first_on }) => {
                let number = friend_no(*friend);
                self.duties[number] = *duty;
                let load = &mut self.loads[number];
                load.first_on = load.first_on.or(duty.on.then_some(*at));
                hold(load.first_on == *first_on, Rule::Fair, None, || {
                    format!("{friend} was first on duty at {:?}, says the record {first_on:?}", load.first_on)
                })
            }
            Record::Waitlist(_) | Record::Audit(_) => Ok(()),
            Record::Job(record) => self.apply_job(record, friends, tally, streets),
        }
    }

    fn apply_job(
        &mut self,
        record: &JobRecord,
        friends: &[Arc<Friend>],
        tally: &mut Tally,
        streets: Option<&Streets>,
    ) -> Checked {
        let id = record.job.id;
        let mut page = match self.pages.remove(&id) {
            Some(page) => page,
            None => self.begin(record, tally)?,
        };
        tally.looked(Rule::Events);
        tally.looked(Rule::Night);
        let view = &record.job.view;
        let before = (page.attempt, page.revision, page.is_open());
        if (before.0, before.1) != (view.attempt, view.revision) {
            // What was declined is another job by now.
            page.undoable.clear();
        }
        let passes = page.held;
        for event in &record.events {
            self.goes_first(&page, event)?;
            page.take(event)?;
            if event.kind == "decline_undone" {
                tally.looked(Rule::Undo);
                page.undone(event, self.undo_at)?;
            }
        }
        hold(
            !record.events.is_empty() && (page.state, page.sequence) == (view.state, view.sequence),
            Rule::Events,
            id,
            || {
                format!(
                    "the events lead to {} at {}, the job says {} at {}",
                    page.state, page.sequence, view.state, view.sequence
                )
            },
        )?;
        let waits =
            before.2 && before.1 != view.revision && self.firsts.get(&id).is_some_and(|first| !first.is_empty());
        hold(!waits, Rule::First, id, || "it is edited, and an accept was before".to_owned())?;
        page.attempt = view.attempt;
        page.revision = view.revision;
        page.expires_at = view.expires_at;
        if page.held && page.attempt != before.0 {
            let hold_ms = page.terms.community.policy.direct_ms;
            page.hold_until = page.night().after(record.job.updated_at, hold_ms).min(page.expires_at);
        }
        let answered = page.hear(record, tally)?;
        page.run = record.job.progress.run.clone();
        if let Some(booking) = &record.booking {
            page.booking = Arc::clone(booking);
        }
        let now = record.job.updated_at;
        let did = |kind: &str| record.events.iter().any(|event| event.kind == kind);
        let (by_ops, by_customer) = (did("assigned_by_ops"), did("proposal_confirmed"));
        for visit in &record.visits {
            let won = visit.active && page.visits.iter().all(|known| known.attempt != visit.attempt);
            if won && by_customer {
                tally.looked(Rule::Talk);
                let heard = streets.map(|_| self.confirms.get(&visit.offer).map(Vec::as_slice).unwrap_or_default());
                page.confirms(visit, now, heard)?;
            } else if won && !by_ops {
                tally.looked(Rule::Seen);
                let seen = self.seen.get(&visit.key).copied().filter(|seen| *seen != page.revision);
                hold(seen.is_none(), Rule::Seen, id, || {
                    format!("{} wins revision {} and has seen {seen:?}", visit.friend, page.revision)
                })?;
            }
            self.visit(&mut page, visit, friends, now, tally)?;
        }
        let mut new: Vec<&Offer> = Vec::new();
        if passes && did("direct_passed") {
            tally.looked(Rule::Named);
            if let Some(streets) = streets {
                choice::may_pass(self, &page, before.0, record, streets)?;
            }
        }
        for offer in &record.offers {
            match page.asked.iter().position(|asked| asked.offer.id == offer.id) {
                Some(index) => self.changed(&mut page, index, offer, now, tally)?,
                None if offer.why == WhyReason::Assigned => {
                    hold(by_ops, Rule::Nearest, id, || format!("{} is given it, and not by ops", offer.friend))?;
                    self.asked(&mut page, offer, friends, now, tally)?;
                }
                None if offer.why == WhyReason::Named => {
                    tally.looked(Rule::Named);
                    hold(did("named_asked"), Rule::Named, id, || format!("{} is asked without a word", offer.friend))?;
                    choice::named(self, &page, offer, streets)?;
                    self.asked(&mut page, offer, friends, now, tally)?;
                }
                None => new.push(offer),
            }
        }
        if let Some(streets) = streets {
            for decision in &record.decisions {
                let chosen: Vec<&Offer> =
                    seated(decision).filter_map(|friend| of_choice(&new, decision, friend)).collect();
                if page.in_reach.is_none() && (decision.attempt, decision.wave) == (1, 1) {
                    page.in_reach = Some(choice::in_reach(self, &page, decision.at, streets));
                }
                choice::check(self, &page, decision, &chosen, streets, tally)?;
                for offer in &chosen {
                    self.asked(&mut page, offer, friends, now, tally)?;
                }
                new.retain(|offer| chosen.iter().all(|made| made.id != offer.id));
            }
            hold(new.is_empty(), Rule::Nearest, id, || format!("{} was asked without a decision", new[0].friend))?;
        } else {
            for offer in new {
                self.asked(&mut page, offer, friends, now, tally)?;
            }
        }
        page.taken_back = None;
        if streets.is_some() && !answered.is_empty() {
            let fresh =
                |asked: &&Asked| asked.states.len() == 1 && asked.offer.sent_at == now && page.wrote(record, asked);
            let holders = page.live().filter(|asked| !fresh(asked)).map(|asked| asked.offer.friend);
            for friend in holders.chain(page.holder().map(|visit| visit.friend)) {
                self.owed.extend(answered.iter().map(|number| Owed { friend, job: id, number: *number }));
            }
        }
        self.whole(&page, record, tally)?;
        if let Some(due) = page.due.filter(|_| !page.is_open()) {
            self.dues.insert((due, id));
        }
        if page.is_open() {
            self.dues.insert((page.expires_at + GRACE_MS, id));
        }
        if record.job.next_deadline.is_none() {
            self.open.remove(&id);
        } else {
            self.open.insert(id);
        }
        self.pages.insert(id, page);
        Ok(())
    }

    fn begin(&mut self, record: &JobRecord, tally: &mut Tally) -> Result<Page, super::Broken> {
        let row = &record.job;
        if let Some(key) = &record.key {
            tally.looked(Rule::OneKey);
            let before = self.keys.insert((row.partner.clone(), key.key.clone()), row.id);
            hold(before.is_none(), Rule::OneKey, row.id, || {
                format!("{} of {} made a job before", key.key, row.partner)
            })?;
        }
        let booking = record.booking.clone();
        hold(booking.is_some(), Rule::Events, row.id, || "begins without what was booked".to_owned())?;
        let booking_direct = booking.as_ref().is_some_and(|booking| booking.direct.is_some());
        let theirs = |community: &&Arc<Community>| community.slug == row.terms.community.slug;
        let community = self.agreed.iter().find(theirs).map(Arc::clone);
        hold(community.is_some(), Rule::Events, row.id, || "of a community that nobody knows".to_owned())?;
        let terms = Terms { community: community.expect("just seen"), ..row.terms.clone() };
        Ok(Page {
            id: row.id,
            partner: row.partner.clone(),
            terms,
            booking: booking.expect("just seen"),
            state: row.view.state,
            sequence: 0,
            attempt: 0,
            revision: 1,
            created_at: row.created_at,
            expires_at: row.view.expires_at,
            run: row.progress.run.clone(),
            asked: Vec::new(),
            visits: Vec::new(),
            blocked: BTreeSet::new(),
            found_vague: 0,
            vague_by: BTreeSet::new(),
            in_reach: None,
            changed_at: row.updated_at,
            wave_at: None,
            due: None,
            last: ("", row.created_at),
            undoable: BTreeMap::new(),
            taken_back: None,
            held: booking_direct,
            hold_until: row.view.expires_at,
            grants_undo: true,
            talked: super::talk::Talked::default(),
        })
    }

    /// Who is first at the word goes before all that would end the run.
    fn goes_first(&self, page: &Page, event: &EventRow) -> Checked {
        let ends = matches!(
            event.kind,
            "proposal_confirmed" | "assigned_by_ops" | "cancelled" | "paused" | "redispatched" | "expired"
        );
        let first = self.firsts.get(&page.id).filter(|first| ends && page.is_open() && !first.is_empty());
        hold(first.is_none(), Rule::First, page.id, || format!("{} goes before the accept of {first:?}", event.kind))
    }

    /// A visit begins or ends.
    fn visit(
        &mut self,
        page: &mut Page,
        visit: &Visit,
        friends: &[Arc<Friend>],
        now: Time,
        tally: &mut Tally,
    ) -> Checked {
        let (id, friend) = (page.id, friend_no(visit.friend));
        tally.looked(Rule::OneWinner);
        if let Some(other) = page.visits.iter().find(|other| other.attempt == visit.attempt) {
            hold(other.friend == visit.friend, Rule::OneWinner, id, || {
                format!("{} and {} both won attempt {}", other.friend, visit.friend, visit.attempt)
            })?;
        }
        page.visits.retain(|other| other.attempt != visit.attempt);
        let other = page.holder().map(|other| other.friend);
        hold(!visit.active || other.is_none(), Rule::OneWinner, id, || {
            format!("{other:?} and {} hold it", visit.friend)
        })?;
        page.visits.push(visit.clone());
        let load = &mut self.loads[friend];
        load.changed_at = now;
        load.held.retain(|(held, _)| *held != id);
        load.taken.retain(|(job, ..)| *job != id);
        load.appointments.retain(|(job, _)| *job != id);
        let how = visit.ended.map(|ended| ended.how);
        if visit.active || how == Some(VisitEnd::Done) {
            load.taken.push((id, visit.assigned_at, visit.pay.net));
        }
        if let Some(VisitEnd::NoContact { cool_until }) = how {
            let right = now + page.terms.community.policy.cool_down_ms;
            hold(cool_until == right, Rule::CoolDown, id, || {
                format!("{} cools until {cool_until}, by the policy until {right}", visit.friend)
            })?;
            load.cool_until = load.cool_until.max(Some(cool_until));
        }
        hold(visit.active == how.is_none(), Rule::OneWinner, id, || {
            format!("the visit of {} is active {} and ended {how:?}", visit.friend, visit.active)
        })?;
        if visit.active {
            let shared = load.held.iter().find(|(_, place)| *place == visit.place).copied();
            load.held.push((id, visit.place));
            if let Some(time) = visit.appointment {
                let other = load.appointments.iter().find(|(_, busy)| busy.from < time.to && time.from < busy.to);
                hold(other.is_none() || self.unsettled, Rule::Capacity, id, || {
                    format!("{} is agreed on for {time:?}, and then there is {other:?}", visit.friend)
                })?;
                load.appointments.push((id, time));
            }
            let (held, most) = (load.held.len(), usize::from(friends[friend].jobs_held_max));
            tally.looked(Rule::Capacity);
            if !self.unsettled {
                hold(shared.is_none() && held <= most, Rule::Capacity, id, || {
                    format!("{} holds {held} of {most}, place {} also for {shared:?}", visit.friend, visit.place)
                })?;
            }
        }
        Ok(())
    }

    /// An offer that was made before has changed.
    fn changed(&mut self, page: &mut Page, index: usize, offer: &Offer, now: Time, tally: &mut Tally) -> Checked {
        use ClosedReason::{Declined, Expired, Won};
        let asked = &mut page.asked[index];
        let (old, id) = (&asked.offer, page.id);
        tally.looked(Rule::Seats);
        let allowed = match (old.state, offer.state) {
            (OfferState::Live, _) => true,
            // Renewed when the job is unfilled, won in the grace after its end, or declined after it.
            (OfferState::Closed(Expired), OfferState::Live | OfferState::Closed(Won | Declined)) => true,
            (OfferState::Closed(Declined), OfferState::Live) => page.taken_back == Some(offer.friend),
            (OfferState::Closed(_), _) => false,
        };
        hold(allowed, Rule::Seats, id, || format!("offer {} was {:?} and is {:?}", offer.id, old.state, offer.state))?;
        let same = |offer: &Offer| (offer.friend, offer.attempt, offer.wave, offer.wave_seat, offer.seat, offer.pay);
        hold(same(old) == same(offer), Rule::Seats, id, || format!("offer {} is another one", offer.id))?;
        let blocked = offer.state == OfferState::Live && page.blocked.contains(&offer.friend);
        hold(!blocked, Rule::Blocked, id, || format!("{} declined or handed back, and is offered it", offer.friend))?;
        tally.looked(Rule::Span);
        let late = now >= old.expires_at || page.state == JobState::Expired;
        hold(late || offer.state != OfferState::Closed(Expired), Rule::Span, id, || {
            format!("offer {} has expired at {now}, and lasted until {}", old.id, old.expires_at)
        })?;
        let longer = page.talked.longer.filter(|(longer, _)| *longer == offer.id).map(|(_, until)| until);
        let ends = longer.unwrap_or(old.expires_at);
        let right = if offer.renewed { page.expires_at } else { ends.min(page.expires_at) };
        let lasts = offer.state != OfferState::Live || offer.expires_at == right;
        hold(lasts, Rule::Span, id, || {
            format!("offer {} now lasts until {}, and {right} is right", old.id, offer.expires_at)
        })?;
        self.ends.remove(&(old.expires_at, old.id));
        if old.state != offer.state {
            asked.states.push(offer.state);
        }
        let load = &mut self.loads[friend_no(offer.friend)];
        load.changed_at = now;
        load.hand.retain(|held| *held != offer.id);
        load.beside.retain(|held| *held != offer.id);
        let policy = &page.terms.community.policy;
        if (old.state, offer.state) == (OfferState::Live, OfferState::Closed(Declined))
            && policy.undo_ms > 0
            && page.grants_undo
        {
            let seated = !asked.failed(now);
            page.undoable.insert(offer.id, Undoable { until: now + policy.undo_ms, seated });
        }
        asked.offer = offer.clone();
        self.lay_down(offer, page.expires_at);
        let (held, most) = (self.loads[friend_no(offer.friend)].hand.len(), usize::from(policy.hand_max));
        hold(page.taken_back != Some(offer.friend) || held <= most, Rule::Undo, id, || {
            format!("{} takes a no back and holds {held} offers of {most}", offer.friend)
        })
    }

    /// Whether a no that is taken back now must become a live offer again: in time, of the run and revision that still
    /// look, before the offer is over, and with room in the hand.
    pub fn may_undo(&self, friend: FriendId, offer: OfferId, received_at: Time, now: Time) -> Option<JobId> {
        let page = self.page_of(offer)?;
        let known = &page.offer(offer).filter(|asked| asked.offer.friend == friend)?.offer;
        let in_time = page.undoable.get(&offer).is_some_and(|undo| received_at <= undo.until && now < undo.until);
        let unfilled = page.state == JobState::Unfilled;
        let hand = self.loads[friend_no(friend)].hand.len();
        let room = hand < usize::from(page.terms.community.policy.hand_max);
        let may = in_time && page.is_open() && known.attempt == page.attempt;
        (may && (unfilled || room && known.expires_at > now)).then_some(page.id)
    }

    /// A friend is asked.
    fn asked(
        &mut self,
        page: &mut Page,
        offer: &Offer,
        friends: &[Arc<Friend>],
        now: Time,
        tally: &mut Tally,
    ) -> Checked {
        let (id, friend) = (page.id, offer.friend);
        for rule in [Rule::Blocked, Rule::Net, Rule::Seats] {
            tally.looked(rule);
        }
        let given = offer.why == WhyReason::Assigned && offer.state == OfferState::Closed(ClosedReason::Won);
        hold(given || offer.state == OfferState::Live, Rule::Seats, id, || {
            format!("offer {} begins closed", offer.id)
        })?;
        hold(!page.blocked.contains(&friend), Rule::Blocked, id, || format!("{friend} declined or handed back"))?;
        let night = page.night();
        let wakes = night.until(offer.sent_at);
        hold(given || wakes.is_none(), Rule::Night, id, || {
            format!("{friend} is asked at {}, at night", offer.sent_at)
        })?;
        let valid_until = night.after(offer.sent_at, page.plan().offer_valid_ms).min(page.expires_at);
        let right = if offer.is_direct() {
            page.hold_until
        } else if offer.renewed {
            page.expires_at
        } else {
            valid_until
        };
        tally.looked(Rule::Span);
        hold(given || offer.expires_at == right, Rule::Span, id, || {
            format!("{friend} is asked until {}, and {right} is right", offer.expires_at)
        })?;
        let again = page.asked.iter().any(|asked| asked.offer.friend == friend && asked.offer.attempt == offer.attempt);
        hold(!again, Rule::Seats, id, || format!("{friend} is asked twice in attempt {}", offer.attempt))?;
        let shared = page.asked.iter().any(|asked| asked.offer.seat == offer.seat);
        hold(!shared, Rule::Seats, id, || format!("seat {} of the word is given twice", offer.seat))?;
        let own_rate = matches!(page.terms.package.pricing, Pricing::Hourly { .. });
        let earlier = page.asked.iter().filter(|asked| asked.offer.friend == friend || !own_rate);
        let most = earlier.map(|asked| asked.offer.pay.net.amount).max().unwrap_or(i64::MIN);
        hold(offer.pay.net.amount >= most, Rule::Net, id, || {
            format!("{friend} is offered {} after {most}", offer.pay.net)
        })?;
        balance(page, offer, &friends[friend_no(friend)], tally)?;
        self.offers.insert(offer.id, id);
        let load = &mut self.loads[friend_no(friend)];
        load.changed_at = now;
        if !given {
            load.offered.push(offer.sent_at);
        }
        let arrives_by = offer.sent_at + page.terms.community.policy.delivery_ms;
        page.asked.push(Asked { offer: offer.clone(), states: vec![offer.state], arrived_at: None, arrives_by });
        self.lay_down(offer, page.expires_at);
        Ok(())
    }

    /// A live offer lies in its friend's hand, or beside it, and ends some time.
    fn lay_down(&mut self, offer: &Offer, job_ends: Time) {
        if offer.state != OfferState::Live {
            return;
        }
        let load = &mut self.loads[friend_no(offer.friend)];
        if offer.renewed {
            load.beside.push(offer.id);
        } else {
            load.hand.push(offer.id);
        }
        if offer.expires_at < job_ends {
            self.ends.insert((offer.expires_at, offer.id));
        }
    }

    /// What must be true of a job as a whole.
    fn whole(&mut self, page: &Page, record: &JobRecord, tally: &mut Tally) -> Checked {
        let id = page.id;
        let is_final =
            matches!(page.state, JobState::Cancelled | JobState::Expired | JobState::Closed | JobState::Refunded);
        tally.looked(Rule::Deadline);
        let deadline = record.job.next_deadline;
        hold(is_final == deadline.is_none(), Rule::Deadline, id, || {
            format!("{} with the deadline {deadline:?}", page.state)
        })?;
        if page.is_open() {
            // Those that end with the job wait for its grace. An end that is set aside for an accept has no deadline of
            // its own.
            let ends = page.live().map(|asked| asked.offer.expires_at).filter(|end| *end < page.expires_at);
            let last = ends.chain([page.expires_at + GRACE_MS]).min();
            let in_time = deadline <= last || last <= Some(record.job.updated_at);
            hold(in_time, Rule::Deadline, id, || format!("wakes at {deadline:?}, and {last:?} is sooner"))?;
        } else if !is_final {
            hold(deadline == page.due, Rule::Deadline, id, || {
                format!("{} ends {:?}, not {deadline:?}", page.state, page.due)
            })?;
        }
        for asked in page.live() {
            let offer = &asked.offer;
            hold(page.is_open() && offer.attempt == page.attempt, Rule::Seats, id, || {
                format!("offer {} of attempt {} is live in a job that is {}", offer.id, offer.attempt, page.state)
            })?;
            hold(offer.expires_at <= page.expires_at, Rule::Seats, id, || {
                format!("offer {} outlives its job", offer.id)
            })?;
        }
        let works = matches!(page.state, JobState::Assigned | JobState::Contacted);
        hold(works == page.holder().is_some(), Rule::OneWinner, id, || {
            format!("{} and held by {:?}", page.state, page.holder().map(|visit| visit.friend))
        })?;
        if let Some(visit) = page.holder() {
            let won =
                page.offer(visit.offer).filter(|asked| asked.offer.state == OfferState::Closed(ClosedReason::Won));
            let fits = won.is_some_and(|asked| asked.offer.friend == visit.friend && asked.offer.pay == visit.pay);
            hold(fits, Rule::OneWinner, id, || format!("{} holds it by an offer that did not win", visit.friend))?;
        }
        Ok(())
    }

    /// What is stored of a job stands again: its record was refused.
    pub fn take_back(&mut self, job: JobId, committed: &Book, now: Time) {
        self.owed.retain(|owed| owed.job != job);
        // Its word is new: nobody is first any more.
        self.firsts.remove(&job);
        if let Some(old) = self.pages.remove(&job) {
            for asked in &old.asked {
                self.offers.remove(&asked.offer.id);
                self.ends.remove(&(asked.offer.expires_at, asked.offer.id));
                let load = &mut self.loads[friend_no(asked.offer.friend)];
                load.hand.retain(|held| *held != asked.offer.id);
                load.beside.retain(|held| *held != asked.offer.id);
                load.held.retain(|(held, _)| *held != job);
                load.appointments.retain(|(held, _)| *held != job);
                load.taken.retain(|(taken, ..)| *taken != job);
                load.changed_at = now;
                let written = committed.page_of(asked.offer.id).is_some();
                if !written {
                    load.hazy = true;
                    load.offered.retain(|at| *at != asked.offer.sent_at);
                }
            }
            self.open.remove(&job);
            self.keys.retain(|_, made| *made != job);
            let Some(stored) = committed.pages.get(&job) else { return };
            let mut page = stored.clone();
            page.changed_at = now;
            for asked in &mut page.asked {
                // The app has it or not, whatever became of a record.
                if let Some(known) = old.offer(asked.offer.id) {
                    (asked.arrived_at, asked.arrives_by) = (known.arrived_at, known.arrives_by);
                }
                self.offers.insert(asked.offer.id, job);
                self.lay_down(&asked.offer, page.expires_at);
            }
            if let Some(visit) = page.holder() {
                let load = &mut self.loads[friend_no(visit.friend)];
                load.held.push((job, visit.place));
                load.appointments.extend(visit.appointment.map(|time| (job, time)));
            }
            let counts = |visit: &&Visit| visit.active || visit.ended.is_some_and(|end| end.how == VisitEnd::Done);
            for visit in page.visits.iter().filter(counts) {
                self.loads[friend_no(visit.friend)].taken.push((job, visit.assigned_at, visit.pay.net));
            }
            self.keys.extend(
                committed.keys.iter().filter(|(_, made)| **made == job).map(|(key, made)| (key.clone(), *made)),
            );
            if committed.open.contains(&job) {
                self.open.insert(job);
            }
            let due = if page.is_open() { Some(page.expires_at + GRACE_MS) } else { page.due };
            self.dues.extend(due.map(|due| (due, job)));
            self.pages.insert(job, page);
        }
    }

    /// The book of a dispatcher that has just been restored from what is committed.
    pub fn restored(&self, until: Time, now: Time) -> Book {
        let mut book = Book::new(0, Arc::clone(&self.agreed));
        for job in &self.open {
            let Some(mut page) = self.pages.get(job).cloned() else { continue };
            page.changed_at = now;
            let delivery_ms = page.terms.community.policy.delivery_ms;
            for asked in &mut page.asked {
                // Friends return over some seconds, and their apps say anew what they have.
                (asked.arrived_at, asked.arrives_by) = (None, until + delivery_ms);
                book.offers.insert(asked.offer.id, *job);
            }
            book.pages.insert(*job, page);
        }
        (book.open, book.keys) = (self.open.clone(), self.keys.clone());
        (book.loads, book.duties) = (self.loads.clone(), self.duties.clone());
        (book.ends, book.dues) = (self.ends.clone(), self.dues.clone());
        book.restored_until = until;
        book
    }

    /// The dispatcher stood still: what could not arrive meanwhile is not late yet.
    pub fn woken(&mut self, stood_since: Time, until: Time, now: Time) {
        self.restored_until = until;
        for page in self.pages.values_mut() {
            page.changed_at = now;
            let delivery_ms = page.terms.community.policy.delivery_ms;
            let waits =
                |asked: &&mut Asked| asked.is_live() && asked.arrived_at.is_none() && asked.arrives_by >= stood_since;
            page.asked.iter_mut().filter(waits).for_each(|asked| asked.arrives_by = until + delivery_ms);
        }
    }

    /// A reply is told to somebody who was to hear it.
    pub fn told_reply(&mut self, friend: FriendId, job: JobId, number: u16) {
        self.owed.retain(|owed| (owed.friend, owed.job, owed.number) != (friend, job, number));
    }

    /// The app has reported that offers have arrived.
    pub fn arrived(&mut self, friend: FriendId, offers: &[OfferId], now: Time) {
        for offer in offers {
            let Some(page) = self.offers.get(offer).and_then(|job| self.pages.get_mut(job)) else { continue };
            if let Some(asked) =
                page.asked.iter_mut().find(|asked| asked.offer.id == *offer && asked.offer.friend == friend)
            {
                asked.arrived_at = asked.arrived_at.or(Some(now));
            }
        }
    }
}

fn seated(decision: &Decision) -> impl Iterator<Item = FriendId> {
    decision.candidates.iter().filter_map(|candidate| match candidate.outcome {
        Outcome::Seat { .. } => Some(candidate.friend),
        Outcome::Ranked { .. } | Outcome::Failed { .. } => None,
    })
}

fn of_choice<'a>(new: &[&'a Offer], decision: &Decision, friend: FriendId) -> Option<&'a Offer> {
    let theirs =
        |offer: &&&Offer| offer.friend == friend && offer.attempt == decision.attempt && offer.wave == decision.wave;
    new.iter().find(theirs).copied()
}
