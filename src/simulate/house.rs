//! One process of the server: the core with the glue that `engine` is. Mailbox → decide → commit → tell: an input is
//! taken only while the writer has room; what was decided waits for its commit; a refused record takes its job back to
//! what is stored. The rules of the glue are part of what is tried here, so they are written as they are there.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use kiez_protocol::friend::{FriendFrame, LostReason, ToldVerdict, Verdict};
use kiez_protocol::ids::{JobId, Key, OfferId, PartnerSlug};
use kiez_protocol::time::Time;

use super::chance::Chance;
use super::faults::Mutation;
use super::link::LineNo;
use super::model::{Asked, Book, Broken, Checked, Rule, hold};
use super::people::DAY_MS;
use super::session::Session;
use super::streets::{FriendNo, Streets, friend_no};
use super::telling::taken_back;
use super::world::{Event, World};
use super::writer::{Outcome, QUEUE_MAX, Turned, Writer};
use crate::dispatch::effect::{Commit, Effects, Message, Subject};
use crate::dispatch::input::{Input, Request};
use crate::dispatch::{Dispatcher, Pace, RESTORE_GRACE_MS};

/// Inputs that may wait, a quarter kept for accepts; far fewer than in the real mailbox, so that a bad hour fills it.
const MAILBOX_LEN_MAX: usize = 512;
/// Inputs handled before the engine looks at commits and timers again.
const TURN_INPUTS_MAX: usize = 64;
/// Records one input may lead to, at most.
const RECORDS_PER_INPUT_MAX: usize = 320;
/// So much of the ledger's queue is kept for what a refused record leads to.
const RECORDS_KEPT: usize = RECORDS_PER_INPUT_MAX;
/// Who stood still for so long goes on as after a restart, ms; for half of it, asks the fence first.
const SILENCE_MS: i64 = 10_000;
/// Verdicts remembered of each friend, at most.
const VERDICTS_MAX: usize = 32;
/// While the oldest unwritten record is older than this, no timer is handled, ms.
const STALLED_MS: i64 = 1_000;
/// Deadlines that may be due at one instant, at most.
const TICKS_MAX: u32 = 20_000;

/// Messages that wait for a commit.
#[derive(Debug)]
struct Waiting {
    ticket: u64,
    subject: Subject,
    then: Vec<Message>,
    since: Time,
}

/// Whom an answer is for.
#[derive(Clone, Debug)]
pub(crate) struct Asker {
    pub ask: u64,
    pub partner: PartnerSlug,
    pub job: Option<JobId>,
}

/// The mailbox has no place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Overloaded;

#[derive(Debug)]
pub(crate) struct House {
    pub number: u32,
    pub core: Dispatcher,
    pub streets: Streets,
    pub sessions: BTreeMap<FriendNo, Session>,
    pub askers: BTreeMap<Request, Asker>,
    /// What the core has decided, as the model saw it.
    pub book: Book,
    /// It stands still since then: nothing of it runs.
    pub frozen: Option<Time>,
    /// It stood still, and asks the fence before anything goes on; and whether it was for long.
    proving: Option<(Time, bool)>,
    /// Final verdicts, as they were told.
    pub verdicts: BTreeMap<FriendNo, Vec<ToldVerdict>>,
    /// Another has taken over: it runs on with what it has until the ledger tells it.
    pub replaced: bool,
    /// The ledger has told it: nothing of it runs any more.
    pub ended: bool,
    /// When it last began to stand still.
    pub stood_since: Time,
    /// Frames that arrived while it stood still.
    pub unread: Vec<(FriendNo, LineNo, FriendFrame)>,
    pub writer: Writer,
    mailbox: VecDeque<Input>,
    waiting: VecDeque<Waiting>,
    /// Inputs that telling has led to; handled before anything else.
    pub next: VecDeque<Input>,
    outcomes: VecDeque<Outcome>,
    ticket: u64,
    turning: bool,
    ticks: (Time, u32),
    deaf_until: Time,
}

impl House {
    /// Whether it takes connections, frames and requests.
    pub fn takes_in(&self) -> bool {
        self.frozen.is_none() && !self.replaced && !self.ended
    }

