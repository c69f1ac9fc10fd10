//! Keys and secrets are exchanged without an outage: those of clients, and those that sign tokens.

use std::collections::BTreeMap;

use aws_lc_rs::hmac;
use chrono::Duration;
use futures_util::future::join_all;
use maskline::app::Running;
use serde_json::{Value, json};

use super::clients::{client, credentials, sign_in_status};
use crate::{
    harness::{Answer, Api, CLIENT, Kind, PUBLIC, TestApp, id, on_both_databases},
    ride::{ANN, BOB, NUMBER, ann_and_bob},
};

async fn rotate(app: &TestApp, client: i64, key: Option<&str>) -> Answer {
    let key = key.map(|key| ("idempotency-key", key));
    app.raw("POST", &format!("/v1/clients/{client}/rotate"), key.as_slice(), Vec::new()).await
}

/// A token of this client, and how long it lives.
async fn token(app: &TestApp, (id, secret): (&str, &str)) -> (Api, i64) {
    let form = [("grant_type", "client_credentials"), ("client_id", id), ("client_secret", secret)];
    let token = app.with_token("").form("/oauth/token", &form, &[]).await.expect(200);
    let api = app.with_token(token["access_token"].as_str().expect("a token"));
    (api, token["expires_in"].as_i64().expect("a time"))
}

async fn opens(api: &Api) -> bool {
    match api.get("/v1/rides").await.status {
        200 => true,
        401 => false,
        other => panic!("{other}"),
    }
}

on_both_databases! {
    async fn a_former_secret_works_for_a_day_and_its_tokens_no_longer(kind: Kind) {
        let mut app = TestApp::start(kind).await;
        let (made, _) = client(&app, &["rides:read"]).await;
        assert!(made.get("former_secret_expires_at").is_none());
        let rotated_at = app.now();
        let rotated = rotate(&app, id(&made), None).await.expect(200);
        let until = rotated["former_secret_expires_at"].as_str().expect("a time").to_owned();
        assert_eq!(chrono::DateTime::parse_from_rfc3339(&until).expect("a time"), rotated_at + Duration::hours(24));
        assert_ne!(credentials(&rotated), credentials(&made));
        let listed = app.get("/v1/clients").await.expect(200);
        assert_eq!(listed["items"][1]["former_secret_expires_at"], until.as_str());

        app.advance(Duration::minutes(23 * 60 + 45)).await;
        let ((old, old_life), (new, new_life)) = (token(&app, credentials(&made)).await, token(&app, credentials(&rotated)).await);
        assert_eq!((old_life, new_life), (15 * 60, 3600), "no token outlives its secret");
        assert!(opens(&old).await && opens(&new).await);
        app.clock.advance(Duration::minutes(15) - Duration::milliseconds(1));
        assert_eq!(sign_in_status(&app, credentials(&made)).await, 200);
        app.clock.advance(Duration::milliseconds(1));
        for tidied in [false, true] {
            assert!(!opens(&old).await && opens(&new).await);
            assert_eq!(sign_in_status(&app, credentials(&made)).await, 401);
            assert_eq!(sign_in_status(&app, credentials(&rotated)).await, 200);
            let api = Api::sign_in(&app.base, CLIENT, None).await;
            let listed = api.get("/v1/clients").await.expect(200);
            assert!(listed["items"][1].get("former_secret_expires_at").is_none(), "tidied: {tidied}");
            app.tidy().await;
        }
        app.finish().await;
    }

    async fn a_second_rotation_keeps_the_two_newest_secrets(kind: Kind) {
        let app = TestApp::start(kind).await;
        let (first, first_api) = client(&app, &["rides:read"]).await;
        let second = rotate(&app, id(&first), None).await.expect(200);
        let (second_api, _) = token(&app, credentials(&second)).await;
        app.clock.advance(Duration::minutes(30));
        assert!(opens(&first_api).await && opens(&second_api).await);
        let third = rotate(&app, id(&first), None).await.expect(200);
        let (third_api, _) = token(&app, credentials(&third)).await;
        assert_eq!(sign_in_status(&app, credentials(&first)).await, 401);
        assert!(!opens(&first_api).await, "the tokens of the oldest end with it");
        assert_eq!(sign_in_status(&app, credentials(&second)).await, 200);
        assert!(opens(&second_api).await && opens(&third_api).await);
        let revoked = app.post(&format!("/v1/clients/{}/revoke", id(&first)), &json!({})).await.expect(200);
        assert!(revoked.get("former_secret_expires_at").is_none());
        for (secret, api) in [(&second, second_api), (&third, third_api)] {
            assert_eq!(sign_in_status(&app, credentials(secret)).await, 401);
            assert!(!opens(&api).await, "a revocation ends everything at once");
        }
        app.finish().await;
    }

    async fn a_rotation_with_a_key_happens_once(kind: Kind) {
        let app = TestApp::start(kind).await;
        let (made, _) = client(&app, &["rides:read"]).await;
        let (other, _) = client(&app, &["rides:read"]).await;
        let together = join_all((0..6).map(|_| rotate(&app, id(&made), Some("key")))).await;
        let mut bodies: Vec<_> = together.into_iter().map(|answer| answer.expect(200)).collect();
        let secrets: Vec<Value> = bodies.iter_mut().filter_map(|body| body.as_object_mut()?.remove("client_secret")).collect();
        assert_eq!(secrets.len(), 1, "one of them rotated, and the secret is not kept");
        assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
        app.tick();
        assert_eq!(rotate(&app, id(&made), Some("key")).await.expect(200), bodies[0]);
        let client_id = made["client_id"].as_str().expect("an id");
        assert_eq!(sign_in_status(&app, (client_id, secrets[0].as_str().expect("a secret"))).await, 200);
        assert_eq!(sign_in_status(&app, credentials(&made)).await, 200, "it was not rotated twice");
        rotate(&app, id(&other), Some("key")).await.expect_problem(422, "idempotency_key_reused");
        rotate(&app, 999_999, Some("new")).await.expect_problem(404, "not_found");
        assert!(rotate(&app, id(&other), Some("new")).await.expect(200)["client_secret"].is_string(), "a failure keeps no key");
        app.post(&format!("/v1/clients/{}/revoke", id(&other)), &json!({})).await.expect(200);
        rotate(&app, id(&other), Some("newer")).await.expect_problem(409, "client_revoked");
        app.finish().await;
    }
}

