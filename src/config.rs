//! Configuration: turns environment variables into one complete value, or reports every mistake at once, by name.
//!
//! Nothing is printed, and no error repeats a value: it may be a secret.

mod accounts;
mod connections;
mod intercept;
mod keys;
mod local_keys;
mod public_url;
mod templates;

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use chrono::Duration;
use secrecy::{ExposeSecret as _, SecretString};

pub(crate) use self::intercept::InterceptConfig;
use crate::{
    domain::{
        breaker::Failover, hex, notice::Catalogue, number::NumberMatch, origin::TrustedProxies, phone::PhoneNumber,
        ride::ContactPolicy, target::TargetPolicy,
    },
    provider::registry::Accounts,
    store::{DatabaseOptions, Keys},
};

/// Complete configuration.
#[derive(Clone)]
pub struct Config {
    /// `LISTEN_ADDR`.
    pub listen_addr: SocketAddr,
    /// `PUBLIC_BASE_URL`: may have a path, and has no trailing slash. `None` stands for the listening address.
    pub public_base_url: Option<String>,
    /// `MAX_CONNECTIONS`.
    pub(crate) max_connections: usize,
    /// `KEEP_ALIVE`.
    pub(crate) keep_alive: std::time::Duration,
    /// `DATABASE_URL`.
    pub(crate) database: DatabaseOptions,
    /// Whether the database is the embedded one: then missing keys and the first client are generated.
    pub embedded: bool,
    /// `JWT_SECRET`: the first signs, all verify.
    pub jwt_secrets: Vec<SecretString>,
    /// `DATA_KEY` and `INDEX_KEY`.
    pub(crate) keys: Keys,
    /// `BOOTSTRAP_CLIENT_ID` and `BOOTSTRAP_CLIENT_SECRET`.
    pub bootstrap_client: Option<(String, SecretString)>,
    /// Settings that use cases and the API read while the service runs.
    pub settings: Settings,
    /// Accounts with providers, including the simulator's.
    pub(crate) accounts: Accounts,
    /// `MIGRATE_ON_START`.
    pub migrate_on_start: bool,
}

/// Settings that use cases and the API read while the service runs. A new setting is a field here, a line in
/// `Reader::settings` and one in `.env.example`.
#[derive(Clone)]
pub struct Settings {
    /// `PUBLIC_BASE_URL`, or the listening address; without a trailing slash.
    pub(crate) public_base_url: String,
    /// Issuer and audience of access tokens. If configured, it is `PUBLIC_BASE_URL`, so that two installations refuse
    /// each other's tokens; otherwise, a name that all replicas share wherever they listen.
    pub(crate) issuer: String,
    /// `TRUSTED_PROXIES`.
    pub(crate) trusted_proxies: TrustedProxies,
    /// `GRACE_PERIOD` and the other durations of contact.
    pub policy: ContactPolicy,
    /// `NUMBER_MATCH`.
    pub(crate) number_match: NumberMatch,
    /// `POOL_LOW_WATER`.
    pub(crate) low_water: u32,
    /// `MESSAGE_TTL`.
    pub(crate) message_ttl: Duration,
    /// `FAILOVER`, `FAILOVER_AFTER` and `BREAKER_FAILURES`.
    pub(crate) failover: Failover,
    /// `EVENT_RETENTION`.
    pub(crate) event_retention: Duration,
    /// `TEMPLATES_DIR` and `DEFAULT_LANGUAGE`: the texts of notices and announcements.
    pub(crate) catalogue: Arc<Catalogue>,
    /// `SUPPORT_NUMBER`: destination of calls without a ride.
    pub(crate) support_number: Option<PhoneNumber>,
    /// `AUTO_REPLY`: whether texts without a ride get a reply.
    pub(crate) auto_reply: bool,
    /// `EVENTS_ALLOW_LOOPBACK`.
    pub(crate) targets: TargetPolicy,
    /// `INTERCEPT_URL`, `INTERCEPT_SECRET` and `INTERCEPT_ON_FAILURE`.
    pub(crate) intercept: Option<InterceptConfig>,
}