    /// A place in the mailbox for an accept.
    pub fn has_permit(&self) -> bool {
        self.mailbox.len() < MAILBOX_LEN_MAX
    }

    /// Whether records wait so long that new work is refused.
    pub fn is_stalled(&self, now: Time) -> bool {
        self.waiting.front().is_some_and(|oldest| now.since(oldest.since) > STALLED_MS)
            || self.proving.is_some_and(|(since, _)| now.since(since) > STALLED_MS)
    }

    /// Whether a request is taken: not while the ledger is away or behind, and new jobs not while half of its queue is
    /// full.
    pub fn admits(&self, input: &Input, now: Time) -> bool {
        let behind = self.writer.depth() >= QUEUE_MAX / 2 && matches!(input, Input::Posted { .. });
        !self.is_stalled(now) && !self.writer.is_away(now) && !behind
    }

    fn has_room(&self) -> bool {
        let unheard = QUEUE_MAX.saturating_sub(self.waiting.len());
        self.writer.room().min(unheard).saturating_sub(RECORDS_KEPT) >= RECORDS_PER_INPUT_MAX
    }

    /// Whether something holds it up.
    pub fn is_held_up(&self, now: Time) -> bool {
        self.frozen.is_some() || self.proving.is_some() || self.is_stalled(now) || !self.has_room()
    }

    /// What this accept was told.
    pub fn verdict_on(&self, friend: FriendNo, offer: OfferId, key: Key) -> Option<(Verdict, Option<LostReason>)> {
        let known = self.verdicts.get(&friend)?.iter().find(|told| (told.offer, told.key) == (offer, key))?;
        Some((known.result, known.reason))
    }

    pub fn note_verdict(&mut self, friend: FriendNo, told: ToldVerdict) {
        let known = self.verdicts.entry(friend).or_default();
        let is_final = matches!(told.result, Verdict::Won | Verdict::Lost);
        // A no that was taken back is no verdict any more.
        let undone = |known: &ToldVerdict| {
            (known.offer, known.key) == (told.offer, told.key) && known.reason == Some(LostReason::Declined)
        };
        known.retain(|known| !is_final || !undone(known));
        if is_final && known.iter().all(|known| (known.offer, known.key) != (told.offer, told.key)) {
            known.retain(|known| told.at.since(known.at) < DAY_MS);
            if known.len() == VERDICTS_MAX {
                known.remove(0);
            }
            known.push(told);
        }
    }

    /// When a deadline is to be handled: inputs and outcomes go first.
    pub fn due(&self, now: Time) -> Option<Time> {
        let free = self.mailbox.is_empty() && self.outcomes.is_empty() && !self.is_held_up(now) && !self.ended;
        self.core.next_deadline().filter(|_| free).map(|due| due.max(self.deaf_until))
    }

    /// Whether everything is handled, written and told.
    pub fn rests(&self) -> bool {
        self.mailbox.is_empty() && self.outcomes.is_empty() && self.waiting.is_empty() && self.writer.rests()
    }
}

impl World {
    /// A process that stood still goes on. After long it asks the fence first, and it may be that everything of it is
    /// old.
    pub(crate) fn goes_on(&mut self, house: &mut House) -> Checked {
        let Some(since) = house.frozen.take() else { return Ok(()) };
        let stood_ms = self.now.since(since);
        if stood_ms > SILENCE_MS / 2 {
            house.stood_since = since;
            house.proving = Some((self.now, stood_ms > SILENCE_MS));
            house.writer.prove();
        }
        for (friend, line, frame) in std::mem::take(&mut house.unread) {
            self.frame(house, friend, line, frame)?;
        }
        self.wake(house);
        self.wrote(house)
    }

