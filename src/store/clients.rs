//! API clients.

use chrono::Duration;
use sea_orm::{ActiveValue::Set, QuerySelect as _, entity::prelude::*, sea_query::Expr};

use super::{
    Db, Tx,
    entity::clients::{ActiveModel, Column, Entity, Model},
    error::UnknownValue,
    execute,
};
use crate::domain::{
    client::{Client, Credentials, SecretHash},
    clock::Time,
    error::{Error, Result},
    ids::ClientId,
    page::{Page, PageRequest},
    scope::Scopes,
    text::ClientName,
};

/// Client to store. Fields without a comment are those of [`Client`].
pub struct NewClient<'a> {
    pub client_id: &'a str,
    pub name: &'a ClientName,
    pub secret: SecretHash,
    pub scopes: &'a Scopes,
}

fn client(model: Model) -> Result<Client> {
    if model.scopes.is_empty() {
        return Err(UnknownValue::of("scopes").into());
    }
    Ok(Client {
        id: model.id,
        client_id: model.client_id,
        name: model.name,
        scopes: model.scopes,
        secret_version: model.secret_version,
        former_secret_until: model.former_secret_until,
        created_at: model.created_at,
        revoked_at: model.revoked_at,
    })
}

pub async fn find(db: &impl Db, id: ClientId) -> Result<Option<Client>> {
    Entity::find_by_id(id).one(db.conn()).await?.map(client).transpose()
}

/// Finds a client and locks its row until this transaction ends.
pub async fn find_locked(tx: &Tx, id: ClientId) -> Result<Option<Client>> {
    Entity::find_by_id(id).lock_exclusive().one(tx.conn()).await?.map(client).transpose()
}

/// Finds a client by its OAuth client_id, with the hashes of its secrets.
pub async fn by_client_id(db: &impl Db, client_id: &str) -> Result<Option<Credentials>> {
    // PostgreSQL accepts no such text, not even in a query.
    if client_id.contains('\0') {
        return Ok(None);
    }
    let model = Entity::find().filter(Column::ClientId.eq(client_id)).one(db.conn()).await?;
    let Some(model) = model else { return Ok(None) };
    let hash = |bytes: &[u8]| SecretHash::from_stored(bytes).ok_or_else(|| UnknownValue::of("secret_hash"));
    let secret = hash(&model.secret_hash)?;
    let former_secret = model.former_secret_hash.as_deref().map(hash).transpose()?;
    Ok(Some(Credentials { client: client(model)?, secret, former_secret }))
}

pub async fn list(db: &impl Db, page: &PageRequest) -> Result<Page<Client>> {
    let models = super::page(Entity::find(), Column::Id, page).all(db.conn()).await?;
    let clients = models.into_iter().map(client).collect::<Result<Vec<_>>>()?;
    Ok(Page::cut(clients, page, |client| client.id.0))
}

/// Checks whether there is any client.
pub async fn any(db: &impl Db) -> Result<bool> {
    Ok(Entity::find().limit(1).one(db.conn()).await?.is_some())
}

/// Stores a new client, unless there is one with this client_id: replicas that start together create the first client
/// together.
pub async fn insert(tx: &Tx, new: NewClient<'_>, now: Time) -> Result<Client> {
    let sql = "INSERT INTO clients (client_id, name, secret_hash, scopes, created_at) VALUES ($1, $2, $3, $4, $5)
               ON CONFLICT (client_id) DO NOTHING";
    let values = [new.client_id.into(), new.name.into(), new.secret.as_bytes().into(), new.scopes.into(), now.into()];
    execute(tx, sql, values).await?;
    let stored = by_client_id(tx, new.client_id).await?;
    stored.map(|stored| stored.client).ok_or_else(|| Error::internal("a client just stored is not there"))
}

/// Replaces a client's secret. The current one works for another `overlap`, the one before it no longer.
pub async fn rotate(tx: &Tx, id: ClientId, secret: SecretHash, overlap: Duration, now: Time) -> Result<Client> {
    Entity::update_many()
        .col_expr(Column::FormerSecretHash, Expr::col(Column::SecretHash))
        .col_expr(Column::FormerSecretUntil, Expr::value(now + overlap))
        .col_expr(Column::SecretHash, Expr::value(secret.as_bytes().to_vec()))
        .col_expr(Column::SecretVersion, Expr::cust("secret_version + 1"))
        .filter(Column::Id.eq(id))
        .exec(tx.conn())
        .await?;
    find(tx, id).await?.ok_or_else(|| Error::internal("a client under lock is not there"))
}

/// Deletes the hashes of former secrets that no longer work.
pub async fn prune_secrets(tx: &Tx, now: Time) -> Result<()> {
    Entity::update_many()
        .set(ActiveModel { former_secret_hash: Set(None), former_secret_until: Set(None), ..Default::default() })
        .filter(Column::FormerSecretUntil.lte(now))
        .exec(tx.conn())
        .await?;
    Ok(())
}

/// Revokes a client, unless it is revoked already.
pub async fn revoke(tx: &Tx, id: ClientId, now: Time) -> Result<()> {
    Entity::update_many()
        .col_expr(Column::RevokedAt, Expr::value(now))
        .filter(Column::Id.eq(id))
        .filter(Column::RevokedAt.is_null())
        .exec(tx.conn())
        .await?;
    Ok(())
}
