//! Delivers events to the platform's endpoints.
//!
//! There is room for so many exchanges, and half of it is for endpoints that fail or are slow: the others never wait for
//! them. Nothing else waits for this worker.

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

use crate::{
    domain::error::{Error, Result},
    lifecycle::Stop,
    service::{Context, Finished, Lane, Round, deliveries},
};

/// Exchanges under way in each lane at most.
const AT_ONCE: usize = 32;
/// Exchanges with one endpoint at once, as long as it takes what it gets.
const WINDOW: usize = 8;
/// Rounds that are recorded at the same time. More would take database connections from relays.
const FINISHING: usize = 4;
/// A round begins no exchange later than this after its claim, well before its lease is over.
const BEGINS_UNTIL: Duration = Duration::from_secs(15);
/// How often it is looked whether something is due though nobody rang: for retries, and for what other replicas did.
const PERIOD: Duration = Duration::from_secs(1);

/// The worker.
pub struct DeliveryWorker {
    ctx: Arc<Context>,
    lanes: [(Lane, Arc<Places>); 2],
}

/// The room of a lane.
struct Places {
    free: Arc<Semaphore>,
    /// Shared by all lanes.
    finishing: Arc<Semaphore>,
    /// The process stops: no exchange begins any more.
    is_closing: AtomicBool,
}

impl DeliveryWorker {
    /// A worker of this service.
    pub fn new(ctx: Arc<Context>) -> Self {
        let finishing = Arc::new(Semaphore::new(FINISHING));
        let places = || {
            let (free, finishing) = (Arc::new(Semaphore::new(AT_ONCE)), Arc::clone(&finishing));
            Arc::new(Places { free, finishing, is_closing: AtomicBool::new(false) })
        };
        Self { ctx, lanes: [(Lane::Clear, places()), (Lane::Hampered, places())] }
    }

    /// Delivers everything that is due now; answers how many rounds that took.
    pub async fn tick(&self) -> Result<usize> {
        let mut done = 0;
        loop {
            let mut running = JoinSet::new();
            for (lane, places) in &self.lanes {
                for round in
                    deliveries::claim_rounds(&self.ctx, *lane, u32::try_from(AT_ONCE).unwrap_or(u32::MAX)).await?
                {
                    running.spawn(work_off(Arc::clone(&self.ctx), round, Arc::clone(places)));
                }
            }
            if running.is_empty() {
                return Ok(done);
            }
            done += running.len();
            running.join_all().await;
        }
    }

    /// Delivers until told to stop; then finishes what is under way.
    pub async fn run(self, mut stop: Stop) {
        let mut placed = self.ctx.wakeups.events.listen();
        let mut running = [JoinSet::new(), JoinSet::new()];
        loop {
            for ((lane, places), running) in self.lanes.iter().zip(&mut running) {
                let free = u32::try_from(AT_ONCE.saturating_sub(running.len())).unwrap_or(0);
                let rounds =
                    if free == 0 { Ok(Vec::new()) } else { deliveries::claim_rounds(&self.ctx, *lane, free).await };
                for round in rounds.unwrap_or_else(|cause| {
                    tracing::error!(%cause, "event endpoints could not be read");
                    Vec::new()
                }) {
                    running.spawn(work_off(Arc::clone(&self.ctx), round, Arc::clone(places)));
                }
            }
            let [clear, hampered] = &mut running;
            tokio::select! {
                () = stop.requested() => break,
                // A finished round frees its place, and the next events of its endpoint.
                Some(_) = clear.join_next() => {}
                Some(_) = hampered.join_next() => {}
                () = placed.woken() => {}
                () = time::sleep(PERIOD) => {}
            }
        }
        for (_, places) in &self.lanes {
            places.is_closing.store(true, Ordering::Relaxed);
        }
        for lane in running {
            lane.join_all().await;
        }
    }
}

async fn work_off(ctx: Arc<Context>, round: Round, places: Arc<Places>) {
    let round = Arc::new(round);
    let outcome = async {
        let finished = deliver_all(&ctx, &round, &places).await?;
        let _permit = places.finishing.acquire().await.map_err(Error::internal)?;
        deliveries::finish_round(&ctx, &round, &finished).await
    };
    if let Err(cause) = outcome.await {
        // The lease gives the endpoint back, and the same events are delivered again.
        tracing::error!(%cause, "events could not be delivered");
    }
}

/// Delivers the events of a round: the first alone, and when that was taken several at once, but those of one ride one
/// after the other. They begin in order and without a gap, so that what was tried is always the first so many; after a
/// failure none begins any more. An error means that not even the first could be tried.
async fn deliver_all(ctx: &Arc<Context>, round: &Arc<Round>, places: &Places) -> Result<Vec<Finished>> {
    let until = Instant::now() + BEGINS_UNTIL;
    let mut outcomes: Vec<Option<Finished>> = round.items.iter().map(|_| None).collect();
    let (mut window, mut next, mut is_over, mut broken) = (1, 0, false, None);
    let mut rides = HashSet::new();
    let mut running = JoinSet::new();
    loop {
        while let Some(item) = round.items.get(next).filter(|_| !is_over && running.len() < window) {
            if item.ride().is_some_and(|ride| rides.contains(&ride)) {
                break;
            }
            let place = time::timeout_at(until, Arc::clone(&places.free).acquire_owned()).await;
            let Ok(Ok(place)) = place else {
                is_over = true;
                break;
            };
            if places.is_closing.load(Ordering::Relaxed) {
                is_over = true;
                break;
            }
            rides.extend(item.ride());
            let (ctx, round, at) = (Arc::clone(ctx), Arc::clone(round), next);
            running.spawn(async move {
                let finished = deliveries::deliver(&ctx, &round, &round.items[at]).await;
                drop(place);
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
            // It leaves a gap: what is behind it is delivered again.
            Ok((_, Err(cause))) | Err(cause) => (is_over, broken) = (true, Some(cause)),
        }
    }
    let finished: Vec<_> = outcomes.into_iter().map_while(|outcome| outcome).collect();
    match broken {
        Some(cause) if finished.is_empty() => Err(cause),
        _ => Ok(finished),
    }
}
