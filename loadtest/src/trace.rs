//! Reads a day of real life from a trace: where things were wanted, and where helpers stood and went. The format is
//! described in `traces/README.md`, so that anybody can bring their own.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use kiez_protocol::place::Point;
use kiez_protocol::time::Time;
use serde::Deserialize;

use crate::chance::Chance;
use crate::route::Track;

const HOUR_MS: i64 = 3_600_000;

/// Why a trace cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// A file is not there or cannot be read.
    #[error("{}: {fault}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        fault: std::io::Error,
    },
    /// A row is not as `traces/README.md` says.
    #[error("{}, line {line}: {detail}", path.display())]
    Row {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: u64,
        /// What does not fit.
        detail: String,
    },
    /// The time zone is unknown, or the day does not exist in it.
    #[error("{0}")]
    Day(String),
    /// The same provider is asked for jobs and for friends.
    #[error("{0} cannot give both jobs and friends: the friend would stand on the job")]
    Both(String),
    /// The day holds nothing to replay.
    #[error("no {what} on {day} in this trace, from {providers}")]
    Empty {
        /// Jobs or friends.
        what: &'static str,
        /// The day.
        day: Date,
        /// The providers asked for.
        providers: String,
    },
}

/// What to take from a trace.
#[derive(Clone, Debug)]
pub struct Selection {
    /// The local day.
    pub day: Date,
    /// The IANA time zone in which the day is meant.
    pub time_zone: String,
    /// The local hours in which jobs are taken, from the first up to, not including, the second; 0 to 24.
    pub hours: (u8, u8),
    /// Providers whose plausible trips are jobs, each where it starts.
    pub jobs_from: Vec<String>,
    /// Providers whose vehicles are friends.
    pub friends_from: Vec<String>,
    /// Starts are spread by chance over so many seconds after the recorded one: the time between two polls.
    pub jitter_s: u32,
    /// The seed of the spread.
    pub seed: u64,
}

/// A day to be replayed. Instants are ms since local midnight.
#[derive(Clone, Debug)]
pub struct DayTrace {
    /// Jobs: when and where, in order.
    pub jobs: Vec<(i64, Point)>,
    /// Friends: provider and name, and their way.
    pub friends: Vec<(String, Track)>,
    /// When the replay begins.
    pub from_ms: i64,
    /// When it ends.
    pub to_ms: i64,
}

#[derive(Deserialize)]
struct TripRow {
    start_utc: Time,
    provider: String,
    start_lat: f64,
    start_lng: f64,
    plausible: u8,
}

#[derive(Deserialize)]
struct PositionRow {
    t_utc: Time,
    provider: String,
    bike_id: String,
    trip_id: String,
    lat: f64,
    lng: f64,
}

impl DayTrace {
    /// Reads the selected day from `trips.csv` and `positions.csv` (or `positions.csv.gz`) in `folder`.
    ///
    /// # Errors
    /// See [`TraceError`].
    pub fn read(folder: &Path, selection: &Selection) -> Result<DayTrace, TraceError> {
        if let Some(both) = selection.jobs_from.iter().find(|provider| selection.friends_from.contains(provider)) {
            return Err(TraceError::Both(both.clone()));
        }
        let zone = TimeZone::get(&selection.time_zone).map_err(|fault| TraceError::Day(fault.to_string()))?;
        let midnight = selection.day.to_zoned(zone).map_err(|fault| TraceError::Day(fault.to_string()))?;
        let midnight_ms = midnight.timestamp().as_millisecond();
        let from_ms = i64::from(selection.hours.0) * HOUR_MS;
        let to_ms = i64::from(selection.hours.1) * HOUR_MS;
        let jobs = read_jobs(folder, selection, midnight_ms, from_ms..to_ms)?;
        let friends = read_friends(folder, selection, midnight_ms, from_ms..to_ms)?;
        let empty = |what, providers: &[String]| {
            Err(TraceError::Empty { what, day: selection.day, providers: providers.join(", ") })
        };
        if jobs.is_empty() {
            return empty("jobs", &selection.jobs_from);
        }
        if friends.is_empty() {
            return empty("friends", &selection.friends_from);
        }
        Ok(DayTrace { jobs, friends, from_ms, to_ms })
    }
}

