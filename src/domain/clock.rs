//! The only place that asks the machine what time it is.

use std::sync::Mutex;

use chrono::{DateTime, Duration, DurationRound as _, Utc};

/// A point in time, in UTC. Stored and compared to the millisecond.
pub type Time = DateTime<Utc>;

/// Where the current time comes from.
pub trait Clock: Send + Sync {
    /// The time now, cut to milliseconds so that a stored time equals the one it was made from.
    fn now(&self) -> Time;
}

/// The machine's clock.
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn now(&self) -> Time {
        to_millis(Utc::now())
    }
}

/// A clock that stands still until it is told to move, for tests that span days.
pub struct ManualClock(Mutex<Time>);

impl ManualClock {
    /// A clock that shows `start`.
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

/// The first whole millisecond at or after this time: whoever waits until then waits long enough.
pub fn to_next_milli(time: Time) -> Time {
    let cut = to_millis(time);
    if cut < time { cut + Duration::milliseconds(1) } else { cut }
}
