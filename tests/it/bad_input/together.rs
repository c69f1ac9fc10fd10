//! What is wrong in different ways is named in one answer.

use serde_json::{Value, json};

use super::{World, pointers, refused, writes};
use crate::{
    harness::{Kind, on_both_databases},
    ride::{ANN, NUMBER},
};

on_both_databases! {
    async fn query_headers_and_body_are_named_together(kind: Kind) {
        let world = World::start(kind).await;
        for operation in writes() {
            let parameters = operation.value["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
            let has = |name: &str| parameters.iter().any(|parameter| parameter["name"] == name);
            let (mut headers, mut named) = (Vec::new(), vec!["/colour".to_owned(), "limits".to_owned()]);
            for (name, wrong) in [("Idempotency-Key", "with spaces"), ("If-Match", "1")] {
                if has(name) {
                    headers.push((name, wrong));
                    named.push(name.to_owned());
                }
            }
            let mut query = "limits=5".to_owned();
            if has("dry_run") {
                query.push_str("&dry_run=perhaps");
                named.push("dry_run".to_owned());
            }
            named.sort_unstable();
            let mut body = world.good(&operation);
            body["colour"] = json!("red");
            let path = format!("{}?{query}", world.path(&operation));
            let answer = world.json(&operation.method, &path, &headers, &body).await;
            assert_eq!(refused(&answer, 400, "invalid_parameter"), named, "{}", operation.id);
            // They are wrong, too, where the body is right or cannot be read.
            let named: Vec<_> = named.into_iter().filter(|name| name != "/colour").collect();
            let answer = world.json(&operation.method, &path, &headers, &world.good(&operation)).await;
            assert_eq!(refused(&answer, 400, "invalid_parameter"), named, "{}", operation.id);
        }
        world.unchanged().await;
    }

    async fn strangers_learn_nothing_but_that_they_are_strangers(kind: Kind) {
        let world = World::start(kind).await;
        let anyone = world.with_token("");
        for (method, path) in
            [("GET", "/v1/rides?colour=red"), ("GET", "/v1/rides/1?colour=red"), ("POST", "/v1/rides?colour=red"), ("DELETE", "/v1/rides/1?colour=red")]
        {
            let answer = anyone.json(method, path, &[("if-match", "1")], &json!({})).await;
            refused(&answer, 401, "unauthorized");
        }
        world.unchanged().await;
    }

    async fn a_ride_of_nothing_names_everything(kind: Kind) {
        let world = World::start(kind).await;
        let all = pointers(["customer_id", "datetime", "destination", "driver_id", "start"]);
        assert_eq!(refused(&world.post("/v1/rides", &json!({})).await, 422, "invalid_request"), all);
        assert_eq!(refused(&world.post("/v1/rides?dry_run=true", &json!({})).await, 422, "invalid_request"), all);
        let both = json!({
            "customer_id": 1, "customer": { "external_id": "a", "name": "Ann", "phone_number": ANN }, "driver": {},
            "datetime": "1999-01-01T00:00:00Z", "grace_s": 4_000_000_000_u32, "max_duration_s": -1, "start": "",
        });
        let named = pointers([
            "customer", "datetime", "destination", "driver/external_id", "driver/name", "driver/phone_number", "grace_s",
            "max_duration_s", "start",
        ]);
        assert_eq!(refused(&world.post("/v1/rides", &both).await, 422, "invalid_request"), named);
        world.unchanged().await;
    }

    async fn rules_of_the_service_are_named_with_those_of_single_fields(kind: Kind) {
        let world = World::start(kind).await;
        let number = |phone: &str, provider: &str| json!({ "phone_number": phone, "provider": provider });
        let far = "2999-01-01T00:00:00Z";
        let cases: [(&str, &str, Value, Vec<&str>); 7] = [
            ("POST", "/v1/numbers", number("1", "vonage"), vec!["phone_number", "provider"]),
            (
                "POST",
                "/v1/numbers/batch",
                json!({ "numbers": [number(NUMBER, "vonage"), number("1", "vonage"), number(NUMBER, "Vonage")] }),
                vec!["numbers/0/provider", "numbers/1/phone_number", "numbers/1/provider", "numbers/2/phone_number", "numbers/2/provider"],
            ),
            ("POST", "/v1/clients", json!({ "scopes": [] }), vec!["name", "scopes"]),
            ("POST", "/v1/event-endpoints", json!({ "url": "https://127.0.0.1/", "types": [], "include_text": 1 }), vec!["include_text", "types", "url"]),
            ("POST", "/v1/event-endpoints", json!({ "url": "https://127.0.0.1/", "types": [] }), vec!["types", "url"]),
            ("PATCH", "/v1/event-endpoints/1", json!({ "url": "https://127.0.0.1/", "types": [], "status": "" }), vec!["status", "types", "url"]),
            ("PATCH", "/v1/rides/1", json!({ "datetime": far, "start": "" }), vec!["datetime", "start"]),
        ];
        for (method, path, body, named) in cases {
            let answer = world.json(method, path, &[], &body).await;
            assert_eq!(refused(&answer, 422, "invalid_request"), pointers(named), "{path}");
        }
        world.unchanged().await;
    }
}
