//! A ledger of maps: it keeps what it is given, refuses what the real engines' constraints refuse, writes a batch whole
//! or not at all, and gives everything back for a restart. The fence is a number here as there.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use kiez_protocol::friend::{ClosedReason, LostReason, ToldVerdict, Verdict, WhyReason};
use kiez_protocol::ids::{FriendId, JobId, Key, OfferId, PartnerSlug};
use kiez_protocol::partner::JobState;
use kiez_protocol::time::Time;

use super::faults::Mutation;
use crate::dispatch::caps::PERIOD_MS;
use crate::dispatch::effect::{
    BreachRow, DutyRow, JobRecord, JobRow, Record, Stored, StoredJob, StoredKey, TakenRow, WaitRow, WaitingRow,
};
use crate::dispatch::fairness::day;
use crate::dispatch::job::{Booking, Delivery, Offer, OfferState, Visit, VisitEnd};
use crate::dispatch::talk::Talk;

/// All rows of one job.
#[derive(Clone, Debug)]
struct Rows {
    row: JobRow,
    booking: Arc<Booking>,
    offers: Vec<Offer>,
    visits: Vec<Visit>,
    talk: Talk,
    sequence: u32,
}

/// Why a record is refused for good: the constraint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Violated(pub &'static str);

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    jobs: HashMap<JobId, Rows>,
    open: BTreeSet<JobId>,
    offers: HashMap<OfferId, JobId>,
    places: BTreeMap<(FriendId, u8), JobId>,
    duties: BTreeMap<FriendId, DutyRow>,
    keys: BTreeMap<(PartnerSlug, String), StoredKey>,
    waitlist: Vec<WaitRow>,
    /// Entries of the audit log that stand alone; the others are in their job's record.
    audited: u64,
    /// Raised by every dispatcher that takes the ledger.
    pub epoch: u32,
    mutation: Option<Mutation>,
}

/// Wins so old are no longer told of, ms.
const VERDICTS_MS: i64 = 24 * 3_600_000;

fn won(visit: &Visit) -> ToldVerdict {
    ToldVerdict { offer: visit.offer, key: visit.key, result: Verdict::Won, reason: None, at: visit.assigned_at }
}

/// What a batch has replaced, newest last, to take it back.
enum Before {
    Job(JobId, Option<Rows>),
    Duty(FriendId, Option<DutyRow>),
    Wait,
}

impl Ledger {
    pub fn new(mutation: Option<Mutation>) -> Ledger {
        Ledger { mutation, ..Ledger::default() }
    }

    /// Writes a batch whole or not at all.
    pub fn write(&mut self, records: &[&Record]) -> Result<(), Violated> {
        let mut before = Vec::new();
        let alone = records.len() == 1;
        for record in records {
            match record {
                Record::Duty(row) => before.push(Before::Duty(row.friend, self.duties.insert(row.friend, *row))),
                Record::Audit(_) => self.audited += 1,
                Record::Waitlist(row) => {
                    self.waitlist.push(row.clone());
                    before.push(Before::Wait);
                }
                Record::Job(record) => {
                    if let Err(violated) = self.check(record) {
                        self.take_back(before);
                        return Err(violated);
                    }
                    before.push(Before::Job(record.job.id, self.put(record, !alone)));
                }
            }
        }
        Ok(())
    }

