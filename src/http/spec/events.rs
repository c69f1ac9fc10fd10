//! Events in the document: a webhook and a schema for each type, all from one table.
//!
//! The schemas are closed and every word in them is from a list or of a fixed form, so that what fits them can hold
//! neither a phone nor a text. The test suite checks every event that it causes against them.

use serde_json::{Map, Value, json};

use crate::{
    domain::{
        breaker::BreakerReason,
        call::CallStatus,
        contact::Refusal,
        error::PoolLimit,
        event::EventType,
        message::{MessageKind, MessageStatus},
        number::NumberStatus,
        person::Role,
        pool::PoolLevel,
        ride::{CloseReason, EndedBy, RideStatus},
    },
    http::api::events::EventView,
};

/// What there is to say of a type of event.
struct Entry {
    /// When it is told.
    summary: &'static str,
    /// Fields of its data that are always there.
    required: &'static [&'static str],
    /// Fields of its data that are there when they apply.
    optional: &'static [&'static str],
    /// What `status` can be; nothing if it has none, or one that is of no fixed list.
    statuses: Vec<&'static str>,
    /// What `reason` can be; nothing if it has none, or one with a provider's code behind it.
    reasons: Vec<&'static str>,
}

const RIDE: &[&str] = &["ride_id", "customer_id", "driver_id", "number_id", "status"];
const TEXT: &[&str] = &["message_id", "provider", "kind", "status"];
const OF_TEXT: &[&str] = &["ride_id", "number_id", "from_role", "to_role"];
const CALL: &[&str] = &["call_id", "provider", "status"];
const OF_CALL: &[&str] = &["ride_id", "number_id", "from_role", "reason"];

macro_rules! all {
    ($words:ident) => {
        $words::ALL.iter().map(|word| word.as_str()).collect()
    };
}

