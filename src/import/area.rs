//! Service areas cut into cells. A geometry from outside is measured before anything is done with it: degrees that are not on
//! the earth, outlines without end and areas of a continent are refused in words, because the grid would work on them for
//! minutes, or panic.
//!
//! A cell belongs to the area when its centre lies within or the outline passes through it: at the border the area is
//! generous by less than a cell.

use std::collections::{BTreeSet, VecDeque};

use h3o::{CellIndex, LatLng, Resolution};
use kiez_protocol::place::{Area, Cell, EARTH_RADIUS_M, Point, Ring};

/// Points of one geometry.
const POINTS_MAX: usize = 5_000;
/// The area of one geometry, km²: more than Switzerland, less than a continent.
const AREA_KM2_MAX: f64 = 100_000.0;
/// All outlines of one geometry, km: the border of Germany, with all its bends, five times.
const OUTLINE_KM_MAX: f64 = 20_000.0;
/// Cells an area is kept as.
const CELLS_MAX: usize = 5_000;
/// Cells an area is first cut into, about: a finer resolution is taken as long as it makes fewer.
const CUT_ABOUT: f64 = 20_000.0;
/// Cells before they are compacted, at most: an outline that crosses itself may hold far more than it measures.
const FILLED_MAX: usize = 100_000;
/// The finest resolution an area is cut at: an edge of about 530 m.
const FINEST: Resolution = Resolution::Eight;

/// The area as cells, in ascending order.
///
/// # Errors
/// What is wrong with it, in words.
pub fn cut(area: &Area) -> Result<Area, String> {
    let cells = match area {
        Area::Cells { cells } => of_cells(cells)?,
        Area::Polygon { coordinates } => of_polygons(std::slice::from_ref(coordinates))?,
        Area::MultiPolygon { coordinates } => of_polygons(coordinates)?,
    };
    if !(1..=CELLS_MAX).contains(&cells.len()) {
        return Err(format!("is {} cells; 1 to {CELLS_MAX} are taken", cells.len()));
    }
    Ok(Area::Cells { cells: cells.into_iter().collect() })
}

fn of_cells(cells: &[Cell]) -> Result<BTreeSet<Cell>, String> {
    if cells.len() > CELLS_MAX {
        return Err(format!("is {} cells; 1 to {CELLS_MAX} are taken", cells.len()));
    }
    let fits = |cell: &Cell| CellIndex::try_from(cell.0).is_ok_and(|cell| cell.resolution() <= Resolution::Nine);
    match cells.iter().find(|cell| !fits(cell)) {
        Some(cell) => Err(format!("{cell} is no H3 cell of resolution 0 to 9")),
        None => Ok(cells.iter().copied().collect()),
    }
}

fn of_polygons(polygons: &[Vec<Ring>]) -> Result<BTreeSet<Cell>, String> {
    let points = polygons.iter().flatten().map(Vec::len).sum::<usize>();
    if points > POINTS_MAX {
        return Err(format!("has {points} points; at most {POINTS_MAX} are taken"));
    }
    let (mut area_km2, mut outline_km) = (0.0, 0.0);
    for polygon in polygons {
        let (outer, _) = polygon.split_first().ok_or("a polygon has an outline")?;
        for ring in polygon {
            fits(ring)?;
            outline_km += sides(ring).map(|(from, to)| from.distance_m(to)).sum::<f64>() / 1_000.0;
        }
        area_km2 += ring_km2(outer);
    }
    if area_km2 > AREA_KM2_MAX {
        return Err(format!("has {area_km2:.0} km²; at most {AREA_KM2_MAX} are taken"));
    }
    if outline_km > OUTLINE_KM_MAX {
        return Err(format!("has an outline of {outline_km:.0} km; at most {OUTLINE_KM_MAX} are taken"));
    }
    let resolution = resolution_for(area_km2);
    let mut cells = BTreeSet::new();
    for polygon in polygons {
        fill(polygon, resolution, &mut cells)?;
    }
    let mut cells: Vec<CellIndex> = cells.into_iter().collect();
    CellIndex::compact(&mut cells).expect("all are of one resolution, and each stands once");
    Ok(cells.into_iter().map(|cell| Cell(cell.into())).collect())
}

