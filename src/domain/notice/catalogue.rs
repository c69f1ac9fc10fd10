//! The texts of all languages, and the choice of language for each reader or listener.

use std::{collections::BTreeMap, fmt};

use super::{
    About, Announcement, RideNotice, country,
    file::{Draft, Whole},
    phrase::{Phrase, Variable},
    template::Template,
};
use crate::domain::{
    call::CallFlow,
    person::Role,
    phone::PhoneNumber,
    text::{Language, MessageText},
};

/// Compiled-in files, by language code.
const BUILT_IN: [(&str, &str); 6] = [
    ("de", include_str!("../../../templates/de.toml")),
    ("en", include_str!("../../../templates/en.toml")),
    ("es", include_str!("../../../templates/es.toml")),
    ("fr", include_str!("../../../templates/fr.toml")),
    ("nl", include_str!("../../../templates/nl.toml")),
    ("pt", include_str!("../../../templates/pt.toml")),
];

/// Texts of one language.
#[derive(Clone, Debug)]
pub struct CatalogueEntry(Whole);

impl CatalogueEntry {
    fn template(&self, phrase: Phrase) -> &Template<Variable> {
        &self.0.phrases[phrase as usize]
    }

    /// Renders a phrase without variables.
    fn plain(&self, phrase: Phrase) -> String {
        self.template(phrase).render(|_| "")
    }

    /// Renders a notice about a ride.
    pub fn notice(&self, notice: &RideNotice<'_>) -> MessageText {
        let phrase = match (notice.about, notice.to) {
            (About::Confirmation, Role::Customer) => Phrase::ConfirmationCustomer,
            // To a driver who is new on the ride, it is a new ride.
            (About::Confirmation | About::NewDriver, Role::Driver) => Phrase::ConfirmationDriver,
            (About::Change, Role::Customer) => Phrase::ChangeCustomer,
            (About::Change, Role::Driver) => Phrase::ChangeDriver,
            (About::NewDriver, Role::Customer) => Phrase::NewDriver,
            (About::NewNumber, _) => Phrase::NewNumber,
            (About::Stranded, _) => Phrase::Stranded,
        };
        let when = self.0.dates.write(notice.datetime);
        MessageText::from_wire(&self.template(phrase).render(|variable| match variable {
            Variable::Name => notice.name.as_str(),
            Variable::Other => notice.other.as_str(),
            Variable::Start => notice.start.as_str(),
            Variable::Destination => notice.destination.as_str(),
            Variable::When => &when,
        }))
    }

    /// Renders the reply to a text from a phone without a ride on the number.
    pub fn auto_reply(&self) -> MessageText {
        MessageText::from_wire(&self.plain(Phrase::AutoReply))
    }

    /// Renders an announcement for a caller.
    pub fn announce(&self, announcement: Announcement) -> CallFlow {
        let phrase = match announcement {
            Announcement::NoContact => Phrase::NoContact,
            Announcement::OutOfOrder => Phrase::OutOfOrder,
            Announcement::NotReached => Phrase::NotReached,
        };
        CallFlow::Announce { text: self.plain(phrase), language: self.0.voice.clone() }
    }
}

/// File that adds to or overrides the built-in texts.
#[derive(Clone, Debug)]
pub struct LanguageFile {
    /// File name, for error messages.
    pub name: String,
    pub language: Language,
    pub text: String,
}

/// Error in a language file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    pub file: String,
    /// Key, and what is wrong with it.
    pub what: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.what)
    }
}

/// Texts by language.
#[derive(Clone, Debug)]
pub struct Languages(BTreeMap<Language, CatalogueEntry>);

impl Languages {
    /// Reads the built-in texts, overridden by these files. A file may give some of the keys of a built-in language, or
    /// of a region of a language that exists. For any other language it must give all keys.
    pub fn read(files: Vec<LanguageFile>) -> Result<Self, Vec<Mistake>> {
        let (mut drafts, mut mistakes) = (BTreeMap::new(), Vec::new());
        let built_in = BUILT_IN.iter().map(|(code, text)| LanguageFile {
            name: format!("built-in {code}.toml"),
            language: Language::from_stored((*code).to_owned()),
            text: (*text).to_owned(),
        });
        // Shorter codes first, because regions override their language.
        let mut files = files;
        files.sort_by_key(|file| file.language.as_str().len());
        for LanguageFile { name, language, text } in built_in.chain(files) {
            let (draft, wrong) = Draft::read(&text);
            let is_toml = !draft.is_empty() || wrong.is_empty();
            mistakes.extend(wrong.into_iter().map(|what| Mistake { file: name.clone(), what }));
            let base: Option<&Draft> = drafts.get(&language).or_else(|| drafts.get(&language.base()));
            let draft = match base {
                Some(base) => draft.over(base.clone()),
                None => draft,
            };
            let missing = draft.missing();
            if is_toml && !missing.is_empty() {
                let rule = "a language that is not built in needs every key";
                mistakes.push(Mistake { file: name, what: format!("missing: {}; {rule}", missing.join(", ")) });
            }
            drafts.insert(language, draft);
        }
        let words = drafts.into_iter().filter_map(|(language, draft)| Some((language, CatalogueEntry(draft.whole()?))));
        if mistakes.is_empty() { Ok(Self(words.collect())) } else { Err(mistakes) }
    }

    /// Checks whether this language has built-in texts, ignoring the region.
    pub fn is_built_in(language: &Language) -> bool {
        BUILT_IN.iter().any(|(code, _)| *code == language.base().as_str())
    }

    fn find(&self, language: &Language) -> Option<&CatalogueEntry> {
        self.0.get(language).or_else(|| self.0.get(&language.base()))
    }

    /// Adds the default language, for people whose own language is unknown or has no texts. Returns `None` if the
    /// default language has no texts.
    pub fn with_default(self, default: &Language) -> Option<Catalogue> {
        let default = self.find(default)?.clone();
        Some(Catalogue { languages: self, default })
    }
}

/// All texts, with a default language.
#[derive(Clone, Debug)]
pub struct Catalogue {
    languages: Languages,
    default: CatalogueEntry,
}

impl Catalogue {
    /// Returns the texts for a reader of this language: those of its region, those of the language, or the default.
    pub fn of(&self, language: Option<&Language>) -> &CatalogueEntry {
        language.and_then(|language| self.languages.find(language)).unwrap_or(&self.default)
    }

    /// Returns the texts for a person who contacted this number: in their own language if it is known, otherwise in the
    /// main language of the number's country.
    pub fn of_contact(&self, language: Option<&Language>, number: Option<&PhoneNumber>) -> &CatalogueEntry {
        let own = language.and_then(|language| self.languages.find(language));
        own.or_else(|| self.of_country(&number?.country()?)).unwrap_or(&self.default)
    }

    fn of_country(&self, country: &str) -> Option<&CatalogueEntry> {
        let language = country::language_of(country)?;
        self.languages.find(&Language::from_stored(format!("{language}-{country}")))
    }

    /// Returns the texts for a person about whom nothing is known.
    pub fn default(&self) -> &CatalogueEntry {
        &self.default
    }
}
