//! The cell index of the roster: which leaf leads to whom, and how many friends each coarser cell has below it. A hint:
//! it may lead to a friend who has moved on, and never fails to lead to one who is there.
//!
//! Every entry carries its cell's centre, so that a search asks H3 for none.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use dashmap::{DashMap, Entry};
use h3o::{CellIndex, Resolution};
use kiez_protocol::place::{EARTH_RADIUS_M, Point};
use smallvec::SmallVec;

use crate::dispatch::globe::{Vector, inside_leaf_m};
use crate::dispatch::job::cell_at;
use crate::dispatch::nearest::{COARSEST, LEAF};

/// Cells hash by one multiplication: their bits are spread well enough, and whoever wanted to make them collide would
/// have to send friends across a continent.
#[derive(Default)]
pub struct CellHasher(u64);

impl Hasher for CellHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write_u64(&mut self, cell: u64) {
        // dashmap takes the upper bits for the shard and hashbrown both ends, so both halves are folded into one.
        let product = u128::from(cell) * 0x9E37_79B9_7F4A_7C15;
        self.0 = (product >> 64) as u64 ^ product as u64;
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(self.0 ^ u64::from(*byte));
        }
    }
}

type Cells<V> = DashMap<CellIndex, V, BuildHasherDefault<CellHasher>>;

/// Leaves with their residents, coarser cells with their counts.
#[derive(Debug)]
pub struct Index<T> {
    leaves: Cells<Leaf<T>>,
    /// From [`COARSEST`] to the resolution above [`LEAF`].
    counts: [Cells<Count>; LEVELS],
}

#[derive(Debug)]
struct Leaf<T> {
    centre: Vector,
    residents: SmallVec<[Arc<T>; 2]>,
}

#[derive(Debug)]
struct Count {
    centre: Vector,
    friends: u32,
}

const LEVELS: usize = LEAF as usize - COARSEST as usize;

fn above_leaf() -> impl Iterator<Item = Resolution> {
    Resolution::range(COARSEST, Resolution::Eight)
}

fn ancestor(cell: CellIndex, resolution: Resolution) -> CellIndex {
    cell.parent(resolution).expect("a leaf has ancestors at every coarser resolution")
}

impl<T> Index<T> {
    /// Nobody anywhere.
    pub fn new() -> Index<T> {
        Index { leaves: Cells::default(), counts: std::array::from_fn(|_| Cells::default()) }
    }

    fn counts(&self, resolution: Resolution) -> Option<&Cells<Count>> {
        (u8::from(resolution)).checked_sub(u8::from(COARSEST)).and_then(|level| self.counts.get(usize::from(level)))
    }

    /// Lets `resident` be found under `leaf`. `others` are the leaves under which they stand besides: a friend counts
    /// once in each coarser cell. The counts are raised first, so that whoever finds the leaf was led to it.
    pub fn enter(&self, leaf: CellIndex, resident: &Arc<T>, others: &[CellIndex]) {
        for (resolution, counts) in above_leaf().zip(&self.counts) {
            let cell = ancestor(leaf, resolution);
            if others.iter().all(|&other| ancestor(other, resolution) != cell) {
                counts.entry(cell).or_insert_with(|| Count { centre: Vector::centre(cell), friends: 0 }).friends += 1;
            }
        }
        let fresh = || Leaf { centre: Vector::centre(leaf), residents: SmallVec::new() };
        self.leaves.entry(leaf).or_insert_with(fresh).residents.push(resident.clone());
    }

    /// The reverse of [`Index::enter`]: `others` are the leaves that remain.
    pub fn leave(&self, leaf: CellIndex, resident: &Arc<T>, others: &[CellIndex]) {
        if let Entry::Occupied(mut entry) = self.leaves.entry(leaf) {
            let residents = &mut entry.get_mut().residents;
            if let Some(place) = residents.iter().position(|other| Arc::ptr_eq(other, resident)) {
                residents.swap_remove(place);
            }
            if residents.is_empty() {
                entry.remove();
            } else {
                residents.shrink_to_fit();
            }
        }
        for (resolution, counts) in above_leaf().zip(&self.counts) {
            let cell = ancestor(leaf, resolution);
            if others.iter().all(|&other| ancestor(other, resolution) != cell)
                && let Entry::Occupied(mut entry) = counts.entry(cell)
            {
                entry.get_mut().friends -= 1;
                if entry.get().friends == 0 {
                    entry.remove();
                }
            }
        }
    }

