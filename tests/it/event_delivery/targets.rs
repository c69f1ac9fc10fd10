//! Where events may go. What an address leads to is tested in `src/transport/targets.rs`, on names that move.

use serde_json::json;

use super::{LOOPBACK, PATH, Stage, subscribe};
use crate::harness::{
    Kind, TestApp, on_both_databases,
    subscriber::{Act, Subscriber},
};

on_both_databases! {
    async fn an_address_inside_is_refused_when_it_is_named(kind: Kind) {
        let app = TestApp::start(kind).await;
        let inside = Subscriber::start().await;
        for url in [
            inside.url.as_str(),
            "https://127.0.0.1/",
            "https://localhost/",
            "https://10.1.2.3/",
            "https://169.254.169.254/latest/meta-data/",
            "https://0xa9fea9fe/",
            "https://[::1]/",
            "https://[fd00::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://[64:ff9b::7f00:1]/",
            "http://platform.example.com/",
            "https://user:secret@platform.example.com/",
            "https://platform.example.com/#fragment",
            "ftp://platform.example.com/",
        ] {
            let refused = app.post(PATH, &json!({ "url": url })).await;
            assert!(!refused.text.contains(url), "nothing is repeated");
            assert_eq!(refused.expect_problem(422, "invalid_request")["errors"][0]["pointer"], "/url", "{url}");
        }
        app.post(PATH, &json!({ "url": "https://platform.example.com/" })).await.expect(201);
        app.patch(&format!("{PATH}/1"), &json!({ "url": "https://10.0.0.1/" })).await.expect_problem(422, "invalid_request");
        app.finish().await;
    }

    async fn an_address_inside_is_refused_on_every_attempt_too(kind: Kind) {
        // Stored while it was allowed: by name and as an address.
        let mut stage = Stage::set(kind).await;
        let mut by_name = stage.subscriber.clone();
        by_name.url = by_name.url.replace("127.0.0.1", "localhost");
        let (second, _) = subscribe(&stage.app, &by_name, &json!({})).await;
        let (strict, api) = stage.app.replica_with(&[(LOOPBACK.0, "off")]).await;
        let event = stage.on_ride(1, "ride.created").await;
        strict.deliver_events().await;
        for endpoint in [stage.endpoint, second] {
            let ping = api.post(&format!("{PATH}/{endpoint}/ping"), &json!({})).await.expect(200);
            assert_eq!((&ping["delivered"], &ping["failure"], ping.get("status")), (&json!(false), &json!("blocked_address"), None));
        }
        let attempts = api.get(&format!("/v1/events/{event}/attempts")).await.expect(200);
        let attempts = attempts["items"].as_array().unwrap();
        assert_eq!(attempts.len(), 2);
        assert!(attempts.iter().all(|attempt| attempt["failure"] == "blocked_address" && attempt["delivered"] == false));
        assert!(stage.subscriber.take().is_empty(), "nobody knocked");
        assert!(stage.endpoint().await["failing_since"].is_string());
        strict.stop().await;
        stage.finish().await;
    }

    async fn a_redirect_is_a_failure_and_is_not_followed(kind: Kind) {
        let mut stage = Stage::set(kind).await;
        let elsewhere = Subscriber::start().await;
        stage.subscriber.always(Some(Act::Redirect(elsewhere.url.clone())));
        stage.on_ride(1, "ride.created").await;
        stage.deliver().await;
        let attempts = stage.list("attempts").await;
        assert_eq!((&attempts[0]["status"], &attempts[0]["failure"]), (&json!(302), &json!("http_status")));
        assert!(elsewhere.take().is_empty());
        stage.finish().await;
    }
}
