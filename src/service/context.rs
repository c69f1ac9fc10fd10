//! Context shared by all use cases.

use std::sync::Arc;

use super::{
    breakers::streaks::Streaks, chance::Chance, in_hand::InHand, membership::Membership, moves::cursor::Cursor,
    readiness::Readiness, tokens::Tokens, wrong_secrets::WrongSecrets,
};
use crate::{
    config::{Config, Settings},
    domain::{
        clock::{Clock, Time},
        error::Result,
        number::ProviderName,
    },
    provider::{WebhookKind, registry::Registry},
    store::Store,
    wakeup::Wakeup,
};

/// Context shared by all use cases: the database, the clock, randomness, settings, providers, and the in-memory state
/// of modules, each in a type of its own.
pub struct Context {
    pub(crate) store: Store,
    clock: Arc<dyn Clock>,
    pub(super) chance: Arc<dyn Chance>,
    pub(crate) settings: Settings,
    pub(crate) providers: Registry,
    pub(crate) wakeups: Wakeups,
    pub(super) streaks: Streaks,
    pub(super) failover_cursor: Cursor,
    pub(super) readiness: Readiness,
    pub(super) membership: Membership,
    pub(super) in_hand: InHand,
    pub(super) tokens: Tokens,
    pub(super) wrong_secrets: WrongSecrets,
}

/// Signals that wake the workers before their next regular poll.
pub struct Wakeups {
    /// Items were added to the outbox, or may be sent now.
    pub outbox: Wakeup,
    /// Events were added to the log.
    pub events: Wakeup,
    /// Jobs of a dead process are due.
    pub jobs: Wakeup,
}

impl Wakeups {
    pub(super) fn send_all(&self) {
        let Self { outbox, events, jobs } = self;
        for wakeup in [outbox, events, jobs] {
            wakeup.send();
        }
    }
}

impl Context {
    /// Creates the context of an open database.
    pub fn new(config: Config, store: Store, clock: Arc<dyn Clock>, chance: Arc<dyn Chance>) -> Self {
        Self {
            store,
            clock,
            chance,
            tokens: Tokens::new(&config.jwt_secrets, &config.settings.issuer),
            settings: config.settings,
            providers: Registry::new(config.accounts),
            wakeups: Wakeups { outbox: Wakeup::new(), events: Wakeup::new(), jobs: Wakeup::new() },
            streaks: Streaks::default(),
            failover_cursor: Cursor::default(),
            readiness: Readiness::default(),
            membership: Membership::default(),
            in_hand: InHand::default(),
            wrong_secrets: WrongSecrets::new(),
        }
    }

    pub fn now(&self) -> Time {
        self.clock.now()
    }

    /// Returns the address of the webhook that receives a provider's reports.
    pub(super) fn report_url(&self, provider: &ProviderName) -> String {
        format!("{}/webhooks/{provider}/{}", self.settings.public_base_url, WebhookKind::Status.as_str())
    }

    /// Warns about providers that have numbers in the pool but are not, or no longer, configured.
    pub async fn warn_of_orphans(&self) -> Result<()> {
        for provider in crate::store::numbers::providers(&self.store).await? {
            if self.providers.get(&provider).is_none() {
                tracing::warn!(%provider, "found numbers of a provider that is not configured: they cannot be used");
            }
        }
        Ok(())
    }

    pub async fn close(self) {
        self.store.close().await;
    }
}
