//! The contact window: extended, shortened, closed at once; rides with lengths of their own.

use chrono::Duration;
use serde_json::{Value, json};

use crate::{
    harness::{Answer, Kind, TestApp, id, on_both_databases},
    ride::{ANN, BOB, NUMBER, ann_and_bob},
};

async fn with_ride(kind: Kind) -> (TestApp, String) {
    let app = TestApp::start(kind).await;
    let (ann, bob, _) = ann_and_bob(&app).await;
    let ride = app.ride(ann, bob).await.expect(201);
    app.send_due().await;
    (app, format!("/v1/rides/{}", id(&ride)))
}

async fn until(app: &TestApp, ride: &str, until: chrono::DateTime<chrono::Utc>) -> Answer {
    app.post(&format!("{ride}/contact"), &json!({ "until": until.to_rfc3339() })).await
}

fn time(value: &Value) -> chrono::DateTime<chrono::Utc> {
    chrono::DateTime::parse_from_rfc3339(value.as_str().unwrap()).unwrap().to_utc()
}

async fn reaches(app: &TestApp, text: &str) -> bool {
    app.simulate_text(ANN, NUMBER, text).await;
    app.send_due().await;
    app.screen(BOB).await.iter().any(|entry| entry["text"] == text)
}

on_both_databases! {
    async fn contact_is_extended_and_shortened_while_it_is_open(kind: Kind) {
        let (mut app, ride) = with_ride(kind).await;
        for status in ["in_progress", "completed"] {
            app.patch(&ride, &json!({ "status": status })).await.expect(200);
        }
        // A day of grace; the platform wants three.
        let extended = until(&app, &ride, app.now() + Duration::days(3)).await;
        let etag = extended.header("etag").to_owned();
        assert_eq!(time(&extended.expect(200)["contact_until"]), app.now() + Duration::days(3));
        app.advance(Duration::days(2)).await;
        assert!(reaches(&app, "after two days").await);
        let stale = [("if-match", "\"1\"")];
        let soon = json!({ "until": (app.now() + Duration::hours(1)).to_rfc3339() });
        app.json("POST", &format!("{ride}/contact"), &stale, &soon).await.expect_problem(412, "stale_version");
        app.json("POST", &format!("{ride}/contact"), &[("if-match", &etag)], &soon).await.expect(200);
        app.advance(Duration::minutes(59)).await;
        assert!(reaches(&app, "a minute before").await);
        app.advance(Duration::minutes(1)).await;
        assert!(!reaches(&app, "too late").await);
        until(&app, &ride, app.now() + Duration::hours(1)).await.expect_problem(409, "contact_closed");
        app.finish().await;
    }

    async fn contact_closes_at_once(kind: Kind) {
        let (app, ride) = with_ride(kind).await;
        app.post(&format!("{ride}/messages"), &json!({ "to": "driver", "text": "On its way" })).await.expect(202);
        let closed = until(&app, &ride, app.now()).await.expect(200);
        assert_eq!((closed["contact_open"].as_bool(), time(&closed["contact_until"])), (Some(false), app.now()));
        // What was owed to them is owed no more, and nobody reaches anybody.
        assert!(!reaches(&app, "anybody?").await);
        let owed = app.get("/v1/messages?status=failed").await.expect(200);
        assert_eq!((owed["items"][0]["text"].as_str(), owed["items"][0]["reason"].as_str()), (Some("On its way"), Some("contact_closed")));
        until(&app, &ride, app.now() + Duration::hours(1)).await.expect_problem(409, "contact_closed");
        // The number cools down from now on; a pair that rides again has it at once.
        assert_eq!(app.get("/v1/pool").await.expect(200)["cooling"], 1);
        let later = json!({ "datetime": (app.now() + Duration::hours(5)).to_rfc3339() });
        app.patch(&ride, &later).await.expect_problem(409, "contact_closed");
        app.patch(&ride, &json!({ "status": "cancelled" })).await.expect(200);
        assert_eq!(app.get(&ride).await.expect(200)["contact_open"], false);
        app.finish().await;
    }

    async fn contact_has_bounds_and_a_key(kind: Kind) {
        let (app, ride) = with_ride(kind).await;
        let timeout = time(&app.get(&ride).await.expect(200)["timeout_at"]);
        let wrong = until(&app, &ride, timeout + Duration::days(7) + Duration::seconds(1)).await;
        assert_eq!(wrong.expect_problem(422, "invalid_request")["errors"][0]["pointer"], "/until");
        until(&app, &ride, timeout + Duration::days(7)).await.expect(200);
        app.post(&format!("{ride}/contact"), &json!({})).await.expect_problem(422, "invalid_request");
        app.post("/v1/rides/999/contact", &json!({ "until": timeout.to_rfc3339() })).await.expect_problem(404, "not_found");
        let key = [("idempotency-key", "k1")];
        let body = json!({ "until": app.now().to_rfc3339() });
        for _ in 0..2 {
            let closed = app.json("POST", &format!("{ride}/contact"), &key, &body).await.expect(200);
            assert_eq!(closed["contact_open"], false);
        }
        app.finish().await;
    }

    async fn both_people_are_told_of_another_time_or_place(kind: Kind) {
        let (app, ride) = with_ride(kind).await;
        let told = async |phone: &str| {
            app.send_due().await;
            let screen = app.screen(phone).await;
            screen.iter().skip(1).filter_map(|entry| entry["text"].as_str().map(str::to_owned)).collect::<Vec<_>>()
        };
        let change = json!({ "start": "Leidseplein", "datetime": "2099-01-01T08:00:00+01:00" });
        app.patch(&ride, &change).await.expect_problem(422, "invalid_request");
        app.patch(&ride, &json!({ "start": "Leidseplein" })).await.expect(200);
        assert!(told(ANN).await[0].starts_with("Hello Ann. Your ride has changed: Bob picks you up at Leidseplein on "));
        assert!(told(BOB).await[0].starts_with("Hello Bob. Your ride has changed: Ann waits for you at Leidseplein on "));
        // The same again, another id, no wish to tell, and the end of the ride: nothing to tell.
        app.patch(&ride, &json!({ "start": "Leidseplein" })).await.expect(200);
        app.patch(&ride, &json!({ "external_id": "x" })).await.expect(200);
        app.patch(&ride, &json!({ "destination": "Utrecht", "notify": false })).await.expect(200);
        app.patch(&ride, &json!({ "destination": "Gouda", "status": "cancelled" })).await.expect(200);
        assert_eq!((told(ANN).await.len(), told(BOB).await.len()), (1, 1));
        app.finish().await;
    }

    async fn the_usual_lengths_stand_each_for_itself(kind: Kind) {
        let app = TestApp::with(kind, &[("GRACE_PERIOD", "5m")]).await;
        let (ann, bob, _) = ann_and_bob(&app).await;
        let ride = app.ride(ann, bob).await.expect(201);
        assert!(ride["grace_s"].is_null(), "it asked for none");
        let over = app.patch(&format!("/v1/rides/{}", id(&ride)), &json!({ "status": "cancelled" })).await.expect(200);
        assert_eq!(time(&over["contact_until"]), app.now() + Duration::minutes(15));
        app.send_due().await;
        app.finish().await;
    }

    async fn a_ride_can_have_lengths_of_its_own(kind: Kind) {
        let mut app = TestApp::start(kind).await;
        let (ann, bob, _) = ann_and_bob(&app).await;
        let begins = app.now();
        let body = |grace: i64, max: i64| json!({
            "customer_id": ann, "driver_id": bob, "start": "A", "destination": "B", "datetime": begins.to_rfc3339(),
            "grace_s": grace, "max_duration_s": max, "notify": false,
        });
        let wrong = app.post("/v1/rides", &body(7 * 86400 + 1, 7 * 86400 + 1)).await.expect_problem(422, "invalid_request");
        let pointers: Vec<_> = wrong["errors"].as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap()).collect();
        assert_eq!(pointers, ["/grace_s", "/max_duration_s"]);
        app.post("/v1/rides", &body(-1, 60)).await.expect_problem(422, "invalid_request");
        let ride = app.post("/v1/rides", &body(600, 3600)).await.expect(201);
        assert_eq!(time(&ride["timeout_at"]), app.now() + Duration::hours(1));
        assert_eq!(time(&ride["contact_until"]), app.now() + Duration::minutes(70));
        assert_eq!((ride["grace_s"].as_i64(), ride["max_duration_s"].as_i64()), (Some(600), Some(3600)));
        // The worker ends it by its own lengths, and so does the platform.
        app.advance(Duration::minutes(61)).await;
        app.tidy().await;
        assert!(reaches(&app, "in its grace").await);
        app.advance(Duration::minutes(9)).await;
        assert!(!reaches(&app, "after it").await);
        let done = app.get(&format!("/v1/rides/{}", id(&ride))).await.expect(200);
        assert_eq!((done["ended_by"].as_str(), time(&done["contact_until"])), (Some("timeout"), app.now()));
        app.finish().await;
    }
}
