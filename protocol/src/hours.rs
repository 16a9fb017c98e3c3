//! Hours of the week, as people say them: Monday to Friday, 17:00 to 21:30. They are meant in the local time of a country;
//! each country of kiez has one time zone, and the rules of summer time come from the bundled IANA database.
//!
//! All of this is a function of what is given: nothing here asks what time it is.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::directory::Country;
use crate::time::Time;

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Weekday {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

impl Weekday {
    fn of(date: Date) -> Weekday {
        use jiff::civil::Weekday as Day;
        match date.weekday() {
            Day::Monday => Weekday::Mon,
            Day::Tuesday => Weekday::Tue,
            Day::Wednesday => Weekday::Wed,
            Day::Thursday => Weekday::Thu,
            Day::Friday => Weekday::Fri,
            Day::Saturday => Weekday::Sat,
            Day::Sunday => Weekday::Sun,
        }
    }
}

/// Minutes of a day.
const DAY_MIN: u16 = 24 * 60;

/// A time of day by the clock on the wall, to the minute: `"17:00"`, from `"00:00"` to `"24:00"`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClockTime(u16);

/// A text is not a time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAClockTime;

impl fmt::Display for NotAClockTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time of day is HH:MM, 00:00 to 24:00")
    }
}
impl std::error::Error for NotAClockTime {}

impl ClockTime {
    /// Minutes since midnight, 0 to 1,440.
    pub fn minutes(self) -> u16 {
        self.0
    }
}

impl FromStr for ClockTime {
    type Err = NotAClockTime;
    fn from_str(text: &str) -> Result<ClockTime, NotAClockTime> {
        let two = |part: &str| {
            let digits = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| part.parse::<u16>().ok()).flatten().ok_or(NotAClockTime)
        };
        let (hour, minute) = text.split_once(':').ok_or(NotAClockTime)?;
        let (hour, minute) = (two(hour)?, two(minute)?);
        let minutes = hour * 60 + minute;
        if minute < 60 && minutes <= DAY_MIN { Ok(ClockTime(minutes)) } else { Err(NotAClockTime) }
    }
}

impl TryFrom<String> for ClockTime {
    type Error = NotAClockTime;
    fn try_from(text: String) -> Result<ClockTime, NotAClockTime> {
        text.parse()
    }
}
impl From<ClockTime> for String {
    fn from(time: ClockTime) -> String {
        time.to_string()
    }
}
impl fmt::Display for ClockTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}
impl fmt::Debug for ClockTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(feature = "schemas")]
impl schemars::JsonSchema for ClockTime {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ClockTime".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$"})
    }
}

/// Hours that come again every week. What goes past midnight is two of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Hours {
    /// On which days; empty: every day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<Weekday>,
    /// From then.
    pub from: ClockTime,
    /// Until then, later than `from`; `24:00` is midnight.
    pub to: ClockTime,
}

impl Hours {
    fn on(&self, day: Weekday) -> bool {
        self.days.is_empty() || self.days.contains(&day)
    }

    /// Whether an instant lies in these hours.
    pub fn hold(&self, country: Country, at: Time) -> bool {
        local(country, at).is_some_and(|local| {
            let minutes = minutes(local);
            self.on(Weekday::of(local.date())) && (self.from.0..self.to.0).contains(&minutes)
        })
    }
}

/// Hours of every night in which nobody is offered anything: from the evening to the morning after, or within one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct QuietHours {
    /// From then, `00:00` to `23:59`.
    pub from: ClockTime,
    /// Until then, another time than `from`.
    pub to: ClockTime,
}

impl QuietHours {
    /// 21:30 to 07:30.
    pub const NIGHT: QuietHours = QuietHours { from: ClockTime(21 * 60 + 30), to: ClockTime(7 * 60 + 30) };

    /// Whether these are hours of a day: neither the whole of it nor nothing.
    pub fn are_sound(self) -> bool {
        self.from.0 < DAY_MIN && self.to.0 < DAY_MIN && self.from != self.to
    }

