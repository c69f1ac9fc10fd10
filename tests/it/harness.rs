//! The real application on a throwaway database and a real socket, with time and the outbox in the test's hands.

pub mod carrier;
pub mod daemon;
pub mod nginx;
pub mod pgbouncer;
pub mod postgres;
pub mod spec;
pub mod subscriber;

use std::{collections::HashMap, sync::Arc};

use chrono::{DateTime, Duration, Utc};
use maskline::{
    app::{App, Running},
    clock::{Clock as _, ManualClock, SystemClock},
    config::Config,
};
use reqwest::{Method, header::HeaderMap};
use serde_json::{Value, json};

/// The address under which the world knows the service: on purpose not the one it listens on.
pub const PUBLIC: &str = "https://mask.test";
/// The client that every test signs in with.
pub const CLIENT: (&str, &str) = ("tests", "a secret of the tests, with 32 characters");
pub const JWT_SECRET: &str = "a JWT secret of the tests with 32 bytes or more";

/// Which database a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Sqlite,
    Postgres,
}

/// A throwaway database.
pub struct TestDatabase {
    /// As the service reaches it.
    pub url: String,
    /// As tests that look into it do: past any pooler.
    pub direct: String,
    /// Removed with everything in it when the test ends.
    pub folder: tempfile::TempDir,
}

impl TestDatabase {
    pub async fn fresh(kind: Kind) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let direct = match kind {
            Kind::Sqlite => format!("sqlite://{}", folder.path().join("maskline.db").display()),
            Kind::Postgres => postgres::fresh().await,
        };
        let url = if kind == Kind::Postgres { pgbouncer::in_between(&direct) } else { direct.clone() };
        Self { url, direct, folder }
    }

    /// One that is there already, at this address.
    pub fn at(url: String) -> Self {
        Self { direct: url.clone(), url, folder: tempfile::tempdir().expect("a folder") }
    }
}

/// Variables of a test's configuration, `more` over the usual ones.
pub fn variables(url: &str, more: &[(&str, &str)]) -> HashMap<String, String> {
    let usual = [
        ("DATABASE_URL", url),
        ("LISTEN_ADDR", "127.0.0.1:0"),
        ("PUBLIC_BASE_URL", PUBLIC),
        ("JWT_SECRET", JWT_SECRET),
        ("DATA_KEY", "test:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="),
        ("INDEX_KEY", "Hx4dHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA="),
        ("BOOTSTRAP_CLIENT_ID", CLIENT.0),
        ("BOOTSTRAP_CLIENT_SECRET", CLIENT.1),
        ("SIMULATOR", "on"),
        // Time stands still in most tests, and so would whatever is more than a number may send at once.
        ("BANDWIDTH_TEXTS_PER_MINUTE", "1000000"),
        ("MESSAGEBIRD_TEXTS_PER_MINUTE", "1000000"),
        ("MESSAGEBIRD_TEXTS_PER_SECOND", "1000000"),
        ("PLIVO_TEXTS_PER_MINUTE", "1000000"),
        ("PLIVO_TEXTS_PER_SECOND", "1000000"),
        ("TELNYX_TEXTS_PER_MINUTE", "1000000"),
        ("TELNYX_TEXTS_PER_SECOND", "1000000"),
        ("TWILIO_TEXTS_PER_MINUTE", "1000000"),
        ("VONAGE_TEXTS_PER_MINUTE", "1000000"),
        ("VONAGE_TEXTS_PER_SECOND", "1000000"),
    ];
    let pooler = pgbouncer::is_in_between(url).then_some(("DATABASE_POOLER", "transaction"));
    usual.iter().chain(&pooler).chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

pub fn config_for(url: &str, more: &[(&str, &str)]) -> Config {
    let variables = variables(url, more);
    Config::load(&|name| variables.get(name).cloned()).expect("a configuration")
}

/// An answer.
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
    pub text: String,
}

impl Answer {
    /// Fails unless the status is this one; the body.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.body
    }

    /// Fails unless it is a problem with this status and code.
    #[track_caller]
    pub fn expect_problem(self, status: u16, code: &str) -> Value {
        assert_eq!((self.status, self.body["code"].as_str()), (status, Some(code)), "{}", self.text);
        assert_eq!(self.headers["content-type"], "application/problem+json");
        self.body
    }

    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no header {name}")).to_str().expect("text")
    }
}

/// Speaks to services without TLS and follows no redirect.
pub fn plain_client() -> reqwest::ClientBuilder {
    // A client that checks certificates reads all that the machine trusts, and almost every test builds one.
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).tls_danger_accept_invalid_certs(true)
}

