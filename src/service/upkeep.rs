//! What time does: rides that nobody ended, calls of whose end nobody told, rides to be moved, records that served their
//! purpose.
//!
//! Each is a [`Job`], and the replicas share the work: one of them runs a job in a period. No invariant waits for any.

use std::pin::Pin;

use chrono::Duration;

use super::{Service, pool, relay, strangers};
use crate::{
    domain::{comparison::Allowance, error::Result},
    store::{
        Tx, arrivals, auto_replies, bindings, calls, clients, comparisons, deliveries, endpoints, events, idempotency,
        inbox, jobs, outbox, simulator,
    },
};

/// How long an answer is kept for a repeated request.
const ANSWERS_KEPT: Duration = Duration::hours(24);
/// How long simulated phones remember.
const SCREENS_KEPT: Duration = Duration::days(7);
/// No provider lets a call last longer; one that still is open then ended without our being told.
const LONGEST_CALL: Duration = Duration::hours(4);
/// How long attempts to deliver events are shown.
const ATTEMPTS_KEPT: Duration = Duration::days(30);
/// How long the position of a text is kept that its provider has not repeated. None repeats one for longer than a day.
const ARRIVALS_KEPT: Duration = Duration::days(1);
/// How much is done in one transaction: a backlog of one job must not take the database from everybody else.
const BATCH: u64 = 5000;
/// Transactions of one run of a job that forgets something, and the pause in which others come to their turn.
const BATCHES: u32 = 50;
const BREATHER: std::time::Duration = std::time::Duration::from_millis(20);
/// How much of what the platform is told of; each is a row to be written.
const TOLD: u64 = 1000;
/// Rides moved in a run. Each owes two texts, and an operator who suspends a busy number should not make the texts of
/// everybody else wait behind its notices.
const MOVED: u64 = 20;

/// Something that is done once in a period, by one of the replicas.
pub struct Job {
    /// Its row in the database: never to be changed, replicas of two versions share it.
    pub name: &'static str,
    /// From one run to the next.
    pub period: Duration,
    run: Run,
}

type Run = for<'a> fn(&'a Service) -> Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>>;

impl Job {
    const fn every(seconds: i64, name: &'static str, run: Run) -> Self {
        Self { name, period: Duration::seconds(seconds), run }
    }
}

/// Jobs that keep the records in order. A further one is a line.
const TIDYING: &[Job] = &[
    Job::every(15, "end_overdue_rides", |service| Box::pin(service.end_overdue())),
    Job::every(15, "announce_closings", |service| Box::pin(service.announce_some_closings())),
    Job::every(15, "adopt_parts", |service| Box::pin(service.adopt_parts())),
    Job::every(15, "forget_calls", |service| Box::pin(service.forget_calls())),
    Job::every(15, "prune_bindings", |service| Box::pin(service.prune_bindings())),
    Job::every(15, "prune_inbox", |service| Box::pin(service.prune_inbox())),
    Job::every(15, "prune_answers", |service| Box::pin(service.prune_answers())),
    Job::every(15, "prune_auto_replies", |service| Box::pin(service.prune_auto_replies())),
    Job::every(60, "prune_arrivals", |service| Box::pin(service.prune_arrivals())),
    Job::every(60, "prune_comparisons", |service| Box::pin(service.prune_comparisons())),
    Job::every(60, "prune_screens", |service| Box::pin(service.prune_screens())),
    Job::every(60, "prune_events", |service| Box::pin(service.prune_events())),
    Job::every(60, "prune_attempts", |service| Box::pin(service.prune_attempts())),
    Job::every(3600, "prune_retries", |service| Box::pin(service.prune_retries())),
    Job::every(60, "prune_secrets", |service| Box::pin(service.prune_secrets())),
    Job::every(pool::LOOK_EVERY.num_seconds(), "watch_pool", |service| Box::pin(service.watch_pool())),
];

/// Jobs that change what people can do, or what they are told: tests drive each by hand.
const ACTING: &[Job] = &[
    Job::every(2, "expire_texts", |service| Box::pin(service.expire_texts())),
    Job::every(2, "leave_suspended_numbers", |service| Box::pin(service.leave_some_numbers())),
    Job::every(2, "leave_down_providers", |service| Box::pin(service.leave_some_providers())),
];

