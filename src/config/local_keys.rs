//! Keys of the embedded database: generated on the first start, and kept next to it in a file that only its owner can
//! read.

use std::{
    collections::HashMap,
    fs::{self, OpenOptions},
    io::{ErrorKind, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use secrecy::SecretString;

/// Reads the keys of this database, or generates them if there is no database yet.
pub(super) fn load_or_create(database: &Path) -> Result<HashMap<String, SecretString>, String> {
    let path = database.with_extension("keys");
    let failed = |what: &str, cause: std::io::Error| format!("{} cannot be {what}: {}", path.display(), cause.kind());
    match fs::read_to_string(&path) {
        Ok(text) => Ok(parse(&text)),
        Err(cause) if cause.kind() == ErrorKind::NotFound && !database.exists() => {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder).map_err(|cause| failed("made", cause))?;
            }
            let text = generate();
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
            let mut file = file.map_err(|cause| failed("made", cause))?;
            file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|cause| failed("written", cause))?;
            Ok(parse(&text))
        }
        Err(cause) if cause.kind() == ErrorKind::NotFound => Err(format!(
            "{} is gone, and with it the keys of the database beside it: restore it, or set JWT_SECRET, DATA_KEY and \
             INDEX_KEY",
            path.display()
        )),
        Err(cause) => Err(failed("read", cause)),
    }
}

fn parse(text: &str) -> HashMap<String, SecretString> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once('=')).map(|(name, value)| (name.to_owned(), value.into())).collect()
}

fn generate() -> String {
    let key = || {
        let mut bytes = [0; 32];
        aws_lc_rs::rand::fill(&mut bytes).expect("the system's random generator works");
        STANDARD.encode(bytes)
    };
    format!(
        "# Keys of the Maskline database beside this file. Without them its phones and texts cannot be read.\n\
         JWT_SECRET={}\nDATA_KEY=local:{}\nINDEX_KEY={}\n",
        key(),
        key(),
        key()
    )
}
