//! Composition root: the only module that sees all others, and wires them together.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use secrecy::SecretString;
use tokio::{
    net::TcpListener,
    task::{JoinHandle, JoinSet},
    time::{self, Instant},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    config::Config,
    domain::{
        clock::Clock,
        error::Error,
        outbound::{Exchange, OutboundRequest, Receiver},
        phone::PhoneNumber,
    },
    http,
    outbound::{Network, Outbound, system_lookup},
    provider,
    service::{Chance, Context, Heartbeat, SystemChance, auth, events, health, heartbeat, moves, outbox, upkeep},
    simulator::SimulatedNetwork,
    store::{self, ExclusiveUse, LockError, SchemaError, Store},
    worker::{self, deliveries::DeliveryWorker, outbox::OutboxWorker},
};

/// Time for which a stopping process reports not ready before it stops accepting connections, so that load balancers
/// stop sending requests here first.
const NOT_READY_LEAD: Duration = Duration::from_secs(1);
/// Time limit for requests that are in flight after that.
const DRAIN: Duration = Duration::from_secs(20);
/// Time after the stop request at which work in flight is aborted. Other processes continue it when its leases end.
/// Container runtimes wait 25 to 30 seconds before they kill.
const STOP: Duration = Duration::from_secs(24);
/// Time that the database then gets to release unfinished claims, and again to close its connections.
const CLEANUP_TIMEOUT: Duration = Duration::from_millis(500);
/// Longest wait for the previous process to end if a database can have only one. Longer than a stop takes.
const LOCK_TIMEOUT: Duration = Duration::from_secs(30);