fn read_jobs(
    folder: &Path,
    selection: &Selection,
    midnight_ms: i64,
    window: std::ops::Range<i64>,
) -> Result<Vec<(i64, Point)>, TraceError> {
    let path = folder.join("trips.csv");
    let file = File::open(&path).map_err(|fault| TraceError::File { path: path.clone(), fault })?;
    let mut jobs = Vec::new();
    for (number, row) in csv::Reader::from_reader(file).deserialize::<TripRow>().enumerate() {
        let line = number as u64 + 2;
        let row = row.map_err(|fault| row_fault(&path, line, &fault))?;
        let at_ms = row.start_utc.0 - midnight_ms;
        if row.plausible == 0 || !selection.jobs_from.contains(&row.provider) || !window.contains(&at_ms) {
            continue;
        }
        let place = Point::new(row.start_lat, row.start_lng).map_err(|fault| row_fault(&path, line, &fault))?;
        // Each trip has a chance of its own, so that other hours of the same day spread the same way.
        let spread = Chance::of(selection.seed, "jitter", number as u64).unit() * f64::from(selection.jitter_s);
        jobs.push((at_ms + (spread * 1_000.0) as i64, place));
    }
    jobs.sort_by_key(|(at_ms, _)| *at_ms);
    Ok(jobs)
}

fn read_friends(
    folder: &Path,
    selection: &Selection,
    midnight_ms: i64,
    window: std::ops::Range<i64>,
) -> Result<Vec<(String, Track)>, TraceError> {
    let plain = folder.join("positions.csv");
    let packed = folder.join("positions.csv.gz");
    let path = if plain.exists() { plain } else { packed };
    let file = File::open(&path).map_err(|fault| TraceError::File { path: path.clone(), fault })?;
    let reader: Box<dyn Read> = if path.extension().is_some_and(|ending| ending == "gz") {
        Box::new(MultiGzDecoder::new(file))
    } else {
        Box::new(file)
    };
    // By name, so that the order of friends follows from the trace alone.
    let mut seen: BTreeMap<String, Vec<(i64, Point, String)>> = BTreeMap::new();
    for (number, row) in csv::Reader::from_reader(reader).deserialize::<PositionRow>().enumerate() {
        let line = number as u64 + 2;
        let row = row.map_err(|fault| row_fault(&path, line, &fault))?;
        let at_ms = row.t_utc.0 - midnight_ms;
        if at_ms >= window.end || !selection.friends_from.contains(&row.provider) {
            continue;
        }
        let place = Point::new(row.lat, row.lng).map_err(|fault| row_fault(&path, line, &fault))?;
        let points = seen.entry(format!("{}/{}", row.provider, row.bike_id)).or_default();
        if points.last().is_some_and(|(last_ms, ..)| *last_ms > at_ms) {
            return Err(TraceError::Row { path, line, detail: "the rows are not sorted by time".to_owned() });
        }
        // Of the time before, only the last known place counts.
        if at_ms <= window.start {
            points.clear();
        }
        points.push((at_ms, place, row.trip_id));
    }
    let tracks = seen.into_iter().map(|(name, points)| {
        let mut track = Track::default();
        let mut last_trip = None;
        for (at_ms, place, trip) in points {
            track.push(at_ms, place, last_trip.as_ref() == Some(&trip));
            last_trip = Some(trip);
        }
        (name, track)
    });
    Ok(tracks.collect())
}

fn row_fault(path: &Path, line: u64, fault: &dyn std::fmt::Display) -> TraceError {
    TraceError::Row { path: path.to_owned(), line, detail: fault.to_string() }
}
