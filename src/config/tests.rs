//! Tests which configurations are valid, and what is reported for those that are not.

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
    assert_eq!(
        (config.settings.policy.grace, config.settings.policy.cool_down),
        (Duration::hours(24), Duration::days(7))
    );
    assert!(config.accounts.simulator.is_some() && config.migrate_on_start && !config.embedded);
}

#[test]
fn every_mistake_is_named_at_once_and_no_value_repeated() {
    let said = mistakes(&[
        ("LISTEN_ADDR", "canary"),
        ("MAX_CONNECTIONS", "canary"),
        ("KEEP_ALIVE", "canary"),
        ("GRACE_PERIOD", "canary"),
        ("COOL_DOWN", "9999999d"),
        ("POOL_LOW_WATER", "canary"),
        ("MESSAGE_TTL", "canary"),
        ("FAILOVER", "canary"),
        ("FAILOVER_AFTER", "canary"),
        ("BREAKER_FAILURES", "canary"),
        ("TWILIO_TEXTS_PER_MINUTE", "canary"),
        ("TELNYX_TEXTS_PER_SECOND", "0"),
        ("EVENT_RETENTION", "71h"),
        ("JWT_SECRET", "canary"),
        ("DATA_KEY", "canary"),
        ("INDEX_KEY", "canary"),
        ("SIMULATOR", "canary"),
        ("PUBLIC_BASE_URL", "canary"),
        ("TRUSTED_PROXIES", "10.0.0.0/8,canary"),
        ("LOG_FORMAT", "canary"),
        ("EVENTS_ALLOW_LOOPBACK", "canary"),
        ("INTERCEPT_URL", "canary"),
        ("INTERCEPT_SECRET", "canary"),
        ("INTERCEPT_ON_FAILURE", "canary"),
        ("MESSAGEBIRD_API_KEY", "canary"),
        ("BOOTSTRAP_CLIENT_ID", "canary"),
    ]);
    for name in [
        "LISTEN_ADDR",
        "MAX_CONNECTIONS",
        "KEEP_ALIVE",
        "GRACE_PERIOD",
        "COOL_DOWN",
        "POOL_LOW_WATER",
        "MESSAGE_TTL",
        "FAILOVER must",
        "FAILOVER_AFTER",
        "BREAKER_FAILURES",
        "TWILIO_TEXTS_PER_MINUTE",
        "TELNYX_TEXTS_PER_SECOND",
        "EVENT_RETENTION",
        "JWT_SECRET",
        "DATA_KEY",
        "INDEX_KEY",
        "SIMULATOR",
        "PUBLIC_BASE_URL",
        "TRUSTED_PROXIES",
        "LOG_FORMAT",
        "EVENTS_ALLOW_LOOPBACK",
        "INTERCEPT_URL must",
        "INTERCEPT_SECRET must",
        "INTERCEPT_ON_FAILURE",
        "MESSAGEBIRD_SIGNING_KEY",
        "BOOTSTRAP_CLIENT_SECRET",
    ] {
        assert!(said.contains(name), "{name} in {said}");
    }
    assert!(!said.contains("canary"), "{said}");
}

#[test]
fn connections_have_sensible_bounds() {
    for (name, value) in [
        ("MAX_CONNECTIONS", "0"),
        ("MAX_CONNECTIONS", "15"),
        ("MAX_CONNECTIONS", "-1"),
        ("MAX_CONNECTIONS", "1.5"),
        ("MAX_CONNECTIONS", "4000000000000"),
        ("MAX_CONNECTIONS", "18446744073709551616"),
        ("KEEP_ALIVE", "0s"),
        ("KEEP_ALIVE", "90"),
        ("KEEP_ALIVE", "61m"),
    ] {
        assert!(mistakes(&[(name, value)]).contains(&format!("{name} must be")), "{name}={value}");
    }
    assert_eq!(mistakes(&[("MAX_CONNECTIONS", "16"), ("KEEP_ALIVE", "1h")]), "");
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
    assert!(config.accounts.simulator.is_none());
    assert_eq!(config.accounts.messagebird.expect("an account").signing_keys.len(), 2);
}

