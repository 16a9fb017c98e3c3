//! The nearest suitable friends, compared with asking everybody: over the roster and over a plain map, in cities and in
//! empty country, where the grid is regular and where it is not.

#![expect(clippy::unwrap_used, reason = "a story that cannot go on has failed")]

use std::collections::BTreeMap;
use std::f64::consts::TAU;
use std::sync::Arc;

use h3o::{CellIndex, LatLng, Resolution};
use kiez::dispatch::gates::Gate;
use kiez::dispatch::job::cell_at;
use kiez::dispatch::nearest::{COARSEST, LEAF, Nearby, Standing, Walk, nearest};
use kiez::live::fix::Fix;
use kiez::live::roster::Roster;
use kiez_protocol::directory::{Country, Friend};
use kiez_protocol::ids::{FriendId, SessionId};
use kiez_protocol::place::{EARTH_RADIUS_M, Point, rounded_m};
use kiez_protocol::profile::{Anchor, AnchorKind};
use kiez_protocol::time::Time;
use proptest::prelude::*;
use uuid::Uuid;

fn profile(number: u128) -> Arc<Friend> {
    Arc::new(Friend::new(FriendId(Uuid::from_u128(number)), "Ada", Country::De))
}

/// A roster without concurrency, cleverness or memory of moves.
#[derive(Default)]
struct Plain {
    friends: BTreeMap<FriendId, Standing>,
    leaves: BTreeMap<CellIndex, Vec<FriendId>>,
    counts: BTreeMap<CellIndex, u32>,
}

impl Plain {
    fn of(points: &[Point]) -> Plain {
        let mut plain = Plain::default();
        for (number, &position) in points.iter().enumerate() {
            let profile = profile(number as u128);
            let friend = profile.id;
            plain.friends.insert(friend, Standing { friend, profile, position, on_duty: true, reachable: true });
            let leaf = cell_at(position, LEAF);
            plain.leaves.entry(leaf).or_default().push(friend);
            for resolution in Resolution::range(COARSEST, LEAF) {
                *plain.counts.entry(leaf.parent(resolution).unwrap()).or_default() += 1;
            }
        }
        plain
    }
}

impl Nearby for Plain {
    fn count(&self, cell: CellIndex) -> u32 {
        self.counts.get(&cell).copied().unwrap_or(0)
    }
    fn each(&self, leaf: CellIndex, visit: &mut dyn FnMut(Standing)) {
        self.leaves.get(&leaf).into_iter().flatten().for_each(|friend| visit(self.friends[friend].clone()));
    }
    fn roots(&self, visit: &mut dyn FnMut(CellIndex)) {
        self.counts.keys().copied().filter(|cell| cell.resolution() == COARSEST).for_each(visit);
    }
    fn find(&self, friend: FriendId) -> Option<Standing> {
        self.friends.get(&friend).cloned()
    }
}

/// A roster of the same friends; the first third has come from elsewhere and still trails behind. Every fifth has sent no
/// position and stands at home, every seventh there as well because what they sent has gone stale.
fn roster_of(points: &[Point]) -> Roster {
    let roster = Roster::new();
    let last = points.last().copied();
    let (then, now) = (Time(0), Time(40 * 3_600_000));
    for (number, &point) in points.iter().enumerate() {
        let mut profile = Friend::clone(&profile(number as u128));
        let friend = profile.id;
        let (at_home, stale) = (number % 5 == 4, number % 7 == 6);
        if at_home || stale {
            profile.anchors = vec![Anchor { kind: AnchorKind::Home, place: point, hours: Vec::new() }];
        }
        roster.set_duty(friend, true);
        roster.join(friend, SessionId(friend.0), 1, Arc::new(profile));
        if number < points.len() / 3 || stale {
            roster.place(friend, Fix::new(last.expect("not empty"), then));
        }
        if !at_home && !stale {
            // So much later nobody is too fast.
            roster.place(friend, Fix::new(point, now));
        }
    }
    roster.freshen(now);
    roster
}

/// The point so far from another in this direction.
fn away(from: Point, distance_m: f64, direction: f64) -> Point {
    let (lat, lng, angle) = (from.lat().to_radians(), from.lng().to_radians(), distance_m / EARTH_RADIUS_M);
    let sin = (lat.sin() * angle.cos() + lat.cos() * angle.sin() * direction.cos()).clamp(-1.0, 1.0);
    let east = (direction.sin() * angle.sin() * lat.cos()).atan2(angle.cos() - lat.sin() * sin);
    let lng = (lng + east).to_degrees();
    Point::new(sin.asin().to_degrees(), (lng + 540.0).rem_euclid(360.0) - 180.0).unwrap()
}

#[derive(Clone, Debug)]
struct Case {
    at: Point,
    friends: Vec<Point>,
    want: usize,
    cap_m: f64,
    /// Every so many friends are suitable.
    one_in: u128,
}

fn places() -> Vec<Point> {
    let mut places = vec![
        (52.5200, 13.4050),
        (47.3769, 8.5417),
        (52.2297, 21.0122),
        (0.001, 180.0),
        (-17.5, -179.999),
        (90.0, 0.0),
        (-89.999, 45.0),
    ];
    // Pentagons: the corners of the icosahedron. And between two of them: an edge, where the faces meet.
    let corners: Vec<LatLng> = Resolution::Zero.pentagons().map(LatLng::from).collect();
    places.extend(corners.iter().map(|corner| (corner.lat(), corner.lng())));
    places.push((corners[0].lat() * 0.9 + corners[1].lat() * 0.1, corners[0].lng() * 0.9 + corners[1].lng() * 0.1));
    places.into_iter().map(|(lat, lng)| Point::new(lat, lng).unwrap()).collect()
}

