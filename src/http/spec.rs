//! The OpenAPI document: what poem-openapi derives from the types, made into a whole and valid 3.1 document.
//!
//! The library speaks 3.0 in places (`nullable`, `example` in schemas) and knows nothing of problem documents. What is
//! put in here is decided by rules over all operations, so that no operation can forget it; the test suite checks
//! every answer it sees against the result.

mod events;
mod scopes;

use std::{
    collections::{BTreeMap, HashMap},
    sync::LazyLock,
};

use poem::{endpoint::BoxEndpoint, http::Method};
use poem_openapi::{
    OpenApi, OpenApiService,
    registry::{MetaApi, Registry},
};
use serde_json::{Map, Value, json};

use super::{api::Operations, auth, problem::Code, scalars::EXAMPLE_DATETIME};
use crate::domain::error::Conflict;

/// Title of the document.
pub(super) const TITLE: &str = "Maskline";

const DESCRIPTION: &str = "Lets the two people of a ride call and text each other without either seeing the other's \
phone number.\n\n\
**First steps.** Press *Authorize* and sign in with the client that the service printed when it started. Create a \
customer, a driver and a number (provider `simulator`), then a ride. Both people get a text from the ride's \
`proxy_number`: look at their phones under *Simulator*, text or call that number as one of them, and look at the \
other's phone again.\n\n\
**Lists** go by id: pass `next` as `after` until it is null. **PATCH** leaves absent fields as they are; null clears \
optional ones. **ETag** and **If-Match** keep concurrent edits apart; `If-Match` takes weak tags and lists too, so proxies may \
compress answers. **Idempotency-Key** makes a POST safe to repeat.\n\n\
**Errors** are problem documents (RFC 9457) that name every wrong field, parameter and header at once and repeat no \
value that was sent. Their codes are listed with the schema `Problem` below. A request whose head cannot be read has no \
document: 400, 414 or 431. No answer but the pages may be cached: all have `Cache-Control: no-store`.";

const SCOPES: &str = "**Scopes.** A token shows only what its scopes allow. Some operations need a further scope for some of their fields: \
they say so, and the last column lists it under that scope.";

/// The groups of operations, in the order in which somebody new needs them.
const GROUPS: [&str; 11] = [
    "Authorization",
    "Customers",
    "Drivers",
    "Numbers",
    "Rides",
    "Simulator",
    "Activity",
    "Events",
    "Clients",
    "Webhooks",
    "Health",
];

/// Everything the operations declare, without the services they need: enough for a document.
struct Blueprint;

impl OpenApi for Blueprint {
    fn meta() -> Vec<MetaApi> {
        Operations::meta()
    }

    fn register(registry: &mut Registry) {
        Operations::register(registry);
    }

    fn add_routes(self, _: &mut HashMap<String, HashMap<Method, BoxEndpoint<'static>>>) {}
}

/// The document.
pub fn document() -> Value {
    // A process may start several services, each of which would derive the same.
    static DOCUMENT: LazyLock<Value> = LazyLock::new(derive);
    DOCUMENT.clone()
}

fn derive() -> Value {
    let derived = OpenApiService::new(Blueprint, TITLE, env!("CARGO_PKG_VERSION")).spec();
    let mut document: Value = serde_json::from_str(&derived).unwrap_or_default();
    document["openapi"] = "3.1.0".into();
    document["info"] = json!({
        "title": TITLE,
        "version": env!("CARGO_PKG_VERSION"),
        "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
    });
    // Without servers, addresses are relative to wherever the document is served.
    document.as_object_mut().map(|document| document.remove("servers"));
    if let Some(tags) = document["tags"].as_array_mut() {
        tags.sort_by_key(|tag| GROUPS.iter().position(|group| tag["name"] == *group));
    }
    modernise(&mut document);
    for (path, item) in document["paths"].as_object_mut().into_iter().flatten() {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            complete(path, method, operation);
        }
    }
    let description = format!("{DESCRIPTION}\n\n{SCOPES}\n\n{}", scopes::table(&document));
    document["info"]["description"] = description.into();
    document["components"]["schemas"]["Problem"] = problem_schema();
    events::describe(&mut document);
    document["components"]["responses"] = problem_responses();
    document
}

/// The document of a service that lives under this path, which is empty at the root: addresses in it are absolute
/// paths.
pub(super) fn document_under(prefix: &str) -> Value {
    let mut document = document();
    if !prefix.is_empty() {
        document["servers"] = json!([{ "url": prefix }]);
        let flow = &mut document["components"]["securitySchemes"][auth::SCHEME]["flows"]["clientCredentials"];
        flow["tokenUrl"] = format!("{prefix}{}", auth::TOKEN_PATH).into();
    }
    document
}

/// The document as JSON: keys sorted, one form for one content, with a line break at the end.
pub fn json(document: &Value) -> String {
    let mut text = serde_json::to_string_pretty(document).unwrap_or_default();
    text.push('\n');
    text
}

