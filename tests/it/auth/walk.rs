//! Every operation of the document asks for the scope that it names, and for no other.

use std::collections::{BTreeSet, HashMap};

use crate::harness::{
    Answer, Api, CLIENT, Kind, TestApp, on_both_databases,
    spec::{self, Operation},
};

/// What anybody may call.
const OPEN: [&str; 9] = [
    "get_token",
    "live",
    "ready",
    "webhook_sms_get",
    "webhook_sms_post",
    "webhook_voice_get",
    "webhook_voice_post",
    "webhook_status_get",
    "webhook_status_post",
];

/// Every scope there is, as the document lists them.
fn scopes() -> BTreeSet<&'static str> {
    let flow = &spec::DOCUMENT["components"]["securitySchemes"]["client_credentials"]["flows"]["clientCredentials"];
    flow["scopes"].as_object().expect("scopes").keys().map(String::as_str).collect()
}

fn secured() -> Vec<Operation> {
    spec::operations().into_iter().filter(|operation| !operation.scopes.is_empty()).collect()
}

async fn call(api: &Api, operation: &Operation) -> Answer {
    let path = operation.path.replace("{id}", "999999").replace("{phone_number}", "+31612345678");
    assert!(!path.contains('{'), "{path}");
    match spec::example(operation) {
        Some(body) => api.json(&operation.method, &path, &[], &body).await,
        None => api.raw(&operation.method, &path, &[], Vec::new()).await,
    }
}

/// The API with a token for these scopes only.
async fn with_scopes<'a>(app: &TestApp, scopes: impl IntoIterator<Item = &'a str>) -> Api {
    let scopes: Vec<_> = scopes.into_iter().collect();
    Api::sign_in(&app.base, CLIENT, Some(&scopes.join(" "))).await
}

#[test]
fn every_operation_is_secured_or_meant_to_be_open() {
    let open: BTreeSet<_> =
        spec::operations().into_iter().filter(|operation| operation.scopes.is_empty()).map(|open| open.id).collect();
    assert_eq!(open, OPEN.map(str::to_owned).into());
    assert!(secured().len() > 25, "the document has operations");
}

#[test]
fn every_scope_is_asked_for_by_some_operation() {
    let asked: BTreeSet<_> = secured().into_iter().flat_map(|operation| operation.scopes).collect();
    let known: BTreeSet<_> = scopes().into_iter().map(str::to_owned).collect();
    assert_eq!(asked, known);
}

on_both_databases! {
    async fn every_secured_operation_asks_for_its_scope_and_no_other(kind: Kind) {
        let app = TestApp::start(kind).await;
        let mut without = HashMap::new();
        for scope in scopes() {
            let others = scopes().into_iter().filter(|other| *other != scope);
            without.insert(scope, with_scopes(&app, others).await);
        }
        let mut only = HashMap::new();
        for operation in secured() {
            let (name, scopes) = (&operation.id, &operation.scopes);
            let anonymous = call(&app.with_token(""), &operation).await;
            assert_eq!(anonymous.status, 401, "{name} without a token");
            assert_eq!(anonymous.header("www-authenticate"), "Bearer");
            anonymous.expect_problem(401, "unauthorized");
            for scope in scopes {
                let refused = call(&without[scope.as_str()], &operation).await;
                assert_eq!(refused.status, 403, "{name} with every scope but {scope}");
                let problem = refused.expect_problem(403, "missing_scope");
                assert!(problem["detail"].as_str().unwrap().contains(scope.as_str()), "{problem}");
            }
            if !only.contains_key(scopes) {
                only.insert(scopes.clone(), with_scopes(&app, scopes.iter().map(String::as_str)).await);
            }
            let allowed = call(&only[scopes], &operation).await;
            assert!(!matches!(allowed.status, 401 | 403 | 500..), "{name} with {scopes:?}: {}", allowed.text);
        }
        app.finish().await;
    }
}
