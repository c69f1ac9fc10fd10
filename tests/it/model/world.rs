//! One small world: the real service on a database of its own, its network, and the oracle beside it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration as Wait,
};

use chrono::{Duration, TimeZone as _, Utc};
use fastrand::Rng;
use jsonwebtoken::{EncodingKey, Header};
use maskline::{
    Chance,
    app::{App, Running},
    clock::{Clock as _, ManualClock},
};
use sea_orm::{ConnectionTrait as _, Database, DatabaseConnection};
use serde_json::{Value, json};

use super::{
    network::{Network, Sent},
    oracle::{Oracle, Rules, Time},
};
use crate::{
    carriers::messagebird::MessageBird,
    harness::{
        CLIENT, JWT_SECRET, Kind, PUBLIC, TestDatabase,
        carrier::{Carrier as _, Signer, Webhook},
        config_for, postgres,
    },
};

/// Short lengths, so that windows, cool-downs and rides overlap in every way.
const RULES: Rules = Rules {
    grace: Duration::minutes(10),
    cancel_grace: Duration::minutes(2),
    cool_down: Duration::minutes(30),
    max_duration: Duration::hours(1),
    horizon: Duration::hours(24),
    grace_limit: Duration::hours(1),
    max_duration_limit: Duration::hours(2),
};

/// The events so far, for whoever has to understand a failure.
pub type Story = Arc<Mutex<Vec<String>>>;

/// The service's own chance: the same in every run of a seed. Sends go out beside each other, so that nobody knows
/// which of them asks first: the stretch of a pause is always the same.
struct Seeded(Mutex<Rng>);

impl Chance for Seeded {
    fn point(&self) -> u32 {
        self.0.lock().expect("not poisoned").u32(..)
    }

    fn unit(&self) -> f64 {
        0.5
    }
}

/// How often what happened.
pub type Tally = BTreeMap<String, u64>;

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub text: String,
    pub body: Value,
}

impl Reply {
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }
}

pub struct World {
    pub running: Running,
    pub clock: Arc<ManualClock>,
    pub network: Network,
    pub oracle: Oracle,
    /// Where this event's chance comes from.
    pub dice: Rng,
    /// Makes names and texts unique.
    pub serial: u64,
    pub tally: Tally,
    /// Texts from phones that the provider may repeat.
    pub texts: Vec<Webhook>,
    /// Sends of which nobody knows what became.
    pub doubts: Vec<Sent>,
    story: Story,
    seed: u64,
    http: reqwest::Client,
    base: String,
    token: String,
    /// Looks at the rows, and never writes.
    rows: DatabaseConnection,
    _folder: tempfile::TempDir,
}

impl World {
    pub async fn start(kind: Kind, seed: u64, story: Story) -> Self {
        let (database, rows_url) = database(kind).await;
        let network = Network::start(seed).await;
        let lengths = [
            ("GRACE_PERIOD", RULES.grace),
            ("CANCEL_GRACE", RULES.cancel_grace),
            ("COOL_DOWN", RULES.cool_down),
            ("RIDE_MAX_DURATION", RULES.max_duration),
            ("BOOKING_HORIZON", RULES.horizon),
            ("GRACE_PERIOD_LIMIT", RULES.grace_limit),
            ("RIDE_MAX_DURATION_LIMIT", RULES.max_duration_limit),
        ];
        let lengths = lengths.map(|(name, length)| (name, format!("{}s", length.num_seconds())));
        // How long texts are worth sending and when a provider counts as down have tests of their own: here, what is
        // owed is sent whenever the network takes it.
        let patient =
            [("MESSAGE_TTL", "365d"), ("BREAKER_FAILURES", "0")].map(|(name, value)| (name, value.to_owned()));
        let variables: Vec<_> = lengths.into_iter().chain(patient).chain(MessageBird.account(&network.base)).collect();
        let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let clock = Arc::new(ManualClock::at(Utc.with_ymd_and_hms(2026, 3, 1, 12, 0, 0).single().expect("a time")));
        let chance = Arc::new(Seeded(Mutex::new(Rng::with_seed(seed))));
        let app = App::build_with(config_for(&database.url, &variables), Arc::clone(&clock) as _, chance).await;
        let running = app.expect("the service starts").start(false);
        let base = format!("http://{}", running.address);
        let http = reqwest::Client::builder().pool_idle_timeout(None).timeout(Wait::from_secs(30)).build();
        Self {
            running,
            network,
            oracle: Oracle::new(RULES),
            dice: Rng::with_seed(seed),
            serial: 0,
            tally: Tally::new(),
            texts: Vec::new(),
            doubts: Vec::new(),
            story,
            seed,
            http: http.expect("a client"),
            base,
            token: token(clock.now()),
            rows: Database::connect(rows_url).await.expect("the rows can be read"),
            clock,
            _folder: database.folder,
        }
    }

    pub async fn stop(self) -> Tally {
        self.rows.close().await.expect("the connection closes");
        self.running.stop().await;
        self.tally
    }

