//! Sealed columns: what is stored passes through the vault here.

use super::{Db, Tx, error::UnknownValue, vault::Purpose};
use crate::domain::{
    error::{Error, Result},
    phone::PhoneNumber,
    text::MessageText,
};

pub(super) fn seal_phone(tx: &Tx, phone: &PhoneNumber) -> Result<Vec<u8>> {
    Ok(tx.vault().seal(Purpose::Phone, phone.expose().as_bytes())?)
}

pub(super) fn open_phone(db: &impl Db, sealed: &[u8]) -> Result<PhoneNumber> {
    let plain = open(db, Purpose::Phone, sealed)?;
    PhoneNumber::from_wire(&plain).map_err(|_| UnknownValue::of("phone_sealed").into())
}

/// Seals the content of a text; `None` if there is none.
pub(super) fn seal_text(tx: &Tx, text: &str) -> Result<Option<Vec<u8>>> {
    if text.is_empty() { Ok(None) } else { Ok(Some(tx.vault().seal(Purpose::Text, text.as_bytes())?)) }
}

pub(super) fn open_text(db: &impl Db, sealed: Option<&[u8]>) -> Result<String> {
    sealed.map_or_else(|| Ok(String::new()), |sealed| open(db, Purpose::Text, sealed))
}

pub(super) fn open_body(db: &impl Db, sealed: Option<&[u8]>) -> Result<MessageText> {
    Ok(MessageText::from_wire(&open_text(db, sealed)?))
}

/// Seals picture URLs as a JSON list; `None` if there are none.
pub(super) fn seal_media(tx: &Tx, urls: &[String]) -> Result<Option<Vec<u8>>> {
    if urls.is_empty() {
        return Ok(None);
    }
    seal_text(tx, &serde_json::to_string(urls).map_err(Error::internal)?)
}

pub(super) fn open_media(db: &impl Db, sealed: Option<&[u8]>) -> Result<Vec<String>> {
    match sealed {
        Some(sealed) => serde_json::from_str(&open(db, Purpose::Text, sealed)?).map_err(Error::internal),
        None => Ok(Vec::new()),
    }
}

fn open(db: &impl Db, purpose: Purpose, sealed: &[u8]) -> Result<String> {
    String::from_utf8(db.vault().open(purpose, sealed)?).map_err(|_| Error::internal("a sealed value is not text"))
}
