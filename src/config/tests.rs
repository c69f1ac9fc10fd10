//! What a configuration may be, and what is said of one that may not.

use std::collections::HashMap;

use super::*;

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

fn load(vars: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    let vars: HashMap<_, _> = vars.iter().copied().collect();
    Config::load(&|name| vars.get(name).map(|value| (*value).to_owned()))
}

fn postgres<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let base = [
        ("DATABASE_URL", "postgres://maskline@localhost/maskline"),
        ("JWT_SECRET", "0123456789abcdef0123456789abcdef"),
        ("DATA_KEY", "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="),
        ("INDEX_KEY", KEY),
    ];
    base.into_iter()
        .filter(|(name, _)| more.iter().all(|(other, _)| other != name))
        .chain(more.iter().copied())
        .collect()
}

fn mistakes(more: &[(&str, &str)]) -> String {
    match load(&postgres(more)) {
        Ok(_) => String::new(),
        Err(errors) => errors.to_string(),
    }
}

#[test]
fn a_whole_configuration_has_the_defaults_of_the_design() {
    let config = load(&postgres(&[])).expect("a configuration");
    assert_eq!(config.listen_addr.to_string(), "127.0.0.1:8080");
    assert_eq!((config.policy.grace, config.policy.cool_down), (Duration::hours(24), Duration::days(7)));
    assert!(config.simulator && config.migrate_on_start && !config.embedded);
}

#[test]
fn every_mistake_is_named_at_once_and_no_value_repeated() {
    let said = mistakes(&[
        ("LISTEN_ADDR", "canary"),
        ("GRACE_PERIOD", "canary"),
        ("COOL_DOWN", "9999999d"),
        ("JWT_SECRET", "canary"),
        ("DATA_KEY", "canary"),
        ("INDEX_KEY", "canary"),
        ("SIMULATOR", "canary"),
        ("PUBLIC_BASE_URL", "canary"),
        ("LOG_FORMAT", "canary"),
        ("MESSAGEBIRD_API_KEY", "canary"),
        ("BOOTSTRAP_CLIENT_ID", "canary"),
    ]);
    for name in [
        "LISTEN_ADDR",
        "GRACE_PERIOD",
        "COOL_DOWN",
        "JWT_SECRET",
        "DATA_KEY",
        "INDEX_KEY",
        "SIMULATOR",
        "PUBLIC_BASE_URL",
        "LOG_FORMAT",
        "MESSAGEBIRD_SIGNING_KEY",
        "BOOTSTRAP_CLIENT_SECRET",
    ] {
        assert!(said.contains(name), "{name} in {said}");
    }
    assert!(!said.contains("canary"), "{said}");
}

#[test]
fn postgres_needs_its_secrets() {
    let said = load(&[("DATABASE_URL", "postgres://localhost/maskline")]).err().expect("mistakes").to_string();
    assert!(said.contains("JWT_SECRET") && said.contains("DATA_KEY") && said.contains("INDEX_KEY"), "{said}");
}

#[test]
fn a_provider_switches_the_simulator_off_and_needs_an_address() {
    let account = [("MESSAGEBIRD_API_KEY", "live_x"), ("MESSAGEBIRD_SIGNING_KEY", "a, b")];
    assert!(mistakes(&account).contains("PUBLIC_BASE_URL"));
    let whole: Vec<_> = account.into_iter().chain([("PUBLIC_BASE_URL", "https://mask.example.com/")]).collect();
    let config = load(&postgres(&whole)).expect("a configuration");
    assert_eq!(config.public_base_url.as_deref(), Some("https://mask.example.com"));
    assert!(!config.simulator);
    assert_eq!(config.accounts.messagebird.expect("an account").signing_keys.len(), 2);
}

#[test]
fn data_keys_have_ids_of_their_own() {
    assert!(mistakes(&[("DATA_KEY", &format!("a:{KEY},b:{KEY}"))]).is_empty());
    assert!(mistakes(&[("DATA_KEY", &format!("a:{KEY},a:{KEY}"))]).contains("DATA_KEY"));
    assert!(mistakes(&[("DATA_KEY", KEY)]).contains("DATA_KEY"));
}
