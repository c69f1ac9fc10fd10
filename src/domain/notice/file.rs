//! Language file: parses TOML into texts, or lists every error in it.

use toml_edit::{Document, Item};

use super::{
    dates::{DatePart, Dates, MONTHS, WEEKDAYS},
    locale::Locale,
    phrase::{Phrase, Variable},
    template::{InvalidTemplate, Template},
};
use crate::domain::string_enum::string_enum;

string_enum! {
    /// Keys of a file that are not phrases.
    Setting {
        /// Voice of announcements.
        Voice = "voice",
        /// Names of the days, Monday first.
        Weekdays = "weekdays",
        Months = "months",
        /// Template of a time.
        When = "when",
    }
}

/// The part of a language that a file gives.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    voice: Option<Locale>,
    weekdays: Option<[String; WEEKDAYS]>,
    months: Option<[String; MONTHS]>,
    when: Option<Template<DatePart>>,
    /// In the order of `Phrase::ALL`.
    phrases: Vec<Option<Template<Variable>>>,
    /// Keys in the file, with valid or invalid values.
    given: Vec<String>,
}

impl Default for Draft {
    fn default() -> Self {
        let phrases = vec![None; Phrase::ALL.len()];
        Self { voice: None, weekdays: None, months: None, when: None, phrases, given: Vec::new() }
    }
}

/// Complete texts of a language.
#[derive(Clone, Debug)]
pub(super) struct Whole {
    pub(super) voice: Locale,
    pub(super) dates: Dates,
    /// In the order of `Phrase::ALL`, one each.
    pub(super) phrases: Vec<Template<Variable>>,
}

impl Draft {
    /// Reads a file. Returns an error for each invalid key and leaves that key out.
    pub(super) fn read(text: &str) -> (Self, Vec<String>) {
        let document = match Document::parse(text) {
            Ok(document) => document,
            Err(wrong) => {
                let before = wrong.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
                let line = before.matches('\n').count() + 1;
                return (Self::default(), vec![format!("line {line} is not TOML: {}", wrong.message())]);
            }
        };
        let (mut draft, mut mistakes) = (Self::default(), Vec::new());
        for (key, item) in document.as_table() {
            draft.given.push(key.to_owned());
            if let Err(wrong) = draft.set(key, item) {
                mistakes.push(format!("{key}: {wrong}"));
            }
        }
        (draft, mistakes)
    }

    fn set(&mut self, key: &str, item: &Item) -> Result<(), String> {
        let in_words = |wrong: InvalidTemplate| wrong.to_string();
        if let Some(phrase) = Phrase::parse(key) {
            let template = Template::parse(text(item)?, &phrase.variables()).map_err(in_words)?;
            self.phrases[phrase as usize] = Some(template);
            return Ok(());
        }
        match Setting::parse(key).ok_or("there is no such key")? {
            Setting::Voice => {
                let rule = "must be a language with a country, such as en-GB";
                self.voice = Some(Locale::parse(text(item)?).ok_or(rule)?);
            }
            Setting::Weekdays => self.weekdays = Some(names(item, "seven names, Monday first")?),
            Setting::Months => self.months = Some(names(item, "twelve names")?),
            Setting::When => {
                self.when = Some(Template::parse(text(item)?, &DatePart::variables()).map_err(in_words)?);
            }
        }
        Ok(())
    }

    /// Checks whether the file has no keys, not even invalid ones.
    pub(super) fn is_empty(&self) -> bool {
        self.given.is_empty()
    }

    /// Adds the missing keys from `base`.
    pub(super) fn over(self, base: Self) -> Self {
        Self {
            voice: self.voice.or(base.voice),
            weekdays: self.weekdays.or(base.weekdays),
            months: self.months.or(base.months),
            when: self.when.or(base.when),
            phrases: self.phrases.into_iter().zip(base.phrases).map(|(mine, theirs)| mine.or(theirs)).collect(),
            given: [self.given, base.given].concat(),
        }
    }

    /// Lists the keys that no file gave.
    pub(super) fn missing(&self) -> Vec<&'static str> {
        let settings = Setting::ALL.iter().map(|setting| setting.as_str());
        let all = settings.chain(Phrase::ALL.iter().map(|phrase| phrase.as_str()));
        all.filter(|key| !self.given.iter().any(|given| given == key)).collect()
    }

    /// Returns the complete texts; `None` if a key is missing or was invalid.
    pub(super) fn whole(self) -> Option<Whole> {
        let dates = Dates { weekdays: self.weekdays?, months: self.months?, when: self.when? };
        let phrases = self.phrases.into_iter().collect::<Option<Vec<_>>>()?;
        Some(Whole { voice: self.voice?, dates, phrases })
    }
}

fn text(item: &Item) -> Result<&str, String> {
    item.as_str().ok_or_else(|| "must be a text in quotes".to_owned())
}

fn names<const N: usize>(item: &Item, what: &str) -> Result<[String; N], String> {
    let names = item.as_array().into_iter().flatten().map(|name| {
        let name = name.as_str()?.trim();
        (!name.is_empty() && !name.chars().any(crate::domain::text::is_hidden)).then(|| name.to_owned())
    });
    let names: Option<Vec<_>> = names.collect();
    names.and_then(|names| names.try_into().ok()).ok_or_else(|| format!("must be a list of {what}"))
}
