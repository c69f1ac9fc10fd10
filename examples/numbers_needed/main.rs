//! Prints the tables of `docs/numbers-needed.md`: how many numbers a platform needs, by Maskline's rules and by that of
//! the tutorials. Nothing in them depends on the machine or on chance: traffic and choices come from one seed.
//!
//! `cargo run --release --example numbers_needed`

mod rules;
mod traffic;

use std::fmt::Write as _;

use chrono::Duration;
use maskline::config::Config;

use self::{
    rules::{Keeping, Need},
    traffic::Traffic,
};

const SEED: u64 = 33_200;
const GRACES: [(&str, &str); 4] = [("none", "0s"), ("1 h", "1h"), ("4 h", "4h"), ("24 h", "24h")];
const COOL_DOWNS: [(&str, &str); 3] = [("none", "0s"), ("24 h", "24h"), ("7 d", "7d")];
const DAYS: [i64; 5] = [2, 4, 7, 14, 28];

fn main() {
    let two_days = Traffic::of(Duration::days(2), SEED);
    println!("{}", by_length(&two_days));
    print!("{}", by_day());
}

/// The service's own rules for these lengths.
fn keeping(grace: &str, cool_down: &str) -> Keeping {
    let given = [
        ("GRACE_PERIOD", grace),
        ("COOL_DOWN", cool_down),
        // Nothing of what follows has a part in it, but without keys a configuration would make some.
        ("JWT_SECRET", "no token is ever made with this secret"),
        ("DATA_KEY", "none:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="),
        ("INDEX_KEY", "Hx4dHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA="),
    ];
    let value = |name: &str| given.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    let policy = Config::load(&value).expect("a configuration").settings.policy;
    Keeping::Held(Box::new(move |ended| policy.window(ended + policy.grace).barred_until))
}

/// Numbers for this traffic, by grace and cool-down.
fn by_length(traffic: &Traffic) -> String {
    let mut out = String::new();
    let never_twice = rules::need(traffic, &Keeping::ForEver, SEED).numbers;
    let _ = writeln!(out, "| grace | cool-down | at least | Maskline | never twice |");
    let _ = writeln!(out, "|---|---|--:|--:|--:|");
    for (cool_down, cool_down_value) in COOL_DOWNS {
        for (grace, grace_value) in GRACES {
            let Need { at_least, numbers } = rules::need(traffic, &keeping(grace_value, cool_down_value), SEED);
            let _ = writeln!(out, "| {grace} | {cool_down} | {at_least} | {numbers} | {never_twice} |");
        }
    }
    out
}

/// Numbers as the days go by.
fn by_day() -> String {
    let mut out = String::new();
    let longest = Traffic::of(Duration::days(DAYS[DAYS.len() - 1]), SEED);
    let _ = writeln!(out, "| after | rides | Maskline (24 h, 7 d) | Maskline (24 h, none) | never twice |");
    let _ = writeln!(out, "|---|--:|--:|--:|--:|");
    for days in DAYS {
        let traffic = longest.first(Duration::days(days));
        let numbers = |keeping: &Keeping| rules::need(&traffic, keeping, SEED).numbers;
        let (usual, no_cool_down) = (numbers(&keeping("24h", "7d")), numbers(&keeping("24h", "0s")));
        let never_twice = numbers(&Keeping::ForEver);
        let rides = traffic.rides.len();
        let _ = writeln!(out, "| {days} days | {rides} | {usual} | {no_cool_down} | {never_twice} |");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_shows_what_this_prints() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/numbers-needed.md");
        let document = std::fs::read_to_string(path).expect("the document is there");
        // The second table takes too long without optimisation.
        let table = by_length(&Traffic::of(Duration::days(2), SEED));
        assert!(document.contains(&table), "docs/numbers-needed.md does not show\n{table}");
    }
}
