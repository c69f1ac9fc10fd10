//! Membership of this process among those that serve its database. Only a member may claim work.
//!
//! A process that serves a PostgreSQL database has a row there, whose counter it renews. As long as it does, it keeps
//! its claims, however long an exchange takes. If it cannot, it stops sending before others take over its claims. An
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

/// Interval at which work in progress checks that its claim still holds.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// Status of this process among the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Status {
    /// It has no row: its claims end with their lease.
    #[default]
    Unlisted,
    /// It is the only process.
    Alone(ProcessId),
    /// It has a row, whose counter was last renewed at or after this time.
    Listed(ProcessId, Instant),
    /// It needs a row and has none: it claims nothing.
    Missing,
}

/// Last known status of this process.
#[derive(Default)]
pub(super) struct Membership(Mutex<Status>);

impl Membership {
    fn status(&self) -> MutexGuard<'_, Status> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the status. Returns the previous one.
    pub(super) fn set_status(&self, status: Status) -> Status {
        std::mem::replace(&mut *self.status(), status)
    }

    /// Returns the holder of new claims; `None` if this process must not claim now.
    pub(super) fn holder(&self) -> Option<Holder> {
        match *self.status() {
            Status::Unlisted => Some(Holder::Unnamed),
            Status::Alone(id) => Some(Holder::Process(id)),
            Status::Listed(id, renewed) if renewed.elapsed() < HOLDS_FOR => Some(Holder::Process(id)),
            Status::Listed(..) | Status::Missing => None,
        }
    }

    pub(super) fn id(&self) -> Option<ProcessId> {
        match *self.status() {
            Status::Alone(id) | Status::Listed(id, _) => Some(id),
            Status::Unlisted | Status::Missing => None,
        }
    }

    /// Checks whether a claim of this holder still belongs to this process.
    pub(super) fn holds(&self, holder: Holder) -> bool {
        holder == Holder::Unnamed || self.holder() == Some(holder)
    }

    /// Runs work as long as a claim holds. Returns `None` if the claim was lost first and the work was aborted.
    pub(super) async fn while_held<T>(&self, holder: Holder, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        let mut lost = pin!(async {
            while self.holds(holder) {
                sleep(CHECK_INTERVAL).await;
            }
        });
        poll_fn(|context| {
            // Checked first: a process that was paused in the middle must not go on.
            if !self.holds(holder) || lost.as_mut().poll(context).is_ready() {
                return Poll::Ready(None);
            }
            work.as_mut().poll(context).map(Some)
        })
        .await
    }
}