    /// The constraints of `migrations/`.
    fn check(&self, record: &JobRecord) -> Result<(), Violated> {
        let (id, old) = (record.job.id, self.jobs.get(&record.job.id));
        let mut sequence = old.map_or(0, |old| old.sequence);
        for event in &record.events {
            if event.sequence <= sequence {
                return Err(Violated("events: primary key (job, sequence)"));
            }
            sequence = event.sequence;
        }
        for offer in &record.offers {
            if offer.pay.commission.amount + offer.pay.net.amount != offer.pay.gross.amount {
                return Err(Violated("offers: commission + net = gross"));
            }
        }
        if self.mutation == Some(Mutation::NoUniqueIndex) {
            return Ok(());
        }
        let others = || old.into_iter().flat_map(|old| &old.offers);
        for (index, offer) in record.offers.iter().enumerate() {
            let rest = || others().filter(|other| other.id != offer.id).chain(&record.offers[..index]);
            if rest().any(|other| other.seat == offer.seat) {
                return Err(Violated("offers: unique (job, seat)"));
            }
            if rest().any(|other| other.friend == offer.friend && other.attempt == offer.attempt) {
                return Err(Violated("offers: unique (job, friend, attempt)"));
            }
            let won = |offer: &Offer| offer.state == OfferState::Closed(ClosedReason::Won);
            if won(offer) && rest().any(|other| other.attempt == offer.attempt && won(other)) {
                return Err(Violated("offers: one winner"));
            }
        }
        for visit in record.visits.iter().filter(|visit| visit.active) {
            let theirs = old.into_iter().flat_map(|old| &old.visits);
            let closed = |other: &Visit| record.visits.iter().any(|new| new.attempt == other.attempt && !new.active);
            if theirs.filter(|other| other.active && other.attempt != visit.attempt).any(|other| !closed(other)) {
                return Err(Violated("visits: one per job"));
            }
            if self.places.get(&(visit.friend, visit.place)).is_some_and(|job| *job != id) {
                return Err(Violated("visits: one per place"));
            }
        }
        match &record.key {
            Some(key) if self.keys.contains_key(&(record.job.partner.clone(), key.key.clone())) => {
                Err(Violated("partner_keys: primary key"))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Puts a record's rows in; what stood there before, if it is asked for.
    fn put(&mut self, record: &JobRecord, keep: bool) -> Option<Rows> {
        let id = record.job.id;
        let old = self.jobs.remove(&id);
        let before = old.clone().filter(|_| keep);
        let mut rows = old.unwrap_or_else(|| Rows {
            row: record.job.clone(),
            booking: record.booking.clone().expect("a new job has a booking"),
            offers: Vec::new(),
            visits: Vec::new(),
            talk: Talk::default(),
            sequence: 0,
        });
        rows.row = record.job.clone();
        rows.talk.take_in(&record.talk);
        rows.sequence = record.events.last().map_or(rows.sequence, |event| event.sequence);
        if let Some(booking) = &record.booking {
            rows.booking = Arc::clone(booking);
        }
        for offer in &record.offers {
            // Whether the app has it is not recorded.
            let offer = Offer { delivery: Delivery::Arrived, ..offer.clone() };
            match rows.offers.iter_mut().find(|stored| stored.id == offer.id) {
                Some(stored) => *stored = offer,
                None => {
                    self.offers.insert(offer.id, id);
                    rows.offers.push(offer);
                }
            }
        }
        for visit in &record.visits {
            let mut visit = visit.clone();
            if self.mutation == Some(Mutation::PlaceKept) && rows.visits.iter().any(|old| old.attempt == visit.attempt)
            {
                visit.active = true;
            }
            if visit.active {
                self.places.insert((visit.friend, visit.place), id);
            } else if self.places.get(&(visit.friend, visit.place)) == Some(&id) {
                self.places.remove(&(visit.friend, visit.place));
            }
            rows.visits.retain(|stored| stored.attempt != visit.attempt);
            rows.visits.push(visit);
        }
        if let Some(key) = &record.key {
            let (partner, at) = (record.job.partner.clone(), record.job.updated_at);
            let stored = StoredKey { partner: partner.clone(), key: key.clone(), job: id, at };
            self.keys.insert((partner, key.key.clone()), stored);
        }
        if rows.row.next_deadline.is_some() {
            self.open.insert(id);
        } else {
            self.open.remove(&id);
        }
        self.jobs.insert(id, rows);
        before
    }

    fn take_back(&mut self, before: Vec<Before>) {
        for before in before.into_iter().rev() {
            let (id, old) = match before {
                Before::Job(id, old) => (id, old),
                Before::Duty(friend, Some(row)) => {
                    self.duties.insert(friend, row);
                    continue;
                }
                Before::Duty(friend, None) => {
                    self.duties.remove(&friend);
                    continue;
                }
                Before::Wait => {
                    self.waitlist.pop();
                    continue;
                }
            };
            let new = self.jobs.remove(&id).expect("was just put");
            for visit in new.visits.iter().filter(|visit| visit.active) {
                self.places.remove(&(visit.friend, visit.place));
            }
            self.open.remove(&id);
            let Some(old) = old else {
                self.keys.retain(|_, key| key.job != id);
                continue;
            };
            for visit in old.visits.iter().filter(|visit| visit.active) {
                self.places.insert((visit.friend, visit.place), id);
            }
            if old.row.next_deadline.is_some() {
                self.open.insert(id);
            }
            self.jobs.insert(id, old);
        }
    }

    /// One job as it is stored.
    pub fn job(&self, job: JobId) -> Option<StoredJob> {
        let rows = self.jobs.get(&job)?;
        let (row, booking) = (rows.row.clone(), Arc::clone(&rows.booking));
        let visit = rows.visits.iter().max_by_key(|visit| visit.attempt).cloned();
        Some(StoredJob { row, booking, offers: rows.offers.clone(), visit, talk: rows.talk.clone() })
    }

    /// What a restart reads.
    pub fn stored(&self, now: Time) -> Stored {
        let mut jobs: Vec<StoredJob> = self.open.iter().filter_map(|job| self.job(*job)).collect();
        let mut keys: Vec<StoredKey> = self.keys.values().cloned().collect();
        match self.mutation {
            Some(Mutation::KeysForgotten) => keys.clear(),
            Some(Mutation::BlocksForgotten) => jobs.iter_mut().for_each(|job| job.row.progress.blocked.clear()),
            Some(Mutation::WordsForgotten) => jobs.iter_mut().for_each(|job| job.talk = Talk::default()),
            Some(Mutation::UndoForgotten) => jobs.iter_mut().for_each(|job| job.row.progress.undoable.clear()),
            Some(Mutation::OffersForgotten) => {
                jobs.iter_mut().for_each(|job| job.offers.retain(|offer| offer.seat % 5 != 3));
            }
            Some(_) | None => {}
        }
        let duties = self.duties.values().filter(|row| row.duty.on).copied().collect();
        let visits = self.jobs.values().flat_map(|rows| &rows.visits);
        let recent = visits.filter(|visit| now.since(visit.assigned_at) < VERDICTS_MS);
        let mut verdicts: Vec<(FriendId, ToldVerdict)> = recent.map(|visit| (visit.friend, won(visit))).collect();
        verdicts.sort_by_key(|(_, told)| (told.at, told.key));
        let (taken, breaches) = self.counted(now);
        Stored { jobs, duties, keys, verdicts, taken, breaches, waiting: self.waiting() }
    }

    /// Since when everybody waits for an offer, and how many they had on each day.
    fn waiting(&self) -> Vec<WaitingRow> {
        let mut waiting: BTreeMap<FriendId, WaitingRow> = BTreeMap::new();
        for row in self.duties.values() {
            let waits = waiting.entry(row.friend).or_insert_with(|| WaitingRow::of(row.friend));
            (waits.first_duty, waits.off_since) = (row.first_on, (!row.duty.on).then_some(row.at));
        }
        let mut offers: Vec<(FriendId, Time)> = self
            .jobs
            .values()
            .flat_map(|rows| &rows.offers)
            .filter(|offer| offer.why != WhyReason::Assigned)
            .map(|offer| (offer.friend, offer.sent_at))
            .collect();
        offers.sort_unstable();
        for (friend, at) in offers {
            let waits = waiting.entry(friend).or_insert_with(|| WaitingRow::of(friend));
            waits.last_offer = Some(at);
            match waits.by_day.last_mut() {
                Some((last, offers)) if *last == day(at) => *offers += 1,
                Some(_) | None => waits.by_day.push((day(at), 1)),
            }
        }
        waiting.into_values().collect()
    }

    /// What counts towards caps, and breaches whose cool-down lasts.
    fn counted(&self, now: Time) -> (Vec<TakenRow>, Vec<BreachRow>) {
        let visits = || self.jobs.iter().flat_map(|(job, rows)| rows.visits.iter().map(move |visit| (*job, visit)));
        let recent = visits().filter(|(_, visit)| visit.counts() && now.since(visit.assigned_at) < PERIOD_MS);
        let mut taken: Vec<TakenRow> =
            recent.map(|(job, visit)| TakenRow { friend: visit.friend, taken: visit.taken(job) }).collect();
        taken.sort_by_key(|row| (row.taken.at, row.taken.job));
        let cool = |(_, visit): (JobId, &Visit)| match visit.ended?.how {
            VisitEnd::NoContact { cool_until } if cool_until > now => {
                Some(BreachRow { friend: visit.friend, cool_until })
            }
            VisitEnd::NoContact { .. } | VisitEnd::Done | VisitEnd::HandedBack | VisitEnd::Cancelled => None,
        };
        let mut breaches: Vec<BreachRow> = visits().filter_map(cool).collect();
        breaches.sort_by_key(|row| (row.cool_until, row.friend));
        (taken, breaches)
    }

    /// The verdict on an accept, as the rows tell it: what `ledger::Reader::verdict` reads.
    pub fn verdict(&self, friend: FriendId, offer: OfferId, key: Key) -> Option<(Verdict, Option<LostReason>)> {
        let rows = self.jobs.get(self.offers.get(&offer)?)?;
        let offer = rows.offers.iter().find(|stored| stored.id == offer && stored.friend == friend)?;
        if rows.visits.iter().any(|visit| visit.offer == offer.id && visit.key == key) {
            return Some((Verdict::Won, None));
        }
        let lost = match offer.state {
            OfferState::Live => match rows.row.view.state {
                JobState::Cancelled => LostReason::JobCancelled,
                JobState::Expired => LostReason::Expired,
                JobState::Paused => LostReason::Paused,
                JobState::NeedsInfo | JobState::Dispatching | JobState::Unfilled => {
                    return Some((Verdict::TryAgain, None));
                }
                JobState::Assigned
                | JobState::Contacted
                | JobState::Appointed
                | JobState::OnTheWay
                | JobState::InProgress
                | JobState::Done
                | JobState::Unsuccessful
                | JobState::Confirmed
                | JobState::Disputed
                | JobState::Refunded
                | JobState::Closed => LostReason::Taken,
            },
            OfferState::Closed(ClosedReason::Won) => return Some((Verdict::Won, None)),
            OfferState::Closed(ClosedReason::Taken) => LostReason::Taken,
            OfferState::Closed(ClosedReason::Cancelled) => LostReason::JobCancelled,
            OfferState::Closed(ClosedReason::Expired) => LostReason::Expired,
            OfferState::Closed(ClosedReason::Superseded) => LostReason::Superseded,
            OfferState::Closed(ClosedReason::Paused) => LostReason::Paused,
            OfferState::Closed(ClosedReason::Declined) => LostReason::Declined,
            OfferState::Closed(ClosedReason::HandedBack) => LostReason::Closed,
            OfferState::Closed(ClosedReason::Capacity) => LostReason::Capacity,
        };
        Some((Verdict::Lost, Some(lost)))
    }
}
