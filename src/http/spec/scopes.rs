//! The table of scopes in the document. Which operations a scope opens is read from the document itself; what they show
//! is said here, for every scope, and tested with a token for each.

use std::fmt::Write as _;

use serde_json::Value;

use crate::{domain::scope::Scope, http::auth};

/// What a scope lets a caller see: in the answers of its own operations, and besides in those of others.
fn shows(scope: Scope) -> (&'static str, &'static str) {
    match scope {
        Scope::CustomersRead => ("Customers: `name`, `language`, `external_id`, and `phone_number` masked.", ""),
        Scope::CustomersWrite => {
            ("The customer that was written, as `customers:read` shows it.", "`customer` of `create_ride`.")
        }
        Scope::DriversRead => ("Drivers: `name`, `language`, `external_id`, and `phone_number` masked.", ""),
        Scope::DriversWrite => {
            ("The driver that was written, as `drivers:read` shows it.", "`driver` of `create_ride`.")
        }
        Scope::NumbersRead => ("Proxy numbers, the pool and the providers. Nothing about people.", ""),
        Scope::NumbersWrite => ("The numbers that were written. Nothing about people.", ""),
        Scope::RidesRead => (
            "Rides: ids of both people, `start`, `destination`, times and `proxy_number`. In timelines also messages, without \
             `text` and `media`. No names, phone numbers or calls.",
            "",
        ),
        Scope::RidesWrite => (
            "The ride that was written, as `rides:read` shows it; in a dry run the number that it would get, and counts of the \
             pool.",
            "",
        ),
        Scope::MessagesRead => (
            "Messages with `text` and `media`. Notices name the other party, and people may write anything.",
            "`text` and `media` in `get_timeline`, `send_text`, `retry_message`, and in `simulated_phone` next to other \
             providers. `include_text` of event endpoints.",
        ),
        Scope::MessagesWrite => ("The message that was sent, without `text` and `media`.", ""),
        Scope::CallsRead => ("Calls: who called whom by role, when, and with what result.", "Calls in `get_timeline`."),
        Scope::PhoneNumbersReveal => (
            "Nothing by itself: each operation needs another scope too.",
            "`phone_number` of people and `rang` of `simulate_call` unmasked, where the other scopes show them. No limit on \
             phone numbers that are compared with stored ones.",
        ),
        Scope::EventsManage => (
            "Events: ids and states of rides, messages, calls, numbers, the pool and the providers, also without the scopes \
             that read those. All event endpoints; the secret of one only when it is created or rotated. No names, phone numbers or texts.",
            "",
        ),
        Scope::EventsAdmin => {
            ("The event endpoint that was adopted.", "Event endpoints of other clients can be changed.")
        }
        Scope::ClientsManage => {
            ("Clients and their scopes. A secret once, and only of a client with no more scopes than the token.", "")
        }
        Scope::SimulatorUse => (
            "Screens of simulated phones: texts and calls over numbers of the simulator, where it is the only provider. Next to \
             other providers, no `text`.",
            "",
        ),
    }
}

/// The table, in Markdown.
pub(super) fn table(document: &Value) -> String {
    let mut table = "| Scope | Operations | Shows | In other operations |\n|---|---|---|---|\n".to_owned();
    for scope in Scope::ALL {
        let operations = operations(document, *scope);
        let (own, others) = shows(*scope);
        // A table in memory takes every line.
        let _ = writeln!(table, "| `{}` | {operations} | {own} | {others} |", scope.as_str());
    }
    table
}

/// The operations that ask for a scope, each with what it asks for besides.
fn operations(document: &Value, scope: Scope) -> String {
    let paths = document["paths"].as_object().into_iter().flatten();
    let operations = paths.flat_map(|(_, item)| item.as_object().into_iter().flatten());
    let asked = operations.filter_map(|(_, operation)| {
        let asked = scopes_of(operation);
        if !asked.contains(&scope.as_str()) {
            return None;
        }
        let besides = asked.into_iter().filter(|other| *other != scope.as_str());
        let besides: String = besides.map(|other| format!(" (with `{other}`)")).collect();
        Some(format!("`{}`{besides}", operation["operationId"].as_str().unwrap_or_default()))
    });
    asked.collect::<Vec<_>>().join(", ")
}

/// All scopes that an operation asks for.
pub(super) fn scopes_of(operation: &Value) -> Vec<&str> {
    let asked = operation["security"][0][auth::SCHEME].as_array();
    asked.into_iter().flatten().filter_map(Value::as_str).collect()
}
