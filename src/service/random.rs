//! Chance: for secrets, references, jitter and the spreading of load.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // The operating system's generator does not fail on a machine that runs; a secret from a failed one must not be.
    aws_lc_rs::rand::fill(&mut bytes).expect("the system's random generator works");
    bytes
}

/// 256 bits for a secret, in URL-safe letters behind a prefix that tells what it is.
pub(super) fn secret(prefix: &str) -> String {
    format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes::<32>()))
}

/// 96 bits that name something, in letters and digits only.
pub(super) fn name(prefix: &str) -> String {
    bytes::<12>().iter().fold(prefix.to_owned(), |name, byte| format!("{name}{byte:02x}"))
}

/// A point among all 32-bit numbers.
pub(super) fn point() -> u32 {
    u32::from_be_bytes(bytes())
}

/// A number from 0 to 1.
pub(super) fn unit() -> f64 {
    f64::from(point()) / f64::from(u32::MAX)
}
