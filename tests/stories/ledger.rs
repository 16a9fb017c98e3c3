//! A ledger of maps: it keeps what the core records, holds it to the constraints the real engines have, and gives it back
//! for a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kiez::dispatch::decision::Decision;
use kiez::dispatch::effect::{
    Actor, AuditRow, BreachRow, DutyRow, EventRow, JobRecord, JobRow, Record, Stored, StoredJob, StoredKey, TakenRow,
    WaitRow, WaitingRow,
};
use kiez::dispatch::fairness::day;
use kiez::dispatch::is_final;
use kiez::dispatch::job::{Booking, Delivery, Ended, Offer, OfferState, Visit, VisitEnd};
use kiez::dispatch::talk::Talk;
use kiez_protocol::friend::{ClosedReason, LostReason, Verdict, WhyReason};
use kiez_protocol::ids::{FriendId, JobId, Key, OfferId};
use kiez_protocol::partner::JobState;

/// All rows of one job.
#[derive(Clone, Debug)]
pub struct Rows {
    pub row: JobRow,
    pub booking: Arc<Booking>,
    pub offers: BTreeMap<OfferId, Offer>,
    pub visits: BTreeMap<u16, Visit>,
    pub events: Vec<EventRow>,
    pub decisions: Vec<Decision>,
    pub talk: Talk,
}

impl Rows {
    /// What was said, under the keys that the tables have.
    fn said(&mut self, new: &Talk) {
        self.talk.take_in(new);
        let asked: Vec<_> = self.talk.questions.iter().filter_map(|asked| asked.asker).collect();
        let names: BTreeSet<_> = asked.iter().map(|asker| (asker.friend, asker.nth)).collect();
        assert_eq!(names.len(), asked.len(), "each of a friend's questions has a number of its own");
        let numbers: BTreeSet<_> = self.talk.messages.iter().map(|said| said.number).collect();
        assert_eq!(numbers.len(), self.talk.messages.len(), "a message is written once");
    }
}

/// Why a record is refused for good: another friend's visit has the place.
#[derive(Debug)]
pub struct PlaceTaken;

#[derive(Clone, Debug, Default)]
pub struct Ledger {
    pub jobs: BTreeMap<JobId, Rows>,
    pub duties: BTreeMap<FriendId, DutyRow>,
    pub keys: Vec<StoredKey>,
    pub waitlist: Vec<WaitRow>,
    pub audit: Vec<AuditRow>,
}

impl Ledger {
    /// Writes a record. What the engines hold by constraints is asserted here, but for the places, which a refused record
    /// of another job can upset.
    pub fn write(&mut self, record: &Record) -> Result<(), PlaceTaken> {
        match record {
            Record::Duty(row) => {
                self.duties.insert(row.friend, *row);
                Ok(())
            }
            Record::Waitlist(row) => {
                self.waitlist.push(row.clone());
                Ok(())
            }
            Record::Audit(row) => {
                self.audit.push(row.clone());
                Ok(())
            }
            Record::Job(record) => self.write_job(record),
        }
    }

