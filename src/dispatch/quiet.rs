//! Quiet hours: at night nobody is offered anything, and the clocks of waves, offers and direct holds stand. Deadlines are
//! absolute instants all the same: they are reckoned past the nights that lie ahead when they are set. Contact and
//! appointment clocks run on, and an urgent job knows no night.

use kiez_protocol::hours::{QuietHours, Zone};
use kiez_protocol::partner::Urgency;
use kiez_protocol::time::Time;

use super::job::Job;

/// Beyond so many nights a clock runs on: no deadline of the trade lies so far ahead.
const NIGHTS_MAX: usize = 400;

/// The clock by which the waves and offers of a job run.
#[derive(Clone, Debug)]
pub struct WaveClock(Option<(QuietHours, Zone)>);

impl WaveClock {
    /// The clock of a job.
    pub fn of(job: &Job) -> WaveClock {
        let community = &*job.terms.community;
        let quiet = match job.booking.urgency {
            Urgency::Urgent => None,
            Urgency::Normal | Urgency::Relaxed => community.policy.quiet,
        };
        WaveClock(quiet.map(|quiet| (quiet, Zone::of(&community.time_zone, community.country))))
    }

    /// When it goes on, if it stands at `now`.
    pub fn stands_until(&self, now: Time) -> Option<Time> {
        let (begins, ends) = self.nights(now).next()?;
        (begins <= now).then_some(ends)
    }

    /// The instant by which so many ms have run since `from`. A deadline that would fall on the first instant of a night
    /// falls on its end.
    pub fn after(&self, from: Time, ms: i64) -> Time {
        let (mut at, mut left) = (from, ms);
        for (begins, ends) in self.nights(from).take(NIGHTS_MAX) {
            let runs = begins.since(at).max(0);
            if left < runs {
                break;
            }
            left -= runs;
            at = ends;
        }
        at + left
    }

    /// How many ms run between two instants.
    pub fn run_ms(&self, from: Time, to: Time) -> i64 {
        let nights = self.nights(from).take(NIGHTS_MAX).take_while(|(begins, _)| *begins < to);
        let stood: i64 = nights.map(|(begins, ends)| ends.min(to).since(begins.max(from))).sum();
        to.since(from) - stood
    }

    fn nights(&self, from: Time) -> impl Iterator<Item = (Time, Time)> + '_ {
        self.0.iter().flat_map(move |(quiet, zone)| quiet.from_on(zone, from))
    }
}

#[cfg(test)]
mod tests {
    use kiez_protocol::directory::Country;
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Time {
        text.parse().expect("an instant")
    }

    fn berlin() -> WaveClock {
        WaveClock(Some((QuietHours::NIGHT, Zone::of("Europe/Berlin", Country::De))))
    }

    const MINUTE: i64 = 60_000;

    #[test]
    fn a_clock_stands_at_night_and_goes_on_in_the_morning() {
        let clock = berlin();
        // 21:20 in Berlin.
        let evening = at("2026-11-23T20:20:00Z");
        assert_eq!(clock.stands_until(evening), None);
        assert_eq!(clock.stands_until(at("2026-11-23T20:30:00Z")), Some(at("2026-11-24T06:30:00Z")));
        assert_eq!(clock.stands_until(at("2026-11-24T06:30:00Z")), None);
        assert_eq!(clock.after(evening, 9 * MINUTE), at("2026-11-23T20:29:00Z"));
        assert_eq!(clock.after(evening, 10 * MINUTE), at("2026-11-24T06:30:00Z"));
        assert_eq!(clock.after(evening, 30 * MINUTE), at("2026-11-24T06:50:00Z"));
        assert_eq!(clock.after(at("2026-11-24T01:00:00Z"), 30 * MINUTE), at("2026-11-24T07:00:00Z"));
        // Fourteen hours run in a day: six, fourteen, and ten more.
        assert_eq!(clock.after(at("2026-11-23T14:30:00Z"), 30 * 60 * MINUTE), at("2026-11-25T16:30:00Z"));
    }

    #[test]
    fn a_night_is_as_long_as_the_clocks_make_it() {
        let clock = berlin();
        assert_eq!(clock.after(at("2026-03-28T20:20:00Z"), 30 * MINUTE), at("2026-03-29T05:50:00Z"), "spring");
        assert_eq!(clock.after(at("2026-10-24T19:20:00Z"), 30 * MINUTE), at("2026-10-25T06:50:00Z"), "autumn");
        assert_eq!(
            clock.run_ms(at("2026-03-28T20:00:00Z"), at("2026-03-29T20:00:00Z")),
            (14 * 60 + 30) * MINUTE,
            "of 24 hours: half an hour, fourteen, and none"
        );
    }

    #[test]
    fn without_quiet_hours_every_instant_counts() {
        let clock = WaveClock(None);
        let midnight = at("2026-11-23T23:00:00Z");
        assert_eq!((clock.stands_until(midnight), clock.after(midnight, MINUTE)), (None, midnight + MINUTE));
        assert_eq!(clock.run_ms(midnight, midnight + MINUTE), MINUTE);
    }

    proptest! {
        #[test]
        fn what_has_run_by_a_deadline_is_what_it_was_set_for(
            from in 1_790_000_000_000i64..1_830_000_000_000, ms in 0i64..400 * 3_600_000, to in 0i64..1_440, long in 30i64..1_300,
        ) {
            let time = |minutes: i64| format!("{:02}:{:02}", minutes / 60, minutes % 60).parse().expect("a time");
            let quiet = QuietHours { from: time((to + 1_440 - long) % 1_440), to: time(to) };
            let clock = WaveClock(Some((quiet, Zone::of("Europe/Berlin", Country::De))));
            let due = clock.after(Time(from), ms);
            prop_assert_eq!(clock.run_ms(Time(from), due), ms);
            prop_assert_eq!(clock.stands_until(due).filter(|_| ms > 0), None, "never due in the night");
        }
    }
}
