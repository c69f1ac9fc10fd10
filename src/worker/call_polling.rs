//! Asks providers what became of calls, where they do not tell by themselves.

use std::{sync::Arc, time::Duration};

use tokio::{task::JoinSet, time};

use crate::{
    domain::error::Result,
    lifecycle::Stop,
    service::{Context, call_polling},
    transport::Transport,
};

/// Questions that one process has under way at most.
const AT_ONCE: usize = 8;
const PERIOD: Duration = Duration::from_secs(5);

/// Asks everything that is due now, `AT_ONCE` at a time; answers how many questions there were.
pub async fn tick(ctx: &Arc<Context>, transport: &Arc<dyn Transport>) -> Result<usize> {
    let mut asked = 0;
    loop {
        let mut running = JoinSet::new();
        ask(ctx, transport, &mut running).await?;
        if running.is_empty() {
            return Ok(asked);
        }
        asked += running.len();
        running.join_all().await;
    }
}

/// Asks until told to stop. Questions under way are given up then: their leases give them to whoever runs next.
pub async fn run(ctx: Arc<Context>, transport: Arc<dyn Transport>, mut stop: Stop) {
    let mut running = JoinSet::new();
    loop {
        if let Err(cause) = ask(&ctx, &transport, &mut running).await {
            tracing::error!(%cause, "calls could not be asked about");
        }
        tokio::select! {
            () = stop.requested() => break,
            // An answered question frees its place.
            Some(_) = running.join_next() => {}
            () = time::sleep(PERIOD) => {}
        }
    }
    running.shutdown().await;
}

/// Asks as much of what is due as there is room for.
async fn ask(ctx: &Arc<Context>, transport: &Arc<dyn Transport>, running: &mut JoinSet<()>) -> Result<()> {
    let free = u32::try_from(AT_ONCE.saturating_sub(running.len())).unwrap_or(0);
    if free == 0 {
        return Ok(());
    }
    for (request, poll) in call_polling::take_due(ctx, free).await? {
        let (ctx, transport) = (Arc::clone(ctx), Arc::clone(transport));
        running.spawn(async move {
            let response = transport.exchange(request).await;
            if let Err(cause) = call_polling::take_answer(&ctx, &poll, &response).await {
                tracing::error!(%cause, "what became of a call could not be written down");
            }
        });
    }
    Ok(())
}