    /// Everybody to whom `leaf` leads, copied out.
    pub fn residents(&self, leaf: CellIndex) -> SmallVec<[Arc<T>; 8]> {
        self.leaves.get(&leaf).map(|leaf| leaf.residents.iter().cloned().collect()).unwrap_or_default()
    }

    /// How many stand in or below this cell; 0 for cells coarser than [`COARSEST`] or finer than [`LEAF`].
    pub fn count(&self, cell: CellIndex) -> u32 {
        if cell.resolution() == LEAF {
            return self.leaves.get(&cell).map_or(0, |leaf| leaf.residents.len() as u32);
        }
        let counts = self.counts(cell.resolution());
        counts.and_then(|counts| counts.get(&cell).map(|count| count.friends)).unwrap_or(0)
    }

    /// The centre of a cell in or below which somebody stands.
    pub fn centre(&self, cell: CellIndex) -> Option<Vector> {
        if cell.resolution() == LEAF {
            return self.leaves.get(&cell).map(|leaf| leaf.centre);
        }
        self.counts(cell.resolution()).and_then(|counts| counts.get(&cell).map(|count| count.centre))
    }

    /// All cells of a resolution, [`COARSEST`] to [`LEAF`], whose centre `shows` wants, with their counts.
    pub fn cells(&self, resolution: Resolution, mut shows: impl FnMut(Vector) -> bool) -> Vec<(CellIndex, u32)> {
        if resolution == LEAF {
            let shown = self.leaves.iter().filter(|leaf| shows(leaf.centre));
            return shown.map(|leaf| (*leaf.key(), leaf.residents.len() as u32)).collect();
        }
        let Some(counts) = self.counts(resolution) else { return Vec::new() };
        counts.iter().filter(|count| shows(count.centre)).map(|count| (*count.key(), count.friends)).collect()
    }

    /// Gives memory back after many have left: maps do not shrink by themselves.
    pub fn shrink(&self) {
        shrink(&self.leaves);
        self.counts.iter().for_each(shrink);
    }
}

impl<T> Default for Index<T> {
    fn default() -> Index<T> {
        Index::new()
    }
}

/// A leaf, and how far from its centre a point certainly lies in it: most moves end there and need no H3.
#[derive(Clone, Copy, Debug)]
pub struct Stand {
    /// The leaf.
    pub leaf: CellIndex,
    lat: f64,
    lng: f64,
    lng_scale: f32,
    inside_m: f32,
}

impl Stand {
    /// The leaf of a point.
    pub fn at(point: Point) -> Stand {
        let leaf = cell_at(point, LEAF);
        let centre = Vector::centre(leaf);
        let (lat, lng) = centre.degrees();
        // The widest a degree of longitude gets within a leaf.
        let lng_scale = ((lat.abs() - 0.01).max(0.0).to_radians().cos() + 1e-6) as f32;
        Stand { leaf, lat, lng, lng_scale, inside_m: inside_leaf_m(centre) as f32 - 1.0 }
    }

    /// Whether `point` certainly lies in the leaf. Errs towards no, as it does across the antimeridian.
    pub fn holds(&self, point: Point) -> bool {
        const M_PER_DEGREE: f64 = EARTH_RADIUS_M * std::f64::consts::PI / 180.0;
        let north = point.lat() - self.lat;
        let east = (point.lng() - self.lng) * f64::from(self.lng_scale);
        let inside_m = f64::from(self.inside_m);
        inside_m > 0.0 && (north * north + east * east) * M_PER_DEGREE * M_PER_DEGREE < inside_m * inside_m
    }
}

/// Shrinks a map that has room for four times what it holds.
pub fn shrink<K: Eq + std::hash::Hash, V, S: std::hash::BuildHasher + Clone>(map: &DashMap<K, V, S>) {
    const ROOM_MIN: usize = 4_096;
    if map.capacity() > ROOM_MIN && map.capacity() / 4 > map.len() {
        map.shrink_to_fit();
    }
}
