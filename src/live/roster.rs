//! Who is where and reachable. The friend's record is the truth, the cell index is a hint: a search takes the position
//! from the record, whichever leaf led to it.
//!
//! Whoever moves enters the new leaf before their record says so, and leaves the old one only after every search that
//! had begun by then has ended. So a search finds them by the old leaf or by the new one, never by neither. Searches
//! announce themselves (`begin`, `end`); the sweep, once a second, removes what none of them can need any more.
//!
//! Who stands where follows from few things: a fresh fix, else the anchor of the hour, else nowhere; on duty, or with hours in
//! which they have time; within reach. What changes by the passing of time alone is queued by when it does, so that a second
//! costs only those who are due.

use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicI64, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard};

use dashmap::{DashMap, DashSet, Entry};
use h3o::{CellIndex, Resolution};
use kiez_protocol::directory::Friend;
use kiez_protocol::ids::{FriendId, SessionId};
use kiez_protocol::place::Point;
use kiez_protocol::time::Time;
use smallvec::SmallVec;
use uuid::Uuid;

use super::due::Due;
use super::epoch::Epoch;
use super::fix::{FRESH_MS, Fix, Taken, Track};
use super::index::{self, Index, Stand};
use super::reach::{Patience, Reach};
use crate::dispatch::globe::Vector;
use crate::dispatch::job::cell_at;
use crate::dispatch::nearest::{COARSEST, LEAF, Nearby, Standing};

/// What a new position was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// The first since the friend joined or went on duty: they have come into reach.
    First,
    /// In another leaf than the last one.
    Moved,
    /// In the same leaf.
    Same,
    /// Not kept: the friend is not on the roster or not on duty.
    Dropped,
    /// Not kept: a newer one is known.
    Late,
    /// Not kept: nobody is that fast.
    Jump,
}

/// A view on the map: degrees. West may lie east of `east`: then it goes across the antimeridian.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// The least longitude.
    pub west: f64,
    /// The least latitude.
    pub south: f64,
    /// The greatest longitude.
    pub east: f64,
    /// The greatest latitude.
    pub north: f64,
}

impl Bounds {
    /// All there is.
    pub const WORLD: Bounds = Bounds { west: -180.0, south: -90.0, east: 180.0, north: 90.0 };

    /// Whether a point at these degrees lies within.
    pub fn contain(&self, lat: f64, lng: f64) -> bool {
        let across = self.west > self.east;
        let lng_fits =
            if across { lng >= self.west || lng <= self.east } else { (self.west..=self.east).contains(&lng) };
        (self.south..=self.north).contains(&lat) && lng_fits
    }
}

/// Everybody who can be reached, or could a moment ago, and where they stand.
#[derive(Debug, Default)]
pub struct Roster {
    friends: DashMap<FriendId, Arc<Record>>,
    /// Duty outlasts sessions, so it is kept apart: a friend without a session costs an id and no more.
    duty: DashSet<FriendId>,
    index: Index<Record>,
    epoch: Epoch,
    /// Records with leaves to be left.
    trailing: Mutex<Vec<Arc<Record>>>,
    /// Whose position may be another by then: the trade's time.
    moves: Due,
    /// Whose reachability may be another by then: real time.
    levels: Due,
    /// Who has come into reach without a fix of theirs, and has not been told of yet.
    arrivals: Mutex<VecDeque<FriendId>>,
    /// Friends with a session.
    connected: AtomicUsize,
    /// Both clocks as of their last sweep: what no sweep has told holds as of then.
    now: AtomicI64,
    real_ms: AtomicI64,
}

#[derive(Debug)]
struct Record {
    friend: FriendId,
    // Whoever holds this may take one guard of the index or of a queue after another, never the reverse.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The newest session, and which of its sockets.
    session: SessionId,
    turn: u32,
    /// That socket is served.
    connected: bool,
    /// The friend has a device to push to.
    has_push: bool,
    /// When they were last heard, ms of real time.
    heard_ms: i64,
    reach: Reach,
    level_at: Option<i64>,
    profile: Arc<Friend>,
    on_duty: bool,
    /// The friend has left; another record stands for them if they came again.
    gone: bool,
    track: Track,
    /// Where they stand, if they do.
    at: Option<Point>,
    /// The leaf under which they stand, if they do.
    stand: Option<Stand>,
    moves_at: Option<i64>,
    /// Among the arrivals.
    arriving: bool,
    /// Leaves under which they stood, each with the epoch in which it was given up.
    trail: SmallVec<[(CellIndex, u64); 1]>,
    /// The sweep knows of the trail.
    swept: bool,
}

