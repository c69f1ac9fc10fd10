//! `POST /v1/rides?dry_run=true`: what would come of a ride, with nothing stored.

use chrono::Duration;
use serde_json::{Value, json};

use crate::{
    harness::{Kind, TestApp, id, on_both_databases},
    ride::{ANN, BOB, NUMBER, ann_and_bob},
};

const DRY: &str = "/v1/rides?dry_run=true";
const BRITISH: &str = "+447400123456";
const AMERICAN: &str = "+12025550123";

fn body(app: &TestApp, customer: i64, driver: i64) -> Value {
    json!({
        "customer_id": customer, "driver_id": driver, "start": "Dam 1", "destination": "Schiphol",
        "datetime": app.soon(),
    })
}

async fn rehearse(app: &TestApp, customer: i64, driver: i64) -> Value {
    app.post(DRY, &body(app, customer, driver)).await.expect(200)
}

/// Number and reason that were answered.
fn chosen(answer: &Value) -> (Option<i64>, Option<&str>) {
    for field in ["number_id", "proxy_number", "reason"] {
        assert_eq!(answer[field].is_null(), answer["limit"].is_string(), "{answer}");
    }
    (answer["number_id"].as_i64(), answer["reason"].as_str())
}

/// The free numbers, and the classes of others with their counts.
fn classes(answer: &Value) -> (i64, Vec<(&str, i64)>) {
    let rejected = answer["rejected"].as_array().unwrap().iter();
    let rejected = rejected.map(|class| (class["reason"].as_str().unwrap(), class["numbers"].as_i64().unwrap()));
    (answer["free"].as_i64().unwrap(), rejected.collect())
}

