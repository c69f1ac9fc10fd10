//! Which providers there are, and which of them are configured. A new adapter adds one line to each list.

use std::{collections::BTreeMap, sync::Arc};

use secrecy::SecretString;

use super::{Profile, Provider, bandwidth, messagebird, plivo, simulator, telnyx, twilio, vonage};
use crate::domain::{number::ProviderName, pace::Throughput};

/// Every adapter that is compiled in, configured or not: the webhooks of any other name are 404.
static KNOWN: &[&Profile] = &[
    &bandwidth::PROFILE,
    &messagebird::PROFILE,
    &plivo::PROFILE,
    &simulator::PROFILE,
    &telnyx::PROFILE,
    &twilio::PROFILE,
    &vonage::PROFILE,
];

/// What an account may send, where that differs from what is usual at its provider.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// Texts from one number in a minute.
    pub texts_per_minute: Option<u32>,
    /// Texts from all its numbers in a second.
    pub texts_per_second: Option<u32>,
}

/// The accounts, as configured. Each is whole or absent.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    /// MessageBird.
    pub messagebird: Option<messagebird::Config>,
    /// Plivo.
    pub plivo: Option<plivo::Config>,
    /// Bandwidth.
    pub bandwidth: Option<bandwidth::Config>,
    /// Twilio.
    pub twilio: Option<twilio::Config>,
    /// Vonage.
    pub vonage: Option<vonage::Config>,
    /// Telnyx.
    pub telnyx: Option<telnyx::Config>,
    /// The built-in simulator; its network signs with one of these secrets.
    pub simulator: Option<Vec<SecretString>>,
    /// What they may send.
    pub limits: BTreeMap<ProviderName, Limits>,
}

impl Accounts {
    /// Whether there is one with a real provider.
    pub fn is_any(&self) -> bool {
        self.messagebird.is_some()
            || self.plivo.is_some()
            || self.bandwidth.is_some()
            || self.twilio.is_some()
            || self.vonage.is_some()
            || self.telnyx.is_some()
    }
}

/// The adapters at work.
#[derive(Clone)]
pub struct Registry {
    adapters: Vec<Arc<dyn Provider>>,
    limits: BTreeMap<ProviderName, Limits>,
}

/// What a name in a webhook's path stands for.
pub enum Found {
    /// An adapter with an account.
    Configured(Arc<dyn Provider>),
    /// An adapter without one: it hears nobody.
    NotConfigured,
    /// No adapter.
    Unknown,
}

impl Registry {
    /// The adapters of these accounts.
    pub fn new(accounts: Accounts) -> Self {
        let adapters: [Option<Arc<dyn Provider>>; 7] = [
            accounts.bandwidth.map(|config| Arc::new(bandwidth::Bandwidth::new(config)) as _),
            accounts.messagebird.map(|config| Arc::new(messagebird::MessageBird::new(config)) as _),
            accounts.plivo.map(|config| Arc::new(plivo::Plivo::new(config)) as _),
            accounts.telnyx.map(|config| Arc::new(telnyx::Telnyx::new(config)) as _),
            accounts.twilio.map(|config| Arc::new(twilio::Twilio::new(config)) as _),
            accounts.vonage.map(|config| Arc::new(vonage::Vonage::new(config)) as _),
            accounts.simulator.map(|secrets| Arc::new(simulator::Simulator::new(secrets)) as _),
        ];
        Self { adapters: adapters.into_iter().flatten().collect(), limits: accounts.limits }
    }

    /// Looks a name up.
    pub fn find(&self, name: &str) -> Found {
        match self.adapters.iter().find(|adapter| adapter.profile().name.as_str() == name) {
            Some(adapter) => Found::Configured(Arc::clone(adapter)),
            None if KNOWN.iter().any(|known| known.name.as_str() == name) => Found::NotConfigured,
            None => Found::Unknown,
        }
    }

    /// The adapter, if it is configured.
    pub fn get(&self, name: &ProviderName) -> Option<&Arc<dyn Provider>> {
        self.adapters.iter().find(|adapter| adapter.profile().name == *name)
    }

    /// Names of the configured ones.
    pub fn configured(&self) -> Vec<ProviderName> {
        self.adapters.iter().map(|adapter| adapter.profile().name.clone()).collect()
    }

    /// How fast a provider takes texts from this account.
    pub fn throughput(&self, profile: &Profile) -> Throughput {
        let limits = self.limits.get(&profile.name).copied().unwrap_or_default();
        Throughput {
            texts_per_minute: limits.texts_per_minute.unwrap_or(profile.texts_per_minute),
            texts_per_second: limits.texts_per_second.or(profile.texts_per_second),
        }
    }

    /// Every adapter there is, and whether it is configured.
    pub fn all(&self) -> impl Iterator<Item = (&'static Profile, bool)> {
        KNOWN.iter().map(|known| (*known, self.get(&known.name).is_some()))
    }
}

/// Names of all adapters, for their variables.
pub fn names() -> impl Iterator<Item = &'static ProviderName> {
    KNOWN.iter().map(|known| &known.name)
}
