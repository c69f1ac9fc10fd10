//! Sends outbox items.

use std::{sync::Arc, time::Duration};

use tokio::{task::JoinSet, time};
use tokio_util::sync::CancellationToken;

use crate::{
    domain::{error::Result, number::ProviderName, outbound::Receiver},
    outbound::Outbound,
    service::{Context, health, heartbeat, outbox},
    store::outbox::{Claim, ClaimResult},
};

/// Maximum number of exchanges with one provider that one process has in flight. Each provider has its own limit, so
/// that a slow one does not hold up the texts of others.
const MAX_IN_FLIGHT: usize = 32;
/// Interval of polls without a wake-up: for retries that fall due, and for what another replica stored or left behind.
const PERIOD: Duration = Duration::from_secs(1);

/// Pauses between attempts to record an outcome: after the first ones, and after all others.
const RECORD_RETRY_PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(500)];
const RECORD_RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Time after which no further attempt is made. An exchange leaves this much of a lease that names its process.
const RECORD_WITHIN: Duration = Duration::from_secs(30);

pub struct OutboxWorker {
    ctx: Arc<Context>,
    outbound: Arc<dyn Outbound>,
}

impl OutboxWorker {
    /// Creates a worker that sends over this port.
    pub fn new(ctx: Arc<Context>, outbound: Arc<dyn Outbound>) -> Self {
        Self { ctx, outbound }
    }

    /// Sends everything that is due now. Returns the number of claims that were processed.
    pub async fn tick(&self) -> Result<usize> {
        outbox::expire_texts(&self.ctx).await?;
        let (mut done, mut sending) = (0, JoinSet::new());
        loop {
            let mut goes_on = false;
            for queue in self.queues() {
                let ClaimResult { claims, again_at } = queue.claim(MAX_IN_FLIGHT).await?;
                done += claims.len();
                goes_on |= !claims.is_empty() || again_at.is_some_and(|at| at <= self.ctx.now());
                queue.send_all(&mut sending, claims);
            }
            while sending.join_next().await.is_some() {}
            if !goes_on || health::is_stopping(&self.ctx) {
                return Ok(done);
            }
        }
    }

    /// Sends until shutdown is requested, then finishes what is in flight and gives back the rest.
    pub async fn run(self, stop: CancellationToken) {
        let mut queues = JoinSet::new();
        for queue in self.queues() {
            queues.spawn(queue.run(stop.clone()));
        }
        while let Some(ended) = queues.join_next().await {
            if ended.is_err() {
                // A queue panicked, and a restart is better than half an outbox.
                return;
            }
        }
    }

    fn queues(&self) -> impl Iterator<Item = ProviderQueue> {
        let queue =
            |provider| ProviderQueue { ctx: Arc::clone(&self.ctx), outbound: Arc::clone(&self.outbound), provider };
        self.ctx.providers.configured().into_iter().map(queue)
    }
}

/// Outbox items of one provider.
#[derive(Clone)]
struct ProviderQueue {
    ctx: Arc<Context>,
    outbound: Arc<dyn Outbound>,
    provider: ProviderName,
}

impl ProviderQueue {
    async fn run(self, stop: CancellationToken) {
        let mut queued = self.ctx.wakeups.outbox.listen();
        let mut sending = JoinSet::new();
        loop {
            let pause = self.send_due(&mut sending).await;
            tokio::select! {
                () = stop.cancelled() => break,
                // A finished exchange frees capacity, and the next text of its conversation.
                Some(_) = sending.join_next() => {}
                () = queued.woken() => {}
                () = time::sleep(pause) => {}
            }
        }
        while sending.join_next().await.is_some() {}
    }

    /// Starts to send what the provider can take now. Returns the longest time to wait before the next poll.
    async fn send_due(&self, sending: &mut JoinSet<()>) -> Duration {
        let free = MAX_IN_FLIGHT.saturating_sub(sending.len());
        if free == 0 {
            return PERIOD;
        }
        match self.claim(free).await {
            Ok(ClaimResult { claims, again_at }) => {
                self.send_all(sending, claims);
                let pause = again_at.map(|at| (at - self.ctx.now()).to_std().unwrap_or_default());
                pause.unwrap_or(PERIOD).min(PERIOD)
            }
            Err(cause) => {
                tracing::error!(provider = %self.provider, %cause, "failed to claim outbox items");
                PERIOD
            }
        }
    }

    async fn claim(&self, limit: usize) -> Result<ClaimResult> {
        outbox::claim_due(&self.ctx, &self.provider, u32::try_from(limit).unwrap_or(u32::MAX)).await
    }

    fn send_all(&self, sending: &mut JoinSet<()>, claims: Vec<Claim>) {
        for claim in claims {
            let queue = self.clone();
            sending.spawn(async move { queue.work_off(claim).await });
        }
    }

    async fn work_off(&self, claim: Claim) {
        let done = self.exchange(claim).await;
        outbox::let_go(&self.ctx, claim, done.is_ok());
        if let Err(cause) = done {
            tracing::error!(%cause, "failed to process an outbox item");
        }
    }

    async fn exchange(&self, claim: Claim) -> Result<()> {
        let Self { ctx, outbound, provider } = self;
        let Some((request, dispatch)) = outbox::prepare(ctx, claim).await? else {
            return outbox::release_probe(ctx, provider, claim).await;
        };
        if health::is_stopping(ctx) || !outbox::may_send(ctx, claim) {
            return outbox::give_back(ctx, provider, claim).await;
        }
        let exchange = heartbeat::while_held(ctx, claim.holder, outbound.send(Receiver::Provider, request)).await;
        // Only this process knows what the provider answered. While the claim holds, it keeps trying to record that.
        let deadline = time::Instant::now() + RECORD_WITHIN;
        let mut pauses = RECORD_RETRY_PAUSES.into_iter();
        loop {
            match outbox::write_down(ctx, &dispatch, exchange.as_ref()).await {
                Err(cause) if time::Instant::now() < deadline => {
                    tracing::warn!(%cause, "failed to record the outcome of a send: retrying");
                }
                done => return done,
            }
            time::sleep(pauses.next().unwrap_or(RECORD_RETRY_PAUSE)).await;
        }
    }
}