    /// A new process takes the ledger, restores what is open, and listens.
    pub(crate) fn start_house(&mut self) -> Checked {
        self.starts += 1;
        self.ledger.epoch += 1;
        let number = self.starts;
        self.note(|| format!("dispatcher {number} starts"));
        let seed = self.setting.seed;
        let mut stored = self.ledger.stored(self.now);
        let verdicts = std::mem::take(&mut stored.verdicts);
        let grace = if stored.jobs.is_empty() && stored.duties.is_empty() { 0 } else { RESTORE_GRACE_MS };
        let mut streets = Streets::new(&self.model.friends, self.setting.mutation);
        for row in &stored.duties {
            streets.set_duty(friend_no(row.friend), row.duty.on, self.now);
        }
        let ids = Chance::of(seed, "house", number.into()).bits();
        let core = Dispatcher::restore(stored, ids, Pace { scale: 1 }, self.now);
        self.model.restarted(&core, self.now)?;
        self.free_since = self.now + grace;
        let chance = Chance::of(seed, "writer", number.into());
        let writer = Writer::new(self.ledger.epoch, self.faults(), chance, self.setting.mutation);
        let mut house = House {
            number,
            core,
            streets,
            sessions: BTreeMap::new(),
            askers: BTreeMap::new(),
            book: self.model.committed.restored(self.now + grace, self.now),
            frozen: None,
            proving: None,
            verdicts: BTreeMap::new(),
            replaced: false,
            ended: false,
            stood_since: Time(0),
            unread: Vec::new(),
            writer,
            mailbox: VecDeque::new(),
            waiting: VecDeque::new(),
            next: VecDeque::new(),
            outcomes: VecDeque::new(),
            ticket: 0,
            turning: false,
            ticks: (self.now, 0),
            deaf_until: Time(0),
        };
        for (friend, told) in verdicts {
            house.note_verdict(friend_no(friend), told);
        }
        self.houses.insert(number, house);
        self.current = Some(number);
        Ok(())
    }

    /// Does something with a process, if there still is one.
    pub(crate) fn with_house(&mut self, number: u32, act: impl FnOnce(&mut World, &mut House) -> Checked) -> Checked {
        let Some(mut house) = self.houses.remove(&number) else { return Ok(()) };
        let done = act(self, &mut house);
        self.houses.insert(number, house);
        done
    }

    // The mailbox.

    /// Puts an input in, but not into the part kept for accepts.
    pub(crate) fn put(&mut self, house: &mut House, input: Input) -> Result<(), Overloaded> {
        if house.mailbox.len() >= MAILBOX_LEN_MAX - MAILBOX_LEN_MAX / 4 {
            self.count.overloaded += 1;
            return Err(Overloaded);
        }
        house.mailbox.push_back(input);
        self.wake(house);
        Ok(())
    }

    /// Puts an accept into the place that was taken for it.
    pub(crate) fn put_accept(&mut self, house: &mut House, input: Input) {
        house.mailbox.push_back(input);
        self.wake(house);
    }

    /// The engine will turn in a moment: as a rule at once, now and then when it has done something else.
    fn wake(&mut self, house: &mut House) {
        if !house.turning && house.frozen.is_none() {
            house.turning = true;
            let busy = self.fate.happens(0.01);
            let ms = if busy { self.fate.between(5.0, 80.0) } else { self.fate.between(0.0, 3.0) };
            self.plan(ms as i64, Event::Turn(house.number));
        }
    }

    // The loop.

    /// Outcomes first, then inputs, as many as there is room for.
    pub(crate) fn turn(&mut self, house: &mut House) -> Checked {
        house.turning = false;
        if house.frozen.is_some() || house.ended {
            return Ok(());
        }
        while let Some(outcome) = house.outcomes.pop_front() {
            self.outcome(house, outcome)?;
            if house.ended {
                return Ok(());
            }
        }
        for _ in 0..TURN_INPUTS_MAX {
            if !house.has_room() || house.proving.is_some() {
                break;
            }
            let Some(input) = house.mailbox.pop_front() else { break };
            self.handle(house, input)?;
        }
        if !house.mailbox.is_empty() && house.has_room() && house.proving.is_none() {
            self.wake(house);
        }
        Ok(())
    }

    /// One deadline is handled.
    pub(crate) fn tick(&mut self, house: &mut House) -> Checked {
        let ticks = if house.ticks.0 == self.now { house.ticks.1 + 1 } else { 1 };
        house.ticks = (self.now, ticks);
        hold(ticks < TICKS_MAX, Rule::Deadline, None, || "time stands still: what is due does not move".to_owned())?;
        self.count.ticks += 1;
        if self.setting.mutation == Some(Mutation::DeafClock) && self.count.ticks.is_multiple_of(20) {
            house.deaf_until = self.now + 20 * 60_000;
            return Ok(());
        }
        self.handle(house, Input::Tick)
    }

