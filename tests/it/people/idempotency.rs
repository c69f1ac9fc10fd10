//! A POST that is repeated with its key has one effect and one answer.

use chrono::Duration;
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{MASKED_ANN, items, without_reveal};
use crate::{
    harness::{Answer, Api, CLIENT, Kind, TestApp, id, on_both_databases},
    ride::{ANN, BOB, NUMBER, ann_and_bob},
};

async fn post(api: &Api, path: &str, key: &str, body: &Value) -> Answer {
    api.json("POST", path, &[("idempotency-key", key)], body).await
}

fn ann() -> Value {
    json!({ "name": "Ann", "phone_number": ANN })
}

fn ride(app: &TestApp, customer: i64, driver: i64) -> Value {
    json!({
        "customer_id": customer, "driver_id": driver, "start": "Dam 1", "destination": "Schiphol",
        "datetime": app.soon(), "notify": false,
    })
}

/// Every kind of POST that takes a key, on a service where Ann rides with Bob: path, body, another body that would do
/// as well, and the list that it adds to.
async fn posts(app: &TestApp) -> Vec<(String, Value, Value, &'static str)> {
    let (ann_id, bob_id, _) = ann_and_bob(app).await;
    let (zoe, kim) = (app.customer("Zoe", "+31611122233").await, app.driver("Kim", "+31611122234").await);
    app.number("+3197010200002", "simulator").await;
    let first = id(&app.post("/v1/rides", &ride(app, ann_id, bob_id)).await.expect(201));
    let number = |phone| json!({ "phone_number": phone, "provider": "simulator" });
    let text = |text| json!({ "to": "customer", "text": text });
    let client = |name| json!({ "name": name, "scopes": ["rides:read"] });
    let bea = json!({ "name": "Bea", "phone_number": ANN });
    vec![
        ("/v1/customers".to_owned(), ann(), bea.clone(), "/v1/customers"),
        ("/v1/drivers".to_owned(), ann(), bea, "/v1/drivers"),
        ("/v1/numbers".to_owned(), number("+3197010200003"), number("+3197010200004"), "/v1/numbers"),
        ("/v1/rides".to_owned(), ride(app, zoe, kim), ride(app, zoe, bob_id), "/v1/rides"),
        (format!("/v1/rides/{first}/messages"), text("one"), text("two"), "/v1/messages"),
        ("/v1/clients".to_owned(), client("one"), client("two"), "/v1/clients"),
    ]
}

