//! Who has ever stood where: a grid of squares, about a kilometre wide, each with everybody who was seen in it. It only
//! saves the judge from weighing a whole city for each choice; who is near is still decided by weighing. Plain squares of
//! degrees, so that nothing is shared with the search that is judged.

use std::collections::{HashMap, HashSet};

use kiez_protocol::ids::FriendId;
use kiez_protocol::place::Point;

/// The height of a square, degrees: 1.1 km.
const SQUARE_LAT: f64 = 0.01;
/// The width of a square, degrees: 1.0 km in Berlin.
const SQUARE_LNG: f64 = 0.015;
/// Metres of a degree of latitude, a little less than there are, so that a radius reaches too far and not too short.
const DEGREE_M: f64 = 111_000.0;
/// Nearer to a pole than this, or to the antimeridian, squares are of no use.
const EDGE: f64 = 80.0;

/// Everybody by the squares they were seen in.
#[derive(Debug, Default)]
pub(crate) struct Ground {
    squares: HashMap<(i32, i32), HashSet<FriendId>>,
    last: HashMap<FriendId, (i32, i32)>,
}

impl Ground {
    /// The friend has been seen here.
    pub fn seen(&mut self, friend: FriendId, place: Point) {
        let square = square(place.lat(), place.lng());
        if self.last.insert(friend, square) != Some(square) {
            self.squares.entry(square).or_default().insert(friend);
        }
    }

    /// Everybody who was ever seen within `radius_m` of a place, and others; `None` where that would be too many squares
    /// to ask, or the place lies where squares are of no use.
    pub fn near(&self, place: Point, radius_m: f64) -> Option<HashSet<FriendId>> {
        let lat = radius_m / DEGREE_M;
        let (south, north) = (place.lat() - lat, place.lat() + lat);
        if south < -EDGE || north > EDGE {
            return None;
        }
        let lng = lat / south.abs().max(north.abs()).to_radians().cos();
        let (west, east) = (place.lng() - lng, place.lng() + lng);
        if west <= -180.0 || east >= 180.0 {
            return None;
        }
        let ((bottom, left), (top, right)) = (square(south, west), square(north, east));
        let count = i64::from(top - bottom + 1) * i64::from(right - left + 1);
        if count > self.squares.len() as i64 {
            return None;
        }
        let squares = (bottom..=top).flat_map(|row| (left..=right).map(move |column| (row, column)));
        Some(squares.filter_map(|square| self.squares.get(&square)).flatten().copied().collect())
    }
}

fn square(lat: f64, lng: f64) -> (i32, i32) {
    ((lat / SQUARE_LAT).floor() as i32, (lng / SQUARE_LNG).floor() as i32)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::chance::Chance;

    #[test]
    fn nobody_within_the_radius_is_missed_anywhere() {
        let mut chance = Chance::new(4);
        for (lat, lng) in [(52.52, 13.4), (-33.9, 18.4), (0.001, -0.001), (69.6, 18.9)] {
            let mut ground = Ground::default();
            let mut everybody = Vec::new();
            for number in 0..3_000_u128 {
                let place = Point::new(lat + chance.between(-0.2, 0.2), lng + chance.between(-0.3, 0.3)).unwrap();
                let friend = FriendId(Uuid::from_u128(number));
                ground.seen(friend, place);
                everybody.push((friend, place));
            }
            let centre = Point::new(lat, lng).unwrap();
            for radius_m in [0.0, 30.0, 450.0, 3_000.0] {
                let Some(near) = ground.near(centre, radius_m) else { panic!("{lat} {lng} {radius_m}") };
                let within = everybody.iter().filter(|(_, place)| place.distance_m(centre) <= radius_m);
                assert!(within.clone().all(|(friend, _)| near.contains(friend)), "{lat} {lng} {radius_m}");
                assert!(near.len() < 1_500, "{} of 3,000 are asked for {radius_m} m", near.len());
            }
        }
    }

    #[test]
    fn somebody_who_moved_is_found_where_they_were_and_where_they_are() {
        let (here, there) = (Point::new(52.5, 13.4).unwrap(), Point::new(52.6, 13.5).unwrap());
        let mut ground = Ground::default();
        let friend = FriendId(Uuid::from_u128(1));
        // Others, so that there are squares enough to be worth asking.
        for number in 0..100 {
            let place = Point::new(52.5 + f64::from(number) * 0.02, 13.0).unwrap();
            ground.seen(FriendId(Uuid::from_u128(100 + number as u128)), place);
        }
        for place in [here, there, here] {
            ground.seen(friend, place);
        }
        for place in [here, there] {
            assert!(ground.near(place, 100.0).unwrap().contains(&friend));
        }
        assert!(ground.near(Point::new(89.9, 0.0).unwrap(), 100.0).is_none());
        assert!(ground.near(Point::new(0.0, 179.999).unwrap(), 1_000.0).is_none());
        assert!(ground.near(here, 500_000.0).is_none());
    }
}
