//! What cannot be right is refused: a problem document that names every wrong field and repeats nothing of what was
//! sent, never a 5xx, and nothing stored.

mod answers;
mod bodies;
mod fields;
mod random;
mod requests;
mod together;

use serde_json::{Value, json};

use crate::{
    harness::{
        Answer, Kind, TestApp,
        spec::{self, Operation},
    },
    ride::ann_and_bob,
};

/// A text and a phone that only wrong values hold: no answer may repeat them.
const CANARY: &str = "canary-7f3a";
const CANARY_PHONE: &str = "+31611122233";

/// A service with one of everything, of which nothing may change.
struct World {
    app: TestApp,
    customer: i64,
    driver: i64,
    before: Vec<Value>,
}

impl std::ops::Deref for World {
    type Target = TestApp;
    fn deref(&self) -> &TestApp {
        &self.app
    }
}

impl World {
    /// Ann rides with Bob. Everything has the id 1, but Bob, who is the second person.
    async fn start(kind: Kind) -> Self {
        let app = TestApp::start(kind).await;
        let (customer, driver, _) = ann_and_bob(&app).await;
        let mut world = Self { app, customer, driver, before: Vec::new() };
        world.post("/v1/rides", &world.new_ride()).await.expect(201);
        let endpoint = json!({ "url": "https://platform.example.com/events" });
        world.post("/v1/event-endpoints", &endpoint).await.expect(201);
        world.before = world.everything().await;
        world
    }

    fn new_ride(&self) -> Value {
        json!({
            "customer_id": self.customer, "driver_id": self.driver, "start": "Dam 1", "destination": "Schiphol",
            "datetime": self.soon(), "notify": false,
        })
    }

    /// Everything that the API tells.
    async fn everything(&self) -> Vec<Value> {
        let mut all = Vec::new();
        for path in [
            "customers",
            "drivers",
            "numbers",
            "rides",
            "rides/1/timeline",
            "messages",
            "calls",
            "event-endpoints",
            "event-endpoints/1/retries",
            "clients",
            "pool",
        ] {
            all.push(self.get(&format!("/v1/{path}")).await.expect(200));
        }
        all
    }

    /// Fails if anything was stored.
    async fn unchanged(self) {
        assert_eq!(self.everything().await, self.before);
        self.app.finish().await;
    }

    /// The path of an operation, naming what is there.
    fn path(&self, operation: &Operation) -> String {
        let id = if operation.path.starts_with("/v1/drivers") { self.driver } else { 1 };
        operation.path.replace("{id}", &id.to_string())
    }

    /// A body that an operation would take here.
    fn good(&self, operation: &Operation) -> Value {
        match operation.id.as_str() {
            "create_ride" => self.new_ride(),
            _ => spec::example(operation).expect("a body"),
        }
    }
}

/// Every operation that takes a JSON body.
fn writes() -> Vec<Operation> {
    let is_write = |operation: &Operation| !operation.value["requestBody"]["content"]["application/json"].is_null();
    let writes: Vec<_> = spec::operations().into_iter().filter(is_write).collect();
    assert!(writes.len() > 10, "the document has bodies");
    writes
}

/// The fields of an operation's body: name and schema.
fn body_fields(operation: &Operation) -> Vec<(&'static str, &'static Value)> {
    let properties = body_schema(operation)["properties"].as_object().expect("properties");
    properties.iter().map(|(name, schema)| (name.as_str(), schema)).collect()
}

fn body_schema(operation: &Operation) -> &'static Value {
    let schema = &operation.value["requestBody"]["content"]["application/json"]["schema"];
    let reference = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#')).expect("a reference");
    spec::DOCUMENT.pointer(reference).expect("a schema")
}

/// Fails unless the answer is this problem and repeats nothing; the fields that it names, in order.
#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str) -> Vec<String> {
    assert_eq!((answer.status, answer.body["code"].as_str()), (status, Some(code)), "{}", answer.text);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(answer.body["status"], status);
    quiet(answer);
    let errors = answer.body["errors"].as_array().cloned().unwrap_or_default();
    let mut named: Vec<_> = errors.iter().map(|error| error["pointer"].as_str().unwrap().to_owned()).collect();
    named.sort_unstable();
    named
}

/// Fails if the answer repeats what was sent.
#[track_caller]
fn quiet(answer: &Answer) {
    let headers = format!("{:?}", answer.headers);
    for canary in [CANARY, &CANARY_PHONE[1..]] {
        assert!(!answer.text.contains(canary) && !headers.contains(canary), "{headers} {}", answer.text);
    }
}

fn pointers<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut all: Vec<_> = names.into_iter().map(|name| format!("/{name}")).collect();
    all.sort_unstable();
    all
}
