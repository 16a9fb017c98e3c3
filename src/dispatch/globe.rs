//! The sphere and H3's grid upon it, as far as a search has to trust them: how far a cell's people can stand from its
//! centre, and how far away everybody outside of a ring of cells must be. Safe bounds, not estimates.
//!
//! They follow from how H3 is made. It lays a regular hexagonal lattice on each face of an icosahedron by the gnomonic
//! projection (<https://h3geo.org/docs/core-library/overview>). That projection only ever stretches: two points stand
//! no farther apart on the sphere than in the plane, faces unfolded along the way. It stretches by at most 1/cos² of
//! the angle to the face's centre, so nor do they stand nearer than cos² times the way in the plane.

use std::sync::LazyLock;

use h3o::{CellIndex, LatLng, Resolution};
use kiez_protocol::place::{EARTH_RADIUS_M, Point};

use super::nearest::LEAF;

/// What every bound gives away for rounding, metres. `Point::distance_m` loses up to 0.2 m near the antipode.
const SLACK_M: f64 = 1.0;

/// A point on the unit sphere: distances without trigonometry, and without seams at poles and antimeridian.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Vector([f64; 3]);

impl From<Point> for Vector {
    fn from(point: Point) -> Vector {
        Vector::at(point.lat().to_radians(), point.lng().to_radians())
    }
}

impl Vector {
    /// The centre of a cell.
    pub fn centre(cell: CellIndex) -> Vector {
        let centre = LatLng::from(cell);
        Vector::at(centre.lat_radians(), centre.lng_radians())
    }

    fn at(lat: f64, lng: f64) -> Vector {
        let (sin_lat, cos_lat) = lat.sin_cos();
        let (sin_lng, cos_lng) = lng.sin_cos();
        Vector([cos_lat * cos_lng, cos_lat * sin_lng, sin_lat])
    }

    /// Latitude and longitude in degrees.
    pub fn degrees(self) -> (f64, f64) {
        let [x, y, z] = self.0;
        (z.clamp(-1.0, 1.0).asin().to_degrees(), y.atan2(x).to_degrees())
    }

    /// The straight way through the earth in metres: never longer than the distance, and nearly as long in a city.
    pub fn chord_m(self, other: Vector) -> f64 {
        let [x, y, z] = [0, 1, 2].map(|axis| self.0[axis] - other.0[axis]);
        EARTH_RADIUS_M * (x * x + y * y + z * z).sqrt()
    }

    fn dot(self, other: Vector) -> f64 {
        self.0[0] * other.0[0] + self.0[1] * other.0[1] + self.0[2] * other.0[2]
    }
}

/// From a cell's centre to its neighbour's in the plane of the face, metres, by resolution. Each is √7 times finer.
const SPACING_M: [f64; 10] = {
    // H3's RES0_U_GNOMONIC.
    let mut spacing = [EARTH_RADIUS_M * 0.381_966_011_250_105; 10];
    let mut resolution = 1;
    while resolution < 10 {
        spacing[resolution] = spacing[resolution - 1] / 2.645_751_311_064_590_7;
        resolution += 1;
    }
    spacing
};

/// How far from a cell's centre anybody below it can stand, metres, by resolution: from centre to child's centre, and
/// so on down to the leaf, and there to a corner. Children stick out of their parents; this counts them in.
const REACH_M: [f64; 10] = {
    let mut reach = [SPACING_M[9] / 1.732_050_807_568_877_2; 10];
    let mut resolution = 9;
    while resolution > 0 {
        resolution -= 1;
        reach[resolution] = reach[resolution + 1] + SPACING_M[resolution + 1];
    }
    reach
};

fn index(resolution: Resolution) -> usize {
    usize::from(u8::from(resolution.min(LEAF)))
}

/// How far from its centre anybody below a cell of this resolution can stand, metres. Resolution 0 to [`LEAF`].
pub fn reach_m(resolution: Resolution) -> f64 {
    REACH_M[index(resolution)]
}

/// No one below the cell with this centre stands nearer to `from`, metres.
pub fn nearest_in_cell_m(from: Vector, centre: Vector, resolution: Resolution) -> f64 {
    (from.chord_m(centre) - reach_m(resolution) - SLACK_M).max(0.0)
}

/// No one outside of so many rings round the cell with this centre stands nearer to `from`, metres; `from` lies in or
/// near that cell. Holds where no cell within the rings is a pentagon.
pub fn nearest_outside_m(from: Vector, centre: Vector, resolution: Resolution, rings: u32) -> f64 {
    // In the plane, in spacings: a ring is √3/2 wide, from the last one's middle to the nearest notch of its outline it
    // is 1/√12, and from there to the centre of whichever cell lies outside half a one.
    let way_m = (0.866 * f64::from(rings) + 0.288 + 0.5) * SPACING_M[index(resolution)];
    // A chord of a few hundred kilometres is shorter than its arc by less than this.
    let aside_m = from.chord_m(centre) * 1.001;
    (least_scale(centre, way_m) * way_m - aside_m - reach_m(resolution) - SLACK_M).max(0.0)
}

/// Everybody within so many metres of the centre of a leaf stands in that leaf.
pub fn inside_leaf_m(centre: Vector) -> f64 {
    let inradius_m = SPACING_M[index(LEAF)] / 2.0;
    least_scale(centre, inradius_m) * inradius_m - SLACK_M
}

