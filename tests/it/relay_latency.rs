//! Endpoints that are slow or dead do not slow down relays: what a text takes from its webhook to the provider is the
//! same with a hundred of them as with none.
//!
//! Both are measured in turns, in one process on one database, with all its workers at work, so that what else the
//! machine does falls on both. What endpoints cause falls only on the rounds with them: before a round without, all
//! that is under way is brought to its end. `scripts/test` runs this alone, as everything that measures wants to be.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use maskline::{
    app::App,
    clock::{Clock as _, SystemClock},
};
use sea_orm::{ConnectionTrait as _, Database, DatabaseConnection, Statement};
use serde_json::json;
use tokio::{net::TcpListener, sync::watch};

use crate::{
    carriers::messagebird::MessageBird,
    harness::{
        Api, CLIENT, Kind, TestDatabase,
        carrier::{Carrier, Signer, StandIn},
        config_for, id, on_both_databases,
    },
    ride::{ANN, BOB, NUMBER},
};

const ENDPOINTS: usize = 100;
const TEXTS_IN_A_ROUND: usize = 40;
const FEWEST_ROUNDS: usize = 10;
const MOST_ROUNDS: usize = 40;
const BOUND: f64 = 1.2;
/// When no exchange ended for so long, none is under way that was not held.
const QUIET: Duration = Duration::from_millis(300);

struct Bench {
    api: Api,
    provider: StandIn,
    db: DatabaseConnection,
    silent: Silent,
    texts: usize,
}

/// Takes connections and never answers; but it can let go of them all.
struct Silent {
    address: SocketAddr,
    holds: watch::Sender<bool>,
    /// Every connection that is held has a clone.
    held: Arc<()>,
}

impl Silent {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (holds, until) = watch::channel(true);
        let held = Arc::new(());
        let place = Arc::clone(&held);
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let (mut until, place) = (until.clone(), Arc::clone(&place));
                tokio::spawn(async move {
                    let _ = until.wait_for(|holds| !holds).await;
                    drop((connection, place));
                });
            }
        });
        Self { address, holds, held }
    }

    fn holds(&self) -> usize {
        // This one's own, and the listener's.
        Arc::strong_count(&self.held) - 2
    }
}

impl Bench {
    /// All endpoints are there, and due at this moment.
    async fn enable(&self) {
        self.silent.holds.send_replace(true);
        let sql = "UPDATE event_endpoints SET status = 'enabled', due_at = $1";
        self.execute(sql, vec![SystemClock.now().into()]).await;
    }

    /// No endpoint is there, and nothing is under way.
    async fn disable(&self) {
        self.execute("UPDATE event_endpoints SET status = 'disabled'", Vec::new()).await;
        self.silent.holds.send_replace(false);
        let (mut before, mut since) = (self.attempts().await, Instant::now());
        while since.elapsed() < QUIET {
            tokio::time::sleep(QUIET / 10).await;
            let now = self.attempts().await;
            if now != before || self.silent.holds() > 0 {
                (before, since) = (now, Instant::now());
            }
        }
    }

    /// How many exchanges are over.
    async fn attempts(&self) -> i64 {
        let sql = "SELECT COUNT(*) AS attempts FROM event_attempts";
        let statement = Statement::from_string(self.db.get_database_backend(), sql);
        let row = self.db.query_one_raw(statement).await.expect("it runs").expect("a row");
        row.try_get("", "attempts").expect("a number")
    }

    async fn execute(&self, sql: &str, values: Vec<sea_orm::Value>) {
        let statement = Statement::from_sql_and_values(self.db.get_database_backend(), sql, values);
        self.db.execute_raw(statement).await.expect("it runs");
    }

