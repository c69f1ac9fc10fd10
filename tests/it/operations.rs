//! What operators rely on: health, the document, and migrations of racing replicas.

use std::sync::Arc;

use maskline::{app::App, clock::SystemClock};
use serde_json::Value;

use crate::harness::{Kind, TestApp, config_for, on_both_databases, postgres, spec};

on_both_databases! {
    async fn health_and_documents_need_no_token(kind: Kind) {
        let app = TestApp::start(kind).await;
        let anyone = app.with_token("");
        assert_eq!(anyone.get("/health/live").await.expect(200)["status"], "ok");
        assert_eq!(anyone.get("/health/ready").await.expect(200)["status"], "ok");
        let home = anyone.get("/").await;
        assert_eq!((home.status, home.header("location")), (302, "/docs"));
        let page = anyone.get("/docs").await;
        assert!(page.status == 200 && page.text.contains("SwaggerUIBundle") && page.text.contains("/openapi.json"));
        assert!(!page.text.contains("let spec =") && page.text.contains("tryItOutEnabled"), "the page reads the served document");
        let committed = std::fs::read_to_string("openapi/openapi.json").unwrap();
        assert_eq!(anyone.get("/openapi.json").await.text, committed, "the same bytes");
        let yaml: Value = serde_saphyr::from_str(&anyone.get("/openapi.yaml").await.text).unwrap();
        assert_eq!(yaml, *spec::DOCUMENT);
        app.finish().await;
    }

    async fn the_pool_and_the_providers_are_shown(kind: Kind) {
        let app = TestApp::start(kind).await;
        app.number("+3197010200001", "simulator").await;
        app.number("+12025550123", "simulator").await;
        let pool = app.get("/v1/pool").await.expect(200);
        assert_eq!((pool["total"].as_i64(), pool["usable"].as_i64(), pool["open"].as_i64()), (Some(2), Some(2), Some(0)));
        assert_eq!(pool["groups"].as_array().unwrap().len(), 2);
        let providers = app.get("/v1/providers").await.expect(200);
        let shown: Vec<_> = providers["items"].as_array().unwrap().iter()
            .map(|provider| (provider["name"].as_str().unwrap(), provider["configured"].as_bool().unwrap()))
            .collect();
        let names = ["bandwidth", "messagebird", "plivo", "simulator", "telnyx", "twilio", "vonage"];
        assert_eq!(shown, names.map(|name| (name, name == "simulator")));
        for provider in providers["items"].as_array().unwrap() {
            let name = provider["name"].as_str().unwrap();
            for endpoint in ["sms", "voice", "status"] {
                let address = provider["webhooks"][endpoint].as_str().unwrap();
                let (address, fragment) = address.split_once('#').unwrap_or((address, ""));
                assert_eq!(address, format!("https://mask.test/webhooks/{name}/{endpoint}"));
                assert!(fragment.is_empty() || ["twilio", "plivo"].contains(&name), "{name}: {fragment}");
            }
            assert!(provider["text_limit"].as_u64().unwrap() > 0 && provider["texts_per_minute"].as_u64().unwrap() > 0);
            assert_eq!(provider["text_unit"], if name == "simulator" { "characters" } else { "utf16_code_units" });
            assert!(!provider["methods"]["voice"].as_array().unwrap().is_empty());
            assert!(provider["signature"].is_string() && provider["delivery_reports"].is_boolean());
            assert!(["callbacks", "polling"].contains(&provider["call_results"].as_str().unwrap()));
        }
        let twilio = providers["items"][5]["webhooks"].to_string();
        assert!(twilio.contains("#rc="), "without it, Twilio does not repeat what we could not take: {twilio}");
        app.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_start_together_migrate_once() {
    let url = postgres::empty().await;
    let mut starting = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let config = config_for(&url, &[]);
        starting.spawn(async move { App::build(config, Arc::new(SystemClock)).await.map(|app| app.start(false)) });
    }
    for started in starting.join_all().await {
        started.expect("every replica starts").stop().await;
    }
}

#[test]
fn the_document_is_openapi_3_1_and_whole() {
    let document = &*spec::DOCUMENT;
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        assert!(jsonschema::draft202012::meta::is_valid(schema), "{name}");
    }
    let text = document.to_string();
    for old in ["\"nullable\"", "\"exclusiveMinimum\":true", "charset=utf-8"] {
        assert!(!text.contains(old), "{old} is OpenAPI 3.0");
    }
    for operation in spec::operations() {
        let said = |field: &str| operation.value[field].as_str().is_some_and(|text| !text.is_empty());
        assert!(said("summary") && said("description"), "{} says what it does", operation.id);
        for scope in &operation.scopes {
            assert!(operation.value["description"].as_str().unwrap().contains(scope.as_str()), "{}", operation.id);
        }
        let parameters = operation.value["parameters"].as_array().into_iter().flatten();
        for parameter in parameters {
            assert!(parameter["description"].is_string(), "{} of {}", parameter["name"], operation.id);
        }
        if operation.id != "get_token" && !operation.value["requestBody"].is_null() {
            let example = spec::example(&operation).unwrap();
            assert!(example.as_object().is_some_and(|fields| !fields.is_empty()), "{} has an example", operation.id);
        }
    }
}