/// The document as YAML.
pub(super) fn yaml(document: &Value) -> String {
    serde_saphyr::to_string(document).unwrap_or_default()
}

/// Swagger UI with its assets inside, reading the served document, and remembering who signed in.
pub(super) fn swagger_page(prefix: &str) -> String {
    let stock = OpenApiService::new(Blueprint, TITLE, env!("CARGO_PKG_VERSION")).swagger_ui_html();
    let (start, end) = (stock.find("let spec = "), stock.find("let oauth2RedirectUrl;"));
    let (start, end) = start.zip(end).unwrap_or((stock.len(), stock.len()));
    let script = format!(
        "const tomorrow = new Date(Date.now() + 24 * 3600 * 1000).toISOString().slice(0, 19) + 'Z';\n    \
         fetch('{prefix}/openapi.json').then(answer => answer.text()).then(text => {{\n    \
         const spec = JSON.parse(text.replaceAll('{EXAMPLE_DATETIME}', tomorrow));\n    "
    );
    let page = format!("{}{script}{}", &stock[..start], &stock[end..]);
    page.replace("<html charset=\"UTF-8\">", "<!DOCTYPE html>\n<html lang=\"en\">")
        .replace("<title>Swagger UI</title>", "<title>Maskline API</title>\n    <link rel=\"icon\" href=\"data:,\">")
        .replace(
            "deepLinking: true,\n    })",
            "deepLinking: true,\n        persistAuthorization: true,\n        tryItOutEnabled: true,\n        \
             displayRequestDuration: true,\n    })})",
        )
}

/// Turns 3.0 forms into those of 3.1, and `application/json; charset=utf-8` into `application/json`.
fn modernise(value: &mut Value) {
    match value {
        Value::Object(object) => {
            object.values_mut().for_each(modernise);
            if object.remove("nullable") == Some(Value::Bool(true)) {
                allow_null(object);
            }
            let is_schema = object.contains_key("type") && !object.contains_key("in");
            if is_schema && let Some(example) = object.remove("example") {
                object.insert("examples".to_owned(), json!([example]));
            }
            if let Some(schema) = object.remove("application/json; charset=utf-8") {
                object.insert("application/json".to_owned(), schema);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(modernise),
        _ => {}
    }
}

fn allow_null(schema: &mut Map<String, Value>) {
    if let Some(Value::String(kind)) = schema.get("type") {
        let kinds = json!([kind, "null"]);
        schema.insert("type".to_owned(), kinds);
    }
    if let Some(Value::Array(words)) = schema.get_mut("enum") {
        words.push(Value::Null);
    }
}

/// Puts into an operation what all operations of its kind have.
fn complete(path: &str, method: &str, operation: &mut Value) {
    let scopes = scopes::scopes_of(operation).iter().map(|scope| format!("`{scope}`")).collect::<Vec<_>>();
    let is_secured = !scopes.is_empty();
    if is_secured {
        let description = operation["description"].as_str().unwrap_or_default();
        let word = if scopes.len() == 1 { "Scope" } else { "Scopes" };
        operation["description"] = format!("{description}\n\n{word}: {}.", scopes.join(" and ")).into();
    } else {
        operation["security"] = json!([]);
    }
    if operation["operationId"] == "create_driver" {
        // With the customer's example, the ride of the two would have one phone on both ends.
        operation["requestBody"]["content"]["application/json"]["example"] =
            json!({ "name": "Bob de Boer", "phone_number": "+31687654321", "external_id": "driver-204" });
    }
    let statuses = statuses(path, method, operation, is_secured);
    if let Some(responses) = operation["responses"].as_object_mut() {
        for status in statuses {
            let problem = if path.starts_with("/webhooks/") && matches!(status, 400 | 401 | 503) {
                json!({ "description": dialect_meaning(status) })
            } else {
                json!({ "$ref": format!("#/components/responses/Problem{status}") })
            };
            responses.entry(status.to_string()).or_insert(problem);
        }
        let header = |description: &str| json!({ "description": description, "schema": { "type": "string" } });
        for (status, response) in responses.iter_mut().filter(|(status, _)| status.starts_with('2')) {
            response["headers"]["X-Request-Id"] = header("Names the request, in the log too.");
            if status == "201" {
                response["headers"]["Location"] = header("Path of what was made.");
            }
            if method != "delete" && is_versioned(path) {
                response["headers"]["ETag"] = header("Version, for `If-Match`.");
            }
        }
    }
}

/// What a provider learns from our refusal; the body is in its dialect, or a problem document.
fn dialect_meaning(status: u16) -> &'static str {
    match status {
        400 => "Signed, and yet nothing that this webhook takes.",
        401 => "Not signed, or not as this provider signs; or the provider is not configured. No effect.",
        _ => "Not stored: the provider should send it again.",
    }
}

fn is_versioned(path: &str) -> bool {
    ["customers", "drivers", "numbers", "rides", "event-endpoints"]
        .iter()
        .any(|name| path == format!("/v1/{name}/{{id}}"))
}

/// Which problems an operation can answer.
fn statuses(path: &str, method: &str, operation: &Value, secured: bool) -> Vec<u16> {
    let has = |place: &str| operation["parameters"].as_array().is_some_and(|all| all.iter().any(|p| p["in"] == place));
    let body = !operation["requestBody"].is_null();
    let has_key =
        operation["parameters"].as_array().is_some_and(|all| all.iter().any(|p| p["name"] == "Idempotency-Key"));
    let webhook = path.starts_with("/webhooks/");
    let id = operation["operationId"].as_str().unwrap_or_default();
    let conflicts = secured
        && (matches!(method, "patch" | "delete")
            || id.starts_with("create_")
            || matches!(id, "send_text" | "retry_message" | "set_contact" | "rotate_client" | "revoke_client"));
    let rules = [
        // No operation takes a request without `Host`, or a body that does not arrive whole.
        (400, true),
        (401, secured || webhook),
        (403, secured),
        (404, has("path") || path.starts_with("/v1/simulator/")),
        (405, webhook),
        (409, conflicts),
        (412, matches!(method, "patch" | "delete") || id == "set_contact"),
        (413, true),
        (415, body),
        // A key can have been used for another path, too.
        (422, secured && (body || has_key)),
        (429, secured),
        (500, true),
        (503, id != "live"),
    ];
    rules.into_iter().filter_map(|(status, applies)| applies.then_some(status)).collect()
}

/// Codes and meanings, by status.
fn codes() -> BTreeMap<u16, Vec<(&'static str, &'static str)>> {
    let mut codes: BTreeMap<u16, Vec<_>> = BTreeMap::new();
    for code in Code::ALL {
        codes.entry(code.status().as_u16()).or_default().push((code.as_str(), code.meaning()));
    }
    let conflicts = Conflict::ALL.iter().map(|conflict| (conflict.as_str(), conflict.detail()));
    codes.insert(409, conflicts.collect());
    codes
}

fn code_table() -> String {
    let rows = codes().into_iter().flat_map(|(status, codes)| {
        codes.into_iter().map(move |(code, meaning)| format!("| {status} | `{code}` | {meaning} |\n"))
    });
    format!("| Status | Code | Meaning |\n|---|---|---|\n{}", rows.collect::<String>())
}

fn problem_responses() -> Value {
    let responses = codes().into_iter().map(|(status, codes)| {
        let lines: Vec<_> = codes.iter().map(|(code, meaning)| format!("`{code}`: {meaning}")).collect();
        let example = json!({
            "type": "about:blank",
            "title": poem::http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()),
            "status": status,
            "code": codes[0].0,
            "detail": codes[0].1,
        });
        let content = json!({ "schema": { "$ref": "#/components/schemas/Problem" }, "example": example });
        let response = json!({ "description": lines.join(" "), "content": { "application/problem+json": content } });
        (format!("Problem{status}"), response)
    });
    Value::Object(responses.collect())
}

