//! Membership of this process: it renews its row, and takes over from processes that are dead.

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
        processes::{self, Claims, Holder, Line},
    },
};

/// A renewal that takes longer has failed; there is time for another before claims are given up.
const RENEWED_WITHIN: Duration = Duration::from_millis(1500);
/// What a dead process has locked is asked for again this often, and for about as long as its last transaction can last.
const COME_AGAIN: Duration = Duration::from_secs(1);
const COME_AGAIN_TIMES: usize = 30;

/// How this process attends to its row and to the others.
#[derive(Default)]
pub struct Attendance {
    line: Option<Line>,
    peers: Peers,
    /// Dead processes from which it takes over now.
    heirs: JoinSet<ProcessId>,
    inheriting: BTreeSet<ProcessId>,
}

/// Makes this process the only one that serves its database, as far as claims go.
pub async fn serve_alone(ctx: &Context) -> Result<()> {
    let (id, now) = (ProcessId(chance::number()), ctx.now());
    ctx.store.write(|tx| async move { processes::register_alone(&tx, id, now).await }).await?;
    ctx.membership.become_(Standing::Alone(id));
    Ok(())
}

/// From now on this process claims only while it is listed among those that serve its database; `false` if that can have
/// only one.
pub fn expect_peers(ctx: &Context) -> bool {
    let has_peers = store::has_peers(&ctx.store);
    if has_peers {
        ctx.membership.become_(Standing::Missing);
    }
    has_peers
}

/// Works as long as a claim holds; `None` if it was lost first, and the work was broken off.
pub async fn while_held<T>(ctx: &Context, holder: Holder, work: impl Future<Output = T>) -> Option<T> {
    ctx.membership.while_held(holder, work).await
}

/// Renews the row of this process, or makes it, and takes over from those that are dead.
pub async fn attend(ctx: &Arc<Context>, attendance: &mut Attendance) -> Result<()> {
    while let Some(done) = attendance.heirs.try_join_next() {
        if let Ok(id) = done {
            attendance.inheriting.remove(&id);
        }
    }
    let late = || Error::Unavailable("the counter of this process was not renewed in time".into());
    let renewed = timeout(RENEWED_WITHIN, renew(ctx, attendance)).await.unwrap_or_else(|_| Err(late()));
    if renewed.is_err() {
        // Whatever state the connection is in.
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
        None => attendance.line.insert(ctx.store.line().await?),
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
            let before = ctx.membership.become_(Standing::Listed(id, began));
            if !matches!(before, Standing::Listed(_, renewed) if renewed.elapsed() < HOLDS_FOR) {
                tracing::info!(process = %id, others = others.len(), "this process is listed");
                ctx.wakeups.send_all();
            }
            Ok(attendance.peers.saw(&others, began, Instant::now()))
        }
        None => {
            ctx.membership.become_(Standing::Missing);
            tracing::warn!(process = %id, "others took this process for dead: it is listed again under another id");
            Ok(Vec::new())
        }
    }
}

async fn take_over(ctx: &Context, dead: Counter) -> Result<()> {
    let now = ctx.now();
    if !ctx.store.write(|tx| async move { processes::take_over(&tx, dead, now).await }).await? {
        return Ok(());
    }
    tracing::warn!(process = %dead.process, "a process is dead: its claims were taken over");
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

/// Takes this process off the list, and releases what it did not finish: whoever is there goes on with it at once.
pub async fn leave(ctx: &Context) -> Result<()> {
    let Some(id) = ctx.membership.id() else { return Ok(()) };
    ctx.membership.become_(Standing::Missing);
    let now = ctx.now();
    ctx.store.write(|tx| async move { processes::leave(&tx, id, now).await }).await
}
