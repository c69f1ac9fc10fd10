//! Periodic jobs: end overdue rides, close calls that were never reported, move rides, and prune old records.
//!
//! Each is a [`Job`], and the replicas share the work: one of them runs a job in each period. No invariant depends on a
//! job.

use std::pin::Pin;

use chrono::Duration;

use super::{
    Context,
    moves::{leave_down_providers, leave_suspended_numbers},
    outbox::expire_texts,
    pool, rides, strangers,
};
use crate::{
    domain::{comparison::ComparisonLimit, error::Result},
    store::{
        Tx, calls, clients, deliveries, endpoints, jobs,
        retention::{self, Expiring},
    },
};

/// Time for which an answer is kept for repeats of its request.
const ANSWERS_KEPT: Duration = Duration::hours(24);
/// Time for which the screens of simulated phones are kept.
const SCREENS_KEPT: Duration = Duration::days(7);
/// Longest call that any provider allows. A call that is still open after that has ended without a report.
const LONGEST_CALL: Duration = Duration::hours(4);
/// Time for which attempts to deliver events are kept.
const ATTEMPTS_KEPT: Duration = Duration::days(30);
/// Time for which the position of a text is kept if its provider does not repeat it. No provider repeats a text for
/// longer than a day.
const ARRIVALS_KEPT: Duration = Duration::days(1);
/// Maximum number of rows in one transaction: a backlog of one job must not block everybody else.
const BATCH: u64 = 5000;
/// Maximum number of transactions in one run of a pruning job, and the pause that lets others in between.
const BATCHES: u32 = 50;
const PAUSE_BETWEEN_BATCHES: std::time::Duration = std::time::Duration::from_millis(20);
/// Maximum number of changes reported to the platform in one run. Each writes a row.
const MAX_ANNOUNCED: u64 = 1000;
/// Maximum number of rides moved in one run. Each enqueues two texts. When an operator suspends a busy number, its
/// notices should not delay everybody else's texts.
const MAX_MOVED: u64 = 20;

/// Job that one of the replicas runs once in each period.
pub struct Job {
    /// Name of its row in the database. It must never change: replicas of two versions share the row.
    pub name: &'static str,
    /// Time from one run to the next.
    pub period: Duration,
    run: Run,
}

type Run = for<'a> fn(&'a Context) -> Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>>;

impl Job {
    const fn every(seconds: i64, name: &'static str, run: Run) -> Self {
        Self { name, period: Duration::seconds(seconds), run }
    }
}

/// Jobs that keep the records in order. To add one, add a line.
const TIDYING: &[Job] = &[
    Job::every(15, "end_overdue_rides", |ctx| Box::pin(end_overdue(ctx))),
    Job::every(15, "announce_closings", |ctx| Box::pin(announce_some_closings(ctx))),
    Job::every(15, "forget_calls", |ctx| Box::pin(close_unreported_calls(ctx))),
    Job::every(15, "prune_bindings", |ctx| Box::pin(prune(ctx, &retention::BINDINGS, Duration::zero()))),
    Job::every(15, "prune_inbox", |ctx| Box::pin(prune(ctx, &retention::INBOX, Duration::zero()))),
    Job::every(15, "prune_answers", |ctx| Box::pin(prune(ctx, &retention::IDEMPOTENCY_KEYS, ANSWERS_KEPT))),
    Job::every(15, "prune_auto_replies", |ctx| {
        Box::pin(prune(ctx, &retention::AUTO_REPLIES, strangers::REPLY_INTERVAL))
    }),
    Job::every(60, "prune_arrivals", |ctx| Box::pin(prune(ctx, &retention::ARRIVALS, ARRIVALS_KEPT))),
    Job::every(60, "prune_comparisons", |ctx| Box::pin(prune(ctx, &retention::COMPARISONS, ComparisonLimit::LONGEST))),
    Job::every(60, "prune_screens", |ctx| Box::pin(prune(ctx, &retention::SIMULATOR_SCREENS, SCREENS_KEPT))),
    Job::every(60, "prune_events", |ctx| Box::pin(prune(ctx, &retention::EVENTS, ctx.settings.event_retention))),
    Job::every(60, "prune_attempts", |ctx| Box::pin(prune(ctx, &retention::EVENT_ATTEMPTS, ATTEMPTS_KEPT))),
    Job::every(3600, "prune_retries", |ctx| Box::pin(prune_retries(ctx))),
    Job::every(60, "prune_secrets", |ctx| Box::pin(prune_secrets(ctx))),
    Job::every(pool::CHECK_INTERVAL.num_seconds(), "watch_pool", |ctx| Box::pin(pool::watch_pool(ctx))),
];

