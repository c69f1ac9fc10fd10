//! The inbox: which provider events were taken already.

use sea_orm::ConnectionTrait as _;

use super::{Db, Tx, statement};
use crate::domain::{clock::Time, error::Result, number::ProviderName, string_enum::string_enum};

string_enum! {
    /// What an event is about; ids are unique within it.
    EventKind {
        /// A text from a phone.
        Text = "text",
        /// News of a text that we sent.
        Report = "report",
        /// News of a call.
        CallReport = "call_report",
    }
}

/// Takes an event for this transaction, and remembers it until `keep_until`. `false`: it was taken before, and that effect
/// is committed. If another transaction is taking it at this moment, this waits for its end.
pub async fn take(
    tx: &Tx,
    provider: &ProviderName,
    kind: EventKind,
    key: &str,
    keep_until: Time,
    now: Time,
) -> Result<bool> {
    let sql = "INSERT INTO inbox (provider, kind, event_key, received_at, keep_until) VALUES ($1, $2, $3, $4, $5)
               ON CONFLICT (provider, kind, event_key) DO NOTHING";
    let values = [provider.as_str().into(), kind.as_str().into(), key.into(), now.into(), keep_until.into()];
    Ok(tx.conn().execute_raw(statement(tx, sql, values)).await?.rows_affected() > 0)
}

/// Gives an event back that this transaction took: it has had no effect yet.
pub async fn give_back(tx: &Tx, provider: &ProviderName, kind: EventKind, key: &str) -> Result<()> {
    let sql = "DELETE FROM inbox WHERE provider = $1 AND kind = $2 AND event_key = $3";
    let values = [provider.as_str().into(), kind.as_str().into(), key.into()];
    tx.conn().execute_raw(statement(tx, sql, values)).await?;
    Ok(())
}

/// Whether an event was taken already.
pub async fn is_taken(db: &impl Db, provider: &ProviderName, kind: EventKind, key: &str) -> Result<bool> {
    let sql = "SELECT 1 AS one FROM inbox WHERE provider = $1 AND kind = $2 AND event_key = $3";
    let values = [provider.as_str().into(), kind.as_str().into(), key.into()];
    Ok(db.conn().query_one_raw(statement(db, sql, values)).await?.is_some())
}

/// Forgets events that need not be remembered any more, at most `limit`. Those that a version before stored say nothing
/// of that: they are forgotten if they are from before `undated_before`.
pub async fn prune(tx: &Tx, now: Time, undated_before: Time, limit: u64) -> Result<u64> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut pruned = 0;
    for (due, before) in [
        ("keep_until IS NOT NULL AND keep_until < $1 ORDER BY keep_until", now),
        ("keep_until IS NULL AND received_at < $1 ORDER BY received_at", undated_before),
    ] {
        let sql = format!(
            "DELETE FROM inbox WHERE (provider, kind, event_key) IN
             (SELECT provider, kind, event_key FROM inbox WHERE {due} LIMIT $2)"
        );
        pruned += tx.conn().execute_raw(statement(tx, &sql, [before.into(), limit.into()])).await?.rows_affected();
    }
    Ok(pruned)
}
