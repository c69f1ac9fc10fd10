//! Which providers there are, and which of them are configured. A new adapter adds one line to each list.

use std::sync::Arc;

use secrecy::SecretString;

use super::{Provider, messagebird, simulator};
use crate::domain::number::ProviderName;

/// Every adapter that is compiled in, configured or not: the webhooks of any other name are 404.
const KNOWN: &[&str] = &["messagebird", "simulator"];

/// The accounts, as configured. Each is whole or absent.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    /// MessageBird.
    pub messagebird: Option<messagebird::Config>,
    /// The built-in simulator; the secret is shared with its network.
    pub simulator: Option<SecretString>,
}

/// The adapters at work.
#[derive(Clone)]
pub struct Registry(Vec<Arc<dyn Provider>>);

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
        let adapters: [Option<Arc<dyn Provider>>; 2] = [
            accounts.messagebird.map(|config| Arc::new(messagebird::MessageBird::new(config)) as _),
            accounts.simulator.map(|secret| Arc::new(simulator::Simulator::new(secret)) as _),
        ];
        Self(adapters.into_iter().flatten().collect())
    }

    /// Looks a name up.
    pub fn find(&self, name: &str) -> Found {
        match self.0.iter().find(|adapter| adapter.profile().name.as_str() == name) {
            Some(adapter) => Found::Configured(Arc::clone(adapter)),
            None if KNOWN.contains(&name) => Found::NotConfigured,
            None => Found::Unknown,
        }
    }

    /// The adapter, if it is configured.
    pub fn get(&self, name: &ProviderName) -> Option<&Arc<dyn Provider>> {
        self.0.iter().find(|adapter| adapter.profile().name == *name)
    }

    /// Names of the configured ones.
    pub fn configured(&self) -> Vec<ProviderName> {
        self.0.iter().map(|adapter| adapter.profile().name.clone()).collect()
    }

    /// Every adapter there is, with its profile if it is configured.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, Option<&Arc<dyn Provider>>)> {
        KNOWN.iter().map(|name| (*name, self.0.iter().find(|adapter| adapter.profile().name.as_str() == *name)))
    }
}
