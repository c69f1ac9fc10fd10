//! Whether this process is a member of those that serve its database, and so may claim work.
//!
//! A process that serves a PostgreSQL database has a row there, whose counter it renews. As long as it does, its claims
//! are its own, however long an exchange takes. When it cannot, it stops sending before others take its claims over. An
//! embedded database has one process, whose claims end when the next one starts.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{Mutex, MutexGuard, PoisonError},
    task::Poll,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use crate::{
    domain::{ids::ProcessId, peers::HOLDS_FOR},
    store::processes::Holder,
};

/// How often work under way looks whether its claim still holds.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What this process is to the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Standing {
    /// It has no row: its claims end with their lease.
    #[default]
    Unlisted,
    /// There are no others.
    Alone(ProcessId),
    /// It has a row, whose counter was last renewed at or after this time.
    Listed(ProcessId, Instant),
    /// It is to have a row and has none: it claims nothing.
    Missing,
}

/// The standing of this process, as last known.
#[derive(Default)]
pub(super) struct Membership(Mutex<Standing>);

impl Membership {
    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the standing; returns the one before.
    pub(super) fn become_(&self, standing: Standing) -> Standing {
        std::mem::replace(&mut *self.standing(), standing)
    }

    /// In whose name this process claims; `None` if it must not claim now.
    pub(super) fn holder(&self) -> Option<Holder> {
        match *self.standing() {
            Standing::Unlisted => Some(Holder::Unnamed),
            Standing::Alone(id) => Some(Holder::Process(id)),
            Standing::Listed(id, renewed) if renewed.elapsed() < HOLDS_FOR => Some(Holder::Process(id)),
            Standing::Listed(..) | Standing::Missing => None,
        }
    }

    pub(super) fn id(&self) -> Option<ProcessId> {
        match *self.standing() {
            Standing::Alone(id) | Standing::Listed(id, _) => Some(id),
            Standing::Unlisted | Standing::Missing => None,
        }
    }

    /// Whether a claim in this name is still this process's.
    pub(super) fn holds(&self, holder: Holder) -> bool {
        holder == Holder::Unnamed || self.holder() == Some(holder)
    }

    /// Works as long as a claim holds; `None` if it was lost first, and the work was broken off.
    pub(super) async fn while_held<T>(&self, holder: Holder, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        let mut lost = pin!(async {
            while self.holds(holder) {
                sleep(LOOK_EVERY).await;
            }
        });
        poll_fn(|context| {
            // First of all: a process that was paused in the middle must not go on.
            if !self.holds(holder) || lost.as_mut().poll(context).is_ready() {
                return Poll::Ready(None);
            }
            work.as_mut().poll(context).map(Some)
        })
        .await
    }
}
