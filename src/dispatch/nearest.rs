//! The nearest suitable friends, exactly. The roster offers a hint by cell and the truth by record through [`Nearby`];
//! the walk goes best-first by a safe lower bound of distance and stops when nobody nearer can be left.

use std::sync::Arc;

use h3o::{CellIndex, Resolution};
use kiez_protocol::directory::Friend;
use kiez_protocol::ids::FriendId;
use kiez_protocol::place::{Point, rounded_m};

use super::gates::Gate;

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
}

/// A suitable friend and how far away.
#[derive(Clone, Debug)]
pub struct Found {
    /// Who.
    pub standing: Standing,
    /// Metres.
    pub distance_m: f64,
    /// Metres, rounded half up to 50.
    pub rounded_m: u32,
}

/// What a walk saw.
#[derive(Clone, Debug, Default)]
pub struct Walk {
    /// The suitable, by rounded distance, then id.
    pub suitable: Vec<Found>,
    /// The others, with their rounded distance and the first gate that failed.
    pub failed: Vec<(FriendId, u32, Gate)>,
    /// Everybody else stands at least so far away; none when the walk went to the end.
    pub beyond_m: Option<f64>,
}

/// Placeholder walk over everybody.
pub fn nearest(
    nearby: &dyn Nearby,
    at: Point,
    _cap_m: f64,
    _want: usize,
    gate: &mut dyn FnMut(&Standing, f64) -> Result<(), Gate>,
) -> Walk {
    let mut leaves = Vec::new();
    nearby.roots(&mut |root| leaves.extend(root.children(LEAF)));
    let mut walk = Walk::default();
    for leaf in leaves {
        if nearby.count(leaf) == 0 {
            continue;
        }
        nearby.each(leaf, &mut |standing| {
            let distance_m = standing.position.distance_m(at);
            let rounded_m = rounded_m(distance_m);
            match gate(&standing, distance_m) {
                Ok(()) => walk.suitable.push(Found { standing, distance_m, rounded_m }),
                Err(gate) => walk.failed.push((standing.friend, rounded_m, gate)),
            }
        });
    }
    walk.suitable.sort_by_key(|found| (found.rounded_m, found.standing.friend));
    walk
}