    /// The quiet spans by the clock on the wall of `zone`, each from its first instant to the first one after it: the span
    /// in which `at` lies, if it lies in one, and those that follow.
    pub fn from_on(self, Zone(zone): &Zone, at: Time) -> impl Iterator<Item = (Time, Time)> + '_ {
        let yesterday = local_in(zone, at).and_then(|local| local.date().yesterday().ok());
        let days = std::iter::successors(yesterday, |day| day.tomorrow().ok());
        let span = move |day: Date| {
            let end = if self.to > self.from { day } else { day.tomorrow().ok()? };
            Some((instant_in(zone, day, self.from)?, instant_in(zone, end, self.to)?))
        };
        days.map_while(span).filter(move |(begins, ends)| begins < ends && *ends > at)
    }
}

/// A time zone. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Zone {
    /// The time zone of an IANA name; that of `country` where the name is not known.
    pub fn of(name: &str, country: Country) -> Zone {
        if name == country.time_zone() {
            return Zone(zone(country).clone());
        }
        Zone(TimeZone::get(name).unwrap_or_else(|_| zone(country).clone()))
    }

    /// What the clocks and calendars on the walls show at an instant. None for an instant that no calendar reaches.
    pub fn local(&self, at: Time) -> Option<Local> {
        let zoned = Timestamp::from_millisecond(at.0).ok()?.to_zoned(self.0.clone());
        Some(Local { date: zoned.date(), hour: zoned.hour().cast_unsigned(), minute: zoned.minute().cast_unsigned() })
    }
}

/// What the clocks and calendars of a place show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Local {
    date: Date,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
}

impl Local {
    /// Whether both are on one day.
    pub fn same_day(self, other: Local) -> bool {
        self.date == other.date
    }

    /// The day of the week: 1 is Monday, 7 is Sunday.
    pub fn weekday(self) -> u8 {
        self.date.weekday().to_monday_one_offset().cast_unsigned()
    }

    /// 1 to 12.
    pub fn month(self) -> u8 {
        self.date.month().cast_unsigned()
    }

    /// 1 to 31.
    pub fn day(self) -> u8 {
        self.date.day().cast_unsigned()
    }
}

/// Whether any of these hours meets the span from `from` (included) to `to` (not included).
pub fn meet(hours: &[Hours], country: Country, from: Time, to: Time) -> bool {
    if hours.is_empty() || from >= to {
        return false;
    }
    // After eight days every hour of the week has come.
    days_from(country, from).take(8).take_while(|day| midnight(country, *day).is_some_and(|at| at < to)).any(|day| {
        hours.iter().filter(|hours| hours.on(Weekday::of(day))).any(|hours| {
            let (begins, ends) = (instant(country, day, hours.from), instant(country, day, hours.to));
            begins.zip(ends).is_some_and(|(begins, ends)| begins < to && ends > from)
        })
    })
}

/// When next any of these hours begins or ends, after `after`.
pub fn next_change<'h>(hours: impl Iterator<Item = &'h Hours> + Clone, country: Country, after: Time) -> Option<Time> {
    // What begins on this weekday may have passed today, and come again in a week.
    days_from(country, after).take(8).find_map(|day| {
        let on_this_day = hours.clone().filter(|hours| hours.on(Weekday::of(day)));
        let changes = on_this_day.flat_map(|hours| [hours.from, hours.to]);
        changes.filter_map(|at| instant(country, day, at)).filter(|at| *at > after).min()
    })
}

/// The first instant of the calendar month in which `at` lies.
pub fn month_began(country: Country, at: Time) -> Option<Time> {
    midnight(country, local(country, at)?.date().first_of_month())
}

/// The first instant of the calendar year in which `at` lies.
pub fn year_began(country: Country, at: Time) -> Option<Time> {
    midnight(country, local(country, at)?.date().first_of_year())
}

impl Country {
    /// Every country of kiez.
    pub const ALL: [Country; 4] = [Country::Ch, Country::De, Country::At, Country::Pl];

    /// The IANA name of the country's time zone: each of them has one.
    pub fn time_zone(self) -> &'static str {
        match self {
            Country::Ch => "Europe/Zurich",
            Country::De => "Europe/Berlin",
            Country::At => "Europe/Vienna",
            Country::Pl => "Europe/Warsaw",
        }
    }
}

