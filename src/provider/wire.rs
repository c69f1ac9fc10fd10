//! Small pieces that several dialects share: form pairs, digests, comparison in constant time.

use aws_lc_rs::{constant_time, digest, hmac};

/// Decodes `application/x-www-form-urlencoded` pairs, in order, repeats kept. Never fails: what cannot be decoded
/// comes out with replacement characters.
pub(super) fn form_pairs(text: &[u8]) -> Vec<(String, String)> {
    url::form_urlencoded::parse(text).into_owned().collect()
}

/// SHA-256.
pub(super) fn sha256(data: &[u8]) -> digest::Digest {
    digest::digest(&digest::SHA256, data)
}

/// HMAC-SHA-256.
pub(super) fn hmac_sha256(key: &[u8], data: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data)
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// Equality that takes as long for a near miss as for a far one.
pub(super) fn equal(left: &[u8], right: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(left, right).is_ok()
}
