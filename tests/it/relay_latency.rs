//! Endpoints that are slow or dead do not slow down relays: what a text takes from its webhook to the provider is the same
//! with a hundred of them as with none.
//!
//! Both are measured in turns, in one process on one database, with all its workers at work, so that what else the machine
//! does falls on both. `scripts/test` runs this alone, as everything that measures wants to be.

use std::{
    net::TcpListener,
    sync::Arc,
    time::{Duration, Instant},
};

use maskline::{
    app::App,
    clock::{Clock as _, SystemClock},
};
use sea_orm::{ConnectionTrait as _, Database, DatabaseConnection, Statement};
use serde_json::json;

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

struct Bench {
    api: Api,
    provider: StandIn,
    db: DatabaseConnection,
    texts: usize,
}

impl Bench {
    /// All endpoints are there, and due at this moment; or none is.
    async fn endpoints(&self, are_there: bool) {
        let status = if are_there { "enabled" } else { "disabled" };
        let sql = "UPDATE event_endpoints SET status = $1, due_at = $2";
        self.execute(sql, vec![status.into(), SystemClock.now().into()]).await;
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
        self.endpoints(with_endpoints).await;
        for _ in 0..TEXTS_IN_A_ROUND {
            times.push(self.relay().await);
        }
    }
}

fn median(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
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
        let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
        let closed = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
        for at in 0..ENDPOINTS {
            let address = if at % 2 == 0 { silent.local_addr().expect("an address") } else { closed };
            api.post("/v1/event-endpoints", &json!({ "url": format!("http://{address}/") })).await.expect(201);
        }
        let db = Database::connect(&database.url).await.expect("the database");
        let mut bench = Bench { api, provider, db, texts: 0 };
        bench.round(true, &mut Vec::new()).await;

        let (mut with, mut without) = (Vec::new(), Vec::new());
        let mut ratio = f64::INFINITY;
        for round in 1..=MOST_ROUNDS {
            bench.round(round % 2 == 0, if round % 2 == 0 { &mut with } else { &mut without }).await;
            bench.round(round % 2 != 0, if round % 2 != 0 { &mut with } else { &mut without }).await;
            ratio = median(&with).as_secs_f64() / median(&without).as_secs_f64();
            // A machine that is busy needs longer to show that there is nothing to see.
            if round >= FEWEST_ROUNDS && ratio <= BOUND {
                break;
            }
        }
        println!("{kind:?}: {:?} with, {:?} without, ratio {ratio:.2}, {} texts each", median(&with), median(&without), with.len());
        assert!(ratio <= BOUND, "{ratio:.2} times as long");
        let failing = bench.api.get("/v1/event-endpoints?limit=200").await.expect(200);
        let failing = failing["items"].as_array().unwrap().iter().filter(|endpoint| endpoint["failing_since"].is_string());
        assert!(failing.count() >= ENDPOINTS / 2, "they were tried");
        bench.db.close().await.expect("it closes");
        running.stop().await;
    }
}
