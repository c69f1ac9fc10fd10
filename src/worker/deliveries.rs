//! Delivers events to the platform's endpoints.
//!
//! Failing and slow endpoints have half of the capacity for themselves, so healthy ones never wait for them. Nothing
//! else waits for this worker.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{self, Instant},
};
use tokio_util::sync::CancellationToken;

use crate::{
    domain::{
        error::{Error, Result},
        outbound::Receiver,
    },
    outbound::Outbound,
    service::{
        Context,
        deliveries::{self, DeliveryResult, Item, Lane, Round},
        heartbeat,
    },
};

/// Maximum number of exchanges in flight in each lane.
const MAX_IN_FLIGHT: usize = 32;
/// Maximum number of exchanges in flight with one endpoint, as long as it accepts events.
const WINDOW: usize = 8;
/// Maximum number of rounds recorded at the same time. More would take database connections from relays.
const FINISHING: usize = 4;
/// Latest start of an exchange after the claim of its round, well before the lease ends.
const BEGINS_UNTIL: Duration = Duration::from_secs(15);
/// Interval of polls without a wake-up: for retries, and for the work of other replicas.
const PERIOD: Duration = Duration::from_secs(1);

pub struct DeliveryWorker {
    ctx: Arc<Context>,
    lanes: [(Lane, LaneSender); 2],
}

/// Delivers the rounds of one lane.
#[derive(Clone)]
struct LaneSender {
    ctx: Arc<Context>,
    outbound: Arc<dyn Outbound>,
    /// Permits for exchanges in flight.
    sending: Arc<Semaphore>,
    /// Permits for rounds that are being recorded; shared by all lanes.
    finishing: Arc<Semaphore>,
    /// Whether the process is stopping: then no further exchange begins.
    is_closing: Arc<AtomicBool>,
}

impl DeliveryWorker {
    /// Creates a worker that sends over this port.
    pub fn new(ctx: Arc<Context>, outbound: Arc<dyn Outbound>) -> Self {
        let finishing = Arc::new(Semaphore::new(FINISHING));
        let sender = || LaneSender {
            ctx: Arc::clone(&ctx),
            outbound: Arc::clone(&outbound),
            sending: Arc::new(Semaphore::new(MAX_IN_FLIGHT)),
            finishing: Arc::clone(&finishing),
            is_closing: Arc::default(),
        };
        let lanes = [(Lane::Fast, sender()), (Lane::Slow, sender())];
        Self { ctx, lanes }
    }

    /// Delivers everything that is due now. Returns the number of rounds.
    pub async fn tick(&self) -> Result<usize> {
        let mut done = 0;
        loop {
            let mut running = JoinSet::new();
            for (lane, sender) in &self.lanes {
                let limit = u32::try_from(MAX_IN_FLIGHT).unwrap_or(u32::MAX);
                for round in deliveries::claim_rounds(&self.ctx, *lane, limit).await? {
                    running.spawn(sender.clone().work_off(round));
                }
            }
            if running.is_empty() {
                return Ok(done);
            }
            done += running.len();
            running.join_all().await;
        }
    }

    /// Delivers until shutdown is requested, then finishes what is in flight.
    pub async fn run(self, stop: CancellationToken) {
        let mut new_events = self.ctx.wakeups.events.listen();
        let mut running = [JoinSet::new(), JoinSet::new()];
        loop {
            for ((lane, sender), running) in self.lanes.iter().zip(&mut running) {
                let free = u32::try_from(MAX_IN_FLIGHT.saturating_sub(running.len())).unwrap_or(0);
                let rounds =
                    if free == 0 { Ok(Vec::new()) } else { deliveries::claim_rounds(&self.ctx, *lane, free).await };
                for round in rounds.unwrap_or_else(|cause| {
                    tracing::error!(%cause, "failed to claim event endpoints");
                    Vec::new()
                }) {
                    running.spawn(sender.clone().work_off(round));
                }
            }
            let [fast, slow] = &mut running;
            tokio::select! {
                () = stop.cancelled() => break,
                // A finished round frees capacity, and the next events of its endpoint.
                Some(_) = fast.join_next() => {}
                Some(_) = slow.join_next() => {}
                () = new_events.woken() => {}
                () = time::sleep(PERIOD) => {}
            }
        }
        for (_, sender) in &self.lanes {
            sender.is_closing.store(true, Ordering::Relaxed);
        }
        for lane in running {
            lane.join_all().await;
        }
    }
}

impl LaneSender {
    async fn work_off(self, round: Round) {
        let round = Arc::new(round);
        let outcome = async {
            let finished = self.deliver_all(&round).await?;
            let _permit = self.finishing.acquire().await.map_err(Error::internal)?;
            deliveries::finish_round(&self.ctx, &round, &finished).await
        };
        if let Err(cause) = outcome.await {
            // When the lease ends, the same events are delivered again.
            tracing::error!(%cause, "failed to deliver events");
        }
    }

    /// Delivers the events of a round: the first alone, and once the endpoint has accepted it, several at once, but
    /// only one of each ride. They begin in order and without a gap, so the events that were tried are always the first
    /// ones. After a failure, none begins. Returns an error if not even the first could be tried.
    async fn deliver_all(&self, round: &Arc<Round>) -> Result<Vec<DeliveryResult>> {
        let until = Instant::now() + BEGINS_UNTIL;
        let mut outcomes: Vec<Option<DeliveryResult>> = round.items.iter().map(|_| None).collect();
        let (mut window, mut next, mut is_over, mut broken) = (1, 0, false, None);
        let mut rides = HashSet::new();
        let mut running = JoinSet::new();
        loop {
            while let Some(item) = round.items.get(next).filter(|_| !is_over && running.len() < window) {
                if item.ride().is_some_and(|ride| rides.contains(&ride)) {
                    break;
                }
                let permit = time::timeout_at(until, Arc::clone(&self.sending).acquire_owned()).await;
                let Ok(Ok(permit)) = permit else {
                    is_over = true;
                    break;
                };
                if self.is_closing.load(Ordering::Relaxed) {
                    is_over = true;
                    break;
                }
                rides.extend(item.ride());
                let (sender, round, at) = (self.clone(), Arc::clone(round), next);
                running.spawn(async move {
                    let finished = sender.deliver(&round, &round.items[at]).await;
                    drop(permit);
                    (at, finished)
                });
                next += 1;
            }
            let Some(ended) = running.join_next().await else { break };
            match ended.map_err(Error::internal) {
                Ok((at, Ok(finished))) => {
                    if let Some(ride) = round.items[at].ride() {
                        rides.remove(&ride);
                    }
                    (window, is_over) = (WINDOW, is_over || !finished.is_taken());
                    outcomes[at] = Some(finished);
                }
                // This leaves a gap: the events after it are delivered again.
                Ok((_, Err(cause))) | Err(cause) => (is_over, broken) = (true, Some(cause)),
            }
        }
        let finished: Vec<_> = outcomes.into_iter().map_while(|outcome| outcome).collect();
        match broken {
            Some(cause) if finished.is_empty() => Err(cause),
            _ => Ok(finished),
        }
    }

    /// Posts an event of a round.
    async fn deliver(&self, round: &Round, item: &Item) -> Result<DeliveryResult> {
        let (request, at) = deliveries::prepare(&self.ctx, round, item).await?;
        let post = self.outbound.send(Receiver::EventEndpoint, request);
        match heartbeat::while_held(&self.ctx, round.holder(), post).await {
            Some(exchange) => Ok(DeliveryResult::new(at, &exchange)),
            None => Err(Error::Unavailable("the claim of an event endpoint was lost".into())),
        }
    }
}