/// Mistakes in the configuration, one line each.
#[derive(Debug)]
pub struct ConfigErrors(Vec<String>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "The configuration has mistakes:")?;
        self.0.iter().try_for_each(|line| write!(f, "\n  - {line}"))
    }
}

impl std::error::Error for ConfigErrors {}

/// `LOG_FORMAT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object per line.
    Json,
}

impl LogFormat {
    /// Reads the format before everything else, so that the rest can be logged. A mistake in it is reported with the
    /// rest.
    pub fn from_env(env: &dyn Fn(&str) -> Option<String>) -> Self {
        match env("LOG_FORMAT").as_deref() {
            Some("json") => Self::Json,
            _ => Self::Text,
        }
    }
}

/// Default of `LISTEN_ADDR`.
pub const DEFAULT_LISTEN_ADDR: &str = "127.0.0.1:8080";
const DEFAULT_DATABASE: &str = "sqlite://./data/maskline.db";

impl Config {
    /// Reads the configuration from variables, such as those of the process.
    pub fn load(env: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigErrors> {
        let mut reader = Reader { env, errors: Vec::new() };
        match reader.config() {
            Some(config) if reader.errors.is_empty() => Ok(config),
            _ => Err(ConfigErrors(reader.errors)),
        }
    }

    /// Returns the file of the database, if it is embedded.
    pub fn database_file(&self) -> Option<PathBuf> {
        DatabaseOptions::sqlite_path(self.database.url.expose_secret()).map(Path::to_owned)
    }
}

struct Reader<'a> {
    env: &'a dyn Fn(&str) -> Option<String>,
    errors: Vec<String>,
}

