//! Position at which the next round of a job continues.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::domain::ids::RideId;

/// Last ride that a round reached; 0 to start from the beginning.
#[derive(Default)]
pub(in crate::service) struct Cursor(AtomicI64);

impl Cursor {
    pub(super) fn get(&self) -> RideId {
        RideId(self.0.load(Ordering::Relaxed))
    }

    pub(super) fn set(&self, reached: RideId) {
        self.0.store(reached.0, Ordering::Relaxed);
    }
}
