//! State that decides the readiness of this process.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use chrono::Duration;

use crate::domain::string_enum::string_enum;

/// Difference from the database's clock beyond which a warning is logged.
const WARN: Duration = Duration::seconds(1);
/// Difference beyond which windows and leases cannot be relied on.
const TOO_FAR: Duration = Duration::seconds(5);
string_enum! {
    /// Reason why this process should not get requests.
    NotReady {
        /// The process was asked to stop.
        Stopping = "stopping",
        /// Our clock and the database's are too far apart.
        ClockSkew = "clock_skew",
        /// The database does not answer, or not in time.
        DatabaseUnreachable = "database_unreachable",
        /// The database answers but accepts no writes: it is a standby, read-only, or its disk is full.
        DatabaseNotWritable = "database_not_writable",
    }
}

impl NotReady {
    /// Returns the explanation in the readiness response.
    pub fn detail(self) -> &'static str {
        match self {
            Self::Stopping => "The process is about to stop.",
            Self::ClockSkew => "The clock of this process and that of the database are more than five seconds apart.",
            Self::DatabaseUnreachable => "The database does not answer.",
            Self::DatabaseNotWritable => "The database answers, but takes no writes.",
        }
    }
}

#[derive(Default)]
pub(super) struct Readiness {
    stopping: AtomicBool,
    skew: Mutex<Skew>,
    /// Last answer of the database, and when it came.
    pub(super) probe: tokio::sync::Mutex<Option<(Instant, std::result::Result<(), NotReady>)>>,
}

/// How far two clocks are apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Skew {
    #[default]
    Small,
    Noticeable,
    TooLarge,
}

impl Skew {
    pub(super) fn of(apart: Duration) -> Self {
        match apart.abs() {
            apart if apart > TOO_FAR => Self::TooLarge,
            apart if apart > WARN => Self::Noticeable,
            _ => Self::Small,
        }
    }
}

impl Readiness {
    fn last_skew(&self) -> MutexGuard<'_, Skew> {
        self.skew.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn skew(&self) -> Skew {
        *self.last_skew()
    }

    /// Records a measurement. Returns the previous one.
    pub(super) fn note_skew(&self, skew: Skew) -> Skew {
        std::mem::replace(&mut *self.last_skew(), skew)
    }

    pub(super) fn announce_stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skew_counts_in_both_directions_beyond_a_second_and_beyond_five() {
        for (ms, skew) in [
            (0, Skew::Small),
            (1000, Skew::Small),
            (1001, Skew::Noticeable),
            (5000, Skew::Noticeable),
            (5001, Skew::TooLarge),
            (i64::from(u32::MAX), Skew::TooLarge),
        ] {
            assert_eq!(Skew::of(Duration::milliseconds(ms)), skew, "{ms}");
            assert_eq!(Skew::of(Duration::milliseconds(-ms)), skew, "-{ms}");
        }
    }
}
