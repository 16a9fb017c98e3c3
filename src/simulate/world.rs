//! The loop: what is planned happens in the order of its time, and what the core is due to do happens before it.
//! Nothing here asks what time it is, and nothing depends on the order in which a hash map is walked: the same seed
//! gives the same city, to the byte.

use std::cell::Cell;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use kiez_protocol::friend::{FriendFrame, FriendMessage};
use kiez_protocol::ids::{FriendId, JobId, Key, OfferId, SessionId};
use kiez_protocol::time::Time;

use super::Setting;
use super::app::Deed;
use super::calendar::{clock, day_of};
use super::chance::Chance;
use super::city::Map;
use super::documents::Documents;
use super::faults::Faults;
use super::house::House;
use super::ledger::Ledger;
use super::link::{Line, LineNo};
use super::model::{Broken, Checked, Glance, Model, Rule, hold};
use super::people::{BEGINS, DAY_MS, HOUR_MS, MINUTE_MS, Person};
use super::report::Count;
use super::shop::{Shop, What};
use super::story::Story;
use super::streets::{FriendNo, friend_no};
use crate::dispatch::effect::{Answer, Effects, Record};
use crate::dispatch::input::Input;

/// After the last day so much goes on in good weather, so that whoever waits for an answer gets it, ms.
const CLOSING_MS: i64 = 2 * HOUR_MS;
/// How often the model looks round, ms.
const GLANCE_MS: i64 = 10 * MINUTE_MS;

/// What happens at some time.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Dawn(FriendNo, u32),
    Deed(FriendNo, Deed),
    Dial(FriendNo, u32),
    Up(LineNo, Box<FriendFrame>),
    Down(LineNo, Box<FriendMessage>, bool),
    LineBreaks(LineNo),
    AppNotices(LineNo),
    HouseNotices(LineNo),
    LeavesStreets(u32, FriendNo, SessionId),
    Demand,
    Asks(u32, What),
    AsksAgain(u64, u32),
    Request(u64),
    Reply(u64, Box<Answer>),
    Turn(u32),
    SlowAccept(u32, Box<Input>),
    Wrote(u32),
    LookedUp(u32, FriendId, OfferId, Key),
    Outage,
    Kill,
    KillNow,
    Freeze,
    Wakes(u32),
    Renews(u32),
    TakesOver(u32),
    Starts,
    Glance,
    Closing,
}

#[derive(Debug)]
struct Planned {
    at: Time,
    order: u64,
    event: Event,
}

impl PartialEq for Planned {
    fn eq(&self, other: &Planned) -> bool {
        self.order == other.order
    }
}

impl Eq for Planned {}