    fn write_job(&mut self, record: &JobRecord) -> Result<(), PlaceTaken> {
        let id = record.job.id;
        for visit in record.visits.iter().filter(|visit| visit.active) {
            let others = self.jobs.iter().filter(|(job, _)| **job != id).flat_map(|(_, rows)| rows.visits.values());
            for other in others.filter(|other| other.active && other.friend == visit.friend) {
                if other.place == visit.place {
                    return Err(PlaceTaken);
                }
            }
        }
        let before = self.jobs.get(&id).cloned();
        let mut rows = before.clone().unwrap_or_else(|| Rows {
            row: record.job.clone(),
            booking: record.booking.clone().expect("a new job has a booking"),
            offers: BTreeMap::new(),
            visits: BTreeMap::new(),
            events: Vec::new(),
            decisions: Vec::new(),
            talk: Talk::default(),
        });
        assert!(!record.events.is_empty(), "what changes a job is an event: {record:?}");
        for event in &record.events {
            let last = rows.events.last();
            assert_eq!(event.sequence, last.map_or(1, |last| last.sequence + 1), "sequences have no gap");
            assert_eq!(event.from, last.map(|last| last.to), "events replay to the state");
            super::telling::is_told_as_it_should(event.kind, event.from, event.to);
            rows.events.push(event.clone());
        }
        let last = rows.events.last().expect("just pushed");
        assert_eq!((last.to, last.sequence), (record.job.view.state, record.job.view.sequence), "events replay");
        assert!(
            is_final(record.job.view.state) == record.job.next_deadline.is_none(),
            "a job that is not final has a next deadline"
        );
        let by_ops = record.events.iter().filter(|event| matches!(event.actor, Actor::Ops(_))).count();
        assert_eq!(record.audit.len(), by_ops, "what ops do to a job is an entry of the audit log");
        self.audit.extend(record.audit.iter().cloned());
        rows.row = record.job.clone();
        for decision in &record.decisions {
            assert_eq!(decision.again(), *decision, "a choice made again from its record is the same");
            let seated: Vec<_> = decision.seated().collect();
            let made =
                record.offers.iter().filter(|offer| (offer.attempt, offer.wave) == (decision.attempt, decision.wave));
            let made: Vec<_> = made.map(|offer| (offer.friend, offer.wave_seat, offer.rank, offer.why)).collect();
            assert!(seated.iter().all(|seat| made.contains(seat)), "who is seated is asked: {seated:?} {made:?}");
        }
        rows.decisions.extend(record.decisions.iter().cloned());
        rows.said(&record.talk);
        if let Some(booking) = &record.booking {
            rows.booking = booking.clone();
        }
        for offer in &record.offers {
            let old = rows.offers.insert(offer.id, Offer { delivery: Delivery::Arrived, ..offer.clone() });
            // From the rows alone, not from whom the core says it has blocked: who declined, or won and gave it back.
            let is_over = |rows: &Rows, old: &Offer| match old.state {
                OfferState::Closed(ClosedReason::Declined) => true,
                OfferState::Closed(ClosedReason::Won) => rows.visits.values().any(|visit| {
                    let gave_back =
                        |ended: Ended| matches!(ended.how, VisitEnd::HandedBack | VisitEnd::NoContact { .. });
                    visit.offer == old.id && visit.ended.is_some_and(gave_back)
                }),
                OfferState::Live | OfferState::Closed(_) => false,
            };
            let blocked = before
                .iter()
                .any(|rows| rows.offers.values().any(|old| old.friend == offer.friend && is_over(rows, old)));
            match old.map(|old| old.state) {
                None => assert!(!blocked, "who declined or handed back is never asked again"),
                Some(OfferState::Live) => {}
                Some(OfferState::Closed(ClosedReason::Expired)) => assert!(
                    matches!(
                        offer.state,
                        OfferState::Live | OfferState::Closed(ClosedReason::Won | ClosedReason::Declined)
                    ),
                    "an expired offer is renewed, won in its grace, or declined late"
                ),
                Some(OfferState::Closed(ClosedReason::Declined))
                    if record.events.iter().any(|event| event.kind == "decline_undone") =>
                {
                    assert_eq!(offer.state, OfferState::Live, "a decline that is taken back");
                }
                Some(OfferState::Closed(reason)) => panic!("closed twice: {reason:?}, then {:?}", offer.state),
            }
            assert_eq!(offer.pay.commission.amount + offer.pay.net.amount, offer.pay.gross.amount);
        }
        let (mut seats, mut asked, mut winners) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for offer in rows.offers.values() {
            assert!(seats.insert(offer.seat), "a seat on the word is one offer's");
            assert!(asked.insert((offer.friend, offer.attempt)), "a friend is asked once in a run");
            if offer.state == OfferState::Closed(ClosedReason::Won) {
                assert!(winners.insert(offer.attempt), "one winner per attempt");
            }
        }
        for visit in &record.visits {
            assert_eq!(visit.active, visit.ended.is_none(), "a visit ends in some way, once");
            rows.visits.insert(visit.attempt, visit.clone());
        }
        assert!(rows.visits.values().filter(|visit| visit.active).count() <= 1, "two helpers for one job");
        if let Some(key) = &record.key {
            let (partner, at) = (record.job.partner.clone(), record.job.updated_at);
            assert!(
                !self.keys.iter().any(|stored| stored.partner == partner && stored.key.key == key.key),
                "a key is used once"
            );
            self.keys.push(StoredKey { partner, key: key.clone(), job: id, at });
        }
        self.jobs.insert(id, rows);
        Ok(())
    }

