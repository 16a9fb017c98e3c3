//! The nearest suitable friends, exactly. The roster offers a hint by cell and the truth by record through [`Nearby`];
//! the walk goes best-first by a safe lower bound of distance and stops when nobody nearer can be left.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashSet};
use std::sync::Arc;

use h3o::{CellIndex, Resolution};
use kiez_protocol::directory::Friend;
use kiez_protocol::ids::FriendId;
use kiez_protocol::place::{DISTANCE_STEP_M, Point, rounded_m};
use smallvec::SmallVec;

use super::gates::Gate;
use super::globe::{Vector, nearest_in_cell_m, nearest_outside_m};
use super::job::cell_at;
use super::rank::reach_m;

/// The coarsest resolution at which the roster counts.
pub const COARSEST: Resolution = Resolution::Four;
/// The resolution of the cells that lead to friends. Edge length about 200 m.
pub const LEAF: Resolution = Resolution::Nine;

/// A friend as the roster knows them at this moment.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Who.
    pub friend: FriendId,
    /// Their profile.
    pub profile: Arc<Friend>,
    /// Where they stand.
    pub position: Point,
    /// Whether they are on duty.
    pub on_duty: bool,
    /// Whether they can be reached.
    pub reachable: bool,
}

/// Who is near: implemented by the roster, and by a plain map in tests.
pub trait Nearby {
    /// How many friends stand in or below this cell, of a resolution from [`COARSEST`] to [`LEAF`]. A hint: it may be
    /// too high, and never misses a friend who stood there before the query began.
    fn count(&self, cell: CellIndex) -> u32;

    /// Everybody to whom this leaf leads. The position is that of the record, which may lie outside of the leaf; the
    /// same friend may come again from another leaf.
    fn each(&self, leaf: CellIndex, visit: &mut dyn FnMut(Standing));

    /// The coarsest cells in which anybody stands.
    fn roots(&self, visit: &mut dyn FnMut(CellIndex));

    /// One friend, if they are on the roster.
    fn find(&self, friend: FriendId) -> Option<Standing>;

    /// The centre of a cell in which or below which somebody stands; none where [`Nearby::count`] is 0. A roster that
    /// keeps the centres beside its counts answers several times faster than H3.
    fn centre(&self, cell: CellIndex) -> Option<Vector> {
        (self.count(cell) > 0).then(|| Vector::centre(cell))
    }

    /// A search begins: every cell that leads to a friend now goes on doing so until [`Nearby::end`] is called with
    /// what this returns, so that a friend who moves meanwhile is not missed.
    fn begin(&self) -> u64 {
        0
    }

    /// The search that [`Nearby::begin`] let in is over.
    fn end(&self, _search: u64) {}
}

/// What a walk found. It depends on who stands where, not on the order in which they came.
#[derive(Clone, Debug, Default)]
pub struct Walk {
    /// The suitable, by rounded distance and id: the wanted ones, whoever shares the last one's 50 m step, and who else is
    /// within reach.
    pub suitable: Vec<Found>,
    /// The others up to the end of that step, with rounded metres and the first gate that failed; in the same order.
    pub failed: Vec<(FriendId, u32, Gate)>,
    /// Everybody else within the cap stands at least so far away, metres: the end of that step. None when nobody else
    /// can be left within the cap.
    pub beyond_m: Option<f64>,
}

/// A suitable friend.
#[derive(Clone, Debug)]
pub struct Found {
    /// The friend.
    pub standing: Standing,
    /// How far away, metres.
    pub distance_m: f64,
    /// The same rounded to 50 m.
    pub rounded_m: u32,
}

/// The `want` nearest friends round `at` who pass `gate`, none farther than `cap_m` metres (infinity: the whole roster),
/// and everybody who was passed on the way. The gate is asked once per friend, with the distance in metres.
///
/// Exact: nobody who stood within the step of the last one throughout the search is missed. The walk ends where the
/// lower bound of all that is left lies beyond that step or beyond the cap.
pub fn nearest(
    nearby: &dyn Nearby,
    at: Point,
    cap_m: f64,
    want: usize,
    gate: &mut dyn FnMut(&Standing, f64) -> Result<(), Gate>,
) -> Walk {
    nearest_and_round(nearby, at, cap_m, want, 100, gate)
}