on_both_databases! {
    async fn a_repeated_request_gets_the_same_answer_and_has_no_second_effect(kind: Kind) {
        let app = TestApp::start(kind).await;
        for (path, body, _, list) in posts(&app).await {
            let before = items(&app, list).await.len();
            let mut first = post(&app, &path, "key", &body).await;
            app.tick();
            let again = post(&app, &path, "key", &body).await;
            assert_eq!((again.status, again.status / 100), (first.status, 2), "{path}: {}", again.text);
            for header in ["location", "etag"] {
                assert_eq!(again.headers.get(header), first.headers.get(header), "{path}");
            }
            // What is shown once is not kept.
            let secret = first.body.as_object_mut().unwrap().remove("client_secret");
            assert_eq!(secret.is_some(), path == "/v1/clients");
            assert_eq!(again.body, first.body, "{path}");
            assert_eq!(items(&app, list).await.len(), before + 1, "{path}");
        }
        app.send_due().await;
        app.finish().await;
    }

    async fn a_key_is_good_for_one_request_only(kind: Kind) {
        let app = TestApp::start(kind).await;
        for (path, body, other, list) in posts(&app).await {
            let before = items(&app, list).await.len();
            assert!(post(&app, &path, "key", &body).await.status < 300, "{path}");
            post(&app, &path, "key", &other).await.expect_problem(422, "idempotency_key_reused");
            assert_eq!(items(&app, list).await.len(), before + 1, "{path}");
            assert!(post(&app, &path, "another", &other).await.status < 300, "{path}");
        }
        app.send_due().await;
        app.finish().await;
    }

    async fn the_ride_that_a_text_is_for_belongs_to_its_request(kind: Kind) {
        let app = TestApp::start(kind).await;
        let (ann, bob, _) = ann_and_bob(&app).await;
        let zoe = app.driver("Zoe", "+31611122233").await;
        app.number("+3197010200002", "simulator").await;
        let mut rides = Vec::new();
        for driver in [bob, zoe] {
            rides.push(id(&app.post("/v1/rides", &ride(&app, ann, driver)).await.expect(201)));
        }
        let text = json!({ "to": "customer", "text": "Two minutes" });
        post(&app, &format!("/v1/rides/{}/messages", rides[0]), "key", &text).await.expect(202);
        let elsewhere = post(&app, &format!("/v1/rides/{}/messages", rides[1]), "key", &text).await;
        elsewhere.expect_problem(422, "idempotency_key_reused");
        app.send_due().await;
        app.finish().await;
    }

    async fn one_body_may_be_written_in_several_ways(kind: Kind) {
        let app = TestApp::start(kind).await;
        let headers = [("idempotency-key", "key"), ("content-type", "application/json")];
        let mut ids = Vec::new();
        for body in [
            r#"{"name":"Ann","phone_number":"+31612345678"}"#,
            r#"{ "phone_number" : "+31612345678", "name": "Ann" }"#,
            r#"{"name":"\u0041nn","phone_number":"+31612345678"}"#,
        ] {
            let answer = app.raw("POST", "/v1/customers", &headers, body.as_bytes().to_vec()).await;
            ids.push(id(&answer.expect(201)));
        }
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        app.finish().await;
    }

    async fn a_replay_tells_what_was_answered_then(kind: Kind) {
        let app = TestApp::start(kind).await;
        let first = post(&app, "/v1/customers", "key", &ann()).await;
        let path = first.header("location").to_owned();
        app.patch(&path, &json!({ "name": "Anna" })).await.expect(200);
        let again = post(&app, "/v1/customers", "key", &ann()).await;
        assert_eq!((again.header("etag"), &again.body), ("\"1\"", &first.body));
        app.delete(&path).await.expect(204);
        assert_eq!(post(&app, "/v1/customers", "key", &ann()).await.expect(201), first.body);
        assert!(items(&app, "/v1/customers").await.is_empty());
        app.finish().await;
    }

    async fn operations_and_clients_have_keys_of_their_own(kind: Kind) {
        let app = TestApp::start(kind).await;
        let made =
            app.post("/v1/clients", &json!({ "name": "other", "scopes": ["customers:write"] })).await.expect(201);
        let credentials = ["client_id", "client_secret"].map(|field| made[field].as_str().unwrap());
        let other = Api::sign_in(&app.base, credentials.into(), None).await;
        let mine = id(&post(&app, "/v1/customers", "key", &ann()).await.expect(201));
        let theirs = id(&post(&other, "/v1/customers", "key", &ann()).await.expect(201));
        let driver = id(&post(&app, "/v1/drivers", "key", &ann()).await.expect(201));
        assert!(mine != theirs && theirs != driver);
        app.finish().await;
    }

    async fn a_refused_request_leaves_no_key_behind(kind: Kind) {
        let app = TestApp::start(kind).await;
        post(&app, "/v1/customers", "key", &json!({ "name": "", "phone_number": ANN })).await.expect(422);
        let customer = id(&post(&app, "/v1/customers", "key", &ann()).await.expect(201));
        post(&app, "/v1/numbers", "key", &json!({ "phone_number": ANN, "provider": "simulator" })).await.expect(409);
        let driver = app.driver("Bob", BOB).await;
        let ride = ride(&app, customer, driver);
        post(&app, "/v1/rides", "key", &ride).await.expect_problem(409, "number_pool_depleted");
        post(&app, "/v1/numbers", "key", &json!({ "phone_number": NUMBER, "provider": "simulator" })).await.expect(201);
        post(&app, "/v1/rides", "key", &ride).await.expect(201);
        app.finish().await;
    }

    async fn ten_requests_at_once_with_one_key_make_one_record(kind: Kind) {
        let app = TestApp::start(kind).await;
        for (path, body, _, list) in posts(&app).await {
            let before = items(&app, list).await.len();
            let answers = join_all((0..10).map(|_| post(&app, &path, "key", &body))).await;
            let ids: Vec<_> = answers.iter().map(|answer| (answer.status, answer.body["id"].as_i64())).collect();
            assert!(ids.iter().all(|answer| *answer == ids[0] && answer.0 / 100 == 2), "{path}: {ids:?}");
            assert_eq!(items(&app, list).await.len(), before + 1, "{path}");
            let secrets = answers.iter().filter(|answer| answer.body["client_secret"].is_string()).count();
            assert_eq!(secrets, usize::from(path == "/v1/clients"));
        }
        app.send_due().await;
        app.finish().await;
    }

    async fn a_replay_shows_a_phone_only_to_those_who_may_see_it(kind: Kind) {
        let app = TestApp::start(kind).await;
        let masked = without_reveal(&app).await;
        for (creator, key) in [(&app.api, "one"), (&masked, "two")] {
            let created = id(&post(creator, "/v1/customers", key, &ann()).await.expect(201));
            for (caller, shown) in [(&app.api, ANN), (&masked, MASKED_ANN)] {
                let again = post(caller, "/v1/customers", key, &ann()).await.expect(201);
                assert_eq!((id(&again), again["phone_number"].as_str()), (created, Some(shown)));
            }
        }
        app.finish().await;
    }

    async fn a_replay_of_a_text_shows_its_words_only_to_those_who_may_read_them(kind: Kind) {
        let app = TestApp::start(kind).await;
        let (ann, bob, _) = ann_and_bob(&app).await;
        let path =
            format!("/v1/rides/{}/messages", id(&app.post("/v1/rides", &ride(&app, ann, bob)).await.expect(201)));
        let text = json!({ "to": "driver", "text": "Two minutes" });
        assert_eq!(post(&app, &path, "key", &text).await.expect(202)["text"], "Two minutes");
        let blind = Api::sign_in(&app.base, CLIENT, Some("messages:write")).await;
        assert!(post(&blind, &path, "key", &text).await.expect(202).get("text").is_none());
        app.send_due().await;
        app.finish().await;
    }

    async fn a_key_is_free_again_after_a_day(kind: Kind) {
        let mut app = TestApp::start(kind).await;
        let first = id(&post(&app, "/v1/customers", "key", &ann()).await.expect(201));
        app.advance(Duration::hours(24)).await;
        app.tidy().await;
        assert_eq!(id(&post(&app, "/v1/customers", "key", &ann()).await.expect(201)), first);
        app.tick();
        app.tidy().await;
        let bob = json!({ "name": "Bob", "phone_number": BOB });
        assert_ne!(id(&post(&app, "/v1/customers", "key", &bob).await.expect(201)), first);
        app.finish().await;
    }
}
