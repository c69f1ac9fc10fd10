//! Built-in texts, overrides, and the choice of language.

use super::*;
use crate::domain::{call::CallFlow, phone::PhoneNumber, text::Language};

const CODES: [&str; 6] = ["de", "en", "es", "fr", "nl", "pt"];

fn language(code: &str) -> Language {
    Language::parse(code).expect(code)
}

fn file(code: &str, text: &str) -> LanguageFile {
    LanguageFile { name: format!("{code}.toml"), language: language(code), text: text.to_owned() }
}

fn catalogue(files: Vec<LanguageFile>) -> Catalogue {
    Languages::read(files).expect("no mistakes").with_default(&language("en")).expect("English")
}

fn mistakes(files: Vec<LanguageFile>) -> Vec<String> {
    let mistakes = Languages::read(files).expect_err("mistakes");
    mistakes.iter().map(ToString::to_string).collect()
}

/// Calls `use_it` with a notice in which a name looks like a variable.
fn with_notice<T>(about: About, to: Role, use_it: impl FnOnce(&RideNotice<'_>) -> T) -> T {
    let name = |text| Name::parse(text).expect("a name");
    let place = |text| Place::parse(text).expect("a place");
    let (ann, bob) = (name("Ann"), name("{name} Bob}"));
    use_it(&RideNotice {
        about,
        to,
        name: &ann,
        other: &bob,
        start: &place("Dam 1"),
        destination: &place("Schiphol"),
        datetime: DateTime::parse_from_rfc3339("2026-03-07T08:05:00+01:00").expect("a time"),
    })
}

fn text(words: &CatalogueEntry, about: About, to: Role) -> String {
    with_notice(about, to, |notice| words.notice(notice).expose().to_owned())
}

fn said(flow: CallFlow) -> (String, String) {
    match flow {
        CallFlow::Announce { text, language } => (text, language.as_str().to_owned()),
        other => panic!("{other:?} is no announcement"),
    }
}

const ABOUT: [About; 5] = [About::Confirmation, About::Change, About::NewDriver, About::NewNumber, About::Stranded];

#[test]
fn every_language_says_who_when_and_where() {
    let all = catalogue(Vec::new());
    let whens = [
        ("de", "Sa., 7. März, um 08:05 Uhr"),
        ("en", "Sat 7 Mar, 08:05"),
        ("es", "sáb. 7 mar. a las 08:05"),
        ("fr", "sam. 7 mars à 08h05"),
        ("nl", "za 7 mrt om 08:05"),
        ("pt", "7 de mar. (sáb.) às 08:05"),
    ];
    for (code, when) in whens {
        let words = all.of(Some(&language(code)));
        for about in ABOUT {
            for to in [Role::Customer, Role::Driver] {
                let text = text(words, about, to);
                let place = !matches!(about, About::NewNumber | About::Stranded);
                assert!(text.contains("Ann") && text.contains("{name} Bob}") && text.contains(when), "{code}: {text}");
                assert_eq!(text.contains("Dam 1") && text.contains("Schiphol"), place, "{code}: {text}");
                assert!(text.chars().count() <= 300, "{code}: {} is long for a text", text.chars().count());
            }
        }
        assert!(!words.auto_reply().expose().is_empty());
        let (_, voice) = said(words.announce(Announcement::NoContact));
        assert!(voice.starts_with(code), "{code} is spoken by {voice}");
    }
}

#[test]
fn every_language_is_another() {
    let all = catalogue(Vec::new());
    let english = all.of(None);
    for code in CODES.iter().filter(|code| **code != "en") {
        let words = all.of(Some(&language(code)));
        for about in ABOUT {
            assert_ne!(text(words, about, Role::Customer), text(english, about, Role::Customer), "{code}");
        }
        for announcement in [Announcement::NoContact, Announcement::OutOfOrder, Announcement::NotReached] {
            assert_ne!(said(words.announce(announcement)).0, said(english.announce(announcement)).0, "{code}");
        }
    }
}

#[test]
fn english_tells_who_when_in_local_time_and_how() {
    let all = catalogue(Vec::new());
    assert_eq!(
        text(all.of(None), About::Confirmation, Role::Customer),
        "Hello Ann. {name} Bob} picks you up at Dam 1 on Sat 7 Mar, 08:05, to Schiphol. \
         Reply to this text or call this number to reach {name} Bob}."
    );
    assert_eq!(
        text(all.of(None), About::Change, Role::Driver),
        "Hello Ann. Your ride has changed: {name} Bob} waits for you at Dam 1 on Sat 7 Mar, 08:05, to Schiphol."
    );
}

#[test]
fn a_reader_has_the_words_of_their_region_their_language_or_the_default() {
    let all = catalogue(vec![
        file("pt-BR", "voice = 'pt-BR'\nauto_reply = 'Oi'"),
        file("pt", "auto_reply = 'Olá'"),
        file("de", "auto_reply = 'Hallo {{du}}'"),
    ]);
    let reply = |code: &str| all.of(Some(&language(code))).auto_reply().expose().to_owned();
    assert_eq!([reply("pt-BR"), reply("pt"), reply("pt-AO")], ["Oi", "Olá", "Olá"]);
    assert_eq!(reply("de-AT"), "Hallo {du}");
    assert_eq!(reply("pl"), all.default().auto_reply().expose());
    let brazil = all.of(Some(&language("pt-BR")));
    assert!(said(brazil.announce(Announcement::NoContact)).0.starts_with("De momento"), "the rest is Portuguese");
    assert_eq!(said(brazil.announce(Announcement::NoContact)).1, "pt-BR");
}

#[test]
fn who_contacts_a_number_hears_their_own_language_or_that_of_the_number() {
    let all = catalogue(vec![file("pt-BR", "voice = 'pt-BR'")]);
    let voice = |own: Option<&str>, number: Option<&str>| {
        let number = number.map(|number| PhoneNumber::parse(number).expect("a phone"));
        said(all.of_contact(own.map(language).as_ref(), number.as_ref()).announce(Announcement::NoContact)).1
    };
    assert_eq!(voice(Some("fr"), Some("+3197010200001")), "fr-FR");
    assert_eq!(voice(None, Some("+3197010200001")), "nl-NL");
    assert_eq!(voice(Some("pl"), Some("+4930123456")), "de-DE", "no words for Polish");
    assert_eq!(voice(None, Some("+551123456789")), "pt-BR");
    assert_eq!(voice(None, Some("+351211234567")), "pt-PT");
    assert_eq!(voice(None, Some("+48221234567")), "en-GB");
    assert_eq!(voice(None, None), "en-GB");
}

/// A file with every key of a language.
const WHOLE: &str = include_str!("../../../templates/nl.toml");

#[test]
fn a_further_language_is_whole() {
    let all = catalogue(vec![file("it", WHOLE)]);
    assert_eq!(all.of(Some(&language("it"))).auto_reply(), all.of(Some(&language("nl"))).auto_reply());
    let without = WHOLE.lines().filter(|line| !line.starts_with("stranded") && !line.starts_with("voice"));
    let without: Vec<_> = without.collect();
    let rule = "a language that is not built in needs every key";
    assert_eq!(mistakes(vec![file("it", &without.join("\n"))]), [format!("it.toml: missing: voice, stranded; {rule}")]);
    let empty = mistakes(vec![file("it", "")]).concat();
    assert!(empty.contains("voice, weekdays, months, when, confirmation_customer, "), "{empty}");
}

#[test]
fn every_mistake_is_told_at_once() {
    let wrong = "
voice = 'Dutch'
weekdays = ['ma', 'di']
months = 'jan'
when = '{weekday} {year}'
confirmation_customer = 'Hallo {naam}'
change_driver = ''
new_number = 7
auto_reply = 'Hallo {name}'
not_reached = 'Helaas {'
hello = 'Hallo'
";
    assert_eq!(
        mistakes(vec![file("nl", wrong), file("de", "voice = 'de-DE\nx = 1"), file("fr", "voice = 1\nvoice = 2")]),
        [
            "nl.toml: voice: must be a language with a country, such as en-GB",
            "nl.toml: weekdays: must be a list of seven names, Monday first",
            "nl.toml: months: must be a list of twelve names",
            "nl.toml: when: unknown variable {year}; there are {weekday}, {day}, {month}, {hour}, {minute}",
            "nl.toml: confirmation_customer: unknown variable {naam}; there are {name}, {other}, {start}, {destination}, {when}",
            "nl.toml: change_driver: must not be empty",
            "nl.toml: new_number: must be a text in quotes",
            "nl.toml: auto_reply: unknown variable {name}; there are none here",
            "nl.toml: not_reached: a brace is not closed; a brace that stands for itself is written twice: {{",
            "nl.toml: hello: there is no such key",
            "de.toml: line 1 is not TOML: invalid literal string, expected `'`",
            "fr.toml: line 2 is not TOML: duplicate key",
        ]
    );
}
