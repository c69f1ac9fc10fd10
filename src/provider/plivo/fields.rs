//! The fields of a webhook, and ids as they are stored.

use http::Method;

use super::signature;
use crate::{
    domain::{hex::is_uuid, phone::PhoneNumber},
    provider::{WebhookRequest, wire},
};

/// Names with values, in the order in which Plivo signs them, including repeats.
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads the query of a GET and the form of a POST. The query of a POST is our own, not Plivo's.
    pub(super) fn of(request: &WebhookRequest) -> Self {
        let text = if request.method == Method::GET { request.query().as_bytes() } else { &request.body };
        Self(signature::sorted(text))
    }

    /// Returns the value of a field that has exactly one value that is not empty: Plivo sends many fields empty
    /// ("Inbound texts"), and repeats none that the adapter reads.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.0.iter().filter(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value);
        let value = values.next()?;
        values.all(|other| other == value).then_some(value)
    }

    /// Returns a value, or an empty text.
    pub(super) fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Returns a value that is a phone number.
    pub(super) fn phone(&self, name: &str) -> Option<PhoneNumber> {
        PhoneNumber::from_wire(self.text(name)).ok()
    }

    /// Returns a key of the whole request, for one without an id. Like the signature, it ignores where a name ends.
    pub(super) fn digest(&self) -> String {
        let whole: String = self.0.iter().flat_map(|(name, value)| [name.as_str(), value]).collect();
        wire::digest_key(&[&whole])
    }

    /// Returns the addresses of pictures. Plivo's pages disagree whether the first is `Media0` or `Media1` ("Inbound
    /// texts"). `MediaCount` says how many count; without it, or with 0 and pictures, all do.
    pub(super) fn media(&self) -> Vec<String> {
        let number = |name: &str| {
            let digits = name.strip_prefix("Media").filter(|rest| rest.bytes().all(|b| b.is_ascii_digit()))?;
            digits.parse::<u8>().ok()
        };
        let mut numbered: Vec<_> = self.0.iter().filter_map(|(name, value)| Some((number(name)?, value))).collect();
        numbered.sort_by_key(|(number, _)| *number);
        let count = self.text("MediaCount").parse().ok().filter(|count| *count > 0);
        numbered.iter().filter_map(|(_, value)| wire::web_address(value)).take(count.unwrap_or(usize::MAX)).collect()
    }
}

/// Keeps a UUID, which holds no phone number and no text. Keys are stored unencrypted, so anything else is hashed.
///
/// Drops everything after the UUID. A form is signed with nothing between names and values, so an attacker who repeats
/// a request could append the next field to its id, and the request would look like a new one.
pub(super) fn key(id: &str) -> String {
    let (uuid, _) = id.split_at_checked(36).unwrap_or_default();
    if is_uuid(uuid) { uuid.to_owned() } else { wire::digest_key(&[id]) }
}
