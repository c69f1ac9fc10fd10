//! Test helpers of several adapters: webhooks built by hand, and signed requests with their expected verdict.

use std::collections::HashMap;

use serde::Deserialize;

use super::*;
use crate::domain::notice::Locale;

pub(super) fn request(method: Method, url: &str, headers: &[(&str, &str)], body: &[u8]) -> WebhookRequest {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name: http::HeaderName = name.parse().expect("a header name");
        map.append(name, http::HeaderValue::from_bytes(value.as_bytes()).expect("a header value"));
    }
    WebhookRequest { method, url: url.to_owned(), headers: map, body: Bytes::copy_from_slice(body) }
}

pub(super) fn announcement(text: &str, language: &str) -> CallFlow {
    CallFlow::Announce { text: text.to_owned(), language: Locale::parse(language).expect(language) }
}

/// A signed request with its expected verdict.
#[derive(Deserialize)]
pub(super) struct Vector {
    pub(super) id: String,
    pub(super) scheme: String,
    pub(super) valid: bool,
    /// Only the MAC of the token is valid; no real webhook looks like this.
    #[serde(default)]
    pub(super) signature_only: bool,
    pub(super) method: String,
    pub(super) url: String,
    pub(super) headers: HashMap<String, String>,
    pub(super) body: String,
    /// Parameters besides the body. Those of a GET belong in the query.
    #[serde(default)]
    pub(super) params: serde_json::Value,
    pub(super) secret: String,
    pub(super) username: Option<String>,
    pub(super) password: Option<String>,
    pub(super) expected_response: Option<Expected>,
    /// Time of the verification, in Unix seconds.
    pub(super) now: Option<i64>,
}

/// Expected refusal.
#[derive(Deserialize)]
pub(super) struct Expected {
    pub(super) status: u16,
    #[serde(default)]
    pub(super) headers: HashMap<String, String>,
}

impl Vector {
    /// Returns the request unchanged.
    pub(super) fn request(&self) -> WebhookRequest {
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        request(self.method.parse().expect("a method"), &self.url, &headers, self.body.as_bytes())
    }
}

pub(super) fn vectors() -> Vec<Vector> {
    #[derive(Deserialize)]
    struct Vectors {
        vectors: Vec<Vector>,
    }
    let text = include_str!("../../tests/fixtures/provider-vectors.json");
    serde_json::from_str::<Vectors>(text).expect("vectors").vectors
}