impl Record {
    fn new(profile: &Arc<Friend>, session: SessionId) -> Record {
        let state = State {
            session,
            turn: 0,
            connected: false,
            has_push: false,
            heard_ms: i64::MIN / 2,
            reach: Reach::Unreachable,
            level_at: None,
            profile: profile.clone(),
            on_duty: false,
            gone: false,
            track: Track::default(),
            at: None,
            stand: None,
            moves_at: None,
            arriving: false,
            trail: SmallVec::new(),
            swept: false,
        };
        Record { friend: profile.id, state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds a record")
    }

    fn standing(&self) -> Option<Standing> {
        let state = self.lock();
        state.stand.and(state.at).map(|position| Standing {
            friend: self.friend,
            profile: state.profile.clone(),
            position,
            on_duty: state.on_duty,
            reachable: state.reach.is_reachable(),
        })
    }
}

impl Roster {
    /// Nobody.
    pub fn new() -> Roster {
        Roster::default()
    }

    /// A friend has a live session, in this turn of its sockets. They stand where an anchor of this hour has them, until a
    /// position is placed. A newer session of the same friend takes over what the older one placed.
    pub fn join(&self, friend: FriendId, session: SessionId, turn: u32, profile: Arc<Friend>) {
        self.with(friend, &profile, session, |record, state| {
            if !std::mem::replace(&mut state.connected, true) {
                self.connected.fetch_add(1, Relaxed);
            }
            (state.session, state.turn) = (session, turn);
            state.profile = profile.clone();
            // Read after the record can be found: whoever changes duty now finds it, or has changed it before.
            state.on_duty = self.on_duty(friend);
            self.hear(record, state, self.real_ms.load(Relaxed));
            self.settle(record, state);
        });
    }

    /// A socket has gone: its friend is suspect for a while, because a phone that changes networks is back in seconds.
    /// Returns whether it was the friend's newest; an older session or turn changes nothing.
    pub fn depart(&self, friend: FriendId, session: SessionId, turn: u32) -> bool {
        let Some(record) = self.record(friend) else { return false };
        let mut state = record.lock();
        if state.gone || (state.session, state.turn) != (session, turn) || !state.connected {
            return false;
        }
        state.connected = false;
        self.connected.fetch_sub(1, Relaxed);
        state.reach = state.reach.min(Reach::Suspect);
        let State { heard_ms, level_at, .. } = &mut *state;
        self.levels.set(friend, *heard_ms, level_at);
        true
    }

    fn remove(&self, record: &Arc<Record>, mut state: MutexGuard<'_, State>) {
        state.gone = true;
        if std::mem::take(&mut state.connected) {
            self.connected.fetch_sub(1, Relaxed);
        }
        state.track.forget();
        self.settle(record, &mut state);
        drop(state);
        self.friends.remove_if(&record.friend, |_, present| Arc::ptr_eq(present, record));
    }

    /// A frame of the friend's newest session has arrived, at `now_ms` of real time: they are live.
    pub fn heard(&self, friend: FriendId, session: SessionId, now_ms: i64) {
        let Some(record) = self.record(friend) else { return };
        let mut state = record.lock();
        if !state.gone && state.session == session && state.connected {
            self.hear(&record, &mut state, now_ms);
        }
    }

    fn hear(&self, record: &Arc<Record>, state: &mut State, now_ms: i64) {
        state.heard_ms = state.heard_ms.max(now_ms);
        // The sweep finds out how long this holds.
        if state.level_at.is_none() {
            self.levels.set(record.friend, now_ms, &mut state.level_at);
        }
        if std::mem::replace(&mut state.reach, Reach::Live) != Reach::Live {
            self.settle(record, state);
        }
    }

