//! Who is where and reachable. The friend's record is the truth, the cell index is a hint: a search takes the position
//! from the record, whichever leaf led to it.
//!
//! Whoever moves enters the new leaf before their record says so, and leaves the old one only after every search that
//! had begun by then has ended. So a search finds them by the old leaf or by the new one, never by neither. Searches
//! announce themselves (`begin`, `end`); the sweep, once a second, removes what none of them can need any more.

use std::sync::{Arc, Mutex, MutexGuard};

use dashmap::{DashMap, DashSet, Entry};
use h3o::{CellIndex, Resolution};
use kiez_protocol::directory::Friend;
use kiez_protocol::ids::{FriendId, SessionId};
use kiez_protocol::place::Point;
use smallvec::SmallVec;

use super::epoch::Epoch;
use super::index::{self, Index, Stand};
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
    /// Not kept: the friend has no session or is not on duty.
    Dropped,
}

/// A friend's last position.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fix {
    /// Where.
    pub at: Point,
    /// When it was received, ms of real time.
    pub received_ms: i64,
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

/// Everybody with a session, and where they stand.
#[derive(Debug)]
pub struct Roster {
    friends: DashMap<FriendId, Arc<Record>>,
    /// Duty outlasts sessions, so it is kept apart: a friend without a session costs an id and no more.
    duty: DashSet<FriendId>,
    index: Index<Record>,
    epoch: Epoch,
    /// Records with leaves to be left.
    trailing: Mutex<Vec<Arc<Record>>>,
}

#[derive(Debug)]
struct Record {
    friend: FriendId,
    // Whoever holds this may take one guard of the index after another, never the reverse.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    session: SessionId,
    profile: Arc<Friend>,
    on_duty: bool,
    reachable: bool,
    /// The friend has left; another record stands for them if they came again.
    gone: bool,
    fix: Option<Fix>,
    /// The leaf under which they stand, if they do.
    stand: Option<Stand>,
    /// Leaves under which they stood, each with the epoch in which it was given up.
    trail: SmallVec<[(CellIndex, u64); 1]>,
    /// The sweep knows of the trail.
    swept: bool,
}

impl Record {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds a record")
    }

    fn standing(&self) -> Option<Standing> {
        let state = self.lock();
        state.stand.and(state.fix).map(|fix| Standing {
            friend: self.friend,
            profile: state.profile.clone(),
            position: fix.at,
            on_duty: state.on_duty,
            reachable: state.reachable,
        })
    }
}

impl Default for Roster {
    fn default() -> Roster {
        Roster::new()
    }
}

impl Roster {
    /// Nobody.
    pub fn new() -> Roster {
        Roster {
            friends: DashMap::new(),
            duty: DashSet::new(),
            index: Index::new(),
            epoch: Epoch::default(),
            trailing: Mutex::new(Vec::new()),
        }
    }

    /// A friend has a live session: reachable, without a position until one is placed. A newer session of the same
    /// friend takes over what the older one placed.
    pub fn join(&self, friend: FriendId, session: SessionId, profile: Arc<Friend>) {
        let record = match self.friends.entry(friend) {
            Entry::Occupied(entry) => entry.get().clone(),
            Entry::Vacant(entry) => {
                let state = State {
                    session,
                    profile: profile.clone(),
                    on_duty: false,
                    reachable: true,
                    gone: false,
                    fix: None,
                    stand: None,
                    trail: SmallVec::new(),
                    swept: false,
                };
                entry.insert(Arc::new(Record { friend, state: Mutex::new(state) })).clone()
            }
        };
        let mut state = record.lock();
        if state.gone {
            drop(state);
            self.friends.remove_if(&friend, |_, present| Arc::ptr_eq(present, &record));
            return self.join(friend, session, profile);
        }
        state.session = session;
        state.profile = profile;
        state.reachable = true;
        // Read after the record can be found: whoever changes duty now finds it, or has changed it before.
        state.on_duty = self.on_duty(friend);
        self.settle(&record, &mut state);
    }

    /// A session has ended. Returns whether it was the friend's newest; an older one takes nobody off the roster.
    pub fn leave(&self, friend: FriendId, session: SessionId) -> bool {
        let Some(record) = self.record(friend) else { return false };
        let mut state = record.lock();
        if state.gone || state.session != session {
            return false;
        }
        state.gone = true;
        state.fix = None;
        self.settle(&record, &mut state);
        drop(state);
        self.friends.remove_if(&friend, |_, present| Arc::ptr_eq(present, &record));
        true
    }

    /// The friend stands at `at`, received at `now_ms` of real time. In the same leaf this allocates nothing and writes
    /// to no index.
    pub fn place(&self, friend: FriendId, at: Point, now_ms: i64) -> Placed {
        let Some(record) = self.record(friend) else { return Placed::Dropped };
        let mut state = record.lock();
        if state.gone || !state.on_duty {
            return Placed::Dropped;
        }
        let first = state.fix.is_none();
        let fix = Some(Fix { at, received_ms: now_ms });
        if let Some(stand) = state.stand
            && (stand.holds(at) || stand.leaf == cell_at(at, LEAF))
        {
            state.fix = fix;
            return Placed::Same;
        }
        if state.reachable {
            self.stand(&record, &mut state, Some(Stand::at(at)));
        }
        state.fix = fix;
        if first { Placed::First } else { Placed::Moved }
    }

    /// The friend's profile has changed.
    pub fn set_profile(&self, profile: Arc<Friend>) {
        if let Some(record) = self.record(profile.id) {
            record.lock().profile = profile;
        }
    }

    /// The friend goes on duty or off. Off duty their position is forgotten.
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
                state.fix = None;
            }
            self.settle(&record, &mut state);
        }
    }

    /// Whether the friend is on duty, with a session or without.
    pub fn on_duty(&self, friend: FriendId) -> bool {
        self.duty.contains(&friend)
    }

    /// The friend can be reached, or cannot for now: nobody finds them, and their last position is kept for when they
    /// can. A suspect friend is still reachable.
    pub fn set_reachable(&self, friend: FriendId, reachable: bool) {
        if let Some(record) = self.record(friend) {
            let mut state = record.lock();
            state.reachable = reachable;
            self.settle(&record, &mut state);
        }
    }

    /// The last position of a friend with a session, on duty.
    pub fn position(&self, friend: FriendId) -> Option<Fix> {
        self.record(friend).and_then(|record| record.lock().fix)
    }

    /// The leaf under which the friend stands: none unless on duty, reachable and placed.
    pub fn leaf(&self, friend: FriendId) -> Option<CellIndex> {
        self.record(friend).and_then(|record| record.lock().stand.map(|stand| stand.leaf))
    }

    /// Friends with a session.
    pub fn len(&self) -> usize {
        self.friends.len()
    }

    /// Whether nobody has a session.
    pub fn is_empty(&self) -> bool {
        self.friends.is_empty()
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

    /// Lets the friend stand in the index, or not, as their state says.
    fn settle(&self, record: &Arc<Record>, state: &mut State) {
        let stands = state.on_duty && state.reachable && !state.gone;
        match (state.fix.filter(|_| stands), state.stand) {
            (Some(fix), None) => self.stand(record, state, Some(Stand::at(fix.at))),
            (None, Some(_)) => self.stand(record, state, None),
            (Some(_), Some(_)) | (None, None) => {}
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
