//! API clients.

use chrono::Duration;
use sea_orm::{ConnectionTrait as _, QuerySelect as _, entity::prelude::*, sea_query::Expr};

use super::{
    Db, Tx,
    entity::clients::{Column, Entity, Model},
    error::UnknownValue,
    statement,
};
use crate::domain::{
    client::{Client, Credentials, SecretHash},
    clock::Time,
    error::{Error, Result},
    ids::ClientId,
    page::{Page, PageRequest},
    scope::{Scope, Scopes},
    text::ClientName,
};

/// A client to be stored.
pub struct NewClient<'a> {
    /// What it signs in with.
    pub client_id: &'a str,
    /// What operators call it.
    pub name: &'a ClientName,
    /// Hash of its secret.
    pub secret: SecretHash,
    /// The most it may ask for.
    pub scopes: &'a Scopes,
}

fn client(model: Model) -> Result<Client> {
    // A right that this build does not know (after going back a version) is left out rather than refused.
    let scopes: Scopes = model.scopes.split(' ').filter_map(Scope::parse).collect();
    if scopes.is_empty() {
        return Err(UnknownValue("scopes").into());
    }
    Ok(Client {
        id: ClientId(model.id),
        client_id: model.client_id,
        name: ClientName::from_stored(model.name),
        scopes,
        secret_version: model.secret_version,
        former_secret_until: model.former_secret_until,
        created_at: model.created_at,
        revoked_at: model.revoked_at,
    })
}

/// The client with this row id.
pub async fn find(db: &impl Db, id: ClientId) -> Result<Option<Client>> {
    Entity::find_by_id(id.0).one(db.conn()).await?.map(client).transpose()
}

fn credentials(model: Model) -> Result<Credentials> {
    let hash = |bytes: &[u8]| SecretHash::from_stored(bytes).ok_or(UnknownValue("secret_hash"));
    let secret = hash(&model.secret_hash)?;
    let former_secret = model.former_secret_hash.as_deref().map(hash).transpose()?;
    Ok(Credentials { client: client(model)?, secret, former_secret })
}

/// The client that signs in with this id, with the hashes of its secrets.
pub async fn by_client_id(db: &impl Db, client_id: &str) -> Result<Option<Credentials>> {
    // PostgreSQL cannot even be asked for such a text.
    if client_id.contains('\0') {
        return Ok(None);
    }
    let model = Entity::find().filter(Column::ClientId.eq(client_id)).one(db.conn()).await?;
    model.map(credentials).transpose()
}

/// Clients, a page at a time.
pub async fn list(db: &impl Db, page: &PageRequest) -> Result<Page<Client>> {
    let models = super::page(Entity::find(), Column::Id, page).all(db.conn()).await?;
    let clients = models.into_iter().map(client).collect::<Result<Vec<_>>>()?;
    Ok(Page::cut(clients, page, |client| client.id.0))
}

/// There is at least one client.
pub async fn any(db: &impl Db) -> Result<bool> {
    Ok(Entity::find().limit(1).one(db.conn()).await?.is_some())
}

/// Stores a new client, unless one signs in with this id: replicas that start together make the first one together.
pub async fn insert(tx: &Tx, new: NewClient<'_>, now: Time) -> Result<Client> {
    let sql = "INSERT INTO clients (client_id, name, secret_hash, scopes, created_at) VALUES ($1, $2, $3, $4, $5)
               ON CONFLICT (client_id) DO NOTHING";
    let values = [
        new.client_id.into(),
        new.name.as_str().into(),
        new.secret.as_bytes().into(),
        new.scopes.to_string().into(),
        now.into(),
    ];
    tx.conn().execute_raw(statement(tx, sql, values)).await?;
    let stored = by_client_id(tx, new.client_id).await?;
    stored.map(|stored| stored.client).ok_or_else(|| Error::internal("a client just stored is not there"))
}

/// The client with this row id; nobody else changes it until this transaction ends.
pub async fn find_locked(tx: &Tx, id: ClientId) -> Result<Option<Client>> {
    Entity::find_by_id(id.0).lock_exclusive().one(tx.conn()).await?.map(client).transpose()
}

/// Gives a client another secret. The current one works for `overlap` more; the one before it no longer.
pub async fn rotate(tx: &Tx, id: ClientId, secret: SecretHash, overlap: Duration, now: Time) -> Result<Client> {
    Entity::update_many()
        .col_expr(Column::FormerSecretHash, Expr::col(Column::SecretHash))
        .col_expr(Column::FormerSecretUntil, Expr::value(now + overlap))
        .col_expr(Column::SecretHash, Expr::value(secret.as_bytes().to_vec()))
        .col_expr(Column::SecretVersion, Expr::cust("secret_version + 1"))
        .filter(Column::Id.eq(id.0))
        .exec(tx.conn())
        .await?;
    find(tx, id).await?.ok_or_else(|| Error::internal("a client under lock is not there"))
}

/// Forgets the hashes of secrets that work no longer.
pub async fn prune_secrets(tx: &Tx, now: Time) -> Result<()> {
    Entity::update_many()
        .col_expr(Column::FormerSecretHash, Expr::value(None::<Vec<u8>>))
        .col_expr(Column::FormerSecretUntil, Expr::value(None::<Time>))
        .filter(Column::FormerSecretUntil.lte(now))
        .exec(tx.conn())
        .await?;
    Ok(())
}

/// Revokes a client, once.
pub async fn revoke(tx: &Tx, id: ClientId, now: Time) -> Result<()> {
    Entity::update_many()
        .col_expr(Column::RevokedAt, Expr::value(now))
        .filter(Column::Id.eq(id.0))
        .filter(Column::RevokedAt.is_null())
        .exec(tx.conn())
        .await?;
    Ok(())
}
