//! The real binary as a process: killed in the middle, watched for what it says, operated from its command line.

use std::{
    fs::File,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use maskline::clock::{Clock as _, SystemClock};
use sea_orm::{ConnectionTrait as _, Database, Statement};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{
    carriers::{for_every_provider, messagebird::MessageBird},
    harness::{
        Api, CLIENT, Kind, PUBLIC, TestDatabase,
        carrier::{Behaviour, CallNews, Carrier, News, Ring, Signer, StandIn, Told, Webhook},
        on_both_databases, variables,
    },
    ride::{ANN, BOB, NUMBER},
};

const MASKLINE: &str = env!("CARGO_BIN_EXE_maskline");

/// A running service whose output goes to a file.
pub struct Service {
    child: Child,
    pub base: String,
}

impl Service {
    pub async fn start(db: &TestDatabase, more: &[(&str, &str)]) -> Self {
        Self::start_by(&[], db, more).await
    }

    /// Started by this command, which is given the path of the binary.
    pub async fn start_by(wrapper: &[&str], db: &TestDatabase, more: &[(&str, &str)]) -> Self {
        let service = Self::spawn(wrapper, db, more);
        let deadline = Instant::now() + Duration::from_secs(30);
        while !reqwest::get(format!("{}/health/ready", service.base)).await.is_ok_and(|answer| answer.status() == 200) {
            assert!(Instant::now() < deadline, "the service did not get ready:\n{}", log_of(db));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        service
    }

    /// The same, without waiting until it is ready.
    fn spawn(wrapper: &[&str], db: &TestDatabase, more: &[(&str, &str)]) -> Self {
        let port =
            std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
        let address = format!("127.0.0.1:{port}");
        let log = File::options().create(true).append(true).open(db.folder.path().join("log")).expect("a log");
        let words = [wrapper, &[MASKLINE]].concat();
        let child = command_of(words[0], db, &[&[("LISTEN_ADDR", address.as_str())], more].concat())
            .args(&words[1..])
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("the binary runs");
        Self { child, base: format!("http://{address}") }
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }

    /// The id of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGTERM, and a clean end.
    pub fn terminate(mut self) {
        let done = Command::new("kill").arg(self.child.id().to_string()).status();
        assert!(done.expect("kill runs").success());
        assert!(self.child.wait().expect("it ends").success(), "a stop is no failure");
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(db: &TestDatabase, more: &[(&str, &str)]) -> Command {
    command_of(MASKLINE, db, more)
}

fn command_of(program: &str, db: &TestDatabase, more: &[(&str, &str)]) -> Command {
    let mut command = Command::new(program);
    command.env_clear().envs(variables(&db.url, more)).current_dir(db.folder.path()).stdin(Stdio::null());
    command
}

pub fn run(db: &TestDatabase, arguments: &[&str], more: &[(&str, &str)]) -> (bool, String) {
    let output = command(db, more).args(arguments).output().expect("the binary runs");
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (output.status.success(), said)
}

pub fn log_of(db: &TestDatabase) -> String {
    std::fs::read_to_string(db.folder.path().join("log")).expect("a log")
}

pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

/// A ride of Ann's and Bob's over MessageBird, of which nobody is told.
pub async fn quiet_ride(api: &Api) {
    quiet_ride_over(api, "messagebird").await;
}

/// The same over this provider.
pub async fn quiet_ride_over(api: &Api, provider: &str) {
    api.number(NUMBER, provider).await;
    let (ann, bob) = (api.customer("Ann", ANN).await, api.driver("Bob", BOB).await);
    let soon = (SystemClock.now() + chrono::Duration::hours(1)).to_rfc3339();
    let body = json!({
        "customer_id": ann, "driver_id": bob, "start": "A", "destination": "B", "datetime": soon, "notify": false,
    });
    api.post("/v1/rides", &body).await.expect(201);
}

pub async fn stand_in() -> StandIn {
    StandIn::of(Arc::new(MessageBird)).await
}

/// A webhook of the provider's, signed now.
pub async fn webhook(api: &Api, carrier: &dyn Carrier, webhook: &Webhook) -> u16 {
    api.webhook(webhook, &carrier.sign(webhook, Signer::Ours, SystemClock.now())).await.status
}

/// A provider's account as variables.
pub fn account<'a>(variables: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    variables.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

on_both_databases! {
    async fn a_text_that_was_accepted_is_sent_after_kill_9(kind: Kind) {
        let (db, bird) = (TestDatabase::fresh(kind).await, stand_in().await);
        // The provider is away, so the text is accepted and cannot be sent.
        let service = Service::start(&db, &account(&MessageBird.account("http://127.0.0.1:9"))).await;
        let api = Api::sign_in(&service.base, CLIENT, None).await;
        quiet_ride(&api).await;
        let text = MessageBird.text("a1", ANN, NUMBER, "Before the kill", &[]);
        assert_eq!(webhook(&api, &MessageBird, &text).await, 200);
        service.kill();
        assert!(bird.take().is_empty());
        let service = Service::start(&db, &account(&MessageBird.account(&bird.base))).await;
        let sent = eventually("the send", async || bird.carried().pop()).await;
        assert_eq!((sent.to.as_str(), sent.text.as_str()), (BOB, "Before the kill"));
        service.terminate();
    }

    async fn a_text_whose_send_was_under_way_is_sent_again_after_kill_9(kind: Kind) {
        let (db, bird) = (TestDatabase::fresh(kind).await, stand_in().await);
        bird.script([Behaviour::Hang(Duration::from_secs(60))]);
        let service = Service::start(&db, &account(&MessageBird.account(&bird.base))).await;
        let api = Api::sign_in(&service.base, CLIENT, None).await;
        quiet_ride(&api).await;
        let text = MessageBird.text("a1", ANN, NUMBER, "Under way", &[]);
        assert_eq!(webhook(&api, &MessageBird, &text).await, 200);
        eventually("the send", async || bird.take().pop()).await;
        service.kill();
        let service = Service::start(&db, &account(&MessageBird.account(&bird.base))).await;
        let api = api.at(&service.base);
        let text = eventually("the second send", async || {
            let timeline = api.timeline(1).await;
            timeline.into_iter().find(|item| item["text"] == "Under way" && item["status"] == "sent")
        }).await;
        assert_eq!((bird.take().len(), text["possibly_duplicated"].as_bool()), (1, Some(true)));
        service.terminate();
    }

    async fn who_is_asked_to_stop_says_so_and_finishes_what_is_under_way(kind: Kind) {
        let (db, bird) = (TestDatabase::fresh(kind).await, stand_in().await);
        bird.script([Behaviour::Hang(Duration::from_secs(4))]);
        let service = Service::start(&db, &account(&MessageBird.account(&bird.base))).await;
        let api = Api::sign_in(&service.base, CLIENT, None).await;
        quiet_ride(&api).await;
        for (key, text) in [("a1", "Under way"), ("a2", "Behind it")] {
            assert_eq!(webhook(&api, &MessageBird, &MessageBird.text(key, ANN, NUMBER, text, &[])).await, 200);
        }
        // Whoever is slow to ask is answered too.
        let address = service.base.strip_prefix("http://").expect("an address").to_owned();
        let mut slow = tokio::net::TcpStream::connect(&address).await.expect("a connection");
        slow.write_all(b"GET /health/live HTTP/1.1\r\nhost: a\r\n").await.expect("half a request");
        eventually("the send", async || bird.take().pop()).await;
        let base = service.base.clone();
        let began = Instant::now();
        let ended = tokio::task::spawn_blocking(move || service.terminate());
        eventually("the notice", async || {
            let answer = reqwest::get(format!("{base}/health/ready")).await.ok()?;
            (answer.status() == 503 && answer.text().await.ok()?.contains("\"stopping\"")).then_some(())
        }).await;
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert!(tokio::net::TcpStream::connect(&address).await.is_err(), "no more connections");
        slow.write_all(b"connection: close\r\n\r\n").await.expect("the other half");
        let mut answer = String::new();
        slow.read_to_string(&mut answer).await.expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        ended.await.expect("a clean end");
        assert!((Duration::from_secs(2)..Duration::from_secs(20)).contains(&began.elapsed()));

        let service = Service::start(&db, &account(&MessageBird.account(&bird.base))).await;
        let sent = eventually("the text behind it", async || bird.carried().pop()).await;
        assert_eq!(sent.text, "Behind it", "what was under way was finished, and is not sent again");
        let first = api.at(&service.base).timeline(1).await.into_iter().find(|item| item["text"] == "Under way").unwrap();
        assert_eq!((first["status"].as_str(), first["possibly_duplicated"].as_bool()), (Some("sent"), Some(false)));
        service.terminate();
    }
}

for_every_provider! {
    async fn no_canary_is_in_the_log_the_database_or_an_address(carrier, kind) {
        const PHONE: &str = "+31651234987";
        const TEXT: &str = "canary 4711 under the bench";
        let (db, provider) = (TestDatabase::fresh(kind).await, StandIn::of(Arc::clone(&carrier)).await);
        let variables = carrier.account(&provider.base);
        let more = [&account(&variables)[..], &[("RUST_LOG", "trace"), ("LOG_FORMAT", "json")]].concat();
        let service = Service::start(&db, &more).await;
        let api = Api::sign_in(&service.base, CLIENT, None).await;
        api.number(NUMBER, carrier.name()).await;
        api.number("+3197010200002", "simulator").await;
        let (ann, bob) = (api.customer("Ann", PHONE).await, api.driver("Bob", BOB).await);
        let soon = (SystemClock.now() + chrono::Duration::hours(1)).to_rfc3339();
        let body = json!({ "customer_id": ann, "driver_id": bob, "start": "A", "destination": "B", "datetime": soon });
        for _ in 0..2 {
            api.post("/v1/rides", &body).await.expect(201);
        }
        let ann_digits = &PHONE[1..];
        // A provider that repeats the number in its refusal, and one that is away and says it then.
        provider.script([
            Behaviour::Answer(
                422,
                vec![],
                r#"{"errors":[{"code":"31651234987","description":"bad recipient 31651234987"}],"code":31651234987,"title":"31651234987"}"#,
            ),
            Behaviour::Answer(503, vec![], "31651234987 canary 4711"),
        ]);
        let ring = Ring { id: "c1", from: PHONE, number: NUMBER, to: BOB };
        for event in [
            carrier.text("a1", PHONE, NUMBER, TEXT, &["https://cdn.example.com/canary-4711.jpg"]),
            carrier.text("a2", BOB, NUMBER, TEXT, &[]),
            carrier.text("a3", PHONE, "+3197010299999", TEXT, &[]),
            carrier.call(ring),
        ] {
            assert_eq!(webhook(&api, carrier.as_ref(), &event).await, 200);
        }
        if let Told::Webhooks(told) = carrier.call_news(ring, CallNews::Completed(42)) {
            for news in &told {
                assert_eq!(webhook(&api, carrier.as_ref(), news).await, 200);
            }
        }
        let forged = carrier.text("a4", PHONE, NUMBER, TEXT, &[]);
        let proof = carrier.sign(&forged, Signer::Stranger, SystemClock.now());
        assert_eq!(api.webhook(&forged, &proof).await.status, 401);
        api.simulate_text(PHONE, "+3197010200002", TEXT).await;
        api.simulate_call(PHONE, "+3197010200002").await;
        api.simulate_call(BOB, PHONE).await;
        api.screen(PHONE).await;
        api.post("/v1/rides/1/messages", &json!({ "to": "customer", "text": TEXT })).await.expect(202);
        // Mistakes with it, too.
        for body in [json!({ "name": TEXT, "phone_number": PHONE, "x": TEXT }), json!({ "name": 1, "phone_number": [PHONE] })] {
            assert_eq!(api.post("/v1/customers", &body).await.status, 422);
        }
        let with_key = [("idempotency-key", "k1")];
        let body = json!({ "name": "Cyd", "phone_number": PHONE });
        api.json("POST", "/v1/customers", &with_key, &body).await.expect(201);
        api.json("POST", "/v1/customers", &with_key, &body).await.expect(201);
        api.post("/v1/customers/search", &json!({ "phone_number": PHONE })).await.expect(200);
        let narrow = Api::sign_in(&service.base, CLIENT, Some("rides:write drivers:write")).await;
        let guess = json!({ "external_id": "guess", "name": TEXT, "phone_number": "+31651234987" });
        let soon = (SystemClock.now() + chrono::Duration::hours(1)).to_rfc3339();
        let ride = json!({ "customer_id": 1, "driver": guess, "start": TEXT, "destination": TEXT, "datetime": soon });
        narrow.post("/v1/rides?dry_run=true", &ride).await;
        api.get(&format!("/v1/customers?external_id={PHONE}")).await;
        api.get(&format!("/v1/customers?{ann_digits}={PHONE}")).await.expect_problem(400, "invalid_parameter");
        api.raw("GET", &format!("/nowhere/{PHONE}"), &[("x-request-id", PHONE)], Vec::new()).await;
        eventually("the sends", async || {
            let open = async |status: &str| api.get(&format!("/v1/messages?status={status}")).await.expect(200);
            let (queued, sending) = (open("queued").await, open("sending").await);
            (queued["items"] == json!([]) && sending["items"] == json!([])).then_some(())
        })
        .await;
        let sent = provider.take();
        assert!(sent.len() >= 5, "two notices, one of them twice, and two texts");
        for sent in sent {
            let said: String = url::form_urlencoded::parse(sent.body.as_bytes()).map(|(name, value)| format!("{name}={value}&")).collect();
            let ours = said.split(PUBLIC).skip(1).filter_map(|rest| rest.split(['"', '&', ',']).next());
            for address in ours.chain([sent.path.as_str()]) {
                assert!(!address.contains(ann_digits) && !address.contains("canary"), "{address}");
            }
            if !sent.provider_id.is_empty() {
                let report = carrier.report(&sent, &sent.provider_id, News::Delivered);
                assert_eq!(webhook(&api, carrier.as_ref(), &report).await, 200);
            }
        }
        service.terminate();

        let log = log_of(&db);
        assert!(log.contains("\"answered\"") && log.contains("refused a webhook"), "the log says something");
        for counted in ["searched people by phone", "\"person:1\"", "\"dry_run\""] {
            assert!(log.lines().any(|line| line.contains(counted) && line.contains("\"client_id\":\"1\"")), "{counted}");
        }
        assert!(log.lines().all(|line| line.matches("\"message\":").count() <= 1), "a key twice in one line");
        let dump = dump(&db, kind).await;
        for (place, text) in [("log", &log), ("database", &dump)] {
            for canary in [ann_digits, "651234987", "canary 4711", "canary-4711", &BOB[1..]] {
                assert!(!text.contains(canary), "{canary} is in the {place}");
                let hex: String = canary.bytes().map(|byte| format!("{byte:02x}")).collect();
                assert!(!text.contains(&hex), "{canary} is in the {place}, in hexadecimal");
            }
        }
        assert!(dump.contains("Ann"), "the dump holds what is stored in clear");
    }
}

on_both_databases! {

    async fn the_command_line_makes_clients_and_reseals(kind: Kind) {
        const OLD: &str = "test:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        const NEW: &str = "next:CAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        let db = TestDatabase::fresh(kind).await;
        assert_eq!(run(&db, &["migrate"], &[]), (true, "The schema is up to date.\n".to_owned()));
        let (made, said) = run(&db, &["client", "create", "reader", "--scope", "customers:read customers:write"], &[]);
        assert!(made, "{said}");
        let word = |name: &str| said.lines().find_map(|line| line.strip_prefix(name)).expect(name).trim().to_owned();
        let client = (word("client_id"), word("client_secret"));
        let service = Service::start(&db, &[]).await;
        let api = Api::sign_in(&service.base, (&client.0, &client.1), None).await;
        let ann = api.customer("Ann", ANN).await;
        api.get("/v1/rides").await.expect_problem(403, "missing_scope");
        service.terminate();

        // A wrong key does not start; a new one in front does, and after the resealing the old one can go.
        let wrong = [("DATA_KEY", "test:CAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")];
        assert!(run(&db, &["rekey"], &wrong).1.contains("another key under the id"));
        let index = [("INDEX_KEY", "CAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")];
        assert!(run(&db, &["rekey"], &index).1.contains("INDEX_KEY is not the key"));
        assert!(run(&db, &["rekey"], &[("DATA_KEY", NEW)]).1.contains("lacks the key"));
        let both = format!("{NEW},{OLD}");
        let (done, said) = run(&db, &["rekey"], &[("DATA_KEY", &both)]);
        assert!(done && said.contains("1 values were sealed anew"), "{said}");
        let service = Service::start(&db, &[("DATA_KEY", NEW)]).await;
        let api = Api::sign_in(&service.base, CLIENT, None).await;
        let ann = api.get(&format!("/v1/customers/{ann}")).await.expect(200);
        assert_eq!(ann["phone_number"], ANN);
        service.terminate();
    }
}

/// Everything the database holds, as text.
async fn dump(db: &TestDatabase, kind: Kind) -> String {
    if kind == Kind::Sqlite {
        let files = ["maskline.db", "maskline.db-wal"]
            .map(|name| std::fs::read(db.folder.path().join(name)).unwrap_or_default());
        return String::from_utf8_lossy(&files.concat()).into_owned();
    }
    let open = Database::connect(&db.direct).await.expect("the database");
    let rows = async |sql: &str| {
        let statement = Statement::from_string(open.get_database_backend(), sql);
        let rows = open.query_all_raw(statement).await.expect(sql);
        rows.iter().map(|row| row.try_get_by_index::<String>(0).expect("text")).collect::<Vec<_>>()
    };
    let mut all = String::new();
    for table in rows("SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public'").await {
        all.push_str(&rows(&format!("SELECT t::text FROM \"{table}\" t")).await.join("\n"));
    }
    all
}

#[test]
fn the_committed_document_is_the_present_one() {
    let checked = Command::new(MASKLINE).args(["openapi", "--check"]).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let checked = checked.expect("the binary runs");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

#[tokio::test]
async fn the_first_start_needs_no_configuration_and_keeps_its_keys() {
    let folder = tempfile::tempdir().expect("a folder");
    let start = |port: &str| {
        let mut command = Command::new(MASKLINE);
        command.env_clear().env("LISTEN_ADDR", format!("127.0.0.1:{port}")).current_dir(folder.path());
        command.stdout(File::create(folder.path().join("said")).expect("a file")).stderr(Stdio::null());
        command.spawn().expect("the binary runs")
    };
    let said = || std::fs::read_to_string(folder.path().join("said")).unwrap_or_default();
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
    let mut first = start(&port.to_string());
    eventually("the first start", async || said().contains("client_secret").then_some(())).await;
    let word = |name: &str| {
        said().lines().find_map(|line| line.trim().strip_prefix(name).map(|rest| rest.trim().to_owned())).expect(name)
    };
    let (client_id, secret) = (word("client_id"), word("client_secret"));
    assert!(said().contains(&format!("http://127.0.0.1:{port}/docs")));
    let base = format!("http://127.0.0.1:{port}");
    let api = Api::sign_in(&base, (&client_id, &secret), None).await;
    api.customer("Ann", ANN).await;
    first.kill().and_then(|()| first.wait()).expect("it ends");
    let mode = std::os::unix::fs::MetadataExt::mode(
        &std::fs::metadata(folder.path().join("data/maskline.keys")).expect("keys"),
    );
    assert_eq!(mode & 0o777, 0o600);

    let mut second = start(&port.to_string());
    eventually("the second start", async || said().contains("Swagger UI").then_some(())).await;
    assert!(!said().contains("client_secret"), "the secret is shown once");
    let api = Api::sign_in(&base, (&client_id, &secret), None).await;
    assert_eq!(api.get("/v1/customers/1").await.expect(200)["phone_number"], ANN);
    second.kill().and_then(|()| second.wait()).expect("it ends");

    std::fs::remove_file(folder.path().join("data/maskline.keys")).expect("the keys go");
    let refused = start(&port.to_string()).wait().expect("it ends");
    assert!(!refused.success(), "a database without its keys does not start");
}

#[test]
fn a_bad_configuration_is_told_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = Command::new(MASKLINE)
        .env_clear()
        .envs([("LISTEN_ADDR", "nowhere"), ("GRACE_PERIOD", "soon"), ("MESSAGEBIRD_API_KEY", "secret-key")])
        .current_dir(folder.path())
        .output()
        .expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stderr);
    for name in ["LISTEN_ADDR", "GRACE_PERIOD", "MESSAGEBIRD_SIGNING_KEY"] {
        assert!(said.contains(name), "{name} in {said}");
    }
    assert!(!output.status.success() && !said.contains("secret-key"));
    assert!(!Path::new(&folder.path().join("data")).exists(), "nothing is written for a start that fails");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_asked_to_stop_while_it_starts_ends_cleanly_too() {
    let db = TestDatabase::fresh(Kind::Sqlite).await;
    for _ in 0..5 {
        let service = Service::spawn(&[], &db, &[]);
        let address = service.base.trim_start_matches("http://").to_owned();
        let deadline = Instant::now() + Duration::from_secs(30);
        while std::net::TcpStream::connect(&address).is_err() {
            assert!(Instant::now() < deadline, "the service does not listen:\n{}", log_of(&db));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        service.terminate();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_start_that_is_stopped_shows_the_secret_or_leaves_no_client() {
    for wait_ms in [20, 60, 100, 150, 200, 300, 400, 600] {
        let folder = tempfile::tempdir().expect("a folder");
        let start = || {
            let mut command = Command::new(MASKLINE);
            command.env_clear().env("LISTEN_ADDR", "127.0.0.1:0").current_dir(folder.path()).stderr(Stdio::null());
            command.stdout(File::options().create(true).append(true).open(folder.path().join("said")).expect("a file"));
            command.spawn().expect("the binary runs")
        };
        let stop = |child: &mut Child| {
            let sent = Command::new("kill").arg(child.id().to_string()).status();
            assert!(sent.expect("kill runs").success());
            child.wait().expect("it ends");
        };
        let said = || std::fs::read_to_string(folder.path().join("said")).unwrap_or_default();
        let mut stopped = start();
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        stop(&mut stopped);
        let before = said().matches("Swagger UI").count();
        let mut next = start();
        eventually("the next start", async || (said().matches("Swagger UI").count() > before).then_some(())).await;
        eventually("the secret", async || said().contains("client_secret").then_some(())).await;
        stop(&mut next);
        assert_eq!(said().matches("client_secret").count(), 1, "stopped after {wait_ms} ms");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_low_pool_is_said_in_the_log_once() {
    const SAID: &str = "the pool is low";
    let db = TestDatabase::fresh(Kind::Sqlite).await;
    let service = Service::start(&db, &[("POOL_LOW_WATER", "1")]).await;
    let deadline = Instant::now() + Duration::from_secs(30);
    while !log_of(&db).contains(SAID) {
        assert!(Instant::now() < deadline, "nothing was said:\n{}", log_of(&db));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    service.terminate();
    assert_eq!(log_of(&db).matches(SAID).count(), 1);
}
