//! Friends who chose to be listed, each with the neighbourhood of their home and nothing finer.
//!
//! Whoever may ask how far somebody is from any point may draw circles until they meet in a door. So both ends are snapped
//! before anything is measured: the asker's point and the home go to the middle of their H3 cells of resolution 6. What is
//! answered is a function of those two cells, however many points are asked from: it gives away at most in which cell of
//! that size a home lies, and neighbours of one cell are never told apart. The home is the one the friend has set, never a
//! fix, so that no answer changes as they move; and their own radius is not looked at, for where it ended would be a line to
//! measure by.

use std::sync::Arc;

use dashmap::DashMap;
use h3o::Resolution;
use kiez_protocol::directory::Friend;
use kiez_protocol::ids::FriendId;
use kiez_protocol::place::Point;
use kiez_protocol::profile::AnchorKind;

use crate::dispatch::job::cell_at;

/// About 36 km²: a district of a city, some villages of a canton.
const NEIGHBOURHOOD: Resolution = Resolution::Six;

/// The middle of the neighbourhood of a place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbourhood(Point);

impl Neighbourhood {
    /// The one in which a place lies.
    pub fn of(place: Point) -> Neighbourhood {
        let middle = h3o::LatLng::from(cell_at(place, NEIGHBOURHOOD));
        Neighbourhood(Point::new(middle.lat(), middle.lng()).expect("the middle of a cell is on the earth"))
    }

    /// From middle to middle, metres.
    pub fn distance_m(self, other: Neighbourhood) -> f64 {
        self.0.distance_m(other.0)
    }
}

/// Somebody who is listed.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The profile.
    pub profile: Arc<Friend>,
    /// Where they live, if they have said so.
    pub home: Option<Neighbourhood>,
}

/// Everybody who is listed: who wants to be, while their account is active.
#[derive(Debug, Default)]
pub struct Listing(DashMap<FriendId, Listed>);

impl Listing {
    /// Takes in a profile in place of the one before.
    pub fn put(&self, profile: &Arc<Friend>) {
        if !(profile.listed && profile.account.is_active()) {
            self.0.remove(&profile.id);
            return;
        }
        let home = profile.anchors.iter().find(|anchor| anchor.kind == AnchorKind::Home);
        let home = home.map(|home| Neighbourhood::of(home.place));
        self.0.insert(profile.id, Listed { profile: profile.clone(), home });
    }

    /// Whether a friend is listed.
    pub fn has(&self, friend: FriendId) -> bool {
        self.0.contains_key(&friend)
    }

    /// Those whose profile fits, in no order.
    pub fn that(&self, fits: impl Fn(&Friend) -> bool) -> Vec<Listed> {
        self.0.iter().filter(|listed| fits(&listed.profile)).map(|listed| listed.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(lat: f64, lng: f64) -> Point {
        Point::new(lat, lng).expect("on earth")
    }

    /// Forty thousand probes tell two neighbours of one cell apart in none, and say nothing about where in the cell they
    /// live. Of two in different cells they find the cell, which is what is given away, and no more.
    #[test]
    fn no_number_of_probes_finds_more_than_a_cell() {
        let home = at(52.4996, 13.4180);
        let cell = cell_at(home, NEIGHBOURHOOD);
        assert!(cell.area_km2() > 30.0, "{} km²", cell.area_km2());
        let steps = |range: std::ops::Range<i32>| range.map(f64::from);
        let others: Vec<Point> = steps(-30..30)
            .flat_map(|lat| steps(-30..30).map(move |lng| at(52.4996 + lat / 400.0, 13.4180 + lng / 250.0)))
            .filter(|place| cell_at(*place, NEIGHBOURHOOD) == cell)
            .collect();
        let farthest = others.iter().map(|place| place.distance_m(home)).fold(0.0, f64::max);
        assert!(others.len() > 200 && farthest > 3_500.0, "{} places up to {farthest:.0} m away", others.len());
        let probes: Vec<Neighbourhood> = steps(-100..100)
            .flat_map(|lat| steps(-100..100).map(move |lng| at(52.4996 + lat / 250.0, 13.4180 + lng / 150.0)))
            .map(Neighbourhood::of)
            .collect();
        let answers = |place: Point| {
            let home = Neighbourhood::of(place);
            probes.iter().map(|probe| home.distance_m(*probe).to_bits()).collect::<Vec<_>>()
        };
        let ours = answers(home);
        for other in others.iter().step_by(40) {
            assert!(answers(*other) == ours, "{other:?} is told apart");
        }
        assert_ne!(answers(at(52.60, 13.60)), ours);
    }

    #[test]
    fn absurd_places_have_a_neighbourhood_too() {
        for place in [at(90.0, 0.0), at(-90.0, 180.0), at(0.0, -180.0), at(64.7, 10.5)] {
            assert!(Neighbourhood::of(place).distance_m(Neighbourhood::of(place)) < 1.0, "{place:?}");
        }
    }
}
