//! Days, weeks and months in Central Europe, whose clocks all simulated places share. Written from the rule of the
//! European Union (summer time from the last Sunday of March to the last of October, both at 1:00 UTC) and not by the
//! time zones that the core uses: the model reckons by this.

use kiez_protocol::hours::{Hours, Weekday};
use kiez_protocol::profile::Period;
use kiez_protocol::time::Time;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// How far the clocks are ahead of UTC, ms.
fn ahead_ms(at: Time) -> i64 {
    let (year, _, _) = date(at.0.div_euclid(DAY_MS));
    let turns = |month| last_sunday(year, month) * DAY_MS + HOUR_MS;
    if (turns(3)..turns(10)).contains(&at.0) { 2 * HOUR_MS } else { HOUR_MS }
}

/// Ms since local midnight.
pub(crate) fn of_day(at: Time) -> i64 {
    (at.0 + ahead_ms(at)).rem_euclid(DAY_MS)
}

/// The local day, in days since 1 January 1970.
pub(crate) fn day_of(at: Time) -> i64 {
    (at.0 + ahead_ms(at)).div_euclid(DAY_MS)
}

/// The instant at which the clocks show so many ms of a day. What summer time leaves out is an hour later, what comes twice
/// is the first.
pub(crate) fn clock(day: i64, ms: i64) -> Time {
    let shown = day * DAY_MS + ms;
    Time(shown - ahead_ms(Time(shown - 2 * HOUR_MS)))
}

/// Which day of the week a day is.
pub(crate) fn weekday(day: i64) -> Weekday {
    use Weekday::{Fri, Mon, Sat, Sun, Thu, Tue, Wed};
    // 1 January 1970 was a Thursday.
    [Thu, Fri, Sat, Sun, Mon, Tue, Wed][day.rem_euclid(7) as usize]
}

/// Whether any of these hours has a minute between two instants.
pub(crate) fn meets(hours: &[Hours], from: Time, to: Time) -> bool {
    if from >= to {
        return false;
    }
    // After eight days every hour of the week has come.
    let last = day_of(to).min(day_of(from) + 8);
    hours.iter().any(|hours| {
        (day_of(from)..=last).any(|day| {
            let at = |minutes: u16| clock(day, i64::from(minutes) * MINUTE_MS);
            let on = hours.days.is_empty() || hours.days.contains(&weekday(day));
            on && at(hours.from.minutes()) < to && from < at(hours.to.minutes())
        })
    })
}

/// When the present month or year began.
pub(crate) fn began(period: Period, now: Time) -> Time {
    let (year, month, _) = date(day_of(now));
    clock(days_before(year, if period == Period::Year { 1 } else { month }, 1), 0)
}

fn last_sunday(year: i64, month: i64) -> i64 {
    // March and October both have 31 days; day 3 after the epoch was a Sunday.
    let last = days_before(year, month, 31);
    last - (last - 3).rem_euclid(7)
}

/// Days between 1 January 1970 and a date of the Gregorian calendar.
fn days_before(year: i64, month: i64, day: i64) -> i64 {
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let before = |year: i64| (year - 1) * 365 + (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400;
    let months = [31, if leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    before(year) - before(1970) + months.iter().take(month as usize - 1).sum::<i64>() + day - 1
}

/// Year, month and day of so many days after 1 January 1970.
fn date(days: i64) -> (i64, i64, i64) {
    let year = 1970 + days * 400 / 146_097;
    let year = if days_before(year, 1, 1) > days { year - 1 } else { year };
    let year = if days_before(year + 1, 1, 1) <= days { year + 1 } else { year };
    let month = (1..=12).rev().find(|month| days_before(year, *month, 1) <= days).unwrap_or(1);
    (year, month, days - days_before(year, month, 1) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Time {
        text.parse().expect("an instant")
    }

    #[test]
    fn it_shows_what_clocks_on_the_wall_show() {
        for (utc, hour, day) in [
            ("2026-11-01T23:00:00Z", 0, Weekday::Mon),
            ("2027-03-28T00:59:59Z", 1, Weekday::Sun),
            ("2027-03-28T01:00:00Z", 3, Weekday::Sun),
            ("2027-08-14T22:00:00Z", 0, Weekday::Sun),
            ("2027-10-31T00:59:59Z", 2, Weekday::Sun),
            ("2027-10-31T01:00:00Z", 2, Weekday::Sun),
            ("2028-02-29T12:00:00Z", 13, Weekday::Tue),
        ] {
            assert_eq!((of_day(at(utc)) / HOUR_MS, weekday(day_of(at(utc)))), (hour, day), "{utc}");
        }
        assert_eq!(began(Period::Month, at("2027-04-30T22:30:00Z")), at("2027-04-30T22:00:00Z"));
        assert_eq!(began(Period::Year, at("2027-08-30T22:30:00Z")), at("2026-12-31T23:00:00Z"));
    }

    #[test]
    fn every_midnight_is_the_midnight_of_its_day() {
        for day in 20_000..24_000 {
            let midnight = clock(day, 0);
            assert_eq!((day_of(midnight), of_day(midnight)), (day, 0));
            let (year, month, of_month) = date(day);
            assert_eq!(days_before(year, month, of_month), day);
        }
    }

    #[test]
    fn hours_meet_a_span_that_has_a_minute_of_them() {
        let evening: Vec<Hours> =
            serde_json::from_str(r#"[{"days":["tue"],"from":"17:00","to":"21:30"}]"#).expect("hours");
        // Tuesday 3 November 2026.
        assert!(meets(&evening, at("2026-11-03T20:29:00Z"), at("2026-11-03T23:00:00Z")));
        assert!(!meets(&evening, at("2026-11-03T20:30:00Z"), at("2026-11-10T16:00:00Z")));
        assert!(meets(&evening, at("2026-11-03T20:30:00Z"), at("2026-11-10T16:01:00Z")));
    }
}
