//! Hashing of client secrets: Argon2id, a few at a time.

use argon2::{
    Argon2,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use tokio::{sync::Semaphore, task, time};

use crate::domain::error::{Error, Result};

/// A hash takes about 19 MiB and tens of milliseconds of a core: more at once would only make all of them late.
const AT_ONCE: usize = 4;
/// Whoever waits longer than this is told to come back.
const PATIENCE: time::Duration = time::Duration::from_secs(5);

pub(super) struct Secrets {
    turns: Semaphore,
    /// A hash that no secret has: checked for unknown clients, so that they take as long as known ones.
    nobody: std::sync::OnceLock<String>,
}

impl Secrets {
    pub(super) fn new() -> Self {
        Self { turns: Semaphore::new(AT_ONCE), nobody: std::sync::OnceLock::new() }
    }

    pub(super) async fn hash(&self, secret: &str) -> Result<String> {
        let secret = secret.to_owned();
        self.in_turn(move || hash(&secret)).await?
    }

    /// Whether the secret has this hash; without a hash, no, after as long.
    pub(super) async fn verify(&self, secret: &str, hash: Option<String>) -> Result<bool> {
        let known = hash.is_some();
        let hash = match hash {
            Some(hash) => hash,
            None => match self.nobody.get() {
                Some(hash) => hash.clone(),
                None => {
                    let hash = self.hash(&super::random::secret("nobody_")).await?;
                    self.nobody.get_or_init(|| hash).clone()
                }
            },
        };
        let secret = secret.to_owned();
        let same = self
            .in_turn(move || {
                let hash = PasswordHash::new(&hash).ok()?;
                Argon2::default().verify_password(secret.as_bytes(), &hash).ok()
            })
            .await?;
        Ok(known && same.is_some())
    }

    async fn in_turn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let busy = || Error::Busy { retry_after: chrono::Duration::seconds(5) };
        let turn = time::timeout(PATIENCE, self.turns.acquire()).await.map_err(|_| busy())?;
        let _turn = turn.map_err(Error::internal)?;
        task::spawn_blocking(work).await.map_err(Error::internal)
    }
}

fn hash(secret: &str) -> Result<String> {
    match Argon2::default().hash_password(secret.as_bytes()) {
        Ok(hash) => Ok(hash.to_string()),
        Err(failed) => Err(Error::internal(failed.to_string())),
    }
}