#[test]
fn the_public_address_can_have_a_plain_path() {
    for right in
        ["https://h.example.com", "https://h.example.com/maskline", "http://[::1]:8080/a/b.c_d~e-f", "https://H/v1"]
    {
        for slash in ["", "/", "//"] {
            let config = load(&[("PUBLIC_BASE_URL", &*format!("{right}{slash}"))]).expect("a configuration");
            assert_eq!(config.public_base_url.as_deref(), Some(right));
        }
    }
    for wrong in [
        "https://h//maskline",
        "https://h/a//b",
        "https://h/./a",
        "https://h/a/../b",
        "https://h/..",
        "https://h/mask%20line",
        "https://h/mask line",
        "https://h/%6daskline",
        "https://h/größe",
        "https://h/a;b",
        "https://h/a:b",
        "https://h/a\\b",
        "https://h\\a",
        "https://h/a'b",
        "https://h/{id}",
        "https://h/a\tb",
    ] {
        let said = mistakes(&[("PUBLIC_BASE_URL", wrong)]);
        assert!(said.contains("PUBLIC_BASE_URL can have a path such as /maskline"), "{wrong}: {said}");
    }
}

/// Complete settings of every account.
const ACCOUNTS: [(&str, &[(&str, &str)]); 6] = [
    ("messagebird", &[("MESSAGEBIRD_API_KEY", "live_x"), ("MESSAGEBIRD_SIGNING_KEY", "a,b")]),
    ("plivo", &[("PLIVO_AUTH_ID", "MAXXXXXXXXXXXXXXXXXX"), ("PLIVO_AUTH_TOKEN", "a,b")]),
    (
        "bandwidth",
        &[
            ("BANDWIDTH_ACCOUNT_ID", "5500001"),
            ("BANDWIDTH_APPLICATION_ID", "93de2206-9669-4e07-948d-329f4b722ee2"),
            ("BANDWIDTH_USERNAME", "user"),
            ("BANDWIDTH_PASSWORD", "password"),
            ("BANDWIDTH_WEBHOOK_USERNAME", "hook"),
            ("BANDWIDTH_WEBHOOK_PASSWORD", "0123456789abcdef,0123456789abcdefg"),
        ],
    ),
    ("twilio", &[("TWILIO_ACCOUNT_SID", "ACXXXXXXXXXXXXXXXXXX"), ("TWILIO_AUTH_TOKEN", "a,b")]),
    (
        "vonage",
        &[
            ("VONAGE_APPLICATION_ID", "aaaaaaaa-bbbb-cccc-dddd-0123456789ab"),
            ("VONAGE_PRIVATE_KEY", include_str!("../../tests/fixtures/providers/vonage/test-key.pem")),
            ("VONAGE_API_KEY", "a1b2c3d4"),
            ("VONAGE_SIGNATURE_SECRET", "a,b"),
        ],
    ),
    ("telnyx", &[("TELNYX_API_KEY", "KEY0"), ("TELNYX_PUBLIC_KEY", "cMTKnGEM0cQI+6GlwXVy3fL8U2T2Kxjr2+NYGLyCQOM=")]),
];

#[test]
fn accounts_are_whole_or_absent() {
    for (name, account) in ACCOUNTS {
        let with_address: Vec<_> = account.iter().copied().chain([("PUBLIC_BASE_URL", "https://mask.test")]).collect();
        let config = load(&postgres(&with_address)).unwrap_or_else(|errors| panic!("{name}: {errors}"));
        let accounts = config.accounts;
        let there = [
            ("plivo", accounts.plivo.is_some()),
            ("bandwidth", accounts.bandwidth.is_some()),
            ("twilio", accounts.twilio.is_some()),
            ("vonage", accounts.vonage.is_some()),
            ("telnyx", accounts.telnyx.is_some()),
            ("messagebird", accounts.messagebird.is_some()),
        ];
        assert!(there.iter().all(|(other, there)| *there == (*other == name)), "{name}: {there:?}");
        assert!(accounts.simulator.is_none() && mistakes(account).contains("PUBLIC_BASE_URL"));
        for (left_out, _) in account {
            let rest: Vec<_> = with_address.iter().copied().filter(|(name, _)| name != left_out).collect();
            let said = mistakes(&rest);
            assert!(said.contains(&format!("Missing: {left_out}")), "{said}");
        }
        let address = format!("{}_BASE_URL", name.to_uppercase());
        let said = mistakes(&[(&address, "https://api.test"), ("PUBLIC_BASE_URL", "https://mask.test")]);
        assert!(said.contains("set all or none"), "an address without an account: {said}");
    }
}