    pub fn job(&self, job: JobId) -> Option<StoredJob> {
        let rows = self.jobs.get(&job)?;
        Some(StoredJob {
            row: rows.row.clone(),
            booking: rows.booking.clone(),
            offers: rows.offers.values().cloned().collect(),
            visit: rows.visits.values().last().cloned(),
            talk: rows.talk.clone(),
        })
    }

    /// What a restart reads.
    pub fn stored(&self) -> Stored {
        let open = self.jobs.iter().filter(|(_, rows)| rows.row.next_deadline.is_some());
        Stored {
            jobs: open.filter_map(|(id, _)| self.job(*id)).collect(),
            duties: self.duties.values().filter(|row| row.duty.on).copied().collect(),
            keys: self.keys.clone(),
            taken: self.visits().filter(|(_, visit)| visit.counts()).map(taken).collect(),
            breaches: self.visits().filter_map(breach).collect(),
            waiting: self.waiting(),
            verdicts: Vec::new(),
        }
    }

    fn waiting(&self) -> Vec<WaitingRow> {
        let mut waiting = BTreeMap::<FriendId, WaitingRow>::new();
        for duty in self.duties.values() {
            let off_since = (!duty.duty.on).then_some(duty.at);
            let row = WaitingRow { first_duty: duty.first_on, off_since, ..WaitingRow::of(duty.friend) };
            waiting.insert(duty.friend, row);
        }
        let offers = self.jobs.values().flat_map(|rows| rows.offers.values());
        let mut offers: Vec<&Offer> = offers.filter(|offer| offer.why != WhyReason::Assigned).collect();
        offers.sort_by_key(|offer| offer.sent_at);
        for offer in offers {
            let row = waiting.entry(offer.friend).or_insert_with(|| WaitingRow::of(offer.friend));
            row.last_offer = Some(offer.sent_at);
            match row.by_day.last_mut() {
                Some((last, offers)) if *last == day(offer.sent_at) => *offers += 1,
                Some(_) | None => row.by_day.push((day(offer.sent_at), 1)),
            }
        }
        waiting.into_values().collect()
    }

    fn visits(&self) -> impl Iterator<Item = (JobId, &Visit)> {
        self.jobs.iter().flat_map(|(id, rows)| rows.visits.values().map(|visit| (*id, visit)))
    }

    pub fn offer(&self, offer: OfferId) -> Option<(&Rows, &Offer)> {
        self.jobs.values().find_map(|rows| Some((rows, rows.offers.get(&offer)?)))
    }

    pub fn held_by(&self, friend: FriendId) -> usize {
        let visits = self.jobs.values().flat_map(|rows| rows.visits.values());
        visits.filter(|visit| visit.active && visit.friend == friend).count()
    }

    pub fn holds(&self, friend: FriendId, job: JobId) -> bool {
        let visits = self.jobs.get(&job).into_iter().flat_map(|rows| rows.visits.values());
        visits.filter(|visit| visit.active).any(|visit| visit.friend == friend)
    }

    /// The verdict on an accept of a job that is over, as the rows tell it.
    pub fn verdict(&self, friend: FriendId, offer: OfferId, key: Key) -> Option<(Verdict, Option<LostReason>)> {
        let (rows, offer) = self.offer(offer).filter(|(_, offer)| offer.friend == friend)?;
        if rows.visits.values().any(|visit| visit.offer == offer.id && visit.key == key) {
            return Some((Verdict::Won, None));
        }
        let lost = match offer.state {
            OfferState::Live => match rows.row.view.state {
                JobState::Dispatching | JobState::Unfilled => return Some((Verdict::TryAgain, None)),
                state => panic!("a live offer of a job that is {state}"),
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

fn taken((job, visit): (JobId, &Visit)) -> TakenRow {
    TakenRow { friend: visit.friend, taken: visit.taken(job) }
}

fn breach((_, visit): (JobId, &Visit)) -> Option<BreachRow> {
    match visit.ended {
        Some(Ended { how: VisitEnd::NoContact { cool_until }, .. }) => {
            Some(BreachRow { friend: visit.friend, cool_until })
        }
        Some(_) | None => None,
    }
}