/// The angle between the centre of a face of the icosahedron and its corner.
const FACE_MAX_RADIANS: f64 = 0.652_358_139_784_368_3;

/// The least ratio of a way on the sphere to the same way in the plane, for ways that stay within `within_m` of here.
fn least_scale(here: Vector, within_m: f64) -> f64 {
    let nearest = FACES.iter().map(|face| face.dot(here)).fold(-1.0, f64::max);
    let angle = nearest.clamp(-1.0, 1.0).acos() + within_m / EARTH_RADIUS_M;
    let cosine = angle.min(FACE_MAX_RADIANS).cos();
    cosine * cosine
}

/// The centres of the icosahedron's faces: its corners are the pentagons, its faces the triples of neighbours.
static FACES: LazyLock<Vec<Vector>> = LazyLock::new(|| {
    let corners: Vec<Vector> = Resolution::Zero.pentagons().map(Vector::centre).collect();
    let neighbours = |a: Vector, b: Vector| a.dot(b) > 0.4;
    let mut faces = Vec::with_capacity(20);
    for (a, &first) in corners.iter().enumerate() {
        for (b, &second) in corners.iter().enumerate().skip(a + 1) {
            for &third in &corners[b + 1..] {
                if neighbours(first, second) && neighbours(second, third) && neighbours(first, third) {
                    let sum = [0, 1, 2].map(|axis| first.0[axis] + second.0[axis] + third.0[axis]);
                    let length = (sum[0] * sum[0] + sum[1] * sum[1] + sum[2] * sum[2]).sqrt();
                    faces.push(Vector(sum.map(|part| part / length)));
                }
            }
        }
    }
    faces
});

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::nearest::COARSEST;
    use super::*;

    /// Points everywhere, and as many close to the corners of the icosahedron, where the grid is at its worst.
    fn points() -> impl Strategy<Value = Point> {
        let anywhere = (-1.0f64..=1.0, -180.0f64..=180.0);
        let by_a_corner = (0usize..12, -0.5f64..0.5, -0.5f64..0.5);
        prop_oneof![
            anywhere.prop_map(|(z, lng)| Point::new(z.asin().to_degrees(), lng).unwrap()),
            by_a_corner.prop_map(|(corner, lat, lng)| {
                let (by_lat, by_lng) = Vector::centre(Resolution::Four.pentagons().nth(corner).unwrap()).degrees();
                Point::new(by_lat + lat, (by_lng + lng).clamp(-180.0, 180.0)).unwrap()
            }),
        ]
    }

    fn leaf(point: Point) -> CellIndex {
        LatLng::new(point.lat(), point.lng()).unwrap().to_cell(LEAF)
    }

    #[test]
    fn an_icosahedron_has_twenty_faces() {
        assert_eq!(FACES.len(), 20);
        let corner = Vector::centre(Resolution::Zero.pentagons().next().unwrap());
        let nearest = FACES.iter().map(|face| face.dot(corner)).fold(-1.0, f64::max);
        assert!((nearest.acos() - FACE_MAX_RADIANS).abs() < 1e-6);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn nobody_stands_out_of_reach(point in points()) {
            for resolution in Resolution::range(COARSEST, LEAF) {
                let centre = Vector::centre(leaf(point).parent(resolution).unwrap());
                prop_assert!(Vector::from(point).chord_m(centre) <= reach_m(resolution) + SLACK_M);
            }
        }

        #[test]
        fn nobody_outside_the_disk_is_nearer_than_the_bound(
            point in points(), away in 0.0f64..5.0, towards in 0.0f64..std::f64::consts::TAU, rings in 1u32..4,
        ) {
            for resolution in Resolution::range(COARSEST, LEAF) {
                let home = leaf(point).parent(resolution).unwrap();
                let disk: Vec<CellIndex> = home.grid_disk(rings);
                let away = (away * SPACING_M[index(resolution)] / EARTH_RADIUS_M).to_degrees();
                let lat = point.lat() + away * towards.sin();
                let lng = point.lng() + away * towards.cos() / point.lat().to_radians().cos();
                let Ok(other) = Point::new(lat, lng) else { continue };
                let outside = !disk.contains(&leaf(other).parent(resolution).unwrap());
                if outside && disk.iter().all(|cell| !cell.is_pentagon()) {
                    let bound = nearest_outside_m(point.into(), Vector::centre(home), resolution, rings);
                    prop_assert!(point.distance_m(other) >= bound, "{resolution} {bound}");
                }
            }
        }

        #[test]
        fn who_is_inside_the_leaf_is_in_the_leaf(
            point in points(), share in 0.0f64..1.0, towards in 0.0f64..std::f64::consts::TAU,
        ) {
            let home = leaf(point);
            let centre = Vector::centre(home);
            let away = (share * inside_leaf_m(centre) / EARTH_RADIUS_M).to_degrees();
            let (lat, lng) = centre.degrees();
            let other = (lat + away * towards.sin(), lng + away * towards.cos() / lat.to_radians().cos());
            if let Ok(other) = Point::new(other.0, other.1)
                && centre.chord_m(other.into()) <= inside_leaf_m(centre)
            {
                prop_assert_eq!(leaf(other), home);
            }
        }
    }
}
