//! Failures in a row, as seen by this process.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::domain::{
    breaker::{SendHealth, Streak},
    ids::MessageId,
    number::ProviderName,
};

/// Failures in a row of each provider.
#[derive(Default)]
pub(in crate::service) struct Streaks(Mutex<HashMap<ProviderName, Streak>>);

impl Streaks {
    fn all(&self) -> MutexGuard<'_, HashMap<ProviderName, Streak>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a send. Returns `true` if it makes `most` failures in a row, of more than one text.
    pub(super) fn observe(&self, provider: &ProviderName, health: SendHealth, text: MessageId, most: u32) -> bool {
        self.all().entry(provider.clone()).or_default().observe(health, text, most)
    }

    /// Starts counting again.
    pub(super) fn forget(&self, provider: &ProviderName) {
        self.all().remove(provider);
    }
}
