//! Clients as a resource: nobody gets more than they have.

use serde_json::{Value, json};

use crate::harness::{Api, CLIENT, Kind, TestApp, id, on_both_databases};

const PATH: &str = "/v1/clients";

/// A new client with its secret, and the API as it sees it.
pub(super) async fn client(app: &TestApp, scopes: &[&str]) -> (Value, Api) {
    let made = app.post(PATH, &json!({ "name": "other", "scopes": scopes })).await.expect(201);
    let api = Api::sign_in(&app.base, credentials(&made), None).await;
    (made, api)
}

pub(super) fn credentials(client: &Value) -> (&str, &str) {
    ["client_id", "client_secret"].map(|field| client[field].as_str().expect("a text")).into()
}

pub(super) async fn sign_in_status(app: &TestApp, (id, secret): (&str, &str)) -> u16 {
    let form = [("grant_type", "client_credentials"), ("client_id", id), ("client_secret", secret)];
    app.with_token("").form("/oauth/token", &form, &[]).await.status
}

on_both_databases! {
    async fn a_secret_is_shown_once(kind: Kind) {
        let app = TestApp::start(kind).await;
        let answer = app.post(PATH, &json!({ "name": "other", "scopes": ["rides:read"] })).await;
        assert_eq!(answer.header("location"), "/v1/clients/2");
        let made = answer.expect(201);
        assert_eq!((made["name"].as_str(), &made["scopes"]), (Some("other"), &json!(["rides:read"])));
        let (_, secret) = credentials(&made);
        let listed = app.get(PATH).await;
        assert!(!listed.text.contains(secret) && !listed.text.contains("client_secret"));
        assert_eq!(listed.body["items"].as_array().unwrap().len(), 2);
        app.finish().await;
    }

    async fn a_client_gets_no_token_beyond_its_scopes(kind: Kind) {
        let app = TestApp::start(kind).await;
        let (made, api) = client(&app, &["rides:read", "calls:read"]).await;
        api.get("/v1/calls").await.expect(200);
        api.get("/v1/messages").await.expect_problem(403, "missing_scope");
        let (id, secret) = credentials(&made);
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", id),
            ("client_secret", secret),
            ("scope", "rides:write"),
        ];
        let refused = app.with_token("").form("/oauth/token", &form, &[]).await.expect(400);
        assert_eq!(refused["error"], "invalid_scope");
        app.finish().await;
    }

    async fn nobody_gives_a_scope_that_their_token_lacks(kind: Kind) {
        let app = TestApp::start(kind).await;
        let (_, manager) = client(&app, &["clients:manage", "rides:read"]).await;
        let narrowed = Api::sign_in(&app.base, CLIENT, Some("clients:manage rides:read")).await;
        for api in [manager, narrowed] {
            for scopes in [vec!["rides:write"], vec!["rides:read", "phone_numbers:reveal"], vec![]] {
                let body = json!({ "name": "more", "scopes": scopes });
                let refused = api.post(PATH, &body).await.expect_problem(422, "invalid_request");
                assert_eq!(refused["errors"][0]["pointer"], "/scopes");
            }
            api.post(PATH, &json!({ "name": "less", "scopes": ["rides:read"] })).await.expect(201);
        }
        let names: Vec<_> = crate::people::names(&app, PATH).await;
        assert_eq!(names, ["bootstrap", "other", "less", "less"]);
        app.finish().await;
    }

    async fn nobody_takes_over_a_client_that_may_do_more(kind: Kind) {
        let app = TestApp::start(kind).await;
        let (_, manager) = client(&app, &["clients:manage", "rides:read"]).await;
        let (equal, _) = client(&app, &["rides:read"]).await;
        let (stronger, _) = client(&app, &["rides:read", "phone_numbers:reveal"]).await;
        manager.post(&format!("{PATH}/1/rotate"), &json!({})).await.expect_problem(403, "missing_scope");
        let refused = manager.post(&format!("{PATH}/{}/rotate", id(&stronger)), &json!({})).await;
        assert!(!refused.text.contains("msk_"));
        refused.expect_problem(403, "missing_scope");
        manager.post(&format!("{PATH}/{}/rotate", id(&equal)), &json!({})).await.expect(200);
        assert_eq!(sign_in_status(&app, CLIENT).await, 200);
        assert_eq!(sign_in_status(&app, credentials(&stronger)).await, 200);
        app.finish().await;
    }

    async fn a_revoked_client_and_its_tokens_are_dead_at_once_on_every_replica(kind: Kind) {
        let app = TestApp::start(kind).await;
        let (made, api) = client(&app, &["rides:read"]).await;
        let (running, replica) = app.replica().await;
        let replica = replica.with_token(&api.token);
        replica.get("/v1/rides").await.expect(200);
        let path = format!("{PATH}/{}", id(&made));
        let revoked = app.post(&format!("{path}/revoke"), &json!({})).await.expect(200);
        assert!(revoked["revoked_at"].is_string());
        api.get("/v1/rides").await.expect_problem(401, "unauthorized");
        replica.get("/v1/rides").await.expect_problem(401, "unauthorized");
        assert_eq!(sign_in_status(&app, credentials(&made)).await, 401);
        app.post(&format!("{path}/rotate"), &json!({})).await.expect_problem(409, "client_revoked");
        app.tick();
        let again = app.post(&format!("{path}/revoke"), &json!({})).await.expect(200);
        assert_eq!(again, revoked);
        running.stop().await;
        app.finish().await;
    }

    async fn nobody_revokes_the_client_they_came_in_with(kind: Kind) {
        let app = TestApp::start(kind).await;
        app.post("/v1/clients/1/revoke", &json!({})).await.expect_problem(409, "own_client");
        app.get("/v1/customers").await.expect(200);
        app.finish().await;
    }

    async fn unknown_clients_are_not_found(kind: Kind) {
        let app = TestApp::start(kind).await;
        for what in ["rotate", "revoke"] {
            app.post(&format!("{PATH}/999999/{what}"), &json!({})).await.expect_problem(404, "not_found");
        }
        app.finish().await;
    }
}
