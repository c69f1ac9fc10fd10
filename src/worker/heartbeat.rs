//! Keeps this process listed among those that serve its database.

use std::sync::Arc;

use tokio::time;

use crate::service::{Context, Heartbeat, RENEW_EVERY, heartbeat};

/// Renews the row of this process until the task is dropped.
pub async fn run(ctx: Arc<Context>, mut heartbeat: Heartbeat) {
    let mut turns = time::interval(RENEW_EVERY);
    turns.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    let mut is_listed = true;
    loop {
        turns.tick().await;
        match heartbeat::beat(&ctx, &mut heartbeat).await {
            Ok(()) => is_listed = true,
            Err(cause) => {
                if is_listed {
                    tracing::warn!(%cause, "failed to renew the counter of this process");
                }
                is_listed = false;
            }
        }
    }
}
