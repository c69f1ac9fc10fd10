//! Answers kept for repeated requests.
//!
//! The key is taken in the transaction of the effect: a repeat that runs beside it waits for its end, and a failed
//! request leaves no key behind.

use sea_orm::{ConnectionTrait as _, FromQueryResult};

use super::{Db, Tx, statement, vault::Purpose};
use crate::domain::{
    clock::Time,
    error::{Error, Result},
    ids::ClientId,
};

/// What tells one request from another.
#[derive(Clone)]
pub struct RequestKey {
    /// Whose request.
    pub client: ClientId,
    /// Which operation.
    pub operation: &'static str,
    /// The key that the client chose.
    pub key: String,
    /// Keyed fingerprint of the body.
    pub fingerprint: Vec<u8>,
}

/// How a key was found.
pub enum Taken {
    /// It is new, and ours until the transaction ends.
    Fresh,
    /// The same request was answered before; this is the answer.
    Repeated(Vec<u8>),
    /// The key was used for another request.
    Misused,
}

/// Takes a key.
pub async fn take(tx: &Tx, key: &RequestKey, now: Time) -> Result<Taken> {
    #[derive(FromQueryResult)]
    struct Row {
        fingerprint: Vec<u8>,
        response_sealed: Option<Vec<u8>>,
    }
    let sql = "INSERT INTO idempotency_keys (client_id, operation, idempotency_key, fingerprint, created_at)
               VALUES ($1, $2, $3, $4, $5) ON CONFLICT (client_id, operation, idempotency_key) DO NOTHING";
    let id = || [key.client.0.into(), key.operation.into(), key.key.as_str().into()];
    let values = id().into_iter().chain([key.fingerprint.clone().into(), now.into()]);
    if tx.conn().execute_raw(statement(tx, sql, values)).await?.rows_affected() > 0 {
        return Ok(Taken::Fresh);
    }
    let sql = "SELECT fingerprint, response_sealed FROM idempotency_keys
               WHERE client_id = $1 AND operation = $2 AND idempotency_key = $3";
    let row = Row::find_by_statement(statement(tx, sql, id())).one(tx.conn()).await?;
    let row = row.ok_or_else(|| Error::internal("an idempotency key vanished"))?;
    match row.response_sealed {
        _ if row.fingerprint != key.fingerprint => Ok(Taken::Misused),
        Some(sealed) => Ok(Taken::Repeated(tx.vault().open(Purpose::Answer, &sealed)?)),
        None => Err(Error::internal("an idempotency key has no answer")),
    }
}

/// Keeps the answer with the key.
pub async fn keep(tx: &Tx, key: &RequestKey, snapshot: &[u8]) -> Result<()> {
    let sealed = tx.vault().seal(Purpose::Answer, snapshot)?;
    let sql = "UPDATE idempotency_keys SET response_sealed = $4
               WHERE client_id = $1 AND operation = $2 AND idempotency_key = $3";
    let values = [key.client.0.into(), key.operation.into(), key.key.as_str().into(), sealed.into()];
    tx.conn().execute_raw(statement(tx, sql, values)).await?;
    Ok(())
}

/// Forgets keys from before `before`, at most `limit`.
pub async fn prune(tx: &Tx, before: Time, limit: u64) -> Result<u64> {
    let sql = "DELETE FROM idempotency_keys WHERE id IN
               (SELECT id FROM idempotency_keys WHERE created_at < $1 ORDER BY created_at LIMIT $2)";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    Ok(tx.conn().execute_raw(statement(tx, sql, [before.into(), limit.into()])).await?.rows_affected())
}
