//! How a city changes with the hour: when jobs are booked, who is at home, who moves, who sleeps. These are assumptions,
//! not measurements: an ordinary working day, smooth between full hours. What they must do is change the mix of districts
//! and the pace of a run with the hour, so that a day is not a constant.

/// Bookings in an hour against the mean of the day: hardly any at night, most in the early evening.
const JOBS: [f64; 24] = [
    0.15, 0.10, 0.05, 0.05, 0.05, 0.10, 0.25, 0.50, 0.90, 1.30, 1.50, 1.50, 1.40, 1.30, 1.35, 1.50, 1.75, 2.00, 2.10,
    1.95, 1.65, 1.20, 0.80, 0.55,
];
/// The share of adults of working age who are at home.
const HOME: [f64; 24] = [
    0.93, 0.95, 0.96, 0.96, 0.96, 0.94, 0.86, 0.68, 0.50, 0.42, 0.40, 0.39, 0.40, 0.40, 0.40, 0.42, 0.48, 0.58, 0.67,
    0.74, 0.80, 0.85, 0.89, 0.91,
];
/// The share of friends on duty who walk or ride rather than stay where they are.
const MOVING: [f64; 24] = [
    0.05, 0.03, 0.02, 0.02, 0.02, 0.04, 0.12, 0.26, 0.28, 0.22, 0.22, 0.24, 0.26, 0.26, 0.26, 0.28, 0.32, 0.36, 0.32,
    0.28, 0.22, 0.16, 0.12, 0.08,
];
/// The share of friends on duty who do not look at their phone at all.
const ASLEEP: [f64; 24] = [
    0.60, 0.75, 0.85, 0.88, 0.88, 0.80, 0.55, 0.30, 0.15, 0.10, 0.08, 0.08, 0.10, 0.10, 0.08, 0.08, 0.08, 0.08, 0.08,
    0.08, 0.10, 0.15, 0.25, 0.40,
];
/// The share of people of 65 and older who are at home.
const SENIORS_HOME: f64 = 0.85;
/// How much likelier they book than others.
const SENIORS_BOOK: f64 = 2.0;

/// An hour of the local day, 0 up to 24; fractions are between two full hours, and after 24 comes the next day.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hour(pub f64);

impl Hour {
    /// How often jobs are booked, against the mean of the day.
    pub fn jobs(self) -> f64 {
        self.of(&JOBS)
    }

    /// The share of friends on duty who move, 0 to 1.
    pub fn moving(self) -> f64 {
        self.of(&MOVING)
    }

    /// The share of friends on duty who answer nothing, 0 to 1.
    pub fn asleep(self) -> f64 {
        self.of(&ASLEEP)
    }

    /// How likely a job comes from where so many adults (18 to 64) and seniors (65 and older) live, against other places.
    pub fn bookings_of(self, adults: f64, seniors: f64) -> f64 {
        adults * self.of(&HOME) + SENIORS_BOOK * SENIORS_HOME * seniors
    }

    fn of(self, table: &[f64; 24]) -> f64 {
        let hour = self.0.rem_euclid(24.0);
        let (before, share) = (hour.floor() as usize % 24, hour.fract());
        table[before] * (1.0 - share) + table[(before + 1) % 24] * share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_busiest_in_the_early_evening_and_goes_round() {
        let mean = JOBS.iter().sum::<f64>() / 24.0;
        assert!((mean - 1.0).abs() < 0.001, "the curve is against the mean of the day: {mean}");
        assert!(Hour(18.0).jobs() > Hour(12.0).jobs() && Hour(12.0).jobs() > 10.0 * Hour(3.0).jobs());
        assert!((Hour(25.5).jobs() - Hour(1.5).jobs()).abs() < 1e-12);
        assert!((Hour(23.5).jobs() - (0.55 + 0.15) / 2.0).abs() < 1e-12);
    }

    #[test]
    fn shares_are_shares_and_seniors_weigh_more_by_day() {
        for quarter in 0..96 {
            let hour = Hour(f64::from(quarter) / 4.0);
            for share in [hour.moving(), hour.asleep()] {
                assert!((0.0..=1.0).contains(&share));
            }
        }
        let weight = |hour: f64| Hour(hour).bookings_of(0.0, 1_000.0) / Hour(hour).bookings_of(1_000.0, 0.0);
        assert!(weight(11.0) > 1.5 * weight(21.0));
    }
}
