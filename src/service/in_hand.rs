//! The parts of texts that this process has claimed and works on.
//!
//! A claim can be lost while its process lives: the database goes away in the middle of the claim, or before anything could
//! be written down. What this process has claimed and does not work on is released as soon as the database is back.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::{RwLock, RwLockReadGuard};

use crate::{
    domain::{
        clock::Time,
        error::Result,
        ids::{ProcessId, SendId},
    },
    store::{
        Store,
        outbox::{Claim, Claimed},
        processes,
    },
};

/// What is in hand.
#[derive(Default)]
pub(super) struct InHand {
    /// Each with the number of its attempt: a part that was lost can be in hand once more.
    parts: Mutex<BTreeSet<(SendId, i32)>>,
    /// Held for reading while something is claimed, until it is in hand.
    claiming: RwLock<()>,
    /// There may be claims of this process that are not in hand.
    may_lack: AtomicBool,
}

impl InHand {
    fn parts(&self) -> MutexGuard<'_, BTreeSet<(SendId, i32)>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To be held from before a claim until its outcome has been taken in hand.
    pub(super) async fn claiming(&self) -> RwLockReadGuard<'_, ()> {
        self.claiming.read().await
    }

    /// Takes the outcome of a claim in hand. One that failed may have been committed all the same.
    pub(super) fn take(&self, claimed: &Result<Claimed>) {
        match claimed {
            Ok(claimed) => self.parts().extend(claimed.claims.iter().map(|claim| (claim.id, claim.attempt))),
            Err(_) => self.may_lack.store(true, Ordering::Relaxed),
        }
    }

    /// Lets go of a claim. If it is not `finished`, it still is this process's, and is to be released.
    pub(super) fn let_go(&self, claim: Claim, finished: bool) {
        self.parts().remove(&(claim.id, claim.attempt));
        if !finished {
            self.may_lack.store(true, Ordering::Relaxed);
        }
    }

    /// Releases claims of this process that are not in hand, if there may be any.
    pub(super) async fn release_lost(&self, store: &Store, process: ProcessId, now: Time) -> Result<()> {
        if !self.may_lack.load(Ordering::Relaxed) {
            return Ok(());
        }
        let _nobody_claims = self.claiming.write().await;
        self.may_lack.store(false, Ordering::Relaxed);
        let held: &BTreeSet<_> = &self.parts().iter().map(|(part, _)| *part).collect();
        let released = store.write(|tx| async move { processes::release_lost(&tx, process, held, now).await }).await;
        match released {
            Ok(released) if released > 0 => tracing::warn!(released, "released claims that were lost"),
            Ok(_) => {}
            Err(_) => self.may_lack.store(true, Ordering::Relaxed),
        }
        released.map(drop)
    }
}