on_both_databases! {
    async fn a_rehearsal_tells_the_number_and_stores_nothing(kind: Kind) {
        let app = TestApp::start(kind).await;
        let (ann, bob, number) = ann_and_bob(&app).await;
        let answer = rehearse(&app, ann, bob).await;
        assert_eq!(chosen(&answer), (Some(number), Some("customer_country")));
        assert_eq!(answer["proxy_number"], NUMBER);
        assert_eq!(classes(&answer), (1, vec![]));
        assert_eq!(app.get("/v1/rides").await.expect(200)["items"], json!([]));
        assert_eq!(app.get(&format!("/v1/numbers/{number}")).await.expect(200)["open_rides"], 0);
        assert_eq!(app.pending_parts().await, 0);

        // `false` is a ride as always, on the very number.
        let ride = app.post("/v1/rides?dry_run=false", &body(&app, ann, bob)).await;
        assert!(ride.header("location").starts_with("/v1/rides/"));
        assert_eq!(ride.expect(201)["number_id"], number);
        app.send_due().await;
        for wrong in ["=maybe", "=", "=1", "=true&dry_run=true"] {
            let refused = app.post(&format!("/v1/rides?dry_run{wrong}"), &body(&app, ann, bob)).await;
            assert_eq!(refused.expect_problem(400, "invalid_parameter")["errors"][0]["pointer"], "dry_run");
        }
        app.finish().await;
    }

    async fn a_rehearsal_refuses_what_a_ride_is_refused_for(kind: Kind) {
        let app = TestApp::start(kind).await;
        let (ann, bob, _) = ann_and_bob(&app).await;
        let twin = app.driver("Twin", ANN).await;
        app.number(BRITISH, "simulator").await;
        let with = |field: &str, value: Value| {
            let mut body = body(&app, ann, bob);
            body[field] = value;
            body
        };
        let first = with("external_id", json!("trip-1"));
        app.post("/v1/rides", &first).await.expect(201);
        app.send_due().await;
        let cases = [
            (first, 409, "external_id_taken"),
            (with("driver_id", json!(twin)), 422, "same_phone"),
            (with("driver_id", json!(ann)), 422, "invalid_request"),
            (with("datetime", json!((app.now() + Duration::days(400)).to_rfc3339())), 422, "invalid_request"),
            (with("grace_s", json!(31_536_000)), 422, "invalid_request"),
            (with("start", json!("")), 422, "invalid_request"),
        ];
        for (body, status, code) in cases {
            let real = app.post("/v1/rides", &body).await.expect_problem(status, code);
            let dry = app.post(DRY, &body).await.expect_problem(status, code);
            assert_eq!(dry, real);
        }
        app.finish().await;
    }

    async fn people_inside_of_a_rehearsal_are_neither_made_nor_changed(kind: Kind) {
        let app = TestApp::start(kind).await;
        app.number(NUMBER, "simulator").await;
        let person = |name: &str, phone: &str| json!({ "external_id": name, "name": name, "phone_number": phone });
        let inline = |customer: Value, driver: Value| json!({
            "customer": customer, "driver": driver, "start": "Dam 1", "destination": "Schiphol",
            "datetime": app.soon(),
        });
        let both = inline(person("ann", ANN), person("bob", BOB));
        let key = [("idempotency-key", "once")];
        let answer = app.json("POST", DRY, &key, &both).await.expect(200);
        assert_eq!(chosen(&answer).1, Some("customer_country"));
        for path in ["/v1/customers", "/v1/drivers"] {
            assert_eq!(app.get(path).await.expect(200)["items"], json!([]));
        }
        // The key was not taken: under it goes a ride, even another one.
        let other = inline(person("zoe", "+31611122233"), person("bob", BOB));
        app.json("POST", "/v1/rides", &key, &other).await.expect(201);
        app.send_due().await;
        let before = app.get("/v1/drivers").await.expect(200);
        let renamed = inline(person("zoe", "+31611122233"), json!({
            "external_id": "bob", "name": "Robert", "phone_number": BOB
        }));
        app.post(DRY, &renamed).await.expect(200);
        assert_eq!(app.get("/v1/drivers").await.expect(200), before);
        app.finish().await;
    }

    async fn the_pair_has_its_number_back_and_the_reason_says_so(kind: Kind) {
        let mut app = TestApp::start(kind).await;
        let (ann, bob, number) = ann_and_bob(&app).await;
        let ride = format!("/v1/rides/{}", id(&app.ride(ann, bob).await.expect(201)));
        app.send_due().await;
        let live = rehearse(&app, ann, bob).await;
        assert_eq!((chosen(&live), live["limit"].as_str()), ((None, None), Some("all_held")));
        assert_eq!(classes(&live), (0, vec![("held_by_customer", 1)]));
        app.patch(&ride, &json!({ "status": "cancelled" })).await.expect(200);
        let answer = rehearse(&app, ann, bob).await;
        assert_eq!((chosen(&answer), classes(&answer)), ((Some(number), Some("same_pair")), (1, vec![])));
        assert_eq!(app.get(&ride).await.expect(200)["contact_open"], true, "the ride before keeps its window");
        // Once the cool-down is over, it is a number like any other.
        app.advance(Duration::days(8)).await;
        assert_eq!(chosen(&rehearse(&app, ann, bob).await), (Some(number), Some("customer_country")));
        app.finish().await;
    }

    async fn every_number_that_is_not_free_has_its_reason(kind: Kind) {
        let mut app = TestApp::start(kind).await;
        let (ann, bob, _) = ann_and_bob(&app).await;
        let (eve, joe) = (app.customer("Eve", "+31611122233").await, app.driver("Joe", "+447400123111").await);
        // One number each for: Ann's contact, Bob's contact, Ann's cool-down, Bob's cool-down.
        let mut rides = Vec::new();
        for (at, (customer, driver)) in [(ann, joe), (eve, bob), (ann, joe), (eve, bob)].into_iter().enumerate() {
            if at > 0 {
                app.patch(&format!("/v1/numbers/{at}"), &json!({ "status": "draining" })).await.expect(200);
                app.number(&format!("+319701020010{at}"), "simulator").await;
            }
            rides.push(id(&app.ride(customer, driver).await.expect(201)));
        }
        for number in 1..=3 {
            app.patch(&format!("/v1/numbers/{number}"), &json!({ "status": "active" })).await.expect(200);
        }
        app.send_due().await;
        for ride in &rides[2..] {
            app.delete(&format!("/v1/rides/{ride}")).await.expect(204);
        }
        app.advance(Duration::minutes(1)).await;
        for (at, change) in [
            json!({ "status": "draining" }), json!({ "status": "suspended" }), json!({ "capabilities": ["sms"] }),
        ].iter().enumerate() {
            let unusable = app.number(&format!("+31970102009{at:02}"), "simulator").await;
            app.patch(&format!("/v1/numbers/{unusable}"), change).await.expect(200);
        }
        let gone = app.number("+3197010200999", "simulator").await;
        app.delete(&format!("/v1/numbers/{gone}")).await.expect(204);
        let rejected = [
            ("not_active", 2), ("not_capable", 1), ("held_by_customer", 1), ("held_by_driver", 1),
            ("cooling_for_customer", 1), ("cooling_for_driver", 1),
        ];
        let depleted = rehearse(&app, ann, bob).await;
        assert_eq!((chosen(&depleted), depleted["limit"].as_str()), ((None, None), Some("all_held")));
        assert_eq!(classes(&depleted), (0, rejected.to_vec()));
        // A number of another country is had when nothing nearer is free; what two reasons reject counts once.
        let american = app.number(AMERICAN, "simulator").await;
        let answer = rehearse(&app, ann, bob).await;
        assert_eq!((chosen(&answer), classes(&answer)), ((Some(american), Some("any")), (1, rejected.to_vec())));
        let british = app.number(BRITISH, "simulator").await;
        let answer = rehearse(&app, eve, joe).await;
        assert_eq!(chosen(&answer), (Some(british), Some("driver_country")));
        let total = classes(&answer).0 + classes(&answer).1.iter().map(|(_, numbers)| numbers).sum::<i64>();
        assert_eq!(app.get("/v1/pool").await.expect(200)["total"], total);
        app.finish().await;
    }

    async fn strictly_other_countries_are_a_reason(kind: Kind) {
        let app = TestApp::with(kind, &[("NUMBER_MATCH", "strict")]).await;
        let (ann, bob) = (app.customer("Ann", ANN).await, app.driver("Bob", BOB).await);
        for number in [AMERICAN, BRITISH] {
            app.number(number, "simulator").await;
        }
        let answer = rehearse(&app, ann, bob).await;
        assert_eq!((chosen(&answer), answer["limit"].as_str()), ((None, None), Some("none_in_country")));
        assert_eq!(classes(&answer), (0, vec![("other_country", 2)]));
        app.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_of_a_provider_that_is_gone_are_a_reason() {
    let app = TestApp::start(Kind::Sqlite).await;
    let (ann, bob, _) = ann_and_bob(&app).await;
    let body = body(&app, ann, bob);
    let off = [
        ("SIMULATOR", "off"),
        ("TELNYX_API_KEY", "key"),
        ("TELNYX_PUBLIC_KEY", "cMTKnGEM0cQI+6GlwXVy3fL8U2T2Kxjr2+NYGLyCQOM="),
    ];
    let (replica, api) = app.replica_with(&off).await;
    let answer = api.post(DRY, &body).await.expect(200);
    assert_eq!(
        (answer["limit"].as_str(), classes(&answer)),
        (Some("none_active"), (0, vec![("provider_not_configured", 1)]))
    );
    replica.stop().await;
    app.finish().await;
}
