//! The loop: mailbox → decide → commit → tell. One task owns the dispatcher. What an input decided is handed to the
//! ledger, and only when that is committed is anybody told; what needs no record is told at once. The log hears of it
//! first (`story`).
//!
//! The loop turns at least once a second, so that it sees when everything stood still (`standstill`): before anything more
//! is decided the fence is asked.

mod standstill;
mod story;
mod verdicts;

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kiez_protocol::friend::{FriendMessage, Verdict};
use kiez_protocol::ids::JobId;
use kiez_protocol::ops::{AlarmKind, AlarmView};
use kiez_protocol::refusal::Code;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::Span;

use self::standstill::Standstill;
use self::story::Chapter;
use self::verdicts::Verdicts;
use crate::clock::{Clock, Stopwatch};
use crate::config::Limits;
use crate::dispatch::Dispatcher;
use crate::dispatch::effect::{Answer, Commit, Effects, Message, Subject};
use crate::dispatch::input::{Input, Request};
use crate::ledger::{Outcome, ReadError, Reader, Submission, WriterHandle};
use crate::live::Live;
use crate::metrics;

/// Inputs handled before the engine looks at commits and timers again.
const TURN_INPUTS_MAX: usize = 64;
/// Records one input may lead to, at most; the ledger's queue must have room for them before an input is taken.
const RECORDS_PER_INPUT_MAX: usize = 320;
/// So much of the ledger's queue is kept for what a refused record leads to, which cannot wait for room.
const RECORDS_KEPT: usize = RECORDS_PER_INPUT_MAX;
/// While the oldest unwritten record is older than this, no timer is handled, ms.
const STALLED_MS: u128 = 1_000;
/// The loop turns at least this often.
const TURN: Duration = Duration::from_secs(1);
/// While something waits for the ledger, it turns at least this often.
const TURN_WAITING: Duration = Duration::from_millis(100);

/// An input with the instant at which it was put into the mailbox.
#[derive(Debug)]
struct Arrival {
    input: Input,
    since: Stopwatch,
}

impl Arrival {
    fn of(input: Input) -> Arrival {
        Arrival { input, since: Stopwatch::start() }
    }
}

/// A place in the mailbox.
#[derive(Debug)]
pub struct Place<'a>(mpsc::Permit<'a, Arrival>);

impl Place<'_> {
    /// Puts an input there.
    pub fn send(self, input: Input) {
        self.0.send(Arrival::of(input));
    }
}

/// The way in: sessions and requests put inputs here. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Mailbox {
    inputs: mpsc::Sender<Arrival>,
    reserve: usize,
    answer: Duration,
    answers: Arc<Answers>,
    state: Arc<EngineState>,
    writer: WriterHandle,
}

/// What health and admission look at.
#[derive(Debug, Default)]
pub struct EngineState {
    stalled: AtomicBool,
    jobs_open: AtomicUsize,
    turns: AtomicU64,
    turned_at: AtomicI64,
}

#[derive(Debug, Default)]
struct Answers {
    next: AtomicU64,
    waiting: Mutex<HashMap<Request, oneshot::Sender<Answer>>>,
}

impl Answers {
    fn give(&self, request: Request, answer: Answer) {
        let waiting = self.waiting.lock().expect("no panic while held").remove(&request);
        if let Some(waiting) = waiting {
            // Whoever asked may have gone.
            let _ = waiting.send(answer);
        }
    }
}

/// The mailbox is full, or the ledger does not keep up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the dispatcher cannot take this now")]
pub struct Overloaded;

/// Why a question has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// It was not taken.
    #[error(transparent)]
    Overloaded(#[from] Overloaded),
    /// It was taken, and its commit takes long or will not be told here any more.
    #[error("whether this was written is not known yet")]
    Unknown,
}

