//! The numbers of the pool as a resource.

use chrono::Duration;
use serde_json::{Value, json};

use super::{items, patch_if};
use crate::{
    harness::{Api, Kind, TestApp, id, on_both_databases},
    ride::{NUMBER, ann_and_bob},
};

const PATH: &str = "/v1/numbers";
const BELGIAN: &str = "+32460000001";

fn number(phone: &str) -> Value {
    json!({ "phone_number": phone, "provider": "simulator" })
}

async fn phones(api: &Api, query: &str) -> Vec<String> {
    let all = items(api, &format!("{PATH}{query}")).await;
    all.iter().map(|number| number["phone_number"].as_str().expect("a phone").to_owned()).collect()
}

on_both_databases! {
    async fn a_number_joins_the_pool_active_and_with_sms_and_voice(kind: Kind) {
        let app = TestApp::start(kind).await;
        let answer = app.post(PATH, &number("+31 97010 200001")).await;
        assert_eq!((answer.header("etag"), answer.header("location")), ("\"1\"", "/v1/numbers/1"));
        let created = answer.expect(201);
        let told = ["phone_number", "provider", "country", "status"].map(|field| created[field].as_str().unwrap());
        assert_eq!(told, [NUMBER, "simulator", "NL", "active"]);
        assert_eq!(created["capabilities"], json!(["sms", "voice"]));
        assert_eq!((created["open_rides"].as_i64(), created["last_assigned_at"].is_null()), (Some(0), true));
        assert_eq!(app.get("/v1/numbers/1").await.expect(200), created);
        app.finish().await;
    }

    async fn status_and_capabilities_of_a_number_change_and_nothing_else(kind: Kind) {
        let app = TestApp::start(kind).await;
        let path = app.post(PATH, &number(NUMBER)).await.header("location").to_owned();
        app.tick();
        let answer = app.patch(&path, &json!({ "status": "suspended" })).await;
        assert_eq!((answer.header("etag"), answer.body["status"].as_str()), ("\"2\"", Some("suspended")));
        let edited = app.patch(&path, &json!({ "capabilities": ["mms", "sms", "sms"] })).await.expect(200);
        assert_eq!(
            (edited["capabilities"].clone(), edited["status"].as_str()),
            (json!(["sms", "mms"]), Some("suspended"))
        );
        for nothing in [json!({}), json!({ "status": "suspended", "capabilities": ["sms", "mms"] })] {
            assert_eq!(app.patch(&path, &nothing).await.header("etag"), "\"3\"");
        }
        for body in [json!({ "phone_number": NUMBER }), json!({ "provider": "simulator" }), json!({ "status": null })] {
            app.patch(&path, &body).await.expect_problem(422, "invalid_request");
        }
        patch_if(&app, &path, "\"2\"", &json!({ "status": "active" })).await.expect_problem(412, "stale_version");
        assert_eq!(app.get(&path).await.expect(200), edited);
        app.finish().await;
    }

    async fn a_number_of_a_provider_that_is_not_configured_is_refused(kind: Kind) {
        let app = TestApp::start(kind).await;
        for provider in ["messagebird", "nobody"] {
            let body = json!({ "phone_number": NUMBER, "provider": provider });
            let refused = app.post(PATH, &body).await.expect_problem(422, "invalid_request");
            assert_eq!(refused["errors"][0]["pointer"], "/provider");
        }
        assert!(phones(&app, "").await.is_empty());
        app.finish().await;
    }

    async fn a_number_is_in_the_pool_once(kind: Kind) {
        let app = TestApp::start(kind).await;
        app.post(PATH, &number("+5491123456789")).await.expect(201);
        for again in ["+5491123456789", "+541123456789"] {
            app.post(PATH, &number(again)).await.expect_problem(409, "number_exists");
        }
        let other = number(NUMBER);
        let (one, two) = tokio::join!(app.post(PATH, &other), app.post(PATH, &other));
        let (created, refused) = if one.status == 201 { (one, two) } else { (two, one) };
        created.expect(201);
        refused.expect_problem(409, "number_exists");
        app.finish().await;
    }

    async fn a_deleted_number_comes_back_under_its_id(kind: Kind) {
        let app = TestApp::start(kind).await;
        let first = app.post(PATH, &number(NUMBER)).await;
        let (path, first) = (first.header("location").to_owned(), first.expect(201));
        app.tick();
        app.delete(&path).await.expect(204);
        app.get(&path).await.expect_problem(404, "not_found");
        app.patch(&path, &json!({ "status": "active" })).await.expect_problem(404, "not_found");
        app.delete(&path).await.expect_problem(404, "not_found");
        assert!(phones(&app, "").await.is_empty());
        let revived =
            app.post(PATH, &json!({ "phone_number": NUMBER, "provider": "simulator", "status": "draining" })).await;
        assert_eq!((revived.header("location"), revived.header("etag")), (path.as_str(), "\"2\""));
        let revived = revived.expect(201);
        assert_eq!((id(&revived), revived["status"].as_str()), (id(&first), Some("draining")));
        patch_if(&app, &path, "\"1\"", &json!({ "status": "active" })).await.expect_problem(412, "stale_version");
        app.finish().await;
    }

    async fn a_list_of_numbers_is_filtered(kind: Kind) {
        let app = TestApp::start(kind).await;
        app.number(NUMBER, "simulator").await;
        let belgian = app.post(PATH, &number(BELGIAN)).await.header("location").to_owned();
        app.patch(&belgian, &json!({ "status": "draining" })).await.expect(200);
        let cases: [(&str, &[&str]); 7] = [
            ("", &[NUMBER, BELGIAN]),
            ("?provider=simulator", &[NUMBER, BELGIAN]),
            ("?provider=messagebird", &[]),
            ("?status=draining", &[BELGIAN]),
            ("?country=nl", &[NUMBER]),
            ("?country=BE&status=active", &[]),
            ("?order=desc&limit=1", &[BELGIAN]),
        ];
        for (query, expected) in cases {
            assert_eq!(phones(&app, query).await, expected, "{query}");
        }
        app.finish().await;
    }

    async fn a_number_stays_while_contact_on_it_is_open_and_cools_down_beyond_deletion(kind: Kind) {
        let mut app = TestApp::start(kind).await;
        let (ann, bob, number_id) = ann_and_bob(&app).await;
        let (path, zoe) = (format!("{PATH}/{number_id}"), app.driver("Zoe", "+31611122233").await);
        let ride = format!("/v1/rides/{}", id(&app.ride(ann, bob).await.expect(201)));
        app.send_due().await;
        let used = app.get(&path).await.expect(200);
        assert_eq!((used["open_rides"].as_i64(), used["last_assigned_at"].is_null()), (Some(1), false));
        app.delete(&path).await.expect_problem(409, "number_in_use");
        app.patch(&ride, &json!({ "status": "cancelled" })).await.expect(200);
        app.delete(&path).await.expect_problem(409, "number_in_use");
        app.advance(Duration::minutes(15)).await;
        assert_eq!(app.get(&path).await.expect(200)["open_rides"], 0);
        app.delete(&path).await.expect(204);
        let gone = app.ride(ann, zoe).await.expect_problem(409, "number_pool_depleted");
        assert_eq!(gone["limit"], "no_numbers");

        let revived = app.post(PATH, &number(NUMBER)).await.expect(201);
        assert_eq!(id(&revived), number_id);
        let held = app.ride(ann, zoe).await.expect_problem(409, "number_pool_depleted");
        assert_eq!(held["limit"], "all_cooling");
        app.finish().await;
    }

    async fn a_number_that_comes_back_tells_when_it_was_last_given_to_a_ride(kind: Kind) {
        let app = TestApp::start(kind).await;
        let (ann, bob, number_id) = ann_and_bob(&app).await;
        let ride = app.ride(ann, bob).await.expect(201);
        app.send_due().await;
        app.delete(&format!("/v1/rides/{}", id(&ride))).await.expect(204);
        let path = format!("{PATH}/{number_id}");
        app.delete(&path).await.expect(204);
        let revived = app.post(PATH, &number(NUMBER)).await.expect(201);
        assert_eq!(revived["last_assigned_at"], ride["created_at"]);
        assert_eq!(app.get(&path).await.expect(200), revived);
        app.finish().await;
    }

    async fn a_number_that_is_not_active_gets_no_new_ride(kind: Kind) {
        let app = TestApp::start(kind).await;
        let (ann, bob, first) = ann_and_bob(&app).await;
        let zoe = app.customer("Zoe", "+31611122233").await;
        let second = app.number("+3197010200002", "simulator").await;
        app.patch(&format!("{PATH}/{first}"), &json!({ "status": "draining" })).await.expect(200);
        let ride = app.ride(ann, bob).await.expect(201);
        assert_eq!(ride["number_id"], second);
        app.patch(&format!("{PATH}/{second}"), &json!({ "status": "suspended" })).await.expect(200);
        let refused = app.ride(zoe, bob).await.expect_problem(409, "number_pool_depleted");
        assert_eq!(refused["limit"], "none_active");
        app.patch(&format!("{PATH}/{first}"), &json!({ "status": "active", "capabilities": ["sms"] }))
            .await
            .expect(200);
        let refused = app.ride(zoe, bob).await.expect_problem(409, "number_pool_depleted");
        assert_eq!(refused["limit"], "none_capable");
        app.patch(&format!("{PATH}/{first}"), &json!({ "capabilities": ["sms", "voice"] })).await.expect(200);
        assert_eq!(app.ride(zoe, bob).await.expect(201)["number_id"], first);
        app.send_due().await;
        app.finish().await;
    }

    async fn the_pool_counts_its_numbers(kind: Kind) {
        let app = TestApp::start(kind).await;
        let (ann, bob, _) = ann_and_bob(&app).await;
        app.ride(ann, bob).await.expect(201);
        app.send_due().await;
        let belgian = app.post(PATH, &number(BELGIAN)).await.header("location").to_owned();
        app.patch(&belgian, &json!({ "status": "draining" })).await.expect(200);
        let pool = app.get("/v1/pool").await.expect(200);
        let counts = |of: &Value| ["total", "usable", "open", "cooling"].map(|what| of[what].as_i64().unwrap());
        assert_eq!(counts(&pool), [2, 1, 1, 0]);
        let groups: Vec<_> =
            pool["groups"].as_array().unwrap().iter().map(|group| (group["country"].as_str(), counts(group))).collect();
        assert_eq!(groups, [(Some("BE"), [1, 0, 0, 0]), (Some("NL"), [1, 1, 1, 0])]);
        app.finish().await;
    }
}