/// The table.
fn entry(kind: EventType) -> Entry {
    let ride = |summary, statuses: &[RideStatus]| Entry {
        summary,
        required: RIDE,
        optional: &[],
        statuses: statuses.iter().map(|status| status.as_str()).collect(),
        reasons: Vec::new(),
    };
    let text = |summary, statuses: &[MessageStatus]| Entry {
        summary,
        required: TEXT,
        optional: OF_TEXT,
        statuses: statuses.iter().map(|status| status.as_str()).collect(),
        reasons: Vec::new(),
    };
    let call = |summary, statuses: &[CallStatus]| Entry {
        summary,
        required: CALL,
        optional: OF_CALL,
        statuses: statuses.iter().map(|status| status.as_str()).collect(),
        reasons: all!(Refusal),
    };
    let pool = |summary, level: PoolLevel| Entry {
        summary,
        required: &["status"],
        optional: &[],
        statuses: vec![level.as_str()],
        reasons: Vec::new(),
    };
    let provider = |summary| Entry {
        summary,
        required: &["provider"],
        optional: &["status", "reason"],
        statuses: Vec::new(),
        reasons: Vec::new(),
    };
    match kind {
        EventType::RideCreated => ride("A ride was created.", &[RideStatus::Scheduled]),
        EventType::RideUpdated => Entry {
            optional: &["reason"],
            reasons: all!(CloseReason),
            ..ride(
                "Plan, driver, number, contact or your id of a ride changed. With a reason, contact was closed because its \
                number was suspended and no other was free.",
                RideStatus::ALL,
            )
        },
        EventType::RideStarted => ride("A ride began.", &[RideStatus::InProgress]),
        EventType::RideCompleted => Entry {
            optional: &["reason"],
            reasons: all!(EndedBy),
            ..ride("A ride is over: you said so, or its longest duration ran out.", &[RideStatus::Completed])
        },
        EventType::RideCancelled => Entry {
            optional: &["reason"],
            reasons: all!(EndedBy),
            ..ride("A ride was called off.", &[RideStatus::Cancelled])
        },
        EventType::RideContactClosed => Entry {
            optional: &["reason"],
            reasons: all!(CloseReason),
            ..ride(
                "The two people of a ride can reach each other over it no longer. Reported once for each ride, \
                including deleted ones, up to a minute late; `timestamp` is when contact closed. Where another ride of the same two \
                phones took its number over, they have contact over that; if that ride gets another driver, this one can \
                open again (`ride.updated`), and its end is reported again.",
                RideStatus::ALL,
            )
        },
        EventType::MessageReceived => Entry {
            required: &["message_id", "ride_id", "number_id", "provider", "kind", "from_role", "to_role", "status"],
            optional: &[],
            ..text("A party of a ride wrote a text to the other.", &[MessageStatus::Received])
        },
        EventType::MessageSent => {
            text("The recipient's provider has all of a text: relayed, a notice, or yours.", &[MessageStatus::Sent])
        }
        EventType::MessageDelivered => {
            text("The phone has all of a text. `message.sent` need not have come before.", &[MessageStatus::Delivered])
        }
        EventType::MessageFailed => Entry {
            optional: &["ride_id", "number_id", "from_role", "to_role", "reason"],
            ..text(
                "A text will not arrive, as far as anybody knows. A report that comes late can prove it was delivered: then \
                `message.delivered` follows.",
                &[MessageStatus::Failed, MessageStatus::Undelivered, MessageStatus::Expired],
            )
        },
        EventType::CallConnected => call("The other party picked up.", &[CallStatus::Answered]),
        EventType::CallEnded => Entry {
            optional: &["ride_id", "number_id", "from_role", "reason", "duration_s"],
            ..call(
                "A call that was answered is over. `unknown`: nobody told how it ended; if somebody does later, that is told too.",
                &[CallStatus::Completed, CallStatus::Unknown],
            )
        },
        EventType::CallFailed => call(
            "A call ended without being answered. If news come late that it was, `call.ended` follows.",
            &[CallStatus::Busy, CallStatus::NoAnswer, CallStatus::Failed, CallStatus::Cancelled],
        ),
        EventType::ContactRejected => Entry {
            summary: "A phone wrote to or called a number where it may reach nobody, or not now; each attempt is told. A \
                call with this may have gone to the support number.",
            required: &["provider", "reason"],
            optional: &["message_id", "call_id", "ride_id", "number_id", "from_role"],
            statuses: Vec::new(),
            reasons: Refusal::ALL.iter().map(|refusal| refusal.as_str()).chain(["keyword"]).collect(),
        },
        EventType::PoolLow => {
            pool("Fewer numbers than `POOL_LOW_WATER` are free for the busiest phone: add some.", PoolLevel::Low)
        }
        EventType::PoolDepleted => Entry {
            required: &["status", "reason"],
            reasons: all!(PoolLimit),
            ..pool("A ride found no number. Told once until the pool has recovered.", PoolLevel::Depleted)
        },
        EventType::PoolRecovered => pool("Enough numbers are free again.", PoolLevel::Enough),
        EventType::NumberSuspended => Entry {
            summary: "A number was suspended. Rides with open contact are moved off it.",
            required: &["number_id", "provider", "status"],
            optional: &[],
            statuses: vec![NumberStatus::Suspended.as_str()],
            reasons: Vec::new(),
        },
        EventType::ProviderDown => Entry {
            required: &["provider", "reason"],
            optional: &[],
            reasons: all!(BreakerReason),
            ..provider(
                "A provider takes no texts: they wait. `provider_refused_us`: it refused your credentials or your account with \
                it, and waits for you; otherwise several sends in a row failed.",
            )
        },
        EventType::ProviderUp => provider("A provider takes texts again."),
    }
}

/// What an event's delivery says of its id.
const ID_OF_EVENT: &str = "Names the event: the same on every attempt to deliver it.";

