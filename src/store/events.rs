//! The log of platform events.
//!
//! An event is stored in the transaction of its cause and gets its position in the log after the commit. Serial IDs are
//! not in commit order, so a reader that went by ID would miss events that commit late. Readers go by position, and see
//! only events that have one.

use std::sync::atomic::Ordering::Relaxed;

use sea_orm::FromQueryResult;

use super::{Db, Tx, execute, exists, lock, params::Params, query_all, query_one, query_value, row_limit};
use crate::domain::{
    clock::Time,
    error::{Error, Result},
    event::{EventData, EventType, StoredEvent},
    ids::{EventId, RideId},
    page::{Order, Page, PageRequest},
};

/// Events to list. A filter that is `None` matches all.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    pub types: Option<Vec<EventType>>,
    pub ride_id: Option<RideId>,
}

#[derive(FromQueryResult)]
struct Row {
    id: EventId,
    position: i64,
    #[sea_orm(from_alias = "type")]
    kind: EventType,
    data: String,
    at: Time,
}

impl TryFrom<Row> for StoredEvent {
    type Error = Error;

    fn try_from(Row { id, position, kind, data, at }: Row) -> Result<Self> {
        Ok(Self { id, position, kind, at, data: serde_json::from_str(&data).map_err(Error::internal)? })
    }
}

const POSITIONED: &str = "SELECT id, position, type, data, at FROM events WHERE position IS NOT NULL";

/// Stores an event with its cause.
///
/// To keep the events of one ride, text or call in order, record them under the lock of its row: then the next event
/// gets its ID only after this one is committed.
pub async fn record(tx: &Tx, kind: EventType, data: &EventData, now: Time) -> Result<()> {
    let sql = "INSERT INTO events (type, ride_id, data, at) VALUES ($1, $2, $3, $4)";
    let json = serde_json::to_string(data).map_err(Error::internal)?;
    execute(tx, sql, [kind.into(), data.ride_id.into(), json.into(), now.into()]).await?;
    tx.has_events.store(true, Relaxed);
    Ok(())
}

/// Checks whether committed events wait for their position.
pub async fn any_without_position(db: &impl Db) -> Result<bool> {
    exists(db, "SELECT 1 AS one FROM events WHERE position IS NULL LIMIT 1", []).await
}

/// Assigns positions to up to `limit` events, in the order of their IDs, and returns their number. One transaction at a
/// time does this: others wait for it and then see what it left.
pub async fn assign_positions(tx: &Tx, limit: u64) -> Result<u64> {
    let sql = format!("SELECT last_position FROM event_sequence WHERE id = 1 {}", lock(tx, "FOR UPDATE"));
    exists(tx, &sql, []).await?;
    // A separate statement, which begins under the lock and so sees everything that is committed.
    let sql = "UPDATE events
        SET position = (SELECT last_position FROM event_sequence WHERE id = 1) + unpositioned.nth
        FROM (SELECT id, ROW_NUMBER() OVER (ORDER BY id) AS nth
            FROM (SELECT id FROM events WHERE position IS NULL ORDER BY id LIMIT $1) first_ones) unpositioned
        WHERE events.id = unpositioned.id";
    let assigned = execute(tx, sql, [row_limit(limit)]).await?;
    let sql = "UPDATE event_sequence SET last_position = last_position + $1 WHERE id = 1";
    execute(tx, sql, [i64::try_from(assigned).map_err(Error::internal)?.into()]).await?;
    Ok(assigned)
}

/// Returns the last position that was assigned.
pub async fn last_position(db: &impl Db) -> Result<i64> {
    let last = query_value(db, "SELECT last_position FROM event_sequence WHERE id = 1", []).await?;
    last.ok_or_else(|| Error::internal("the row of the event sequence is missing"))
}

/// Reads up to `limit` events of these types, or of any, after this position in the log, in order.
pub async fn after(db: &impl Db, position: i64, types: Option<&[EventType]>, limit: u64) -> Result<Vec<StoredEvent>> {
    let filter = EventFilter { types: types.map(<[_]>::to_vec), ride_id: None };
    read(db, &filter, Order::Ascending, Some(position), limit).await
}

/// Lists a page of events. Pages go by position in the log.
pub async fn list(db: &impl Db, filter: &EventFilter, page: &PageRequest) -> Result<Page<StoredEvent>> {
    let events = read(db, filter, page.order, page.after, page.limit + 1).await?;
    Ok(Page::cut(events, page, |event| event.position))
}

async fn read(
    db: &impl Db,
    filter: &EventFilter,
    order: Order,
    after: Option<i64>,
    limit: u64,
) -> Result<Vec<StoredEvent>> {
    let (mut sql, mut params) = (POSITIONED.to_owned(), Params::new([]));
    let (beyond, direction) = match order {
        Order::Ascending => (">", "ASC"),
        Order::Descending => ("<", "DESC"),
    };
    if let Some(after) = after {
        sql += &format!(" AND position {beyond} {}", params.add(after));
    }
    if let Some(types) = &filter.types {
        sql += &format!(" AND type IN ({})", params.add_list(types));
    }
    if let Some(ride) = filter.ride_id {
        sql += &format!(" AND ride_id = {}", params.add(ride));
    }
    sql += &format!(" ORDER BY position {direction} LIMIT {}", params.add(row_limit(limit)));
    let rows: Vec<Row> = query_all(db, &sql, params).await?;
    rows.into_iter().map(StoredEvent::try_from).collect()
}

/// Finds an event that has its position in the log.
pub async fn find(db: &impl Db, id: EventId) -> Result<Option<StoredEvent>> {
    let found: Option<Row> = query_one(db, &format!("{POSITIONED} AND id = $1"), [id.into()]).await?;
    found.map(StoredEvent::try_from).transpose()
}
