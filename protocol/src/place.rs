//! Points on the earth, checked at the door, and the one distance the trade knows.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The mean radius of the earth by which all distances of the trade are reckoned, in metres.
/// Source: IUGG mean radius R1 of WGS 84.
pub const EARTH_RADIUS_M: f64 = 6_371_008.8;

/// A point: WGS 84 degrees. Latitude −90 to 90, longitude −180 to 180; anything else, NaN included, cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(try_from = "RawPoint")]
pub struct Point {
    /// Latitude, degrees north, −90 to 90.
    #[cfg_attr(feature = "schemas", schemars(range(min = -90.0, max = 90.0)))]
    lat: f64,
    /// Longitude, degrees east, −180 to 180.
    #[cfg_attr(feature = "schemas", schemars(range(min = -180.0, max = 180.0)))]
    lng: f64,
}

#[derive(Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct RawPoint {
    /// Latitude, degrees north, −90 to 90.
    #[cfg_attr(feature = "schemas", schemars(range(min = -90.0, max = 90.0)))]
    lat: f64,
    /// Longitude, degrees east, −180 to 180.
    #[cfg_attr(feature = "schemas", schemars(range(min = -180.0, max = 180.0)))]
    lng: f64,
}

/// A latitude or longitude that is not on the earth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NotOnEarth;

impl fmt::Display for NotOnEarth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("lat must lie in -90 to 90 and lng in -180 to 180 degrees")
    }
}
impl std::error::Error for NotOnEarth {}

impl TryFrom<RawPoint> for Point {
    type Error = NotOnEarth;
    fn try_from(raw: RawPoint) -> Result<Point, NotOnEarth> {
        Point::new(raw.lat, raw.lng)
    }
}

impl Point {
    /// The point at `lat`, `lng` degrees.
    ///
    /// # Errors
    /// [`NotOnEarth`] when either is out of range or not a number.
    pub fn new(lat: f64, lng: f64) -> Result<Point, NotOnEarth> {
        // Written so that NaN falls out as well.
        if (-90.0..=90.0).contains(&lat) && (-180.0..=180.0).contains(&lng) {
            Ok(Point { lat, lng })
        } else {
            Err(NotOnEarth)
        }
    }

    /// Latitude in degrees, −90 to 90.
    pub fn lat(self) -> f64 {
        self.lat
    }

    /// Longitude in degrees, −180 to 180.
    pub fn lng(self) -> f64 {
        self.lng
    }

    /// Great-circle distance in metres by the haversine formula on a sphere of [`EARTH_RADIUS_M`].
    pub fn distance_m(self, other: Point) -> f64 {
        let (lat_a, lat_b) = (self.lat.to_radians(), other.lat.to_radians());
        let half_lat = ((lat_b - lat_a) / 2.0).sin();
        let half_lng = ((other.lng - self.lng).to_radians() / 2.0).sin();
        let chord = half_lat * half_lat + lat_a.cos() * lat_b.cos() * half_lng * half_lng;
        2.0 * EARTH_RADIUS_M * chord.sqrt().min(1.0).asin()
    }
}

/// The step to which distances are rounded before friends are ranked, in metres.
pub const DISTANCE_STEP_M: u32 = 50;

/// A distance rounded half up to [`DISTANCE_STEP_M`], as it ranks and as it is shown.
pub fn rounded_m(distance_m: f64) -> u32 {
    let step = f64::from(DISTANCE_STEP_M);
    ((distance_m / step + 0.5).floor() * step) as u32
}

/// A cell of the H3 grid, written as its index in hexadecimal: `881f1d4887fffff`. Whether there is such a cell is checked
/// where cells are used.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cell(pub u64);

/// A text is not the index of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotACell;

impl fmt::Display for NotACell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a cell is an H3 index of 15 or 16 hexadecimal digits")
    }
}
impl std::error::Error for NotACell {}

impl FromStr for Cell {
    type Err = NotACell;
    fn from_str(text: &str) -> Result<Cell, NotACell> {
        let digits = (15..=16).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        digits.then(|| u64::from_str_radix(text, 16).ok()).flatten().map(Cell).ok_or(NotACell)
    }
}
impl TryFrom<String> for Cell {
    type Error = NotACell;
    fn try_from(text: String) -> Result<Cell, NotACell> {
        text.parse()
    }
}
impl From<Cell> for String {
    fn from(cell: Cell) -> String {
        cell.to_string()
    }
}
impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}
impl fmt::Debug for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(feature = "schemas")]
impl schemars::JsonSchema for Cell {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Cell".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^[0-9a-fA-F]{15,16}$"})
    }
}

/// A ring of a polygon as GeoJSON has it: `[longitude, latitude]` in degrees, the last equal to the first.
pub type Ring = Vec<[f64; 2]>;

/// An area of the earth: a set of cells, or a geometry of GeoJSON (RFC 7946), which is cut into cells when it is taken in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(tag = "type", deny_unknown_fields)]
pub enum Area {
    /// Cells of resolution 0 to 9, also of several; at most 5,000.
    Cells {
        /// The cells.
        cells: Vec<Cell>,
    },
    /// One polygon: its outline, then its holes.
    Polygon {
        /// At most 5,000 points in all, at most 100,000 km².
        coordinates: Vec<Ring>,
    },
    /// Several polygons.
    MultiPolygon {
        /// At most 5,000 points in all, at most 100,000 km².
        coordinates: Vec<Vec<Ring>>,
    },
}