impl Mailbox {
    /// Puts an input in, but not into the part kept for accepts.
    ///
    /// # Errors
    /// [`Overloaded`] when there is no room.
    pub fn send(&self, input: Input) -> Result<(), Overloaded> {
        let place = self.inputs.try_reserve().ok().filter(|_| self.inputs.capacity() >= self.reserve);
        let Some(place) = place else {
            metrics::input_refused("mailbox");
            return Err(Overloaded);
        };
        Place(place).send(input);
        Ok(())
    }

    /// A place in the mailbox for an accept: taken before the word, so that a first is certainly in the mailbox.
    pub fn accept_permit(&self) -> Option<Place<'_>> {
        let place = self.inputs.try_reserve().ok().map(Place);
        if place.is_none() {
            metrics::input_refused("mailbox");
        }
        place
    }

    /// Asks something that is answered after its commit.
    ///
    /// # Errors
    /// [`Unanswered::Overloaded`] when there is no room, or the ledger is away or behind: for new jobs, when half of its
    /// queue is full. [`Unanswered::Unknown`] when the commit takes too long, or the engine has ended.
    pub async fn ask(&self, input: impl FnOnce(Request) -> Input) -> Result<Answer, Unanswered> {
        if self.is_stalled() || !self.ledger_is_reachable() {
            metrics::input_refused("ledger");
            return Err(Overloaded.into());
        }
        let request = self.answers.next.fetch_add(1, Ordering::Relaxed);
        let input = input(request);
        if matches!(input, Input::Posted { .. }) && !self.admits_jobs() {
            metrics::input_refused("ledger");
            return Err(Overloaded.into());
        }
        let (answer, waiting) = oneshot::channel();
        self.answers.waiting.lock().expect("no panic while held").insert(request, answer);
        let _forget = Forget { answers: &self.answers, request };
        self.send(input)?;
        match tokio::time::timeout(self.answer, waiting).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) | Err(_) => Err(Unanswered::Unknown),
        }
    }

    /// Whether records wait so long for the ledger that new work is refused.
    pub fn is_stalled(&self) -> bool {
        self.state.stalled.load(Ordering::Relaxed)
    }

    /// Whether new jobs are taken: not while the ledger keeps up badly, nor while half of its queue is full. What is
    /// about a job that is there already goes on.
    pub fn admits_jobs(&self) -> bool {
        !self.is_stalled() && self.writer.depth() < self.writer.room()
    }

    /// Jobs that are not final.
    pub fn jobs_open(&self) -> usize {
        self.state.jobs_open.load(Ordering::Relaxed)
    }

    /// Whether the ledger answered the last time it was tried, and does not take seconds for it now.
    pub fn ledger_is_reachable(&self) -> bool {
        !self.writer.pulse().is_away()
    }

    /// Records waiting for the ledger.
    pub fn ledger_queue_len(&self) -> usize {
        self.writer.depth()
    }

    /// Turns of the loop so far: it lives while this grows.
    pub fn turns(&self) -> u64 {
        self.state.turns.load(Ordering::Relaxed)
    }

    /// When the loop last turned, in ms of the clock's [`Clock::elapsed_ms`].
    pub fn turned_at(&self) -> i64 {
        self.state.turned_at.load(Ordering::Relaxed)
    }

    /// Inputs waiting.
    pub fn len(&self) -> usize {
        self.inputs.max_capacity() - self.inputs.capacity()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A request whose asker has gone is forgotten.
struct Forget<'a> {
    answers: &'a Answers,
    request: Request,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.answers.waiting.lock().expect("no panic while held").remove(&self.request);
    }
}

/// Messages that wait for a commit.
#[derive(Debug)]
struct Waiting {
    ticket: u64,
    subject: Subject,
    chapter: Option<Chapter>,
    then: Vec<Message>,
    since: Stopwatch,
    /// The arrival of the post that led to it.
    posted: Option<Stopwatch>,
}

