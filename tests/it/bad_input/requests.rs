//! Requests that are wrong outside their bodies: paths, methods, query parameters, headers.

use serde_json::json;

use super::{CANARY, World, quiet, refused, writes};
use crate::{
    harness::{
        Answer, Kind, on_both_databases,
        spec::{self, Operation},
    },
    ride::ANN,
};

/// Lists, with the names of their query parameters.
fn lists() -> Vec<(Operation, Vec<&'static str>)> {
    let names = |operation: &Operation| -> Vec<_> {
        let parameters = operation.value["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
        let in_query = parameters.iter().filter(|parameter| parameter["in"] == "query");
        in_query.map(|parameter| parameter["name"].as_str().unwrap()).collect()
    };
    let reads = spec::operations().into_iter().filter(|operation| operation.method == "GET");
    let lists = reads.map(|operation| {
        let names = names(&operation);
        (operation, names)
    });
    let lists: Vec<_> = lists.filter(|(_, names)| !names.is_empty()).collect();
    assert!(lists.len() > 6, "the document has lists");
    lists
}

fn sorted(mut names: Vec<&str>) -> Vec<&str> {
    names.sort_unstable();
    names
}

async fn send(world: &World, operation: &Operation, path: &str) -> Answer {
    match spec::example(operation) {
        Some(body) => world.json(&operation.method, path, &[], &body).await,
        None => world.raw(&operation.method, path, &[], Vec::new()).await,
    }
}

on_both_databases! {
    async fn every_wrong_parameter_is_named_at_once(kind: Kind) {
        let world = World::start(kind).await;
        let long = format!("{CANARY}{}", "x".repeat(200));
        for (operation, names) in lists() {
            for wrong in [long.as_str(), "", "%00canary-7f3a"] {
                let query: Vec<_> = names.iter().map(|name| format!("{name}={wrong}")).collect();
                let answer = world.get(&format!("{}?{}", world.path(&operation), query.join("&"))).await;
                assert_eq!(
                    refused(&answer, 400, "invalid_parameter"),
                    sorted(names.clone()),
                    "{} {wrong}",
                    operation.id
                );
            }
        }
        world.unchanged().await;
    }

    async fn a_parameter_is_not_repeated(kind: Kind) {
        let world = World::start(kind).await;
        for (operation, names) in lists() {
            let query: Vec<_> = names.iter().map(|name| format!("{name}=1&{name}=1")).collect();
            let answer = world.get(&format!("{}?{}", world.path(&operation), query.join("&"))).await;
            assert_eq!(refused(&answer, 400, "invalid_parameter"), sorted(names), "{}", operation.id);
        }
        world.unchanged().await;
    }

    async fn an_unknown_parameter_is_named_cut_and_printable(kind: Kind) {
        let world = World::start(kind).await;
        let long = "%C3%A9".repeat(60);
        for operation in spec::operations().into_iter().filter(|operation| operation.path.starts_with("/v1/")) {
            let path = world.path(&operation).replace("{phone_number}", ANN);
            let answer = send(&world, &operation, &format!("{path}?colour={CANARY}&{long}=1&%00%E2%80%AE&limits=5")).await;
            let named = refused(&answer, 400, "invalid_parameter");
            assert_eq!(named, ["colour", "limits", &"é".repeat(40), "\u{fffd}\u{fffd}"], "{}", operation.id);
        }
        world.unchanged().await;
    }

    async fn a_misspelt_parameter_is_named_with_the_one_that_was_meant(kind: Kind) {
        let world = World::start(kind).await;
        for (path, given, meant) in [
            ("/v1/rides", "customerId", "customer_id"),
            ("/v1/rides", "contact-open", "contact_open"),
            ("/v1/rides", "Status", "status"),
            ("/v1/customers", "externalID", "external_id"),
            ("/v1/messages", "rideid", "ride_id"),
            ("/v1/events", "typ", "type"),
        ] {
            let answer = world.get(&format!("{path}?{given}=1")).await;
            assert_eq!(refused(&answer, 400, "invalid_parameter"), [given]);
            let detail = &answer.body["errors"][0]["detail"];
            assert_eq!(*detail, format!("is not a parameter of this operation: did you mean {meant}?"));
        }
        let head = world.raw("HEAD", "/v1/rides?customerId=1", &[], Vec::new()).await;
        assert_eq!(head.status, 400);
        world.unchanged().await;
    }

    async fn unknown_and_wrong_parameters_are_named_together(kind: Kind) {
        let world = World::start(kind).await;
        for (operation, _) in lists() {
            let answer = world.get(&format!("{}?limit=0&colour=red&order=up", world.path(&operation))).await;
            assert_eq!(refused(&answer, 400, "invalid_parameter"), ["colour", "limit", "order"], "{}", operation.id);
        }
        world.unchanged().await;
    }

    async fn a_parameter_has_its_form(kind: Kind) {
        let world = World::start(kind).await;
        for (name, values) in [
            ("limit", vec!["0", "201", "-1", "1.5", "many", "9223372036854775808", "%2B5", "true"]),
            ("order", vec!["up", "ASC", "1", "asc,desc"]),
            ("after", vec!["0", "YWZ0ZXIv", "....", "%FF", "null"]),
            ("status", vec!["over", "completed,cancelled", "0"]),
            ("customer_id", vec!["0", "-1", "x", "9223372036854775808"]),
            ("contact_open", vec!["yes", "1", "TRUE"]),
            ("external_id", vec!["%0a", "%00", "%E2%80%AE"]),
        ] {
            for value in values {
                let answer = world.get(&format!("/v1/rides?{name}={value}")).await;
                assert_eq!(refused(&answer, 400, "invalid_parameter"), [name], "{value}");
            }
        }
        for query in ["name=%00", "name=a%00b"] {
            let answer = world.get(&format!("/v1/customers?{query}")).await;
            assert_eq!(refused(&answer, 400, "invalid_parameter"), ["name"]);
        }
        world.unchanged().await;
    }

    async fn what_is_no_id_names_nothing(kind: Kind) {
        let world = World::start(kind).await;
        let ids = [
            "0",
            "-1",
            "abc",
            "canary-7f3a",
            "1.0",
            "1e0",
            "0x1",
            "9223372036854775807",
            "9223372036854775808",
            "%00",
            "1%00",
            "%31%20",
            "%E2%80%AE1",
            "null",
            "1;2",
            "1,2",
            "'",
            "%2F",
        ];
        let with_id = spec::operations().into_iter().filter(|operation| operation.path.contains("{id}"));
        let mut seen = 0;
        for operation in with_id {
            for id in ids {
                let answer = send(&world, &operation, &operation.path.replace("{id}", id)).await;
                assert!(refused(&answer, 404, "not_found").is_empty());
                seen += 1;
            }
        }
        assert!(seen > 15 * ids.len());
        for phone in ["0", "abc", "%00", "31611122233", "%2B316"] {
            let answer = world.get(&format!("/v1/simulator/phones/{phone}")).await;
            refused(&answer, 404, "not_found");
        }
        world.unchanged().await;
    }

    async fn a_path_that_is_not_there_is_not_found(kind: Kind) {
        let world = World::start(kind).await;
        for path in [
            "/nothing",
            "/v1",
            "/v1/",
            "/v1/customer",
            "/v1/customers/",
            "/v1//customers",
            "/V1/customers",
            "/v1/customers/1/2",
            "/v2/customers",
            "/v1/canary-7f3a",
            "/v1/%00",
            "/oauth",
            "/webhooks",
            "/webhooks/simulator",
            "/health",
            "/v1/customers%2F1",
            "//",
            "/.env",
            "/docs/../v1",
            "/v1/rides/1/timeline/1",
        ] {
            for method in ["GET", "POST", "DELETE"] {
                let answer = world.raw(method, path, &[], Vec::new()).await;
                refused(&answer, 404, "not_found");
            }
        }
        world.unchanged().await;
    }

    async fn a_path_that_is_no_text_is_not_found(kind: Kind) {
        let world = World::start(kind).await;
        let templates = spec::operations().into_iter().filter(|operation| operation.path.starts_with("/v1/"));
        let paths = templates
            .map(|operation| (operation.path.replace("{id}", "%ff").replace("{phone_number}", "%ff"), operation));
        let paths: Vec<_> = paths.filter(|(path, _)| path.contains('%')).collect();
        assert!(paths.len() > 15, "the document has paths with parameters");
        for (path, operation) in paths {
            refused(&send(&world, &operation, &path).await, 404, "not_found");
        }
        refused(&world.get("/%ff").await, 404, "not_found");
        world.unchanged().await;
    }

    async fn a_method_that_a_path_does_not_take_is_refused_with_those_it_takes(kind: Kind) {
        let world = World::start(kind).await;
        for path in spec::DOCUMENT["paths"].as_object().unwrap().keys() {
            let known: Vec<_> = spec::operations()
                .into_iter()
                .filter(|operation| operation.path == *path)
                .map(|known| known.method)
                .collect();
            let asked = path.replace("{id}", "1").replace("{provider}", "simulator").replace("{phone_number}", ANN);
            for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CANARY"] {
                if known.iter().any(|known| known == method) {
                    continue;
                }
                let answer = world.json(method, &asked, &[], &json!({ "name": CANARY })).await;
                refused(&answer, 405, "method_not_allowed");
                let mut allowed: Vec<_> = answer.header("allow").split(", ").map(str::to_owned).collect();
                allowed.sort_unstable();
                let mut known = known.clone();
                // Where there is GET there is HEAD, but for webhooks, which have effects.
                if known.iter().any(|known| known == "GET") && !path.starts_with("/webhooks/") {
                    known.push("HEAD".to_owned());
                }
                known.sort_unstable();
                assert_eq!(allowed, known, "{method} {path}");
            }
        }
        world.unchanged().await;
    }

    async fn an_idempotency_key_is_visible_ascii(kind: Kind) {
        let world = World::start(kind).await;
        let long = "x".repeat(256);
        for operation in writes() {
            let parameters = operation.value["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
            if !parameters.iter().any(|parameter| parameter["name"] == "Idempotency-Key") {
                continue;
            }
            for key in ["", "canary-7f3a with spaces", "tab\tcanary-7f3a", long.as_str()] {
                let headers = [("idempotency-key", key)];
                let answer =
                    world.json(&operation.method, &world.path(&operation), &headers, &world.good(&operation)).await;
                refused(&answer, 400, "invalid_parameter");
            }
        }
        assert_eq!(world.everything().await, world.before);
        let key = [("idempotency-key", &long[..255])];
        world.json("POST", "/v1/customers", &key, &json!({ "name": "Zoe", "phone_number": ANN })).await.expect(201);
        world.app.finish().await;
    }

    async fn a_header_that_cannot_be_read_is_not_left_out(kind: Kind) {
        let world = World::start(kind).await;
        for operation in spec::operations() {
            let parameters = operation.value["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
            for header in parameters.iter().filter(|parameter| parameter["in"] == "header") {
                let name = header["name"].as_str().unwrap();
                for values in [vec!["canary-7f3aé"], vec!["\"1\"", "canary-7f3a"], vec!["*", "*"]] {
                    let headers: Vec<_> = values.into_iter().map(|value| (name, value)).collect();
                    let (method, path) = (operation.method.as_str(), world.path(&operation));
                    let answer = match operation.value["requestBody"].is_null() {
                        true => world.raw(method, &path, &headers, Vec::new()).await,
                        false => world.json(method, &path, &headers, &world.good(&operation)).await,
                    };
                    assert_eq!(refused(&answer, 400, "invalid_parameter"), [name], "{}", operation.id);
                }
            }
        }
        world.unchanged().await;
    }

    async fn only_a_uuid_is_taken_as_the_name_of_a_request(kind: Kind) {
        let world = World::start(kind).await;
        let uuid = "67e55044-10b1-426f-9247-bb680e5fe0c8";
        for given in [
            CANARY,
            "+31611122233",
            "",
            "é",
            "67e55044-10b1-426f-9247-bb680e5fe0c",
            "67e5504410b1426f9247bb680e5fe0c8",
            "67e55044-10b1-426f-9247-bb680e5fe0cg",
        ] {
            let answer = world.raw("GET", "/v1/customers", &[("x-request-id", given)], Vec::new()).await;
            quiet(&answer);
            assert!(!answer.header("x-request-id").is_empty());
            assert_ne!(answer.headers["x-request-id"].as_bytes(), given.as_bytes());
            answer.expect(200);
        }
        for given in [uuid.to_owned(), uuid.to_uppercase()] {
            let answer = world.raw("GET", "/nothing", &[("x-request-id", &given)], Vec::new()).await;
            assert_eq!(answer.header("x-request-id"), uuid);
        }
        world.unchanged().await;
    }
}
