//! The only place that reads the machine's clock.

use std::sync::Mutex;

use chrono::{DateTime, Duration, DurationRound as _, Utc};

/// Point in time, in UTC. Stored and compared to the millisecond.
pub type Time = DateTime<Utc>;

/// Source of the current time.
pub trait Clock: Send + Sync {
    /// Returns the current time, cut to milliseconds so that a stored time equals the one it was made from.
    fn now(&self) -> Time;
}

/// Clock of the machine.
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn now(&self) -> Time {
        to_millis(Utc::now())
    }
}

/// Clock that stands still until a test advances it, for tests that span days.
pub struct ManualClock(Mutex<Time>);

impl ManualClock {
    /// A clock that stands at this time.
    pub fn at(start: Time) -> Self {
        Self(Mutex::new(to_millis(start)))
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        *self.time() += by;
    }

    fn time(&self) -> std::sync::MutexGuard<'_, Time> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Time {
        *self.time()
    }
}

fn to_millis(time: Time) -> Time {
    time.duration_trunc(Duration::milliseconds(1)).unwrap_or(time)
}

/// Returns the first whole millisecond at or after this time, so that waiting until then is long enough.
pub fn to_next_milli(time: Time) -> Time {
    let cut = to_millis(time);
    if cut < time { cut + Duration::milliseconds(1) } else { cut }
}
