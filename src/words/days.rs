//! Days and hours as people say them: in the hours of the community, in the words of the reader.

use kiez_protocol::directory::Language;
use kiez_protocol::hours::{Local, Zone};
use kiez_protocol::partner::Window;
use kiez_protocol::time::Time;

use super::{by_name, phrases};

/// Says when something is.
#[derive(Clone, Debug)]
pub(crate) struct Days {
    pub zone: Zone,
    pub language: Language,
}

impl Days {
    /// A day with its hour: “Montag, 23. November, 17:00 Uhr”.
    pub fn moment(&self, at: Time) -> String {
        let Some(local) = self.zone.local(at) else { return at.to_string() };
        phrases::time_moment(self.day(local), clock(local)).say(self.language)
    }

    /// From when to when: “Montag, 23. November, 17:00 bis 20:00 Uhr”; over midnight with both days.
    pub fn span(&self, window: Window) -> String {
        let (Some(from), Some(to)) = (self.zone.local(window.from), self.zone.local(window.to)) else {
            return format!("{} – {}", window.from, window.to);
        };
        if from.same_day(to) {
            return phrases::time_span(self.day(from), clock(from), clock(to)).say(self.language);
        }
        phrases::time_long_span(self.moment(window.from), self.moment(window.to)).say(self.language)
    }

    fn day(&self, local: Local) -> String {
        let named = |group: &str, number: u8| by_name(&format!("{group}-{number}"), self.language);
        let month = named("month", local.month()).expect("there are twelve");
        let weekday = named("weekday", local.weekday()).expect("there are seven");
        phrases::time_day(weekday, local.day(), month).say(self.language)
    }
}

fn clock(local: Local) -> String {
    format!("{}:{:02}", local.hour, local.minute)
}

#[cfg(test)]
mod tests {
    use kiez_protocol::directory::Country;

    use super::*;

    fn at(text: &str) -> Time {
        text.parse().expect("an instant")
    }

    #[test]
    fn everybody_reads_their_own_hours() {
        let window = Window { from: at("2026-11-23T17:00:00Z"), to: at("2026-11-23T20:00:00Z") };
        let night = Window { from: at("2026-11-23T22:00:00Z"), to: at("2026-11-23T23:30:00Z") };
        let say = |language, window| Days { zone: Zone::of("Europe/Berlin", Country::De), language }.span(window);
        assert_eq!(say(Language::De, window), "Montag, 23. November, 18:00 bis 21:00 Uhr");
        assert_eq!(say(Language::En, window), "Monday 23 November, 18:00 to 21:00");
        assert_eq!(say(Language::Fr, window), "lundi 23 novembre, de 18:00 à 21:00");
        assert_eq!(say(Language::It, window), "lunedì 23 novembre, 18:00–21:00");
        assert_eq!(say(Language::Pl, window), "poniedziałek, 23 listopada, 18:00–21:00");
        assert_eq!(
            say(Language::De, night),
            "Montag, 23. November, 23:00 Uhr bis Dienstag, 24. November, 0:30 Uhr",
            "over midnight"
        );
    }

    #[test]
    fn an_hour_is_the_communitys_in_summer_and_winter() {
        let days = Days { zone: Zone::of("Europe/Warsaw", Country::Pl), language: Language::En };
        assert_eq!(days.moment(at("2026-07-01T12:00:00Z")), "Wednesday 1 July, 14:00");
        assert_eq!(days.moment(at("2026-12-01T12:00:00Z")), "Tuesday 1 December, 13:00");
    }
}
