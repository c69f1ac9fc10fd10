//! Sealing of personal and secret values: phones, texts, and the secrets that sign our webhooks.
//!
//! A sealed value is `version, length of key id, key id, nonce, ciphertext and tag` (AES-256-GCM-SIV, so that a nonce
//! drawn twice reveals no more than equality). The purpose is authenticated with it: a sealed text pasted into a phone
//! column does not open. Phones are found through a keyed index of their match key.

use std::fmt;

use aws_lc_rs::{
    aead::{self, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    hmac,
};
use secrecy::{ExposeSecret as _, SecretSlice};

use crate::domain::phone::{MATCH_KEY_VERSION, MatchKey};

/// First byte of every sealed value.
const FORMAT: u8 = 1;

/// Configured keys.
#[derive(Clone)]
pub struct Keys {
    /// ID and 32 bytes of each data key. The first one seals, all of them open.
    pub data: Vec<(String, SecretSlice<u8>)>,
    /// Key of the index of phones. It can never change.
    pub index: SecretSlice<u8>,
}

/// Use of a sealed value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Phone,
    /// Content of a text, or the URLs of its pictures.
    Text,
    /// Response kept for a repeated request.
    Answer,
    /// Secret that signs our webhooks.
    Secret,
    /// Proof that a key is the one that was used before.
    KeyCheck,
}

impl Purpose {
    fn aad(self) -> Aad<&'static [u8]> {
        Aad::from(match self {
            Self::Phone => b"maskline/phone".as_slice(),
            Self::Text => b"maskline/text",
            Self::Answer => b"maskline/answer",
            Self::Secret => b"maskline/secret",
            Self::KeyCheck => b"maskline/key-check",
        })
    }
}

/// Keyed index of a phone number: equal for variants of one number, meaningless without the key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PhoneIndex(pub(crate) Vec<u8>);

impl fmt::Debug for PhoneIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PhoneIndex")
    }
}

/// Reason why a value does not open, or why a key cannot be used.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub enum SealError {
    /// The bytes are not a sealed value.
    #[error("not a sealed value")]
    Malformed,
    /// It was sealed with a key that is not configured.
    #[error("sealed with a data key that is not configured")]
    UnknownKey,
    /// The key is not the one it was sealed with, or the bytes were changed.
    #[error("a sealed value does not open")]
    Refused,
    /// A data key does not have 32 bytes.
    #[error("a data key must be 32 bytes")]
    BadKey,
}

/// Keys, ready for use.
pub(crate) struct Vault {
    data: Vec<(String, RandomizedNonceKey)>,
    index: hmac::Key,
}

impl Vault {
    pub(crate) fn new(keys: &Keys) -> Result<Self, SealError> {
        let data = keys
            .data
            .iter()
            .map(|(id, key)| {
                let key = RandomizedNonceKey::new(&aead::AES_256_GCM_SIV, key.expose_secret());
                key.map(|key| (id.clone(), key)).map_err(|_| SealError::BadKey)
            })
            .collect::<Result<Vec<_>, _>>()?;
        if data.is_empty() {
            return Err(SealError::BadKey);
        }
        Ok(Self { data, index: hmac::Key::new(hmac::HMAC_SHA256, keys.index.expose_secret()) })
    }

    /// Returns the IDs of the data keys, starting with the one that seals.
    pub(crate) fn key_ids(&self) -> impl Iterator<Item = &str> {
        self.data.iter().map(|(id, _)| id.as_str())
    }

    pub(crate) fn seal(&self, purpose: Purpose, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let (id, key) = self.data.first().ok_or(SealError::UnknownKey)?;
        let mut secret = plain.to_vec();
        let nonce = key.seal_in_place_append_tag(purpose.aad(), &mut secret).map_err(|_| SealError::Refused)?;
        let length = u8::try_from(id.len()).map_err(|_| SealError::BadKey)?;
        let nonce: &[u8; NONCE_LEN] = nonce.as_ref();
        Ok([&[FORMAT, length], id.as_bytes(), nonce, &secret].concat())
    }