impl PartialOrd for Planned {
    fn partial_cmp(&self, other: &Planned) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Planned {
    /// The earliest is the greatest, so that a heap gives it first.
    fn cmp(&self, other: &Planned) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

/// Where a run is, shared with whoever catches it when it falls.
pub(crate) type Last = Rc<Cell<(u64, Option<uuid::Uuid>)>>;

#[derive(Debug)]
pub(crate) struct World {
    pub setting: Setting,
    pub now: Time,
    /// The end of the last day.
    pub ends: Time,
    pub closing: bool,
    pub map: Map,
    pub documents: Documents,
    pub people: Vec<Person>,
    pub shop: Shop,
    pub lines: BTreeMap<LineNo, Line>,
    pub lines_made: LineNo,
    pub requests: u64,
    pub houses: BTreeMap<u32, House>,
    /// The process that listens, if one does.
    pub current: Option<u32>,
    pub starts: u32,
    pub ledger: Ledger,
    pub away_until: Time,
    /// Since when nothing has held the engine up.
    pub free_since: Time,
    pub model: Model,
    pub count: Count,
    pub steps: u64,
    /// A fingerprint of everything that was recorded and told.
    pub digest: u64,
    /// The step under way, and the job it is about: read when the core panics.
    pub last: Last,
    /// When each friend first went on duty.
    pub first_duty: Vec<Option<Time>>,
    pub effects: Effects,
    pub story: Option<Story>,
    pub net: Chance,
    pub fate: Chance,
    pub demand: Chance,
    /// A kill is due in the middle of the next commit.
    pub kill_in_commit: bool,
    job_nos: HashMap<JobId, u32>,
    queue: BinaryHeap<Planned>,
    planned: u64,
}

impl World {
    pub fn new(setting: Setting, story: Option<Story>, last: Last) -> World {
        let map = Map::of(setting.city);
        let documents = Documents::of(setting.city, setting.policy.as_ref(), setting.mutation);
        let people: Vec<Person> =
            (0..setting.friends as usize).map(|number| Person::of(number, &setting, &map)).collect();
        let profiles = people.iter().map(|person| Arc::clone(&person.profile)).collect();
        let (seed, agreed) = (setting.seed, documents.agreed.clone());
        World {
            now: BEGINS,
            ends: BEGINS + i64::from(setting.days) * DAY_MS,
            closing: false,
            map,
            documents,
            people,
            shop: Shop::default(),
            lines: BTreeMap::new(),
            lines_made: 0,
            requests: 0,
            houses: BTreeMap::new(),
            current: None,
            starts: 0,
            ledger: Ledger::new(setting.mutation),
            away_until: Time(0),
            free_since: BEGINS,
            model: Model::new(profiles, &agreed),
            count: Count::default(),
            steps: 0,
            digest: 0xcbf2_9ce4_8422_2325,
            last,
            first_duty: vec![None; setting.friends as usize],
            effects: Effects::default(),
            story,
            net: Chance::of(seed, "net", 0),
            fate: Chance::of(seed, "fate", 0),
            demand: Chance::of(seed, "demand", 0),
            kill_in_commit: false,
            job_nos: HashMap::new(),
            queue: BinaryHeap::new(),
            planned: 0,
            setting,
        }
    }

    /// What goes wrong at present.
    pub fn faults(&self) -> Faults {
        if self.closing { Faults::NONE } else { self.setting.faults }
    }

    pub fn plan(&mut self, wait_ms: i64, event: Event) {
        self.plan_at(self.now + wait_ms, event);
    }

    pub fn plan_at(&mut self, at: Time, event: Event) {
        self.planned += 1;
        self.queue.push(Planned { at: at.max(self.now), order: self.planned, event });
    }

    /// Lives through all days and holds the model against them.
    pub fn run(&mut self) -> Checked {
        self.start_house()?;
        for friend in 0..self.people.len() {
            for day in 0..self.setting.days {
                self.plan_at(clock(day_of(BEGINS) + i64::from(day), 0), Event::Dawn(friend, day));
            }
            if self.phone_is_on(friend) {
                self.people[friend].app.wants_line = true;
                let wait = self.people[friend].chance.between(1.0, 60_000.0) as i64;
                self.redial(friend, 0, wait);
            }
        }
        self.plan_demand();
        let faults = self.setting.faults;
        for (a_day, event) in [
            (faults.crashes_per_day, Event::Kill),
            (faults.takeovers_per_day, Event::Freeze),
            (faults.outages_per_day, Event::Outage),
        ] {
            self.plan_now_and_then(a_day, event);
        }
        self.plan(GLANCE_MS, Event::Glance);
        self.plan_at(self.ends, Event::Closing);
        let last = self.ends + CLOSING_MS;
        loop {
            let next = self.queue.peek().map(|planned| planned.at);
            if let Some((due, number)) = self.due().filter(|(due, _)| next.is_none_or(|next| *due <= next)) {
                if due > last {
                    break;
                }
                self.now = self.now.max(due);
                self.with_house(number, World::tick)?;
            } else {
                let Some(planned) = self.queue.pop().filter(|planned| planned.at <= last) else { break };
                self.now = planned.at;
                self.happens(planned.event)?;
            }
            self.rest()?;
        }
        self.now = last;
        self.finish()
    }

    /// The earliest deadline of a process that runs.
    fn due(&self) -> Option<(Time, u32)> {
        self.houses.values().filter_map(|house| Some((house.due(self.now)?, house.number))).min()
    }

    fn happens(&mut self, event: Event) -> Checked {
        match event {
            Event::Dawn(friend, day) => self.dawn(friend, day),
            Event::Deed(friend, deed) => self.deed(friend, deed),
            Event::Dial(friend, turn) => return self.dial(friend, turn),
            Event::Up(line, frame) => return self.up(line, *frame),
            Event::Down(line, message, first) => self.down(line, *message, first),
            Event::LineBreaks(line) => self.line_breaks(line),
            Event::AppNotices(line) => self.app_notices(line),
            Event::HouseNotices(line) => return self.house_notices(line),
            Event::LeavesStreets(number, friend, session) => {
                return self.with_house(number, |world, house| {
                    house.streets.leave(friend, session, world.now);
                    Ok(())
                });
            }
            Event::Demand => self.demand(),
            Event::Asks(draft, what) => self.ask_anew(draft, what),
            Event::AsksAgain(ask, tries) => {
                if self.is_latest(ask, tries) {
                    self.ask_again(ask);
                }
            }
            Event::Request(ask) => return self.request(ask),
            Event::Reply(ask, answer) => self.replied(ask, *answer),
            Event::SlowAccept(number, input) => {
                return self.with_house(number, |world, house| {
                    if house.frozen.is_none() && !house.ended {
                        world.put_accept(house, *input);
                    }
                    Ok(())
                });
            }
            Event::Turn(number) => return self.with_house(number, World::turn),
            Event::Wrote(number) => return self.with_house(number, World::wrote),
            Event::LookedUp(number, friend, offer, key) => {
                return self.with_house(number, |world, house| {
                    if house.frozen.is_some() || house.ended {
                        Ok(())
                    } else {
                        world.looked_up(house, friend, offer, key)
                    }
                });
            }
            Event::Outage => {
                if !self.closing {
                    self.count.outages += 1;
                    let lasts = self.fate.span_ms(5_000, 1.3).min(10 * MINUTE_MS);
                    self.away_until = self.now + lasts;
                    self.note(|| format!("the ledger is away for {lasts} ms"));
                    self.plan_now_and_then(self.setting.faults.outages_per_day, Event::Outage);
                }
            }
            Event::Kill => return self.kill(),
            Event::KillNow => return self.kill_now(),
            Event::Freeze => return self.freeze(),
            Event::Wakes(number) => return self.wakes(number),
            Event::Renews(number) => {
                return self.with_house(number, |world, house| {
                    if !house.ended && house.writer.is_fenced(&world.ledger) {
                        world.fenced(house);
                    }
                    Ok(())
                });
            }
            Event::TakesOver(number) => {
                // A standby sees no sign of life: unless the other goes on by then, it takes its place.
                if self.houses.get(&number).is_some_and(|house| house.frozen.is_some()) {
                    self.count.takeovers += 1;
                    return self.start_house();
                }
            }
            Event::Starts => return self.start_house(),
            Event::Glance => return self.glance(),
            Event::Closing => self.close_the_days(),
        }
        Ok(())
    }

    pub fn plan_now_and_then(&mut self, a_day: f64, event: Event) {
        if a_day > 0.0 {
            let wait = self.fate.wait_ms(DAY_MS as f64 / a_day).max(1);
            self.plan(wait, event);
        }
    }

    // The ledger.

    /// A record stands in the ledger from now on.
    pub fn committed(&mut self, record: &Record) -> Checked {
        self.count.written += 1;
        self.noted_commit(record);
        if let Record::Duty(row) = record
            && row.duty.on
        {
            self.first_duty[friend_no(row.friend)].get_or_insert(self.now);
        }
        if let Record::Job(record) = record {
            for event in &record.events {
                match event.kind {
                    "paused" | "alarm" | "reminder" => {
                        self.called_on(record.job.id, event.kind, record.job.progress.pause);
                    }
                    "decline_undone" => self.count.undone += 1,
                    "asked" => self.count.asked += 1,
                    "proposed" => self.count.proposed += 1,
                    "proposal_confirmed" => self.count.confirmed += 1,
                    "named_asked" => self.count.named += 1,
                    "message" => self.count.messages += 1,
                    _ => {}
                }
            }
            self.customer_hears(record);
        }
        self.model.committed(record)
    }

    /// A record was decided.
    pub fn numbered(&mut self, record: &Record) {
        if let Record::Job(record) = record {
            let (job, view) = (&record.job, &record.job.view);
            if record.booking.is_some() && view.sequence == 1 {
                let number = job.partner_ref.as_deref().and_then(|text| text.strip_prefix("D-")?.parse().ok());
                self.job_nos.insert(job.id, number.unwrap_or(u32::MAX));
            }
            self.stir(job.id.0.as_bytes());
            self.stir(&view.sequence.to_le_bytes());
            self.stir(view.state.as_str().as_bytes());
        }
    }

    /// The number of the customer's wish that became this job.
    pub fn job_no(&self, job: JobId) -> u32 {
        self.job_nos.get(&job).copied().unwrap_or(u32::MAX)
    }

    /// Stirs bytes into the fingerprint (FNV-1a).
    pub fn stir(&mut self, bytes: &[u8]) {
        let stir = |digest: u64, byte: &u8| (digest ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        self.digest = bytes.iter().fold(self.digest, stir);
    }

    // The model.

    /// After everything that happens.
    fn rest(&mut self) -> Checked {
        self.bury();
        let Some(number) = self.current else {
            self.free_since = self.now;
            return Ok(());
        };
        let Some(house) = self.houses.get_mut(&number) else { return Ok(()) };
        if house.is_held_up(self.now) {
            self.free_since = self.free_since.max(self.now);
        }
        let glance = Glance { now: self.now, free_since: self.free_since, settled: house.rests() };
        self.model.nothing_is_overdue(&mut house.book, glance)
    }

    fn glance(&mut self) -> Checked {
        self.plan(GLANCE_MS, Event::Glance);
        let Some(house) = self.current.and_then(|number| self.houses.get(&number)) else { return Ok(()) };
        let settled = house.rests() && house.frozen.is_none();
        let glance = Glance { now: self.now, free_since: self.free_since, settled };
        self.model.nobody_is_forgotten(&house.book, &house.streets, glance)?;
        self.model.apps_agree(&house.book, glance, |friend| house.sessions.get(&friend).map(|session| session.id))
    }

    /// The last day is over: good weather, every phone is on, and nobody wants anything new.
    fn close_the_days(&mut self) {
        self.closing = true;
        self.note(|| "the days are over".to_owned());
        for friend in 0..self.people.len() {
            self.people[friend].app.wants_line = true;
            if self.people[friend].app.line.is_none() {
                let wait = self.people[friend].chance.between(1.0, 60_000.0) as i64;
                self.redial(friend, 0, wait);
            }
        }
        for house in self.houses.values_mut() {
            house.writer.fair_weather();
        }
    }

    /// Everybody has an answer, and everything that was acknowledged is there.
    fn finish(&mut self) -> Checked {
        self.glance()?;
        self.model.kept()?;
        let since = self.now - HOUR_MS;
        let waiting = self.people.iter().enumerate().find_map(|(friend, person)| {
            let (key, unanswered) = person.app.unanswered.iter().find(|(_, unanswered)| unanswered.since < since)?;
            Some((friend, *key, unanswered.frame.clone()))
        });
        self.model.tally.looked(Rule::Answered);
        if let Some((friend, key, frame)) = waiting {
            let job = match &frame {
                FriendFrame::Accept { offer, .. } | FriendFrame::Decline { offer, .. } => {
                    self.model.committed.page_of(*offer).map(|page| page.id)
                }
                FriendFrame::Visit { job, .. } => Some(*job),
                _ => None,
            };
            let what = format!("friend {friend} has sent {frame:?} with the key {key} and heard nothing");
            return Err(Broken { rule: Rule::Answered, job, what });
        }
        let asks = self.shop.waiting(since);
        hold(asks == 0, Rule::Answered, None, || format!("{asks} requests of partners have no answer"))
    }
}
