//! The log of platform events.
//!
//! An event is stored in the transaction of its cause. Its place in the log it gets afterwards, when it is committed: serial
//! ids are not commit order, and who reads on after an id passes over what commits late. Readers go by position, and see only
//! what has one.

use std::sync::atomic::Ordering::Relaxed;

use sea_orm::{ConnectionTrait as _, FromQueryResult, Value};

use super::{Db, Tx, lock, row, statement};
use crate::domain::{
    clock::Time,
    error::{Error, Result},
    event::{EventData, EventType, StoredEvent},
    ids::{EventId, RideId},
    page::{Order, Page, PageRequest},
};

/// Which events to list.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Of one of these types.
    pub types: Option<Vec<EventType>>,
    /// Of this ride.
    pub ride_id: Option<RideId>,
}

#[derive(FromQueryResult)]
struct Row {
    id: i64,
    position: i64,
    kind: String,
    data: String,
    at: Time,
}

impl TryFrom<Row> for StoredEvent {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: EventId(row.id),
            position: row.position,
            kind: row::word(EventType::parse, "type", &row.kind)?,
            at: row.at,
            data: serde_json::from_str(&row.data).map_err(Error::internal)?,
        })
    }
}

const POSITIONED: &str = "SELECT id, position, type AS kind, data, at FROM events WHERE position IS NOT NULL";

/// Stores an event with its cause.
///
/// Events of one ride, text or call keep their order in the log if whoever records them holds the lock of its row: the next
/// one then gets its id only after this one is committed.
pub async fn record(tx: &Tx, kind: EventType, data: &EventData, now: Time) -> Result<()> {
    let sql = "INSERT INTO events (type, ride_id, data, at) VALUES ($1, $2, $3, $4)";
    let json = serde_json::to_string(data).map_err(Error::internal)?;
    let values = [kind.as_str().into(), data.ride_id.map(|id| id.0).into(), json.into(), now.into()];
    tx.conn().execute_raw(statement(tx, sql, values)).await?;
    tx.has_events.store(true, Relaxed);
    Ok(())
}

/// Whether committed events wait for their place.
pub async fn any_unplaced(db: &impl Db) -> Result<bool> {
    let sql = "SELECT 1 AS one FROM events WHERE position IS NULL LIMIT 1";
    Ok(db.conn().query_one_raw(statement(db, sql, [])).await?.is_some())
}

/// Gives up to `limit` events their places, in the order of their ids; answers how many. One transaction at a time does: the
/// others wait for it, and then see what it left.
pub async fn place(tx: &Tx, limit: u64) -> Result<u64> {
    let sql = format!("SELECT last_position FROM event_sequence WHERE id = 1 {}", lock(tx, "FOR UPDATE"));
    tx.conn().query_one_raw(statement(tx, &sql, [])).await?;
    // What is committed is looked for by a statement of its own, which begins once the lock is ours.
    let sql = "UPDATE events
        SET position = (SELECT last_position FROM event_sequence WHERE id = 1) + unpositioned.nth
        FROM (SELECT id, ROW_NUMBER() OVER (ORDER BY id) AS nth
            FROM (SELECT id FROM events WHERE position IS NULL ORDER BY id LIMIT $1) first_ones) unpositioned
        WHERE events.id = unpositioned.id";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let placed = tx.conn().execute_raw(statement(tx, sql, [limit.into()])).await?.rows_affected();
    let sql = "UPDATE event_sequence SET last_position = last_position + $1 WHERE id = 1";
    let count = i64::try_from(placed).map_err(Error::internal)?;
    tx.conn().execute_raw(statement(tx, sql, [count.into()])).await?;
    Ok(placed)
}

/// The last place that was given.
pub async fn last_position(db: &impl Db) -> Result<i64> {
    let sql = "SELECT last_position FROM event_sequence WHERE id = 1";
    let row = db.conn().query_one_raw(statement(db, sql, [])).await?;
    let row = row.ok_or_else(|| Error::internal("the log of events has no end"))?;
    Ok(row.try_get("", "last_position")?)
}

/// Events after this place in the log, of these types or of any, in order; at most `limit`.
pub async fn after(db: &impl Db, position: i64, types: Option<&[EventType]>, limit: u64) -> Result<Vec<StoredEvent>> {
    let filter = EventFilter { types: types.map(<[_]>::to_vec), ride_id: None };
    read(db, &filter, Order::Ascending, Some(position), limit).await
}

/// Events, a page at a time; the page goes by place in the log.
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
    let mut sql = POSITIONED.to_owned();
    let mut values: Vec<Value> = Vec::new();
    let mut bind = |value: Value| {
        values.push(value);
        format!("${}", values.len())
    };
    let (beyond, direction) = match order {
        Order::Ascending => (">", "ASC"),
        Order::Descending => ("<", "DESC"),
    };
    if let Some(after) = after {
        sql += &format!(" AND position {beyond} {}", bind(after.into()));
    }
    if let Some(types) = &filter.types {
        let placeholders: Vec<_> = types.iter().map(|kind| bind(kind.as_str().into())).collect();
        // No type at all is asked for: no event has it.
        let list = if placeholders.is_empty() { "NULL".to_owned() } else { placeholders.join(", ") };
        sql += &format!(" AND type IN ({list})");
    }
    if let Some(ride) = filter.ride_id {
        sql += &format!(" AND ride_id = {}", bind(ride.0.into()));
    }
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    sql += &format!(" ORDER BY position {direction} LIMIT {}", bind(limit.into()));
    let rows = Row::find_by_statement(statement(db, &sql, values)).all(db.conn()).await?;
    rows.into_iter().map(StoredEvent::try_from).collect()
}

/// The event with this id, once it has its place in the log.
pub async fn find(db: &impl Db, id: EventId) -> Result<Option<StoredEvent>> {
    let sql = format!("{POSITIONED} AND id = $1");
    let found = Row::find_by_statement(statement(db, &sql, [id.0.into()])).one(db.conn()).await?;
    found.map(StoredEvent::try_from).transpose()
}

/// Forgets events of before this time that had their place in the log, oldest first, at most `limit`; answers how many.
pub async fn prune(tx: &Tx, before: Time, limit: u64) -> Result<u64> {
    let sql = "DELETE FROM events WHERE id IN
        (SELECT id FROM events WHERE at < $1 AND position IS NOT NULL ORDER BY at LIMIT $2)";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    Ok(tx.conn().execute_raw(statement(tx, sql, [before.into(), limit.into()])).await?.rows_affected())
}