/// Whether a ring can be walked round.
fn fits(ring: &Ring) -> Result<(), String> {
    if ring.len() < 4 || ring.first() != ring.last() {
        return Err("a ring has four points or more, the last equal to the first".to_owned());
    }
    if let Some([lng, lat]) = ring.iter().find(|[lng, lat]| Point::new(*lat, *lng).is_err()) {
        return Err(format!("[{lng}, {lat}] is not [longitude, latitude] on the earth"));
    }
    let lngs = ring.iter().map(|[lng, _]| *lng);
    let (west, east) = lngs.fold((f64::MAX, f64::MIN), |(west, east), lng| (west.min(lng), east.max(lng)));
    if east - west > 180.0 {
        return Err("a ring does not go across the antimeridian or half round the earth".to_owned());
    }
    Ok(())
}

fn sides(ring: &Ring) -> impl Iterator<Item = (Point, Point)> {
    let point = |[lng, lat]: [f64; 2]| Point::new(lat, lng).expect("measured before");
    ring.windows(2).map(move |side| (point(side[0]), point(side[1])))
}

/// The area within a ring, on the sphere.
fn ring_km2(ring: &Ring) -> f64 {
    let part = |(from, to): (Point, Point)| {
        (to.lng() - from.lng()).to_radians() * (2.0 + from.lat().to_radians().sin() + to.lat().to_radians().sin())
    };
    let radius_km = EARTH_RADIUS_M / 1_000.0;
    (sides(ring).map(part).sum::<f64>() * radius_km * radius_km / 2.0).abs()
}

fn resolution_for(area_km2: f64) -> Resolution {
    let mut fitting =
        Resolution::range(Resolution::Zero, FINEST).filter(|finer| area_km2 / finer.area_km2() <= CUT_ABOUT);
    fitting.next_back().unwrap_or(Resolution::Zero)
}

/// Adds the cells along the outline, and from there inwards whatever has its centre within.
fn fill(polygon: &[Ring], resolution: Resolution, cells: &mut BTreeSet<CellIndex>) -> Result<(), String> {
    let step_m = resolution.edge_length_m() / 2.0;
    let mut border: VecDeque<CellIndex> = VecDeque::new();
    for (from, to) in polygon.iter().flat_map(sides) {
        let steps = (from.distance_m(to) / step_m).ceil().max(1.0) as u32;
        for step in 0..=steps {
            let share = f64::from(step) / f64::from(steps);
            let mix = |a: f64, b: f64| a + (b - a) * share;
            let cell = cell(mix(from.lat(), to.lat()), mix(from.lng(), to.lng()), resolution);
            if cells.insert(cell) {
                border.push_back(cell);
            }
        }
    }
    while let Some(cell) = border.pop_front() {
        if cells.len() > FILLED_MAX {
            return Err(format!("is more than {FILLED_MAX} cells: does its outline cross itself?"));
        }
        for neighbour in cell.grid_disk::<Vec<_>>(1) {
            if !cells.contains(&neighbour) && holds(polygon, neighbour.into()) {
                cells.insert(neighbour);
                border.push_back(neighbour);
            }
        }
    }
    Ok(())
}

fn cell(lat: f64, lng: f64, resolution: Resolution) -> CellIndex {
    LatLng::new(lat, lng).expect("between two points of the earth").to_cell(resolution)
}

