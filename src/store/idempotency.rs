//! Responses kept for repeated requests.
//!
//! The key is taken in the transaction of the effect. So a concurrent repeat waits until that ends, and a failed
//! request leaves no key behind.

use sea_orm::FromQueryResult;

use super::{Db as _, Tx, execute, query_one, vault::Purpose};
use crate::domain::{
    clock::Time,
    error::{Error, Result},
    ids::ClientId,
};

/// Identity of a request.
#[derive(Clone)]
pub struct RequestKey {
    pub client: ClientId,
    pub operation: &'static str,
    /// The client's `Idempotency-Key`.
    pub key: String,
    /// Keyed fingerprint of the body.
    pub fingerprint: Vec<u8>,
}

/// State of a key when a request reserves it.
pub enum KeyState {
    /// The key belongs to this request, and to no other one unless this transaction fails.
    New,
    /// The same request was answered before, with this response.
    Answered(Vec<u8>),
    /// The key was used for a different request.
    Conflicting,
}

pub async fn reserve(tx: &Tx, key: &RequestKey, now: Time) -> Result<KeyState> {
    #[derive(FromQueryResult)]
    struct Row {
        fingerprint: Vec<u8>,
        response_sealed: Option<Vec<u8>>,
    }
    let sql = "INSERT INTO idempotency_keys (client_id, operation, idempotency_key, fingerprint, created_at)
               VALUES ($1, $2, $3, $4, $5) ON CONFLICT (client_id, operation, idempotency_key) DO NOTHING";
    let id = || [key.client.into(), key.operation.into(), key.key.as_str().into()];
    if execute(tx, sql, id().into_iter().chain([key.fingerprint.clone().into(), now.into()])).await? > 0 {
        return Ok(KeyState::New);
    }
    let sql = "SELECT fingerprint, response_sealed FROM idempotency_keys
               WHERE client_id = $1 AND operation = $2 AND idempotency_key = $3";
    let row: Option<Row> = query_one(tx, sql, id()).await?;
    let row = row.ok_or_else(|| Error::internal("an idempotency key vanished"))?;
    match row.response_sealed {
        _ if row.fingerprint != key.fingerprint => Ok(KeyState::Conflicting),
        Some(sealed) => Ok(KeyState::Answered(tx.vault().open(Purpose::Answer, &sealed)?)),
        None => Err(Error::internal("an idempotency key has no answer")),
    }
}

/// Stores the response with the key.
pub async fn keep(tx: &Tx, key: &RequestKey, snapshot: &[u8]) -> Result<()> {
    let sealed = tx.vault().seal(Purpose::Answer, snapshot)?;
    let sql = "UPDATE idempotency_keys SET response_sealed = $4
               WHERE client_id = $1 AND operation = $2 AND idempotency_key = $3";
    execute(tx, sql, [key.client.into(), key.operation.into(), key.key.as_str().into(), sealed.into()]).await?;
    Ok(())
}
