//! Whether this process may send, and what it takes over from processes that are dead.
//!
//! A process that serves a PostgreSQL database has a row there, whose counter it renews. As long as it does, its claims are
//! its own, however long an exchange takes. When it cannot, it stops sending before others take its claims over. An embedded
//! database has one process, whose claims end when the next one starts.

use std::{
    collections::BTreeSet,
    future::{Future, poll_fn},
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
    time::{Duration, Instant},
};

use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{Bell, Context, random};
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
/// How often work under way looks whether its claim still holds.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// What a dead process has locked is asked for again this often, and for about as long as its last transaction can last.
const COME_AGAIN: Duration = Duration::from_secs(1);
const COME_AGAIN_TIMES: usize = 30;

/// What this process is to the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Standing {
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

/// What is known of the standing of this process.
#[derive(Default)]
pub(super) struct Presence(Mutex<Standing>);

impl Presence {
    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// In whose name this process claims; `None` if it must not claim now.
    fn holder(&self) -> Option<Holder> {
        match *self.standing() {
            Standing::Unlisted => Some(Holder::Unnamed),
            Standing::Alone(id) => Some(Holder::Process(id)),
            Standing::Listed(id, renewed) if renewed.elapsed() < HOLDS_FOR => Some(Holder::Process(id)),
            Standing::Listed(..) | Standing::Missing => None,
        }
    }

    fn id(&self) -> Option<ProcessId> {
        match *self.standing() {
            Standing::Alone(id) | Standing::Listed(id, _) => Some(id),
            Standing::Unlisted | Standing::Missing => None,
        }
    }
}

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
    let (id, now) = (ProcessId(random::number()), ctx.now());
    ctx.store.write(|tx| async move { processes::register_alone(&tx, id, now).await }).await?;
    *ctx.presence.standing() = Standing::Alone(id);
    Ok(())
}

/// From now on this process claims only while it is listed among those that serve its database; `false` if that can have
/// only one.
pub fn expect_peers(ctx: &Context) -> bool {
    let has_peers = store::has_peers(&ctx.store);
    if has_peers {
        *ctx.presence.standing() = Standing::Missing;
    }
    has_peers
}

/// In whose name this process claims; `None` if it must not claim now.
pub(super) fn holder(ctx: &Context) -> Option<Holder> {
    ctx.presence.holder()
}

/// Whether a claim in this name is still this process's.
pub fn holds(ctx: &Context, holder: Holder) -> bool {
    holder == Holder::Unnamed || ctx.presence.holder() == Some(holder)
}

/// Works as long as a claim holds; `None` if it was lost before the work was done, which is then broken off.
pub async fn while_held<T>(ctx: &Context, holder: Holder, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let mut lost = pin!(async {
        while holds(ctx, holder) {
            sleep(LOOK_EVERY).await;
        }
    });
    poll_fn(|context| {
        // Before anything else: whoever was paused in the middle must not go on.
        if !holds(ctx, holder) || lost.as_mut().poll(context).is_ready() {
            return Poll::Ready(None);
        }
        work.as_mut().poll(context).map(Some)
    })
    .await
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
    let id = match ctx.presence.id() {
        Some(id) => id,
        None => {
            let id = ProcessId(random::number());
            line.register(id, ctx.now()).await?;
            id
        }
    };
    match line.renew(id).await? {
        Some(others) => {
            let before = std::mem::replace(&mut *ctx.presence.standing(), Standing::Listed(id, began));
            if !matches!(before, Standing::Listed(_, renewed) if renewed.elapsed() < HOLDS_FOR) {
                tracing::info!(process = %id, others = others.len(), "this process is listed");
                ring_all(ctx);
            }
            Ok(attendance.peers.saw(&others, began, Instant::now()))
        }
        None => {
            *ctx.presence.standing() = Standing::Missing;
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
    ring_all(ctx);
    for _ in 0..COME_AGAIN_TIMES {
        if !ctx.store.write(|tx| async move { processes::any_left(&tx, dead.process).await }).await? {
            break;
        }
        sleep(COME_AGAIN).await;
        let now = ctx.now();
        ctx.store.write(|tx| async move { processes::release(&tx, Claims::Of(dead.process), now).await }).await?;
        ring_all(ctx);
    }
    Ok(())
}

fn ring_all(ctx: &Context) {
    ctx.owed.ring();
    ctx.event_bell.notify_one();
    ctx.jobs_bell.ring();
}

/// Rings when jobs of a dead process are due.
pub fn jobs_bell(ctx: &Context) -> &Bell {
    &ctx.jobs_bell
}

/// Takes this process off the list, and releases what it did not finish: whoever is there goes on with it at once.
pub async fn leave(ctx: &Context) -> Result<()> {
    let Some(id) = ctx.presence.id() else { return Ok(()) };
    *ctx.presence.standing() = Standing::Missing;
    let now = ctx.now();
    ctx.store.write(|tx| async move { processes::leave(&tx, id, now).await }).await
}
