//! Assigns log positions to platform events.

use std::{sync::Arc, time::Duration};

use tokio::time;
use tokio_util::sync::CancellationToken;

use crate::service::{Context, events};

/// Time for which events are gathered: under load, one round assigns positions for many transactions at the cost of
/// one.
const GATHER: Duration = Duration::from_millis(50);
/// Interval of polls without a wake-up: for events that another replica committed but left without a position.
const PERIOD: Duration = Duration::from_secs(1);

/// Assigns positions until shutdown is requested.
pub async fn run(ctx: Arc<Context>, stop: CancellationToken) {
    let mut unplaced = ctx.store.unplaced_events.listen();
    loop {
        let placed = events::place_events(&ctx).await.unwrap_or_else(|cause| {
            tracing::error!(%cause, "failed to assign log positions to events");
            0
        });
        let pause = async {
            if placed == 0 {
                let _ = time::timeout(PERIOD, unplaced.woken()).await;
            }
            time::sleep(GATHER).await;
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = pause => {}
        }
    }
}
