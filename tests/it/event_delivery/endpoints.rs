//! Event endpoints as a resource, their secrets, and their test.

use std::time::Duration as Seconds;

use chrono::Duration;
use serde_json::json;

use super::{PATH, Stage};
use crate::harness::{Kind, TestApp, id, on_both_databases, subscriber::Act};

const URL: &str = "https://platform.example.com/maskline-events";

on_both_databases! {
    async fn an_endpoint_is_made_read_changed_and_deleted(kind: Kind) {
        let app = TestApp::start(kind).await;
        let body = json!({ "url": URL, "description": "orders", "types": ["ride.completed", "pool.low", "pool.low"] });
        let answer = app.post(PATH, &body).await;
        assert_eq!((answer.header("location"), answer.header("etag")), ("/v1/event-endpoints/1", "\"1\""));
        let mut made = answer.expect(201);
        let secret = made.as_object_mut().unwrap().remove("secret").unwrap();
        assert!(secret.as_str().unwrap().starts_with("whsec_") && secret.as_str().unwrap().len() == 50);
        assert_eq!((&made["types"], &made["include_text"], &made["status"]), (&json!(["ride.completed", "pool.low"]), &json!(false), &json!("enabled")));
        let got = app.get(&format!("{PATH}/1")).await;
        assert!(!got.text.contains("whsec_"));
        assert_eq!(got.expect(200), made);
        assert_eq!(app.get(PATH).await.expect(200)["items"], json!([made]));

        app.tick();
        let path = format!("{PATH}/1");
        let patch = json!({ "description": null, "types": null, "include_text": true, "url": "https://platform.example.com/2" });
        let changed = app.json("PATCH", &path, &[("if-match", "\"1\"")], &patch).await;
        assert_eq!(changed.header("etag"), "\"2\"");
        let changed = changed.expect(200);
        assert_eq!((changed.get("description"), &changed["types"], &changed["include_text"]), (None, &json!(null), &json!(true)));
        app.json("PATCH", &path, &[("if-match", "\"1\"")], &json!({ "status": "disabled" })).await.expect_problem(412, "stale_version");
        assert_eq!(app.patch(&path, &json!({})).await.expect(200), changed);
        let refused = app.patch(&path, &json!({ "types": [] })).await.expect_problem(422, "invalid_request");
        assert_eq!(refused["errors"][0]["pointer"], "/types");
        app.raw("DELETE", &path, &[("if-match", "\"1\"")], Vec::new()).await.expect_problem(412, "stale_version");
        assert_eq!(app.delete(&path).await.status, 204);
        for answer in [app.get(&path).await, app.delete(&path).await, app.post(&format!("{path}/ping"), &json!({})).await] {
            answer.expect_problem(404, "not_found");
        }
        app.finish().await;
    }

    async fn a_repeated_request_makes_one_endpoint_and_shows_no_secret_again(kind: Kind) {
        let app = TestApp::start(kind).await;
        let key = [("idempotency-key", "one")];
        let first = app.json("POST", PATH, &key, &json!({ "url": URL })).await.expect(201);
        let again = app.json("POST", PATH, &key, &json!({ "url": URL })).await.expect(201);
        assert_eq!((id(&first), again.get("secret")), (id(&again), None));
        let rotate = format!("{PATH}/1/rotate-secret");
        let rotated = app.json("POST", &rotate, &key, &json!({})).await.expect(200);
        let repeated = app.json("POST", &rotate, &key, &json!({})).await.expect(200);
        assert!(rotated["secret"].is_string() && repeated.get("secret").is_none());
        assert_eq!(rotated["former_secret_expires_at"], repeated["former_secret_expires_at"]);
        app.finish().await;
    }

    async fn there_are_200_endpoints_at_most(kind: Kind) {
        let app = TestApp::start(kind).await;
        for _ in 0..200 {
            app.post(PATH, &json!({ "url": URL })).await.expect(201);
        }
        app.post(PATH, &json!({ "url": URL })).await.expect_problem(409, "too_many_endpoints");
        app.delete(&format!("{PATH}/7")).await;
        app.post(PATH, &json!({ "url": URL })).await.expect(201);
        app.finish().await;
    }

    async fn two_secrets_sign_for_a_day_after_a_rotation(kind: Kind) {
        let mut stage = Stage::set(kind).await;
        let path = format!("{PATH}/{}/rotate-secret", stage.endpoint);
        let rotated = stage.app.post(&path, &json!({})).await.expect(200);
        let second = rotated["secret"].as_str().unwrap().to_owned();
        stage.on_ride(1, "ride.created").await;
        stage.deliver().await;
        stage.pass(Duration::hours(24) - Duration::milliseconds(1));
        stage.on_ride(1, "ride.updated").await;
        stage.deliver().await;
        for post in stage.subscriber.take() {
            assert!(post.is_signed_with(&stage.secret) && post.is_signed_with(&second));
        }
        assert!(stage.endpoint().await["former_secret_expires_at"].is_string());
        stage.pass(Duration::milliseconds(1));
        stage.on_ride(1, "ride.completed").await;
        stage.deliver().await;
        assert!(stage.endpoint().await.get("former_secret_expires_at").is_none());
        let posts = stage.subscriber.take();
        assert!(!posts[0].is_signed_with(&stage.secret) && posts[0].is_signed_with(&second));
        assert_eq!(posts[0].signature.split(' ').count(), 1);

        // Twice in a day: the present one and the one before it, and no third.
        let mut secrets = vec![second];
        for _ in 0..2 {
            let rotated = stage.app.post(&path, &json!({})).await.expect(200);
            secrets.push(rotated["secret"].as_str().unwrap().to_owned());
        }
        stage.app.tidy().await;
        stage.app.post(&format!("{PATH}/{}/ping", stage.endpoint), &json!({})).await.expect(200);
        let ping = stage.subscriber.take().remove(0);
        assert_eq!(secrets.iter().map(|secret| ping.is_signed_with(secret)).collect::<Vec<_>>(), [false, true, true]);
        stage.finish().await;
    }

    async fn a_ping_tells_what_came_of_it_and_leaves_no_trace(kind: Kind) {
        let mut stage = Stage::set(kind).await;
        let path = format!("{PATH}/{}/ping", stage.endpoint);
        let ping = stage.app.post(&path, &json!({})).await.expect(200);
        assert_eq!((&ping["delivered"], &ping["status"], ping.get("failure")), (&json!(true), &json!(204), None));
        let posts = stage.subscriber.take();
        assert!(posts[0].id.starts_with("ping_") && posts[0].is_signed_with(&stage.secret));
        assert_eq!((posts[0].kind(), &posts[0].json()["data"]), ("endpoint.ping".to_owned(), &json!({ "endpoint_id": stage.endpoint })));

        stage.subscriber.script([Act::Answer(500)]);
        let ping = stage.app.post(&path, &json!({})).await.expect(200);
        assert_eq!((&ping["delivered"], &ping["status"], &ping["failure"]), (&json!(false), &json!(500), &json!("http_status")));
        stage.app.patch(&format!("{PATH}/{}", stage.endpoint), &json!({ "status": "disabled" })).await.expect(200);
        stage.subscriber.script([Act::Late(Seconds::from_secs(60))]);
        let ping = stage.app.post(&path, &json!({})).await.expect(200);
        assert_eq!((&ping["delivered"], &ping["failure"]), (&json!(false), &json!("timeout")));
        let took = ping["duration_ms"].as_u64().unwrap();
        assert!((9_900..12_000).contains(&took), "{took} ms");
        assert!(stage.list("attempts").await.is_empty());
        assert!(stage.endpoint().await.get("failing_since").is_none());
        stage.finish().await;
    }
}
