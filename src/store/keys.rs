//! Proof that the configured keys are those with which this database was sealed, and resealing with a new key.

use sea_orm::FromQueryResult;

use super::{Db as _, Store, Tx, execute, query_all, vault::Purpose};
use crate::domain::error::{Error, Result};

/// Text that every data key has sealed.
const PROOF: &[u8] = b"maskline";
/// Name of the index key's proof. Proofs of data keys are named `data:<id>`.
const INDEX: &str = "index";

/// Reason why the configured keys do not fit the database.
#[derive(Debug, thiserror::Error)]
pub enum KeyMismatch {
    /// `INDEX_KEY` has changed.
    #[error("INDEX_KEY is not the key this database was made with: no phone would be found")]
    Index,
    /// A data key has the ID of a different one.
    #[error("DATA_KEY has another key under the id {0:?} than the one this database was sealed with")]
    Data(String),
    /// A data key is missing.
    #[error("DATA_KEY lacks the key {0:?}: keep it behind the new one until `maskline rekey` has run")]
    Missing(String),
}

#[derive(FromQueryResult)]
struct Check {
    name: String,
    value: Vec<u8>,
}

/// Compares the keys with their proofs, and stores a proof of the key that seals. A key that only opens gets none:
/// after a resealing it may be removed, and its proof would demand it.
pub async fn check(tx: &Tx) -> Result<()> {
    let checks: Vec<Check> = query_all(tx, "SELECT name, value FROM key_checks", []).await?;
    let kept = |name: &str| checks.iter().find(|check| check.name == name).map(|check| &check.value);

    let index = tx.vault().digest("key-check", PROOF);
    match kept(INDEX) {
        Some(value) if *value != index => return Err(Error::internal(KeyMismatch::Index)),
        Some(_) => {}
        None => remember(tx, INDEX, index).await?,
    }
    let ids: Vec<String> = tx.vault().key_ids().map(str::to_owned).collect();
    for id in &ids {
        let name = format!("data:{id}");
        match kept(&name) {
            Some(value) => match tx.vault().open(Purpose::KeyCheck, value) {
                Ok(proof) if proof == PROOF => {}
                _ => return Err(Error::internal(KeyMismatch::Data(id.clone()))),
            },
            None if tx.vault().key_ids().next() == Some(id) => {
                let value = tx.vault().seal(Purpose::KeyCheck, PROOF)?;
                remember(tx, &name, value).await?;
            }
            None => {}
        }
    }
    let used = checks.iter().filter_map(|check| check.name.strip_prefix("data:"));
    match used.into_iter().find(|used| !ids.iter().any(|id| id == used)) {
        Some(missing) => Err(Error::internal(KeyMismatch::Missing(missing.to_owned()))),
        None => Ok(()),
    }
}

async fn remember(tx: &Tx, name: &str, value: Vec<u8>) -> Result<()> {
    let sql = "INSERT INTO key_checks (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
    execute(tx, sql, [name.into(), value.into()]).await?;
    Ok(())
}

/// Sealed columns.
const SEALED: [(&str, &str, Purpose); 9] = [
    ("people", "phone_sealed", Purpose::Phone),
    ("messages", "body_sealed", Purpose::Text),
    ("messages", "media_sealed", Purpose::Text),
    ("messages", "phone_sealed", Purpose::Phone),
    ("simulator_screens", "number_sealed", Purpose::Phone),
    ("simulator_screens", "body_sealed", Purpose::Text),
    ("idempotency_keys", "response_sealed", Purpose::Answer),
    ("event_endpoints", "secret_sealed", Purpose::Secret),
    ("event_endpoints", "former_secret_sealed", Purpose::Secret),
];

/// Reseals everything with the first data key, one batch per transaction, and returns the number of values that it
/// resealed. Then deletes the proofs of the other keys, so that they can be removed from the configuration. The service
/// may run meanwhile, provided that every replica seals with the new key.
pub async fn rekey(store: &Store) -> Result<u64> {
    let mut resealed = 0;
    for (table, column, purpose) in SEALED {
        let mut after = 0;
        while let Some((last, count)) =
            store.write(|tx| async move { batch(&tx, table, column, purpose, after).await }).await?
        {
            after = last;
            resealed += count;
        }
    }
    store
        .write(|tx| async move {
            let current = tx.vault().key_ids().next().map(|id| format!("data:{id}")).unwrap_or_default();
            let sql = "DELETE FROM key_checks WHERE name LIKE 'data:%' AND name <> $1";
            execute(&tx, sql, [current.into()]).await.map(drop)
        })
        .await?;
    Ok(resealed)
}

async fn batch(tx: &Tx, table: &str, column: &str, purpose: Purpose, after: i64) -> Result<Option<(i64, u64)>> {
    #[derive(FromQueryResult)]
    struct Row {
        id: i64,
        sealed: Vec<u8>,
    }
    let sql = format!(
        "SELECT id, {column} AS sealed FROM {table} WHERE id > $1 AND {column} IS NOT NULL ORDER BY id LIMIT 500 {}",
        super::lock(tx, "FOR UPDATE")
    );
    let rows: Vec<Row> = query_all(tx, &sql, [after.into()]).await?;
    let Some(last) = rows.last().map(|row| row.id) else { return Ok(None) };
    let mut count = 0;
    for row in rows.iter().filter(|row| !tx.vault().is_current(&row.sealed)) {
        let plain = tx.vault().open(purpose, &row.sealed)?;
        let sealed = tx.vault().seal(purpose, &plain)?;
        let sql = format!("UPDATE {table} SET {column} = $2 WHERE id = $1");
        execute(tx, &sql, [row.id.into(), sealed.into()]).await?;
        count += 1;
    }
    Ok(Some((last, count)))
}
