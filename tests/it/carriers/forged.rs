//! Unverified is unheard: what a forger, a broken proxy or another account can send changes nothing.

use std::{collections::HashMap, sync::Arc};

use chrono::Duration;
use serde::Deserialize;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{every, for_every_provider, messagebird, stage::Stage};
use crate::{
    harness::{
        Kind, PUBLIC, TestApp,
        carrier::{Carrier, Ring, Signer, Webhook},
        on_both_databases,
    },
    ride::{ANN, NUMBER},
};

type Proof = Vec<(&'static str, String)>;

/// The proof with one of its headers changed, for each that has to hold.
fn each(proof: &Proof, spare: &[&str], change: impl Fn(&str) -> String) -> Vec<Proof> {
    (0..proof.len())
        .filter(|at| !spare.contains(&proof[*at].0))
        .map(|at| {
            let mut changed = proof.clone();
            changed[at].1 = change(&changed[at].1);
            changed
        })
        .collect()
}

/// With another character in the middle: not in a prefix such as `Basic`, nor in the spare bits of a last digit.
fn tampered(value: &str) -> String {
    let mut characters: Vec<char> = value.chars().collect();
    let middle = characters.len() / 2 + 1;
    if let Some(c) = characters.get_mut(middle) {
        *c = if *c == 'A' || *c == '1' {
            'B'
        } else if c.is_ascii_digit() {
            '1'
        } else {
            'A'
        };
    }
    characters.into_iter().collect()
}

for_every_provider! {
    async fn unverified_is_unheard(carrier, kind) {
        let stage = Stage::under_way(&carrier, kind).await;
        let (now, spare) = (stage.app.now(), carrier.spare_proof());
        let webhooks = [
            carrier.text("t1", ANN, NUMBER, "Forged", &[]),
            carrier.call(Ring { id: "c1", from: ANN, number: NUMBER, to: "" }),
        ];
        for webhook in &webhooks {
            let good = carrier.sign(webhook, Signer::Ours, now);
            let unsigned = stage.bare(webhook, &Proof::new()).await;
            assert_eq!(unsigned.status, carrier.unsigned_status(), "unsigned {}", webhook.path);

            let mut forged = vec![carrier.sign(webhook, Signer::Stranger, now)];
            forged.extend(each(&good, spare, |_| String::new()));
            forged.extend(each(&good, spare, |value| value[..value.len() / 2].to_owned()));
            forged.extend(each(&good, spare, tampered));
            forged.extend(each(&good, spare, |_| "\u{e9}\u{0}x".replace('\0', "")));
            forged.push([good.clone(), good.clone()].concat());
            for proof in &forged {
                let answer = stage.bare(webhook, proof).await;
                assert!(
                    answer.status == 401 || answer.status == carrier.unsigned_status(),
                    "{} {proof:?}: {}", webhook.path, answer.status
                );
                assert!(!answer.text.contains(&ANN[1..]) && !answer.text.contains(&NUMBER[1..]));
            }

            let covers = carrier.covers();
            let changed_body = Webhook { body: webhook.body.replace("Forged", "Changed"), ..webhook.clone() };
            let more_body = Webhook { body: format!("{}&x=1", webhook.body), ..webhook.clone() };
            for changed in [changed_body, more_body] {
                if covers.body && webhook.method == "POST" && changed.body != webhook.body {
                    assert_eq!(stage.bare(&changed, &good).await.status, 401, "another body");
                }
            }
            if covers.query {
                let joint = if webhook.path.contains('?') { '&' } else { '?' };
                let changed = Webhook { path: format!("{}{joint}x=1", webhook.path), ..webhook.clone() };
                assert_eq!(stage.bare(&changed, &good).await.status, 401, "a parameter more");
                let elsewhere = if webhook.path.contains("/sms") { "/voice" } else { "/sms" };
                let path = webhook.path.replace("/sms", elsewhere).replace("/voice", elsewhere);
                if webhook.method == "POST" {
                    let answer = stage.bare(&Webhook { path, ..webhook.clone() }, &good).await;
                    assert!([401, 405].contains(&answer.status), "another webhook: {}", answer.status);
                }
            }
        }
        assert_eq!(stage.app.send_due().await, 0);
        assert!(stage.api.take().is_empty());
        assert!(stage.app.timeline(stage.ride).await.iter().all(|item| item["type"] != "call" && item["text"] != "Forged"));
        let rejected = stage.app.get("/v1/messages?status=rejected").await.expect(200);
        assert!(rejected["items"].as_array().unwrap().is_empty());
        stage.app.finish().await;
    }

    async fn without_an_account_nobody_is_heard(carrier, kind) {
        let app = TestApp::start(kind).await;
        let webhook = carrier.text("t1", ANN, NUMBER, "Hello", &[]);
        let proof = carrier.sign(&webhook, Signer::Ours, app.now());
        app.webhook(&webhook, &proof).await.expect_problem(401, "unauthorized");
        let path = webhook.path.replace(carrier.name(), "nobody");
        app.webhook(&Webhook { path, ..webhook }, &proof).await.expect_problem(404, "not_found");
        assert!(app.get("/v1/messages").await.expect(200)["items"].as_array().unwrap().is_empty());
        app.finish().await;
    }

    async fn another_content_type_is_refused_or_harmless(carrier, kind) {
        let stage = Stage::under_way(&carrier, kind).await;
        for content_type in ["text/plain", "application/octet-stream", "multipart/form-data; boundary=x", ""] {
            let webhook = carrier.text("t1", ANN, NUMBER, "Hello", &[]);
            if webhook.method == "POST" {
                let odd = Webhook { content_type, ..webhook };
                let answer = stage.webhook(&odd).await;
                assert!([200, 400, 401].contains(&answer.status), "{content_type}: {}", answer.status);
            }
        }
        stage.app.send_due().await;
        assert!(stage.deliver_all().await.len() <= 1, "at most once, whatever it was called");
        stage.app.finish().await;
    }
}

#[derive(Deserialize)]
struct Vectors {
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    id: String,
    provider: String,
    scheme: String,
    valid: bool,
    method: String,
    url: String,
    headers: HashMap<String, String>,
    body: String,
    /// Only the code over the token is right; no webhook looks like it.
    #[serde(default)]
    signature_only: bool,
    #[serde(default)]
    params: HashMap<String, serde_json::Value>,
}

/// What the adapters' own schemes are called in the vectors; all others are refused.
const SCHEMES: [&str; 8] = [
    "messagebird-signature-jwt",
    "messagebird-hmac-legacy",
    "plivo-v3",
    "x-twilio-signature/hmac-sha1/form",
    "x-twilio-signature/hmac-sha1/bodySHA256",
    "bandwidth-basic",
    "jwt-hs256/authorization-bearer",
    "ed25519/timestamp-pipe-body",
];

/// Headers that a test may send: HTTP allows no line ends or characters beyond ASCII in them.
fn sendable(value: &str) -> bool {
    value.bytes().all(|b| (b' '..=b'~').contains(&b))
}

/// Sends a webhook with its path byte for byte, which a library would tidy up, and answers the status.
async fn as_it_stands(base: &str, webhook: &Webhook, proof: &Proof) -> u16 {
    let mut stream = TcpStream::connect(base.trim_start_matches("http://")).await.unwrap();
    let mut head = format!("{} {} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n", webhook.method, webhook.path);
    if !webhook.content_type.is_empty() {
        head += &format!("content-type: {}\r\n", webhook.content_type);
    }
    for (name, value) in proof {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!("content-length: {}\r\n\r\n{}", webhook.body.len(), webhook.body);
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap_or_else(|| panic!("no status in {answer:?}"));
    status.parse().unwrap()
}

on_both_databases! {
    async fn signatures_are_made_over_our_public_address_and_nothing_else(kind: Kind) {
        let carrier: Arc<dyn Carrier> = Arc::new(messagebird::MessageBird);
        let stage = Stage::under_way(&carrier, kind).await;
        let call = carrier.call(Ring { id: "c1", from: ANN, number: NUMBER, to: "" });
        let signed = |base: &str, at| {
            vec![("MessageBird-Signature-JWT", messagebird::sign(&format!("{base}{}", call.path), b"", at))]
        };
        let now = stage.app.now();
        for proof in [
            signed("https://evil.test", now),
            signed(&stage.app.base, now),
            signed(PUBLIC, now - Duration::minutes(5)),
            signed(PUBLIC, now + Duration::minutes(5)),
        ] {
            assert_eq!(stage.bare(&call, &proof).await.status, 401);
        }
        // Forwarding headers do not make another address of it.
        let mut proof = signed(PUBLIC, now);
        proof.extend([("x-forwarded-host", "evil.test".to_owned()), ("x-forwarded-proto", "http".to_owned())]);
        assert_eq!(stage.bare(&call, &proof).await.status, 200);
        stage.app.finish().await;
    }

    // The adapters' unit tests judge every vector as it stands. Here requests of the same shapes go over a socket:
    // signed anew for our own address they are heard, with the vector's own proof they are not.
    async fn the_shapes_of_all_vectors_over_a_socket(kind: Kind) {
        let text = include_str!("../../fixtures/provider-vectors.json");
        let Vectors { vectors } = serde_json::from_str(text).unwrap();
        let (mut heard, mut unheard) = (0, 0);
        for carrier in every() {
            let stage = Stage::under_way(&carrier, kind).await;
            for vector in vectors.iter().filter(|vector| vector.provider == carrier.name()) {
                let query = vector.url.split_once('?').map_or(String::new(), |(_, query)| format!("?{query}"));
                let query = query.split('#').next().unwrap().to_owned();
                let content_type = vector.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
                let content_type: &'static str = content_type.map_or("", |(_, value)| value.clone().leak());
                let method = if vector.method == "GET" { "GET" } else { "POST" };
                let webhook = Webhook {
                    method,
                    path: format!("/webhooks/{}/sms{query}", carrier.name()),
                    content_type,
                    body: vector.body.clone(),
                };
                let ours = SCHEMES.contains(&vector.scheme.as_str());
                let refused = |status: u16| status == 401 || status == carrier.unsigned_status();
                let proof: Vec<_> = vector
                    .headers
                    .iter()
                    .filter(|(name, value)| !name.eq_ignore_ascii_case("content-type") && sendable(value))
                    .map(|(name, value)| (&*name.clone().leak(), value.clone()))
                    .collect();
                let status = as_it_stands(&stage.app.base, &webhook, &proof).await;
                // A GET where the provider's signature does not cover one.
                if status != 405 {
                    assert!(refused(status), "{}: {status}", vector.id);
                    unheard += 1;
                }
                // Parameters beside an empty body stand for one that the vector leaves out.
                let whole = method == "GET" || vector.params.is_empty() || !vector.body.is_empty();
                if ours && vector.valid && !vector.signature_only && whole {
                    let proof = carrier.sign(&webhook, Signer::Ours, stage.app.now());
                    let status = as_it_stands(&stage.app.base, &webhook, &proof).await;
                    if status != 405 {
                        assert!([200, 400].contains(&status), "{}: {status}", vector.id);
                        heard += 1;
                    }
                }
            }
            stage.app.send_due().await;
            stage.deliver_all().await;
            stage.app.finish().await;
        }
        assert_eq!((heard, unheard), (45, 136), "no vector is passed over");
    }
}
