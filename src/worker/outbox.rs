//! Sends what the outbox holds.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{
    task::{self, JoinSet},
    time::{self, Instant},
};

use crate::{
    domain::{error::Result, number::ProviderName},
    lifecycle::Stop,
    service::{Due, Send, Service},
    transport::Transport,
};

/// Exchanges with one provider that one process has under way at most. Each provider has its own, so that one that is slow
/// does not keep the texts of others waiting.
const AT_ONCE: usize = 32;
/// How often the outbox is looked at though nobody rang: for retries that fall due, and for what another replica
/// stored or left behind.
const PERIOD: Duration = Duration::from_secs(1);

/// The worker.
pub struct OutboxWorker {
    service: Arc<Service>,
    transport: Arc<dyn Transport>,
    providers: Vec<ProviderName>,
}

/// Exchanges under way.
#[derive(Default)]
struct Sending {
    tasks: JoinSet<()>,
    with: HashMap<task::Id, ProviderName>,
}

impl Sending {
    /// How many more there may be with a provider.
    fn free(&self, provider: &ProviderName) -> u32 {
        let under_way = self.with.values().filter(|with| *with == provider).count();
        u32::try_from(AT_ONCE.saturating_sub(under_way)).unwrap_or(0)
    }

    /// Waits until one is over, and tells with whom it was; `None` if there is none.
    async fn next(&mut self) -> Option<ProviderName> {
        let ended = self.tasks.join_next_with_id().await?;
        let id = ended.map_or_else(|panicked| panicked.id(), |(id, ())| id);
        self.with.remove(&id)
    }
}

impl OutboxWorker {
    /// A worker that sends over this transport.
    pub fn new(service: Arc<Service>, transport: Arc<dyn Transport>) -> Self {
        let providers = service.providers().configured();
        Self { service, transport, providers }
    }

    /// Sends everything that is due now; answers how many claims were worked off.
    pub async fn tick(&self) -> Result<usize> {
        self.service.expire_texts().await?;
        let (mut done, mut sending) = (0, Sending::default());
        loop {
            let before = done;
            for provider in &self.providers {
                let due = self.service.claim_due(provider, sending.free(provider)).await?;
                done += due.sends.len();
                self.send_all(&mut sending, provider, due.sends);
            }
            while sending.next().await.is_some() {}
            if done == before {
                return Ok(done);
            }
            if self.service.is_stopping() {
                return Ok(done);
            }
        }
    }

    /// Sends until told to stop; then finishes what is under way, and gives back what is not.
    pub async fn run(self, mut stop: Stop) {
        let owed = Arc::clone(self.service.owed());
        let mut sending = Sending::default();
        let mut asked = self.providers.clone();
        let mut next_look = Instant::now();
        loop {
            for provider in &asked {
                let pause = self.claim(&mut sending, provider).await;
                next_look = next_look.min(Instant::now() + pause);
            }
            tokio::select! {
                () = stop.requested() => break,
                // A finished exchange frees its place, and the next text of its conversation.
                Some(provider) = sending.next() => asked = vec![provider],
                () = owed.notified() => asked.clone_from(&self.providers),
                () = time::sleep_until(next_look) => {
                    next_look = Instant::now() + PERIOD;
                    asked.clone_from(&self.providers);
                    self.expire().await;
                }
            }
        }
        while sending.next().await.is_some() {}
    }

    /// Claims and sends what a provider can take now; answers how long to wait at most before the next look.
    async fn claim(&self, sending: &mut Sending, provider: &ProviderName) -> Duration {
        let free = sending.free(provider);
        if free == 0 {
            return PERIOD;
        }
        match self.service.claim_due(provider, free).await {
            Ok(Due { sends, again_at }) => {
                self.send_all(sending, provider, sends);
                let pause = again_at.and_then(|at| (at - self.service.now()).to_std().ok());
                pause.unwrap_or(PERIOD)
            }
            Err(cause) => {
                tracing::error!(%cause, "the outbox could not be read");
                PERIOD
            }
        }
    }

    async fn expire(&self) {
        if let Err(cause) = self.service.expire_texts().await {
            tracing::error!(%cause, "texts that are too late could not be given up");
        }
    }

    fn send_all(&self, sending: &mut Sending, provider: &ProviderName, sends: Vec<Send>) {
        for send in sends {
            let (service, transport) = (Arc::clone(&self.service), Arc::clone(&self.transport));
            let of = provider.clone();
            let task = sending.tasks.spawn(async move { work_off(&service, transport.as_ref(), &of, send).await });
            sending.with.insert(task.id(), provider.clone());
        }
    }
}

/// Pauses between tries to write an outcome down, in milliseconds; together they are shorter than what an exchange
/// leaves of the lease.
const FINISH_AGAIN: [u64; 6] = [200, 500, 1000, 2000, 4000, 8000];

async fn work_off(service: &Service, transport: &dyn Transport, provider: &ProviderName, send: Send) {
    if let Err(cause) = exchange(service, transport, provider, send).await {
        // The lease gives the part back.
        tracing::error!(%cause, "a text could not be worked off");
    }
}

async fn exchange(service: &Service, transport: &dyn Transport, provider: &ProviderName, send: Send) -> Result<()> {
    let Some((request, dispatch)) = service.prepare(send).await? else {
        return service.came_to_nothing(provider, send).await;
    };
    if service.is_stopping() {
        return service.give_back(provider, send).await;
    }
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
