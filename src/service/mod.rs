//! Use cases: what the platform, the providers and the clock can make us do.
//!
//! A use case owns its transaction and everything it owes goes into the outbox inside it. Nothing here knows HTTP or
//! SQL; of providers it knows only the trait.

pub mod auth;
mod bell;
pub mod breakers;
pub mod comparisons;
pub mod deliveries;
pub mod endpoints;
pub mod events;
pub mod health;
pub mod in_hand;
pub mod intake;
pub mod intercept;
pub mod messages;
pub mod numbers;
pub mod once;
pub mod outbox;
pub mod people;
pub mod pool;
pub mod presence;
pub mod questions;
mod random;
mod relay;
pub mod rides;
mod strangers;
mod tokens;
pub mod upkeep;
mod wrong_secrets;

use std::sync::{Arc, atomic::AtomicI64};

pub use bell::Bell;
use chrono::Duration;
pub use deliveries::{Finished, Lane, Pong, Round};
pub use endpoints::EndpointWithSecret;
pub use health::NotReady;
pub use intake::Intake;
pub use intercept::Intercept;
pub use messages::TimelineItem;
pub use once::{Once, RequestId};
pub use pool::{PoolGroup, PoolReport};
pub use presence::{Attendance, RENEW_EVERY};
pub use random::{Chance, SystemChance};
pub use rides::Rehearsal;
pub use strangers::Strangers;
use tokio::sync::{Notify, Semaphore};
pub use upkeep::Job;

use crate::{
    domain::{
        breaker::Failover,
        clock::{Clock, Time},
        courier::Courier,
        error::{Error, Result},
        notice::Catalogue,
        number::{NumberMatch, ProviderName},
        origin::TrustedProxies,
        ride::ContactPolicy,
        target::TargetPolicy,
        version::ExpectedVersion,
    },
    provider::{Endpoint, registry::Registry},
    store::Store,
};

/// Everything the use cases share.
pub struct Context {
    pub(crate) store: Store,
    clock: Arc<dyn Clock>,
    chance: Arc<dyn Chance>,
    policy: ContactPolicy,
    number_match: NumberMatch,
    low_water: u32,
    message_ttl: Duration,
    failover: Failover,
    streaks: breakers::Streaks,
    /// The last ride that was looked at on a provider that is down.
    moved_up_to: AtomicI64,
    health: health::Health,
    presence: presence::Presence,
    in_hand: in_hand::InHand,
    words: Arc<Catalogue>,
    strangers: Strangers,
    providers: Registry,
    targets: TargetPolicy,
    courier: Arc<dyn Courier>,
    intercept: Option<Intercept>,
    /// Room for pings: each holds a request for as long as an endpoint takes.
    pings: Semaphore,
    /// Room for writing down what came of deliveries.
    finishing: Semaphore,
    /// Without a slash at the end.
    public_base_url: String,
    tokens: tokens::Tokens,
    wrong_secrets: wrong_secrets::WrongSecrets,
    proxies: TrustedProxies,
    /// Rings when something new is owed; the outbox worker listens.
    owed: Bell,
    /// Rings when events got their places in the log; whoever delivers them listens.
    event_bell: Arc<Notify>,
    /// Rings when jobs that another process did not finish are due.
    jobs_bell: Bell,
    event_retention: Duration,
}

/// What a [`Context`] is made of.
pub struct Parts {
    /// The database.
    pub store: Store,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where numbers and pauses are chosen from.
    pub chance: Arc<dyn Chance>,
    /// How long contact lasts.
    pub policy: ContactPolicy,
    /// Whether a number must be of a party's country.
    pub number_match: NumberMatch,
    /// The pool is low when fewer numbers than this are free for the busiest phone.
    pub low_water: u32,
    /// How long a text is worth sending.
    pub message_ttl: Duration,
    /// What is done about a provider that is down.
    pub failover: Failover,
    /// How long platform events are kept.
    pub event_retention: Duration,
    /// All words that people read and hear.
    pub words: Arc<Catalogue>,
    /// What is done for who has no ride.
    pub strangers: Strangers,
    /// The configured adapters.
    pub providers: Registry,
    /// Where events may be delivered.
    pub targets: TargetPolicy,
    /// Delivers them.
    pub courier: Arc<dyn Courier>,
    /// Who is asked before a contact goes through.
    pub intercept: Option<Intercept>,
    /// Where the world reaches us.
    pub public_base_url: String,
    /// Issuer and audience of access tokens.
    pub issuer: String,
    /// Access tokens are signed with the first and verified with all.
    pub jwt_secrets: Vec<secrecy::SecretString>,
    /// Proxies in front whose word on the caller's address counts.
    pub proxies: TrustedProxies,
}

impl Context {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Self {
        let tokens = tokens::Tokens::new(&parts.jwt_secrets, &parts.issuer);
        Self {
            store: parts.store,
            clock: parts.clock,
            chance: parts.chance,
            policy: parts.policy,
            number_match: parts.number_match,
            low_water: parts.low_water,
            message_ttl: parts.message_ttl,
            failover: parts.failover,
            streaks: breakers::Streaks::default(),
            moved_up_to: AtomicI64::new(0),
            health: health::Health::default(),
            presence: presence::Presence::default(),
            in_hand: in_hand::InHand::default(),
            words: parts.words,
            strangers: parts.strangers,
            providers: parts.providers,
            targets: parts.targets,
            courier: parts.courier,
            intercept: parts.intercept,
            pings: Semaphore::new(deliveries::PINGS),
            finishing: Semaphore::new(deliveries::FINISHING),
            public_base_url: parts.public_base_url,
            tokens,
            wrong_secrets: wrong_secrets::WrongSecrets::new(),
            proxies: parts.proxies,
            owed: Bell::new(),
            event_bell: Arc::new(Notify::new()),
            jobs_bell: Bell::new(),
            event_retention: parts.event_retention,
        }
    }

    /// The time now.
    pub fn now(&self) -> Time {
        self.clock.now()
    }

    /// The configured adapters.
    pub fn providers(&self) -> &Registry {
        &self.providers
    }

    /// The address under which the world reaches us, without a slash at the end.
    pub fn public_base_url(&self) -> &str {
        &self.public_base_url
    }

    /// Proxies in front whose word on the caller's address counts.
    pub fn proxies(&self) -> &TrustedProxies {
        &self.proxies
    }

    /// Where a provider reports to.
    fn report_url(&self, provider: &ProviderName) -> String {
        format!("{}/webhooks/{provider}/{}", self.public_base_url, Endpoint::Status.as_str())
    }

    /// Rings when something new is owed.
    pub fn owed(&self) -> &Bell {
        &self.owed
    }

    /// Says in the log which numbers cannot be used because their provider is not configured (any more).
    pub async fn warn_of_orphans(&self) -> Result<()> {
        for provider in crate::store::numbers::providers(&self.store).await? {
            if self.providers.get(&provider).is_none() {
                tracing::warn!(%provider, "the pool has numbers of a provider that is not configured: they cannot be used");
            }
        }
        Ok(())
    }

    /// Closes the database.
    pub async fn close(self) {
        self.store.close().await;
    }
}

/// Compares the version of a record with those that the caller expects (`If-Match`).
fn expect_version(expected: &ExpectedVersion, current: i64) -> Result<()> {
    if expected.admits(current) { Ok(()) } else { Err(Error::Stale) }
}

/// A name that nobody else has, behind a prefix that tells what it names.
pub fn random_name(prefix: &str) -> String {
    random::name(prefix)
}