    pub fn now(&self) -> Time {
        self.clock.now()
    }

    /// Another number, for names.
    pub fn another(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// Begins an event of the story. Its chance follows from the seed and its place alone.
    pub fn begin(&mut self, place: u64) {
        self.dice = Rng::with_seed(self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ place);
        let line = format!("#{place} {}", self.now().format("%d %H:%M:%S%.3f"));
        self.story.lock().expect("not poisoned").push(line);
    }

    /// Says more of this event.
    pub fn tell(&self, words: &str) {
        let mut story = self.story.lock().expect("not poisoned");
        let line = story.last_mut().expect("an event");
        line.push(' ');
        line.push_str(words);
    }

    pub fn count(&mut self, what: &str) {
        *self.tally.entry(what.to_owned()).or_default() += 1;
    }

    /// A request of the platform's.
    pub async fn api(&self, method: &str, path: &str, body: Option<&Value>) -> Reply {
        let mut request = self.http.request(method.parse().expect("a method"), format!("{}{path}", self.base));
        request = request.header("authorization", &self.token);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let said = body.map(ToString::to_string).unwrap_or_default();
        self.tell(&format!("{method} {path} {said}"));
        let reply = read(request).await;
        self.tell(&format!("-> {} {}", reply.status, reply.code()));
        reply
    }

    /// A webhook of the provider's, signed now.
    pub async fn webhook(&self, webhook: &Webhook) -> Reply {
        let mut request =
            self.http.request(webhook.method.parse().expect("a method"), format!("{}{}", self.base, webhook.path));
        for (name, value) in MessageBird.sign(webhook, Signer::Ours, self.now()) {
            request = request.header(name, value);
        }
        if !webhook.content_type.is_empty() {
            request = request.header("content-type", webhook.content_type).body(webhook.body.clone());
        }
        read(request).await
    }

    /// The rows of the bindings agree with what must hold, whatever was answered.
    pub async fn check_rows(&self) {
        let now = self.now();
        let doubled = "SELECT 1 AS one FROM bindings GROUP BY number_id, phone_index HAVING COUNT(*) > 1 LIMIT 1";
        let doubled = self.rows.query_all_raw(self.statement(doubled)).await.expect("bindings");
        assert!(doubled.is_empty(), "two rows for one number and phone");
        let rows =
            "SELECT ride_id, number_id, COUNT(*) AS phones FROM bindings WHERE NOT retired GROUP BY ride_id, number_id";
        let rows = self.rows.query_all_raw(self.statement(rows)).await.expect("bindings");
        let mut held = BTreeMap::new();
        for row in rows {
            let get = |column: &str| row.try_get::<i64>("", column).expect("a number");
            held.insert((get("ride_id"), get("number_id")), get("phones"));
        }
        for (id, ride) in self.oracle.rides.iter().filter(|(_, ride)| ride.is_open(now)) {
            assert_eq!(held.get(&(*id, ride.number)), Some(&2), "rows of open ride {id} on number {}", ride.number);
        }
    }

    fn statement(&self, sql: &str) -> sea_orm::Statement {
        sea_orm::Statement::from_string(self.rows.get_database_backend(), sql)
    }
}

async fn read(request: reqwest::RequestBuilder) -> Reply {
    let response = request.send().await.expect("an answer");
    let status = response.status().as_u16();
    let text = response.text().await.expect("a body");
    assert!(status < 500, "{status} {text}");
    let body = serde_json::from_str(&text).unwrap_or(Value::Null);
    Reply { status, text, body }
}

/// A database, and the address from which its rows can be read. SQLite's is in memory where there is a folder for that.
async fn database(kind: Kind) -> (TestDatabase, String) {
    let memory = std::path::Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    let folder = folder.expect("a folder");
    match kind {
        Kind::Sqlite => {
            let url = format!("sqlite://{}", folder.path().join("maskline.db").display());
            let rows = format!("{url}?mode=ro");
            (TestDatabase { direct: url.clone(), url, folder }, rows)
        }
        Kind::Postgres => {
            let url = postgres::fresh().await;
            (TestDatabase { direct: url.clone(), url: url.clone(), folder }, url)
        }
    }
}

/// A token that outlives every world: days pass here in seconds.
fn token(now: Time) -> String {
    let (issued, expires) = (now.timestamp(), (now + Duration::days(36500)).timestamp());
    let scope = "customers:read customers:write drivers:read drivers:write numbers:read numbers:write rides:read \
                 rides:write messages:read messages:write calls:read phone_numbers:reveal";
    let claims = json!({
        "iss": PUBLIC, "sub": CLIENT.0, "aud": PUBLIC, "iat": issued, "exp": expires, "jti": "model", "scope": scope,
        "cid": 1, "sv": 1,
    });
    let key = EncodingKey::from_secret(JWT_SECRET.as_bytes());
    format!("Bearer {}", jsonwebtoken::encode(&Header::default(), &claims, &key).expect("a token"))
}
