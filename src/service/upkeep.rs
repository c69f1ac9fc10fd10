//! Things that time does: rides that nobody ended, calls of whose end nobody told, records that served their purpose.
//!
//! All of it is tidying: no invariant waits for it.

use chrono::Duration;

use super::{Service, relay, strangers};
use crate::{
    domain::error::Result,
    store::{auto_replies, bindings, calls, deliveries, endpoints, events, idempotency, inbox, outbox, simulator},
};

/// How long an answer is kept for a repeated request.
const ANSWERS_KEPT: Duration = Duration::hours(24);
/// How long simulated phones remember.
const SCREENS_KEPT: Duration = Duration::days(7);
/// No provider lets a call last longer; one that still is open then ended without our being told.
const LONGEST_CALL: Duration = Duration::hours(4);
/// How long attempts to deliver events are shown.
const ATTEMPTS_KEPT: Duration = Duration::days(30);
/// How much one round does.
const BATCH: u64 = 5000;
/// How much of what the platform is told of; each is a row to be written.
const TOLD: u64 = 1000;

impl Service {
    /// One round of upkeep.
    pub async fn tidy(&self) -> Result<()> {
        let ended = self.end_overdue_rides(BATCH).await?;
        if ended > 0 {
            tracing::info!(ended, "rides timed out");
        }
        self.announce_closings(TOLD).await?;
        let now = self.now();
        self.store.write(|tx| async move { outbox::adopt(&tx).await }).await?;
        // Each in a transaction of its own and a batch at a time: a backlog of one must not stop the others.
        self.store.write(|tx| async move { calls::forget(&tx, now - LONGEST_CALL, TOLD, now).await }).await?;
        self.store.write(|tx| async move { bindings::prune(&tx, now, BATCH).await }).await?;
        self.store.write(|tx| async move { inbox::prune(&tx, now, now - relay::REMEMBERED, BATCH).await }).await?;
        self.store.write(|tx| async move { idempotency::prune(&tx, now - ANSWERS_KEPT, BATCH).await }).await?;
        self.store.write(|tx| async move { auto_replies::prune(&tx, now - strangers::ONCE_IN, BATCH).await }).await?;
        self.store.write(|tx| async move { simulator::prune(&tx, now - SCREENS_KEPT).await }).await?;
        self.store.write(|tx| async move { events::prune(&tx, now - self.event_retention, BATCH).await }).await?;
        self.store.write(|tx| async move { deliveries::prune(&tx, now - ATTEMPTS_KEPT, BATCH).await }).await?;
        self.store.write(|tx| async move { endpoints::prune_secrets(&tx, now).await }).await?;
        self.watch_pool().await
    }
}
