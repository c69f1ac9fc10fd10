//! Helpers for several adapters: form pairs, digests, constant-time comparison, references, XML.

mod xml;

use aws_lc_rs::{constant_time, digest, hmac};
use http::{StatusCode, header::CONTENT_TYPE};
use url::Url;

use super::{Acknowledgement, WebhookRequest, WebhookResponse};
use crate::domain::{call::CallStatus, hex, notice::Locale};
pub(super) use xml::Element;

/// `User-Agent` of requests to providers.
pub(super) const USER_AGENT: &str = concat!("Maskline/", env!("CARGO_PKG_VERSION"));

/// Decodes `application/x-www-form-urlencoded` pairs, keeping their order and repeats. Never fails: undecodable bytes
/// become replacement characters.
pub(super) fn form_pairs(text: &[u8]) -> Vec<(String, String)> {
    url::form_urlencoded::parse(text).into_owned().collect()
}

/// Returns the first value of a name, even if it is empty.
pub(super) fn value<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// Locales of the voice `alice`: Twilio's, and Telnyx's of the same name, because TeXML is modelled on TwiML.
pub(super) const ALICE: [&str; 26] = [
    "ca-ES", "da-DK", "de-DE", "en-GB", "en-AU", "en-CA", "en-IN", "en-US", "es-ES", "es-MX", "fi-FI", "fr-FR",
    "fr-CA", "it-IT", "ja-JP", "ko-KR", "nb-NO", "nl-NL", "pl-PL", "pt-PT", "pt-BR", "ru-RU", "sv-SE", "zh-CN",
    "zh-HK", "zh-TW",
];

/// Picks the wanted locale from those that a provider speaks, or another one of the same language. With an unknown
/// locale the provider's document would be invalid, or the caller would hear nothing.
pub(super) fn spoken(known: &[&'static str], wanted: &Locale) -> Option<&'static str> {
    let exact = known.iter().find(|known| **known == wanted.as_str());
    let same = |known: &&&str| known.split(['-', '_']).next() == Some(wanted.language());
    exact.or_else(|| known.iter().find(same)).copied()
}

pub(super) fn sha256(data: &[u8]) -> digest::Digest {
    digest::digest(&digest::SHA256, data)
}

/// SHA-256 in lower-case hexadecimal digits.
pub(super) fn sha256_hex(data: &[u8]) -> String {
    hex::encode(sha256(data).as_ref())
}

pub(super) fn hmac_sha256(key: &[u8], data: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data)
}

/// Compares in constant time.
pub(super) fn equal(left: &[u8], right: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(left, right).is_ok()
}

/// Hashes everything that distinguishes an event into its key. Keys are stored unencrypted, so anything that may hold a
/// phone number or text is hashed.
pub(super) fn digest_key(parts: &[&str]) -> String {
    sha256_hex(parts.join("\n").as_bytes())
}

/// Returns an id of the form that a provider documents as it is, and hashes any other: ids are stored unencrypted, and
/// one of another form may hold a phone number or text.
pub(super) fn stored_id(id: &str, is_documented: bool) -> String {
    if is_documented { id.to_owned() } else { digest_key(&[id]) }
}

/// Whether a text has the form of [`OutboundText::reference`](super::OutboundText::reference). Reports on texts that
/// other software sent from the same account arrive here as well.
pub(super) fn is_reference(text: &str) -> bool {
    (1..=40).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Whether an id can be stored and logged: 1 to 100 visible ASCII characters.
pub(super) fn is_readable_id(id: &str) -> bool {
    (1..=100).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic())
}

/// Reads an HTTP or HTTPS address from a webhook; `None` for any other scheme.
pub(super) fn web_address(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    matches!(url.scheme(), "http" | "https").then(|| url.into())
}

/// Returns the text of a field, unless it is empty.
pub(super) fn string<'a>(object: &'a serde_json::Value, name: &str) -> Option<&'a str> {
    object.get(name)?.as_str().filter(|text| !text.is_empty())
}

/// Returns the media type of a request, in lower case and without parameters; empty if it has none or several.
pub(super) fn media_type(request: &WebhookRequest) -> String {
    let value = request.header(CONTENT_TYPE.as_str()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Builds an answer with a body and no additional headers.
pub(super) fn answer(status: StatusCode, content_type: &'static str, body: impl Into<String>) -> WebhookResponse {
    WebhookResponse { status, content_type, headers: Vec::new(), body: body.into() }
}

/// Builds an answer of which the provider reads only the status.
pub(super) fn plain(status: StatusCode, body: &str) -> WebhookResponse {
    answer(status, "text/plain", body)
}

/// Answers a webhook of a provider that reads a body only if the event was accepted.
pub(super) fn acknowledge(
    acknowledgement: Acknowledgement,
    accepted: impl FnOnce() -> WebhookResponse,
) -> WebhookResponse {
    match acknowledgement {
        Acknowledgement::Accepted => accepted(),
        Acknowledgement::Unreadable => plain(acknowledgement.status(), "Unreadable"),
        Acknowledgement::NotNow => plain(acknowledgement.status(), "Try again later"),
    }
}

/// Serialises a value that consists of texts under fixed names, so it cannot fail.
pub(super) fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("texts under fixed names are JSON")
}

/// Signs with HMAC-SHA-1, for providers that use nothing newer.
pub(super) fn hmac_sha1(key: &[u8], data: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key), data)
}

/// Parses a call status of TwiML or one of its derivatives.
pub(super) fn twiml_status(word: &str) -> Option<CallStatus> {
    Some(match word {
        "ringing" => CallStatus::Ringing,
        // `Dial` reports "answered" where a leg reports "in-progress".
        "in-progress" | "answered" => CallStatus::Answered,
        "completed" => CallStatus::Completed,
        "busy" => CallStatus::Busy,
        "no-answer" => CallStatus::NoAnswer,
        "failed" => CallStatus::Failed,
        "canceled" => CallStatus::Cancelled,
        _ => return None,
    })
}
