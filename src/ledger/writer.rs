//! The writer: one task, one connection, everything in order. It takes whatever is queued the moment the previous commit
//! returns, so that the load itself makes the batches and no timer is needed.
//!
//! Nothing that touches the connection is ever cancelled: no timeout, no `select!`, no future dropped half-way. What
//! fails for a while is retried for ever; what was committed without a reply is read back before it is tried again; what
//! is refused for good puts its subject into quarantine, and everything else goes on. When nothing was committed for a
//! second the fence is renewed all the same, so that a standby sees life and a process that was taken over sees it too.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::outbox::Bell;
use super::rows::is_news;
use super::{Ledger, Trouble};
use crate::clock::Stopwatch;
use crate::dispatch::effect::{Record, StoredJob, Subject};
use crate::metrics;

/// Records in one commit at most: it bounds how long the first of them waits for the last.
const BATCH_MAX: usize = 512;
/// Outcomes the engine may leave unread before the writer waits for it.
const OUTCOMES_MAX: usize = 1024;
/// Between two signs of life.
const BEAT: Duration = Duration::from_secs(1);
const BACKOFF_FIRST: Duration = Duration::from_millis(50);
/// Whoever waits hears the truth within two seconds after the database is back: this is a quarter of it.
const BACKOFF_LAST: Duration = Duration::from_millis(500);
/// A commit or a beat that takes longer counts as a database that is away: nobody else need wait for it too.
const SLOW: Duration = Duration::from_secs(2);

/// A record on its way to the ledger.
#[derive(Debug)]
pub struct Submission {
    /// Grows from one submission to the next; names it in the outcomes.
    pub ticket: u64,
    /// The record.
    pub record: Record,
    /// What it is about.
    pub subject: Subject,
}

/// What became of submissions, in order of their tickets.
#[derive(Debug)]
pub enum Outcome {
    /// Every submission up to this ticket is committed, but for those refused, and those of their subjects that were
    /// submitted before the subject was released: they are dropped unwritten and without an outcome of their own.
    Written {
        /// The ticket.
        through: u64,
    },
    /// The database refuses this record for good. Its subject is in quarantine until [`WriterHandle::release`].
    Refused {
        /// The submission.
        ticket: u64,
        /// What it was about.
        subject: Subject,
        /// The job as it is stored; none if it was never written, or the subject is not a job.
        stored: Option<Box<StoredJob>>,
        /// What the database said, for ops; without a value of the data.
        why: String,
    },
    /// The answer to [`WriterHandle::prove`]: after it was asked, the fence was still this process's.
    Stands,
    /// Another dispatcher has taken the ledger. Nothing more is written, and the process must end.
    Fenced,
}

/// The queue is full: as many records are unwritten as may be. The submission comes back.
#[derive(Debug)]
pub struct Full(pub Box<Submission>);

/// How the writer fares, for `/readyz` and for the rule that no timer is handled while an old record is unwritten.
#[derive(Clone, Copy, Debug)]
pub struct Health {
    /// Whether the last try reached the database.
    pub reachable: bool,
    /// When the oldest record that is not yet committed was submitted, or a beat in flight began. Records queued behind
    /// the commit in flight show only once they are taken up.
    pub oldest_unwritten_since: Option<Instant>,
}

