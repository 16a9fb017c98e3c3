//! The ledger's writer under virtual time: what `ledger::writer` does, with chance in the place of a database. It takes
//! whatever is queued the moment the last commit returns; a commit may be refused, or its reply may be lost, and then
//! it connects again and reads back whether it was written. Nobody hears anything but its outcomes.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use kiez_protocol::time::Time;

use super::chance::Chance;
use super::faults::{Faults, Mutation};
use super::ledger::Ledger;
use crate::dispatch::effect::{Record, StoredJob, Subject};

/// Records that may be unwritten at once; far fewer than the real queue holds, so that an outage fills it.
pub(crate) const QUEUE_MAX: usize = 720;
/// Records in one commit at most.
const BATCH_MAX: usize = 512;
/// Half of all commits take less, ms.
const COMMIT_MS: i64 = 4;
const BACKOFF_FIRST_MS: i64 = 50;
const BACKOFF_LAST_MS: i64 = 500;
/// A commit that takes longer counts as a ledger that is away, ms.
const SLOW_MS: i64 = 2_000;

/// A record on its way.
#[derive(Debug)]
struct Submission {
    ticket: u64,
    subject: Subject,
    record: Arc<Record>,
    /// The database will refuse it for good.
    poisoned: bool,
}

#[derive(Debug)]
enum Order {
    Write(Submission),
    Release(Subject),
    Prove,
}

/// What became of submissions, in order of their tickets.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Every submission up to this ticket is committed, but for those refused or dropped behind them.
    Written { through: u64 },
    /// Refused for good, with what is stored.
    Refused { subject: Subject, stored: Option<Box<StoredJob>> },
    /// The fence is still this process's.
    Stands,
    /// Another dispatcher has taken the ledger.
    Fenced,
}

/// What was taken from the queue, in order.
#[derive(Debug)]
enum Taken {
    Part(Vec<Submission>),
    Release(Subject),
    Prove,
}

/// What is in flight.
#[derive(Clone, Copy, Debug)]
enum Trip {
    /// A commit whose reply comes.
    Commit,
    /// A commit whose reply is lost; whether it reaches the database.
    Lost { reaches: bool },
    /// A look at the fence.
    Beat,
    /// A new connection, on which the last commit is looked for.
    Reconnect { written: bool, wait_ms: i64 },
}

/// What happened at a turn, for whoever counts.
#[derive(Debug, Default)]
pub(crate) struct Turned {
    /// Records that stand in the ledger from now on.
    pub written: Vec<Arc<Record>>,
    /// What the engine is to hear.
    pub outcomes: Vec<Outcome>,
    /// Records refused.
    pub refused: u64,
    /// Replies lost.
    pub unknown: u64,
}

#[derive(Debug)]
pub(crate) struct Writer {
    /// That of its dispatcher; the ledger's own is higher when another has taken over.
    pub epoch: u32,
    queue: VecDeque<Order>,
    taken: VecDeque<Taken>,
    trip: Option<Trip>,
    began: Time,
    quarantine: HashSet<Subject>,
    depth: usize,
    ended: bool,
    commits: u64,
    faults: Faults,
    chance: Chance,
    mutation: Option<Mutation>,
}

impl Writer {
    pub fn new(epoch: u32, faults: Faults, chance: Chance, mutation: Option<Mutation>) -> Writer {
        Writer {
            epoch,
            queue: VecDeque::new(),
            taken: VecDeque::new(),
            trip: None,
            began: Time(0),
            quarantine: HashSet::new(),
            depth: 0,
            ended: false,
            commits: 0,
            faults,
            chance,
            mutation,
        }
    }

    pub fn submit(&mut self, ticket: u64, subject: Subject, record: Arc<Record>) {
        self.depth += 1;
        let poisoned = matches!(subject, Subject::Job(_)) && self.chance.happens(self.faults.refused_share);
        self.queue.push_back(Order::Write(Submission { ticket, subject, record, poisoned }));
    }

    pub fn release(&mut self, subject: Subject) {
        if self.mutation != Some(Mutation::NoRelease) {
            self.queue.push_back(Order::Release(subject));
        }
    }