/// Why the engine ended.
#[derive(Debug, thiserror::Error)]
pub enum EngineEnd {
    /// It was asked to.
    #[error("stopped")]
    Stopped,
    /// Another dispatcher has taken over.
    #[error("another kiez has taken over this ledger: this one has stopped, and wrote nothing since")]
    Fenced,
    /// The ledger's writer has ended.
    #[error("the ledger's writer has ended")]
    WriterGone,
}

/// The task that owns the dispatcher.
#[derive(Debug)]
pub struct Engine {
    dispatcher: Dispatcher,
    clock: Clock,
    live: Arc<Live>,
    writer: WriterHandle,
    outcomes: mpsc::Receiver<Outcome>,
    reader: Reader,
    inputs: mpsc::Receiver<Arrival>,
    answers: Arc<Answers>,
    state: Arc<EngineState>,
    waiting: VecDeque<Waiting>,
    ticket: u64,
    effects: Effects,
    // Inputs that telling has led to; handled before anything else.
    next: VecDeque<Arrival>,
    verdicts: Verdicts,
    standstill: Standstill,
}

impl Engine {
    /// An engine round a restored dispatcher, and the mailbox into it. Standing still for `silence_ms` is to it like a
    /// restart.
    pub fn new(
        dispatcher: Dispatcher,
        clock: Clock,
        live: Arc<Live>,
        ledger: (WriterHandle, mpsc::Receiver<Outcome>, Reader),
        limits: &Limits,
        silence_ms: u64,
    ) -> (Engine, Mailbox) {
        let (writer, outcomes, reader) = ledger;
        let (sender, inputs) = mpsc::channel(limits.mailbox_len_max);
        let answers = Arc::new(Answers::default());
        let state = Arc::new(EngineState::default());
        let mailbox = Mailbox {
            inputs: sender,
            reserve: limits.mailbox_len_max / 4,
            answer: Duration::from_millis(limits.answer_ms),
            answers: answers.clone(),
            state: state.clone(),
            writer: writer.clone(),
        };
        let engine = Engine {
            dispatcher,
            clock,
            live,
            writer,
            outcomes,
            reader,
            inputs,
            answers,
            state,
            waiting: VecDeque::new(),
            ticket: 0,
            effects: Effects::default(),
            next: VecDeque::new(),
            verdicts: Verdicts::default(),
            standstill: Standstill::new(silence_ms, clock.elapsed_ms()),
        };
        metrics::jobs_restored(engine.dispatcher.states());
        engine.note();
        (engine, mailbox)
    }

    /// Runs until it is stopped, fenced, or the writer has ended. On `stop` everything submitted is still told.
    pub async fn run(mut self, stop: CancellationToken) -> EngineEnd {
        let mut taken = Vec::with_capacity(TURN_INPUTS_MAX);
        let mut closed = false;
        loop {
            self.turn();
            if !self.standstill.is_asking() {
                for arrival in taken.drain(..) {
                    self.handle(arrival);
                }
                self.timers();
            }
            self.note();
            let room = (self.room() / RECORDS_PER_INPUT_MAX).min(TURN_INPUTS_MAX);
            let may_take = room > 0 && taken.is_empty() && !closed;
            let idle = self.waiting.is_empty() && self.inputs.is_empty() && taken.is_empty();
            let wake = self.wake();
            // Every branch is cancel-safe: a message that was taken off a channel is never dropped here.
            tokio::select! {
                biased;
                outcome = self.outcomes.recv() => match outcome {
                    Some(Outcome::Fenced) => return EngineEnd::Fenced,
                    Some(outcome) => self.outcome(outcome),
                    None => return EngineEnd::WriterGone,
                },
                // Handled in the next turn, which first sees whether everything stood still.
                count = self.inputs.recv_many(&mut taken, room), if may_take => {
                    // Nobody is left who could send anything.
                    closed = count == 0;
                }
                () = stop.cancelled(), if idle => break,
                () = tokio::time::sleep(wake) => {}
            }
        }
        // The writer closes its connection, and with it the lock, when its last handle has gone.
        drop(self.writer);
        while self.outcomes.recv().await.is_some() {}
        EngineEnd::Stopped
    }

