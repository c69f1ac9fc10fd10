//! Reading columns back into the words of the domain.

use super::{Db, error::UnknownValue, vault::Purpose};
use crate::domain::{
    error::{Error, Result},
    number::ProviderName,
    person::Role,
    phone::PhoneNumber,
};

/// A word of a `string_enum!` enum.
pub(super) fn word<T>(parse: impl Fn(&str) -> Option<T>, column: &'static str, text: &str) -> Result<T> {
    parse(text).ok_or_else(|| UnknownValue(column).into())
}

pub(super) fn role(text: &str) -> Result<Role> {
    word(Role::parse, "role", text)
}

pub(super) fn roles(text: Option<&str>) -> Result<Option<Role>> {
    text.map(role).transpose()
}

pub(super) fn provider(text: &str) -> Result<ProviderName> {
    word(ProviderName::parse, "provider", text)
}

pub(super) fn number_phone(text: &str) -> Result<PhoneNumber> {
    PhoneNumber::from_wire(text).map_err(|_| UnknownValue("phone_number").into())
}

pub(super) fn seal_phone(db: &impl Db, phone: &PhoneNumber) -> Result<Vec<u8>> {
    Ok(db.vault().seal(Purpose::Phone, phone.expose().as_bytes())?)
}

pub(super) fn open_phone(db: &impl Db, sealed: &[u8]) -> Result<PhoneNumber> {
    let plain = open_text(db, Purpose::Phone, sealed)?;
    PhoneNumber::from_wire(&plain).map_err(|_| UnknownValue("phone_sealed").into())
}

pub(super) fn open_text(db: &impl Db, purpose: Purpose, sealed: &[u8]) -> Result<String> {
    String::from_utf8(db.vault().open(purpose, sealed)?).map_err(|_| Error::internal("a sealed value is not text"))
}
