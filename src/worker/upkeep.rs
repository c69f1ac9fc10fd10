//! Does what time asks for: a loop for every periodic job, so that a slow or failing one holds up no other.

use std::{sync::Arc, time::Duration};

use tokio::{task::JoinSet, time};

use crate::{
    lifecycle::Stop,
    service::{Context, Job, health, upkeep},
};

/// How often clocks are compared: by every replica, as each has one.
const COMPARE_CLOCKS: Duration = Duration::from_secs(15);

/// Runs all jobs until told to stop. Those under way are given up then: what they did not commit is done in the next
/// period.
pub async fn run(ctx: Arc<Context>, mut stop: Stop) {
    let mut running = JoinSet::new();
    for job in upkeep::jobs() {
        running.spawn(repeat(Arc::clone(&ctx), job));
    }
    running.spawn(compare_clocks(ctx));
    tokio::select! {
        () = stop.requested() => {}
        // Only a panic ends a loop, and half of the upkeep is worse than a restart.
        Some(_) = running.join_next() => {}
    }
    running.shutdown().await;
}

async fn repeat(ctx: Arc<Context>, job: &'static Job) {
    let period = job.period.to_std().unwrap_or(Duration::from_secs(1));
    let mut due = ctx.wakeups.jobs.listen();
    loop {
        let ran = upkeep::run_if_due(&ctx, job).await.unwrap_or_else(|cause| {
            tracing::error!(job = job.name, %cause, "a job failed");
            true
        });
        // Whoever was not the one looks again earlier, so that the next run is not late if that one dies.
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
            tracing::warn!(%cause, "our clock could not be compared with the database's");
        }
        time::sleep(COMPARE_CLOCKS).await;
    }
}
