//! What a token shows: no more than the table of scopes in the document says.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    carriers::messagebird::MessageBird,
    harness::{
        Api, CLIENT, Kind, TestApp,
        carrier::{Carrier as _, StandIn},
        id, on_both_databases,
        spec::{self, Operation},
    },
    ride::{ANN, BOB, NUMBER},
};

const NAME: &str = "Canary Ann";
const TEXT: &str = "a canary at the door";

/// One thing that an answer can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Shown {
    Name,
    Phone,
    Text,
    Call,
}

/// What stands in an answer.
fn shown(operation: &Operation, text: &str) -> BTreeSet<Shown> {
    let is_call = text.contains("\"answered_at\"") || operation.id == "get_event" && text.contains("\"call.");
    let found = [
        (Shown::Name, text.contains("Canary")),
        (Shown::Phone, [ANN, BOB].iter().any(|phone| text.contains(&phone[1..]))),
        (Shown::Text, text.contains(TEXT)),
        (Shown::Call, is_call),
    ];
    found.into_iter().filter_map(|(what, is)| is.then_some(what)).collect()
}

/// What the table says of the scopes that show anything of this.
fn promised(scope: &str) -> BTreeSet<Shown> {
    let shown: &[Shown] = match scope {
        "customers:read" | "customers:write" | "drivers:read" | "drivers:write" => &[Shown::Name],
        "messages:read" | "simulator:use" => &[Shown::Name, Shown::Text],
        "calls:read" => &[Shown::Call],
        _ => &[],
    };
    shown.iter().copied().collect()
}

/// A ride with a text and a call on it.
async fn stage(app: &TestApp) {
    let ann = app.customer(NAME, ANN).await;
    let bob = app.driver("Canary Bob", BOB).await;
    app.number(NUMBER, "simulator").await;
    app.ride(ann, bob).await.expect(201);
    app.simulate_text(ANN, NUMBER, TEXT).await;
    app.simulate_call(BOB, NUMBER).await;
    app.send_due().await;
    app.place_events().await;
}

async fn token(app: &TestApp, scopes: &str) -> Api {
    Api::sign_in(&app.base, CLIENT, Some(scopes)).await
}

fn scopes() -> Vec<String> {
    let flow = &spec::DOCUMENT["components"]["securitySchemes"]["client_credentials"]["flows"]["clientCredentials"];
    flow["scopes"].as_object().unwrap().keys().cloned().collect()
}

/// Everything that a token reads of what is there, by operation: reads, searches, and edits that change nothing.
async fn read(api: &Api, operation: &Operation) -> Vec<String> {
    let mut texts = Vec::new();
    for row in 1..=4 {
        let path = operation.path.replace("{id}", &row.to_string()).replace("{phone_number}", BOB);
        let body = match operation.method.as_str() {
            "GET" => Value::Null,
            "PATCH" => json!({}),
            "POST" if path.ends_with("/search") => json!({ "phone_number": ANN }),
            "POST" if path.ends_with("/retry") => json!({}),
            _ => continue,
        };
        texts.push(api.json(&operation.method, &path, &[], &body).await.text);
    }
    texts
}

/// The rows of the table in the document: scope, operations, what it shows, and what it adds.
fn table() -> Vec<[String; 4]> {
    let text = spec::DOCUMENT["info"]["description"].as_str().unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    let cells = |row: &str| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    rows.map(|row| cells(row).try_into().expect("four cells")).collect()
}

