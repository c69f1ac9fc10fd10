//! Readiness: a process should get requests only if the database answers and accepts writes, the clocks agree, and
//! nobody asked it to stop.

use std::time::{Duration as Span, Instant};

use chrono::Duration;

use super::{
    Context,
    readiness::{NotReady, Skew},
};
use crate::{
    domain::error::Result,
    store::{self, jobs},
};

/// Longest measurement that counts: its error is up to half of its duration.
const EXACT: Duration = Duration::seconds(1);
/// Health checks within this time share an answer.
const PROBE_EVERY: Span = Span::from_secs(1);
/// Longest wait of a health check for the database. Container health checks give up soon after.
const PROBE_DEADLINE: Span = Span::from_secs(2);

/// Makes this process not ready. From now on it starts no sends.
pub fn announce_stop(ctx: &Context) {
    ctx.readiness.announce_stop();
}

pub fn is_stopping(ctx: &Context) -> bool {
    ctx.readiness.is_stopping()
}

/// Checks whether this process should get requests.
///
/// A small write probes the database. The outcome of the last write does not count: a process that is not ready gets no
/// requests, and would never see another write succeed.
pub async fn ready(ctx: &Context) -> std::result::Result<(), NotReady> {
    if is_stopping(ctx) {
        return Err(NotReady::Stopping);
    }
    let mut last = ctx.readiness.probe.lock().await;
    let fresh = last.filter(|(at, _)| at.elapsed() < PROBE_EVERY);
    let answer = match fresh {
        Some((_, answer)) => answer,
        None => probe(ctx).await,
    };
    if fresh.is_none() {
        *last = Some((Instant::now(), answer));
    }
    answer?;
    if ctx.readiness.skew() == Skew::TooLarge { Err(NotReady::ClockSkew) } else { Ok(()) }
}

async fn probe(ctx: &Context) -> std::result::Result<(), NotReady> {
    let now = ctx.now();
    let write = ctx.store.write(|tx| async move { jobs::probe(&tx, now).await });
    match tokio::time::timeout(PROBE_DEADLINE, write).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(cause)) => {
            tracing::warn!(%cause, "failed to write to the database: not ready");
            let refused = store::is_unwritable(&cause);
            Err(if refused { NotReady::DatabaseNotWritable } else { NotReady::DatabaseUnreachable })
        }
        Err(_) => {
            tracing::warn!("failed to write to the database in time: not ready");
            Err(NotReady::DatabaseUnreachable)
        }
    }
}

/// Compares our clock with the database's, and logs when they diverge or agree again. An embedded database uses our
/// clock.
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
    let before = ctx.readiness.note_skew(found);
    match found {
        _ if found == before => {}
        Skew::Small => tracing::info!(ahead_ms, "clock agrees with the database's again"),
        Skew::Noticeable => tracing::warn!(ahead_ms, "clock differs from the database's"),
        Skew::TooLarge => tracing::error!(ahead_ms, "clock differs too much from the database's: not ready"),
    }
    Ok(())
}
