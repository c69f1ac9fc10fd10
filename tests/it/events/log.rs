//! The log of events: readers who go by cursor miss nothing, however late it commits.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use sea_orm::{ConnectionTrait as _, Database, DatabaseConnection, Statement, TransactionTrait as _};
use serde_json::{Value, json};

use crate::{
    harness::{Api, Kind, TestApp, id, on_both_databases},
    ride::{NUMBER, ann_and_bob},
};

const RECORD: &str =
    "INSERT INTO events (type, data, at) VALUES ('pool.low', '{\"status\":\"low\"}', now()) RETURNING id";

fn cursor_of(event: &Value) -> &str {
    event["cursor"].as_str().unwrap()
}

fn ids(events: &[Value]) -> Vec<i64> {
    events.iter().map(id).collect()
}

async fn record(db: &impl sea_orm::ConnectionTrait) -> i64 {
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), RECORD)).await.expect(RECORD);
    row.expect("a row").try_get_by_index(0).expect("an id")
}

on_both_databases! {
    async fn the_log_is_read_a_page_at_a_time_and_on_from_any_event(kind: Kind) {
        let app = TestApp::start(kind).await;
        let number = app.number(NUMBER, "simulator").await;
        let status = async |status: &str| {
            app.patch(&format!("/v1/numbers/{number}"), &json!({ "status": status })).await.expect(200);
        };
        status("suspended").await;
        assert!(app.events("").await.is_empty(), "it has no place yet");
        app.get("/v1/events/1").await.expect_problem(404, "not_found");
        assert_eq!((app.place_events().await, app.place_events().await), (1, 0));
        let first = app.get("/v1/events/1").await.expect(200);
        assert_eq!(app.events("").await, std::slice::from_ref(&first));
        let (kind_of, data) = (first["type"].as_str(), &first["data"]);
        assert_eq!(kind_of, Some("number.suspended"));
        assert_eq!(*data, json!({ "number_id": number, "provider": "simulator", "status": "suspended" }));

        // At the end there is no next page; the cursor of the last event reads on from there later.
        let end = app.get("/v1/events").await.expect(200);
        assert!(end["next"].is_null());
        let on = format!("/v1/events?after={}", cursor_of(&first));
        assert_eq!(app.get(&on).await.expect(200), json!({ "items": [], "next": null }));
        for _ in 0..4 {
            status("active").await;
            status("suspended").await;
        }
        app.place_events().await;
        assert_eq!(ids(app.get(&on).await.expect(200)["items"].as_array().unwrap()), [2, 3, 4, 5]);
        let page = app.get("/v1/events?limit=2").await.expect(200);
        assert_eq!(page["next"], page["items"][1]["cursor"]);
        assert_eq!(ids(&app.events("order=desc").await), [5, 4, 3, 2, 1]);

        app.simulate_text("+31611112222", NUMBER, "Hello?").await;
        app.place_events().await;
        assert_eq!(ids(&app.events("type=contact.rejected").await), [6]);
        assert_eq!(app.events("type=contact.rejected,number.suspended").await.len(), 6);
        assert!(app.events("ride_id=1").await.is_empty());
        for wrong in ["type=nonsense", "type=ride.created,", "type=", "type=ride.created&type=ride.updated", "after=x", "ride_id=x"] {
            app.get(&format!("/v1/events?{wrong}")).await.expect_problem(400, "invalid_parameter");
        }
        app.finish().await;
    }

    async fn events_are_kept_as_long_as_configured(kind: Kind) {
        let mut app = TestApp::with(kind, &[("EVENT_RETENTION", "3d")]).await;
        let number = app.number(NUMBER, "simulator").await;
        let suspend = async |app: &TestApp| {
            for status in ["suspended", "active"] {
                app.patch(&format!("/v1/numbers/{number}"), &json!({ "status": status })).await.expect(200);
            }
            app.place_events().await;
        };
        suspend(&app).await;
        let first = app.events("").await;
        app.advance(chrono::Duration::hours(71)).await;
        suspend(&app).await;
        app.tidy().await;
        assert_eq!(app.events("").await.len(), 2);
        app.advance(chrono::Duration::hours(2)).await;
        app.tidy().await;
        assert_eq!(ids(&app.events("").await), [2]);
        app.get("/v1/events/1").await.expect_problem(404, "not_found");
        let after_what_is_gone = format!("after={}", cursor_of(&first[0]));
        assert_eq!(ids(&app.events(&after_what_is_gone).await), [2], "a cursor outlives its event");
        app.finish().await;
    }

    async fn events_of_a_ride_keep_their_order_while_replicas_write_place_and_read(kind: Kind) {
        let app = Arc::new(TestApp::start(kind).await);
        let (ann, bob, _) = ann_and_bob(&app).await;
        let mut rides = Vec::new();
        for number in 2..6 {
            app.number(&format!("+319701020000{number}"), "simulator").await;
        }
        for person in 0..4 {
            let other = app.customer("Eve", &format!("+3161112220{person}")).await;
            rides.push(id(&app.ride(other, bob).await.expect(201)));
        }
        rides.push(id(&app.ride(ann, bob).await.expect(201)));
        app.send_due().await;
        let (other, api) = app.replica().await;
        let writers = rides.iter().map(|ride| {
            let (path, apis) = (format!("/v1/rides/{ride}"), [app.api.clone(), api.clone()]);
            tokio::spawn(async move {
                for turn in 0..10 {
                    let body = json!({ "external_id": format!("{path}-{turn}") });
                    apis[turn % 2].patch(&path, &body).await.expect(200);
                }
                for status in ["in_progress", "completed"] {
                    apis[0].patch(&path, &json!({ "status": status })).await.expect(200);
                }
            })
        });
        let writers = futures_util::future::join_all(writers);
        let placing = async {
            loop {
                tokio::join!(app.place_events(), other.place_events());
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let reader = Reader::default();
        tokio::select! {
            done = writers => done.into_iter().for_each(|done| done.expect("a writer")),
            () = placing => unreachable!(),
            () = reader.follow(&api) => unreachable!(),
        }
        app.place_events().await;
        reader.read_on(&api).await;
        let seen = reader.seen.into_inner().unwrap();
        assert_eq!(seen, app.events("").await, "nothing was passed over, nothing came twice");
        for ride in rides {
            let told = seen.iter().filter(|event| event["data"]["ride_id"] == ride && event["data"]["kind"].is_null());
            let told: Vec<_> = told.map(|event| event["type"].as_str().unwrap()).collect();
            let expected = [&["ride.created"][..], &["ride.updated"; 10], &["ride.started", "ride.completed"]].concat();
            assert_eq!(told, expected);
        }
        other.stop().await;
        Arc::into_inner(app).expect("nobody else has it").finish().await;
    }
}

/// Somebody who reads the log by cursors, over and over.
#[derive(Default)]
struct Reader {
    seen: std::sync::Mutex<Vec<Value>>,
}

impl Reader {
    async fn read_on(&self, api: &Api) {
        let after = self.seen.lock().unwrap().last().map(|event| format!("after={}", cursor_of(event)));
        let events = api.events(&after.unwrap_or_default()).await;
        self.seen.lock().unwrap().extend(events);
    }

    async fn follow(&self, api: &Api) {
        loop {
            self.read_on(api).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

async fn database(app: &TestApp) -> DatabaseConnection {
    let mut options = sea_orm::ConnectOptions::new(&app.db.direct);
    options.max_connections(12).sqlx_logging(false);
    Database::connect(options).await.expect("the database")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_passes_over_nothing_that_commits_late() {
    let app = TestApp::start(Kind::Postgres).await;
    let db = database(&app).await;
    let late = db.begin().await.unwrap();
    let first = record(&late).await;
    let second = record(&db).await;
    assert!(first < second);
    assert_eq!(app.place_events().await, 1, "placing does not wait for who is not done");
    let seen = app.events("").await;
    assert_eq!(ids(&seen), [second]);
    late.commit().await.unwrap();
    assert_eq!(app.place_events().await, 1);
    let rest = app.events(&format!("after={}", cursor_of(&seen[0]))).await;
    assert_eq!(ids(&rest), [first], "by id it would have been passed over");

    // What is rolled back leaves no trace, and who records waits for nobody who places.
    let undone = db.begin().await.unwrap();
    record(&undone).await;
    let placing = db.begin().await.unwrap();
    placing.execute_unprepared("SELECT last_position FROM event_sequence FOR UPDATE").await.unwrap();
    let third = record(&db).await;
    undone.rollback().await.unwrap();
    placing.commit().await.unwrap();
    app.place_events().await;
    assert_eq!(ids(&app.events("").await), [second, first, third]);
    db.close().await.unwrap();
    app.finish().await;
}

/// Many write at once and take different times over it, two replicas place, one reads: what the reader saw is what was
/// committed, each once, and in an order that never changes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_sees_all_that_many_commit_in_any_order() {
    const WRITERS: u64 = 8;
    const EACH: u64 = 40;
    let app = TestApp::start(Kind::Postgres).await;
    let (other, api) = app.replica().await;
    let db = database(&app).await;
    let writer = async |seed: u64| {
        let mut committed = Vec::new();
        let mut chance = seed * 7919 + 1;
        for _ in 0..EACH {
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (pause, undo) = (chance >> 60, (chance >> 40).is_multiple_of(7));
            let tx = db.begin().await.unwrap();
            let recorded = [record(&tx).await, record(&tx).await];
            tokio::time::sleep(Duration::from_millis(pause)).await;
            if undo {
                tx.rollback().await.unwrap();
            } else {
                tx.commit().await.unwrap();
                committed.extend(recorded);
            }
        }
        committed
    };
    let writers = futures_util::future::join_all((0..WRITERS).map(writer));
    let placing = async {
        loop {
            tokio::join!(app.place_events(), other.place_events());
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    };
    let reader = Reader::default();
    let committed: Vec<_> = tokio::select! {
        committed = writers => committed.concat(),
        () = placing => unreachable!(),
        () = reader.follow(&api) => unreachable!(),
    };
    app.place_events().await;
    reader.read_on(&api).await;
    let seen = ids(&reader.seen.into_inner().unwrap());
    assert_eq!(seen, ids(&app.events("").await));
    assert_eq!(seen.len(), committed.len(), "each once");
    assert_eq!(BTreeSet::from_iter(&seen), BTreeSet::from_iter(&committed));
    assert!(!seen.is_sorted(), "some committed late, or nothing was tried here");
    db.close().await.unwrap();
    other.stop().await;
    app.finish().await;
}
