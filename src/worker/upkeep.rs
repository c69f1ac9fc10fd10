//! Runs the periodic jobs, each in its own loop, so that a slow or failing one does not hold up the others.

use std::{sync::Arc, time::Duration};

use tokio::{task::JoinSet, time};
use tokio_util::sync::CancellationToken;

use crate::service::{Context, Job, health, upkeep};

/// Interval at which clocks are compared. Every replica does it, because each has its own clock.
const COMPARE_CLOCKS: Duration = Duration::from_secs(15);

/// Runs all jobs until shutdown is requested. Running jobs are aborted then: what they did not commit is done in the
/// next period.
pub async fn run(ctx: Arc<Context>, stop: CancellationToken) {
    let mut running = JoinSet::new();
    for job in upkeep::jobs() {
        running.spawn(repeat(Arc::clone(&ctx), job));
    }
    running.spawn(compare_clocks(ctx));
    tokio::select! {
        () = stop.cancelled() => {}
        // Only a panic ends a loop, and a restart is better than half of the upkeep.
        Some(_) = running.join_next() => {}
    }
    running.shutdown().await;
}

async fn repeat(ctx: Arc<Context>, job: &'static Job) {
    let period = job.period.to_std().unwrap_or(Duration::from_secs(1));
    let mut due = ctx.wakeups.jobs.listen();
    loop {
        let ran = upkeep::run_if_due(&ctx, job).await.unwrap_or_else(|cause| {
            tracing::error!(job = job.name, %cause, "failed to run a job");
            true
        });
        // A replica that did not get the run checks earlier, so that the next run is not late if the one that got it
        // dies.
        let pause = if ran { period } else { period / 2 };
        tokio::select! {
            () = time::sleep(pause) => {}
            () = due.woken() => {}
        }
    }
}

async fn compare_clocks(ctx: Arc<Context>) {
    loop {
        if let Err(cause) = health::measure_skew(&ctx).await {
            tracing::warn!(%cause, "failed to compare the clock with the database's");
        }
        time::sleep(COMPARE_CLOCKS).await;
    }
}