fn cases() -> impl Strategy<Value = Case> {
    let spread_m = prop_oneof![Just(400.0), Just(3_000.0), Just(15_000.0), Just(200_000.0), Just(3_000_000.0)];
    let friends = prop::collection::vec((0.0f64..1.0, 0.0f64..TAU), 0..150);
    let cap_m = prop_oneof![Just(500.0), Just(3_800.0), Just(30_000.0), Just(f64::INFINITY)];
    let one_in = prop_oneof![3 => Just(1u128), 2 => Just(3), 1 => Just(25)];
    (prop::sample::select(places()), 0.0f64..1.0, 0.0f64..TAU, spread_m, friends, 1usize..7, cap_m, one_in).prop_map(
        |(place, off, direction, spread_m, friends, want, cap_m, one_in)| {
            let at = away(place, off * spread_m, direction);
            let mut friends: Vec<Point> =
                friends.into_iter().map(|(share, direction)| away(place, share * spread_m, direction)).collect();
            // Some stand at one door.
            let doubled: Vec<Point> = friends.iter().step_by(7).copied().collect();
            friends.extend(doubled);
            Case { at, friends, want, cap_m, one_in }
        },
    )
}

impl Case {
    fn check(&self, friend: FriendId) -> Result<(), Gate> {
        if friend.0.as_u128().is_multiple_of(self.one_in) { Ok(()) } else { Err(Gate::Skill) }
    }

    fn walk(&self, nearby: &dyn Nearby) -> Walk {
        let mut asked = std::collections::BTreeSet::new();
        nearest(nearby, self.at, self.cap_m, self.want, &mut |standing, distance_m| {
            assert!(asked.insert(standing.friend), "asked twice");
            assert_eq!(distance_m, self.at.distance_m(standing.position));
            self.check(standing.friend)
        })
    }

    /// Asks everybody.
    fn compare(&self, walk: &Walk) {
        let mut all: Vec<(u32, FriendId, f64)> = self
            .friends
            .iter()
            .enumerate()
            .map(|(number, point)| (self.at.distance_m(*point), FriendId(Uuid::from_u128(number as u128))))
            .filter(|(distance_m, _)| *distance_m <= self.cap_m)
            .map(|(distance_m, friend)| (rounded_m(distance_m), friend, distance_m))
            .collect();
        all.sort_by_key(|&(rounded_m, friend, _)| (rounded_m, friend));
        let (suitable, failed): (Vec<_>, Vec<_>) =
            all.iter().copied().partition(|&(_, friend, _)| self.check(friend).is_ok());
        let last_m = suitable.get(self.want - 1).map_or(u32::MAX, |&(rounded_m, ..)| rounded_m);
        let within = |list: Vec<(u32, FriendId, f64)>| -> Vec<(FriendId, u32)> {
            list.iter().filter(|(m, ..)| *m <= last_m).map(|&(m, friend, _)| (friend, m)).collect()
        };
        let found: Vec<_> = walk.suitable.iter().map(|found| (found.standing.friend, found.rounded_m)).collect();
        assert_eq!(found, within(suitable));
        let passed: Vec<_> = walk.failed.iter().map(|&(friend, m, _)| (friend, m)).collect();
        assert_eq!(passed, within(failed));
        let named = found.len() + passed.len();
        match walk.beyond_m {
            Some(beyond_m) => assert!(all[named..].iter().all(|&(.., distance_m)| distance_m >= beyond_m)),
            None => assert_eq!(named, all.len()),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn nobody_nearer_is_missed(case in cases()) {
        let plain = case.walk(&Plain::of(&case.friends));
        case.compare(&plain);
        let roster = roster_of(&case.friends);
        case.compare(&case.walk(&roster));
        roster.sweep();
        let swept = case.walk(&roster);
        case.compare(&swept);
        prop_assert_eq!(swept.beyond_m, plain.beyond_m);
    }
}

#[test]
fn a_full_city_and_an_empty_country() {
    let berlin = Point::new(52.52, 13.405).unwrap();
    // A sunflower: evenly spread, without chance.
    let sunflower = |len: usize, radius_m: f64| -> Vec<Point> {
        (0..len).map(|n| away(berlin, radius_m * (n as f64 / len as f64).sqrt(), n as f64 * 2.399_963)).collect()
    };
    for (friends, one_in) in
        [(sunflower(5_000, 17_000.0), 1), (sunflower(5_000, 17_000.0), 900), (sunflower(60, 17_000.0), 3)]
    {
        let roster = roster_of(&friends);
        roster.sweep();
        for case in 0..30 {
            let at = away(berlin, f64::from(case) * 900.0, f64::from(case));
            let case = Case { at, friends: friends.clone(), want: 4, cap_m: 30_000.0, one_in };
            case.compare(&case.walk(&roster));
        }
    }
}

#[test]
fn a_dense_city_is_not_searched_to_its_end() {
    let berlin = Point::new(52.52, 13.405).unwrap();
    let friends: Vec<Point> = (0..5_000)
        .map(|n| away(berlin, 17_000.0 * (f64::from(n) / 5_000.0).sqrt(), f64::from(n) * 2.399_963))
        .collect();
    let roster = roster_of(&friends);
    roster.sweep();
    let mut asked = 0;
    let walk = nearest(&roster, berlin, 3_800.0, 4, &mut |_, _| {
        asked += 1;
        Ok(())
    });
    assert!(walk.suitable.len() >= 4 && asked <= 60, "{asked}");
    assert!(walk.beyond_m.is_some());
}