    fn handle(&mut self, house: &mut House, input: Input) -> Checked {
        house.next.push_back(input);
        while let Some(input) = house.next.pop_front() {
            self.steps += 1;
            self.about_to(house, &input);
            match &input {
                Input::Delivered { friend, offers } => house.book.arrived(*friend, offers, self.now),
                Input::Woken => house.book.woken(house.stood_since, self.now + RESTORE_GRACE_MS, self.now),
                _ => {}
            }
            let mut undo = None;
            match &input {
                Input::Confirmed { confirm, .. } => {
                    house.book.confirms.entry(confirm.proposal).or_default().push(confirm.received_at);
                }
                Input::Accepted { offer, key, revision, .. } => {
                    house.book.seen.insert(*key, *revision);
                    let job = house.book.page_of(*offer).map(|page| page.id);
                    if let Some(first) = job.and_then(|job| house.book.firsts.get_mut(&job)) {
                        first.remove(offer);
                    }
                }
                _ => {}
            }
            if let Input::Undone { friend, offer, received_at, .. } = &input {
                house.book.undo_at = Some(*received_at);
                undo = house.book.may_undo(*friend, *offer, *received_at, self.now).map(|job| (job, *friend, *offer));
            }
            let mut effects = std::mem::take(&mut self.effects);
            let input = self.garbled(house, input);
            house.core.handle(input, self.now, &house.streets, &mut effects);
            self.decided(house, &mut effects)?;
            self.effects = effects;
            house.book.undo_at = None;
            if let Some((job, friend, offer)) = undo {
                let lives = house.book.page_of(offer).and_then(|page| page.offer(offer)).is_some_and(Asked::is_live);
                hold(lives, Rule::Undo, job, || format!("{friend} takes the no to {offer} back in time, in vain"))?;
            }
        }
        Ok(())
    }

    /// The input as the core gets it, where that is broken.
    fn garbled(&self, house: &House, input: Input) -> Input {
        match (self.setting.mutation, input) {
            (Some(Mutation::NeverSeen), Input::Accepted { friend, offer, key, received_at, first, revision }) => {
                let revision = house.book.page_of(offer).map_or(revision, |page| page.revision);
                Input::Accepted { friend, offer, key, received_at, first, revision }
            }
            (Some(Mutation::LateUndo), Input::Undone { friend, offer, key, received_at }) => {
                Input::Undone { friend, offer, key, received_at: received_at + 60_000 }
            }
            (_, input) => input,
        }
    }

    fn decided(&mut self, house: &mut House, effects: &mut Effects) -> Checked {
        for commit in &effects.commits {
            if let Some(record) = &commit.record {
                self.numbered(record);
                let streets = Some(&house.streets);
                house.book.apply(record, &self.model.friends, &mut self.model.tally, streets)?;
            }
            for message in &commit.then {
                if let Message::Friend { friend, message } = message {
                    self.model.said(&house.book, *friend, message)?;
                }
                if let Message::Snapshot { friend, snapshot, .. } = message {
                    self.model.snapshot_said(&house.book, *friend, snapshot)?;
                }
            }
        }
        for message in effects.now.drain(..) {
            self.tell(house, message)?;
        }
        for commit in effects.commits.drain(..) {
            self.submit(house, commit)?;
        }
        Ok(())
    }

    /// Hands a record to the writer; its messages wait. Without a record they wait for what was handed over before.
    fn submit(&mut self, house: &mut House, commit: Commit) -> Checked {
        let Commit { subject, record, mut then } = commit;
        if self.setting.mutation == Some(Mutation::TellEarly) {
            for message in std::mem::take(&mut then) {
                self.tell(house, message)?;
            }
        }
        match record {
            Some(record) => {
                house.ticket += 1;
                self.count.records += 1;
                self.noted_record(&record);
                house.writer.submit(house.ticket, subject, Arc::new(record));
                self.write_on(house)?;
            }
            None if house.waiting.is_empty() => {
                for message in then {
                    self.tell(house, message)?;
                }
                return Ok(());
            }
            None => {}
        }
        house.waiting.push_back(Waiting { ticket: house.ticket, subject, then, since: self.now });
        Ok(())
    }

