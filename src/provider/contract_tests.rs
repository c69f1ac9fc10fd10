//! Contract tests: every adapter has to pass the same cases.
//!
//! The files are in `tests/fixtures/providers/<name>/`: `connect`, `announce` and `hang-up` hold our call flows byte
//! for byte, `send.http` and `send-media.http` our sends. A `.sdk` file next to one holds what the provider's own
//! library makes of the same input, with the library's version in the first line; `sdk.py` or `sdk.mjs` regenerates it.

use std::{collections::BTreeMap, path::PathBuf};

use chrono::DateTime;
use proptest::prelude::*;
use quick_xml::{Reader, escape::unescape, events::Event};
use serde_json::Value;

use super::{testing::announcement, *};
use crate::domain::phone::PhoneNumber;

const TO: &str = "+31612345678";
const NUMBER: &str = "+3197010200001";
const ANNOUNCEMENT: &str = "The driver says \"wait\" & <b>smiles</b>";
const TEXT: &str = "Red hat & <b>🎩</b> + 100%";

/// Returns every adapter, configured with the account that its `sdk` script uses.
fn adapters() -> Vec<Box<dyn Provider>> {
    vec![
        Box::new(bandwidth::Bandwidth::new(bandwidth::Config {
            account_id: "9900000".to_owned(),
            application_id: "93de2206-9669-4e07-948d-329f4b722ee2".to_owned(),
            username: "api-user".to_owned(),
            password: "api-password".into(),
            webhook_username: "maskline_hook".to_owned(),
            webhook_passwords: vec!["Fixture-Passw0rd!".into()],
            base_url: bandwidth::DEFAULT_BASE_URL.to_owned(),
        })),
        Box::new(messagebird::MessageBird::new(messagebird::Config {
            api_key: "live_key".into(),
            signing_keys: vec!["signing".into()],
            base_url: messagebird::DEFAULT_BASE_URL.to_owned(),
        })),
        Box::new(plivo::Plivo::new(plivo::Config {
            auth_id: "MAXXXXXXXXXXXXXXXXXX".to_owned(),
            auth_tokens: vec!["a_token".into()],
            base_url: plivo::DEFAULT_BASE_URL.to_owned(),
            accept_v2: false,
        })),
        Box::new(telnyx::Telnyx::new(telnyx::Config {
            api_key: "KEY_fixture".into(),
            public_keys: Vec::new(),
            base_url: telnyx::DEFAULT_BASE_URL.to_owned(),
        })),
        Box::new(twilio::Twilio::new(twilio::Config {
            account_sid: "AC00000000000000000000000000000001".to_owned(),
            auth_tokens: vec!["0123456789abcdef0123456789abcdef".into()],
            base_url: twilio::DEFAULT_BASE_URL.to_owned(),
        })),
        Box::new(vonage::Vonage::new(vonage::Config {
            application_id: "aaaaaaaa-bbbb-cccc-dddd-0123456789ab".to_owned(),
            private_key: vonage::PrivateKey::parse(include_str!("../../tests/fixtures/providers/vonage/test-key.pem"))
                .expect("a key"),
            api_key: "a1b2c3d4".to_owned(),
            signature_secrets: vec!["signing".into()],
            base_url: vonage::DEFAULT_BASE_URL.to_owned(),
        })),
    ]
}

fn now() -> Time {
    DateTime::from_timestamp(1_795_262_400, 0).expect("a time")
}

fn phone(text: &str) -> PhoneNumber {
    PhoneNumber::from_wire(text).expect(text)
}

fn report_url(adapter: &dyn Provider) -> String {
    adapter
        .profile()
        .webhook("https://mask.test", WebhookKind::Status)
        .split('#')
        .next()
        .expect("an address")
        .to_owned()
}

fn flow(adapter: &dyn Provider, flow: &CallFlow) -> WebhookResponse {
    adapter.render_call(flow, &report_url(adapter))
}

fn connect(to: &str, number: &str) -> CallFlow {
    CallFlow::Connect { to: phone(to), caller_id: phone(number) }
}

fn announce(text: &str) -> CallFlow {
    announcement(text, "en-GB")
}