    /// The friend has a device to push to, or has none any more. Who has one stays within reach without a session.
    pub fn set_push(&self, profile: &Arc<Friend>, has_push: bool) {
        if !has_push && self.record(profile.id).is_none() {
            return;
        }
        let nobody = SessionId(Uuid::nil());
        self.with(profile.id, profile, nobody, |record, state| {
            state.has_push = has_push;
            state.on_duty = self.on_duty(profile.id);
            if has_push {
                state.reach = state.reach.max(Reach::PushOnly);
            }
            self.levels.set(profile.id, self.real_ms.load(Relaxed), &mut state.level_at);
            self.settle(record, state);
        });
    }

    /// How surely the friend hears of an offer.
    pub fn reach(&self, friend: FriendId) -> Reach {
        self.record(friend).map_or(Reach::Unreachable, |record| record.lock().reach)
    }

    /// The friend says where they are. In the same leaf this allocates nothing and writes to no index.
    pub fn place(&self, friend: FriendId, fix: Fix) -> Placed {
        let Some(record) = self.record(friend) else { return Placed::Dropped };
        let mut state = record.lock();
        if state.gone || !state.on_duty {
            return Placed::Dropped;
        }
        let first = match state.track.take(fix) {
            Taken::First => true,
            Taken::Kept => false,
            Taken::Late => return Placed::Late,
            Taken::Jump => return Placed::Jump,
        };
        let stays = state.stand.is_some_and(|stand| stand.holds(fix.at) || stand.leaf == cell_at(fix.at, LEAF));
        if !stays && state.reach.is_reachable() {
            self.stand(&record, &mut state, Some(Stand::at(fix.at)));
        }
        state.at = state.stand.map(|_| fix.at);
        self.moves.set(friend, (fix.received_at + FRESH_MS).0 + 1, &mut state.moves_at);
        match (first, stays) {
            (true, _) => Placed::First,
            (false, true) => Placed::Same,
            (false, false) => Placed::Moved,
        }
    }

    /// The friend's profile has changed: their calendar or anchors may have, too. Whoever stands is looked at like one who
    /// has just come into reach.
    pub fn set_profile(&self, profile: Arc<Friend>) {
        if let Some(record) = self.record(profile.id) {
            let mut state = record.lock();
            state.profile = profile;
            let stood = state.stand.is_some();
            self.settle(&record, &mut state);
            // Active again, further afield, with another skill: there may be a job that had no use for them before.
            if stood && state.stand.is_some() && !std::mem::replace(&mut state.arriving, true) {
                self.arrivals.lock().expect("nothing panics while it holds the list").push_back(record.friend);
            }
        }
    }

    /// The friend goes on duty or off. Off duty their position is forgotten; who has a calendar stands at their anchors.
    pub fn set_duty(&self, friend: FriendId, on: bool) {
        if on {
            self.duty.insert(friend);
        } else {
            self.duty.remove(&friend);
        }
        if let Some(record) = self.record(friend) {
            let mut state = record.lock();
            state.on_duty = self.on_duty(friend);
            if !state.on_duty {
                state.track.forget();
            }
            self.settle(&record, &mut state);
        }
    }

    /// Whether the friend is on duty, with a session or without.
    pub fn on_duty(&self, friend: FriendId) -> bool {
        self.duty.contains(&friend)
    }

    /// Where a friend stands, if they are on the roster: a fresh fix, or the anchor of the hour.
    pub fn stands_at(&self, friend: FriendId) -> Option<Point> {
        self.find(friend).map(|standing| standing.position)
    }

    /// The last fix of a friend on duty, fresh or not.
    pub fn position(&self, friend: FriendId) -> Option<Fix> {
        self.record(friend).and_then(|record| record.lock().track.last())
    }

    /// The leaf under which the friend stands: none unless they can be reached, have a place, and are on duty or have a
    /// calendar.
    pub fn leaf(&self, friend: FriendId) -> Option<CellIndex> {
        self.record(friend).and_then(|record| record.lock().stand.map(|stand| stand.leaf))
    }