impl Service {
    /// All periodic jobs.
    pub fn jobs() -> impl Iterator<Item = &'static Job> {
        TIDYING.iter().chain(ACTING)
    }

    /// Runs a job if it is due and no other replica has taken this period's run; answers whether it ran.
    pub async fn run_if_due(&self, job: &Job) -> Result<bool> {
        let now = self.now();
        let Some(holder) = self.holder() else { return Ok(false) };
        let mine =
            self.store.write(|tx| async move { jobs::claim(&tx, job.name, job.period, holder, now).await }).await?;
        if mine {
            (job.run)(self).await?;
        }
        Ok(mine)
    }

    /// Runs all that keeps the records in order, due or not. One that fails does not stop the others; the first failure
    /// is answered.
    pub async fn tidy(&self) -> Result<()> {
        let mut outcome = Ok(());
        for job in TIDYING {
            outcome = outcome.and((job.run)(self).await);
        }
        outcome
    }

    async fn end_overdue(&self) -> Result<()> {
        let ended = self.end_overdue_rides(BATCH).await?;
        if ended > 0 {
            tracing::info!(ended, "rides timed out");
        }
        Ok(())
    }

    async fn announce_some_closings(&self) -> Result<()> {
        self.announce_closings(TOLD).await.map(drop)
    }

    async fn adopt_parts(&self) -> Result<()> {
        let expires_at = self.now() + self.message_ttl;
        self.store.write(|tx| async move { outbox::adopt(&tx, expires_at).await }).await
    }

    async fn forget_calls(&self) -> Result<()> {
        let now = self.now();
        self.store.write(|tx| async move { calls::forget(&tx, now - LONGEST_CALL, TOLD, now).await }).await.map(drop)
    }

    /// Forgets in batches until there is no more, or it is enough for this run.
    async fn forget<F: Future<Output = Result<u64>>>(&self, batch: impl Fn(Tx) -> F) -> Result<()> {
        for _ in 0..BATCHES {
            if self.store.write(&batch).await? < BATCH {
                break;
            }
            tokio::time::sleep(BREATHER).await;
        }
        Ok(())
    }

    async fn prune_bindings(&self) -> Result<()> {
        let now = self.now();
        self.forget(|tx| async move { bindings::prune(&tx, now, BATCH).await }).await
    }

    async fn prune_inbox(&self) -> Result<()> {
        let now = self.now();
        self.forget(|tx| async move { inbox::prune(&tx, now, now - relay::REMEMBERED, BATCH).await }).await
    }

    async fn prune_answers(&self) -> Result<()> {
        let before = self.now() - ANSWERS_KEPT;
        self.forget(|tx| async move { idempotency::prune(&tx, before, BATCH).await }).await
    }

    async fn prune_auto_replies(&self) -> Result<()> {
        let before = self.now() - strangers::ONCE_IN;
        self.store.write(|tx| async move { auto_replies::prune(&tx, before, BATCH).await }).await.map(drop)
    }

    async fn prune_arrivals(&self) -> Result<()> {
        let before = self.now() - ARRIVALS_KEPT;
        self.forget(|tx| async move { arrivals::prune(&tx, before, BATCH).await }).await
    }

    async fn prune_comparisons(&self) -> Result<()> {
        let before = self.now() - Allowance::LONGEST;
        self.forget(|tx| async move { comparisons::prune(&tx, before, BATCH).await }).await
    }

    async fn prune_screens(&self) -> Result<()> {
        let before = self.now() - SCREENS_KEPT;
        self.store.write(|tx| async move { simulator::prune(&tx, before).await }).await.map(drop)
    }

    async fn prune_events(&self) -> Result<()> {
        let before = self.now() - self.event_retention;
        self.forget(|tx| async move { events::prune(&tx, before, BATCH).await }).await
    }

    async fn prune_attempts(&self) -> Result<()> {
        let before = self.now() - ATTEMPTS_KEPT;
        self.forget(|tx| async move { deliveries::prune(&tx, before, BATCH).await }).await
    }

    async fn prune_retries(&self) -> Result<()> {
        self.forget(|tx| async move { deliveries::prune_retries(&tx, BATCH).await }).await
    }

    async fn prune_secrets(&self) -> Result<()> {
        let now = self.now();
        self.store
            .write(|tx| async move {
                endpoints::prune_secrets(&tx, now).await?;
                clients::prune_secrets(&tx, now).await
            })
            .await
    }

    async fn leave_some_numbers(&self) -> Result<()> {
        let rides = self.leave_suspended_numbers(MOVED).await?;
        if rides > 0 {
            tracing::info!(rides, "rides left suspended numbers");
        }
        Ok(())
    }

    async fn leave_some_providers(&self) -> Result<()> {
        let rides = self.leave_down_providers(MOVED).await?;
        if rides > 0 {
            tracing::info!(rides, "rides left a provider that is down");
        }
        Ok(())
    }
}
