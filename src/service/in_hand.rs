//! Claimed parts that this process is working on.
//!
//! A process can lose track of a claim while it lives: the database goes away during the claim, or before the outcome
//! is recorded. Claims of this process that it is not working on are released as soon as the database is back.

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
        outbox::{Claim, ClaimResult},
        processes,
    },
};

/// Parts in hand: claimed, and being worked on.
#[derive(Default)]
pub(super) struct InHand {
    /// Parts, each with the number of its attempt: a part whose claim was lost can be in hand a second time.
    parts: Mutex<BTreeSet<(SendId, i32)>>,
    /// Held for reading from before a claim until its parts are in hand.
    claiming: RwLock<()>,
    /// Whether this process may have claims that are not in hand.
    may_lack: AtomicBool,
}

impl InHand {
    fn parts(&self) -> MutexGuard<'_, BTreeSet<(SendId, i32)>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a guard to hold from before a claim until [`add`](Self::add) has recorded its outcome.
    pub(super) async fn claiming(&self) -> RwLockReadGuard<'_, ()> {
        self.claiming.read().await
    }

    /// Takes claimed parts in hand. A claim that failed may still have been committed.
    pub(super) fn add(&self, claimed: &Result<ClaimResult>) {
        match claimed {
            Ok(claimed) => self.parts().extend(claimed.claims.iter().map(|claim| (claim.id, claim.attempt))),
            Err(_) => self.may_lack.store(true, Ordering::Relaxed),
        }
    }

    /// Removes a claim. One that is not `finished` still belongs to this process, and must be released.
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
            Ok(released) if released > 0 => tracing::warn!(released, "released lost claims"),
            Ok(_) => {}
            Err(_) => self.may_lack.store(true, Ordering::Relaxed),
        }
        released.map(drop)
    }
}