    /// Friends with a session.
    pub fn len(&self) -> usize {
        self.connected.load(Relaxed)
    }

    /// Whether nobody has a session.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The cells of a resolution ([`COARSEST`] to [`LEAF`]; none beyond) whose centre lies within, and how many friends
    /// stand in each. Who has just moved may count in both cells until the next sweep.
    pub fn cells(&self, resolution: Resolution, bounds: &Bounds) -> Vec<(CellIndex, u32)> {
        let all = *bounds == Bounds::WORLD;
        self.index.cells(resolution, |centre| {
            let (lat, lng) = if all { (0.0, 0.0) } else { centre.degrees() };
            all || bounds.contain(lat, lng)
        })
    }

    /// Looks after friends whose silence has lasted, as of `now_ms` of real time: they become suspect, then out of reach, and
    /// who has neither session nor push leaves the roster. To be called once a second; only those who are due are touched.
    pub fn fade(&self, now_ms: i64, patience: Patience) {
        self.real_ms.store(now_ms, Relaxed);
        while let Some((friend, at)) = self.levels.pop(now_ms) {
            let Some(record) = self.record(friend) else { continue };
            let mut state = record.lock();
            if state.gone || state.level_at != Some(at) {
                continue;
            }
            let State { heard_ms, connected, has_push, level_at, .. } = &mut *state;
            let (reach, falls_at) = Reach::of(*heard_ms, *connected, *has_push, now_ms, patience);
            *level_at = None;
            if let Some(falls_at) = falls_at {
                self.levels.set(friend, falls_at, level_at);
            }
            let changed = std::mem::replace(&mut state.reach, reach) != reach;
            if !reach.is_reachable() && !state.connected {
                self.remove(&record, state);
            } else if changed {
                self.settle(&record, &mut state);
            }
        }
    }

    /// Moves friends whose fix has gone stale or whose anchor is another by now, as of the trade's `now`. To be called once
    /// a second; only those who are due are touched. "Exact" means as of this.
    pub fn freshen(&self, now: Time) {
        self.now.store(now.0, Relaxed);
        while let Some((friend, at)) = self.moves.pop(now.0) {
            let Some(record) = self.record(friend) else { continue };
            let mut state = record.lock();
            if state.moves_at == Some(at) {
                state.moves_at = None;
                self.settle(&record, &mut state);
            }
        }
    }

    /// Friends who have come into reach without a fix of theirs, at most so many: by going on duty, coming back, or at an
    /// anchor whose hour has come. The jobs that want them should look.
    pub fn arrivals(&self, most: usize) -> Vec<FriendId> {
        let arrived: Vec<FriendId> = {
            let mut arrivals = self.arrivals.lock().expect("nothing panics while it holds the list");
            let len = arrivals.len().min(most);
            arrivals.drain(..len).collect()
        };
        for record in arrived.iter().filter_map(|friend| self.record(*friend)) {
            record.lock().arriving = false;
        }
        arrived
    }

    /// Takes friends out of the leaves they have left, where no search can need them any more. To be called once a
    /// second; returns how many friends still trail.
    pub fn sweep(&self) -> usize {
        let epoch = self.epoch.advance();
        let trailing = std::mem::take(&mut *self.trailing.lock().expect("nothing panics while it holds the list"));
        let mut kept = Vec::new();
        for record in trailing {
            let mut state = record.lock();
            while let Some(old) = state.trail.iter().position(|&(_, given_up)| Epoch::is_over(given_up, epoch)) {
                let (leaf, _) = state.trail.swap_remove(old);
                self.index.leave(leaf, &record, &state.leaves());
            }
            state.swept = !state.trail.is_empty();
            let trails = state.swept;
            drop(state);
            if trails {
                kept.push(record);
            }
        }
        let still = kept.len();
        self.trailing.lock().expect("nothing panics while it holds the list").append(&mut kept);
        index::shrink(&self.friends);
        self.index.shrink();
        still
    }

    fn record(&self, friend: FriendId) -> Option<Arc<Record>> {
        self.friends.get(&friend).map(|record| record.clone())
    }

