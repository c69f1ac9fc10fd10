//! The log of platform events. Use cases record events with their causes; this module assigns their positions in the
//! log, and reads them.

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

/// Maximum number of events that get their positions at once.
const BATCH: u64 = 1000;

/// Assigns log positions to committed events, at most one batch. Returns how many. Replicas that try at the same time
/// take turns.
pub async fn place_events(ctx: &Context) -> Result<usize> {
    // This check takes no lock, and usually finds nothing.
    if !events::any_without_position(&ctx.store).await? {
        return Ok(0);
    }
    let placed = ctx.store.write(|tx| async move { events::assign_positions(&tx, BATCH).await }).await?;
    if placed > 0 {
        ctx.wakeups.events.send();
    }
    usize::try_from(placed).map_err(Error::internal)
}

/// Lists events that have a position in the log, by position.
pub async fn list(ctx: &Context, filter: &EventFilter, page: &PageRequest) -> Result<Page<StoredEvent>> {
    events::list(&ctx.store, filter, page).await
}

pub async fn find(ctx: &Context, id: EventId) -> Result<StoredEvent> {
    events::find(&ctx.store, id).await?.ok_or(Error::NotFound)
}
