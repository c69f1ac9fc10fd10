//! A process dies with texts in hand: another sends them within seconds, and nobody takes anything from a process that
//! lives.

use std::{
    future::pending,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use maskline::{
    app::{App, Running},
    clock::{Clock, SystemClock},
};
use sea_orm::{ConnectionTrait as _, Database, DatabaseConnection, Statement, TransactionTrait as _};
use serde_json::json;
use tokio::{io::AsyncReadExt as _, net::TcpListener, runtime::Runtime, task::JoinSet, time::sleep};

use crate::{
    carriers::messagebird::MessageBird,
    harness::{
        Api, CLIENT, Kind, TestApp, TestDatabase,
        carrier::{Behaviour, Carrier as _, Signer, StandIn},
        config_for, on_both_databases,
        pgbouncer::PgBouncer,
        postgres::Server,
        subscriber::{Act, Subscriber},
    },
    process::{Service, account, eventually, log_of, quiet_ride, stand_in, webhook},
    ride::{ANN, BOB, NUMBER},
};

/// Longest time from the death of a process to the first text that is sent again.
const TAKEN_OVER: Duration = Duration::from_secs(5);

/// For sends that are under way when their process ends.
fn hang() -> Behaviour {
    Behaviour::Hang(Duration::from_secs(60))
}

/// The slowest answer that still is one.
fn slow() -> Behaviour {
    Behaviour::Hang(Duration::from_secs(9))
}

/// A clock that is ahead of the machine's, or behind.
struct Shifted(chrono::Duration);

impl Clock for Shifted {
    fn now(&self) -> DateTime<Utc> {
        SystemClock.now() + self.0
    }
}

/// A process that serves, inside of this one; with a provider of its own.
struct Replica {
    running: Running,
    api: Api,
    clock: Arc<Shifted>,
}

impl Replica {
    async fn start(url: &str, provider: &str, shift_s: i64, more: &[(&str, &str)]) -> Self {
        let clock = Arc::new(Shifted(chrono::Duration::seconds(shift_s)));
        let variables = MessageBird.account(provider);
        let config = config_for(url, &[&account(&variables)[..], more].concat());
        let app = App::build_to_serve(config, Arc::clone(&clock) as _, pending()).await.expect("the service starts");
        let running = app.expect("nothing stops it").start(true);
        let api = Api::sign_in(&format!("http://{}", running.address), CLIENT, None).await;
        Self { running, api, clock }
    }

    /// The provider delivers a text of Ann's.
    async fn text(&self, text: &str) {
        let webhook = MessageBird.text(text, ANN, NUMBER, text, &[]);
        let proof = MessageBird.sign(&webhook, Signer::Ours, self.clock.now());
        assert_eq!(self.api.webhook(&webhook, &proof).await.status, 200);
    }
}

/// What a text on the first ride's timeline has become: its status, and whether it may have been sent twice.
async fn outcome(api: &Api, text: &str) -> (String, bool) {
    let timeline = api.timeline(1).await;
    let item = timeline.iter().find(|item| item["text"] == text).unwrap_or_else(|| panic!("no text {text:?}"));
    (item["status"].as_str().unwrap().to_owned(), item["possibly_duplicated"].as_bool().unwrap())
}

async fn until_sent(api: &Api, text: &str) -> bool {
    eventually("the send", async || {
        let (status, doubtful) = outcome(api, text).await;
        (status == "sent").then_some(doubtful)
    })
    .await
}

async fn first_send(stand_in: &StandIn) -> String {
    sends(stand_in).await.swap_remove(0)
}

/// The next sends, at least one.
async fn sends(stand_in: &StandIn) -> Vec<String> {
    eventually("a send", async || {
        let texts: Vec<_> = stand_in.carried().into_iter().map(|carried| carried.text).collect();
        (!texts.is_empty()).then_some(texts)
    })
    .await
}

async fn outside(url: &str) -> DatabaseConnection {
    Database::connect(url).await.expect("the database")
}

async fn numbers(db: &DatabaseConnection, sql: &str) -> Vec<i64> {
    let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await.expect(sql);
    rows.iter().map(|row| row.try_get_by_index(0).expect("a number")).collect()
}

/// The ids of processes that are listed.
async fn listed(db: &DatabaseConnection) -> Vec<i64> {
    numbers(db, "SELECT id FROM processes ORDER BY id").await
}

/// Another machine's load can only make it slower: the shortest of three is what it takes.
async fn best_of_three(take_over: impl AsyncFn() -> Duration) {
    let mut took = Vec::new();
    for _ in 0..3 {
        took.push(take_over().await);
        if took.iter().any(|took| *took < TAKEN_OVER) {
            return;
        }
    }
    panic!("it takes {took:?} to send again");
}

/// Kills a process with two texts in hand; answers how long it takes until one of them is sent again.
async fn kill_while_sending(kind: Kind) -> Duration {
    let (db, hanging, bird) = (TestDatabase::fresh(kind).await, stand_in().await, stand_in().await);
    hanging.script([hang(), hang()]);
    let first = Service::start(&db, &account(&MessageBird.account(&hanging.base))).await;
    let api = Api::sign_in(&first.base, CLIENT, None).await;
    quiet_ride(&api).await;
    let other = MessageBird.account(&bird.base);
    // PostgreSQL has two replicas; SQLite has one process, which is started again.
    let second = match kind {
        Kind::Postgres => Some(Service::start(&db, &account(&other)).await),
        Kind::Sqlite => None,
    };
    for (key, from, text) in [("a1", ANN, "Under way"), ("b1", BOB, "Back"), ("a2", ANN, "Behind it")] {
        assert_eq!(webhook(&api, &MessageBird, &MessageBird.text(key, from, NUMBER, text, &[])).await, 200);
    }
    let mut under_way = Vec::new();
    eventually("both sends", async || {
        under_way.extend(hanging.take());
        (under_way.len() == 2).then_some(())
    })
    .await;
    let killed = Instant::now();
    first.kill();
    let second = match second {
        Some(second) => second,
        None => Service::start(&db, &account(&other)).await,
    };
    let mut sent = Vec::new();
    eventually("the first text that is sent again", async || {
        sent.extend(bird.carried());
        (!sent.is_empty()).then_some(())
    })
    .await;
    let waited = killed.elapsed();
    println!("{kind:?}: the first text was sent again after {waited:.1?}");
    eventually("the others", async || {
        sent.extend(bird.carried());
        (sent.len() == 3).then_some(())
    })
    .await;
    let to_bob: Vec<_> = sent.iter().filter(|sent| sent.to == BOB).map(|sent| sent.text.as_str()).collect();
    assert_eq!(to_bob, ["Under way", "Behind it"]);
    let api = api.at(&second.base);
    for (text, doubtful) in [("Under way", true), ("Back", true), ("Behind it", false)] {
        assert_eq!(until_sent(&api, text).await, doubtful, "{text}");
    }
    second.terminate();
    let db = outside(&db.direct).await;
    assert_eq!(listed(&db).await, Vec::<i64>::new(), "a process that stopped is not listed");
    waited
}

/// Kills a process with more texts in hand and behind them than it can send at once, while people go on writing;
/// answers how long it takes until one of them is sent again.
async fn kill_under_load(kind: Kind) -> Duration {
    const PAIRS: usize = 20;
    const TEXTS: usize = 3;
    let (db, hanging, bird) = (TestDatabase::fresh(kind).await, stand_in().await, stand_in().await);
    hanging.script(std::iter::repeat_with(hang).take(2 * PAIRS * TEXTS));
    let (first_account, other_account) = (MessageBird.account(&hanging.base), MessageBird.account(&bird.base));
    let unpaced = [("MESSAGEBIRD_TEXTS_PER_MINUTE", "60000"), ("MESSAGEBIRD_TEXTS_PER_SECOND", "1000")];
    let (first_account, other_account) =
        ([&account(&first_account)[..], &unpaced].concat(), [&account(&other_account)[..], &unpaced].concat());
    let first = Service::start(&db, &first_account).await;
    let api = Api::sign_in(&first.base, CLIENT, None).await;
    quiet_ride(&api).await;
    let soon = (SystemClock.now() + chrono::Duration::hours(1)).to_rfc3339();
    let pair = |at| (format!("+3161234{at:04}"), format!("+3168765{at:04}"));
    for (ann, bob) in (0..PAIRS).map(pair) {
        let (customer, driver) = (api.customer("Ann", &ann).await, api.driver("Bob", &bob).await);
        let ride = json!({ "customer_id": customer, "driver_id": driver, "start": "A", "destination": "B",
            "datetime": soon, "notify": false });
        api.post("/v1/rides", &ride).await.expect(201);
    }
    let second = match kind {
        Kind::Postgres => Some(Service::start(&db, &other_account).await),
        Kind::Sqlite => None,
    };
    let write = async |api: &Api, round: usize| {
        for (at, (ann, bob)) in (0..PAIRS).map(pair).enumerate() {
            for (key, from) in [(format!("a{at}-{round}"), &ann), (format!("b{at}-{round}"), &bob)] {
                let text = MessageBird.text(&key, from, NUMBER, &key, &[]);
                assert_eq!(webhook(api, &MessageBird, &text).await, 200);
            }
        }
    };
    write(&api, 0).await;
    write(&api, 1).await;
    let mut under_way = Vec::new();
    eventually("a process with its hands full", async || {
        under_way.extend(hanging.carried().into_iter().map(|sent| sent.text));
        (under_way.len() >= PAIRS / 2).then_some(())
    })
    .await;
    sleep(Duration::from_millis(500)).await;
    under_way.extend(hanging.carried().into_iter().map(|sent| sent.text));
    bird.take();
    let killed = Instant::now();
    first.kill();
    let second = match second {
        Some(second) => second,
        None => Service::start(&db, &other_account).await,
    };
    let api = api.at(&second.base);
    let again = async {
        loop {
            if bird.carried().iter().any(|sent| under_way.contains(&sent.text)) {
                return killed.elapsed();
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    let (waited, ()) = tokio::join!(again, write(&api, 2));
    println!("{kind:?}: the first of {} texts was sent again after {waited:.1?}", under_way.len());
    second.terminate();
    waited
}

on_both_databases! {
    async fn what_a_killed_process_was_sending_is_sent_again_within_seconds(kind: Kind) {
        best_of_three(async || kill_while_sending(kind).await).await;
    }

    async fn under_load_too(kind: Kind) {
        best_of_three(async || kill_under_load(kind).await).await;
    }

    async fn all_that_a_dead_process_has_claimed_is_due_and_nothing_else(kind: Kind) {
        let app = TestApp::start(kind).await;
        app.number(NUMBER, "simulator").await;
        let (ann, bob) = (app.customer("Ann", ANN).await, app.driver("Bob", BOB).await);
        app.ride(ann, bob).await.expect(201);
        app.simulate_call(ANN, NUMBER).await;
        app.simulate_call(BOB, NUMBER).await;
        for at in 0..2 {
            app.post("/v1/event-endpoints", &json!({ "url": format!("https://{at}.example.com/") })).await.expect(201);
        }
        app.run_due_jobs().await;
        let db = outside(&app.db.direct).await;
        // The first of each belongs to a process that is dead, the second to nobody by name.
        for sql in [
            "INSERT INTO processes (id, counter, started_at) VALUES (4711, 5, '2026-01-01 00:00:00+00:00')",
            "UPDATE outbox SET attempts = 1, in_flight = TRUE, due_at = '2999-01-01 00:00:00+00:00'",
            "UPDATE outbox SET claimed_by = 4711 WHERE to_role = 'customer'",
            "UPDATE calls SET poll_at = '2999-01-01 00:00:00+00:00'",
            "UPDATE calls SET claimed_by = 4711 WHERE id = (SELECT MIN(id) FROM calls)",
            "UPDATE event_endpoints SET due_at = '2999-01-01 00:00:00+00:00'",
            "UPDATE event_endpoints SET claimed_by = 4711 WHERE id = (SELECT MIN(id) FROM event_endpoints)",
            "INSERT INTO breakers (provider, is_open, reason, since, probe_at, failed_probes, claimed_by)
                VALUES ('plivo', TRUE, 'provider_unavailable', '2026-01-01 00:00:00+00:00', '2999-01-01 00:00:00+00:00', 1, 4711),
                    ('vonage', TRUE, 'provider_unavailable', '2026-01-01 00:00:00+00:00', '2999-01-01 00:00:00+00:00', 1, NULL)",
            // No service of this version has these jobs, so that their rows stay as they are.
            "INSERT INTO jobs (name, due_at, claimed_by) VALUES ('a', '2999-01-01 00:00:00+00:00', 4711),
                ('b', '2999-01-01 00:00:00+00:00', NULL)",
        ] {
            db.execute_unprepared(sql).await.expect(sql);
        }
        let config = config_for(&app.db.url, &[]);
        let serving = App::build_to_serve(config, Arc::new(SystemClock), pending()).await.expect("it starts");
        let serving = serving.expect("nothing stops it").start(true);
        let waiting = "SELECT CAST((SELECT COUNT(*) FROM outbox WHERE due_at > '2998-01-01 00:00:00+00:00') AS BIGINT)
            UNION ALL SELECT CAST((SELECT COUNT(*) FROM calls WHERE poll_at > '2998-01-01 00:00:00+00:00') AS BIGINT)
            UNION ALL SELECT CAST((SELECT COUNT(*) FROM event_endpoints WHERE due_at > '2998-01-01 00:00:00+00:00') AS BIGINT)
            UNION ALL SELECT CAST((SELECT COUNT(*) FROM breakers WHERE probe_at > '2998-01-01 00:00:00+00:00') AS BIGINT)
            UNION ALL SELECT CAST((SELECT COUNT(*) FROM jobs WHERE due_at > '2998-01-01 00:00:00+00:00') AS BIGINT)";
        eventually("the release", async || (numbers(&db, waiting).await == [1; 5]).then_some(())).await;
        assert_eq!(listed(&db).await.len(), 1, "the dead process is not listed");
        eventually("the send", async || app.screen(ANN).await.pop()).await;
        sleep(Duration::from_secs(1)).await;
        assert_eq!(numbers(&db, waiting).await, [1; 5]);
        serving.stop().await;
        assert_eq!(app.screen(BOB).await.len(), 1, "a call, and no text");
    }

    async fn events_that_a_killed_process_was_delivering_are_delivered_again_within_seconds(kind: Kind) {
        let (db, subscriber) = (TestDatabase::fresh(kind).await, Subscriber::start().await);
        let more = [("EVENTS_ALLOW_LOOPBACK", "on")];
        let first = Service::start(&db, &more).await;
        let api = Api::sign_in(&first.base, CLIENT, None).await;
        api.post("/v1/event-endpoints", &json!({ "url": subscriber.url })).await.expect(201);
        subscriber.always(Some(Act::Late(Duration::from_secs(60))));
        quiet_ride_of_simulator(&api).await;
        eventually("a post", async || (subscriber.most_at_once().0 > 0).then_some(())).await;
        subscriber.always(None);
        let killed = Instant::now();
        first.kill();
        let second = Service::start(&db, &more).await;
        eventually("the event", async || subscriber.taken().pop()).await;
        // The lease of the dead process lasts a minute.
        let waited = killed.elapsed();
        assert!(waited < Duration::from_secs(25), "delivered after {waited:?}");
        second.terminate();
    }
}

async fn quiet_ride_of_simulator(api: &Api) {
    crate::process::quiet_ride_over(api, "simulator").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_ahead_changes_nothing() {
    best_of_three(async || kill_with_clocks_apart(9).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_behind_changes_nothing() {
    best_of_three(async || kill_with_clocks_apart(-9).await).await;
}

/// Lets a process with another clock send something slowly, and then die; answers how long it takes until what it had
/// in hand is sent again.
async fn kill_with_clocks_apart(shift_s: i64) -> Duration {
    let db = TestDatabase::fresh(Kind::Postgres).await;
    let (slow_one, other) = (stand_in().await, stand_in().await);
    slow_one.script([slow(), hang()]);
    // In a runtime of its own, which can end as a process does.
    let mortal = Runtime::new().expect("a runtime");
    let (url, base) = (db.url.clone(), slow_one.base.clone());
    let first = mortal.spawn(async move { Replica::start(&url, &base, shift_s, &[]).await });
    let first = first.await.expect("it starts");
    quiet_ride(&first.api).await;
    let second = Replica::start(&db.url, &other.base, 0, &[]).await;
    first.text("slow").await;
    assert!(!until_sent(&first.api, "slow").await, "nobody else has it");
    assert_eq!((slow_one.take().len(), other.take().len()), (1, 0));

    first.text("under way").await;
    first.text("behind it").await;
    assert_eq!(first_send(&slow_one).await, "under way");
    let killed = Instant::now();
    mortal.shutdown_background();
    let mut again = sends(&other).await;
    let waited = killed.elapsed();
    println!("{shift_s}: sent again after {waited:.1?}");
    while again.len() < 2 {
        again.extend(sends(&other).await);
    }
    assert_eq!(again, ["under way", "behind it"]);
    // What is left of it must not stop anything.
    std::mem::forget(first);
    second.running.stop().await;
    waited
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_without_a_free_connection_keeps_its_claims() {
    let db = TestDatabase::fresh(Kind::Postgres).await;
    let (slow_one, other) = (stand_in().await, stand_in().await);
    slow_one.script([slow()]);
    let first = Replica::start(&db.url, &slow_one.base, 0, &[]).await;
    quiet_ride(&first.api).await;
    let second = Replica::start(&db.url, &other.base, 0, &[]).await;
    let db = outside(&db.direct).await;
    let before = listed(&db).await;
    first.text("slow").await;
    assert_eq!(first_send(&slow_one).await, "slow");
    let holder = db.begin().await.unwrap();
    holder.execute_unprepared("LOCK TABLE inbox IN ACCESS EXCLUSIVE MODE").await.unwrap();
    // Each waits for that lock on a connection of its own; the pool has sixteen.
    let mut waiting = JoinSet::new();
    for at in 0..24 {
        let (api, clock) = (first.api.clone(), Arc::clone(&first.clock));
        waiting.spawn(async move {
            let webhook = MessageBird.text(&format!("w{at}"), BOB, "+3197010299999", "nobody's", &[]);
            api.webhook(&webhook, &MessageBird.sign(&webhook, Signer::Ours, clock.now())).await.status
        });
    }
    sleep(Duration::from_secs(7)).await;
    holder.rollback().await.unwrap();
    waiting.join_all().await;
    assert!(!until_sent(&first.api, "slow").await, "nobody else has it");
    assert_eq!((slow_one.take().len(), other.take().len()), (0, 0));
    assert_eq!(listed(&db).await, before, "nobody was taken for dead");
    first.running.stop().await;
    second.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_takes_over_from_the_living_when_the_database_was_away() {
    let mut server = Server::start(&[]);
    let url = server.database("maskline").await;
    let (slow_one, other) = (stand_in().await, stand_in().await);
    let first = Replica::start(&url, &slow_one.base, 0, &[]).await;
    quiet_ride(&first.api).await;
    first.api.number("+3197010200002", "messagebird").await;
    let second = Replica::start(&url, &other.base, 0, &[]).await;
    let before = listed(&outside(&url).await).await;
    // Its answer comes while nobody can write it down.
    slow_one.script([Behaviour::Hang(Duration::from_secs(2))]);
    first.text("answered meanwhile").await;
    assert_eq!(first_send(&slow_one).await, "answered meanwhile");
    server.stop();
    sleep(Duration::from_secs(10)).await;
    server.start_again();
    server.wait_until_it_answers().await;
    assert!(!until_sent(&first.api, "answered meanwhile").await, "nobody else has it");
    // As long as it takes to find a process dead.
    sleep(Duration::from_secs(6)).await;
    assert_eq!((slow_one.take().len(), other.take().len()), (0, 0));
    assert_eq!(listed(&outside(&url).await).await, before, "nobody was taken for dead");
    // And everything works again.
    first.text("afterwards").await;
    until_sent(&second.api, "afterwards").await;
    first.running.stop().await;
    second.running.stop().await;
}

/// A provider's API that reads a request, and hears when the sender breaks it off.
struct Listening(TcpListener);

impl Listening {
    async fn start() -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        (Self(listener), base)
    }

    /// Waits for a request; what it answers ends when the sender has broken it off.
    async fn request(self) -> impl Future<Output = Instant> {
        let (mut stream, _) = self.0.accept().await.expect("a connection");
        let mut bytes = [0; 4096];
        assert!(stream.read(&mut bytes).await.expect("a request") > 0);
        async move {
            while stream.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
            Instant::now()
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_loses_its_way_to_the_database_breaks_off_before_another_sends() {
    let server = Server::start(&[]);
    let url = server.database("maskline").await;
    let pooler = PgBouncer::start(server.port);
    let ((listening, base), other) = (Listening::start().await, stand_in().await);
    let first = Replica::start(&pooler.way_to(&url), &base, 0, &[("DATABASE_POOLER", "transaction")]).await;
    quiet_ride(&first.api).await;
    let second = Replica::start(&url, &other.base, 0, &[]).await;
    first.text("under way").await;
    let broken_off = listening.request().await;
    let lost = Instant::now();
    drop(pooler);
    let broken_off = tokio::spawn(broken_off);
    assert_eq!(first_send(&other).await, "under way");
    let sent = Instant::now();
    let broken_off = broken_off.await.unwrap();
    println!("broken off after {:.1?}, sent after {:.1?}", broken_off - lost, sent - lost);
    assert!(broken_off < sent, "two processes sent at once");
    assert!(broken_off - lost > Duration::from_millis(2500), "it need not give up so soon");
    assert!(sent - lost < TAKEN_OVER * 2, "sent again after {:?}", sent - lost);
    assert!(until_sent(&second.api, "under way").await, "it may have been sent twice");
    second.running.stop().await;
    first.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_was_paused_goes_on_under_another_name_and_sends_nothing_twice() {
    let db = TestDatabase::fresh(Kind::Postgres).await;
    let (hanging, other) = (stand_in().await, stand_in().await);
    hanging.script([hang()]);
    let first = Service::start(&db, &account(&MessageBird.account(&hanging.base))).await;
    let api = Api::sign_in(&first.base, CLIENT, None).await;
    quiet_ride(&api).await;
    let second = Replica::start(&db.url, &other.base, 0, &[]).await;
    assert_eq!(webhook(&api, &MessageBird, &MessageBird.text("a1", ANN, NUMBER, "under way", &[])).await, 200);
    assert_eq!(first_send(&hanging).await, "under way");
    let open = outside(&db.direct).await;
    let before = listed(&open).await;
    let signal = |name: &str| {
        let done = std::process::Command::new("kill").args([name, &first.id().to_string()]).status();
        assert!(done.expect("kill runs").success());
    };
    signal("-STOP");
    let paused = Instant::now();
    assert_eq!(first_send(&other).await, "under way");
    assert!(paused.elapsed() < TAKEN_OVER * 2, "sent again after {:?}", paused.elapsed());
    for text in ["second", "third"] {
        second.text(text).await;
    }
    assert_eq!(listed(&open).await.len(), 1);
    signal("-CONT");
    let after = eventually("its new name", async || Some(listed(&open).await).filter(|ids| ids.len() == 2)).await;
    assert_eq!(
        after.iter().filter(|id| before.contains(id)).count(),
        1,
        "the other kept its name: {before:?} {after:?}"
    );
    assert!(until_sent(&second.api, "under way").await);
    for text in ["second", "third"] {
        assert!(!until_sent(&second.api, text).await);
    }
    let mut all: Vec<_> = hanging.carried().into_iter().chain(other.carried()).map(|sent| sent.text).collect();
    all.sort();
    assert_eq!(all, ["second", "third"], "each once");
    assert!(log_of(&db).contains("aborted a send"));
    second.running.stop().await;
    // It sends as before.
    assert_eq!(webhook(&api, &MessageBird, &MessageBird.text("a9", ANN, NUMBER, "afterwards", &[])).await, 200);
    assert_eq!(first_send(&hanging).await, "afterwards");
    first.terminate();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_embedded_database_is_served_by_one_process_at_a_time() {
    let db = TestDatabase::fresh(Kind::Sqlite).await;
    let first = Service::start(&db, &[]).await;
    // Other commands do not serve, and work meanwhile.
    for command in [vec!["migrate"], vec!["client", "create", "another"], vec!["rekey"]] {
        let (done, said) = crate::process::run(&db, &command, &[]);
        assert!(done, "{command:?}: {said}");
    }
    let began = Instant::now();
    let (started, said) = {
        let db = TestDatabase { url: db.url.clone(), direct: db.direct.clone(), folder: tempfile::tempdir().unwrap() };
        tokio::task::spawn_blocking(move || crate::process::run(&db, &["serve"], &[])).await.unwrap()
    };
    assert!(!started && said.contains("another process serves the database"), "{said}");
    assert!(said.contains("maskline.db"), "{said}");
    assert!((Duration::from_secs(29)..Duration::from_secs(45)).contains(&began.elapsed()), "{:?}", began.elapsed());

    // One that comes while the first stops takes its turn.
    let url = db.url.clone();
    let second = tokio::spawn(async move {
        let folder = tempfile::tempdir().unwrap();
        let db = TestDatabase { url: url.clone(), direct: url, folder };
        let service = Service::start(&db, &[]).await;
        (service, db)
    });
    sleep(Duration::from_millis(1500)).await;
    assert!(!second.is_finished(), "it waits");
    first.terminate();
    let (second, of_second) = second.await.unwrap();
    assert!(log_of(&of_second).contains("waiting for another process"), "{}", log_of(&of_second));
    second.terminate();
}