    /// Asks whether the fence is still this process's.
    pub fn prove(&mut self) {
        self.queue.push_back(Order::Prove);
    }

    /// Whether the last try has failed, or the present one takes too long.
    pub fn is_away(&self, now: Time) -> bool {
        match self.trip {
            Some(Trip::Reconnect { .. }) => true,
            Some(Trip::Commit | Trip::Lost { .. } | Trip::Beat) => now.since(self.began) > SLOW_MS,
            None => false,
        }
    }

    /// Records that are unwritten.
    pub fn depth(&self) -> usize {
        self.depth
    }

    pub fn room(&self) -> usize {
        QUEUE_MAX.saturating_sub(self.depth)
    }

    /// Nothing goes wrong any more.
    pub fn fair_weather(&mut self) {
        self.faults = Faults::NONE;
    }

    /// Whether nothing is queued or in flight.
    pub fn rests(&self) -> bool {
        self.queue.is_empty() && self.taken.is_empty()
    }

    /// The process ends: what was in flight may reach the database or not. The records, if it does.
    pub fn killed(&mut self, ledger: &mut Ledger) -> Vec<Arc<Record>> {
        let reaches = match self.trip {
            Some(Trip::Commit) => self.chance.happens(0.5),
            Some(Trip::Lost { reaches }) => reaches,
            Some(Trip::Reconnect { .. } | Trip::Beat) | None => false,
        };
        let mut turned = Turned::default();
        if reaches && !self.ended {
            let _ = self.write(ledger, &mut turned);
        }
        turned.written
    }

    /// Begins whatever is next. When it will be over, if there is anything to do.
    pub fn begin(&mut self, now: Time, away_until: Time, turned: &mut Turned) -> Option<Time> {
        if self.trip.is_some() || self.ended {
            return None;
        }
        loop {
            if self.taken.is_empty() {
                self.take();
            }
            match self.taken.front()? {
                Taken::Release(subject) => {
                    self.quarantine.remove(subject);
                    self.taken.pop_front();
                }
                Taken::Part(part) if part.iter().all(|submission| self.quarantine.contains(&submission.subject)) => {
                    self.done(turned);
                }
                Taken::Prove => {
                    (self.trip, self.began) = (Some(Trip::Beat), now);
                    return Some((now + 1).max(away_until));
                }
                Taken::Part(_) => {
                    let away = now < away_until;
                    let lost = away || self.chance.happens(self.faults.unknown_share);
                    let trip =
                        if lost { Trip::Lost { reaches: !away && self.chance.happens(0.5) } } else { Trip::Commit };
                    (self.trip, self.began) = (Some(trip), now);
                    return Some(now + self.chance.span_ms(COMMIT_MS, 0.8).max(1));
                }
            }
        }
    }

    /// What was in flight is over. When to come again, if it takes another trip.
    pub fn over(&mut self, ledger: &mut Ledger, now: Time, away_until: Time, turned: &mut Turned) -> Option<Time> {
        match self.trip.take()? {
            Trip::Commit => match self.write(ledger, turned) {
                Ok(()) => {
                    self.done(turned);
                    None
                }
                Err(Refusal::Fenced) => self.fenced(turned),
                Err(Refusal::Data) => {
                    self.refused(ledger, turned);
                    None
                }
            },
            Trip::Lost { reaches } => {
                turned.unknown += 1;
                let written = match reaches.then(|| self.write(ledger, turned)) {
                    Some(Ok(())) => true,
                    Some(Err(Refusal::Fenced)) => return self.fenced(turned),
                    Some(Err(Refusal::Data)) | None => false,
                };
                self.reconnect(written, BACKOFF_FIRST_MS, now, away_until)
            }
            Trip::Beat => {
                if self.is_fenced(ledger) {
                    return self.fenced(turned);
                }
                self.taken.pop_front();
                turned.outcomes.push(Outcome::Stands);
                None
            }
            Trip::Reconnect { written, wait_ms } => {
                if now < away_until {
                    return self.reconnect(written, (wait_ms * 2).min(BACKOFF_LAST_MS), now, away_until);
                }
                if self.is_fenced(ledger) {
                    return self.fenced(turned);
                }
                let written = match self.mutation {
                    Some(Mutation::UnwrittenIsWritten) => true,
                    Some(Mutation::UnknownIsLost) => false,
                    Some(_) | None => written,
                };
                if written {
                    self.done(turned);
                }
                None
            }
        }
    }

