//! Polls providers for the results of calls, if they do not report them on their own.

use std::{sync::Arc, time::Duration};

use tokio::{task::JoinSet, time};
use tokio_util::sync::CancellationToken;

use crate::{
    domain::{error::Result, outbound::Receiver},
    outbound::Outbound,
    service::{Context, call_polling},
};

/// Maximum number of polls that one process has in flight.
const MAX_IN_FLIGHT: usize = 8;
const PERIOD: Duration = Duration::from_secs(5);

/// Sends all polls that are due now, `MAX_IN_FLIGHT` at a time. Returns how many there were.
pub async fn tick(ctx: &Arc<Context>, outbound: &Arc<dyn Outbound>) -> Result<usize> {
    let mut asked = 0;
    loop {
        let mut running = JoinSet::new();
        ask(ctx, outbound, &mut running).await?;
        if running.is_empty() {
            return Ok(asked);
        }
        asked += running.len();
        running.join_all().await;
    }
}

/// Polls until shutdown is requested, and then aborts polls in flight: when their leases end, other processes repeat
/// them.
pub async fn run(ctx: Arc<Context>, outbound: Arc<dyn Outbound>, stop: CancellationToken) {
    let mut running = JoinSet::new();
    loop {
        if let Err(cause) = ask(&ctx, &outbound, &mut running).await {
            tracing::error!(%cause, "failed to claim call polls");
        }
        tokio::select! {
            () = stop.cancelled() => break,
            // A finished poll frees capacity.
            Some(_) = running.join_next() => {}
            () = time::sleep(PERIOD) => {}
        }
    }
    running.shutdown().await;
}

/// Starts as many due polls as there is capacity for.
async fn ask(ctx: &Arc<Context>, outbound: &Arc<dyn Outbound>, running: &mut JoinSet<()>) -> Result<()> {
    let free = u32::try_from(MAX_IN_FLIGHT.saturating_sub(running.len())).unwrap_or(0);
    if free == 0 {
        return Ok(());
    }
    for (request, poll) in call_polling::claim_due(ctx, free).await? {
        let (ctx, outbound) = (Arc::clone(ctx), Arc::clone(outbound));
        running.spawn(async move {
            let exchange = outbound.send(Receiver::Provider, request).await;
            if let Err(cause) = call_polling::record_answer(&ctx, &poll, &exchange).await {
                tracing::error!(%cause, "failed to record the result of a call");
            }
        });
    }
    Ok(())
}