    /// Acts on the record of a friend, which is made if there is none.
    fn with(
        &self,
        friend: FriendId,
        profile: &Arc<Friend>,
        session: SessionId,
        act: impl FnOnce(&Arc<Record>, &mut State),
    ) {
        loop {
            let record = match self.friends.entry(friend) {
                Entry::Occupied(entry) => entry.get().clone(),
                Entry::Vacant(entry) => entry.insert(Arc::new(Record::new(profile, session))).clone(),
            };
            let mut state = record.lock();
            if !state.gone {
                return act(&record, &mut state);
            }
            drop(state);
            self.friends.remove_if(&friend, |_, present| Arc::ptr_eq(present, &record));
        }
    }

    /// Lets the friend stand in the index where their state has them, or not at all, and sets when that may change.
    fn settle(&self, record: &Arc<Record>, state: &mut State) {
        let now = Time(self.now.load(Relaxed));
        let may_stand = state.reach.is_reachable() && !state.gone && state.may_be_asked();
        let fresh = state.track.fresh(now).filter(|_| state.on_duty);
        let (at, changes_at) = match fresh {
            _ if !may_stand => (None, None),
            Some(fix) => (Some(fix.at), Some(fix.received_at + (FRESH_MS + 1))),
            None => (state.profile.anchor_at(now).map(|anchor| anchor.place), state.profile.anchor_changes(now)),
        };
        let stood = state.stand;
        match (at, stood) {
            (Some(at), Some(stand)) if stand.holds(at) || stand.leaf == cell_at(at, LEAF) => {}
            (Some(at), Some(_) | None) => self.stand(record, state, Some(Stand::at(at))),
            (None, Some(_)) => self.stand(record, state, None),
            (None, None) => {}
        }
        state.at = at;
        if let Some(changes_at) = changes_at {
            self.moves.set(record.friend, changes_at.0, &mut state.moves_at);
        }
        if stood.is_none() && at.is_some() && !std::mem::replace(&mut state.arriving, true) {
            self.arrivals.lock().expect("nothing panics while it holds the list").push_back(record.friend);
        }
    }

    /// Moves the friend in the index: in first, out later.
    fn stand(&self, record: &Arc<Record>, state: &mut State, to: Option<Stand>) {
        if let Some(to) = to {
            match state.trail.iter().position(|&(leaf, _)| leaf == to.leaf) {
                // Back where they were before the sweep came.
                Some(old) => drop(state.trail.swap_remove(old)),
                None => self.index.enter(to.leaf, record, &state.leaves()),
            }
        }
        if let Some(from) = std::mem::replace(&mut state.stand, to) {
            state.trail.push((from.leaf, self.epoch.now()));
            if !std::mem::replace(&mut state.swept, true) {
                self.trailing.lock().expect("nothing panics while it holds the list").push(record.clone());
            }
        }
    }
}

impl State {
    /// Whether there can be a job for them: on duty, or with hours in which they have time.
    fn may_be_asked(&self) -> bool {
        self.on_duty || !self.profile.availability.is_empty()
    }

    /// All leaves that lead here.
    fn leaves(&self) -> SmallVec<[CellIndex; 4]> {
        self.stand.iter().map(|stand| stand.leaf).chain(self.trail.iter().map(|&(leaf, _)| leaf)).collect()
    }
}

impl Nearby for Roster {
    fn count(&self, cell: CellIndex) -> u32 {
        self.index.count(cell)
    }

    fn each(&self, leaf: CellIndex, visit: &mut dyn FnMut(Standing)) {
        for record in self.index.residents(leaf) {
            if let Some(standing) = record.standing() {
                visit(standing);
            }
        }
    }

    fn roots(&self, visit: &mut dyn FnMut(CellIndex)) {
        for (root, _) in self.index.cells(COARSEST, |_| true) {
            visit(root);
        }
    }

    fn find(&self, friend: FriendId) -> Option<Standing> {
        self.record(friend).and_then(|record| record.standing())
    }

    fn centre(&self, cell: CellIndex) -> Option<Vector> {
        self.index.centre(cell)
    }

    fn begin(&self) -> u64 {
        self.epoch.begin()
    }

    fn end(&self, search: u64) {
        self.epoch.end(search);
    }
}