/// The engine's end of the writer. When the last handle is gone, the writer writes what is queued and closes.
#[derive(Clone, Debug)]
pub struct WriterHandle {
    orders: mpsc::UnboundedSender<Order>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
enum Order {
    Write(Submission, Instant),
    Release(Subject),
    Prove,
}

/// Whether the ledger answers, for those who would else wait for it in vain.
#[derive(Clone, Debug)]
pub struct Pulse(Arc<Shared>);

impl Pulse {
    /// Whether the last try failed, or the present one takes too long.
    pub fn is_away(&self) -> bool {
        let Health { reachable, oldest_unwritten_since } = self.0.health();
        !reachable || oldest_unwritten_since.is_some_and(|since| since.elapsed() > SLOW)
    }
}

#[derive(Debug)]
struct Shared {
    queue_len_max: usize,
    /// Submissions without an outcome; it bounds the queue, which itself has no bound so that a release always fits.
    depth: AtomicUsize,
    reachable: AtomicBool,
    /// Rings when something was committed that the outside is told.
    bell: Bell,
    oldest: Mutex<Option<Instant>>,
}

impl Shared {
    fn health(&self) -> Health {
        Health {
            reachable: self.reachable.load(Ordering::Acquire),
            oldest_unwritten_since: *self.oldest.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }
}

impl WriterHandle {
    /// Hands a record to the writer. Never waits.
    ///
    /// # Errors
    /// [`Full`] when as many records are unwritten as may be, or when the writer has ended (its outcomes say so).
    pub fn try_submit(&self, submission: Submission) -> Result<(), Full> {
        let take = |depth| (depth < self.shared.queue_len_max).then_some(depth + 1);
        if self.shared.depth.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).is_err() {
            return Err(Full(Box::new(submission)));
        }
        match self.orders.send(Order::Write(submission, Stopwatch::start().began())) {
            Ok(()) => Ok(()),
            Err(mpsc::error::SendError(Order::Write(submission, _))) => Err(Full(Box::new(submission))),
            Err(mpsc::error::SendError(Order::Release(_) | Order::Prove)) => unreachable!("a write was sent"),
        }
    }

    /// Lifts the quarantine of a subject for what is submitted from now on.
    pub fn release(&self, subject: Subject) {
        // A writer that has ended holds nothing in quarantine.
        let _ = self.orders.send(Order::Release(subject));
    }

    /// Asks whether the fence is still this process's: [`Outcome::Stands`] or [`Outcome::Fenced`] will say, in the order
    /// of what was submitted.
    pub fn prove(&self) {
        // A writer that has ended is heard by its outcomes.
        let _ = self.orders.send(Order::Prove);
    }

    /// Submissions without an outcome, 0 to [`WriterHandle::queue_len_max`].
    pub fn depth(&self) -> usize {
        self.shared.depth.load(Ordering::Acquire)
    }

    /// Records that may be unwritten at once.
    pub fn queue_len_max(&self) -> usize {
        self.shared.queue_len_max
    }

    /// How many more submissions the queue takes now.
    pub fn room(&self) -> usize {
        self.queue_len_max().saturating_sub(self.depth())
    }

    /// How the writer fares.
    pub fn health(&self) -> Health {
        self.shared.health()
    }

    /// Rings when something was committed that the servers of others are told.
    pub fn bell(&self) -> Bell {
        self.shared.bell.clone()
    }

    /// For those who only ask whether the ledger answers.
    pub fn pulse(&self) -> Pulse {
        Pulse(self.shared.clone())
    }
}

/// Starts the writer on a ledger that is locked and fenced for this process, with room for `queue_len_max` unwritten
/// records. The receiver ends when the writer has closed its connection; if that comes while a handle lives, the writer
/// has been fenced or has panicked.
#[expect(clippy::disallowed_methods, reason = "writes are bounded by the depth, and a release must always fit")]
pub fn start(ledger: impl Ledger, queue_len_max: usize) -> (WriterHandle, mpsc::Receiver<Outcome>) {
    let (orders, queue) = mpsc::unbounded_channel();
    let (outcomes, receiver) = mpsc::channel(OUTCOMES_MAX);
    let shared = Arc::new(Shared {
        queue_len_max,
        depth: AtomicUsize::new(0),
        reachable: AtomicBool::new(true),
        bell: Bell::default(),
        oldest: Mutex::new(None),
    });
    let writer = Writer {
        ledger,
        outcomes,
        shared: Arc::clone(&shared),
        quarantine: HashSet::new(),
        batch: 0,
        renewed: Stopwatch::start(),
    };
    tokio::spawn(writer.work(queue));
    (WriterHandle { orders, shared }, receiver)
}

struct Writer<L> {
    ledger: L,
    outcomes: mpsc::Sender<Outcome>,
    shared: Arc<Shared>,
    quarantine: HashSet<Subject>,
    /// The number of the last commit tried; each has its own.
    batch: i64,
    /// Since the last sign of life: a commit, a beat, or a lock taken again.
    renewed: Stopwatch,
}

/// Why a commit did not happen.
enum Refusal {
    Data(String),
    Fenced,
}

impl<L: Ledger> Writer<L> {
    async fn work(mut self, mut queue: mpsc::UnboundedReceiver<Order>) {
        let mut orders = Vec::with_capacity(BATCH_MAX);
        loop {
            // Only the queue is waited for with an end; cut short, it has lost nothing.
            if let Ok(0) = tokio::time::timeout(BEAT, queue.recv_many(&mut orders, BATCH_MAX)).await {
                return self.ledger.close().await;
            }
            if self.take_up(orders.drain(..)).await.is_err() {
                return self.end().await;
            }
        }
    }

