//! Bodies with wrong fields: all of them are named at once.

use chrono::{Duration, SecondsFormat};
use serde_json::{Value, json};

use super::{CANARY, CANARY_PHONE, World, body_fields, body_schema, pointers, refused, writes};
use crate::{
    harness::{Kind, on_both_databases, spec::Operation},
    ride::{ANN, NUMBER},
};

/// Values that are wrong in every field there is, whatever its type.
fn wrong_everywhere() -> Vec<Value> {
    vec![
        json!({ "colour": CANARY_PHONE }),
        json!([CANARY]),
        json!([[CANARY_PHONE]]),
        json!(1.5),
        json!(-1),
        json!(1e300),
        json!(9_223_372_036_854_775_808_u64),
        json!(""),
        json!(" "),
        json!(format!("{CANARY}\u{0}")),
        json!(format!("{CANARY}{}", "x".repeat(2000))),
    ]
}

/// The fields of the body that hold what was named: a list names its items.
fn outermost(named: Vec<String>) -> Vec<String> {
    let mut outer: Vec<_> = named.iter().map(|pointer| format!("/{}", pointer.split('/').nth(1).unwrap())).collect();
    outer.dedup();
    outer
}

on_both_databases! {
    async fn every_wrong_field_is_named_at_once(kind: Kind) {
        let world = World::start(kind).await;
        for operation in writes() {
            let fields: Vec<_> = body_fields(&operation).into_iter().map(|(name, _)| name).collect();
            for wrong in wrong_everywhere() {
                let body: Value = fields
                    .iter()
                    .map(|name| ((*name).to_owned(), wrong.clone()))
                    .collect::<serde_json::Map<_, _>>()
                    .into();
                let answer = world.json(&operation.method, &world.path(&operation), &[], &body).await;
                assert_eq!(
                    outermost(refused(&answer, 422, "invalid_request")),
                    pointers(fields.clone()),
                    "{} {wrong}",
                    operation.id
                );
            }
        }
        world.unchanged().await;
    }

    async fn one_wrong_field_is_named_alone(kind: Kind) {
        let world = World::start(kind).await;
        for operation in writes() {
            for (name, _) in body_fields(&operation) {
                for wrong in wrong_everywhere() {
                    let mut body = world.good(&operation);
                    body[name] = wrong;
                    let answer = world.json(&operation.method, &world.path(&operation), &[], &body).await;
                    let named = outermost(refused(&answer, 422, "invalid_request"));
                    assert_eq!(named, pointers([name]), "{}", operation.id);
                }
            }
        }
        world.unchanged().await;
    }

    async fn every_missing_field_is_named(kind: Kind) {
        let world = World::start(kind).await;
        let demands = |operation: &Operation| !body_schema(operation)["required"].is_null();
        for operation in writes().into_iter().filter(|operation| operation.method == "POST" && demands(operation)) {
            let mut required: Vec<_> = body_schema(&operation)["required"]
                .as_array()
                .unwrap()
                .iter()
                .map(|name| name.as_str().unwrap())
                .collect();
            if operation.id == "create_ride" {
                required.extend(["customer_id", "driver_id"]);
            }
            let nulls: Value =
                required.iter().map(|name| ((*name).to_owned(), Value::Null)).collect::<serde_json::Map<_, _>>().into();
            for body in [json!({}), nulls] {
                let answer = world.json("POST", &world.path(&operation), &[], &body).await;
                assert_eq!(refused(&answer, 422, "invalid_request"), pointers(required.clone()), "{}", operation.id);
            }
        }
        world.unchanged().await;
    }

    async fn a_patch_clears_only_what_the_document_says(kind: Kind) {
        let world = World::start(kind).await;
        for operation in writes().into_iter().filter(|operation| operation.method == "PATCH") {
            let nullable =
                |schema: &Value| schema["type"].as_array().is_some_and(|types| types.contains(&json!("null")));
            let fixed =
                body_fields(&operation).into_iter().filter(|(_, schema)| !nullable(schema)).map(|(name, _)| name);
            let nulls: serde_json::Map<_, _> =
                body_fields(&operation).into_iter().map(|(name, _)| (name.to_owned(), Value::Null)).collect();
            let answer = world.patch(&world.path(&operation), &nulls.into()).await;
            assert_eq!(refused(&answer, 422, "invalid_request"), pointers(fixed), "{}", operation.id);
        }
        world.unchanged().await;
    }

    async fn an_unknown_field_is_named_cut_and_printable(kind: Kind) {
        let world = World::start(kind).await;
        let long = "é".repeat(60);
        for operation in writes() {
            let mut body = world.good(&operation);
            for name in ["colour", "", "a/b~c", "x\u{0}\u{202e}y", "Zahl der Gäste", &long] {
                body[name] = json!(CANARY);
            }
            let mut named = vec![
                "/".to_owned(), "/Zahl der Gäste".to_owned(), "/a~1b~0c".to_owned(), "/colour".to_owned(),
                "/x\u{fffd}\u{fffd}y".to_owned(), format!("/{}", "é".repeat(40)),
            ];
            named.sort_unstable();
            let answer = world.json(&operation.method, &world.path(&operation), &[], &body).await;
            assert_eq!(refused(&answer, 422, "invalid_request"), named, "{}", operation.id);
        }
        world.unchanged().await;
    }

    async fn a_misspelt_field_is_named_with_the_one_that_was_meant(kind: Kind) {
        let world = World::start(kind).await;
        let ride = |more: Value| {
            let mut body = world.new_ride();
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            body
        };
        let person = json!({ "externalId": "a", "name": "Ann", "phone_number": ANN });
        for (path, body, pointer, meant) in [
            ("/v1/customers", json!({ "name": "Ann", "phoneNumber": ANN }), "/phoneNumber", "phone_number"),
            ("/v1/drivers", json!({ "name": "Ann", "phone-number": ANN }), "/phone-number", "phone_number"),
            ("/v1/customers/search", json!({ "phone": ANN, "PhoneNumber": ANN }), "/PhoneNumber", "phone_number"),
            ("/v1/rides", ride(json!({ "externalId": "a" })), "/externalId", "external_id"),
            ("/v1/rides", ride(json!({ "customer_id": null, "customer": person })), "/customer/externalId", "external_id"),
            ("/v1/numbers/batch", json!({ "numbers": [{ "phone_number": NUMBER, "provider": "simulator" }, { "phoneNumber": NUMBER, "provider": "simulator" }] }), "/numbers/1/phoneNumber", "phone_number"),
            ("/v1/rides/1/messages", json!({ "to": "driver", "tetx": "Hello" }), "/tetx", "text"),
            ("/v1/simulator/calls", json!({ "form": ANN, "to": NUMBER }), "/form", "from"),
            ("/v1/event-endpoints", json!({ "url": "https://a.example.com/", "includeText": true }), "/includeText", "include_text"),
        ] {
            let answer = world.post(path, &body).await;
            refused(&answer, 422, "invalid_request");
            let errors = answer.body["errors"].as_array().unwrap();
            let error = errors.iter().find(|error| error["pointer"] == pointer).unwrap_or_else(|| panic!("{errors:?}"));
            assert_eq!(error["detail"], format!("is not a field of this request: did you mean {meant}?"), "{path}");
        }
        world.unchanged().await;
    }

    async fn a_field_is_given_once(kind: Kind) {
        let world = World::start(kind).await;
        let headers = [("content-type", "application/json")];
        for (path, body, named) in [
            ("/v1/customers/search", format!(r#"{{"phone_number":"{CANARY}","phone_number":"{ANN}"}}"#), vec!["/phone_number", "/phone_number"]),
            ("/v1/customers/search", format!(r#"{{"phone_number":"{ANN}","phone_\u006eumber":"{ANN}"}}"#), vec!["/phone_number"]),
            ("/v1/numbers/batch", format!(r#"{{"numbers":[{{"phone_number":"{NUMBER}","provider":"simulator","provider":"simulator"}}]}}"#), vec!["/numbers/0/provider"]),
            ("/v1/rides", r#"{"customer":{"name":"a","name":"a"},"notify":false,"notify":true}"#.to_owned(), vec![
                "/customer/external_id", "/customer/name", "/customer/phone_number", "/datetime", "/destination", "/driver_id", "/notify", "/start",
            ]),
        ] {
            let answer = world.raw("POST", path, &headers, body.into_bytes()).await;
            assert_eq!(refused(&answer, 422, "invalid_request"), named, "{path}");
        }
        world.unchanged().await;
    }

    async fn a_whole_number_is_one_however_it_is_spelled(kind: Kind) {
        let world = World::start(kind).await;
        let headers = [("content-type", "application/json")];
        let send = async |field: &str, spelled: &str| {
            let mut body = world.new_ride();
            body[field] = json!("number");
            let body = body.to_string().replace("\"number\"", spelled);
            world.raw("POST", "/v1/rides?dry_run=true", &headers, body.into_bytes()).await
        };
        for (field, right) in [
            ("customer_id", ["1", "1.0", "1e0", "10e-1"]),
            ("driver_id", ["2.0", "2e0", "0.2e1", "2.000"]),
            ("grace_s", ["0", "-0", "-0.0", "6e2"]),
            ("max_duration_s", ["3600.0", "3.6e3", "36E2", "3600"]),
        ] {
            for spelled in right {
                let answer = send(field, spelled).await;
                assert_eq!(answer.status, 200, "{field} {spelled}: {}", answer.text);
            }
            for spelled in ["1.5", "-1.0", "1e300", "9007199254740992.0", "\"1\"", "1e-1", "18446744073709551616"] {
                let answer = send(field, spelled).await;
                assert_eq!(refused(&answer, 422, "invalid_request"), [format!("/{field}")], "{spelled}");
            }
        }
        for id in ["0", "-0", "0.0"] {
            assert_eq!(refused(&send("customer_id", id).await, 422, "invalid_request"), ["/customer_id"]);
        }
        // The same request in another spelling is the same request.
        let key = [headers[0], ("idempotency-key", "spelled")];
        world.place_events().await;
        let redeliver = async |spelled: &str| {
            let body = format!("{{\"endpoint_id\":{spelled}}}").into_bytes();
            world.raw("POST", "/v1/events/1/redeliver", &key, body).await.expect(202)
        };
        assert_eq!(redeliver("1").await, redeliver("1.0").await);
        world.app.finish().await;
    }

    async fn names_and_places_hold_no_hidden_characters(kind: Kind) {
        let world = World::start(kind).await;
        let hidden = [
            '\u{0}', '\u{1}', '\u{7}', '\n', '\r', '\t', '\u{1b}', '\u{7f}', '\u{85}', '\u{2028}', '\u{202a}',
            '\u{202e}', '\u{2066}', '\u{2069}', '\u{feff}',
        ];
        let cases = [
            ("POST", "/v1/customers", json!({ "phone_number": ANN }), vec!["name", "external_id"]),
            ("POST", "/v1/drivers", json!({ "phone_number": ANN }), vec!["name", "external_id"]),
            ("PATCH", "/v1/rides/1", json!({}), vec!["start", "destination", "external_id"]),
            ("POST", "/v1/rides", world.new_ride(), vec!["start", "destination", "external_id"]),
            ("POST", "/v1/clients", json!({ "scopes": ["rides:read"] }), vec!["name"]),
        ];
        for (method, path, good, fields) in cases {
            for hidden in hidden {
                let mut body = good.clone();
                for field in &fields {
                    body[field] = json!(format!("{CANARY}{hidden}{CANARY}"));
                }
                let answer = world.json(method, path, &[], &body).await;
                assert_eq!(refused(&answer, 422, "invalid_request"), pointers(fields.clone()), "{path} {hidden:?}");
            }
        }
        for hidden in ['\u{0}', '\u{7}', '\u{1b}', '\u{7f}'] {
            let text = format!("{CANARY}{hidden}");
            let sent = world.post("/v1/rides/1/messages", &json!({ "to": "driver", "text": text })).await;
            assert_eq!(refused(&sent, 422, "invalid_request"), ["/text"]);
            let simulated =
                world.post("/v1/simulator/texts", &json!({ "from": ANN, "to": NUMBER, "text": text })).await;
            assert_eq!(refused(&simulated, 422, "invalid_request"), ["/text"]);
        }
        world.unchanged().await;
    }

    async fn texts_have_their_length_at_most(kind: Kind) {
        let world = World::start(kind).await;
        let long = |length: usize| format!("{CANARY}{}", "é".repeat(length - CANARY.len()));
        let person = json!({ "name": long(101), "phone_number": ANN, "language": "nld", "external_id": long(201) });
        let answer = world.post("/v1/customers", &person).await;
        assert_eq!(refused(&answer, 422, "invalid_request"), pointers(["external_id", "language", "name"]));
        let answer = world
            .patch("/v1/rides/1", &json!({ "start": long(201), "destination": long(201), "external_id": long(201) }))
            .await;
        assert_eq!(refused(&answer, 422, "invalid_request"), pointers(["destination", "external_id", "start"]));
        let answer = world.post("/v1/rides/1/messages", &json!({ "to": "driver", "text": long(1601) })).await;
        assert_eq!(refused(&answer, 422, "invalid_request"), ["/text"]);
        let many = vec!["rides:read"; 33];
        let answer = world.post("/v1/clients", &json!({ "name": long(101), "scopes": many })).await;
        assert_eq!(refused(&answer, 422, "invalid_request"), pointers(["name", "scopes"]));
        assert_eq!(world.everything().await, world.before);
        let person = json!({ "name": long(100), "phone_number": ANN, "external_id": long(200) });
        world.post("/v1/customers", &person).await.expect(201);
        world.app.finish().await;
    }

    async fn a_phone_is_a_number_that_exists_in_international_form(kind: Kind) {
        let world = World::start(kind).await;
        let phones = [
            "0611122233",
            "31611122233",
            "0031611122233",
            "+310",
            "+",
            "++31611122233",
            "+31",
            "+3161112223",
            "+316111222334",
            "+31611122233x",
            "+31611122233 ext. 3",
            "+31611122233;ext=3",
            "tel:+31611122233",
            "+31611122233\u{0}",
            "+31611122233, +31611122234",
            "+999611122233",
            "+1 555",
            "anonymous",
            "Restricted",
            "+000000000000",
            "+15550100\u{661}",
            "canary-7f3a",
        ];
        for phone in phones {
            for (path, fields) in [
                ("/v1/customers", vec!["phone_number"]),
                ("/v1/drivers", vec!["phone_number"]),
                ("/v1/customers/search", vec!["phone_number"]),
                ("/v1/drivers/search", vec!["phone_number"]),
                ("/v1/numbers", vec!["phone_number"]),
                ("/v1/simulator/texts", vec!["from", "to"]),
                ("/v1/simulator/calls", vec!["from", "to"]),
            ] {
                let operation = writes()
                    .into_iter()
                    .find(|operation| operation.method == "POST" && operation.path == path)
                    .unwrap();
                let mut body = world.good(&operation);
                for field in &fields {
                    body[field] = json!(phone);
                }
                let answer = world.post(path, &body).await;
                assert_eq!(refused(&answer, 422, "invalid_request"), pointers(fields), "{path} {phone:?}");
            }
            let answer = world.patch("/v1/customers/1", &json!({ "phone_number": phone })).await;
            assert_eq!(refused(&answer, 422, "invalid_request"), ["/phone_number"], "{phone:?}");
        }
        world.unchanged().await;
    }

    async fn a_ride_names_everybody_it_does_not_find(kind: Kind) {
        let world = World::start(kind).await;
        let mut body = world.new_ride();
        (body["customer_id"], body["driver_id"]) = (json!(999_999), json!(i64::MAX));
        let answer = world.post("/v1/rides", &body).await;
        assert_eq!(refused(&answer, 422, "invalid_request"), pointers(["customer_id", "driver_id"]));
        body["datetime"] = json!("1999-01-01T00:00:00Z");
        let answer = world.post("/v1/rides", &body).await;
        assert_eq!(refused(&answer, 422, "invalid_request"), pointers(["customer_id", "datetime", "driver_id"]));
        world.unchanged().await;
    }

    async fn a_ride_needs_two_phones(kind: Kind) {
        let world = World::start(kind).await;
        for (customers, drivers) in [(ANN, ANN), ("+5491123456789", "+541123456789")] {
            let (customer, driver) = (world.customer("Zoe", customers).await, world.driver("Zoe", drivers).await);
            let mut body = world.new_ride();
            (body["customer_id"], body["driver_id"]) = (json!(customer), json!(driver));
            let answer = world.post("/v1/rides", &body).await;
            assert_eq!(refused(&answer, 422, "same_phone"), pointers(["customer_id", "driver_id"]));
        }
        assert_eq!(world.get("/v1/rides").await.expect(200)["items"].as_array().unwrap().len(), 1);
        world.app.finish().await;
    }

    async fn a_ride_has_a_date_and_time_with_an_offset(kind: Kind) {
        let world = World::start(kind).await;
        let soon = world.now().fixed_offset();
        let words = [
            soon.format("%Y-%m-%dT%H:%M:%S").to_string(),
            soon.format("%Y-%m-%d").to_string(),
            soon.to_rfc2822(),
            soon.timestamp().to_string(),
            soon.format("%Y-%m-%dT%H:%MZ").to_string(),
            soon.format("%Y-%m-%dT%H:%M:%S+2500").to_string(),
            soon.format("%Y-%m-%dT%H:%M:%S+25:00").to_string(),
            soon.format("%Y-%m-%dT25:%M:%SZ").to_string(),
            soon.format("%Y-02-30T%H:%M:%SZ").to_string(),
            soon.format("%Y-13-01T%H:%M:%SZ").to_string(),
            soon.format("%Y-%m-%dT%H:%M:61Z").to_string(),
            format!(" {}", soon.to_rfc3339()),
            format!("{} {CANARY}", soon.to_rfc3339()),
        ];
        let years = [
            "0000-01-01T00:00:00Z",
            "0000-01-01T00:00:00+23:59",
            "-0001-01-01T00:00:00Z",
            "0001-01-01T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
            "9999-12-31T23:59:59-23:59",
            "10000-01-01T00:00:00Z",
            "+10000-01-01T00:00:00Z",
            "+262142-12-31T23:59:59Z",
            "99999999999-01-01T00:00:00Z",
            "2016-12-31T23:59:60Z",
            "tomorrow",
            "now",
            "canary-7f3a",
        ];
        for datetime in words.into_iter().chain(years.map(str::to_owned)) {
            let mut body = world.new_ride();
            body["datetime"] = json!(datetime);
            let answer = world.post("/v1/rides", &body).await;
            assert_eq!(refused(&answer, 422, "invalid_request"), ["/datetime"], "{datetime}");
            let answer = world.patch("/v1/rides/1", &json!({ "datetime": datetime })).await;
            assert_eq!(refused(&answer, 422, "invalid_request"), ["/datetime"], "{datetime}");
        }
        world.unchanged().await;
    }

    async fn a_ride_is_neither_long_over_nor_far_ahead(kind: Kind) {
        let world = World::start(kind).await;
        let at = |offset: Duration| (world.now() + offset).to_rfc3339_opts(SecondsFormat::Millis, true);
        let (first, last, moment) = (Duration::hours(-24), Duration::days(90), Duration::milliseconds(1));
        for wrong in [first - moment, last + moment, Duration::days(-400), Duration::days(400)] {
            let mut body = world.new_ride();
            body["datetime"] = json!(at(wrong));
            let answer = world.post("/v1/rides", &body).await;
            assert_eq!(refused(&answer, 422, "invalid_request"), ["/datetime"], "{wrong}");
            let answer = world.patch("/v1/rides/1", &json!({ "datetime": at(wrong) })).await;
            assert_eq!(refused(&answer, 422, "invalid_request"), ["/datetime"], "{wrong}");
        }
        assert_eq!(world.everything().await, world.before);
        // At the first moment that is allowed the ride is over at once: it comes last.
        for right in [last, first] {
            world.patch("/v1/rides/1", &json!({ "datetime": at(right), "notify": false })).await.expect(200);
        }
        world.app.finish().await;
    }

    async fn a_leap_second_is_a_second(kind: Kind) {
        let world = World::start(kind).await;
        let leap = world.now().format("%Y-%m-%dT23:59:60Z").to_string();
        let ride = world.patch("/v1/rides/1", &json!({ "datetime": leap, "notify": false })).await.expect(200);
        assert!(ride["datetime"].as_str().unwrap().ends_with("T00:00:00Z"), "{ride}");
        assert_eq!(world.get("/v1/rides/1").await.expect(200), ride);
        world.app.finish().await;
    }
}
