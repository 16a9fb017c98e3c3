//! Who is where and reachable, as the server knows it: what `live::roster` keeps, as plain maps. A friend stands on the
//! streets while they are on duty, have a session (or had one until a moment ago) and have sent a position.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use h3o::CellIndex;
use kiez_protocol::directory::Friend;
use kiez_protocol::ids::{FriendId, SessionId};
use kiez_protocol::place::Point;
use kiez_protocol::time::Time;
use uuid::Uuid;

use super::faults::Mutation;
use crate::dispatch::globe::Vector;
use crate::dispatch::job::cell_at;
use crate::dispatch::nearest::{COARSEST, LEAF, Nearby, Standing};

/// A friend's number in the simulation, from 0.
pub(crate) type FriendNo = usize;

/// The id of a friend: the number stands in its last bits, so that no table is needed to come back.
pub(crate) fn friend_id(number: FriendNo) -> FriendId {
    FriendId(Uuid::from_u128(0x0192_f000_0000_7000_8000_0000_0000_0000 + number as u128))
}

/// The number of a friend's id.
pub(crate) fn friend_no(friend: FriendId) -> FriendNo {
    (friend.0.as_u128() & 0xffff_ffff) as FriendNo
}

/// What the server knows of one friend.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub profile: Arc<Friend>,
    pub on_duty: bool,
    pub session: Option<SessionId>,
    pub fix: Option<Point>,
    /// When anything of this last changed.
    pub changed_at: Time,
    before: Option<Point>,
    leaf: Option<CellIndex>,
}

impl Record {
    /// Whether a search finds them, and where.
    pub fn stands(&self) -> Option<Point> {
        self.fix.filter(|_| self.on_duty && self.session.is_some())
    }
}

/// What a new position was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placed {
    /// The first: the friend has come into reach.
    First,
    /// One more.
    Again,
    /// Not kept.
    Dropped,
}

/// A cell's bits, stirred once: looking cells up is most of what a search does, and nobody chooses them to collide.
#[derive(Clone, Copy, Debug, Default)]
struct CellHasher(u64);

impl Hasher for CellHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, bits: u64) {
        self.0 = (self.0 ^ bits).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(26);
    }
}

type ByCell<T> = HashMap<CellIndex, T, BuildHasherDefault<CellHasher>>;

#[derive(Debug)]
pub(crate) struct Streets {
    pub records: Vec<Record>,
    leaves: ByCell<Vec<FriendNo>>,
    // How many stand in a cell that anybody ever stood in, and its centre.
    cells: ByCell<(u32, Vector)>,
    roots: BTreeSet<CellIndex>,
    mutation: Option<Mutation>,
}

impl Streets {
    pub fn new(profiles: &[Arc<Friend>], mutation: Option<Mutation>) -> Streets {
        let record = |profile: &Arc<Friend>| Record {
            profile: Arc::clone(profile),
            on_duty: false,
            session: None,
            fix: None,
            changed_at: Time(0),
            before: None,
            leaf: None,
        };
        let records = profiles.iter().map(record).collect();
        Streets { records, leaves: ByCell::default(), cells: ByCell::default(), roots: BTreeSet::new(), mutation }
    }

    /// A session begins; what an older one has placed stays.
    pub fn join(&mut self, friend: FriendNo, session: SessionId, now: Time) {
        self.change(friend, now, |record| record.session = Some(session));
    }

    /// A session is over. An older one takes nobody away.
    pub fn leave(&mut self, friend: FriendNo, session: SessionId, now: Time) {
        if self.records[friend].session == Some(session) {
            self.change(friend, now, |record| (record.session, record.fix) = (None, None));
        }
    }

    /// Duty, which outlasts sessions. Off duty the position is forgotten.
    pub fn set_duty(&mut self, friend: FriendNo, on: bool, now: Time) {
        self.change(friend, now, |record| {
            record.on_duty = on;
            record.fix = record.fix.filter(|_| on);
        });
    }

    /// A position.
    pub fn place(&mut self, friend: FriendNo, at: Point, now: Time) -> Placed {
        let record = &self.records[friend];
        if !record.on_duty || record.session.is_none() {
            return Placed::Dropped;
        }
        let first = record.fix.is_none();
        if record.fix != Some(at) {
            self.change(friend, now, |record| (record.before, record.fix) = (record.fix, Some(at)));
        }
        if first { Placed::First } else { Placed::Again }
    }

    fn change(&mut self, friend: FriendNo, now: Time, change: impl FnOnce(&mut Record)) {
        let record = &mut self.records[friend];
        change(record);
        record.changed_at = now;
        let to = record.stands().map(|at| cell_at(at, LEAF));
        let from = std::mem::replace(&mut record.leaf, to);
        if from == to {
            return;
        }
        if let Some(leaf) = from {
            self.leaves.entry(leaf).or_default().retain(|resident| *resident != friend);
            for cell in upwards(leaf) {
                let count = &mut self.cells.get_mut(&cell).expect("stood there").0;
                *count -= 1;
                if *count == 0 && cell.resolution() == COARSEST {
                    self.roots.remove(&cell);
                }
            }
        }
        if let Some(leaf) = to {
            self.leaves.entry(leaf).or_default().push(friend);
            for cell in upwards(leaf) {
                self.cells.entry(cell).or_insert_with(|| (0, Vector::centre(cell))).0 += 1;
                if cell.resolution() == COARSEST {
                    self.roots.insert(cell);
                }
            }
        }
    }

    fn standing(&self, friend: FriendNo) -> Option<Standing> {
        let record = &self.records[friend];
        let mut position = record.stands()?;
        if self.mutation == Some(Mutation::StaleRoster) {
            position = record.before.unwrap_or(position);
        }
        let profile = Arc::clone(&record.profile);
        Some(Standing { friend: friend_id(friend), profile, position, on_duty: true, reachable: true })
    }
}

impl Nearby for Streets {
    fn count(&self, cell: CellIndex) -> u32 {
        self.cells.get(&cell).map_or(0, |(count, _)| *count)
    }

    fn each(&self, leaf: CellIndex, visit: &mut dyn FnMut(Standing)) {
        for &friend in self.leaves.get(&leaf).into_iter().flatten() {
            let missed = self.mutation == Some(Mutation::BlindRoster) && friend % 7 == 3;
            if let Some(standing) = self.standing(friend).filter(|_| !missed) {
                visit(standing);
            }
        }
    }

    fn roots(&self, visit: &mut dyn FnMut(CellIndex)) {
        self.roots.iter().for_each(|root| visit(*root));
    }

    fn centre(&self, cell: CellIndex) -> Option<Vector> {
        self.cells.get(&cell).filter(|(count, _)| *count > 0).map(|(_, centre)| *centre)
    }

    fn find(&self, friend: FriendId) -> Option<Standing> {
        self.standing(friend_no(friend))
    }
}

/// A leaf and the cells above it, up to the coarsest.
fn upwards(leaf: CellIndex) -> impl Iterator<Item = CellIndex> {
    let coarser = |cell: &CellIndex| {
        let resolution = cell.resolution().pred().filter(|resolution| *resolution >= COARSEST)?;
        cell.parent(resolution)
    };
    std::iter::successors(Some(leaf), coarser)
}