/// Puts events into the document: webhooks, and the schemas of what is delivered and of what is listed.
pub(super) fn describe(document: &mut Value) {
    let mut webhooks = Map::new();
    let mut types = Vec::new();
    for kind in EventType::ALL {
        let entry = entry(*kind);
        let name = schema_name(*kind);
        let reference = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
        let logged = payload(*kind, &entry);
        let mut delivered = reference(&name);
        if kind.is_about_text() {
            let with_text = format!("{name}WithText");
            delivered = reference(&with_text);
            document["components"]["schemas"][&with_text] = with_text_field(logged.clone());
        }
        webhooks.insert(kind.as_str().to_owned(), post(kind.as_str(), entry.summary, &delivered, ID_OF_EVENT));
        document["components"]["schemas"][&name] = logged;
        types.push(reference(&name));
    }
    let id = |name: &str| json!({ "type": "integer", "format": "int64", "description": name, "examples": [42] });
    let ping = json!({ "endpoint_id": id("The endpoint.") });
    let ping = closed("endpoint.ping", &ping);
    let id_of_ping = "Names the ping: `ping_` and a word of its own.";
    let mut ping = post("endpoint.ping", "You asked for a test of an endpoint.", &ping, id_of_ping);
    ping["post"]["responses"] = json!({
        "2XX": { "description": "You have it. Whatever you answer is told to who asked for the ping; it does not come again." },
    });
    webhooks.insert("endpoint.ping".to_owned(), ping);
    for (name, summary, contact) in [
        ("intercept.text", "May this text go to the other party? Asked at INTERCEPT_URL.", "text"),
        ("intercept.call", "May this call be connected? Asked at INTERCEPT_URL.", "call"),
    ] {
        webhooks.insert(name.to_owned(), question(name, summary, contact == "text"));
    }
    document["components"]["schemas"][EventView::NAME] = json!({
        "description": "An event in its place in the log; `type` tells what it is.",
        "allOf": [
            { "oneOf": types },
            {
                "type": "object",
                "required": ["id", "cursor"],
                "properties": {
                    "id": {
                        "type": "integer",
                        "format": "int64",
                        "description": "Id. Its delivery has `evt_` and this as `webhook-id`. Ids are not the order of the log.",
                    },
                    "cursor": {
                        "type": "string",
                        "description": "Its place in the log: pass it as `after` to read on from here, now or later.",
                    },
                },
            },
        ],
    });
    document["webhooks"] = Value::Object(webhooks);
}

/// `RideContactClosedEvent` for `ride.contact_closed`.
fn schema_name(kind: EventType) -> String {
    let words = kind.as_str().split(['.', '_']);
    let capital = |word: &str| word[..1].to_ascii_uppercase() + &word[1..];
    words.map(capital).chain(["Event".to_owned()]).collect()
}

/// What an endpoint gets that asked for texts.
fn with_text_field(mut payload: Value) -> Value {
    payload["properties"]["data"]["properties"]["text"] = json!({
        "type": "string",
        "description": "The words: only at endpoints with `include_text`, and only until they are erased.",
        "examples": ["I am here."],
    });
    payload
}

/// The body of a post that is about nothing in the log.
fn closed(name: &str, data: &Value) -> Value {
    let required: Vec<_> = data.as_object().into_iter().flatten().map(|(field, _)| field).collect();
    json!({
        "type": "object",
        "required": ["type", "timestamp", "data"],
        "properties": {
            "type": { "type": "string", "const": name },
            "timestamp": { "type": "string", "format": "date-time", "description": "When it happened." },
            "data": { "type": "object", "required": required, "properties": data, "additionalProperties": false },
        },
    })
}

/// A question that is asked before a contact goes through.
fn question(name: &str, summary: &str, is_text: bool) -> Value {
    let roles: Vec<_> = all!(Role);
    let role = |description: &str| json!({ "type": "string", "description": description, "enum": roles });
    let mut data = json!({
        "ride_id": { "type": "integer", "format": "int64", "description": "The ride.", "examples": [42] },
        "from_role": role("The party that writes or calls."),
        "to_role": role("The party that is to be reached."),
    });
    let mut actions = vec!["allow", "block"];
    if is_text {
        data["text"] = json!({ "type": "string", "description": "The words.", "examples": ["I am here."] });
        data["media"] = json!({ "type": "integer", "format": "int64", "minimum": 0, "description": "How many pictures come with it.", "examples": [0] });
        actions.push("replace");
    }
    let mut answer = json!({
        "type": "object",
        "required": ["action"],
        "properties": { "action": { "type": "string", "description": "What becomes of it.", "enum": actions } },
    });
    if is_text {
        answer["properties"]["text"] = json!({ "type": "string", "description": "With `replace`: what goes through instead, whole and without pictures. If it is blank, nothing is sent." });
    }
    let id = "Names the question: `ask_` and a word of its own. It is posted once.";
    let mut webhook = post(name, summary, &closed(name, &data), id);
    webhook["post"]["responses"] = json!({
        "200": {
            "description": "Your verdict, within 800 milliseconds and 32 KiB. A status of 2xx with anything else blocks the contact (`intercept_unclear`). Without an answer, or with another status, INTERCEPT_ON_FAILURE decides.",
            "content": { "application/json": { "schema": answer } },
        }
    });
    webhook
}

