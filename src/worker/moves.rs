//! Moves rides off suspended numbers, and off providers that are down.

use std::{sync::Arc, time::Duration};

use tokio::time;

use crate::{lifecycle::Stop, service::Service};

/// Rides moved in a round. Each owes two texts, and an operator who suspends a busy number should not make the texts of
/// everybody else wait behind its notices.
const ROUND: u64 = 20;
const PERIOD: Duration = Duration::from_secs(2);

/// Moves rides until told to stop.
pub async fn run(service: Arc<Service>, mut stop: Stop) {
    loop {
        match service.leave_suspended_numbers(ROUND).await {
            Ok(0) => {}
            Ok(rides) => tracing::info!(rides, "rides left suspended numbers"),
            Err(cause) => tracing::error!(%cause, "rides could not be moved off suspended numbers"),
        }
        match service.leave_down_providers(ROUND).await {
            Ok(0) => {}
            Ok(rides) => tracing::info!(rides, "rides left a provider that is down"),
            Err(cause) => tracing::error!(%cause, "rides could not be moved off a provider that is down"),
        }
        tokio::select! {
            () = stop.requested() => return,
            () = time::sleep(PERIOD) => {}
        }
    }
}
