//! Real places to draw homes and jobs from: areas with their centre, how far they spread, and how many live there.
//! `README.md` beside this file names the origin of each table.

use kiez_protocol::directory::Country;
use kiez_protocol::partner::Address;
use kiez_protocol::place::{EARTH_RADIUS_M, Point};

use super::hours::Hour;
use crate::chance::Chance;

/// A part of a city.
#[derive(Clone, Debug)]
pub struct Area {
    /// Its name.
    pub name: String,
    /// A postcode in or near it.
    pub postcode: String,
    /// Its centre.
    pub centre: Point,
    /// How far homes lie from the centre, metres: the deviation of a normal distribution cut off at twice that.
    pub scatter_m: f64,
    /// How likely a friend lives here, against other areas.
    pub friends_weight: f64,
    /// How likely a job comes from here, against other areas.
    pub jobs_weight: f64,
}

/// A city: its areas and what its addresses have in common.
#[derive(Clone, Debug)]
pub struct City {
    /// Its name.
    pub name: &'static str,
    /// Its country.
    pub country: Country,
    /// What phone numbers begin with.
    pub phone_prefix: &'static str,
    areas: Vec<Area>,
}

/// Streets that every city could have and that name nobody.
const STREETS: &[&str] = &[
    "Musterstraße",
    "Beispielweg",
    "Probeallee",
    "Lindengasse",
    "Am Modell",
    "Kastanienhof",
    "Musterplatz",
    "Steckdosenweg",
    "Antennenallee",
    "Routerring",
    "Kabelgasse",
    "Drahtzieherweg",
];

impl City {
    /// Berlin by its planning areas: friends live where adults do, jobs come from where people live, and twice as
    /// often from those of 65 and older.
    pub fn berlin() -> City {
        let areas = rows(include_str!("berlin.csv"), |column| {
            let (residents, adults, seniors) = (column(5), column(6), column(7));
            (adults + 0.3 * seniors, residents + seniors)
        });
        City { name: "Berlin", country: Country::De, phone_prefix: "+4930", areas }
    }

    /// The same areas and friends, with jobs from where people are at home at that hour.
    pub fn berlin_at(hour: Hour) -> City {
        let areas = rows(include_str!("berlin.csv"), |column| {
            let (adults, seniors) = (column(6), column(7));
            (adults + 0.3 * seniors, hour.bookings_of(adults, seniors))
        });
        City { areas, ..City::berlin() }
    }

    /// Zürich by its quarters: both by where people have asked for something to be fixed.
    pub fn zurich() -> City {
        let areas = rows(include_str!("zurich.csv"), |column| (column(5), column(5)));
        City { name: "Zürich", country: Country::Ch, phone_prefix: "+4144", areas }
    }

    /// Its areas.
    pub fn areas(&self) -> &[Area] {
        &self.areas
    }

    /// Somebody's home.
    pub fn home(&self, chance: &mut Chance) -> Point {
        let area = chance.weighted(self.areas.iter().map(|area| area.friends_weight));
        self.areas[area].point(chance)
    }

    /// Where a job is, with an address.
    pub fn job_place(&self, chance: &mut Chance) -> (Point, Address) {
        let area = chance.weighted(self.areas.iter().map(|area| area.jobs_weight));
        (self.areas[area].point(chance), self.address(&self.areas[area], chance))
    }

    /// A place at most `within_m` metres from `centre`, with an address.
    pub fn job_place_near(&self, centre: Point, within_m: f64, chance: &mut Chance) -> (Point, Address) {
        let nearest =
            self.areas.iter().min_by(|a, b| a.centre.distance_m(centre).total_cmp(&b.centre.distance_m(centre)));
        // The root makes places equally likely per square metre.
        let distance_m = within_m * chance.unit().sqrt();
        let place = moved(centre, distance_m, chance.between(0.0, std::f64::consts::TAU));
        (place, self.address(nearest.expect("every city has areas"), chance))
    }

    fn address(&self, area: &Area, chance: &mut Chance) -> Address {
        Address {
            street: format!("{} {}", chance.pick(STREETS), 1 + chance.below(120)),
            postcode: area.postcode.clone(),
            city: self.name.to_owned(),
            country: self.country,
        }
    }
}

impl Area {
    fn point(&self, chance: &mut Chance) -> Point {
        let distance_m = (chance.normal().abs() * self.scatter_m).min(2.0 * self.scatter_m);
        moved(self.centre, distance_m, chance.between(0.0, std::f64::consts::TAU))
    }
}

/// The point `distance_m` metres from `from` in a direction (radians, 0 is north), rounded to the 6 decimals of a real
/// fix (0.1 m). Good for the width of a city; not for poles.
pub fn moved(from: Point, distance_m: f64, direction: f64) -> Point {
    let angle = distance_m / EARTH_RADIUS_M;
    let lat = from.lat() + (angle * direction.cos()).to_degrees();
    let lng = from.lng() + (angle * direction.sin()).to_degrees() / from.lat().to_radians().cos();
    let rounded = |degrees: f64| (degrees * 1e6).round() / 1e6;
    Point::new(rounded(lat), rounded(lng)).expect("a walk in a city stays on the earth")
}

fn rows(table: &str, weights: impl Fn(&dyn Fn(usize) -> f64) -> (f64, f64)) -> Vec<Area> {
    let mut areas = Vec::new();
    for row in csv::Reader::from_reader(table.as_bytes()).records() {
        let row = row.expect("the table is part of this crate and its rows are whole");
        let number =
            |column: usize| -> f64 { row[column].parse().expect("the table's columns are numbers from the third") };
        let (friends_weight, jobs_weight) = weights(&number);
        areas.push(Area {
            name: row[0].to_owned(),
            postcode: row[1].to_owned(),
            centre: Point::new(number(2), number(3)).expect("the table's places are on the earth"),
            scatter_m: number(4),
            friends_weight,
            jobs_weight,
        });
    }
    areas
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homes_lie_in_the_city_and_follow_the_residents() {
        let city = City::berlin();
        assert_eq!(city.areas().len(), 445);
        let mut chance = Chance::new(1);
        let centre = Point::new(52.5200, 13.4050).unwrap();
        let far = (0..2_000).filter(|_| city.home(&mut chance).distance_m(centre) > 30_000.0).count();
        assert_eq!(far, 0);
        let within_ring = (0..2_000).filter(|_| city.home(&mut chance).distance_m(centre) < 8_000.0).count();
        // About four in ten Berliners live within 8 km of Alexanderplatz.
        assert!((700..1_300).contains(&within_ring), "{within_ring}");
    }

    #[test]
    fn a_move_is_as_long_as_it_says() {
        let from = Point::new(52.5, 13.4).unwrap();
        for (distance_m, direction) in [(10.0, 0.0), (400.0, 1.0), (5_000.0, 2.5), (15_000.0, 4.0)] {
            let there = moved(from, distance_m, direction);
            assert!((from.distance_m(there) - distance_m).abs() < 0.2 + distance_m * 2e-3, "{distance_m}");
        }
    }

    #[test]
    fn an_address_has_a_postcode_and_a_job_near_somebody_is_near() {
        let city = City::zurich();
        let mut chance = Chance::new(2);
        let centre = Point::new(47.3769, 8.5417).unwrap();
        let (place, address) = city.job_place_near(centre, 900.0, &mut chance);
        assert!(place.distance_m(centre) <= 905.0);
        assert!(address.postcode.starts_with("80") && address.city == "Zürich");
    }
}