const OLD: &str = "the JWT secret of before with 32 bytes or more";
const NEW: &str = "the JWT secret from now on with 32 bytes or more";

/// A replica whose `JWT_SECRET` is this list, with a token that it issued.
async fn replica(app: &TestApp, secrets: &[&str]) -> (Running, Api) {
    let (running, api) = app.replica_with(&[("JWT_SECRET", &secrets.join(","))]).await;
    let api = Api::sign_in(&api.base, CLIENT, None).await;
    (running, api)
}

/// A text that the simulated network of a process with this secret sends to a replica.
async fn simulated(app: &TestApp, to: &Api, secret: &str, key: &str) -> u16 {
    let hex = |tag: hmac::Tag| tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let sign = |key: &[u8], data: &[u8]| hex(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data));
    let shared = sign(secret.as_bytes(), b"maskline/simulator");
    let text = BTreeMap::from([("id", key), ("from", ANN), ("to", NUMBER), ("text", "Here")]);
    let (path, body, at) = ("/webhooks/simulator/sms", json!(text).to_string(), app.now().timestamp());
    let signature = sign(shared.as_bytes(), format!("{at}\n{PUBLIC}{path}\n{body}").as_bytes());
    let signature = format!("t={at},v1={signature}");
    let headers = [("content-type", "application/json"), ("maskline-simulator-signature", signature.as_str())];
    to.with_token("").raw("POST", path, &headers, body.into_bytes()).await.status
}

on_both_databases! {
    async fn the_key_of_tokens_is_exchanged_in_three_steps_without_an_outage(kind: Kind) {
        let app = TestApp::with(kind, &[("JWT_SECRET", OLD)]).await;
        ann_and_bob(&app).await;
        app.ride(1, 2).await.expect(201);
        let steps: [&[&str]; 4] = [&[OLD], &[OLD, NEW], &[NEW, OLD], &[NEW]];
        let mut texts = 0;
        for step in steps.windows(2) {
            // While a step is rolled out, replicas with the list of before and with the next one run beside each other.
            let (before, next) = (replica(&app, step[0]).await, replica(&app, step[1]).await);
            for (issued, used) in [(&before.1, &next.1), (&next.1, &before.1)] {
                for api in [used.with_token(&issued.token), issued.clone()] {
                    assert!(opens(&api).await, "from {:?} to {:?}", step[0], step[1]);
                }
            }
            for (signs, to) in [(step[0][0], &next.1), (step[1][0], &before.1)] {
                texts += 1;
                assert_eq!(simulated(&app, to, signs, &format!("text {texts}")).await, 200, "signed with {signs}");
            }
            app.send_due().await;
            before.0.stop().await;
            next.0.stop().await;
            // Tokens live an hour, so the old key is not needed any more an hour after it signed last.
            app.clock.advance(Duration::hours(1));
        }
        let (last, api) = replica(&app, &[NEW]).await;
        let (old, of_old) = replica(&app, &[OLD, NEW]).await;
        assert!(!opens(&api.with_token(&of_old.token)).await, "the old key counts no longer");
        assert!(opens(&of_old.with_token(&api.token)).await);
        assert_eq!(simulated(&app, &api, OLD, "old").await, 401);
        assert_eq!(simulated(&app, &of_old, "some other JWT secret with 32 bytes or more", "other").await, 401);
        last.stop().await;
        old.stop().await;
        let api = Api::sign_in(&app.base, CLIENT, None).await;
        let got = api.screen(BOB).await;
        assert_eq!(got.iter().filter(|entry| entry["text"] == "Here").count(), texts, "{got:?}");
        app.finish().await;
    }
}
