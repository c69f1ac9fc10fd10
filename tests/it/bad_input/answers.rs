//! What all answers have in common, and what every operation can answer.

use serde_json::json;

use super::{CANARY, World, refused, writes};
use crate::{
    harness::{
        Answer, CLIENT, Kind, on_both_databases,
        spec::{self, Operation},
    },
    ride::ANN,
};

fn has_parameter(operation: &Operation, name: &str) -> bool {
    let parameters = operation.value["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
    parameters.iter().any(|parameter| parameter["name"] == name)
}

fn path(world: &World, operation: &Operation) -> String {
    world.path(operation).replace("{phone_number}", ANN).replace("{provider}", "simulator")
}

async fn send(world: &World, operation: &Operation, path: &str, headers: &[(&str, &str)]) -> Answer {
    match operation.value["requestBody"]["content"]["application/json"].is_null() {
        true => world.raw(&operation.method, path, headers, Vec::new()).await,
        false => world.json(&operation.method, path, headers, &world.good(operation)).await,
    }
}

on_both_databases! {
    async fn a_reused_key_is_refused_as_the_document_says(kind: Kind) {
        let world = World::start(kind).await;
        let mut seen = 0;
        for operation in spec::operations().into_iter().filter(|operation| has_parameter(operation, "Idempotency-Key")) {
            assert!(!operation.value["responses"]["422"].is_null(), "{} can answer 422", operation.id);
            seen += 1;
        }
        assert!(seen > 8, "the document has keys");
        // A key counts with the path: the answer is checked against the document.
        let second = json!({ "url": "https://other.example.com/events" });
        world.post("/v1/event-endpoints", &second).await.expect(201);
        let key = [("idempotency-key", "one")];
        let rotate = async |id: i64| {
            let path = format!("/v1/event-endpoints/{id}/rotate-secret");
            world.raw("POST", &path, &key, Vec::new()).await
        };
        rotate(1).await.expect(200);
        rotate(2).await.expect_problem(422, "idempotency_key_reused");
        world.app.finish().await;
    }

    async fn no_answer_may_be_cached(kind: Kind) {
        let world = World::start(kind).await;
        let token = [("grant_type", "client_credentials"), ("client_id", CLIENT.0), ("client_secret", CLIENT.1)];
        let issued = world.with_token("").form("/oauth/token", &token, &[]).await;
        assert_eq!((issued.status, issued.header("cache-control")), (200, "no-store"));
        for operation in spec::operations() {
            let answer = send(&world, &operation, &path(&world, &operation), &[]).await;
            assert_eq!(answer.header("cache-control"), "no-store", "{} {}", operation.id, answer.status);
        }
        for path in ["/v1/nothing", "/v1/rides?x=1", "/nothing"] {
            assert_eq!(world.get(path).await.header("cache-control"), "no-store", "{path}");
        }
        assert_ne!(world.get("/docs").await.header("cache-control"), "no-store");
        let page = world.get("/v1/customers").await;
        assert_eq!(page.headers.get_all("cache-control").iter().count(), 1);
        world.send_due().await;
        world.app.finish().await;
    }

    async fn a_body_is_not_encoded(kind: Kind) {
        let world = World::start(kind).await;
        for operation in writes() {
            for coding in ["gzip", "br", "deflate, gzip", "canary-7f3a"] {
                let headers = [("content-encoding", coding)];
                let answer = world.json(&operation.method, &world.path(&operation), &headers, &world.good(&operation)).await;
                refused(&answer, 415, "unsupported_media_type");
            }
        }
        let token = world.form("/oauth/token", &[("grant_type", CANARY)], &[("content-encoding", "gzip")]).await;
        refused(&token, 415, "unsupported_media_type");
        let search = json!({ "phone_number": ANN });
        world.json("POST", "/v1/customers/search", &[("content-encoding", "identity")], &search).await.expect(200);
        world.unchanged().await;
    }

    async fn head_is_get_without_the_body(kind: Kind) {
        let world = World::start(kind).await;
        let reads = |operation: &Operation| operation.method == "GET" && !operation.path.starts_with("/webhooks/");
        for operation in spec::operations().into_iter().filter(reads) {
            let path = path(&world, &operation);
            let (get, head) = (world.get(&path).await, world.raw("HEAD", &path, &[], Vec::new()).await);
            assert_eq!((head.status, head.text.as_str()), (get.status, ""), "{}", operation.id);
            for name in ["content-type", "etag", "cache-control"] {
                assert_eq!(head.headers.get(name), get.headers.get(name), "{} {name}", operation.id);
            }
        }
        for path in ["/", "/docs", "/openapi.json", "/openapi.yaml"] {
            let (get, head) = (world.get(path).await, world.raw("HEAD", path, &[], Vec::new()).await);
            assert_eq!((head.status, head.text.as_str()), (get.status, ""), "{path}");
        }
        world.unchanged().await;
    }

    async fn a_browser_is_not_asked_to_open_its_login_dialog(kind: Kind) {
        let world = World::start(kind).await;
        let form = [("grant_type", "client_credentials")];
        let basic = ("authorization", "Basic dGVzdHM6d3Jvbmc=");
        let by_program = world.form("/oauth/token", &form, &[basic]).await;
        assert_eq!((by_program.status, by_program.header("www-authenticate")), (401, "Basic realm=\"maskline\""));
        for sign in [("origin", "http://127.0.0.1"), ("sec-fetch-mode", "cors"), ("x-requested-with", "XMLHttpRequest")] {
            let by_page = world.form("/oauth/token", &form, &[basic, sign]).await;
            assert_eq!((by_page.status, by_page.header("www-authenticate")), (401, "xBasic realm=\"maskline\""));
            assert_eq!(by_page.body["error"], "invalid_client");
        }
        let bearer = [("origin", "http://127.0.0.1"), ("authorization", "Bearer x")];
        let refused = world.raw("GET", "/v1/rides", &bearer, Vec::new()).await;
        assert!(refused.header("www-authenticate").starts_with("Bearer"));
        world.unchanged().await;
    }
}
