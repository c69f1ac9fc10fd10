//! Timeline of a ride: its texts, its calls and its events.

use super::Context;
use crate::{
    domain::{
        call::Call,
        clock::Time,
        error::{Error, Result},
        ids::RideId,
        message::Message,
        ride::{RideEvent, RideEventKind},
    },
    store::{calls, messages, rides},
};

/// Entry of a ride's timeline.
pub enum TimelineItem {
    Message(Message),
    Call(Call),
    Event(RideEvent),
}

impl TimelineItem {
    /// Returns when it happened.
    pub fn at(&self) -> Time {
        match self {
            Self::Message(message) => message.received_at.unwrap_or(message.created_at),
            Self::Call(call) => call.started_at,
            Self::Event(event) => event.at,
        }
    }
}

/// Returns everything that happened on a ride, in order.
pub async fn of_ride(ctx: &Context, id: RideId) -> Result<Vec<TimelineItem>> {
    let ride = rides::find(&ctx.store, id).await?.ok_or(Error::NotFound)?;
    let mut items: Vec<_> = rides::events(&ctx.store, id).await?.into_iter().map(TimelineItem::Event).collect();
    if !ride.contact_open(ctx.now()) {
        // No record says so: contact closes by the clock.
        let closed = RideEvent { event: RideEventKind::ContactClosed, at: ride.contact_until };
        items.push(TimelineItem::Event(closed));
    }
    items.extend(messages::of_ride(&ctx.store, id).await?.into_iter().map(TimelineItem::Message));
    items.extend(calls::of_ride(&ctx.store, id).await?.into_iter().map(TimelineItem::Call));
    items.sort_by_key(TimelineItem::at);
    Ok(items)
}