    // The ledger.

    /// The writer goes on with what is next, if it is not under way.
    pub(crate) fn write_on(&mut self, house: &mut House) -> Checked {
        let mut turned = Turned::default();
        let over = house.writer.begin(self.now, self.away_until, &mut turned);
        if let Some(over) = over {
            self.plan_at(over, Event::Wrote(house.number));
            self.maybe_kill_meanwhile(over);
        }
        self.turned(house, turned)
    }

    /// The writer is back from the ledger.
    pub(crate) fn wrote(&mut self, house: &mut House) -> Checked {
        if house.frozen.is_some() || house.ended {
            return Ok(());
        }
        let mut turned = Turned::default();
        let again = house.writer.over(&mut self.ledger, self.now, self.away_until, &mut turned);
        self.turned(house, turned)?;
        match again {
            Some(again) => self.plan_at(again, Event::Wrote(house.number)),
            None => self.write_on(house)?,
        }
        Ok(())
    }

    /// Records stand in the ledger; the engine will hear of it in a moment.
    pub(crate) fn turned(&mut self, house: &mut House, turned: Turned) -> Checked {
        self.count.refused += turned.refused;
        self.count.unknown += turned.unknown;
        for record in &turned.written {
            self.committed(record)?;
        }
        if !turned.outcomes.is_empty() {
            house.outcomes.extend(turned.outcomes);
            self.wake(house);
        }
        Ok(())
    }

    fn outcome(&mut self, house: &mut House, outcome: Outcome) -> Checked {
        match outcome {
            Outcome::Written { through } => {
                while house.waiting.front().is_some_and(|waiting| waiting.ticket <= through) {
                    let Some(waiting) = house.waiting.pop_front() else { break };
                    for message in waiting.then {
                        self.tell(house, message)?;
                    }
                }
                while let Some(input) = house.next.pop_front() {
                    self.handle(house, input)?;
                }
                if house.rests() {
                    house.book.unsettled = false;
                }
                Ok(())
            }
            Outcome::Refused { subject, stored } => {
                self.note(|| format!("the ledger refuses a record of {subject:?}"));
                let anew = self.quarantine(house, subject)?;
                house.writer.release(subject);
                if let Subject::Job(job) = subject {
                    house.book.unsettled = true;
                    house.book.take_back(job, &self.model.committed, self.now);
                    self.handle(house, Input::Reread { job, stored })?;
                }
                for joined in anew {
                    self.handle(house, joined)?;
                }
                self.write_on(house)
            }
            Outcome::Stands => {
                let long = house.proving.take().is_some_and(|(_, long)| long);
                if long {
                    self.count.woken += 1;
                    self.handle(house, Input::Woken)?;
                    self.free_since = self.free_since.max(self.now + RESTORE_GRACE_MS);
                }
                self.wake(house);
                Ok(())
            }
            Outcome::Fenced => {
                self.fenced(house);
                Ok(())
            }
        }
    }

    /// Nothing that was decided after a refused record of this subject holds: nobody hears it, and who waits may ask
    /// again. Snapshots that still wait may show what was never written: returns the inputs that make them anew.
    fn quarantine(&mut self, house: &mut House, subject: Subject) -> Result<Vec<Input>, Broken> {
        let mut anew = Vec::new();
        for waiting in &mut house.waiting {
            for message in waiting.then.extract_if(.., |message| matches!(message, Message::Snapshot { .. })) {
                if let Message::Snapshot { friend, session, language, .. } = message {
                    anew.push(Input::Joined { friend, session, language });
                }
            }
        }
        let (dropped, kept): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut house.waiting).into_iter().partition(|waiting| waiting.subject == subject);
        house.waiting = kept;
        for message in dropped.into_iter().flat_map(|waiting| waiting.then) {
            if let Some(message) = taken_back(message) {
                self.tell(house, message)?;
            }
        }
        Ok(anew)
    }
}
