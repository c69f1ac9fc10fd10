//! Tables whose rows are deleted some time after they were written.

use super::{Tx, execute, row_limit};
use crate::domain::{clock::Time, error::Result};

/// Table with rows that expire.
pub struct Expiring {
    table: &'static str,
    /// Columns of the primary key.
    key: &'static str,
    /// Column that says how old a row is. It has an index.
    time: &'static str,
    /// Condition on the time `$1` under which a row may go.
    is_expired: &'static str,
}

/// By the end of the cool-down.
pub const BINDINGS: Expiring =
    Expiring { table: "bindings", key: "id", time: "barred_until", is_expired: "barred_until <= $1" };
/// By the time until which a provider may repeat the event.
pub const INBOX: Expiring =
    Expiring { table: "inbox", key: "provider, kind, event_key", time: "keep_until", is_expired: "keep_until < $1" };
pub const IDEMPOTENCY_KEYS: Expiring =
    Expiring { table: "idempotency_keys", key: "id", time: "created_at", is_expired: "created_at < $1" };
pub const AUTO_REPLIES: Expiring =
    Expiring { table: "auto_replies", key: "number_id, phone_index", time: "at", is_expired: "at <= $1" };
/// By the end of the hold: no text has waited for the arrival since, because its provider did not repeat it.
pub const ARRIVALS: Expiring =
    Expiring { table: "arrivals", key: "provider, event_key", time: "held_until", is_expired: "held_until < $1" };
pub const COMPARISONS: Expiring =
    Expiring { table: "comparisons", key: "client_id, subject, digest", time: "at", is_expired: "at < $1" };
pub const SIMULATOR_SCREENS: Expiring =
    Expiring { table: "simulator_screens", key: "id", time: "at", is_expired: "at < $1" };
/// Only events that have their position in the log.
pub const EVENTS: Expiring =
    Expiring { table: "events", key: "id", time: "at", is_expired: "at < $1 AND position IS NOT NULL" };
pub const EVENT_ATTEMPTS: Expiring = Expiring { table: "event_attempts", key: "id", time: "at", is_expired: "at < $1" };

/// Deletes up to `limit` rows from before this time, oldest first, and returns their number.
pub async fn prune(tx: &Tx, from: &Expiring, before: Time, limit: u64) -> Result<u64> {
    let Expiring { table, key, time, is_expired } = from;
    let sql = format!(
        "DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE {is_expired} ORDER BY {time} LIMIT $2)"
    );
    execute(tx, &sql, [before.into(), row_limit(limit)]).await
}
