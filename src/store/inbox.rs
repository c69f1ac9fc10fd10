//! The inbox: which provider events were taken already.

use sea_orm::ConnectionTrait as _;

use super::{Db, Tx, statement};
use crate::domain::{clock::Time, error::Result, number::ProviderName, words::words};

words! {
    /// What an event is about; ids are unique within it.
    EventKind {
        /// A text from a phone.
        Text = "text",
        /// A call from a phone.
        Call = "call",
        /// News of a text that we sent.
        Report = "report",
        /// News of a call.
        CallReport = "call_report",
    }
}

/// Takes an event for this transaction. `false`: it was taken before, and that effect is committed. If another
/// transaction is taking it at this moment, this waits for its end.
pub async fn take(tx: &Tx, provider: &ProviderName, kind: EventKind, key: &str, now: Time) -> Result<bool> {
    let sql = "INSERT INTO inbox (provider, kind, event_key, received_at) VALUES ($1, $2, $3, $4)
               ON CONFLICT (provider, kind, event_key) DO NOTHING";
    let values = [provider.as_str().into(), kind.as_str().into(), key.into(), now.into()];
    Ok(tx.conn().execute_raw(statement(tx, sql, values)).await?.rows_affected() > 0)
}

/// Forgets events from before `before`, at most `limit`: no provider repeats them any more.
pub async fn prune(tx: &Tx, before: Time, limit: u64) -> Result<u64> {
    let sql = "DELETE FROM inbox WHERE (provider, kind, event_key) IN
               (SELECT provider, kind, event_key FROM inbox WHERE received_at < $1 ORDER BY received_at LIMIT $2)";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    Ok(tx.conn().execute_raw(statement(tx, sql, [before.into(), limit.into()])).await?.rows_affected())
}