/// Whether a point lies within: from there to the east the outlines are crossed an odd number of times.
fn holds(polygon: &[Ring], point: LatLng) -> bool {
    let crossed = polygon.iter().flat_map(|ring| ring.windows(2)).filter(|side| {
        let ([from_lng, from_lat], [to_lng, to_lat]) = (side[0], side[1]);
        (from_lat > point.lat()) != (to_lat > point.lat())
            && point.lng() < from_lng + (to_lng - from_lng) * (point.lat() - from_lat) / (to_lat - from_lat)
    });
    crossed.count() % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(lat: f64, lng: f64, half: f64) -> Ring {
        let (south, north, west, east) = (lat - half, lat + half, lng - half, lng + half);
        vec![[west, south], [east, south], [east, north], [west, north], [west, south]]
    }

    fn cells(area: &Area) -> Vec<CellIndex> {
        let Ok(Area::Cells { cells }) = cut(area) else { panic!("cut: {:?}", cut(area)) };
        cells.iter().map(|cell| CellIndex::try_from(cell.0).expect("a cell")).collect()
    }

    /// Whether one of the cells has this place below it.
    fn has(cells: &[CellIndex], lat: f64, lng: f64) -> bool {
        let leaf = cell(lat, lng, Resolution::Nine);
        cells.iter().any(|cell| leaf.parent(cell.resolution()) == Some(*cell))
    }

    #[test]
    fn a_square_is_cut_into_the_cells_within_and_on_its_border() {
        // 22 by 14 km round the middle of Berlin, without a square of 4 by 3 km in it.
        let rings = vec![square(52.52, 13.405, 0.1), square(52.52, 13.405, 0.02)];
        let cells = cells(&Area::Polygon { coordinates: rings });
        assert!(cells.len() < 300, "{} cells, compacted", cells.len());
        for (lat, lng, within) in [
            (52.60, 13.405, true),
            (52.4205, 13.3055, true),
            (52.64, 13.405, false),
            (52.52, 13.52, false),
            (52.52, 13.405, false),
            (52.545, 13.405, true),
        ] {
            assert_eq!(has(&cells, lat, lng), within, "{lat} {lng}");
        }
        let total_km2: f64 = cells.iter().map(|cell| cell.area_km2()).sum();
        // 301.2 km² less 12, and a seam of half a cell along 88 km of outline.
        assert!((289.0..345.0).contains(&total_km2), "{total_km2}");
    }

    #[test]
    fn several_polygons_are_one_area_and_larger_ones_are_cut_coarser() {
        let zurich = square(47.38, 8.54, 0.05);
        let geneva = square(46.20, 6.15, 0.05);
        let both = cells(&Area::MultiPolygon { coordinates: vec![vec![zurich], vec![geneva]] });
        assert!(has(&both, 47.38, 8.54) && has(&both, 46.20, 6.15) && !has(&both, 46.95, 7.44));
        let country = cells(&Area::Polygon { coordinates: vec![square(47.0, 8.0, 1.2)] });
        assert!(country.iter().all(|cell| cell.resolution() <= Resolution::Seven));
        assert!(has(&country, 47.9, 7.0) && !has(&country, 48.3, 8.0));
    }

    #[test]
    fn what_cannot_be_cut_is_refused_in_words() {
        let polygon = |ring: Ring| Area::Polygon { coordinates: vec![ring] };
        let mut open = square(52.0, 13.0, 0.1);
        open.pop();
        let mut absurd = square(52.0, 13.0, 0.1);
        absurd[1] = [1e20, 52.0];
        let zigzag: Ring = (0..4_999).map(|n| [13.0 + f64::from(n % 2) * 3.0, 52.0]).chain([[13.0, 52.0]]).collect();
        for (area, word) in [
            (Area::Cells { cells: vec![] }, "0 cells"),
            (Area::Cells { cells: vec![Cell(7)] }, "no H3 cell"),
            (Area::Cells { cells: vec![Cell(0x08a1_f1d4_887f_ffff)] }, "no H3 cell"),
            (Area::Polygon { coordinates: vec![] }, "outline"),
            (polygon(open), "four points"),
            (polygon(vec![]), "four points"),
            (polygon(absurd), "on the earth"),
            (polygon(vec![[f64::NAN, 52.0]; 5]), "four points"),
            (polygon(square(0.0, 0.0, 89.0)), "km²"),
            (polygon(vec![[-170.0, 1.0], [170.0, 1.0], [170.0, 2.0], [-170.0, 1.0]]), "antimeridian"),
            (polygon(zigzag), "outline of"),
            (polygon(vec![[13.0, 52.0]; 5_001]), "points"),
            (polygon(vec![[0.0, 40.0], [20.0, 60.0], [20.0, 40.0], [0.0, 60.0], [0.0, 40.0]]), "cross itself"),
        ] {
            let refused = cut(&area).expect_err("refused");
            assert!(refused.contains(word), "{refused}");
        }
    }

    #[test]
    fn a_point_and_a_line_are_the_cells_they_touch() {
        assert_eq!(cells(&Area::Polygon { coordinates: vec![vec![[13.4, 52.5]; 4]] }).len(), 1);
        let line = vec![[13.4, 52.5], [13.5, 52.5], [13.4, 52.5], [13.4, 52.5]];
        assert!((5..20).contains(&cells(&Area::Polygon { coordinates: vec![line] }).len()));
    }
}