/// Jobs that change what people can do, or which texts they get. Tests run each of them explicitly.
const ACTING: &[Job] = &[
    Job::every(2, "expire_texts", |ctx| Box::pin(expire_texts(ctx))),
    Job::every(2, "leave_suspended_numbers", |ctx| Box::pin(leave_some_numbers(ctx))),
    Job::every(2, "leave_down_providers", |ctx| Box::pin(leave_some_providers(ctx))),
];

pub fn jobs() -> impl Iterator<Item = &'static Job> {
    TIDYING.iter().chain(ACTING)
}

/// Runs a job if it is due and no other replica has claimed this period. Returns whether it ran.
pub async fn run_if_due(ctx: &Context, job: &Job) -> Result<bool> {
    let now = ctx.now();
    let Some(holder) = ctx.membership.holder() else { return Ok(false) };
    let mine = ctx.store.write(|tx| async move { jobs::claim(&tx, job.name, job.period, holder, now).await }).await?;
    if mine {
        (job.run)(ctx).await?;
    }
    Ok(mine)
}

/// Runs all jobs that keep the records in order, due or not. A failing job does not stop the others. Returns the first
/// failure.
pub async fn tidy(ctx: &Context) -> Result<()> {
    let mut outcome = Ok(());
    for job in TIDYING {
        outcome = outcome.and((job.run)(ctx).await);
    }
    outcome
}

async fn end_overdue(ctx: &Context) -> Result<()> {
    let ended = rides::end_overdue(ctx, BATCH).await?;
    if ended > 0 {
        tracing::info!(ended, "ended overdue rides");
    }
    Ok(())
}

async fn announce_some_closings(ctx: &Context) -> Result<()> {
    rides::announce_closings(ctx, MAX_ANNOUNCED).await.map(drop)
}

async fn close_unreported_calls(ctx: &Context) -> Result<()> {
    let now = ctx.now();
    ctx.store
        .write(|tx| async move { calls::close_unreported(&tx, now - LONGEST_CALL, MAX_ANNOUNCED, now).await })
        .await
        .map(drop)
}

/// Deletes in batches until nothing is left, or the limit of one run is reached.
async fn in_batches<F: Future<Output = Result<u64>>>(ctx: &Context, batch: impl Fn(Tx) -> F) -> Result<()> {
    for _ in 0..BATCHES {
        if ctx.store.write(&batch).await? < BATCH {
            break;
        }
        tokio::time::sleep(PAUSE_BETWEEN_BATCHES).await;
    }
    Ok(())
}

/// Deletes the rows of a table that are older than this.
async fn prune(ctx: &Context, from: &Expiring, age: Duration) -> Result<()> {
    let before = ctx.now() - age;
    in_batches(ctx, |tx| async move { retention::prune(&tx, from, before, BATCH).await }).await
}

async fn prune_retries(ctx: &Context) -> Result<()> {
    in_batches(ctx, |tx| async move { deliveries::prune_retries(&tx, BATCH).await }).await
}

async fn prune_secrets(ctx: &Context) -> Result<()> {
    let now = ctx.now();
    ctx.store
        .write(|tx| async move {
            endpoints::prune_secrets(&tx, now).await?;
            clients::prune_secrets(&tx, now).await
        })
        .await
}

async fn leave_some_numbers(ctx: &Context) -> Result<()> {
    let rides = leave_suspended_numbers(ctx, MAX_MOVED).await?;
    if rides > 0 {
        tracing::info!(rides, "processed rides on suspended numbers");
    }
    Ok(())
}

async fn leave_some_providers(ctx: &Context) -> Result<()> {
    let rides = leave_down_providers(ctx, MAX_MOVED).await?;
    if rides > 0 {
        tracing::info!(rides, "moved rides off providers that are down");
    }
    Ok(())
}