impl Reader<'_> {
    fn config(&mut self) -> Option<Config> {
        let listen_addr = self.parsed(
            "LISTEN_ADDR",
            DEFAULT_LISTEN_ADDR,
            "must be an address and port, such as 0.0.0.0:8080",
            |text| text.parse().ok(),
        );
        let public_base_url = self.public_base_url();
        let (max_connections, keep_alive) = (self.max_connections(), self.keep_alive());
        let url = self.secret("DATABASE_URL").unwrap_or_else(|| DEFAULT_DATABASE.into());
        let embedded = DatabaseOptions::sqlite_path(url.expose_secret()).is_some();
        let known = ["postgres://", "postgresql://"].iter().any(|scheme| url.expose_secret().starts_with(scheme));
        if !embedded && !known {
            self.errors.push("DATABASE_URL must begin with sqlite:// or postgres://".to_owned());
        }
        if url.expose_secret().contains(":memory:") {
            self.errors.push(
                "DATABASE_URL must name a file: a database in memory loses everything when the process ends".to_owned(),
            );
        }
        let pooler = self.parsed("DATABASE_POOLER", "none", "must be none or transaction", |text| match text {
            "none" => Some(false),
            "transaction" => Some(true),
            _ => None,
        });
        if embedded && pooler == Some(true) {
            self.errors.push("DATABASE_POOLER is for PostgreSQL: the embedded database has none".to_owned());
        }
        let bootstrap_client = self.bootstrap();
        let settings = self.settings(listen_addr, public_base_url.clone());
        let mut accounts = self.accounts();
        let real = accounts.is_any();
        if real && public_base_url.is_none() {
            self.errors.push("PUBLIC_BASE_URL is required with a provider: its webhooks are signed for it".to_owned());
        }
        let host = public_base_url.as_deref().and_then(|url| url::Url::parse(url).ok()?.host_str().map(str::to_owned));
        if accounts.twilio.is_some() && host.is_some_and(|host| host.contains('_')) {
            self.errors
                .push("PUBLIC_BASE_URL must have no underscore in its host: Twilio refuses such addresses".to_owned());
        }
        let simulates = self.switch("SIMULATOR", !real);
        let migrate_on_start = self.switch("MIGRATE_ON_START", true);
        self.parsed("LOG_FORMAT", "text", "must be text or json", |text| matches!(text, "text" | "json").then_some(()));
        let keys = self.keys(embedded, url.expose_secret());
        let (jwt_secrets, keys) = keys?;
        accounts.simulator = simulates.then(|| jwt_secrets.iter().map(simulator_secret).collect());
        Some(Config {
            listen_addr: listen_addr?,
            public_base_url,
            max_connections: max_connections?,
            keep_alive: keep_alive?,
            database: DatabaseOptions { url, max_connections: if embedded { 8 } else { 16 }, pooler: pooler? },
            embedded,
            jwt_secrets,
            keys,
            bootstrap_client,
            settings: settings?,
            accounts,
            migrate_on_start,
        })
    }

    fn settings(&mut self, listen_addr: Option<SocketAddr>, public_base_url: Option<String>) -> Option<Settings> {
        let trusted_proxies = self.proxies();
        let policy = self.policy();
        let number_match = self.parsed("NUMBER_MATCH", "loose", "must be loose or strict", NumberMatch::parse);
        let low_water =
            self.parsed("POOL_LOW_WATER", "0", "must be a whole number of at most 1000000, such as 20", |text| {
                text.parse().ok().filter(|numbers| *numbers <= 1_000_000)
            });
        let message_ttl = self.duration("MESSAGE_TTL", "1h", Duration::days(365));
        let message_ttl =
            self.require("MESSAGE_TTL must be longer than nothing", message_ttl.filter(|ttl| !ttl.is_zero()));
        let failover = self.failover();
        let day = Duration::days(1);
        let event_retention = self.parsed(
            "EVENT_RETENTION",
            "30d",
            // An event is retried for more than a day, and must be kept for that long.
            "must be a duration from 3 to 365 days, such as 72h or 30d",
            |text| duration(text).filter(|kept| (day * 3..=day * 365).contains(kept)),
        );
        let catalogue = self.catalogue();
        let support_number = self.text("SUPPORT_NUMBER").and_then(|text| {
            let rule = "SUPPORT_NUMBER must be a phone number in international form, such as +31201234567";
            self.require(rule, PhoneNumber::parse(&text).ok())
        });
        let auto_reply = self.switch("AUTO_REPLY", false);
        let targets = TargetPolicy { allow_loopback: self.switch("EVENTS_ALLOW_LOOPBACK", false) };
        let intercept = self.intercept();
        Some(Settings {
            issuer: public_base_url.clone().unwrap_or_else(|| "maskline".to_owned()),
            public_base_url: public_base_url.or_else(|| Some(format!("http://{}", listen_addr?)))?,
            trusted_proxies: trusted_proxies?,
            policy: policy?,
            number_match: number_match?,
            low_water: low_water?,
            message_ttl: message_ttl?,
            failover: failover?,
            event_retention: event_retention?,
            catalogue: Arc::new(catalogue?),
            support_number,
            auto_reply,
            targets,
            intercept,
        })
    }

    fn policy(&mut self) -> Option<ContactPolicy> {
        let day = Duration::days(1);
        let grace = self.duration("GRACE_PERIOD", "24h", day * 365);
        let cancel_grace = self.duration("CANCEL_GRACE", "15m", day * 365);
        let cool_down = self.duration("COOL_DOWN", "7d", day * 365);
        let max_duration = self.duration("RIDE_MAX_DURATION", "24h", day * 365);
        let booking_horizon = self.duration("BOOKING_HORIZON", "90d", day * 3650);
        let grace_limit = self.duration("GRACE_PERIOD_LIMIT", "7d", day * 365)?;
        let max_duration_limit = self.duration("RIDE_MAX_DURATION_LIMIT", "7d", day * 365)?;
        let (grace, max_duration) = (grace?, max_duration?);
        Some(ContactPolicy {
            grace,
            cancel_grace: cancel_grace?,
            cool_down: cool_down?,
            max_duration,
            booking_horizon: booking_horizon?,
            // A limit is never below the default.
            grace_limit: grace_limit.max(grace),
            max_duration_limit: max_duration_limit.max(max_duration),
        })
    }

    fn proxies(&mut self) -> Option<TrustedProxies> {
        let Some(list) = self.text("TRUSTED_PROXIES") else { return Some(TrustedProxies::default()) };
        let rule =
            "TRUSTED_PROXIES must be addresses or networks with commas between them, such as 10.0.0.0/8,2001:db8::1";
        self.require(rule, TrustedProxies::parse(&list))
    }

    fn failover(&mut self) -> Option<Failover> {
        let rebind = self.parsed("FAILOVER", "wait", "must be wait or rebind", |word| match word {
            "wait" => Some(false),
            "rebind" => Some(true),
            _ => None,
        });
        let after = self.duration("FAILOVER_AFTER", "2m", Duration::days(1));
        let rule = "must be a whole number of at most 1000; 0 for never";
        let breaker_failures =
            self.parsed("BREAKER_FAILURES", "5", rule, |text| text.parse().ok().filter(|count| *count <= 1000));
        Some(Failover { breaker_failures: breaker_failures?, after: after?, rebind: rebind? })
    }

    fn require<T>(&mut self, rule: &str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.errors.push(rule.to_owned());
        }
        value
    }

    fn text(&mut self, name: &str) -> Option<String> {
        (self.env)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// Reads `NAME`, or the contents of the file that `NAME_FILE` names.
    fn secret(&mut self, name: &str) -> Option<SecretString> {
        let file = format!("{name}_FILE");
        match (self.text(name), self.text(&file)) {
            (Some(_), Some(_)) => {
                self.errors.push(format!("{name} and {file} are both set: choose one"));
                None
            }
            (Some(value), None) => Some(value.into()),
            (None, Some(path)) => match std::fs::read_to_string(path) {
                Ok(value) if !value.trim().is_empty() => Some(value.trim().into()),
                Ok(_) => self.require(&format!("{file} names an empty file"), None),
                Err(cause) => self.require(&format!("{file} names a file that cannot be read: {}", cause.kind()), None),
            },
            (None, None) => None,
        }
    }

    fn parsed<T>(&mut self, name: &str, default: &str, rule: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let text = self.text(name).unwrap_or_else(|| default.to_owned());
        self.require(&format!("{name} {rule}"), parse(&text))
    }

    fn switch(&mut self, name: &str, default: bool) -> bool {
        let parse = |text: &str| match text {
            "on" | "true" | "1" => Some(true),
            "off" | "false" | "0" => Some(false),
            _ => None,
        };
        self.parsed(name, if default { "on" } else { "off" }, "must be on or off", parse).unwrap_or(default)
    }

    fn duration(&mut self, name: &str, default: &str, longest: Duration) -> Option<Duration> {
        let rule = format!("must be a duration of at most {} days, such as 90s, 15m, 24h or 7d", longest.num_days());
        self.parsed(name, default, &rule, |text| duration(text).filter(|duration| *duration <= longest))
    }

    fn base_url(&mut self, name: &str) -> Option<String> {
        let text = self.text(name)?;
        let url = url::Url::parse(&text).ok().filter(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.has_host()
                && url.query().is_none()
                && url.fragment().is_none()
                && url.username().is_empty()
        });
        let rule =
            format!("{name} must be an http or https address without query, such as https://maskline.example.com");
        self.require(&rule, url).map(|_| text.trim_end_matches('/').to_owned())
    }
}

/// Derives a secret of the simulator. The simulated network and its adapter are two ends in one process, so their
/// secret derives from what replicas share: the network signs with the first secret of `JWT_SECRET`, the adapter
/// verifies with each.
fn simulator_secret(jwt_secret: &SecretString) -> SecretString {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, jwt_secret.expose_secret().as_bytes());
    let tag = aws_lc_rs::hmac::sign(&key, b"maskline/simulator");
    hex::encode(tag.as_ref()).into()
}

fn duration(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let count: u32 = text[..text.len() - unit.len_utf8()].parse().ok()?;
    let count = i64::from(count);
    match unit {
        's' => Some(Duration::seconds(count)),
        'm' => Some(Duration::minutes(count)),
        'h' => Some(Duration::hours(count)),
        'd' => Some(Duration::days(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
