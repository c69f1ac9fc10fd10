//! Chance: for secrets, references, jitter and the spreading of load.
//!
//! What decides where a ride goes and when a text is tried again comes from a [`Chance`], as the time comes from a clock,
//! so that a test can have the same run twice. Secrets and names never do.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::domain::{hex, signature::WebhookSecret};

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

/// What signs our own webhooks.
pub(super) fn webhook_secret() -> WebhookSecret {
    WebhookSecret::from_bytes(bytes::<{ WebhookSecret::BYTES }>().to_vec())
}

/// 96 bits that name something, in letters and digits only.
pub fn name(prefix: &str) -> String {
    format!("{prefix}{}", hex::encode(&bytes::<12>()))
}

/// A number that nobody else has.
pub(super) fn number() -> i64 {
    i64::from_be_bytes(bytes()) & i64::MAX
}

/// Where decisions that nobody needs to guess come from.
pub trait Chance: Send + Sync {
    /// A point among all 32-bit numbers: where on the circle of numbers a choice begins.
    fn point(&self) -> u32;

    /// A number from 0 to 1: how much a pause is stretched.
    fn unit(&self) -> f64;
}

/// The machine's chance.
pub struct SystemChance;

impl Chance for SystemChance {
    fn point(&self) -> u32 {
        u32::from_be_bytes(bytes())
    }

    fn unit(&self) -> f64 {
        f64::from(self.point()) / f64::from(u32::MAX)
    }
}
