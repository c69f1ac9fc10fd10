//! The committed OpenAPI document, against which every answer that a test sees is checked.

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex, PoisonError},
};

use serde_json::{Value, json};

/// The document.
pub static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let text = std::fs::read_to_string("openapi/openapi.json").expect("openapi/openapi.json is there");
    serde_json::from_str(&text).expect("it is JSON")
});

/// Kept because every answer is looked up in them.
static OPERATIONS: LazyLock<Vec<Operation>> = LazyLock::new(operations);

static VALIDATORS: LazyLock<Mutex<HashMap<String, jsonschema::Validator>>> = LazyLock::new(Mutex::default);

/// One operation of the document.
pub struct Operation {
    /// `GET`, ...
    pub method: String,
    /// With `{id}`.
    pub path: String,
    /// Its operation id.
    pub id: String,
    /// The scopes it asks for.
    pub scopes: Vec<String>,
    /// What it says of itself.
    pub value: &'static Value,
}

/// All operations.
pub fn operations() -> Vec<Operation> {
    let paths = DOCUMENT["paths"].as_object().expect("paths");
    let mut all = Vec::new();
    for (path, item) in paths {
        for (method, value) in item.as_object().expect("operations") {
            all.push(Operation {
                method: method.to_uppercase(),
                path: path.clone(),
                id: value["operationId"].as_str().expect("an id").to_owned(),
                scopes: scopes(value),
                value,
            });
        }
    }
    all
}

fn scopes(operation: &Value) -> Vec<String> {
    let asked = operation["security"][0]["client_credentials"].as_array();
    asked.into_iter().flatten().map(|scope| scope.as_str().expect("a scope").to_owned()).collect()
}

fn find(method: &str, path: &str) -> Option<&'static Operation> {
    let path = path.split('?').next().unwrap_or(path);
    let fits = |template: &str| {
        let (known, asked): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
        known.len() == asked.len()
            && known.iter().zip(&asked).all(|(known, asked)| known == asked || known.starts_with('{'))
    };
    let fitting: Vec<_> = OPERATIONS.iter().filter(|op| fits(&op.path)).collect();
    // `/customers/search` before `/customers/{id}`, whatever the method.
    let nearest = fitting.iter().map(|op| op.path.matches('{').count()).min()?;
    fitting.into_iter().find(|op| op.method == method && op.path.matches('{').count() == nearest)
}

/// Fails if the document does not say that this operation can answer so.
pub fn check(method: &str, path: &str, status: u16, content_type: &str, body: &Value) {
    let Some(operation) = find(method, path) else { return };
    let name = format!("{} answers {status}", operation.id);
    let response = &operation.value["responses"][status.to_string()];
    assert!(!response.is_null(), "{name}, which the document does not say");
    let pointer = response["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    let response = pointer.map_or(response, |pointer| DOCUMENT.pointer(pointer).expect("a response"));
    let content = &response["content"];
    if content.is_null() {
        return;
    }
    let kind = content_type.split(';').next().unwrap_or_default();
    let schema = &content[kind]["schema"];
    assert!(!schema.is_null(), "{name} as {content_type:?}, which the document does not say");
    // A test that failed here must not fail those behind it.
    let mut validators = VALIDATORS.lock().unwrap_or_else(PoisonError::into_inner);
    let validator = validators.entry(name.clone()).or_insert_with(|| {
        let mut whole = schema.clone();
        whole["components"] = DOCUMENT["components"].clone();
        jsonschema::draft202012::new(&whole).expect("a schema")
    });
    let wrong: Vec<_> = validator.iter_errors(body).map(|error| error.to_string()).collect();
    assert!(wrong.is_empty(), "{name} with a body that its schema refuses: {wrong:?}\n{body}");
}

/// A body that an operation would take, from the example in its schema.
pub fn example(operation: &Operation) -> Option<Value> {
    let reference = operation.value["requestBody"]["content"]["application/json"]["schema"]["$ref"].as_str()?;
    let schema = DOCUMENT.pointer(reference.strip_prefix('#')?)?;
    Some(schema["examples"][0].clone()).filter(|example| !example.is_null()).or_else(|| Some(json!({})))
}