/// As [`nearest`], and everybody besides who stands within `reach_percent` of the distance of the last of them: among
/// those a seat is given to who has waited longest. 100 percent, or less, is [`nearest`].
pub fn nearest_and_round(
    nearby: &dyn Nearby,
    at: Point,
    cap_m: f64,
    want: usize,
    reach_percent: u16,
    gate: &mut dyn FnMut(&Standing, f64) -> Result<(), Gate>,
) -> Walk {
    if want == 0 {
        return Walk { beyond_m: Some(0.0), ..Walk::default() };
    }
    let _search = Search::begin(nearby);
    let mut frontier = Frontier::around(nearby, at, want);
    let mut harvest = Harvest::new(want, reach_percent);
    let mut left = false;
    while let Some(step) = frontier.steps.pop() {
        if step.bound_m > cap_m || step.bound_m >= harvest.edge_m {
            left = step.bound_m <= cap_m;
            break;
        }
        match step.to {
            To::Leaf(leaf) => nearby.each(leaf, &mut |standing| {
                let distance_m = at.distance_m(standing.position);
                if distance_m <= cap_m && harvest.seen.is_new(standing.friend) {
                    match gate(&standing, distance_m) {
                        Ok(()) => harvest.take(standing, distance_m),
                        Err(failed) => harvest.failed.push((standing.friend, rounded_m(distance_m), failed)),
                    }
                }
            }),
            To::Cell(cell) => frontier.enter(cell, step.bound_m),
            To::Outside(resolution, rings) => frontier.widen(resolution, rings, step.bound_m),
        }
    }
    harvest.finish(left)
}

/// Tells the roster that a search is going on, for as long as this lives.
struct Search<'a>(&'a dyn Nearby, u64);

impl<'a> Search<'a> {
    fn begin(nearby: &'a dyn Nearby) -> Search<'a> {
        Search(nearby, nearby.begin())
    }
}

impl Drop for Search<'_> {
    fn drop(&mut self) {
        self.0.end(self.1);
    }
}

/// Where the walk can go next.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum To {
    /// To the friends of a leaf.
    Leaf(CellIndex),
    /// Into a cell above the leaves.
    Cell(CellIndex),
    /// Outside of so many rings of this resolution.
    Outside(Resolution, u32),
}

/// A way to go, and the distance below which it leads to nobody.
#[derive(Clone, Copy, PartialEq)]
struct Step {
    bound_m: f64,
    to: To,
}

impl Eq for Step {}

impl Ord for Step {
    /// The nearest is the greatest, so that a heap gives it first.
    fn cmp(&self, other: &Step) -> Ordering {
        other.bound_m.total_cmp(&self.bound_m).then_with(|| other.to.cmp(&self.to))
    }
}

impl PartialOrd for Step {
    fn partial_cmp(&self, other: &Step) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Rings opened at one resolution before the next coarser one: outside of three, its seven cells take over.
const RINGS_MAX: u32 = 3;

/// All that is unexplored. It begins with a disk of seven cells, fine where friends stand close and coarse where they
/// do not. Outside of it lie further rings, then the disk of the next coarser resolution, and in the end all roots.
struct Frontier<'a> {
    nearby: &'a dyn Nearby,
    from: Vector,
    home: CellIndex,
    steps: BinaryHeap<Step>,
    /// The cells of the disks so far: they have steps of their own, so their parents pass them over.
    disks: SmallVec<[CellIndex; 48]>,
}