    pub(crate) fn open(&self, purpose: Purpose, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let (id, rest) = split_key_id(sealed).ok_or(SealError::Malformed)?;
        let (nonce, secret) = rest.split_at_checked(NONCE_LEN).ok_or(SealError::Malformed)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Malformed)?;
        let mut secret = secret.to_vec();
        let key = self.key(id)?;
        let plain = key.open_in_place(nonce, purpose.aad(), &mut secret).map_err(|_| SealError::Refused)?.len();
        secret.truncate(plain);
        Ok(secret)
    }

    /// Checks whether a value was sealed with the key that seals now.
    pub(crate) fn is_current(&self, sealed: &[u8]) -> bool {
        split_key_id(sealed).map(|(id, _)| id) == self.key_ids().next()
    }

    pub(crate) fn phone_index(&self, key: &MatchKey) -> PhoneIndex {
        PhoneIndex(self.digest(&format!("phone/{MATCH_KEY_VERSION}"), key.expose().as_bytes()))
    }

    /// Returns a keyed digest. The `label` keeps different uses apart.
    pub(crate) fn digest(&self, label: &str, data: &[u8]) -> Vec<u8> {
        let mut context = hmac::Context::with_key(&self.index);
        context.update(label.as_bytes());
        context.update(&[0]);
        context.update(data);
        context.sign().as_ref().to_vec()
    }

    fn key(&self, id: &str) -> Result<&RandomizedNonceKey, SealError> {
        self.data.iter().find(|(known, _)| known == id).map(|(_, key)| key).ok_or(SealError::UnknownKey)
    }
}

fn split_key_id(sealed: &[u8]) -> Option<(&str, &[u8])> {
    let (&[FORMAT, length], rest) = sealed.split_first_chunk::<2>()? else { return None };
    let (id, rest) = rest.split_at_checked(length.into())?;
    Some((std::str::from_utf8(id).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::phone::PhoneNumber;

    fn keys(ids: &[(&str, u8)]) -> Vault {
        let data = ids.iter().map(|(id, byte)| ((*id).to_owned(), vec![*byte; 32].into())).collect();
        Vault::new(&Keys { data, index: vec![9; 32].into() }).expect("keys")
    }

    #[test]
    fn old_keys_open_and_the_first_seals() {
        let old = keys(&[("a", 1)]).seal(Purpose::Phone, b"+31612345678").expect("seals");
        let rotated = keys(&[("b", 2), ("a", 1)]);
        assert_eq!(rotated.open(Purpose::Phone, &old).expect("opens"), b"+31612345678");
        assert!(!rotated.is_current(&old));
        assert!(rotated.is_current(&rotated.seal(Purpose::Phone, b"x").expect("seals")));
        assert!(matches!(keys(&[("b", 2)]).open(Purpose::Phone, &old), Err(SealError::UnknownKey)));
        assert!(matches!(keys(&[("a", 3)]).open(Purpose::Phone, &old), Err(SealError::Refused)));
        assert!(matches!(rotated.open(Purpose::Text, &old), Err(SealError::Refused)));
    }

    #[test]
    fn variants_of_one_line_share_an_index() {
        let vault = keys(&[("a", 1)]);
        let index = |text| vault.phone_index(&PhoneNumber::from_wire(text).expect("a number").match_key());
        assert!(index("+5491123456789") == index("541123456789"));
        assert!(index("+31612345678") != index("+31612345679"));
    }

    proptest! {
        #[test]
        fn opens_only_what_it_sealed(plain in proptest::collection::vec(any::<u8>(), 0..80), at in any::<prop::sample::Index>(), flip in 1u8..) {
            let vault = keys(&[("key-1", 7)]);
            let mut sealed = vault.seal(Purpose::Text, &plain).expect("seals");
            prop_assert_eq!(vault.open(Purpose::Text, &sealed).expect("opens"), plain);
            let at = at.index(sealed.len());
            sealed[at] ^= flip;
            prop_assert!(vault.open(Purpose::Text, &sealed).is_err());
        }

        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = keys(&[("a", 1)]).open(Purpose::Text, &bytes);
        }
    }
}
