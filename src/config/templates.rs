//! Texts of notices and announcements: the built-in files, overridden by those of `TEMPLATES_DIR`.

use std::{ffi::OsStr, fs, io, path::Path};

use super::Reader;
use crate::domain::{
    notice::{Catalogue, LanguageFile, Languages},
    text::Language,
};

/// Maximum size of a file, far more than any language needs.
const MAX_BYTES: u64 = 1 << 20;

impl Reader<'_> {
    pub(super) fn catalogue(&mut self) -> Option<Catalogue> {
        let default = self.parsed("DEFAULT_LANGUAGE", "en", "must be a language code such as en or pt-BR", |text| {
            Language::parse(text).ok()
        });
        let (files, named) = match self.text("TEMPLATES_DIR") {
            Some(folder) => self.template_files(Path::new(&folder)),
            None => Default::default(),
        };
        // A file with mistakes still counts as present: its own mistakes are reported instead.
        let is_there = |default: &Language| {
            Languages::is_built_in(default) || named.iter().any(|named| named == default || *named == default.base())
        };
        if default.as_ref().is_some_and(|default| !is_there(default)) {
            self.errors.push("DEFAULT_LANGUAGE must be a language that there are words for".to_owned());
        }
        match Languages::read(files) {
            Ok(languages) => languages.with_default(&default?),
            Err(mistakes) => {
                self.errors.extend(mistakes.iter().map(|mistake| format!("TEMPLATES_DIR: {mistake}")));
                None
            }
        }
    }

    /// Reads the files in a folder. Returns those that could be read, and the languages of all of them.
    fn template_files(&mut self, folder: &Path) -> (Vec<LanguageFile>, Vec<Language>) {
        let names = fs::read_dir(folder)
            .and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>());
        let mut names = match names {
            Ok(names) => names,
            Err(cause) => {
                self.errors.push(format!("TEMPLATES_DIR names a folder that cannot be read: {}", cause.kind()));
                return Default::default();
            }
        };
        names.sort();
        let (mut files, mut named) = (Vec::new(), Vec::new());
        // Names that begin with a dot are ignored: mounted volumes have such files.
        for name in names.iter().filter(|name| !name.as_encoded_bytes().starts_with(b".")) {
            let shown = name.to_string_lossy();
            let Some(language) = language_of(name) else {
                let rule = "a file must be named for its language, such as nl.toml or pt-BR.toml";
                self.errors.push(format!("TEMPLATES_DIR: {shown}: {rule}"));
                continue;
            };
            named.push(language.clone());
            match read(&folder.join(name)) {
                Ok(text) => files.push(LanguageFile { name: shown.into_owned(), language, text }),
                Err(why) => self.errors.push(format!("TEMPLATES_DIR: {shown}: {why}")),
            }
        }
        (files, named)
    }
}

/// Returns the language of a file by its name, which must use the language's canonical spelling.
fn language_of(name: &OsStr) -> Option<Language> {
    let stem = name.to_str()?.strip_suffix(".toml")?;
    Language::parse(stem).ok().filter(|language| language.as_str() == stem)
}

fn read(path: &Path) -> Result<String, String> {
    let cannot = |cause: io::Error| format!("cannot be read: {}", cause.kind());
    let about = fs::metadata(path).map_err(cannot)?;
    if !about.is_file() {
        return Err("is not a file".to_owned());
    }
    if about.len() > MAX_BYTES {
        return Err("is too long for a file of words".to_owned());
    }
    fs::read_to_string(path).map_err(cannot)
}
