//! Gives platform events their places in the log.

use std::{sync::Arc, time::Duration};

use tokio::time;

use crate::{
    lifecycle::Stop,
    service::{Context, events},
};

/// Events are gathered for so long: under load, one round places those of many transactions, and costs one.
const GATHER: Duration = Duration::from_millis(50);
/// How often there is a look though nobody rang: for what another replica committed and did not come to place.
const PERIOD: Duration = Duration::from_secs(1);

/// Places events until told to stop.
pub async fn run(ctx: Arc<Context>, mut stop: Stop) {
    let mut unplaced = ctx.store.events_pending.listen();
    loop {
        let placed = events::place_events(&ctx).await.unwrap_or_else(|cause| {
            tracing::error!(%cause, "events could not be given their places in the log");
            0
        });
        let pause = async {
            if placed == 0 {
                let _ = time::timeout(PERIOD, unplaced.woken()).await;
            }
            time::sleep(GATHER).await;
        };
        tokio::select! {
            () = stop.requested() => return,
            () = pause => {}
        }
    }
}