    /// How long a text takes from its webhook to the provider.
    async fn relay(&mut self) -> Duration {
        self.texts += 1;
        // Something that every endpoint hears of.
        let sql = "INSERT INTO events (type, ride_id, data, at) VALUES ('ride.updated', 1, '{\"ride_id\":1}', $1)";
        self.execute(sql, vec![SystemClock.now().into()]).await;
        let webhook = MessageBird.text(&format!("t{}", self.texts), ANN, NUMBER, &format!("text {}", self.texts), &[]);
        let proof = MessageBird.sign(&webhook, Signer::Ours, SystemClock.now());
        let began = Instant::now();
        assert_eq!(self.api.webhook(&webhook, &proof).await.status, 200);
        while self.provider.take().is_empty() {
            assert!(began.elapsed() < Duration::from_secs(20), "a text does not arrive");
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
        began.elapsed()
    }

    async fn round(&mut self, with_endpoints: bool, times: &mut Vec<Duration>) {
        if with_endpoints {
            self.enable().await;
        } else {
            self.disable().await;
        }
        for _ in 0..TEXTS_IN_A_ROUND {
            times.push(self.relay().await);
        }
        assert_eq!(self.silent.holds() > 0, with_endpoints, "exchanges are under way, or not, all through the round");
    }
}

/// The time within which so many of a hundred are.
fn percentile(times: &[Duration], percent: usize) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() * percent / 100]
}

on_both_databases! {
    async fn a_hundred_dead_endpoints_do_not_slow_down_relays(kind: Kind) {
        let carrier: Arc<dyn Carrier> = Arc::new(MessageBird);
        let provider = StandIn::of(Arc::clone(&carrier)).await;
        let account = carrier.account(&provider.base);
        let account: Vec<_> = account.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let database = TestDatabase::fresh(kind).await;
        let config = config_for(&database.url, &[&account[..], &[("EVENTS_ALLOW_LOOPBACK", "on")]].concat());
        let running = App::build(config, Arc::new(SystemClock)).await.expect("the service starts").start(true);
        let api = Api::sign_in(&format!("http://{}", running.address), CLIENT, None).await;
        api.number(NUMBER, carrier.name()).await;
        let (ann, bob) = (api.customer("Ann", ANN).await, api.driver("Bob", BOB).await);
        let datetime = (SystemClock.now() + chrono::Duration::hours(1)).to_rfc3339();
        let ride = json!({
            "customer_id": ann, "driver_id": bob, "start": "Dam 1", "destination": "Schiphol", "datetime": datetime,
            "notify": false,
        });
        id(&api.post("/v1/rides", &ride).await.expect(201));
        // Half of them take a connection and never answer; nobody listens at the others.
        let silent = Silent::start().await;
        let closed = TcpListener::bind("127.0.0.1:0").await.and_then(|listener| listener.local_addr()).expect("a port");
        for at in 0..ENDPOINTS {
            let address = if at % 2 == 0 { silent.address } else { closed };
            api.post("/v1/event-endpoints", &json!({ "url": format!("http://{address}/") })).await.expect(201);
        }
        let db = Database::connect(&database.url).await.expect("the database");
        let mut bench = Bench { api, provider, db, silent, texts: 0 };
        bench.round(true, &mut Vec::new()).await;

        let (mut with, mut without) = (Vec::new(), Vec::new());
        let mut ratio = f64::INFINITY;
        for round in 1..=MOST_ROUNDS {
            bench.round(round % 2 == 0, if round % 2 == 0 { &mut with } else { &mut without }).await;
            bench.round(round % 2 != 0, if round % 2 != 0 { &mut with } else { &mut without }).await;
            ratio = percentile(&with, 50).as_secs_f64() / percentile(&without, 50).as_secs_f64();
            // A machine that is busy needs longer to show that there is nothing to see.
            if round >= FEWEST_ROUNDS && ratio <= BOUND {
                break;
            }
        }
        for (what, times) in [("with", &with), ("without", &without)] {
            println!("{kind:?}, {what}: {:?} median, {:?} p95, {} texts", percentile(times, 50), percentile(times, 95), times.len());
        }
        println!("{kind:?}: ratio {ratio:.2}");
        assert!(ratio <= BOUND, "{ratio:.2} times as long");
        let failing = bench.api.get("/v1/event-endpoints?limit=200").await.expect(200);
        let failing = failing["items"].as_array().unwrap().iter().filter(|endpoint| endpoint["failing_since"].is_string());
        assert!(failing.count() >= ENDPOINTS / 2, "they were tried");
        bench.disable().await;
        bench.db.close().await.expect("it closes");
        running.stop().await;
    }
}
