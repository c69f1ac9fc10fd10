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

use super::{Context, chance, membership::Standing};
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
const COME_AGAIN: Duration = Duration::from_secs(1);
const COME_AGAIN_TIMES: usize = 30;

/// State for keeping the row of this process and watching the others.
#[derive(Default)]
pub struct Attendance {
    line: Option<HeartbeatConnection>,
    peers: Peers,
    /// Tasks that take over from dead processes.
    heirs: JoinSet<ProcessId>,
    inheriting: BTreeSet<ProcessId>,
}

/// Registers this process as the only one that can hold claims.
pub async fn serve_alone(ctx: &Context) -> Result<()> {
    let (id, now) = (ProcessId(chance::number()), ctx.now());
    ctx.store.write(|tx| async move { processes::register_alone(&tx, id, now).await }).await?;
    ctx.membership.set_standing(Standing::Alone(id));
    Ok(())
}

/// Makes this process claim only while it is listed among those that serve its database. Returns `false` if the
/// database can have only one process.
pub fn expect_peers(ctx: &Context) -> bool {
    let has_peers = store::has_peers(&ctx.store);
    if has_peers {
        ctx.membership.set_standing(Standing::Missing);
    }
    has_peers
}

/// Runs work as long as a claim holds. Returns `None` if the claim was lost first and the work was aborted.
pub async fn while_held<T>(ctx: &Context, holder: Holder, work: impl Future<Output = T>) -> Option<T> {
    ctx.membership.while_held(holder, work).await
}

/// Renews or creates the row of this process, and takes over from dead processes.
pub async fn attend(ctx: &Arc<Context>, attendance: &mut Attendance) -> Result<()> {
    while let Some(done) = attendance.heirs.try_join_next() {
        if let Ok(id) = done {
            attendance.inheriting.remove(&id);
        }
    }
    let late = || Error::Unavailable("the counter of this process was not renewed in time".into());
    let renewed = timeout(RENEWED_WITHIN, renew(ctx, attendance)).await.unwrap_or_else(|_| Err(late()));
    if renewed.is_err() {
        // The connection may be in any state, so it is not used again.
        attendance.line = None;
        attendance.peers.missed();
    }
    for dead in renewed? {
        if attendance.inheriting.insert(dead.process) {
            let ctx = Arc::clone(ctx);
            attendance.heirs.spawn(async move {
                if let Err(cause) = take_over(&ctx, dead).await {
                    tracing::error!(%cause, process = %dead.process, "failed to take over from a dead process");
                }
                dead.process
            });
        }
    }
    Ok(())
}

async fn renew(ctx: &Context, attendance: &mut Attendance) -> Result<Vec<Counter>> {
    let line = match &attendance.line {
        Some(line) => line,
        None => attendance.line.insert(ctx.store.heartbeat_connection().await?),
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
            let before = ctx.membership.set_standing(Standing::Listed(id, began));
            if !matches!(before, Standing::Listed(_, renewed) if renewed.elapsed() < HOLDS_FOR) {
                tracing::info!(process = %id, others = others.len(), "listed this process");
                ctx.wakeups.send_all();
            }
            Ok(attendance.peers.saw(&others, began, Instant::now()))
        }
        None => {
            ctx.membership.set_standing(Standing::Missing);
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
    for _ in 0..COME_AGAIN_TIMES {
        if !ctx.store.write(|tx| async move { processes::any_left(&tx, dead.process).await }).await? {
            break;
        }
        sleep(COME_AGAIN).await;
        let now = ctx.now();
        ctx.store.write(|tx| async move { processes::release(&tx, Claims::Of(dead.process), now).await }).await?;
        ctx.wakeups.send_all();
    }
    Ok(())
}

/// Removes this process from the list, and releases its unfinished claims so that others continue at once.
pub async fn leave(ctx: &Context) -> Result<()> {
    let Some(id) = ctx.membership.id() else { return Ok(()) };
    ctx.membership.set_standing(Standing::Missing);
    let now = ctx.now();
    ctx.store.write(|tx| async move { processes::leave(&tx, id, now).await }).await
}