    /// Sees whether everything stood still since the last turn, and asks the fence if it did.
    fn turn(&mut self) {
        if let Some(stood_ms) = self.standstill.turn(self.clock.elapsed_ms()) {
            tracing::warn!(stood_ms, "everything stood still; the fence is asked before anything goes on");
            self.writer.prove();
        }
    }

    /// The fence stands: what waited goes on.
    fn proved(&mut self) {
        if self.standstill.stands() {
            self.handle(Arrival::of(Input::Woken));
        }
    }

    fn note(&self) {
        self.state.stalled.store(self.is_stalled(), Ordering::Relaxed);
        self.state.jobs_open.store(self.dispatcher.jobs_len(), Ordering::Relaxed);
        self.state.turns.fetch_add(1, Ordering::Relaxed);
        self.state.turned_at.store(self.standstill.turned_at(), Ordering::Relaxed);
    }

    fn is_stalled(&self) -> bool {
        let old = |since: &Stopwatch| since.elapsed().as_millis() > STALLED_MS;
        self.waiting.front().is_some_and(|oldest| old(&oldest.since))
            || self.standstill.asking_since().is_some_and(|since| old(&since))
    }

    /// How many records may be handed over now, of what is not kept. What waits without a record counts too: when the
    /// ledger is away, friends who come back would else pile up their snapshots.
    fn room(&self) -> usize {
        let unheard = self.writer.queue_len_max().saturating_sub(self.waiting.len());
        self.writer.room().min(unheard).saturating_sub(RECORDS_KEPT)
    }

    fn timers_run(&self) -> bool {
        !self.standstill.is_asking() && self.room() >= RECORDS_PER_INPUT_MAX && !self.is_stalled()
    }

    /// Until the next deadline, or until there is something to look at that has no wake-up of its own: the age of what
    /// waits, the ledger's room, and whether everything stood still.
    fn wake(&self) -> Duration {
        let look = if self.waiting.is_empty() && !self.standstill.is_asking() { TURN } else { TURN_WAITING };
        let due = self.dispatcher.next_deadline().filter(|_| self.timers_run()).map(|due| self.clock.until(due));
        due.map_or(look, |due| due.min(look))
    }

    /// Handles what is due, one at a time, as long as no input waits: what came before a deadline goes first.
    fn timers(&mut self) {
        for _ in 0..TURN_INPUTS_MAX {
            let due = self.dispatcher.next_deadline().is_some_and(|due| due <= self.clock.now());
            if !due || !self.inputs.is_empty() || !self.timers_run() {
                return;
            }
            self.handle(Arrival::of(Input::Tick));
        }
    }

    fn handle(&mut self, arrival: Arrival) {
        self.next.push_back(arrival);
        while let Some(Arrival { input, since }) = self.next.pop_front() {
            let watch = Stopwatch::start();
            let posted = matches!(input, Input::Posted { .. }).then_some(since);
            let job = self.about(&input);
            let about = job.map_or_else(Span::none, story::about);
            about.in_scope(|| self.hear(&input, job.is_some(), since));
            let mut effects = std::mem::take(&mut self.effects);
            self.dispatcher.handle(input, self.clock.now(), &self.live.roster, &mut effects);
            metrics::handled(watch.elapsed());
            about.in_scope(|| {
                for message in effects.now.drain(..) {
                    self.tell(message);
                }
            });
            for commit in effects.commits.drain(..) {
                self.submit(commit, posted);
            }
            self.effects = effects;
        }
    }