/// A post of ours, signed.
fn post(name: &str, summary: &str, schema: &Value, id: &str) -> Value {
    let header = |name: &str, description: &str| json!({ "name": name, "in": "header", "required": true, "description": description, "schema": { "type": "string" } });
    let (title, _) = summary.split_once(". ").unwrap_or((summary, ""));
    json!({
        "post": {
            "operationId": format!("on_{}", name.replace('.', "_")),
            "tags": ["Events"],
            "summary": title.trim_end_matches('.'),
            "description": summary,
            "security": [],
            "parameters": [
                header("webhook-id", id),
                header("webhook-timestamp", "When this attempt was made, in seconds since 1970."),
                header("webhook-signature", "Signatures of id, timestamp and body (Standard Webhooks): `v1,` and base64, with spaces between them while a secret is rotated."),
            ],
            "requestBody": { "required": true, "content": { "application/json": { "schema": schema } } },
            "responses": { "2XX": { "description": "You have it. Anything else, and it comes again." } },
        }
    })
}

fn payload(kind: EventType, entry: &Entry) -> Value {
    let names = entry.required.iter().chain(entry.optional);
    let fields: Map<_, _> = names.map(|name| ((*name).to_owned(), field(name, entry))).collect();
    let examples: Map<_, _> = fields.iter().map(|(name, schema)| (name.clone(), example(schema))).collect();
    json!({
        "type": "object",
        "description": entry.summary,
        "required": ["type", "timestamp", "data"],
        "properties": {
            "type": { "type": "string", "const": kind.as_str() },
            "timestamp": { "type": "string", "format": "date-time", "description": "When it happened." },
            "data": {
                "type": "object",
                "required": entry.required,
                "properties": fields,
                "additionalProperties": false,
            },
        },
        "examples": [{ "type": kind.as_str(), "timestamp": "2026-11-21T12:00:00.000Z", "data": examples }],
    })
}

/// The schema of a field of an event's data.
fn field(name: &str, entry: &Entry) -> Value {
    let id = |description: &str| json!({ "type": "integer", "format": "int64", "description": description, "examples": [42] });
    let word =
        |description: &str, words: &[&str]| json!({ "type": "string", "description": description, "enum": words });
    let roles: Vec<_> = all!(Role);
    let kinds: Vec<_> = all!(MessageKind);
    match name {
        "ride_id" => id("The ride."),
        "customer_id" => id("Its customer."),
        "driver_id" => id("Its driver."),
        "message_id" => id("The text."),
        "call_id" => id("The call."),
        "number_id" => id("The proxy number."),
        "duration_s" => {
            json!({ "type": "integer", "format": "int64", "description": "How long they talked, in seconds.", "examples": [95] })
        }
        "provider" => {
            json!({ "type": "string", "description": "The provider.", "pattern": "^[a-z]+$", "examples": ["messagebird"] })
        }
        "kind" => word("Where the text comes from.", &kinds),
        "from_role" => word("The party that wrote or called.", &roles),
        "to_role" => word("The party that the text is for.", &roles),
        "status" if !entry.statuses.is_empty() => word("Where it stands now.", &entry.statuses),
        "status" => {
            json!({ "type": "string", "description": "Where it stands now.", "pattern": "^[a-z_]+$", "examples": ["open"] })
        }
        "reason" if !entry.reasons.is_empty() => word("Why.", &entry.reasons),
        _ => json!({
            "type": "string",
            "description": "Why; a provider's own code stands behind a colon.",
            "pattern": "^[a-z_]+(:[A-Za-z0-9_-]{1,6})?$",
            "examples": ["undeliverable:480"],
        }),
    }
}

/// A value that fits a schema of [`field`].
fn example(schema: &Value) -> Value {
    let given = ["examples", "enum"].iter().find_map(|place| schema[place].get(0));
    given.cloned().unwrap_or_default()
}
