//! Sends what the outbox holds.

use std::{sync::Arc, time::Duration};

use tokio::{task::JoinSet, time};

use crate::{domain::error::Result, lifecycle::Stop, service::Service, store::outbox::Claim, transport::Transport};

/// Exchanges that one process has under way at most.
const AT_ONCE: usize = 32;
/// How often the outbox is looked at though nobody rang: for retries that fall due, and for what another replica
/// stored or left behind.
const PERIOD: Duration = Duration::from_secs(1);

/// The worker.
pub struct OutboxWorker {
    service: Arc<Service>,
    transport: Arc<dyn Transport>,
}

impl OutboxWorker {
    /// A worker that sends over this transport.
    pub fn new(service: Arc<Service>, transport: Arc<dyn Transport>) -> Self {
        Self { service, transport }
    }

    /// Sends everything that is due now; answers how many claims were worked off.
    pub async fn tick(&self) -> Result<usize> {
        let mut done = 0;
        loop {
            let claims = self.service.claim_due(u32::try_from(AT_ONCE).unwrap_or(u32::MAX)).await?;
            if claims.is_empty() {
                return Ok(done);
            }
            done += claims.len();
            let mut running = JoinSet::new();
            for claim in claims {
                running.spawn(work_off(Arc::clone(&self.service), Arc::clone(&self.transport), claim));
            }
            running.join_all().await;
        }
    }

    async fn claim(&self, free: u32) -> Vec<Claim> {
        if free == 0 {
            return Vec::new();
        }
        self.service.claim_due(free).await.unwrap_or_else(|cause| {
            tracing::error!(%cause, "the outbox could not be read");
            Vec::new()
        })
    }

    /// Sends until told to stop; then finishes what is under way.
    pub async fn run(self, mut stop: Stop) {
        let owed = Arc::clone(self.service.owed());
        let mut running = JoinSet::new();
        loop {
            let free = u32::try_from(AT_ONCE.saturating_sub(running.len())).unwrap_or(0);
            for claim in self.claim(free).await {
                running.spawn(work_off(Arc::clone(&self.service), Arc::clone(&self.transport), claim));
            }
            tokio::select! {
                () = stop.requested() => break,
                // A finished exchange frees its place, and the next text of its conversation.
                Some(_) = running.join_next() => {}
                () = owed.notified() => {}
                () = time::sleep(PERIOD) => {}
            }
        }
        running.join_all().await;
    }
}

/// Pauses between tries to write an outcome down, in milliseconds; together they are shorter than what an exchange
/// leaves of the lease.
const FINISH_AGAIN: [u64; 6] = [200, 500, 1000, 2000, 4000, 8000];

async fn work_off(service: Arc<Service>, transport: Arc<dyn Transport>, claim: Claim) {
    if let Err(cause) = send(&service, transport.as_ref(), claim).await {
        // The lease gives the part back.
        tracing::error!(%cause, "a text could not be worked off");
    }
}

async fn send(service: &Service, transport: &dyn Transport, claim: Claim) -> Result<()> {
    let Some((request, dispatch)) = service.prepare(claim).await? else { return Ok(()) };
    let response = transport.exchange(request).await;
    // What the provider said is known only here: as long as the claim is ours, the database gets another chance.
    for pause in FINISH_AGAIN {
        match service.finish(&dispatch, &response).await {
            Ok(()) => return Ok(()),
            Err(cause) => tracing::warn!(%cause, "an outcome could not be written down yet"),
        }
        time::sleep(Duration::from_millis(pause)).await;
    }
    service.finish(&dispatch, &response).await
}
