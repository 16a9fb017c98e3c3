//! Where people live and jobs come from: Berlin as it is settled, and a mountain canton where the next friend lives a
//! valley away. `README.md` beside this file names the origin of the tables.

use kiez_protocol::directory::Country;
use kiez_protocol::place::{EARTH_RADIUS_M, Point};

use super::chance::Chance;

/// Which places are simulated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum City {
    /// Berlin: 3.8 million on 890 km².
    #[default]
    Berlin,
    /// Graubünden: a fifth of a million on 7,100 km² of mountains. The search must widen far.
    Sparse,
}

impl City {
    /// The name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            City::Berlin => "berlin",
            City::Sparse => "sparse",
        }
    }

    pub(crate) fn country(self) -> Country {
        match self {
            City::Berlin => Country::De,
            City::Sparse => Country::Ch,
        }
    }
}

/// A part of the city.
#[derive(Clone, Debug)]
pub(crate) struct Area {
    pub name: &'static str,
    pub postcode: &'static str,
    centre: Point,
    scatter_m: f64,
    friends: f64,
    jobs: f64,
}

/// All its parts.
#[derive(Clone, Debug)]
pub(crate) struct Map(Vec<Area>);

impl Map {
    pub fn of(city: City) -> Map {
        Map(match city {
            // Friends live where adults do; jobs come from where people live, and more often from the old.
            City::Berlin => rows(include_str!("berlin.csv"), |column| {
                let (residents, adults, seniors) = (column(5), column(6), column(7));
                (adults + 0.3 * seniors, residents + seniors)
            }),
            City::Sparse => rows(include_str!("graubuenden.csv"), |column| (column(5), column(5))),
        })
    }

    /// Somebody's home.
    pub fn home(&self, chance: &mut Chance) -> Point {
        let area = chance.weighted(self.0.iter().map(|area| area.friends));
        self.0[area].point(chance)
    }

    /// A customer's door, and the part of the city it is in.
    pub fn door(&self, chance: &mut Chance) -> (Point, &Area) {
        let area = chance.weighted(self.0.iter().map(|area| area.jobs));
        (self.0[area].point(chance), &self.0[area])
    }
}

impl Area {
    fn point(&self, chance: &mut Chance) -> Point {
        let distance_m = (chance.normal().abs() * self.scatter_m).min(2.0 * self.scatter_m);
        moved(self.centre, distance_m, chance.between(0.0, std::f64::consts::TAU))
    }
}

/// The point `distance_m` metres from `from` in a direction (radians, 0 is north), to the 6 decimals of a real fix.
pub(crate) fn moved(from: Point, distance_m: f64, direction: f64) -> Point {
    let angle = distance_m / EARTH_RADIUS_M;
    let lat = from.lat() + (angle * direction.cos()).to_degrees();
    let lng = from.lng() + (angle * direction.sin()).to_degrees() / from.lat().to_radians().cos();
    rounded(lat, lng)
}

/// The point at this share of the way, 0 to 1. Good for the width of a city.
pub(crate) fn between(from: Point, to: Point, share: f64) -> Point {
    rounded(from.lat() + (to.lat() - from.lat()) * share, from.lng() + (to.lng() - from.lng()) * share)
}

/// The corner of a walk along streets: north or south first, then east or west.
pub(crate) fn corner(from: Point, to: Point) -> Point {
    rounded(to.lat(), from.lng())
}

fn rounded(lat: f64, lng: f64) -> Point {
    let rounded = |degrees: f64| (degrees * 1e6).round() / 1e6;
    Point::new(rounded(lat), rounded(lng)).expect("a walk in a city stays on the earth")
}

fn rows(table: &'static str, weights: impl Fn(&dyn Fn(usize) -> f64) -> (f64, f64)) -> Vec<Area> {
    let row = |line: &'static str| {
        let fields: Vec<&'static str> = line.split(',').collect();
        let number = |column: usize| fields[column].parse().expect("the table's columns are numbers from the third");
        let (friends, jobs) = weights(&number);
        Area {
            name: fields[0],
            postcode: fields[1],
            centre: Point::new(number(2), number(3)).expect("the table's places are on the earth"),
            scatter_m: number(4),
            friends,
            jobs,
        }
    };
    table.lines().skip(1).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homes_follow_the_residents() {
        let map = Map::of(City::Berlin);
        let mut chance = Chance::of(1, "homes", 0);
        let centre = Point::new(52.5200, 13.4050).unwrap();
        let within = (0..2_000).filter(|_| map.home(&mut chance).distance_m(centre) < 8_000.0).count();
        // About four in ten Berliners live within 8 km of Alexanderplatz.
        assert!((700..1_100).contains(&within), "{within}");
    }

    #[test]
    fn the_sparse_city_is_sparse() {
        let map = Map::of(City::Sparse);
        let mut chance = Chance::of(1, "homes", 0);
        let homes: Vec<Point> = (0..60).map(|_| map.home(&mut chance)).collect();
        let (door, _) = map.door(&mut chance);
        assert!(homes.iter().any(|home| home.distance_m(door) > 30_000.0));
    }
}
