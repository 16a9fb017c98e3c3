//! The only file that asks what time it is. The clock is anchored to the wall once, at start, and then follows the
//! machine's own clock since its start: a step of the wall moves nothing, and the time that the machine slept is counted.
//! In development the trade's time may run faster.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kiez_protocol::time::Time;

/// What time it is, for the trade and for the machine.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Duration,
    wall_at_start: i64,
    anchor: Time,
    scale: u32,
}

impl Clock {
    /// A clock on the wall's time.
    #[expect(clippy::disallowed_methods, reason = "this is the file that asks")]
    pub fn start() -> Clock {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall_at_start = i64::try_from(since_epoch.as_millis()).expect("the year is below 292 million");
        Clock { started: since_boot(), wall_at_start, anchor: Time(wall_at_start), scale: 1 }
    }

    /// The same clock with the trade's time running `scale` times as fast since `anchor`, an instant of real time.
    #[must_use]
    pub fn scaled(self, anchor: Time, scale: u32) -> Clock {
        Clock { anchor, scale: scale.max(1), ..self }
    }

    /// The trade's time: what the dispatcher gets and what stands on the wire.
    pub fn now(&self) -> Time {
        let real = self.real();
        self.anchor + real.since(self.anchor) * i64::from(self.scale)
    }

    /// Real time: tokens, signatures, and the anchor itself.
    pub fn real(&self) -> Time {
        Time(self.wall_at_start + self.elapsed_ms())
    }

    /// Ms of real time since the start; never goes back.
    pub fn elapsed_ms(&self) -> i64 {
        i64::try_from(since_boot().saturating_sub(self.started).as_millis()).expect("uptime fits")
    }

    /// How long to sleep in real time until the trade's `due`; nothing if it has passed.
    pub fn until(&self, due: Time) -> Duration {
        let ms = due.since(self.now()).max(0);
        // Rounded up: to wake a moment early would be to wake twice.
        let scale = i64::from(self.scale);
        Duration::from_millis(u64::try_from((ms + scale - 1) / scale).unwrap_or(0))
    }

    /// How many times as fast as real time the trade's time runs.
    pub fn scale(&self) -> u32 {
        self.scale
    }
}

/// How long the machine has been up, sleep included: `Instant` stands still while it sleeps.
#[cfg(target_os = "linux")]
fn since_boot() -> Duration {
    let up = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::try_from(up).expect("uptime is not negative")
}

/// How long this process has run, by a clock that may stand still while the machine sleeps.
#[cfg(not(target_os = "linux"))]
#[expect(clippy::disallowed_methods, reason = "this is the file that asks")]
fn since_boot() -> Duration {
    static STARTED: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    STARTED.get_or_init(Instant::now).elapsed()
}

/// An instant to measure a span of work from.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Begins a span.
    #[expect(clippy::disallowed_methods, reason = "this is the file that asks")]
    pub fn start() -> Stopwatch {
        Stopwatch(Instant::now())
    }

    /// The instant it began.
    pub fn began(&self) -> Instant {
        self.0
    }

    /// The span so far.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trade_may_run_faster_and_nothing_goes_back() {
        let clock = Clock::start();
        let fast = clock.scaled(clock.real(), 1_000);
        let (real, trade) = (clock.elapsed_ms(), fast.now());
        std::hint::black_box((0..2_000_000_u64).sum::<u64>());
        assert!(clock.elapsed_ms() >= real && fast.now() >= trade);
        assert!(fast.now().since(clock.real()) >= 0, "a thousand times as fast is not slower");
        assert!(fast.until(fast.now() + 5_000) <= Duration::from_millis(5));
    }
}