/// Talks to one running service as one client.
#[derive(Clone)]
pub struct Api {
    pub base: String,
    pub token: String,
    http: reqwest::Client,
}

impl Api {
    pub async fn sign_in(base: &str, (id, secret): (&str, &str), scope: Option<&str>) -> Self {
        let http = plain_client().build().expect("a client");
        let mut api = Self { base: base.to_owned(), token: String::new(), http };
        let mut form = vec![("grant_type", "client_credentials"), ("client_id", id), ("client_secret", secret)];
        form.extend(scope.map(|scope| ("scope", scope)));
        let token = api.form("/oauth/token", &form, &[]).await.expect(200);
        api.token = token["access_token"].as_str().expect("a token").to_owned();
        api
    }

    /// The same service, with another token or none.
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    /// The same client at another address of the service.
    pub fn at(&self, base: &str) -> Self {
        Self { base: base.to_owned(), ..self.clone() }
    }

    pub async fn raw(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
        self.try_raw(method, path, headers, body).await.expect("an answer")
    }

    /// The same to a service that may not be there: `None` without an answer.
    pub async fn try_raw(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Option<Answer> {
        let parsed: Method = method.parse().expect("a method");
        let mut request = self.http.request(parsed, format!("{}{path}", self.base)).body(body);
        if !self.token.is_empty() && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization")) {
            request = request.header("authorization", format!("Bearer {}", self.token));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.ok()?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.ok()?;
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        let kind = headers.get("content-type").map(|kind| kind.to_str().expect("text").to_owned()).unwrap_or_default();
        spec::check(method, path, status, &kind, &body);
        assert!(headers.contains_key("x-request-id"));
        Some(Answer { status, headers, body, text })
    }

    pub async fn form(&self, path: &str, fields: &[(&str, &str)], headers: &[(&str, &str)]) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        self.raw("POST", path, &[&kind, headers].concat(), body.into_bytes()).await
    }

    pub async fn json(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let kind = [("content-type", "application/json")];
        self.raw(method, path, &[&kind, headers].concat(), body.to_string().into_bytes()).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.raw("GET", path, &[], Vec::new()).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.json("POST", path, &[], body).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.json("PATCH", path, &[], body).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.raw("DELETE", path, &[], Vec::new()).await
    }

    pub async fn customer(&self, name: &str, phone: &str) -> i64 {
        id(&self.post("/v1/customers", &json!({ "name": name, "phone_number": phone })).await.expect(201))
    }

    pub async fn driver(&self, name: &str, phone: &str) -> i64 {
        id(&self.post("/v1/drivers", &json!({ "name": name, "phone_number": phone })).await.expect(201))
    }

    pub async fn number(&self, phone: &str, provider: &str) -> i64 {
        id(&self.post("/v1/numbers", &json!({ "phone_number": phone, "provider": provider })).await.expect(201))
    }

    pub async fn timeline(&self, ride: i64) -> Vec<Value> {
        let timeline = self.get(&format!("/v1/rides/{ride}/timeline")).await.expect(200);
        timeline["items"].as_array().expect("items").clone()
    }

    /// The log of platform events, read to its present end; `query` narrows it down, such as `type=ride.created`.
    pub async fn events(&self, query: &str) -> Vec<Value> {
        let mut events = Vec::new();
        let mut after = String::new();
        loop {
            let mut page = self.get(&format!("/v1/events?limit=200&{query}{after}")).await.expect(200);
            events.append(page["items"].as_array_mut().expect("items"));
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return events,
            }
        }
    }

    /// Texts and calls that a simulated phone got.
    pub async fn screen(&self, phone: &str) -> Vec<Value> {
        let screen = self.get(&format!("/v1/simulator/phones/{phone}")).await.expect(200);
        screen["items"].as_array().expect("items").clone()
    }

    pub async fn simulate_text(&self, from: &str, to: &str, text: &str) {
        self.post("/v1/simulator/texts", &json!({ "from": from, "to": to, "text": text })).await.expect(202);
    }

    pub async fn simulate_call(&self, from: &str, to: &str) -> Value {
        self.post("/v1/simulator/calls", &json!({ "from": from, "to": to })).await.expect(200)
    }
}

#[track_caller]
pub fn id(value: &Value) -> i64 {
    value["id"].as_i64().expect("an id")
}

/// The application under test. Derefs to the API of its first replica.
pub struct TestApp {
    pub db: TestDatabase,
    pub clock: Arc<ManualClock>,
    pub api: Api,
    running: Running,
    variables: Vec<(String, String)>,
}