#[test]
fn twilio_takes_no_underscore_in_our_host() {
    let twilio = ACCOUNTS.iter().find(|(name, _)| *name == "twilio").expect("Twilio").1.iter().copied();
    let said = mistakes(&twilio.chain([("PUBLIC_BASE_URL", "https://my_mask.example.com")]).collect::<Vec<_>>());
    assert!(said.contains("PUBLIC_BASE_URL must have no underscore"), "{said}");
}

#[test]
fn what_cannot_be_a_key_or_an_id_is_said_at_the_start() {
    for (name, wrong) in [
        ("PLIVO_AUTH_ID", "MA/../Account"),
        ("TWILIO_ACCOUNT_SID", "AC 1"),
        ("BANDWIDTH_ACCOUNT_ID", "1?x"),
        ("BANDWIDTH_WEBHOOK_USERNAME", "hook:er"),
        ("BANDWIDTH_WEBHOOK_PASSWORD", "0123456789abcdef,short"),
        ("VONAGE_PRIVATE_KEY", "-----BEGIN PRIVATE KEY-----"),
        ("TELNYX_PUBLIC_KEY", "cMTKnGEM0cQI"),
        ("PLIVO_ACCEPT_SIGNATURE_V2", "maybe"),
    ] {
        let account = ACCOUNTS.iter().flat_map(|(_, account)| account.iter().copied());
        let account = account.filter(|(other, _)| *other != name).chain([(name, wrong)]);
        let said = mistakes(&account.chain([("PUBLIC_BASE_URL", "https://mask.test")]).collect::<Vec<_>>());
        assert!(said.contains(&format!("{name} must be")) && !said.contains(wrong), "{name}: {said}");
    }
}

#[test]
fn the_first_clients_secret_is_too_long_to_be_guessed() {
    let said = |secret: &str| mistakes(&[("BOOTSTRAP_CLIENT_ID", "first"), ("BOOTSTRAP_CLIENT_SECRET", secret)]);
    for short in ["canary", &"x".repeat(31), &"é".repeat(31), &format!("{}  ", "x".repeat(31))] {
        assert!(said(short).contains("BOOTSTRAP_CLIENT_SECRET must have at least 32 characters"), "{}", said(short));
    }
    for long in ["x".repeat(32), "é".repeat(32), "+".repeat(44)] {
        assert_eq!(said(&long), "", "{long}");
    }
}

#[test]
fn jwt_secrets_are_a_list_and_each_is_long() {
    let (old, new) = ("0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210");
    let accented = "é".repeat(16);
    for (list, secrets) in [
        (old.to_owned(), vec![old]),
        (format!("{old},{new}"), vec![old, new]),
        (format!(" {new} , {old} "), vec![new, old]),
        (accented.clone(), vec![accented.as_str()]),
    ] {
        let config = load(&postgres(&[("JWT_SECRET", &list)])).unwrap_or_else(|wrong| panic!("{list}: {wrong}"));
        let read: Vec<_> = config.jwt_secrets.iter().map(SecretString::expose_secret).collect();
        assert_eq!(read, secrets, "{list}");
    }
    for list in [
        "canary".to_owned(),
        ",".to_owned(),
        format!("{old},"),
        format!(",{old}"),
        format!("{old},,{new}"),
        format!("{old},short"),
        format!("{old}, {new},{}", &new[1..]),
        // One secret that contains a comma.
        "0123456789abcdef,0123456789abcdef".to_owned(),
    ] {
        let said = mistakes(&[("JWT_SECRET", &list)]);
        assert!(
            said.contains("JWT_SECRET must be") && said.contains("comma") && (list == "," || !said.contains(&list)),
            "{list}: {said}"
        );
    }
}

