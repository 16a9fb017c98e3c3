//! Who is near, as plain maps.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use h3o::CellIndex;
use kiez::dispatch::globe::Vector;
use kiez::dispatch::job::cell_at;
use kiez::dispatch::nearest::{COARSEST, LEAF, Nearby, Standing};
use kiez_protocol::ids::FriendId;

#[derive(Debug, Default)]
pub struct Streets {
    friends: BTreeMap<FriendId, Standing>,
    leaves: BTreeMap<CellIndex, BTreeSet<FriendId>>,
    counts: HashMap<CellIndex, u32>,
    centres: HashMap<CellIndex, Vector>,
}

impl Streets {
    pub fn place(&mut self, standing: Standing) {
        let friend = standing.friend;
        self.friends.insert(friend, standing);
        let mut cell = cell_at(self.friends[&friend].position, LEAF);
        self.centres.entry(cell).or_insert_with(|| Vector::centre(cell));
        while let Some(coarser) = cell.resolution().pred().filter(|coarser| *coarser >= COARSEST) {
            cell = cell.parent(coarser).expect("one resolution up");
            self.centres.entry(cell).or_insert_with(|| Vector::centre(cell));
        }
        self.leaves.clear();
        self.counts.clear();
        for standing in self.friends.values() {
            let mut cell = cell_at(standing.position, LEAF);
            self.leaves.entry(cell).or_default().insert(standing.friend);
            *self.counts.entry(cell).or_default() += 1;
            while cell.resolution() > COARSEST {
                let coarser = cell.resolution().pred().expect("finer than the coarsest");
                cell = cell.parent(coarser).expect("one resolution up");
                *self.counts.entry(cell).or_default() += 1;
            }
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
        self.counts.get(&cell).copied().unwrap_or(0)
    }

    fn each(&self, leaf: CellIndex, visit: &mut dyn FnMut(Standing)) {
        for friend in self.leaves.get(&leaf).into_iter().flatten() {
            visit(self.friends[friend].clone());
        }
    }

    fn roots(&self, visit: &mut dyn FnMut(CellIndex)) {
        let roots: BTreeSet<_> = self.counts.keys().filter(|cell| cell.resolution() == COARSEST).collect();
        roots.into_iter().for_each(|cell| visit(*cell));
    }

    fn centre(&self, cell: CellIndex) -> Option<Vector> {
        self.counts.contains_key(&cell).then(|| self.centres[&cell])
    }

    fn find(&self, friend: FriendId) -> Option<Standing> {
        self.friends.get(&friend).cloned()
    }
}