impl std::ops::Deref for TestApp {
    type Target = Api;
    fn deref(&self) -> &Api {
        &self.api
    }
}

impl TestApp {
    pub async fn start(kind: Kind) -> Self {
        Self::with(kind, &[]).await
    }

    pub async fn with(kind: Kind, more: &[(&str, &str)]) -> Self {
        Self::on(TestDatabase::fresh(kind).await, more).await
    }

    /// On this database.
    pub async fn on(db: TestDatabase, more: &[(&str, &str)]) -> Self {
        let clock = Arc::new(ManualClock::at(SystemClock.now()));
        let running = run(&db.url, more, &clock).await;
        let api = Api::sign_in(&format!("http://{}", running.address), CLIENT, None).await;
        let variables = more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { db, clock, api, running, variables }
    }

    /// Another process's worth of the same service on the same database.
    pub async fn replica(&self) -> (Running, Api) {
        self.replica_with(&[]).await
    }

    /// The same with these variables over those of the first.
    pub async fn replica_with(&self, other: &[(&str, &str)]) -> (Running, Api) {
        let more = self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let more: Vec<_> = more.chain(other.iter().copied()).collect();
        let running = run(&self.db.url, &more, &self.clock).await;
        let base = format!("http://{}", running.address);
        (running, self.api.at(&base))
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// A time that a ride can have.
    pub fn soon(&self) -> String {
        (self.now() + Duration::hours(1)).to_rfc3339()
    }

    /// Lets a second pass, so that what follows is later.
    pub fn tick(&self) {
        self.clock.advance(Duration::seconds(1));
    }

    /// Lets time pass, and signs in again: tokens live an hour.
    pub async fn advance(&mut self, by: Duration) {
        self.clock.advance(by);
        self.api = Api::sign_in(&self.api.base, CLIENT, None).await;
    }

    /// Sends everything that is due.
    pub async fn send_due(&self) -> usize {
        self.running.send_due().await
    }

    /// Asks about every call that is due.
    pub async fn ask_due(&self) -> usize {
        self.running.ask_due().await
    }

    /// Delivers every event that is due; answers how many rounds that took.
    pub async fn deliver_events(&self) -> usize {
        self.running.deliver_events().await
    }

    pub async fn tidy(&self) {
        self.running.tidy().await;
    }

    pub async fn run_due_jobs(&self) -> (usize, usize) {
        self.running.run_due_jobs().await
    }

    /// It behaves as if asked to stop, and goes on.
    pub fn announce_stop(&self) {
        self.running.announce_stop();
    }

    pub async fn measure_skew(&self) {
        self.running.measure_skew().await;
    }

    pub async fn leave_suspended_numbers(&self) -> usize {
        self.running.leave_suspended_numbers().await
    }

    pub async fn leave_down_providers(&self) -> usize {
        self.running.leave_down_providers().await
    }

    pub async fn pending_parts(&self) -> u64 {
        self.running.pending_parts().await
    }

    /// Gives all events their places in the log.
    pub async fn place_events(&self) -> usize {
        self.running.place_events().await
    }

    pub async fn ride(&self, customer: i64, driver: i64) -> Answer {
        let body = json!({
            "customer_id": customer, "driver_id": driver, "start": "Dam 1", "destination": "Schiphol",
            "datetime": self.soon(),
        });
        self.post("/v1/rides", &body).await
    }

    /// Fails if something is still owed: a test says what happens to every text. Reads all events, each of which is
    /// thereby checked against the document.
    pub async fn finish(self) {
        assert_eq!(self.running.pending_parts().await, 0, "texts are still owed");
        self.place_events().await;
        let mut api = self.api.clone();
        if api.get("/v1/events?limit=1").await.status == 401 {
            api = Api::sign_in(&api.base, CLIENT, None).await;
        }
        api.events("").await;
        self.running.stop().await;
    }
}

async fn run(url: &str, more: &[(&str, &str)], clock: &Arc<ManualClock>) -> Running {
    let app = App::build(config_for(url, more), Arc::clone(clock) as _).await.expect("the service starts");
    app.start(false)
}

/// Runs a test on both databases.
macro_rules! on_both_databases {
    ($(async fn $name:ident($app:ident: $kind:ty) $body:block)+) => {$(
        mod $name {
            use super::*;

            async fn test($app: $kind) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_sqlite() {
                test($crate::harness::Kind::Sqlite).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres() {
                test($crate::harness::Kind::Postgres).await;
            }
        }
    )+};
}

pub(crate) use on_both_databases;
