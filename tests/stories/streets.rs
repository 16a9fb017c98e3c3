//! Who is near, as plain maps.

use std::collections::{BTreeMap, BTreeSet};

use h3o::CellIndex;
use kiez::dispatch::globe::Vector;
use kiez::dispatch::job::cell_at;
use kiez::dispatch::nearest::{COARSEST, LEAF, Nearby, Standing};
use kiez_protocol::ids::FriendId;

#[derive(Debug, Default)]
pub struct Streets {
    friends: BTreeMap<FriendId, Standing>,
    leaves: BTreeMap<CellIndex, BTreeSet<FriendId>>,
    // How many stand in a cell that anybody ever stood in, and its centre.
    cells: BTreeMap<CellIndex, (u32, Vector)>,
}

impl Streets {
    pub fn place(&mut self, standing: Standing) {
        self.leave(standing.friend);
        let leaf = cell_at(standing.position, LEAF);
        self.leaves.entry(leaf).or_default().insert(standing.friend);
        for cell in upwards(leaf) {
            self.cells.entry(cell).or_insert_with(|| (0, Vector::centre(cell))).0 += 1;
        }
        self.friends.insert(standing.friend, standing);
    }

    fn leave(&mut self, friend: FriendId) {
        let Some(standing) = self.friends.remove(&friend) else { return };
        let leaf = cell_at(standing.position, LEAF);
        self.leaves.entry(leaf).or_default().remove(&friend);
        for cell in upwards(leaf) {
            self.cells.get_mut(&cell).expect("stood there").0 -= 1;
        }
    }

    pub fn change(&mut self, friend: FriendId, change: impl FnOnce(&mut Standing)) {
        if let Some(mut standing) = self.friends.get(&friend).cloned() {
            change(&mut standing);
            self.place(standing);
        }
    }
}

impl Nearby for Streets {
    fn count(&self, cell: CellIndex) -> u32 {
        self.cells.get(&cell).map_or(0, |(count, _)| *count)
    }

    fn each(&self, leaf: CellIndex, visit: &mut dyn FnMut(Standing)) {
        for friend in self.leaves.get(&leaf).into_iter().flatten() {
            visit(self.friends[friend].clone());
        }
    }

    fn roots(&self, visit: &mut dyn FnMut(CellIndex)) {
        let roots = self.cells.iter().filter(|(cell, (count, _))| cell.resolution() == COARSEST && *count > 0);
        roots.for_each(|(cell, _)| visit(*cell));
    }

    fn centre(&self, cell: CellIndex) -> Option<Vector> {
        self.cells.get(&cell).filter(|(count, _)| *count > 0).map(|(_, centre)| *centre)
    }

    fn find(&self, friend: FriendId) -> Option<Standing> {
        self.friends.get(&friend).cloned()
    }
}

/// A leaf and the cells above it, up to the coarsest.
fn upwards(leaf: CellIndex) -> impl Iterator<Item = CellIndex> {
    let finer = |cell: &CellIndex| {
        let coarser = cell.resolution().pred().filter(|coarser| *coarser >= COARSEST)?;
        cell.parent(coarser)
    };
    std::iter::successors(Some(leaf), finer)
}
