//! Keeps this process listed among those that serve its database.

use std::sync::Arc;

use tokio::time;

use crate::service::{Attendance, RENEW_EVERY, Service};

/// Renews until it is dropped.
pub async fn run(service: Arc<Service>, mut attendance: Attendance) {
    let mut turns = time::interval(RENEW_EVERY);
    turns.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    let mut is_listed = true;
    loop {
        turns.tick().await;
        match service.attend(&mut attendance).await {
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
