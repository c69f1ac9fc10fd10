//! Randomness for secrets, references, jitter and load spreading.
//!
//! Decisions about where a ride goes and when a text is retried use a [`Chance`], as the time comes from a clock, so
//! that a test can repeat a run. Secrets and names never use it.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::domain::{hex, signature::WebhookSecret};

fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // The operating system's generator does not fail on a working machine. If it did, no secret must be made from it.
    aws_lc_rs::rand::fill(&mut bytes).expect("the system's random generator works");
    bytes
}

/// Generates a secret of 256 bits, in URL-safe characters after a prefix that says what it is.
pub(super) fn secret(prefix: &str) -> String {
    format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes::<32>()))
}

/// Generates a secret that signs our own webhooks.
pub(super) fn webhook_secret() -> WebhookSecret {
    WebhookSecret::from_bytes(bytes::<{ WebhookSecret::BYTES }>().to_vec())
}

/// Generates a name of 96 bits, in letters and digits only.
pub fn name(prefix: &str) -> String {
    format!("{prefix}{}", hex::encode(&bytes::<12>()))
}

/// Generates a number that is unique in practice.
pub(super) fn number() -> i64 {
    i64::from_be_bytes(bytes()) & i64::MAX
}

/// Source of randomness for decisions that need not be unpredictable.
pub trait Chance: Send + Sync {
    /// Returns a random 32-bit number: the point on the ring of numbers where a search begins.
    fn point(&self) -> u32;

    /// Returns a random number from 0 to 1: how much a pause is stretched.
    fn unit(&self) -> f64;
}

/// Randomness of the operating system.
pub struct SystemChance;

impl Chance for SystemChance {
    fn point(&self) -> u32 {
        u32::from_be_bytes(bytes())
    }

    fn unit(&self) -> f64 {
        f64::from(self.point()) / f64::from(u32::MAX)
    }
}