    /// The job an input is about, if it names one that is open.
    fn about(&self, input: &Input) -> Option<JobId> {
        match input {
            Input::Accepted { offer, .. }
            | Input::Declined { offer, .. }
            | Input::Undone { offer, .. }
            | Input::Asked { offer, .. }
            | Input::Proposed { offer, .. } => self.dispatcher.job_of(*offer),
            Input::Edited { job, .. }
            | Input::Answered { job, .. }
            | Input::Confirmed { job, .. }
            | Input::FriendWrote { job, .. }
            | Input::CustomerWrote { job, .. }
            | Input::Paused { job, .. }
            | Input::Resumed { job, .. }
            | Input::Cancelled { job, .. }
            | Input::Assigned { job, .. }
            | Input::Redispatched { job, .. }
            | Input::Visited { job, .. }
            | Input::Settled { job, .. }
            | Input::Reread { job, .. } => Some(*job),
            Input::Posted { .. }
            | Input::Tried { .. }
            | Input::Delivered { .. }
            | Input::Duty { .. }
            | Input::Joined { .. }
            | Input::Placed { .. }
            | Input::Brake { .. }
            | Input::Woken
            | Input::Tick => None,
        }
    }

    /// What is told as it comes: who said yes, and who was first. Whether it counts is told after the commit.
    fn hear(&mut self, input: &Input, open: bool, since: Stopwatch) {
        match input {
            Input::Accepted { friend, offer, key, first, .. } => {
                if open {
                    tracing::info!(friend = %friend.id, %offer, first, "accepted");
                } else {
                    tracing::debug!(friend = %friend.id, %offer, "accepted, and the job is over");
                }
                self.verdicts.begin(friend.id, *key, since);
            }
            Input::Delivered { friend, offers } => {
                for offer in offers {
                    let job = self.dispatcher.job_of(*offer).map(tracing::field::display);
                    tracing::debug!(job, %friend, %offer, "delivered");
                }
            }
            Input::Duty { friend, on, .. } => tracing::debug!(%friend, on, "duty"),
            Input::Brake { community, on } => tracing::info!(%community, on, "the brake"),
            Input::Posted { .. }
            | Input::Tried { .. }
            | Input::Edited { .. }
            | Input::Answered { .. }
            | Input::Asked { .. }
            | Input::Proposed { .. }
            | Input::Confirmed { .. }
            | Input::FriendWrote { .. }
            | Input::CustomerWrote { .. }
            | Input::Paused { .. }
            | Input::Resumed { .. }
            | Input::Cancelled { .. }
            | Input::Assigned { .. }
            | Input::Redispatched { .. }
            | Input::Declined { .. }
            | Input::Undone { .. }
            | Input::Visited { .. }
            | Input::Joined { .. }
            | Input::Placed { .. }
            | Input::Settled { .. }
            | Input::Reread { .. }
            | Input::Woken
            | Input::Tick => {}
        }
    }

    /// Hands a record to the ledger; its messages wait. Without a record they wait for what was handed over before.
    fn submit(&mut self, commit: Commit, posted: Option<Stopwatch>) {
        let Commit { subject, record, then } = commit;
        let chapter = record.as_ref().and_then(Chapter::of);
        let since = Stopwatch::start();
        match record {
            Some(record) => {
                self.ticket += 1;
                self.writer
                    .try_submit(Submission { ticket: self.ticket, subject, record })
                    .expect("room was seen before the input was taken");
            }
            None if self.waiting.is_empty() => {
                return self.committed(Waiting { ticket: self.ticket, subject, chapter, then, since, posted });
            }
            None => {}
        }
        self.waiting.push_back(Waiting { ticket: self.ticket, subject, chapter, then, since, posted });
    }

