//! Membership of this process: renews its row, and takes over from dead processes.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{Context, chance, membership::Status};
pub use crate::domain::peers::RENEW_EVERY;
use crate::{
    domain::{
        error::{Error, Result},
        ids::ProcessId,
        peers::{Counter, HOLDS_FOR, Peers},
    },
    store::{
        self,
        processes::{self, Claims, HeartbeatConnection, Holder},
    },
};

/// Time limit of a renewal. It leaves time for another attempt before claims are lost.
const RENEWED_WITHIN: Duration = Duration::from_millis(1500);
/// Interval and number of attempts to release what a dead process has locked: about as long as its last transaction can
/// take.
const RELEASE_PAUSE: Duration = Duration::from_secs(1);
const RELEASE_ATTEMPTS: usize = 30;

/// State for keeping the row of this process and watching the others.
#[derive(Default)]
pub struct Heartbeat {
    line: Option<HeartbeatConnection>,
    peers: Peers,
    /// Tasks that take over from dead processes.
    takeovers: JoinSet<ProcessId>,
    taking_over: BTreeSet<ProcessId>,
}

/// Registers this process as the only one that can hold claims.
pub async fn serve_alone(ctx: &Context) -> Result<()> {
    let (id, now) = (ProcessId(chance::number()), ctx.now());
    ctx.store.write(|tx| async move { processes::register_alone(&tx, id, now).await }).await?;
    ctx.membership.set_status(Status::Alone(id));
    Ok(())
}

/// Makes this process claim only while it is listed among those that serve its database. Returns `false` if the
/// database can have only one process.
pub fn expect_peers(ctx: &Context) -> bool {
    let has_peers = store::has_peers(&ctx.store);
    if has_peers {
        ctx.membership.set_status(Status::Missing);
    }
    has_peers
}

/// Runs work as long as a claim holds. Returns `None` if the claim was lost first and the work was aborted.
pub async fn while_held<T>(ctx: &Context, holder: Holder, work: impl Future<Output = T>) -> Option<T> {
    ctx.membership.while_held(holder, work).await
}

/// Renews or creates the row of this process, and takes over from dead processes.
pub async fn beat(ctx: &Arc<Context>, heartbeat: &mut Heartbeat) -> Result<()> {
    while let Some(done) = heartbeat.takeovers.try_join_next() {
        if let Ok(id) = done {
            heartbeat.taking_over.remove(&id);
        }
    }
    let late = || Error::Unavailable("the counter of this process was not renewed in time".into());
    let renewed = timeout(RENEWED_WITHIN, renew(ctx, heartbeat)).await.unwrap_or_else(|_| Err(late()));
    if renewed.is_err() {
        // The connection may be in any state, so it is not used again.
        heartbeat.line = None;
        heartbeat.peers.missed();
    }
    for dead in renewed? {
        if heartbeat.taking_over.insert(dead.process) {
            let ctx = Arc::clone(ctx);
            heartbeat.takeovers.spawn(async move {
                if let Err(cause) = take_over(&ctx, dead).await {
                    tracing::error!(%cause, process = %dead.process, "failed to take over from a dead process");
                }
                dead.process
            });
        }
    }
    Ok(())
}

async fn renew(ctx: &Context, heartbeat: &mut Heartbeat) -> Result<Vec<Counter>> {
    let line = match &heartbeat.line {
        Some(line) => line,
        None => heartbeat.line.insert(ctx.store.heartbeat_connection().await?),
    };
    let began = Instant::now();
    let id = match ctx.membership.id() {
        Some(id) => id,
        None => {
            let id = ProcessId(chance::number());
            line.register(id, ctx.now()).await?;
            id
        }
    };
    match line.renew(id).await? {
        Some(others) => {
            let before = ctx.membership.set_status(Status::Listed(id, began));
            if !matches!(before, Status::Listed(_, renewed) if renewed.elapsed() < HOLDS_FOR) {
                tracing::info!(process = %id, others = others.len(), "listed this process");
                ctx.wakeups.send_all();
            }
            Ok(heartbeat.peers.observe(&others, began, Instant::now()))
        }
        None => {
            ctx.membership.set_status(Status::Missing);
            tracing::warn!(process = %id, "lost the row of this process, which others took for dead: listing it under a new id");
            Ok(Vec::new())
        }
    }
}

async fn take_over(ctx: &Context, dead: Counter) -> Result<()> {
    let now = ctx.now();
    if !ctx.store.write(|tx| async move { processes::take_over(&tx, dead, now).await }).await? {
        return Ok(());
    }
    tracing::warn!(process = %dead.process, "took over the claims of a dead process");
    ctx.wakeups.send_all();
    for _ in 0..RELEASE_ATTEMPTS {
        if !ctx.store.write(|tx| async move { processes::any_left(&tx, dead.process).await }).await? {
            break;
        }
        sleep(RELEASE_PAUSE).await;
        let now = ctx.now();
        ctx.store.write(|tx| async move { processes::release(&tx, Claims::Of(dead.process), now).await }).await?;
        ctx.wakeups.send_all();
    }
    Ok(())
}

/// Removes this process from the list, and releases its unfinished claims so that others continue at once.
pub async fn leave(ctx: &Context) -> Result<()> {
    let Some(id) = ctx.membership.id() else { return Ok(()) };
    ctx.membership.set_status(Status::Missing);
    let now = ctx.now();
    ctx.store.write(|tx| async move { processes::leave(&tx, id, now).await }).await
}
