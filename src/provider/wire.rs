//! Small pieces that several dialects share: form pairs, digests, comparison in constant time, references, XML.

mod xml;

use aws_lc_rs::{constant_time, digest, hmac};
use http::{StatusCode, header::CONTENT_TYPE};
use url::Url;

use super::{WebhookRequest, WebhookResponse};
use crate::domain::{call::CallStatus, notice::Locale};
pub(super) use xml::Element;

/// How we call ourselves towards providers.
pub(super) const USER_AGENT: &str = concat!("Maskline/", env!("CARGO_PKG_VERSION"));

/// Decodes `application/x-www-form-urlencoded` pairs, in order, repeats kept. Never fails: what cannot be decoded
/// comes out with replacement characters.
pub(super) fn form_pairs(text: &[u8]) -> Vec<(String, String)> {
    url::form_urlencoded::parse(text).into_owned().collect()
}

/// The value of a pair, empty ones included; of a repeated name the first.
pub(super) fn value<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// What the voice `alice` speaks: Twilio's, and the one of the same name at Telnyx, whose dialect is made after Twilio's.
pub(super) const ALICE: [&str; 26] = [
    "ca-ES", "da-DK", "de-DE", "en-GB", "en-AU", "en-CA", "en-IN", "en-US", "es-ES", "es-MX", "fi-FI", "fr-FR",
    "fr-CA", "it-IT", "ja-JP", "ko-KR", "nb-NO", "nl-NL", "pl-PL", "pt-PT", "pt-BR", "ru-RU", "sv-SE", "zh-CN",
    "zh-HK", "zh-TW",
];

/// Of the locales that a provider speaks the wanted one, or another of the same language. One that a provider does not
/// know makes its document invalid, or the caller hears nothing.
pub(super) fn spoken(known: &[&'static str], wanted: &Locale) -> Option<&'static str> {
    let exact = known.iter().find(|known| **known == wanted.as_str());
    let same = |known: &&&str| known.split(['-', '_']).next() == Some(wanted.language());
    exact.or_else(|| known.iter().find(same)).copied()
}

/// SHA-256.
pub(super) fn sha256(data: &[u8]) -> digest::Digest {
    digest::digest(&digest::SHA256, data)
}

/// HMAC-SHA-256.
pub(super) fn hmac_sha256(key: &[u8], data: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data)
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// Equality that takes as long for a near miss as for a far one.
pub(super) fn equal(left: &[u8], right: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(left, right).is_ok()
}

/// A key of an event out of all that tells it from others. Keys are stored in clear, so what may hold a number or words
/// is hashed.
pub(super) fn digest_key(parts: &[&str]) -> String {
    hex(sha256(parts.join("\n").as_bytes()).as_ref())
}

/// The shape of [`OutboundText::reference`](super::OutboundText::reference): reports of texts that others sent from
/// the same account come here as well.
pub(super) fn is_reference(text: &str) -> bool {
    (1..=40).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// An id that can be stored and logged: 1 to 100 visible ASCII characters.
pub(super) fn is_readable_id(id: &str) -> bool {
    (1..=100).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic())
}

/// An address of the web, as it stands in a webhook; `None` for any other scheme.
pub(super) fn web_address(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    matches!(url.scheme(), "http" | "https").then(|| url.into())
}

/// The media type of a request's body, without parameters and in lower case; empty if it has none or several.
pub(super) fn media_type(request: &WebhookRequest) -> String {
    let value = request.header(CONTENT_TYPE.as_str()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// An answer with a body and no further headers.
pub(super) fn answer(status: StatusCode, content_type: &'static str, body: impl Into<String>) -> WebhookResponse {
    WebhookResponse { status, content_type, headers: Vec::new(), body: body.into() }
}

/// An answer that the provider does not read further than its status.
pub(super) fn plain(status: StatusCode, body: &str) -> WebhookResponse {
    answer(status, "text/plain", body)
}

/// JSON of a value made of texts under fixed names.
pub(super) fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("texts under fixed names are JSON")
}

/// HMAC-SHA-1, for providers that sign with nothing newer.
pub(super) fn hmac_sha1(key: &[u8], data: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key), data)
}

/// Where a call stands, in the words of TwiML and its kin.
pub(super) fn twiml_status(word: &str) -> Option<CallStatus> {
    Some(match word {
        "ringing" => CallStatus::Ringing,
        // `Dial` says "answered" where a leg says "in-progress".
        "in-progress" | "answered" => CallStatus::Answered,
        "completed" => CallStatus::Completed,
        "busy" => CallStatus::Busy,
        "no-answer" => CallStatus::NoAnswer,
        "failed" => CallStatus::Failed,
        "canceled" => CallStatus::Cancelled,
        _ => return None,
    })
}