fn send(adapter: &dyn Provider, media: &[String]) -> OutboundRequest {
    let text = OutboundText {
        from: &phone(NUMBER),
        to: &phone(TO),
        body: TEXT,
        media,
        reference: "mk_fixture_1",
        report_url: &report_url(adapter),
    };
    adapter.build_send(&text, now())
}

/// Reads a fixture of an adapter; `None` if there is no such file.
fn fixture(adapter: &dyn Provider, name: &str) -> Option<String> {
    let folder: PathBuf =
        [env!("CARGO_MANIFEST_DIR"), "tests/fixtures/providers", adapter.profile().name.as_str()].iter().collect();
    std::fs::read_to_string(folder.join(name)).ok()
}

/// An XML element or a JSON value, reduced to what a parser distinguishes.
#[derive(Debug, PartialEq)]
enum Node {
    Element { name: String, attributes: BTreeMap<String, String>, children: Vec<Node> },
    Words(String),
    Json(Value),
}

fn read(document: &str) -> Vec<Node> {
    if !document.starts_with('<') {
        return vec![Node::Json(serde_json::from_str(document).unwrap_or_else(|_| panic!("not JSON: {document}")))];
    }
    let mut reader = Reader::from_str(document);
    let mut open: Vec<(String, BTreeMap<String, String>, Vec<Node>)> = vec![(String::new(), BTreeMap::new(), vec![])];
    let words = |open: &mut Vec<(String, BTreeMap<String, String>, Vec<Node>)>, more: &str| {
        let children = &mut open.last_mut().expect("an element").2;
        match children.last_mut() {
            Some(Node::Words(words)) => words.push_str(more),
            _ => children.push(Node::Words(more.to_owned())),
        }
    };
    loop {
        let event = reader.read_event().unwrap_or_else(|wrong| panic!("not XML ({wrong}): {document}"));
        match event {
            Event::Start(start) | Event::Empty(start) => {
                let is_empty =
                    document[..usize::try_from(reader.buffer_position()).expect("a position")].ends_with("/>");
                let name = start.name().as_ref().to_owned();
                let attributes = start.attributes().map(|attribute| {
                    let attribute = attribute.expect("an attribute");
                    let key: &str = attribute.key.as_ref();
                    (key.to_owned(), unescape(&attribute.value).expect("escaped").into_owned())
                });
                open.push((name, attributes.collect(), vec![]));
                if is_empty {
                    close(&mut open);
                }
            }
            Event::End(_) => close(&mut open),
            Event::Text(text) => {
                let text: &str = &text;
                words(&mut open, text);
            }
            Event::GeneralRef(reference) => {
                let name: &str = &reference;
                words(&mut open, &unescape(&format!("&{name};")).expect("a known entity"));
            }
            Event::Decl(_) => {}
            Event::Eof => return open.remove(0).2,
            other => panic!("{other:?} in {document}"),
        }
    }
}

fn close(open: &mut Vec<(String, BTreeMap<String, String>, Vec<Node>)>) {
    let (name, attributes, children) = open.pop().expect("an element");
    open.last_mut().expect("a root").2.push(Node::Element { name, attributes, children });
}

#[test]
fn profiles_are_whole() {
    let registry = registry::Registry::new(registry::Accounts::default());
    let known: Vec<_> =
        registry.all().map(|(profile, _)| &profile.name).filter(|name| **name != simulator::NAME).collect();
    let tried = adapters();
    assert_eq!(
        known,
        tried.iter().map(|adapter| &adapter.profile().name).collect::<Vec<_>>(),
        "every adapter is tried"
    );
    for adapter in tried {
        let profile = adapter.profile();
        assert_eq!(ProviderName::parse(profile.name.as_str()).as_ref(), Some(&profile.name));
        assert!(profile.text_limit.max > 0 && profile.body_limit > 0 && profile.texts_per_minute > 0);
        assert!(profile.capabilities.sms && profile.capabilities.voice && !profile.signature.is_empty());
        assert!(profile.methods.iter().all(|methods| !methods.is_empty()));
        assert!(profile.fragments.iter().all(|fragment| fragment.is_empty() || fragment.starts_with('#')));
        assert!(profile.response_timeout <= std::time::Duration::from_secs(8));
        assert!(profile.media_limit == 0 || profile.capabilities.mms, "pictures without MMS");
        assert!(profile.text_limit.max >= crate::domain::notice::MAX_UNITS, "an automatic reply is one part");
    }
}

