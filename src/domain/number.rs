//! Proxy numbers and the providers that own them.

use std::{borrow::Cow, fmt};

use super::{clock::Time, ids::NumberId, phone::PhoneNumber, words::words};

/// Name of a provider as it stands in paths and records (`messagebird`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct ProviderName(Cow<'static, str>);

impl ProviderName {
    /// The name of an adapter that is compiled in.
    pub const fn of(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }

    /// A name read from outside: lower-case letters, at most 32.
    pub fn parse(name: &str) -> Option<Self> {
        let shape = (1..=32).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_lowercase());
        shape.then(|| Self(Cow::Owned(name.to_owned())))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProviderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

words! {
    /// Whether a number takes part in the pool.
    NumberStatus {
        /// May be assigned to new rides.
        Active = "active",
        /// Serves the rides it has and takes no new ones.
        Draining = "draining",
        /// Takes no new rides; something is wrong with it.
        Suspended = "suspended",
    }

    /// Whether a number must be of the customer's or the driver's country.
    NumberMatch {
        /// Rather than of another.
        Loose = "loose",
        /// Or there is no ride.
        Strict = "strict",
    }

    /// What a number can carry.
    Capability {
        /// Texts.
        Sms = "sms",
        /// Calls.
        Voice = "voice",
        /// Pictures.
        Mms = "mms",
    }
}

/// The set of things a number can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Capabilities {
    /// Texts.
    pub sms: bool,
    /// Calls.
    pub voice: bool,
    /// Pictures.
    pub mms: bool,
}

impl Capabilities {
    /// From the list of the API; repeats do not matter.
    pub fn of(list: &[Capability]) -> Self {
        let has = |capability| list.contains(&capability);
        Self { sms: has(Capability::Sms), voice: has(Capability::Voice), mms: has(Capability::Mms) }
    }

    /// As the list of the API.
    pub fn list(self) -> Vec<Capability> {
        let all = [(self.sms, Capability::Sms), (self.voice, Capability::Voice), (self.mms, Capability::Mms)];
        all.into_iter().filter_map(|(has, capability)| has.then_some(capability)).collect()
    }
}

/// A proxy number.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Number {
    /// Its id.
    pub id: NumberId,
    /// The number itself: the platform's own, not personal.
    #[serde(with = "super::phone::exposed")]
    pub phone: PhoneNumber,
    /// Who owns the line.
    pub provider: ProviderName,
    /// What it can carry.
    pub capabilities: Capabilities,
    /// ISO 3166 code, derived from the number unless given.
    pub country: Option<String>,
    /// Whether it takes part.
    pub status: NumberStatus,
    /// Rides whose contact window on it is open.
    pub open_rides: i64,
    /// When it was last chosen for a ride.
    pub last_assigned_at: Option<Time>,
    /// Counts edits; the ETag.
    pub version: i64,
    /// When it joined the pool.
    pub created_at: Time,
    /// When it was last edited.
    pub updated_at: Time,
}

/// A number to be added.
#[derive(Clone, Debug)]
pub struct NewNumber {
    /// See [`Number::phone`].
    pub phone: PhoneNumber,
    /// See [`Number::provider`].
    pub provider: ProviderName,
    /// See [`Number::capabilities`].
    pub capabilities: Capabilities,
    /// See [`Number::status`].
    pub status: NumberStatus,
}

/// Edits of a number; its phone and its provider never change.
#[derive(Clone, Debug, Default)]
pub struct NumberPatch {
    /// Another status.
    pub status: Option<NumberStatus>,
    /// Another set of capabilities.
    pub capabilities: Option<Capabilities>,
}