    /// Does what was ordered, and gives a sign of life if that was none. An error: fenced.
    async fn take_up(&mut self, orders: impl Iterator<Item = Order>) -> Result<(), ()> {
        let mut batch = Vec::with_capacity(orders.size_hint().0);
        let mut oldest = None;
        for order in orders {
            match order {
                Order::Write(submission, since) => {
                    oldest.get_or_insert(since);
                    batch.push(submission);
                }
                Order::Release(subject) => {
                    // What came before the release is still dropped.
                    self.write(std::mem::take(&mut batch), oldest.take()).await?;
                    self.quarantine.remove(&subject);
                }
                Order::Prove => {
                    self.write(std::mem::take(&mut batch), oldest.take()).await?;
                    self.beat().await?;
                    self.tell(Outcome::Stands).await;
                }
            }
        }
        self.write(batch, oldest).await?;
        if self.renewed.elapsed() >= BEAT { self.beat().await } else { Ok(()) }
    }

    /// A sign of life, however long it takes. An error: fenced.
    async fn beat(&mut self) -> Result<(), ()> {
        self.set_oldest(Some(Stopwatch::start().began()));
        match self.ledger.beat().await {
            Ok(()) => {}
            Err(Trouble::Fenced) => return Err(()),
            // To take the lock again is a sign of life as well.
            Err(Trouble::Refused(why) | Trouble::Unreachable(why)) => {
                self.reconnect(&why).await?;
            }
        }
        self.renewed = Stopwatch::start();
        self.set_oldest(None);
        Ok(())
    }

    /// Writes submissions and tells what became of them. An error: fenced.
    ///
    /// When the database refuses something in a batch, the batch is halved until the bad record stands alone, so that
    /// one bad record among hundreds costs its neighbours some commits and not hundreds.
    async fn write(&mut self, batch: Vec<Submission>, oldest: Option<Instant>) -> Result<(), ()> {
        self.set_oldest(oldest);
        let mut parts = vec![&batch[..]];
        while let Some(part) = parts.pop() {
            let Some(Submission { ticket: through, .. }) = part.last() else { continue };
            let open: Vec<_> =
                part.iter().filter(|submission| !self.quarantine.contains(&submission.subject)).collect();
            let records: Vec<_> = open.iter().map(|submission| &submission.record).collect();
            match (self.commit(&records).await, &open[..]) {
                (Ok(()), _) => {
                    if records.iter().any(|record| is_news(record)) {
                        self.shared.bell.ring();
                    }
                    self.tell(Outcome::Written { through: *through }).await;
                }
                (Err(Refusal::Fenced), _) => return Err(()),
                (Err(Refusal::Data(why)), [alone]) => {
                    self.refuse(alone, why).await?;
                    // What is dropped behind it in this part has no outcome of its own.
                    self.tell(Outcome::Written { through: *through }).await;
                }
                (Err(Refusal::Data(_)), _) => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                }
            }
        }
        self.set_oldest(None);
        self.shared.depth.fetch_sub(batch.len(), Ordering::AcqRel);
        Ok(())
    }

