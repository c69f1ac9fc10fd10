//! The inbox: which webhook events of providers have taken effect.

use super::{Db, Tx, execute, exists};
use crate::domain::{clock::Time, error::Result, number::ProviderName, string_enum::string_enum};

string_enum! {
    /// Subject of an event. Keys are unique within it.
    EventKind {
        /// Text from a phone.
        Text = "text",
        /// Delivery report of a text that we sent.
        Report = "report",
        /// Report of a call.
        CallReport = "call_report",
    }
}

/// Records that an event takes effect in this transaction, and remembers it until `keep_until`. Returns `false` if it
/// has taken effect before. Waits for another transaction that is recording it.
pub async fn record(tx: &Tx, provider: &ProviderName, kind: EventKind, key: &str, keep_until: Time) -> Result<bool> {
    let sql = "INSERT INTO inbox (provider, kind, event_key, keep_until) VALUES ($1, $2, $3, $4)
               ON CONFLICT (provider, kind, event_key) DO NOTHING";
    Ok(execute(tx, sql, [provider.into(), kind.into(), key.into(), keep_until.into()]).await? > 0)
}

/// Forgets an event that this transaction recorded, because it has had no effect yet.
pub async fn forget(tx: &Tx, provider: &ProviderName, kind: EventKind, key: &str) -> Result<()> {
    let sql = "DELETE FROM inbox WHERE provider = $1 AND kind = $2 AND event_key = $3";
    execute(tx, sql, [provider.into(), kind.into(), key.into()]).await?;
    Ok(())
}

/// Checks whether an event has taken effect.
pub async fn is_recorded(db: &impl Db, provider: &ProviderName, kind: EventKind, key: &str) -> Result<bool> {
    let sql = "SELECT 1 AS one FROM inbox WHERE provider = $1 AND kind = $2 AND event_key = $3";
    exists(db, sql, [provider.into(), kind.into(), key.into()]).await
}