/// The words between backticks.
fn words(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn the_table_has_every_scope_and_every_operation() {
    let rows = table();
    let named: Vec<_> = rows.iter().map(|row| words(&row[0])[0].to_owned()).collect();
    assert_eq!(BTreeSet::from_iter(named.iter().cloned()), BTreeSet::from_iter(scopes()));
    assert_eq!(named.len(), scopes().len());
    for row in &rows {
        let scope = words(&row[0])[0];
        let operations =
            spec::operations().into_iter().filter(|operation| operation.scopes.iter().any(|asked| asked == scope));
        let operations: BTreeSet<_> = operations.map(|operation| operation.id).collect();
        let listed = words(&row[1]).into_iter().filter(|word| !word.contains(':')).map(str::to_owned);
        assert_eq!(listed.collect::<BTreeSet<_>>(), operations, "{scope}");
        assert!(!row[2].is_empty());
    }
}

#[test]
fn the_table_names_only_what_the_document_has() {
    let document = spec::DOCUMENT.to_string();
    for row in table() {
        for word in words(&row[2]).into_iter().chain(words(&row[3])) {
            let is_field = document.contains(&format!("\"{word}\":{{"));
            let is_operation = spec::operations().iter().any(|operation| operation.id == word);
            assert!(is_field || is_operation || scopes().iter().any(|scope| scope == word), "{word}");
        }
    }
}

on_both_databases! {
    async fn a_token_with_one_scope_shows_what_its_row_says(kind: Kind) {
        let app = TestApp::start(kind).await;
        stage(&app).await;
        for scope in scopes() {
            let api = token(&app, &scope).await;
            let mut all = BTreeSet::new();
            for operation in spec::operations() {
                if operation.scopes != [scope.as_str()] {
                    continue;
                }
                for text in read(&api, &operation).await {
                    all.extend(shown(&operation, &text));
                }
            }
            // Events say that there was a call, by decision.
            if scope == "events:manage" {
                all.remove(&Shown::Call);
            }
            assert_eq!(all, promised(&scope), "{scope}");
        }
        app.finish().await;
    }

    async fn revealing_phones_alone_opens_nothing(kind: Kind) {
        let app = TestApp::start(kind).await;
        stage(&app).await;
        let api = token(&app, "phone_numbers:reveal").await;
        for operation in spec::operations().into_iter().filter(|operation| !operation.scopes.is_empty()) {
            for text in read(&api, &operation).await {
                assert!(text.contains("missing_scope"), "{}: {text}", operation.id);
            }
        }
        let search = json!({ "phone_number": ANN });
        for (role, other) in [("customers", "drivers"), ("drivers", "customers")] {
            let path = format!("/v1/{role}/search");
            for scopes in ["phone_numbers:reveal".to_owned(), format!("phone_numbers:reveal {other}:read"), format!("{role}:read {role}:write")] {
                let refused = token(&app, &scopes).await.post(&path, &search).await;
                assert!(!refused.text.contains("Canary"));
                refused.expect_problem(403, "missing_scope");
            }
            token(&app, &format!("phone_numbers:reveal {role}:read")).await.post(&path, &search).await.expect(200);
        }
        app.finish().await;
    }

    async fn a_timeline_has_calls_and_texts_only_for_who_may_read_them(kind: Kind) {
        let app = TestApp::start(kind).await;
        stage(&app).await;
        for (scopes, calls, texts) in [
            ("rides:read", false, false),
            ("rides:read calls:read", true, false),
            ("rides:read messages:read", false, true),
            ("rides:read rides:write events:manage phone_numbers:reveal", false, false),
            ("rides:read messages:read calls:read", true, true),
        ] {
            let timeline = token(&app, scopes).await.timeline(1).await;
            assert_eq!(timeline.iter().any(|item| item["type"] == "call"), calls, "{scopes}");
            assert_eq!(timeline.iter().any(|item| item["text"] == TEXT), texts, "{scopes}");
            assert!(timeline.iter().any(|item| item["type"] == "message"));
        }
        app.finish().await;
    }

    async fn the_simulator_shows_no_texts_next_to_other_providers(kind: Kind) {
        let provider = StandIn::of(std::sync::Arc::new(MessageBird)).await;
        let variables = MessageBird.account(&provider.base);
        let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let app = TestApp::with(kind, &variables).await;
        stage(&app).await;
        let alone = token(&app, "simulator:use").await;
        let screen = alone.screen(BOB).await;
        assert!(screen.len() >= 2 && screen.iter().all(|item| item.get("text").is_none()), "{screen:?}");
        let reader = token(&app, "simulator:use messages:read").await;
        assert!(reader.screen(BOB).await.iter().any(|item| item["text"] == TEXT));
        app.finish().await;
    }

    async fn a_repeat_shows_what_its_own_token_may_see(kind: Kind) {
        let app = TestApp::start(kind).await;
        stage(&app).await;
        let key = [("idempotency-key", "one")];
        let text = json!({ "to": "customer", "text": TEXT });
        let first = app.json("POST", "/v1/rides/1/messages", &key, &text).await.expect(202);
        let again = token(&app, "messages:write").await.json("POST", "/v1/rides/1/messages", &key, &text).await.expect(202);
        assert_eq!((id(&first), &first["text"], again.get("text")), (id(&again), &json!(TEXT), None));
        let cyd = json!({ "name": "Canary Cyd", "phone_number": "+31611111111" });
        let first = app.json("POST", "/v1/customers", &key, &cyd).await.expect(201);
        let again = token(&app, "customers:write").await.json("POST", "/v1/customers", &key, &cyd).await.expect(201);
        assert_eq!((id(&first), &first["phone_number"]), (id(&again), &json!("+31611111111")));
        assert_ne!(first["phone_number"], again["phone_number"]);
        app.send_due().await;
        app.finish().await;
    }
}