    /// What was decided is true: the log hears of it, then all whom it concerns.
    fn committed(&mut self, waiting: Waiting) {
        let Waiting { ticket: _, subject, chapter, then, since: _, posted } = waiting;
        let about = match subject {
            Subject::Job(job) => story::about(job),
            Subject::Friend(_) | Subject::Waitlist | Subject::Audit => Span::none(),
        };
        about.in_scope(|| {
            if let Some(chapter) = chapter {
                chapter.tell();
            }
            let offers = then.iter().any(is_offer);
            for message in then {
                self.tell(message);
            }
            if let Some(posted) = posted.filter(|_| offers) {
                metrics::post_to_offer(posted.elapsed());
            }
        });
    }

    fn outcome(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Written { through } => {
                while self.waiting.front().is_some_and(|waiting| waiting.ticket <= through) {
                    let Some(waiting) = self.waiting.pop_front() else { break };
                    metrics::told(waiting.since.elapsed());
                    self.committed(waiting);
                }
                self.follow_up();
            }
            Outcome::Refused { ticket, subject, stored, why } => {
                metrics::record_refused();
                match subject {
                    Subject::Job(job) => tracing::error!(%job, ticket, why, "quarantined: the ledger refused a record"),
                    Subject::Friend(friend) => tracing::error!(%friend, ticket, why, "the ledger refused a record"),
                    Subject::Waitlist => tracing::error!(ticket, why, "the ledger refused a line of the waitlist"),
                    Subject::Audit => tracing::error!(ticket, why, "the ledger refused an entry of the audit log"),
                }
                let anew = self.quarantine(subject);
                // Before the job is read again: what that leads to (a standby's win) is a record of this subject too.
                self.writer.release(subject);
                if let Subject::Job(job) = subject {
                    self.handle(Arrival::of(Input::Reread { job, stored }));
                }
                for joined in anew {
                    self.handle(Arrival::of(joined));
                }
            }
            Outcome::Stands => self.proved(),
            Outcome::Fenced => unreachable!("handled in the loop"),
        }
    }

    /// Nothing that was decided after a refused record of this subject holds: nobody hears it, and who waits may ask
    /// again. A snapshot that still waits was made when that record counted, so it may show what was never written:
    /// returns the inputs that make it anew.
    fn quarantine(&mut self, subject: Subject) -> Vec<Input> {
        let mut anew = Vec::new();
        for waiting in &mut self.waiting {
            for message in waiting.then.extract_if(.., |message| matches!(message, Message::Snapshot { .. })) {
                if let Message::Snapshot { friend, session, language, .. } = message {
                    anew.push(Input::Joined { friend, session, language });
                }
            }
        }
        let (dropped, kept): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut self.waiting).into_iter().partition(|waiting| waiting.subject == subject);
        self.waiting = kept;
        let about = match subject {
            Subject::Job(job) => story::about(job),
            Subject::Friend(_) | Subject::Waitlist | Subject::Audit => Span::none(),
        };
        about.in_scope(|| {
            for message in dropped.into_iter().flat_map(|waiting| waiting.then) {
                if let Some(message) = taken_back(message) {
                    self.tell(message);
                }
            }
        });
        anew
    }

    fn follow_up(&mut self) {
        while let Some(arrival) = self.next.pop_front() {
            self.handle(arrival);
        }
    }

    fn tell(&mut self, message: Message) {
        match message {
            Message::Friend { friend, message } => {
                if let FriendMessage::Offer(_) = &message {
                    metrics::offer_told();
                }
                self.verdicts.told(friend, &message);
                self.live.tell(friend, message, self.clock.now());
            }
            Message::Hold { friend, in_hand } => {
                self.live.sessions.hold(friend, in_hand);
            }
            Message::Release { friend, offer } => {
                self.live.sessions.release(friend, offer);
            }
            Message::Snapshot { friend, session, mut snapshot, hand, .. } => {
                if self.live.sessions.set_hand(friend, session, hand) {
                    snapshot.verdicts = self.live.verdicts.recent(friend, self.clock.now());
                    self.live.sessions.send(friend, FriendMessage::Snapshot(*snapshot));
                }
            }
            Message::Duty { friend, duty } => {
                self.live.roster.set_duty(friend, duty.on);
            }
            Message::Answer { request, answer } => {
                if let Answer::Posted(_) = &answer {
                    metrics::job_posted();
                }
                self.answers.give(request, answer);
            }
            Message::Settle { job, attempt, claim, seat } => {
                claim.settle(seat);
                self.next.push_back(Arrival::of(Input::Settled { job, attempt }));
            }
            Message::LookUp { friend, offer, key } => {
                let (reader, live, clock) = (self.reader.clone(), self.live.clone(), self.clock);
                let since = self.verdicts.hand_over(friend, key);
                tokio::spawn(async move {
                    let message = match reader.verdict(friend, offer, key).await {
                        Ok(Some((result, reason))) => {
                            verdicts::tell_again(friend, offer, result, reason, since);
                            FriendMessage::AcceptResult { offer, key, result, reason }
                        }
                        Ok(None) => FriendMessage::Error {
                            code: Code::NotFound,
                            key: Some(key),
                            offer: Some(offer),
                            job: None,
                            message_key: "error.offer_not_found".to_owned(),
                            allowed: Vec::new(),
                        },
                        Err(error) => {
                            // That the ledger is away has been said, once.
                            if !matches!(error, ReadError::Away) {
                                tracing::warn!(%friend, %offer, why = error.facts(), "a verdict could not be read");
                            }
                            verdicts::tell_again(friend, offer, Verdict::TryAgain, None, since);
                            FriendMessage::AcceptResult { offer, key, result: Verdict::TryAgain, reason: None }
                        }
                    };
                    live.tell(friend, message, clock.now());
                });
            }
            Message::JobSeen(dot) => self.live.feed.job_seen(dot, self.clock.now()),
            Message::RaceWon(race) => {
                metrics::job_assigned(race.assigned_in_ms);
                self.live.feed.race_won(race);
            }
            Message::Availability { friend, free } => self.live.feed.availability(friend, free),
            Message::Alarm { kind, job, at } => {
                metrics::alarm(kind);
                // A quarantine was told as an error before.
                if kind != AlarmKind::Quarantined {
                    tracing::warn!(%job, kind = kind.as_str(), "alarm");
                }
                self.live.feed.alarm(AlarmView { kind, job: Some(job), at, waits: None });
            }
        }
    }
}

