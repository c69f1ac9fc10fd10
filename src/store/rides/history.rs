//! What happened to a ride: for its timeline, and for the platform.

use sea_orm::{ActiveValue::Set, FromQueryResult, QueryOrder as _, entity::prelude::*};

use crate::{
    domain::{
        clock::Time,
        error::Result,
        event::{EventData, EventType},
        ids::{NumberId, PersonId, RideId},
        ride::{Ride, RideEvent, RideEventKind},
    },
    store::{self, Db, Tx, entity::ride_events, lock, row, statement},
};

/// Records what happened to a ride, which is so by now. Its row must be locked.
pub async fn record(tx: &Tx, ride: &Ride, event: RideEventKind, at: Time) -> Result<()> {
    let model = ride_events::ActiveModel {
        ride_id: Set(ride.id.0),
        event: Set(event.as_str().to_owned()),
        at: Set(at),
        ..Default::default()
    };
    model.insert(tx.conn()).await?;
    store::events::record(tx, event.into(), &EventData::of_ride(ride, event), at).await
}

/// What happened to a ride, oldest first.
pub async fn events(db: &impl Db, id: RideId) -> Result<Vec<RideEvent>> {
    let select = ride_events::Entity::find().filter(ride_events::Column::RideId.eq(id.0));
    let models = select.order_by_asc(ride_events::Column::Id).all(db.conn()).await?;
    models
        .into_iter()
        .map(|model| {
            let event = row::word(RideEventKind::parse, "event", &model.event)?;
            Ok(RideEvent { event, at: model.at })
        })
        .collect()
}

/// Tells the platform of rides whose contact has closed, deleted ones included, once each and at most about `limit`; answers
/// how many. The timeline needs no record: it knows by the clock.
///
/// A ride whose time is up is told of as completed first.
pub async fn tell_closings(tx: &Tx, now: Time, limit: u64) -> Result<usize> {
    #[derive(FromQueryResult)]
    struct Row {
        id: i64,
        customer_id: i64,
        driver_id: i64,
        number_id: i64,
        status: String,
        closed_reason: Option<String>,
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
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let values = [now.into(), limit.into()];
    let closed = Row::find_by_statement(statement(tx, &sql, values)).all(tx.conn()).await?;
    for ride in &closed {
        let data = EventData {
            ride_id: Some(RideId(ride.id)),
            customer_id: Some(PersonId(ride.customer_id)),
            driver_id: Some(PersonId(ride.driver_id)),
            number_id: Some(NumberId(ride.number_id)),
            status: Some(ride.status.clone()),
            reason: ride.closed_reason.clone(),
            ..EventData::default()
        };
        store::events::record(tx, EventType::RideContactClosed, &data, ride.contact_until).await?;
    }
    Ok(closed.len())
}
