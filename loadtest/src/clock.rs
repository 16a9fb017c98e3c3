//! The clock of a run: milliseconds of the trade's time since the run's beginning. It stands still until it is started,
//! so that everybody can connect and take their place first.

use std::sync::{Arc, OnceLock};

use tokio::time::Instant;

/// A run's clock; clones show the same time.
#[derive(Clone, Debug)]
pub struct RunClock {
    began: Arc<OnceLock<Instant>>,
    first_ms: i64,
    time_scale: u32,
}

impl RunClock {
    /// A clock that stands at `first_ms` until [`RunClock::start`] and then runs `time_scale` times as fast as the wall's.
    pub fn new(first_ms: i64, time_scale: u32) -> RunClock {
        RunClock { began: Arc::new(OnceLock::new()), first_ms, time_scale }
    }

    /// Starts it; starting it again changes nothing.
    pub fn start(&self) {
        self.began.get_or_init(Instant::now);
    }

    /// What it shows, ms.
    pub fn run_ms(&self) -> i64 {
        let Some(began) = self.began.get() else { return self.first_ms };
        let real_us = began.elapsed().as_micros() as i64;
        self.first_ms + real_us * i64::from(self.time_scale) / 1_000
    }

    /// The instant at which it shows `run_ms`; now if it stands or that is past.
    pub fn instant_of(&self, run_ms: i64) -> Instant {
        let Some(began) = self.began.get() else { return Instant::now() };
        let real_us = (run_ms - self.first_ms).max(0) * 1_000 / i64::from(self.time_scale);
        *began + std::time::Duration::from_micros(real_us as u64)
    }
}