#[test]
fn call_flows_are_as_fixed_and_as_the_provider_writes_them() {
    for adapter in adapters() {
        let (adapter, name) = (adapter.as_ref(), &adapter.profile().name);
        for (stem, flow) in [
            ("connect", flow(adapter, &connect(TO, NUMBER))),
            ("announce", flow(adapter, &announce(ANNOUNCEMENT))),
            ("hang-up", flow(adapter, &CallFlow::HangUp)),
        ] {
            let ending = if flow.body.starts_with('<') { "xml" } else { "json" };
            assert_eq!(flow.status, StatusCode::OK);
            assert!(flow.content_type.contains(ending), "{name} {stem}: {}", flow.content_type);
            let fixed = fixture(adapter, &format!("{stem}.{ending}"));
            assert_eq!(Some(&flow.body), fixed.as_ref(), "{name} {stem}");
            match fixture(adapter, &format!("{stem}.sdk.{ending}")) {
                Some(theirs) => {
                    let (version, theirs) = theirs.split_once('\n').expect("a first line");
                    assert!(version.starts_with("# "), "{name} {stem} does not say which version");
                    assert_eq!(read(&flow.body), read(theirs.trim()), "{name} {stem}");
                }
                None => {
                    assert_eq!(name.as_str(), "messagebird", "{stem}: only this one has no library that writes flows")
                }
            }
        }
    }
}

/// Returns the content of a send, independent of order: JSON without null fields, or the fields of a form.
fn said(body: &str) -> Value {
    match serde_json::from_str(body) {
        Ok(Value::Object(mut fields)) => {
            fields.retain(|_, value| !value.is_null());
            Value::Object(fields)
        }
        _ => {
            let mut fields = wire::form_pairs(body.as_bytes());
            fields.sort();
            serde_json::to_value(fields).expect("JSON")
        }
    }
}

#[test]
fn sends_are_as_fixed_and_as_the_providers_own_library_sends_them() {
    for adapter in adapters() {
        let (adapter, profile) = (adapter.as_ref(), adapter.profile());
        let mut cases = vec![("send", send(adapter, &[]))];
        if profile.media_limit > 0 {
            cases.push(("send-media", send(adapter, &["https://cdn.example.com/a.jpg".to_owned()])));
        }
        for (stem, request) in cases {
            let ours = format!("{} {}\n\n{}", request.method, request.url, request.body);
            assert_eq!(Some(&ours), fixture(adapter, &format!("{stem}.http")).as_ref(), "{} {stem}", profile.name);
            let theirs = fixture(adapter, &format!("{stem}.sdk.http")).expect("a capture of the library");
            let (version, theirs) = theirs.split_once('\n').expect("a first line");
            assert!(version.starts_with("# "), "{} {stem} does not say which version", profile.name);
            let (line, body) = theirs.split_once("\n\n").expect("an empty line");
            let path = url::Url::parse(&request.url).expect("an address").path().to_owned();
            assert_eq!(line, format!("{} {path}", request.method), "{} {stem}", profile.name);
            assert_eq!(said(body), said(&request.body), "{} {stem}", profile.name);
        }
    }
}

/// Returns runs of seven or more digits: anything that can be a phone number.
fn numbers_in(text: &str) -> Vec<&str> {
    text.split(|c: char| !c.is_ascii_digit()).filter(|run| run.len() >= 7).collect()
}

fn phones() -> impl Strategy<Value = String> {
    prop_oneof!["\\+316[1-5][0-9]{7}", "\\+1212555[0-9]{4}", "\\+4477009[0-9]{5}"]
        .prop_filter("a phone", |text| PhoneNumber::from_wire(text).is_ok())
}

/// Returns the text of a flow.
fn words(nodes: &[Node]) -> String {
    let of = |node: &Node| match node {
        Node::Words(words) => words.clone(),
        Node::Element { children, .. } => words(children),
        Node::Json(value) => texts(value),
    };
    nodes.iter().map(of).collect()
}

