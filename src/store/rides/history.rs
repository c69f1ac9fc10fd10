//! History of a ride: its timeline, and its events for the platform.

use sea_orm::{ActiveValue::Set, FromQueryResult, QueryOrder as _, entity::prelude::*};

use crate::{
    domain::{
        clock::Time,
        error::Result,
        event::{EventData, EventType},
        ids::{NumberId, PersonId, RideId},
        ride::{CloseReason, Ride, RideEvent, RideEventKind, RideStatus},
    },
    store::{self, Db, Tx, entity::ride_events, lock, query_all, row_limit},
};

/// Records a change to a ride, which has been made. The ride's row must be locked.
pub async fn record(tx: &Tx, ride: &Ride, event: RideEventKind, at: Time) -> Result<()> {
    let entry =
        ride_events::ActiveModel { ride_id: Set(ride.id), event: Set(event), at: Set(at), ..Default::default() };
    entry.insert(tx.conn()).await?;
    store::events::record(tx, event.into(), &EventData::of_ride(ride, event), at).await
}

/// Reads the timeline of a ride, oldest entry first.
pub async fn events(db: &impl Db, id: RideId) -> Result<Vec<RideEvent>> {
    let select = ride_events::Entity::find().filter(ride_events::Column::RideId.eq(id));
    let models = select.order_by_asc(ride_events::Column::Id).all(db.conn()).await?;
    Ok(models.into_iter().map(|model| RideEvent { event: model.event, at: model.at }).collect())
}

/// Records an event for each ride whose contact has closed, deleted rides included, and returns their number, at most
/// about `limit`. The timeline needs no entry, because it derives the end of contact from the clock.
///
/// A ride whose time is up must be completed before.
pub async fn announce_closings(tx: &Tx, now: Time, limit: u64) -> Result<usize> {
    #[derive(FromQueryResult)]
    struct Row {
        id: RideId,
        customer_id: PersonId,
        driver_id: PersonId,
        number_id: NumberId,
        status: RideStatus,
        closed_reason: Option<CloseReason>,
        contact_until: Time,
    }
    let sql = format!(
        "UPDATE rides SET closing_announced = TRUE
        WHERE id IN (SELECT id FROM rides
            WHERE NOT closing_announced AND contact_until <= $1
                AND (status IN ('completed', 'cancelled') OR timeout_at > $1 OR deleted_at IS NOT NULL)
            ORDER BY contact_until LIMIT $2 {})
        RETURNING id, customer_id, driver_id, number_id, status, closed_reason, contact_until",
        lock(tx, "FOR UPDATE SKIP LOCKED")
    );
    let closed: Vec<Row> = query_all(tx, &sql, [now.into(), row_limit(limit)]).await?;
    for ride in &closed {
        let data = EventData {
            ride_id: Some(ride.id),
            customer_id: Some(ride.customer_id),
            driver_id: Some(ride.driver_id),
            number_id: Some(ride.number_id),
            status: Some(ride.status.to_string()),
            reason: ride.closed_reason.map(|reason| reason.to_string()),
            ..EventData::default()
        };
        store::events::record(tx, EventType::RideContactClosed, &data, ride.contact_until).await?;
    }
    Ok(closed.len())
}