#[test]
fn trusted_proxies_are_addresses_and_networks() {
    for list in ["10.0.0.1", "10.0.0.0/8, 2001:db8::/32,::1", " "] {
        assert_eq!(mistakes(&[("TRUSTED_PROXIES", list)]), "", "{list}");
    }
    for list in ["10.0.0.0/33", "proxy.test", "10.0.0.1,", "10.0.0.1 10.0.0.2", "*"] {
        let said = mistakes(&[("TRUSTED_PROXIES", list)]);
        assert!(said.contains("TRUSTED_PROXIES must be addresses or networks"), "{list}: {said}");
    }
}

#[test]
fn data_keys_have_ids_of_their_own() {
    assert!(mistakes(&[("DATA_KEY", &format!("a:{KEY},b:{KEY}"))]).is_empty());
    assert!(mistakes(&[("DATA_KEY", &format!("a:{KEY},a:{KEY}"))]).contains("DATA_KEY"));
    assert!(mistakes(&[("DATA_KEY", KEY)]).contains("DATA_KEY"));
}

#[test]
fn words_come_from_files_and_every_mistake_in_them_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_str().expect("a path");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect(name);
    let reply = |config: &Config, code: &str| {
        let language = crate::domain::text::Language::parse(code).expect(code);
        config.settings.catalogue.of(Some(&language)).auto_reply().expose().to_owned()
    };
    write("nl.toml", "auto_reply = 'Doei'");
    write("it.toml", &include_str!("../../templates/fr.toml").replace("auto_reply = \"Ce", "auto_reply = \"Ciao. Ce"));
    write("..data", "a mounted volume has such");
    let config = load(&postgres(&[("TEMPLATES_DIR", path), ("DEFAULT_LANGUAGE", "IT")])).expect("a configuration");
    assert_eq!(reply(&config, "nl"), "Doei");
    assert!(reply(&config, "it").starts_with("Ciao") && reply(&config, "pl").starts_with("Ciao"));

    write("it.toml", "voice = 'it-IT'\nchange_driver = 'Ciao {nome}'");
    write("NL.toml", "");
    write("readme.txt", "");
    std::fs::write(folder.path().join("fr.toml"), b"\xff").expect("a file");
    std::fs::create_dir(folder.path().join("es.toml")).expect("a folder");
    let said = mistakes(&[("TEMPLATES_DIR", path), ("DEFAULT_LANGUAGE", "pl"), ("LISTEN_ADDR", "nowhere")]);
    for line in [
        "LISTEN_ADDR must be",
        "DEFAULT_LANGUAGE must be a language that there are words for",
        "TEMPLATES_DIR: NL.toml: a file must be named for its language, such as nl.toml or pt-BR.toml",
        "TEMPLATES_DIR: readme.txt: a file must be named for its language",
        "TEMPLATES_DIR: fr.toml: cannot be read: ",
        "TEMPLATES_DIR: es.toml: is not a file",
        "TEMPLATES_DIR: it.toml: change_driver: unknown variable {nome}; there are {name}, {other}, ",
        "TEMPLATES_DIR: it.toml: missing: weekdays, months, when, confirmation_customer, confirmation_driver, change_customer, \
         new_driver, new_number, stranded, auto_reply, no_contact, out_of_order, not_reached; a language that is not built in",
    ] {
        assert!(said.contains(line), "{line} in {said}");
    }
    assert!(!said.contains(path), "{said}");
    assert!(mistakes(&[("TEMPLATES_DIR", "/nowhere")]).contains("TEMPLATES_DIR names a folder that cannot be read"));
    assert!(mistakes(&[("DEFAULT_LANGUAGE", "english")]).contains("DEFAULT_LANGUAGE must be a language code"));
    // If the file of the default language is wrong, only that is reported.
    assert!(!mistakes(&[("TEMPLATES_DIR", path), ("DEFAULT_LANGUAGE", "it")]).contains("DEFAULT_LANGUAGE"));
}