/// Reason why the service does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is in use, or is not an address of this machine.
    #[error("LISTEN_ADDR cannot be listened on: {0}")]
    Listen(std::io::Error),
    /// TLS for outgoing requests cannot be set up.
    #[error("no HTTP client can be made")]
    Client,
    /// The schema is not the one that this build expects, and `MIGRATE_ON_START` is off.
    #[error("the database schema is not up to date: run `maskline migrate`")]
    NotMigrated,
    /// This build cannot bring the schema up to date, or cannot read or change it.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// Another process uses the embedded database, or its lock cannot be acquired.
    #[error(transparent)]
    Locked(#[from] LockError),
    /// The database cannot be used.
    #[error("the database cannot be used: {0}")]
    Database(#[from] Error),
}

/// Client that was created on the first start.
#[derive(Clone)]
pub struct FirstClient {
    /// OAuth `client_id`.
    pub client_id: String,
    /// Secret, which is shown only this once.
    pub secret: SecretString,
}

/// How the first client comes into being.
struct Bootstrap {
    /// Id and secret from the configuration.
    given: Option<(String, SecretString)>,
    /// Whether one is generated if none is configured and none exists.
    generate: bool,
}

/// Wired service that is not running yet.
pub struct App {
    listener: TcpListener,
    address: SocketAddr,
    ctx: Arc<Context>,
    simulator: Option<Arc<SimulatedNetwork>>,
    outbound: Arc<dyn Outbound>,
    first_client: Option<FirstClient>,
    limits: http::Limits,
    exclusive: Option<ExclusiveUse>,
    heartbeat: Option<Heartbeat>,
}

impl App {
    /// Opens the database, brings its schema up to date, checks the keys, and starts to listen.
    pub async fn build(config: Config, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        Self::build_with(config, clock, Arc::new(SystemChance)).await
    }

    /// Like [`build`](Self::build), for a process that serves the database until it ends: alone if the database is
    /// embedded, together with others on PostgreSQL. First takes over what dead processes left behind. Returns `None`
    /// if `stop` ends before all that is done.
    pub async fn build_to_serve(
        config: Config,
        clock: Arc<dyn Clock>,
        stop: impl Future<Output = ()>,
    ) -> Result<Option<Self>, StartError> {
        let (app, bootstrap) = tokio::select! {
            biased;
            prepared = Self::prepare_to_serve(config, clock) => prepared?,
            () = stop => return Ok(None),
        };
        // Not to be stopped: once the first client is stored, its secret must be shown.
        app.with_first_client(bootstrap).await.map(Some)
    }

    async fn prepare_to_serve(config: Config, clock: Arc<dyn Clock>) -> Result<(Self, Bootstrap), StartError> {
        let exclusive = ExclusiveUse::acquire(&config.database, LOCK_TIMEOUT).await?;
        let (app, bootstrap) = Self::prepare(config, clock, Arc::new(SystemChance)).await?;
        let mut app = Self { exclusive, ..app };
        if heartbeat::expect_peers(&app.ctx) {
            let mut heartbeat = Heartbeat::default();
            if let Err(cause) = heartbeat::beat(&app.ctx, &mut heartbeat).await {
                // The worker keeps trying, and nothing is claimed until it succeeds.
                tracing::warn!(%cause, "failed to list this process");
            }
            app.heartbeat = Some(heartbeat);
        } else {
            heartbeat::serve_alone(&app.ctx).await?;
        }
        Ok((app, bootstrap))
    }

    /// Like [`build`](Self::build), with `chance` as the source of randomness for numbers and pauses.
    pub async fn build_with(
        config: Config,
        clock: Arc<dyn Clock>,
        chance: Arc<dyn Chance>,
    ) -> Result<Self, StartError> {
        let (app, bootstrap) = Self::prepare(config, clock, chance).await?;
        app.with_first_client(bootstrap).await
    }

    async fn prepare(
        mut config: Config,
        clock: Arc<dyn Clock>,
        chance: Arc<dyn Chance>,
    ) -> Result<(Self, Bootstrap), StartError> {
        let listener = TcpListener::bind(config.listen_addr).await.map_err(StartError::Listen)?;
        let address = listener.local_addr().map_err(StartError::Listen)?;
        if config.public_base_url.is_none() {
            // The configured port may have been 0.
            config.settings.public_base_url = format!("http://{address}");
        }
        let plans = tokio::task::spawn_blocking(PhoneNumber::warm_up);
        let store = open(&config).await?;
        let limits = http::Limits::new(config.max_connections, config.keep_alive);
        let simulator_secret = config.accounts.simulator.as_ref().and_then(|secrets| secrets.first().cloned());
        let bootstrap = Bootstrap { given: config.bootstrap_client.take(), generate: config.embedded };
        let network = Network::new(config.settings.targets, system_lookup()).map_err(|_| StartError::Client)?;
        let ctx = Arc::new(Context::new(config, store, clock, chance));
        ctx.warn_of_orphans().await?;
        let network = Arc::new(network);
        let simulator = simulator_secret.map(|secret| {
            Arc::new(SimulatedNetwork::new(Arc::clone(&ctx), Arc::clone(&network) as Arc<dyn Outbound>, secret))
        });
        let outbound = Arc::new(Switchboard { network, simulator: simulator.clone() });
        let _ = plans.await;
        let app = Self {
            listener,
            address,
            ctx,
            simulator,
            outbound,
            first_client: None,
            limits,
            exclusive: None,
            heartbeat: None,
        };
        Ok((app, bootstrap))
    }

    async fn with_first_client(mut self, bootstrap: Bootstrap) -> Result<Self, StartError> {
        let made = auth::bootstrap_client(&self.ctx, bootstrap.given, bootstrap.generate).await?;
        self.first_client =
            made.and_then(|made| Some(FirstClient { client_id: made.client.client_id, secret: made.secret? }));
        Ok(self)
    }

    /// Address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the public address of the service.
    pub fn base_url(&self) -> &str {
        &self.ctx.settings.public_base_url
    }

    /// Returns the client that was created on the first start, if there is one.
    pub fn first_client(&self) -> Option<&FirstClient> {
        self.first_client.as_ref()
    }

    /// Serves requests. With `workers`, also sends pending texts, delivers events and runs periodic jobs on its own.
    pub fn start(self, workers: bool) -> Running {
        let (stop, close) = (CancellationToken::new(), CancellationToken::new());
        let outbox = || OutboxWorker::new(Arc::clone(&self.ctx), Arc::clone(&self.outbound));
        let deliveries = || DeliveryWorker::new(Arc::clone(&self.ctx), Arc::clone(&self.outbound));
        let mut tasks = JoinSet::new();
        if workers {
            tasks.spawn(outbox().run(stop.clone()));
            tasks.spawn(deliveries().run(stop.clone()));
            tasks.spawn(worker::upkeep::run(Arc::clone(&self.ctx), stop.clone()));
            tasks.spawn(worker::events::run(Arc::clone(&self.ctx), stop.clone()));
            tasks.spawn(worker::call_polling::run(Arc::clone(&self.ctx), Arc::clone(&self.outbound), stop.clone()));
        }
        let mut keeper = JoinSet::new();
        if let Some(heartbeat) = self.heartbeat {
            keeper.spawn(worker::heartbeat::run(Arc::clone(&self.ctx), heartbeat));
        }
        let by_hand = (outbox(), deliveries());
        let routes = http::routes(&self.ctx, &self.outbound, self.simulator);
        let server = tokio::spawn(http::serve(self.listener, routes, self.limits, close.clone(), DRAIN));
        let (outbox, deliveries) = by_hand;
        Running {
            address: self.address,
            ctx: self.ctx,
            outbound: self.outbound,
            outbox,
            deliveries,
            stop: stop.drop_guard(),
            close: close.drop_guard(),
            notice: if workers { NOT_READY_LEAD } else { Duration::ZERO },
            server,
            tasks,
            keeper,
            exclusive: self.exclusive,
        }
    }
}

/// Running service.
pub struct Running {
    /// Address that it listens on.
    pub address: SocketAddr,
    ctx: Arc<Context>,
    outbound: Arc<dyn Outbound>,
    outbox: OutboxWorker,
    deliveries: DeliveryWorker,
    /// Stops the workers.
    stop: DropGuard,
    /// Stops the server.
    close: DropGuard,
    notice: Duration,
    server: JoinHandle<std::io::Result<()>>,
    tasks: JoinSet<()>,
    /// Keeps this process listed until it has stopped.
    keeper: JoinSet<()>,
    exclusive: Option<ExclusiveUse>,
}

impl Running {
    /// Sends everything that is due now. Returns the number of claims that were processed. For tests, which control the
    /// time.
    pub async fn send_due(&self) -> usize {
        self.outbox.tick().await.expect("the outbox can be worked off")
    }

    /// Polls every call that is due. Returns how many there were. For tests.
    pub async fn ask_due(&self) -> usize {
        worker::call_polling::tick(&self.ctx, &self.outbound).await.expect("calls can be asked about")
    }

    /// Assigns log positions to events and delivers everything that is due now. Returns the number of rounds. For
    /// tests.
    pub async fn deliver_events(&self) -> usize {
        self.place_events().await;
        self.deliveries.tick().await.expect("events can be delivered")
    }

    /// Runs all jobs that keep the records in order, due or not. For tests.
    pub async fn tidy(&self) {
        upkeep::tidy(&self.ctx).await.expect("upkeep works");
    }

    /// Runs every periodic job that is due, as the workers do. Returns how many ran and how many failed. For tests.
    pub async fn run_due_jobs(&self) -> (usize, usize) {
        let (mut ran, mut failed) = (0, 0);
        for job in upkeep::jobs() {
            match upkeep::run_if_due(&self.ctx, job).await {
                Ok(mine) => ran += usize::from(mine),
                Err(_) => failed += 1,
            }
        }
        (ran, failed)
    }

    /// Compares the clocks, as the workers do periodically. For tests.
    pub async fn measure_skew(&self) {
        health::measure_skew(&self.ctx).await.expect("clocks can be compared");
    }

    /// Moves rides off suspended numbers. Returns how many there were. For tests.
    pub async fn leave_suspended_numbers(&self) -> usize {
        moves::leave_suspended_numbers(&self.ctx, u64::from(u32::MAX)).await.expect("rides can be moved")
    }

    /// Moves rides off providers that are down. Returns how many moved. For tests.
    pub async fn leave_down_providers(&self) -> usize {
        moves::leave_down_providers(&self.ctx, u64::from(u32::MAX)).await.expect("rides can be moved")
    }

    /// Assigns log positions to all committed events. Returns how many there were. For tests.
    pub async fn place_events(&self) -> usize {
        let mut placed = 0;
        loop {
            match events::place_events(&self.ctx).await.expect("events can be placed") {
                0 => return placed,
                more => placed += more,
            }
        }
    }

    /// Returns the number of pending parts of texts.
    pub async fn pending_parts(&self) -> u64 {
        outbox::pending_count(&self.ctx).await.expect("the outbox can be counted")
    }

    /// Waits until a part ends unexpectedly: the server, or a worker that panicked. Half a service is worse than none.
    pub async fn ended(&mut self) {
        tokio::select! {
            _ = &mut self.server => {}
            Some(_) = self.tasks.join_next() => {}
            Some(_) = self.keeper.join_next() => {}
        }
    }

    /// Makes the service not ready, so that it starts no sends: the first step of [`stop`](Self::stop). For tests.
    pub fn announce_stop(&self) {
        health::announce_stop(&self.ctx);
    }

    /// Stops within 25 seconds. The service reports not ready, claims nothing new and stops accepting connections. It
    /// finishes requests and sends in flight, and gives back claims that were not sent yet.
    pub async fn stop(self) {
        let deadline = Instant::now() + STOP;
        let Self { ctx, outbound, outbox, deliveries, stop, close, notice, exclusive, .. } = self;
        let Self { mut server, mut tasks, mut keeper, .. } = self;
        health::announce_stop(&ctx);
        drop(stop);
        let orderly = async {
            time::sleep(notice).await;
            drop(close);
            if !server.is_finished() {
                let _ = (&mut server).await;
            }
            while tasks.join_next().await.is_some() {}
        };
        if time::timeout_at(deadline, orderly).await.is_err() {
            tracing::warn!("reached the shutdown deadline: aborting work in flight");
            server.abort();
            tasks.shutdown().await;
        }
        keeper.shutdown().await;
        match time::timeout(CLEANUP_TIMEOUT, heartbeat::leave(&ctx)).await {
            Ok(Ok(())) => {}
            Ok(Err(cause)) => {
                tracing::warn!(%cause, "failed to release claims: others will notice that this process is gone")
            }
            Err(_) => tracing::warn!("failed to release claims in time: others will notice that this process is gone"),
        }
        drop((outbound, outbox, deliveries));
        if let Ok(ctx) = Arc::try_unwrap(ctx) {
            let _ = time::timeout(CLEANUP_TIMEOUT, ctx.close()).await;
        }
        drop(exclusive);
    }
}

/// Brings the database schema up to date.
pub async fn migrate(config: &Config) -> Result<(), StartError> {
    let store = open(&Config { migrate_on_start: true, ..config.clone() }).await?;
    store.close().await;
    Ok(())
}

/// Opens the database, brings its schema up to date if configured, and checks the keys.
pub(crate) async fn open(config: &Config) -> Result<Store, StartError> {
    let store = Store::connect(&config.database, &config.keys).await?;
    if config.migrate_on_start {
        store.migrate().await?;
    } else if !store.is_migrated().await? {
        return Err(StartError::NotMigrated);
    }
    store.write(|tx| async move { store::keys::check(&tx).await }).await?;
    Ok(store)
}

/// Sends over the network, except to the simulator: requests to it never leave the process.
struct Switchboard {
    network: Arc<Network>,
    simulator: Option<Arc<SimulatedNetwork>>,
}

impl Outbound for Switchboard {
    fn send(&self, to: Receiver, request: OutboundRequest) -> BoxFuture<'_, Exchange> {
        match &self.simulator {
            Some(simulator) if to == Receiver::Provider && request.url.starts_with(provider::simulator::SCHEME) => {
                simulator.send(to, request)
            }
            _ => self.network.send(to, request),
        }
    }
}