/// What whoever waits hears when the record behind a message was refused: ask again. Everything else is unsaid.
fn taken_back(message: Message) -> Option<Message> {
    match message {
        Message::Friend { friend, message: FriendMessage::AcceptResult { offer, key, .. } } => {
            let message = FriendMessage::AcceptResult { offer, key, result: Verdict::TryAgain, reason: None };
            Some(Message::Friend { friend, message })
        }
        Message::Friend { friend, message: FriendMessage::Done { key } } => {
            let message = FriendMessage::Error {
                code: Code::Unavailable,
                key: Some(key),
                offer: None,
                job: None,
                message_key: "error.try_again".to_owned(),
                allowed: Vec::new(),
            };
            Some(Message::Friend { friend, message })
        }
        Message::Answer { request, .. } => {
            let detail = "the ledger refused the record; nothing was changed".to_owned();
            Some(Message::Answer { request, answer: Answer::Refused { code: Code::Unavailable, detail } })
        }
        // A verdict that is looked up is looked up.
        Message::LookUp { .. } | Message::Duty { .. } => Some(message),
        Message::Snapshot { .. }
        | Message::Friend { .. }
        | Message::Hold { .. }
        | Message::Release { .. }
        | Message::Settle { .. }
        | Message::JobSeen(_)
        | Message::RaceWon(_)
        | Message::Availability { .. }
        | Message::Alarm { .. } => None,
    }
}

fn is_offer(message: &Message) -> bool {
    matches!(message, Message::Friend { message: FriendMessage::Offer(_), .. })
}