fn problem_schema() -> Value {
    json!({
        "type": "object",
        "description": format!("What went wrong (RFC 9457).\n\n{}", code_table()),
        "required": ["type", "title", "status", "code", "detail"],
        "properties": {
            "type": { "type": "string", "description": "Always `about:blank`: `code` tells problems apart." },
            "title": { "type": "string", "description": "The status in words." },
            "status": { "type": "integer", "description": "The HTTP status." },
            "code": { "type": "string", "description": "Stable name of the problem: one of the table." },
            "detail": { "type": "string", "description": "The problem in a sentence." },
            "errors": {
                "type": "array",
                "description": "Every wrong field.",
                "items": {
                    "type": "object",
                    "required": ["pointer", "detail"],
                    "properties": {
                        "pointer": {
                            "type": "string",
                            "description": "JSON pointer into the body, or the name of a parameter or header. Unknown names are cut to 40 characters."
                        },
                        "detail": { "type": "string", "description": "The rule that was broken." }
                    }
                }
            },
            "open_rides": { "type": "integer", "description": "With `number_in_use`: how many rides use it." },
            "rides": {
                "type": "array",
                "description": "With `phone_barred`: ids of the rides on whose number the new phone is barred.",
                "items": { "type": "integer", "format": "int64" }
            },
            "reason": {
                "type": "string",
                "description": "Of `/health/ready`: why requests should not come here.",
                "enum": crate::service::NotReady::ALL.iter().map(|why| why.as_str()).collect::<Vec<_>>()
            },
            "limit": {
                "type": "string",
                "description": "With `number_pool_depleted`: the limit that was hit first.",
                "enum": crate::domain::error::PoolLimit::ALL.iter().map(|limit| limit.as_str()).collect::<Vec<_>>()
            }
        }
    })
}
