//! Whether the service says that it is ready exactly when it is, and answers what it can when it is not.

use std::sync::Arc;

use chrono::Duration;
use maskline::clock::{Clock as _, SystemClock};
use sea_orm::{ConnectionTrait as _, Database, DatabaseConnection};
use serde_json::json;

use crate::{
    carriers::{messagebird::MessageBird, stage::Stage},
    harness::{
        Api, Kind, TestApp,
        carrier::{Carrier, Ring},
        on_both_databases,
    },
    ride::{ANN, BOB, NUMBER},
};

/// Fails unless the service says that it is alive and, for this reason, not ready.
pub async fn expect_not_ready(api: &Api, reason: &str) {
    assert_eq!(api.get("/health/live").await.status, 200);
    let problem = api.get("/health/ready").await.expect_problem(503, "unavailable");
    assert_eq!(problem["reason"], reason, "{problem}");
}

/// Waits until the service is ready; its last answer about the database may be a second old.
pub async fn until_ready(api: &Api) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while api.get("/health/ready").await.status != 200 {
        assert!(std::time::Instant::now() < deadline, "the service did not get ready");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// Until the answer about the database is asked for anew.
pub async fn let_answers_age() {
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
}

pub async fn over_messagebird(kind: Kind) -> Stage {
    let carrier: Arc<dyn Carrier> = Arc::new(MessageBird);
    Stage::under_way(&carrier, kind).await
}

on_both_databases! {
    async fn clocks_apart_make_not_ready(kind: Kind) {
        let app = TestApp::start(kind).await;
        for (off, ready) in [(0, true), (4, true), (7, false), (4, true), (-7, false), (0, true)] {
            // The clock of the tests stands still, the database's does not.
            app.clock.advance(SystemClock.now() - app.now() + Duration::seconds(off));
            app.measure_skew().await;
            if ready || kind == Kind::Sqlite {
                app.get("/health/ready").await.expect(200);
            } else {
                expect_not_ready(&app, "clock_skew").await;
            }
        }
        app.finish().await;
    }

    async fn who_was_asked_to_stop_is_not_ready_and_gives_back_what_it_has_not_sent(kind: Kind) {
        let stage = over_messagebird(kind).await;
        let (second, _) = stage.app.replica().await;
        stage.text("a1", ANN, "To Bob", &[]).await;
        stage.text("b1", BOB, "To Ann", &[]).await;
        stage.app.announce_stop();
        expect_not_ready(&stage.app, "stopping").await;
        assert_eq!(stage.app.send_due().await, 2, "claims that were under way when it was asked");
        assert!(stage.api.take().is_empty(), "nothing new is sent");
        assert_eq!(stage.message("To Bob").await["status"], "queued");
        assert_eq!(second.send_due().await, 2, "another replica has them at once");
        let mut sent: Vec<_> = stage.api.carried().into_iter().map(|carried| carried.text).collect();
        sent.sort();
        assert_eq!(sent, ["To Ann", "To Bob"]);
        let sent = stage.message("To Bob").await;
        assert_eq!((sent["status"].as_str(), sent["possibly_duplicated"].as_bool()), (Some("sent"), Some(false)));
        let outside = Database::connect(&stage.app.db.direct).await.unwrap();
        let tries = sea_orm::Statement::from_string(outside.get_database_backend(), "SELECT CAST(max(attempts) AS BIGINT) AS tries FROM outbox");
        let tries: i64 = outside.query_one_raw(tries).await.unwrap().unwrap().try_get("", "tries").unwrap();
        assert_eq!(tries, 1, "what was given back was no attempt");
        second.stop().await;
        stage.app.finish().await;
    }
}

/// New connections can read only from now on, or write again; connections there are end, if so wanted.
async fn make_read_only(outside: &DatabaseConnection, url: &str, read_only: bool, end_others: bool) {
    let name = url.rsplit('/').next().unwrap();
    let word = if read_only { "SET default_transaction_read_only = on" } else { "RESET default_transaction_read_only" };
    let mut batch = format!("ALTER DATABASE {name} {word};");
    if end_others {
        batch += &format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}' AND pid <> pg_backend_pid()"
        );
    }
    outside.execute_unprepared(&batch).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_cannot_be_written_is_not_ready_and_what_is_asked_meanwhile_is_answered() {
    let stage = over_messagebird(Kind::Postgres).await;
    let app = &stage.app;
    let server = app.db.direct.rsplit_once('/').unwrap().0;
    let outside = Database::connect(format!("{server}/postgres")).await.unwrap();
    app.get("/health/ready").await.expect(200);
    make_read_only(&outside, &app.db.direct, true, true).await;
    let_answers_age().await;
    expect_not_ready(app, "database_not_writable").await;
    let text = stage.carrier.text("a1", ANN, NUMBER, "While it cannot be written", &[]);
    assert_eq!(stage.webhook(&text).await.status, 503, "the provider is to repeat it");
    let call = stage.webhook(&stage.carrier.call(Ring { id: "c1", from: ANN, number: NUMBER, to: "" })).await;
    assert_eq!(call.status, 200);
    assert!(call.text.contains("\"say\"") && !call.text.contains(&BOB[1..]), "an announcement: {}", call.text);
    let cyd = json!({ "name": "Cyd", "phone_number": "+31611111111" });
    app.post("/v1/customers", &cyd).await.expect_problem(503, "unavailable");
    app.get(&format!("/v1/rides/{}", stage.ride)).await.expect(200);

    // The connections there are stay read-only; they must not stay in use.
    make_read_only(&outside, &app.db.direct, false, false).await;
    assert_eq!(stage.webhook(&text).await.status, 200);
    app.post("/v1/customers", &cyd).await.expect(201);
    until_ready(app).await;
    app.send_due().await;
    assert_eq!(stage.api.carried().len(), 1);
    outside.close().await.unwrap();
    stage.app.finish().await;
}
