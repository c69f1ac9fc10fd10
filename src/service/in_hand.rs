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

use super::Context;
use crate::{
    domain::{
        error::Result,
        ids::{ProcessId, SendId},
    },
    store::{
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
}

/// Lets go of a claim. If it is not `finished`, it still is this process's, and is to be released.
pub fn let_go(ctx: &Context, claim: Claim, finished: bool) {
    ctx.in_hand.parts().remove(&(claim.id, claim.attempt));
    if !finished {
        ctx.in_hand.may_lack.store(true, Ordering::Relaxed);
    }
}

/// Releases claims of this process that are not in hand, if there may be any.
pub(super) async fn release_lost(ctx: &Context, process: ProcessId) -> Result<()> {
    if !ctx.in_hand.may_lack.load(Ordering::Relaxed) {
        return Ok(());
    }
    let _nobody_claims = ctx.in_hand.claiming.write().await;
    ctx.in_hand.may_lack.store(false, Ordering::Relaxed);
    let held: BTreeSet<_> = ctx.in_hand.parts().iter().map(|(part, _)| *part).collect();
    let now = ctx.now();
    let held = &held;
    let released = ctx.store.write(|tx| async move { processes::release_lost(&tx, process, held, now).await }).await;
    match released {
        Ok(released) if released > 0 => tracing::warn!(released, "released claims that were lost"),
        Ok(_) => {}
        Err(_) => ctx.in_hand.may_lack.store(true, Ordering::Relaxed),
    }
    released.map(drop)
}
