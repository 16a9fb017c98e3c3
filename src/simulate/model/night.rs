//! The night by the clock on the wall, reckoned apart from the core: a day is what lies between two nights, and the clocks
//! of waves and offers run by day alone. Urgent jobs have no night.

use kiez_protocol::directory::Policy;
use kiez_protocol::partner::Urgency;
use kiez_protocol::time::Time;

use super::super::calendar::{clock, day_of};

const MINUTE_MS: i64 = 60_000;
/// No clock of the trade runs over so many days.
const DAYS_MAX: usize = 500;

/// When the quiet hours of a job begin and end, ms of the day; none for one that knows no night.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Night(Option<(i64, i64)>);

impl Night {
    /// The nights of a job of this urgency.
    pub fn of(policy: &Policy, urgency: Urgency) -> Night {
        let ms = |minutes: u16| i64::from(minutes) * MINUTE_MS;
        let hours = policy.quiet.filter(|_| urgency != Urgency::Urgent);
        Night(hours.map(|hours| (ms(hours.from.minutes()), ms(hours.to.minutes()))))
    }

    /// When it is day again, if it is night at this instant.
    pub fn until(self, at: Time) -> Option<Time> {
        let (dawn, _) = self.days(at)?.next()?;
        (at < dawn).then_some(dawn)
    }

    /// The instant by which a clock has run for so many ms. What would be due at the fall of night is due at dawn.
    pub fn after(self, from: Time, ms: i64) -> Time {
        let Some(days) = self.days(from) else { return from + ms };
        let mut left = ms;
        for (dawn, dusk) in days.take(DAYS_MAX) {
            let at = from.max(dawn);
            if left < dusk.since(at) {
                return at + left;
            }
            left -= dusk.since(at);
        }
        Time(i64::MAX)
    }

    /// How many ms a clock runs between two instants.
    pub fn run_ms(self, from: Time, to: Time) -> i64 {
        let Some(days) = self.days(from) else { return to.since(from) };
        days.take_while(|(dawn, _)| *dawn < to).map(|(dawn, dusk)| dusk.min(to).since(dawn.max(from))).sum()
    }

    /// An instant since which a clock has run for at least so many ms.
    pub fn before(self, to: Time, ms: i64) -> Time {
        let mut from = to - ms;
        loop {
            let short = ms - self.run_ms(from, to);
            if short <= 0 {
                return from;
            }
            from = from - short;
        }
    }

    /// The days that end after an instant, each from dawn to dusk; none where there are no nights.
    fn days(self, at: Time) -> Option<impl Iterator<Item = (Time, Time)>> {
        let (dusk, dawn) = self.0?;
        // The night before ends on the same day of the calendar, or does so if it lasts beyond midnight.
        let back = i64::from(dawn > dusk);
        let day = move |day: i64| (clock(day - back, dawn), clock(day, dusk));
        Some((day_of(at) - 1..).map(day).filter(move |(_, dusk)| *dusk > at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Time {
        text.parse().expect("an instant")
    }

    fn night(from: &str, to: &str) -> Night {
        let quiet = format!(r#"{{"from":"{from}","to":"{to}"}}"#);
        let policy = Policy { quiet: Some(serde_json::from_str(&quiet).expect("hours")), ..Policy::default() };
        Night::of(&policy, Urgency::Normal)
    }

    #[test]
    fn a_clock_stands_from_dusk_to_dawn() {
        let night = night("21:30", "07:30");
        let (dusk, dawn) = (at("2026-11-23T20:30:00Z"), at("2026-11-24T06:30:00Z"));
        assert_eq!((night.until(dusk - 1), night.until(dusk)), (None, Some(dawn)));
        assert_eq!((night.until(dawn - 1), night.until(dawn)), (Some(dawn), None));
        let minute = MINUTE_MS;
        assert_eq!(night.after(dusk - 10 * minute, 9 * minute), dusk - minute);
        assert_eq!(night.after(dusk - 10 * minute, 10 * minute), dawn);
        assert_eq!(night.after(dusk + minute, 30 * minute), dawn + 30 * minute);
        assert_eq!(night.run_ms(dusk - minute, dawn + minute), 2 * minute);
        assert_eq!(night.run_ms(dusk + 1, dawn - 1), 0);
        assert_eq!(night.before(dawn + minute, 3 * minute), dusk - 2 * minute);
        let urgent = Night::of(&Policy::default(), Urgency::Urgent);
        assert_eq!((urgent.until(dusk), urgent.after(dusk, minute)), (None, dusk + minute));
    }

    #[test]
    fn quiet_hours_may_lie_within_a_day_and_over_the_turn_of_the_clocks() {
        let noon = night("12:00", "14:00");
        assert_eq!(noon.until(at("2026-11-23T11:30:00Z")), Some(at("2026-11-23T13:00:00Z")));
        assert_eq!(noon.until(at("2026-11-23T13:00:00Z")), None);
        let turn = night("21:30", "07:30");
        assert_eq!(turn.after(at("2027-03-27T20:20:00Z"), 30 * MINUTE_MS), at("2027-03-28T05:50:00Z"), "spring");
        assert_eq!(turn.after(at("2026-10-24T19:20:00Z"), 30 * MINUTE_MS), at("2026-10-25T06:50:00Z"), "autumn");
        // Half past two is left out in spring, and comes twice in autumn.
        let late = night("23:00", "02:30");
        assert_eq!(late.until(at("2027-03-28T00:00:00Z")), Some(at("2027-03-28T01:30:00Z")));
        assert_eq!(late.until(at("2026-10-24T23:00:00Z")), Some(at("2026-10-25T00:30:00Z")));
    }
}