static ZONES: LazyLock<[TimeZone; 4]> = LazyLock::new(|| {
    Country::ALL.map(|country| TimeZone::get(country.time_zone()).expect("the bundled database has Europe"))
});

fn zone(country: Country) -> &'static TimeZone {
    &ZONES[match country {
        Country::Ch => 0,
        Country::De => 1,
        Country::At => 2,
        Country::Pl => 3,
    }]
}

/// None beyond the year 9999.
fn local(country: Country, at: Time) -> Option<DateTime> {
    local_in(zone(country), at)
}

fn local_in(zone: &TimeZone, at: Time) -> Option<DateTime> {
    Some(zone.to_datetime(Timestamp::from_millisecond(at.0).ok()?))
}

fn minutes(local: DateTime) -> u16 {
    u16::from(local.hour().unsigned_abs()) * 60 + u16::from(local.minute().unsigned_abs())
}

fn midnight(country: Country, day: Date) -> Option<Time> {
    instant(country, day, ClockTime(0))
}

fn instant(country: Country, day: Date, at: ClockTime) -> Option<Time> {
    instant_in(zone(country), day, at)
}

/// The instant of a clock time on a day. One that summer time leaves out is an hour later, one that comes twice is the first.
fn instant_in(zone: &TimeZone, day: Date, at: ClockTime) -> Option<Time> {
    let (day, minutes) = if at.0 == DAY_MIN { (day.tomorrow().ok()?, 0) } else { (day, at.0) };
    let (hour, minute) = (i8::try_from(minutes / 60).ok()?, i8::try_from(minutes % 60).ok()?);
    zone.to_timestamp(day.at(hour, minute, 0, 0)).ok().map(|at| Time(at.as_millisecond()))
}