    /// Puts the subject of a refused record into quarantine and tells what is stored of it.
    async fn refuse(&mut self, Submission { ticket, subject, .. }: &Submission, why: String) -> Result<(), ()> {
        // The engine tells it, once it is known what stands.
        match subject {
            Subject::Job(job) => tracing::debug!(%job, ticket, why, "a record is refused"),
            Subject::Friend(friend) => tracing::debug!(%friend, ticket, why, "a record is refused"),
            Subject::Waitlist | Subject::Audit => tracing::debug!(ticket, why, "a record is refused"),
        }
        self.quarantine.insert(*subject);
        let stored = self.stored(*subject).await?;
        self.tell(Outcome::Refused { ticket: *ticket, subject: *subject, stored, why }).await;
        Ok(())
    }

    /// One commit, until it is known to be written or refused.
    async fn commit(&mut self, records: &[&Record]) -> Result<(), Refusal> {
        if records.is_empty() {
            return Ok(());
        }
        self.batch += 1;
        loop {
            let watch = Stopwatch::start();
            match self.ledger.write(self.batch, records).await {
                Ok(()) => {
                    metrics::committed(records.len(), watch.elapsed());
                    self.renewed = Stopwatch::start();
                    return Ok(());
                }
                Err(Trouble::Fenced) => return Err(Refusal::Fenced),
                Err(Trouble::Refused(why)) => return Err(Refusal::Data(why)),
                Err(Trouble::Unreachable(why)) => {
                    // It may have been committed without the reply: the fence row knows.
                    if self.reconnect(&why).await.map_err(|()| Refusal::Fenced)? {
                        metrics::committed(records.len(), watch.elapsed());
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Connects again, however long it takes. Returns whether the last batch tried was committed. An error: fenced.
    async fn reconnect(&mut self, why: &str) -> Result<bool, ()> {
        tracing::warn!(why, "the ledger cannot be reached; trying again");
        metrics::ledger_retried();
        self.shared.reachable.store(false, Ordering::Release);
        let mut wait = BACKOFF_FIRST;
        loop {
            tokio::time::sleep(wait).await;
            match self.ledger.written(self.batch).await {
                Ok(written) => {
                    tracing::info!(written, "the ledger can be reached again");
                    self.shared.reachable.store(true, Ordering::Release);
                    return Ok(written);
                }
                Err(Trouble::Fenced) => return Err(()),
                Err(Trouble::Refused(why) | Trouble::Unreachable(why)) => {
                    metrics::ledger_retried();
                    tracing::debug!(why, "the ledger still cannot be reached");
                    wait = (wait * 2).min(BACKOFF_LAST);
                }
            }
        }
    }

    /// What is stored of a subject whose record was refused.
    async fn stored(&mut self, subject: Subject) -> Result<Option<Box<StoredJob>>, ()> {
        let Subject::Job(job) = subject else { return Ok(None) };
        loop {
            match self.ledger.load_job(job).await {
                Ok(stored) => return Ok(stored.map(Box::new)),
                Err(Trouble::Fenced) => return Err(()),
                Err(Trouble::Unreachable(why)) => {
                    self.reconnect(&why).await?;
                }
                // Without knowing what stands nobody may go on; the process ends and its successor says the same.
                Err(Trouble::Refused(why)) => {
                    tracing::error!(%job, why, "a job cannot be read back: the process ends");
                    panic!("a job cannot be read back");
                }
            }
        }
    }

    async fn end(mut self) {
        tracing::error!("another dispatcher has taken the ledger: nothing more is written");
        self.tell(Outcome::Fenced).await;
        self.ledger.close().await;
    }

    async fn tell(&mut self, outcome: Outcome) {
        // Nobody listens while the process ends; what is queued is written all the same.
        let _ = self.outcomes.send(outcome).await;
    }

    fn set_oldest(&self, oldest: Option<Instant>) {
        *self.shared.oldest.lock().unwrap_or_else(PoisonError::into_inner) = oldest;
    }
}
