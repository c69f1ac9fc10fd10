//! Proxy numbers and the providers that own them.

use std::{borrow::Cow, fmt};

use super::{clock::Time, ids::NumberId, phone::PhoneNumber, string_enum::string_enum};

/// Name of a provider in paths and records (`messagebird`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct ProviderName(Cow<'static, str>);

impl ProviderName {
    /// Creates the name of a compiled-in adapter.
    pub const fn of(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }

    /// Reads a name from outside: at most 32 lower-case letters.
    pub fn parse(name: &str) -> Option<Self> {
        let shape = (1..=32).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_lowercase());
        shape.then(|| Self(Cow::Owned(name.to_owned())))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProviderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

string_enum! {
    /// Whether a number takes part in the pool.
    NumberStatus {
        /// May be assigned to new rides.
        Active = "active",
        /// Serves the rides it has and takes no new ones.
        Draining = "draining",
        /// Takes no new rides, because something is wrong with it.
        Suspended = "suspended",
    }

    /// Whether a number must be from the customer's or the driver's country.
    NumberMatch {
        /// Preferred.
        Loose = "loose",
        /// Required: without such a number there is no ride.
        Strict = "strict",
    }

    /// Kind of contact that a number can carry.
    Capability {
        Sms = "sms",
        Voice = "voice",
        /// Pictures.
        Mms = "mms",
    }
}

/// Kinds of contact that a number can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Capabilities {
    pub sms: bool,
    pub voice: bool,
    /// Pictures.
    pub mms: bool,
}

impl Capabilities {
    /// Reads the list of the API; repeats do not matter.
    pub fn of(list: &[Capability]) -> Self {
        let has = |capability| list.contains(&capability);
        Self { sms: has(Capability::Sms), voice: has(Capability::Voice), mms: has(Capability::Mms) }
    }

    /// Returns the list of the API.
    pub fn list(self) -> Vec<Capability> {
        let all = [(self.sms, Capability::Sms), (self.voice, Capability::Voice), (self.mms, Capability::Mms)];
        all.into_iter().filter_map(|(has, capability)| has.then_some(capability)).collect()
    }
}

/// Proxy number.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Number {
    pub id: NumberId,
    /// The number itself. It belongs to the platform and is not personal.
    #[serde(with = "super::phone::exposed")]
    pub phone: PhoneNumber,
    /// Provider that owns the line.
    pub provider: ProviderName,
    pub capabilities: Capabilities,
    /// ISO 3166 code, derived from the number.
    pub country: Option<String>,
    pub status: NumberStatus,
    /// Rides with an open contact window on it.
    pub open_rides: i64,
    /// When it was last assigned to a ride.
    pub last_assigned_at: Option<Time>,
    /// Edit counter, used as the ETag.
    pub version: i64,
    /// When it joined the pool.
    pub created_at: Time,
    /// Time of the last edit.
    pub updated_at: Time,
}

/// Number to add. The fields are those of [`Number`].
#[derive(Clone, Debug)]
pub struct NewNumber {
    pub phone: PhoneNumber,
    pub provider: ProviderName,
    pub capabilities: Capabilities,
    pub status: NumberStatus,
}

/// Changes to a number. Its phone and its provider never change.
#[derive(Clone, Debug, Default)]
pub struct NumberPatch {
    pub status: Option<NumberStatus>,
    pub capabilities: Option<Capabilities>,
}