fn days_from(country: Country, from: Time) -> impl Iterator<Item = Date> {
    std::iter::successors(local(country, from).map(DateTime::date), |day| day.tomorrow().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Time {
        text.parse().expect("an instant")
    }

    fn hours(days: &[Weekday], from: &str, to: &str) -> Hours {
        Hours { days: days.to_vec(), from: from.parse().expect("a time"), to: to.parse().expect("a time") }
    }

    #[test]
    fn a_time_of_day_is_read_to_the_minute_and_written_back() {
        for text in ["00:00", "09:05", "23:59", "24:00"] {
            assert_eq!(text.parse::<ClockTime>().map(|time| time.to_string()).as_deref(), Ok(text));
        }
        for text in ["24:01", "9:00", "09:60", "0900", "09:0", "-1:00", "+9:00", "", "09:00:00"] {
            assert_eq!(text.parse::<ClockTime>(), Err(NotAClockTime), "{text}");
        }
    }

    #[test]
    fn hours_are_local_in_summer_and_in_winter() {
        let evening = hours(&[Weekday::Mon], "17:00", "21:30");
        // 2026-07-20 and 2026-11-23 are Mondays: 17:00 is 15:00Z and 16:00Z.
        assert!(evening.hold(Country::De, at("2026-07-20T15:00:00Z")));
        assert!(!evening.hold(Country::De, at("2026-07-20T14:59:59.999Z")));
        assert!(!evening.hold(Country::De, at("2026-11-23T15:00:00Z")));
        assert!(evening.hold(Country::De, at("2026-11-23T20:29:59.999Z")));
        assert!(!evening.hold(Country::De, at("2026-11-23T20:30:00Z")));
        assert!(!evening.hold(Country::De, at("2026-11-24T17:00:00Z")));
        assert!(hours(&[], "00:00", "24:00").hold(Country::Pl, at("2026-11-24T22:59:59Z")));
    }

    #[test]
    fn hours_meet_a_span_that_touches_them() {
        let evening = [hours(&[Weekday::Mon], "17:00", "21:30")];
        let meet = |from, to| meet(&evening, Country::De, at(from), at(to));
        assert!(meet("2026-11-23T10:00:00Z", "2026-11-23T16:00:00.001Z"));
        assert!(!meet("2026-11-23T10:00:00Z", "2026-11-23T16:00:00Z"), "ends as they begin");
        assert!(!meet("2026-11-23T20:30:00Z", "2026-11-24T16:00:00Z"), "begins as they end");
        assert!(meet("2026-11-17T17:00:00Z", "2026-11-24T00:00:00Z"), "days later");
        assert!(meet("2026-11-23T22:00:00Z", "2099-01-01T00:00:00Z"), "a week later, and no day more is looked at");
        assert!(!meet("2026-11-23T18:00:00Z", "2026-11-23T18:00:00Z"), "an empty span");
        assert!(!super::meet(&[], Country::De, at("2026-11-23T10:00:00Z"), at("2026-12-23T10:00:00Z")));
    }

    #[test]
    fn the_next_change_is_found_across_summer_time() {
        let night = [hours(&[Weekday::Sun], "01:00", "04:00"), hours(&[], "09:00", "17:00")];
        let next = |after| next_change(night.iter(), Country::De, at(after)).expect("there is one");
        // The clocks go forward on 2026-03-29 at 02:00: three hours on the clock are two on the earth.
        assert_eq!(next("2026-03-28T20:00:00Z"), at("2026-03-29T00:00:00Z"));
        assert_eq!(next("2026-03-29T00:00:00Z"), at("2026-03-29T02:00:00Z"));
        assert_eq!(next("2026-03-29T02:00:00Z"), at("2026-03-29T07:00:00Z"));
        assert_eq!(next_change([].iter(), Country::De, at("2026-03-29T02:00:00Z")), None);
        let weekly = [hours(&[Weekday::Mon], "09:00", "10:00")];
        let after = at("2026-11-23T09:00:00Z");
        assert_eq!(next_change(weekly.iter(), Country::De, after), Some(at("2026-11-30T08:00:00Z")), "in a week");
    }

    #[test]
    fn quiet_hours_are_those_of_the_wall_clock_also_when_it_is_set() {
        let berlin = Zone::of("Europe/Berlin", Country::Ch);
        let night = |after| QuietHours::NIGHT.from_on(&berlin, at(after)).next().expect("one follows");
        let span = |begins, ends| (at(begins), at(ends));
        assert_eq!(night("2026-07-20T12:00:00Z"), span("2026-07-20T19:30:00Z", "2026-07-21T05:30:00Z"));
        assert_eq!(night("2026-07-21T05:29:59Z"), span("2026-07-20T19:30:00Z", "2026-07-21T05:30:00Z"));
        assert_eq!(night("2026-07-21T05:30:00Z"), span("2026-07-21T19:30:00Z", "2026-07-22T05:30:00Z"));
        // Nine hours in the night in which the clocks go forward, eleven in that in which they go back.
        assert_eq!(night("2026-03-28T21:00:00Z"), span("2026-03-28T20:30:00Z", "2026-03-29T05:30:00Z"));
        assert_eq!(night("2026-10-24T21:00:00Z"), span("2026-10-24T19:30:00Z", "2026-10-25T06:30:00Z"));
        let noon = QuietHours { from: "12:00".parse().expect("a time"), to: "13:30".parse().expect("a time") };
        let first = noon.from_on(&berlin, at("2026-11-23T11:30:00Z")).next();
        assert_eq!(first, Some(span("2026-11-23T11:00:00Z", "2026-11-23T12:30:00Z")));
        assert!(QuietHours::NIGHT.are_sound() && !QuietHours { from: noon.from, to: noon.from }.are_sound());
        assert_eq!(Zone::of("Nowhere/Atlantis", Country::Pl), Zone(zone(Country::Pl).clone()));
    }

    #[test]
    fn months_and_years_begin_at_local_midnight() {
        let late = at("2026-12-31T23:30:00Z");
        assert_eq!(month_began(Country::Ch, late), Some(at("2026-12-31T23:00:00Z")), "January there");
        assert_eq!(year_began(Country::Ch, late), Some(at("2026-12-31T23:00:00Z")));
        let summer = at("2026-07-04T12:00:00Z");
        assert_eq!(month_began(Country::De, summer), Some(at("2026-06-30T22:00:00Z")));
        assert_eq!(year_began(Country::De, summer), Some(at("2025-12-31T23:00:00Z")));
        assert_eq!(month_began(Country::De, Time(i64::MAX)), None, "beyond the calendar");
    }
}
