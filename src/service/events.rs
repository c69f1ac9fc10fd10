//! The log of platform events. Events are recorded where their causes are stored; here they get their places, and are read.

use super::Context;
use crate::{
    domain::{
        error::{Error, Result},
        event::StoredEvent,
        ids::EventId,
        page::{Page, PageRequest},
    },
    store::events::{self, EventFilter},
};

/// How many events get their places at once.
const BATCH: u64 = 1000;

/// Gives committed events their places in the log, as many as one round takes; answers how many. Any number of replicas
/// may try at once: one after the other does.
pub async fn place_events(ctx: &Context) -> Result<usize> {
    // A look costs no lock, and as a rule there is nothing.
    if !events::any_unplaced(&ctx.store).await? {
        return Ok(0);
    }
    let placed = ctx.store.write(|tx| async move { events::place(&tx, BATCH).await }).await?;
    if placed > 0 {
        ctx.wakeups.events.send();
    }
    usize::try_from(placed).map_err(Error::internal)
}

/// Events that have their place in the log, a page at a time. The page goes by place.
pub async fn list(ctx: &Context, filter: &EventFilter, page: &PageRequest) -> Result<Page<StoredEvent>> {
    events::list(&ctx.store, filter, page).await
}

/// The event with this id.
pub async fn find(ctx: &Context, id: EventId) -> Result<StoredEvent> {
    events::find(&ctx.store, id).await?.ok_or(Error::NotFound)
}
