//! When something is tried again: the pauses of Standard Webhooks, a little spread, so that what failed together does not come
//! back together. All of it is real time, however fast the trade's runs.

use kiez_protocol::time::Time;

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

/// The pauses between one try and the next, ms; after the last try it is given up.
pub const PAUSES_MS: [i64; 9] =
    [5 * SECOND, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR];
/// A pause is up to so much longer, per cent.
const SPREAD_PERCENT: i64 = 10;

/// When it is tried again after so many tries, the last of which ended `now`; none: never. `chance` is 0 to 1; `put_off` is
/// what the endpoint asked for, ms, within what it may.
pub fn next(attempts: u32, now: Time, percent: u32, chance: f64, put_off: Option<i64>) -> Option<Time> {
    let pause = PAUSES_MS.get((attempts as usize).checked_sub(1)?)?;
    let pause = pause * i64::from(percent) / 100;
    #[expect(clippy::cast_possible_truncation, reason = "some hours in ms")]
    #[expect(clippy::cast_precision_loss, reason = "some hours in ms")]
    let spread = ((pause * SPREAD_PERCENT / 100) as f64 * chance) as i64;
    Some(now + (pause + spread).max(put_off.unwrap_or(0)))
}

/// What `Retry-After` asks for, ms: seconds or a date; at most `most`.
pub fn retry_after(header: &str, now: Time, most: i64) -> Option<i64> {
    let header = header.trim();
    let asked = match header.parse::<u32>() {
        Ok(seconds) => i64::from(seconds) * SECOND,
        Err(_) => {
            let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(header).ok()?;
            at.as_millisecond() - now.0
        }
    };
    Some(asked.clamp(0, most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_tries_and_then_no_more() {
        let now = Time(0);
        let due = |attempts| next(attempts, now, 100, 0.0, None).map(|due| due.0 / SECOND);
        let all: Vec<_> = (1..=10).map(due).collect();
        let hours = |hours: i64| Some(hours * 3_600);
        assert_eq!(
            all,
            [Some(5), Some(300), Some(1_800), hours(2), hours(5), hours(10), hours(14), hours(20), hours(24), None]
        );
        assert_eq!(next(1, now, 100, 1.0, None), Some(Time(5_500)), "a tenth later at most");
        assert_eq!(next(2, now, 1, 0.0, None), Some(Time(3_000)), "for trials");
    }

    #[test]
    fn an_endpoint_may_put_off_and_never_hurry() {
        let (now, most) = (Time(1_795_450_800_000), 86_400_000);
        assert_eq!(retry_after("120", now, most), Some(120_000));
        assert_eq!(retry_after(" 4294967295 ", now, most), Some(most));
        assert_eq!(retry_after("Mon, 23 Nov 2026 16:21:00 GMT", now, most), Some(60_000));
        assert_eq!(retry_after("Mon, 23 Nov 2020 16:21:00 GMT", now, most), Some(0));
        for unfit in ["", "-1", "soon", "1.5", "99999999999999999999"] {
            assert_eq!(retry_after(unfit, now, most), None, "{unfit}");
        }
        assert_eq!(next(2, now, 100, 0.0, Some(1)), Some(now + 300_000));
        assert_eq!(next(1, now, 100, 0.0, Some(600_000)), Some(now + 600_000));
    }
}