fn texts(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(texts).collect(),
        Value::Object(fields) => fields.values().map(texts).collect(),
        _ => String::new(),
    }
}

/// Tries each built-in voice, and one that no provider has, under the provider's own name for it. Bandwidth has no
/// voice for Dutch and Portuguese. Plivo's Portuguese is Brazilian, and its default voice needs no attribute.
#[test]
fn every_built_in_voice_is_spoken() {
    const VOICES: [&str; 7] = ["en-GB", "nl-NL", "de-DE", "fr-FR", "es-ES", "pt-PT", "tlh-QQ"];
    let same = ["en-GB", "nl-NL", "de-DE", "fr-FR", "es-ES", "pt-PT", "en-GB"];
    for adapter in adapters() {
        let adapter = adapter.as_ref();
        let spoken = match adapter.profile().name.as_str() {
            "bandwidth" => ["en_UK", "nl-NL", "de", "fr", "es", "pt-PT", "en_UK"].map(Some),
            "plivo" => [Some("en-GB"), Some("nl-NL"), Some("de-DE"), Some("fr-FR"), Some("es-ES"), Some("pt-BR"), None],
            _ => same.map(Some),
        };
        for (voice, spoken) in VOICES.into_iter().zip(spoken) {
            let body = flow(adapter, &announcement("words", voice)).body;
            read(&body);
            match spoken {
                Some(spoken) => assert!(body.contains(&format!("\"{spoken}\"")), "{voice}: {body}"),
                None => assert!(!body.contains("language") && body.contains("words"), "{voice}: {body}"),
            }
        }
    }
}

proptest! {
    /// A flow never names the caller: every number in it is the proxy number or the phone to ring.
    #[test]
    fn no_flow_shows_a_third_number(to in phones(), number in phones(), text in "([<&>\"'\\\\]|\\PC){0,60}") {
        prop_assume!(to != number);
        for adapter in adapters() {
            let adapter = adapter.as_ref();
            let joined = flow(adapter, &connect(&to, &number)).body;
            read(&joined);
            prop_assert!(numbers_in(&joined).contains(&&to[1..]), "{}", joined);
            prop_assert!(numbers_in(&joined).iter().all(|found| *found == &to[1..] || *found == &number[1..]), "{}", joined);
            // MessageBird shows the dialled number on its own; every other flow has to name it.
            if adapter.profile().name.as_str() != "messagebird" {
                prop_assert!(numbers_in(&joined).contains(&&number[1..]), "{}", joined);
            }
            let without_numbers: String = text.chars().filter(|c| !c.is_ascii_digit()).collect();
            let said = flow(adapter, &announce(&without_numbers)).body;
            prop_assert!(numbers_in(&said).is_empty(), "{}", said);
            let shape = |body: &str| shape(&read(body));
            prop_assert_eq!(shape(&said), shape(&flow(adapter, &announce("words")).body), "the words changed the flow");
            let expected: String = without_numbers.chars().filter(|c| !c.is_control()).collect();
            if !expected.trim().is_empty() {
                let heard = words(&read(&said));
                let heard = unescape(&heard).map(|once| once.into_owned()).unwrap_or(heard);
                prop_assert!(heard.contains(expected.trim()) || words(&read(&said)).contains(expected.trim()), "{} in {}", expected, said);
            }
        }
    }
}

/// Returns the elements of a flow, or the keys of its JSON, without any text.
fn shape(nodes: &[Node]) -> String {
    fn json(value: &Value) -> String {
        match value {
            Value::Array(items) => format!("[{}]", items.iter().map(json).collect::<String>()),
            Value::Object(fields) => fields.iter().map(|(name, value)| format!("{name}{}", json(value))).collect(),
            _ => String::new(),
        }
    }
    let of = |node: &Node| match node {
        Node::Words(_) => String::new(),
        Node::Element { name, attributes, children } => {
            format!("<{name} {:?}>{}", attributes.keys().collect::<Vec<_>>(), shape(children))
        }
        Node::Json(value) => json(value),
    };
    nodes.iter().map(of).collect()
}
