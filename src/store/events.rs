//! The log of platform events.
//!
//! An event is stored in the transaction of its cause. Its place in the log it gets afterwards, when it is committed: serial
//! ids are not commit order.

use sea_orm::ConnectionTrait as _;

use super::{Db as _, Tx, statement};
use crate::domain::{
    clock::Time,
    error::{Error, Result},
    event::{EventData, EventType},
};

/// Stores an event with its cause.
pub async fn record(tx: &Tx, kind: EventType, data: &EventData, now: Time) -> Result<()> {
    let sql = "INSERT INTO events (type, ride_id, data, at) VALUES ($1, $2, $3, $4)";
    let json = serde_json::to_string(data).map_err(Error::internal)?;
    let values = [kind.as_str().into(), data.ride_id.map(|id| id.0).into(), json.into(), now.into()];
    tx.conn().execute_raw(statement(tx, sql, values)).await?;
    Ok(())
}
