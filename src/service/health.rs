//! Whether requests should come here: the database answers and takes writes, the clocks agree, and nobody asked us to stop.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration as Span, Instant},
};

use chrono::Duration;

use super::Context;
use crate::{
    domain::{error::Result, words::words},
    store::{self, jobs},
};

/// A clock that is further from the database's is worth a warning.
const WARN: Duration = Duration::seconds(1);
/// With a clock that is further off, windows and leases are no longer what they promise.
const TOO_FAR: Duration = Duration::seconds(5);
/// A measurement is wrong by up to half of the time it took; one that took longer says nothing.
const EXACT: Duration = Duration::seconds(1);
/// Health checks that come faster share an answer.
const PROBE_EVERY: Span = Span::from_secs(1);
/// Whoever asks waits no longer than that for the database; container health checks give up soon after.
const PROBE_DEADLINE: Span = Span::from_secs(2);

words! {
    /// Why requests should not come here.
    NotReady {
        /// The process was asked to stop.
        Stopping = "stopping",
        /// Our clock and the database's are too far apart.
        ClockSkew = "clock_skew",
        /// The database does not answer, or not in time.
        DatabaseUnreachable = "database_unreachable",
        /// It answers and takes no writes: it is a standby, read-only, or its disk is full.
        DatabaseNotWritable = "database_not_writable",
    }
}

impl NotReady {
    /// A sentence for whoever asks.
    pub fn detail(self) -> &'static str {
        match self {
            Self::Stopping => "The process is about to stop.",
            Self::ClockSkew => "The clock of this process and that of the database are more than five seconds apart.",
            Self::DatabaseUnreachable => "The database does not answer.",
            Self::DatabaseNotWritable => "The database answers, but takes no writes.",
        }
    }
}

/// What is known of the health of this process.
#[derive(Default)]
pub(super) struct Health {
    stopping: AtomicBool,
    skew: Mutex<Skew>,
    /// The last answer of the database, and when it came.
    probe: tokio::sync::Mutex<Option<(Instant, std::result::Result<(), NotReady>)>>,
}

/// How far clocks are apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Skew {
    #[default]
    Small,
    Noticeable,
    TooLarge,
}

impl Skew {
    fn of(apart: Duration) -> Self {
        match apart.abs() {
            apart if apart > TOO_FAR => Self::TooLarge,
            apart if apart > WARN => Self::Noticeable,
            _ => Self::Small,
        }
    }
}

impl Health {
    fn skew(&self) -> std::sync::MutexGuard<'_, Skew> {
        self.skew.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// From now on this process is not ready, and sends nothing that it has not begun to send.
pub fn announce_stop(ctx: &Context) {
    ctx.health.stopping.store(true, Ordering::Relaxed);
}

/// Whether the process was asked to stop.
pub fn is_stopping(ctx: &Context) -> bool {
    ctx.health.stopping.load(Ordering::Relaxed)
}

/// Whether requests should come here.
///
/// The database is asked by a small write and not by what became of the last one: who is not ready gets no requests,
/// and would never see another write succeed.
pub async fn ready(ctx: &Context) -> std::result::Result<(), NotReady> {
    if is_stopping(ctx) {
        return Err(NotReady::Stopping);
    }
    let mut last = ctx.health.probe.lock().await;
    let fresh = last.filter(|(at, _)| at.elapsed() < PROBE_EVERY);
    let answer = match fresh {
        Some((_, answer)) => answer,
        None => probe(ctx).await,
    };
    if fresh.is_none() {
        *last = Some((Instant::now(), answer));
    }
    answer?;
    if *ctx.health.skew() == Skew::TooLarge { Err(NotReady::ClockSkew) } else { Ok(()) }
}

async fn probe(ctx: &Context) -> std::result::Result<(), NotReady> {
    let now = ctx.now();
    let write = ctx.store.write(|tx| async move { jobs::probe(&tx, now).await });
    match tokio::time::timeout(PROBE_DEADLINE, write).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(cause)) => {
            tracing::warn!(%cause, "not ready");
            let refused = store::is_unwritable(&cause);
            Err(if refused { NotReady::DatabaseNotWritable } else { NotReady::DatabaseUnreachable })
        }
        Err(_) => {
            tracing::warn!("not ready: the database did not answer in time");
            Err(NotReady::DatabaseUnreachable)
        }
    }
}

/// Compares our clock with the database's, and says in the log when they come apart or together. An embedded
/// database has our clock.
pub async fn measure_skew(ctx: &Context) -> Result<()> {
    // In a transaction, so that only the query lies between the two readings of our clock.
    let (before, theirs, after) = ctx
        .store
        .write(|tx| async move {
            let before = ctx.now();
            let theirs = store::time_there(&tx).await?;
            Ok((before, theirs, ctx.now()))
        })
        .await?;
    let took = after - before;
    let Some(theirs) = theirs.filter(|_| took <= EXACT) else { return Ok(()) };
    let ahead = before + took / 2 - theirs;
    let (ahead_ms, found) = (ahead.num_milliseconds(), Skew::of(ahead));
    let before = std::mem::replace(&mut *ctx.health.skew(), found);
    match found {
        _ if found == before => {}
        Skew::Small => tracing::info!(ahead_ms, "our clock and the database's agree again"),
        Skew::Noticeable => tracing::warn!(ahead_ms, "our clock and the database's are apart"),
        Skew::TooLarge => tracing::error!(ahead_ms, "our clock and the database's are too far apart: not ready"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skew_counts_in_both_directions_beyond_a_second_and_beyond_five() {
        for (ms, skew) in [
            (0, Skew::Small),
            (1000, Skew::Small),
            (1001, Skew::Noticeable),
            (5000, Skew::Noticeable),
            (5001, Skew::TooLarge),
            (i64::from(u32::MAX), Skew::TooLarge),
        ] {
            assert_eq!(Skew::of(Duration::milliseconds(ms)), skew, "{ms}");
            assert_eq!(Skew::of(Duration::milliseconds(-ms)), skew, "-{ms}");
        }
    }
}
