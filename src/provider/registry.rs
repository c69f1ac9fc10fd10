//! The known providers, and which of them are configured. A new adapter adds one line to each list.

use std::{collections::BTreeMap, sync::Arc};

use secrecy::SecretString;

use super::{Profile, Provider, bandwidth, messagebird, plivo, simulator, telnyx, twilio, vonage};
use crate::domain::{number::ProviderName, pace::Throughput};

/// Every adapter that is compiled in, configured or not. A webhook for any other name is answered with 404.
static KNOWN: &[&Profile] = &[
    &bandwidth::PROFILE,
    &messagebird::PROFILE,
    &plivo::PROFILE,
    &simulator::PROFILE,
    &telnyx::PROFILE,
    &twilio::PROFILE,
    &vonage::PROFILE,
];

/// Limits of an account that replace the provider's usual ones.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// Number of texts per minute from one number.
    pub texts_per_minute: Option<u32>,
    /// Number of texts per second from all its numbers together.
    pub texts_per_second: Option<u32>,
}

/// Configured accounts. Each is complete or absent.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    pub messagebird: Option<messagebird::Config>,
    pub plivo: Option<plivo::Config>,
    pub bandwidth: Option<bandwidth::Config>,
    pub twilio: Option<twilio::Config>,
    pub vonage: Option<vonage::Config>,
    pub telnyx: Option<telnyx::Config>,
    /// Secrets of the built-in simulator, whose network signs with one of them.
    pub simulator: Option<Vec<SecretString>>,
    pub limits: BTreeMap<ProviderName, Limits>,
}

impl Accounts {
    /// Whether there is an account with a real provider.
    pub fn is_any(&self) -> bool {
        self.messagebird.is_some()
            || self.plivo.is_some()
            || self.bandwidth.is_some()
            || self.twilio.is_some()
            || self.vonage.is_some()
            || self.telnyx.is_some()
    }
}

/// The configured adapters.
#[derive(Clone)]
pub struct Registry {
    adapters: Vec<Arc<dyn Provider>>,
    limits: BTreeMap<ProviderName, Limits>,
}

/// Result of looking up the provider name in a webhook's path.
pub enum ProviderLookup {
    /// An adapter with an account.
    Configured(Arc<dyn Provider>),
    /// An adapter without an account. It accepts no webhooks.
    NotConfigured,
    /// No adapter has this name.
    Unknown,
}

impl Registry {
    /// Creates the adapters of these accounts.
    pub fn new(accounts: Accounts) -> Self {
        let adapters: [Option<Arc<dyn Provider>>; 7] = [
            accounts.bandwidth.map(|config| Arc::new(bandwidth::Bandwidth::new(config)) as _),
            accounts.messagebird.map(|config| Arc::new(messagebird::MessageBird::new(config)) as _),
            accounts.plivo.map(|config| Arc::new(plivo::Plivo::new(config)) as _),
            accounts.telnyx.map(|config| Arc::new(telnyx::Telnyx::new(config)) as _),
            accounts.twilio.map(|config| Arc::new(twilio::Twilio::new(config)) as _),
            accounts.vonage.map(|config| Arc::new(vonage::Vonage::new(config)) as _),
            accounts.simulator.map(|secrets| Arc::new(simulator::SimulatorAdapter::new(secrets)) as _),
        ];
        Self { adapters: adapters.into_iter().flatten().collect(), limits: accounts.limits }
    }

    pub fn find(&self, name: &str) -> ProviderLookup {
        match self.adapters.iter().find(|adapter| adapter.profile().name.as_str() == name) {
            Some(adapter) => ProviderLookup::Configured(Arc::clone(adapter)),
            None if KNOWN.iter().any(|known| known.name.as_str() == name) => ProviderLookup::NotConfigured,
            None => ProviderLookup::Unknown,
        }
    }

    /// Returns the adapter if it is configured.
    pub fn get(&self, name: &ProviderName) -> Option<&Arc<dyn Provider>> {
        self.adapters.iter().find(|adapter| adapter.profile().name == *name)
    }

    /// Returns the names of the configured adapters.
    pub fn configured(&self) -> Vec<ProviderName> {
        self.adapters.iter().map(|adapter| adapter.profile().name.clone()).collect()
    }

    /// Returns how fast a provider accepts texts from this account.
    pub fn throughput(&self, profile: &Profile) -> Throughput {
        let limits = self.limits.get(&profile.name).copied().unwrap_or_default();
        Throughput {
            texts_per_minute: limits.texts_per_minute.unwrap_or(profile.texts_per_minute),
            texts_per_second: limits.texts_per_second.or(profile.texts_per_second),
        }
    }

    /// Iterates over all adapters and whether each is configured.
    pub fn all(&self) -> impl Iterator<Item = (&'static Profile, bool)> {
        KNOWN.iter().map(|known| (*known, self.get(&known.name).is_some()))
    }
}

/// Returns the names of all adapters, for their configuration variables.
pub fn names() -> impl Iterator<Item = &'static ProviderName> {
    KNOWN.iter().map(|known| &known.name)
}