impl<'a> Frontier<'a> {
    fn around(nearby: &'a dyn Nearby, at: Point, want: usize) -> Frontier<'a> {
        let home = cell_at(at, LEAF);
        let (steps, disks) = (BinaryHeap::with_capacity(64), SmallVec::new());
        let mut frontier = Frontier { nearby, from: at.into(), home, steps, disks };
        // Fine enough that the cell above the one it begins with holds about as many as are wanted.
        let (mut start, mut above) = (LEAF, coarser(LEAF));
        while let Some(resolution) = above.filter(|&above| (nearby.count(ancestor(home, above)) as usize) < want) {
            (start, above) = (resolution, coarser(resolution));
        }
        frontier.open(Some(start), 0.0);
        frontier
    }

    /// Opens the disk of this resolution, or of the next coarser where a pentagon is near; all roots when there is none.
    /// Nobody who is new there stands nearer than `floor_m`.
    fn open(&mut self, mut wanted: Option<Resolution>, floor_m: f64) {
        while let Some(resolution) = wanted {
            if let Some(disk) = regular(ancestor(self.home, resolution).grid_disk_fast(1)) {
                return self.bring(&disk, resolution, 1, floor_m);
            }
            wanted = coarser(resolution);
        }
        self.nearby.roots(&mut |root| {
            if !self.disks.contains(&root) {
                self.reach(root, floor_m);
            }
        });
    }

    /// Opens what comes next outside of so many rings.
    fn widen(&mut self, resolution: Resolution, rings: u32, floor_m: f64) {
        let home = ancestor(self.home, resolution);
        match regular(home.grid_ring_fast(rings + 1)).filter(|_| rings < RINGS_MAX) {
            Some(ring) => self.bring(&ring, resolution, rings + 1, floor_m),
            None => self.open(coarser(resolution), floor_m),
        }
    }

    /// New cells come into reach; after them, what lies outside of the rings that are open now.
    fn bring(&mut self, cells: &[CellIndex], resolution: Resolution, rings: u32, floor_m: f64) {
        for &cell in cells {
            self.reach(cell, floor_m);
        }
        self.disks.extend_from_slice(cells);
        let home = ancestor(self.home, resolution);
        let centre = self.nearby.centre(home).unwrap_or_else(|| Vector::centre(home));
        let bound_m = nearest_outside_m(self.from, centre, resolution, rings).max(floor_m);
        self.steps.push(Step { bound_m, to: To::Outside(resolution, rings) });
    }

    /// Steps into a cell: its children come into reach, but for those that a disk has brought before.
    fn enter(&mut self, cell: CellIndex, floor_m: f64) {
        let finer = Resolution::try_from(u8::from(cell.resolution()) + 1).expect("above a leaf there is a finer one");
        for child in cell.children(finer) {
            if !self.disks.contains(&child) {
                self.reach(child, floor_m);
            }
        }
    }

    /// A cell comes into reach, if anybody stands there.
    fn reach(&mut self, cell: CellIndex, floor_m: f64) {
        if let Some(centre) = self.nearby.centre(cell) {
            let resolution = cell.resolution();
            let bound_m = nearest_in_cell_m(self.from, centre, resolution).max(floor_m);
            let to = if resolution == LEAF { To::Leaf(cell) } else { To::Cell(cell) };
            self.steps.push(Step { bound_m, to });
        }
    }
}

fn ancestor(leaf: CellIndex, resolution: Resolution) -> CellIndex {
    leaf.parent(resolution).expect("a leaf has ancestors at every coarser resolution")
}

fn coarser(resolution: Resolution) -> Option<Resolution> {
    (resolution > COARSEST).then(|| Resolution::try_from(u8::from(resolution) - 1).expect("0 to 15 are resolutions"))
}

/// The cells of a disk or ring; none if a pentagon is among them, where rings are not what they seem. A ring can be
/// trusted where all within it are known to be regular.
fn regular(cells: impl Iterator<Item = Option<CellIndex>>) -> Option<SmallVec<[CellIndex; 18]>> {
    cells.map(|cell| cell.filter(|cell| !cell.is_pentagon())).collect()
}

/// What the walk has gathered.
struct Harvest {
    want: usize,
    reach_percent: u16,
    suitable: Vec<Found>,
    failed: Vec<(FriendId, u32, Gate)>,
    /// The rounded distances of the best, ascending; `want` of them at most.
    best: SmallVec<[u32; 16]>,
    /// Where the last step ends that is within reach of the last of the best, once there are enough.
    edge_m: f64,
    seen: Seen,
}

impl Harvest {
    fn new(want: usize, reach_percent: u16) -> Harvest {
        let (suitable, failed, best) = (Vec::with_capacity(4 * want), Vec::new(), SmallVec::new());
        Harvest { want, reach_percent, suitable, failed, best, edge_m: f64::INFINITY, seen: Seen::default() }
    }

    fn take(&mut self, standing: Standing, distance_m: f64) {
        let rounded_m = rounded_m(distance_m);
        let place = self.best.partition_point(|&better| better <= rounded_m);
        if place < self.want {
            self.best.insert(place, rounded_m);
            self.best.truncate(self.want);
        }
        if let Some(last_m) = self.last_m() {
            self.edge_m = f64::from(last_m) + f64::from(DISTANCE_STEP_M) / 2.0;
        }
        self.suitable.push(Found { standing, distance_m, rounded_m });
    }

    /// The last rounded distance that counts, once there are enough.
    fn last_m(&self) -> Option<u32> {
        (self.best.len() == self.want).then(|| reach_m(self.best[self.want - 1], self.reach_percent))
    }

    /// Sorted, and cut where the last step ends: who was met beyond it was met by chance.
    fn finish(mut self, left: bool) -> Walk {
        let met = self.suitable.len() + self.failed.len();
        let last_m = self.last_m().unwrap_or(u32::MAX);
        self.suitable.retain(|found| found.rounded_m <= last_m);
        self.failed.retain(|&(_, rounded_m, _)| rounded_m <= last_m);
        self.suitable.sort_unstable_by_key(|found| (found.rounded_m, found.standing.friend));
        self.failed.sort_unstable_by_key(|&(friend, rounded_m, _)| (rounded_m, friend));
        let left = left || met > self.suitable.len() + self.failed.len();
        Walk { suitable: self.suitable, failed: self.failed, beyond_m: left.then_some(self.edge_m) }
    }
}

/// Who has been met: few as a rule, so a list until it grows long.
#[derive(Default)]
struct Seen {
    few: SmallVec<[FriendId; 32]>,
    many: HashSet<FriendId>,
}

impl Seen {
    fn is_new(&mut self, friend: FriendId) -> bool {
        if self.many.is_empty() {
            if self.few.contains(&friend) {
                return false;
            }
            if self.few.len() < self.few.inline_size() {
                self.few.push(friend);
                return true;
            }
            self.many.extend(self.few.drain(..));
        }
        self.many.insert(friend)
    }
}