    fn reconnect(&mut self, written: bool, wait_ms: i64, now: Time, away_until: Time) -> Option<Time> {
        self.trip = Some(Trip::Reconnect { written, wait_ms });
        // Tries while the ledger is away find nothing: straight to the first that can.
        Some((now + wait_ms).max(away_until))
    }

    fn fenced(&mut self, turned: &mut Turned) -> Option<Time> {
        self.ended = true;
        turned.outcomes.push(Outcome::Fenced);
        None
    }

    /// Whether another dispatcher has taken the ledger.
    pub fn is_fenced(&self, ledger: &Ledger) -> bool {
        self.epoch != ledger.epoch && self.mutation != Some(Mutation::OpenFence)
    }

    /// Takes what is queued.
    fn take(&mut self) {
        let mut part = Vec::new();
        for _ in 0..BATCH_MAX.min(self.queue.len()) {
            match self.queue.pop_front() {
                Some(Order::Write(submission)) => part.push(submission),
                Some(order @ (Order::Release(_) | Order::Prove)) => {
                    // What came before the release is still dropped.
                    if !part.is_empty() {
                        self.taken.push_back(Taken::Part(std::mem::take(&mut part)));
                    }
                    self.taken.push_back(if let Order::Release(subject) = order {
                        Taken::Release(subject)
                    } else {
                        Taken::Prove
                    });
                }
                None => break,
            }
        }
        if !part.is_empty() {
            self.taken.push_back(Taken::Part(part));
        }
    }

    /// The first part is dealt with.
    fn done(&mut self, turned: &mut Turned) {
        if let Some(Taken::Part(part)) = self.taken.pop_front() {
            self.depth -= part.len();
            let through = part.last().expect("a part is never empty").ticket;
            turned.outcomes.push(Outcome::Written { through });
        }
    }

    fn write(&mut self, ledger: &mut Ledger, turned: &mut Turned) -> Result<(), Refusal> {
        if self.is_fenced(ledger) {
            return Err(Refusal::Fenced);
        }
        let Some(Taken::Part(part)) = self.taken.front() else { return Ok(()) };
        self.commits += 1;
        if self.mutation == Some(Mutation::LostRecord) && self.commits.is_multiple_of(50) {
            return Ok(());
        }
        let open = || part.iter().filter(|submission| !self.quarantine.contains(&submission.subject));
        if open().any(|submission| submission.poisoned) {
            return Err(Refusal::Data);
        }
        let records: Vec<&Record> = open().map(|submission| &*submission.record).collect();
        ledger.write(&records).map_err(|_| Refusal::Data)?;
        turned.written.extend(open().map(|submission| Arc::clone(&submission.record)));
        Ok(())
    }

    /// Something in the first part is refused. Alone, its subject goes into quarantine; among others, the part is
    /// halved.
    fn refused(&mut self, ledger: &Ledger, turned: &mut Turned) {
        let Some(Taken::Part(mut part)) = self.taken.pop_front() else { return };
        let open = part.iter().filter(|submission| !self.quarantine.contains(&submission.subject));
        let (count, subject) = (open.clone().count(), open.clone().next().map(|submission| submission.subject));
        match subject {
            Some(subject) if count == 1 => {
                turned.refused += 1;
                self.quarantine.insert(subject);
                let stored = match subject {
                    Subject::Job(job) => ledger.job(job).map(Box::new),
                    Subject::Friend(_) | Subject::Waitlist | Subject::Audit => None,
                };
                turned.outcomes.push(Outcome::Refused { subject, stored });
                self.taken.push_front(Taken::Part(part));
                self.done(turned);
            }
            Some(_) | None => {
                let second = part.split_off(part.len() / 2);
                self.taken.push_front(Taken::Part(second));
                self.taken.push_front(Taken::Part(part));
            }
        }
    }
}

enum Refusal {
    Data,
    Fenced,
}
