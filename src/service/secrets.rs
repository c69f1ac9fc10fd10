//! Hashing of client secrets: Argon2id, a few at a time, on threads of their own.

use std::sync::{
    Arc, Mutex, OnceLock, PoisonError,
    mpsc::{Receiver, SyncSender, sync_channel},
};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use tokio::{sync::oneshot, time};

use crate::domain::error::{Error, Result};

/// A hash takes about 19 MiB and tens of milliseconds of a core. Threads that live on use the same memory again; those
/// that come and go with a flood of wrong secrets would each leave some behind.
const THREADS: usize = 4;
/// Hashes that may wait for a thread. Whoever comes when all places are taken is told to come back.
const WAITING: usize = 64;
/// So is whoever has waited longer than this.
const PATIENCE: time::Duration = time::Duration::from_secs(5);

type Job = Box<dyn FnOnce() + Send>;

pub(super) struct Secrets {
    jobs: SyncSender<Job>,
    /// A hash that no secret has: checked for unknown clients, so that they take as long as known ones.
    nobody: OnceLock<String>,
}

impl Secrets {
    pub(super) fn new() -> Self {
        let (jobs, todo) = sync_channel(WAITING);
        let todo = Arc::new(Mutex::new(todo));
        for _ in 0..THREADS {
            let todo = Arc::clone(&todo);
            std::thread::spawn(move || {
                while let Some(job) = next(&todo) {
                    job()
                }
            });
        }
        Self { jobs, nobody: OnceLock::new() }
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
        let (done, outcome) = oneshot::channel();
        let job = move || {
            // Nobody waits any more: the work would be for nothing.
            if !done.is_closed() {
                let _ = done.send(work());
            }
        };
        self.jobs.try_send(Box::new(job)).map_err(|_| busy())?;
        time::timeout(PATIENCE, outcome).await.map_err(|_| busy())?.map_err(Error::internal)
    }
}

/// The next job; none once the service is gone.
fn next(todo: &Mutex<Receiver<Job>>) -> Option<Job> {
    todo.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

fn hash(secret: &str) -> Result<String> {
    match Argon2::default().hash_password(secret.as_bytes()) {
        Ok(hash) => Ok(hash.to_string()),
        Err(failed) => Err(Error::internal(failed.to_string())),
    }
}
