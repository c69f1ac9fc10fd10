//! API clients.

use sea_orm::{ConnectionTrait as _, QuerySelect as _, entity::prelude::*, sea_query::Expr};

use super::{
    Db, Tx,
    entity::clients::{Column, Entity, Model},
    error::UnknownValue,
    statement,
};
use crate::domain::{
    client::Client,
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
    /// Argon2id hash of its secret.
    pub secret_hash: &'a str,
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
        created_at: model.created_at,
        revoked_at: model.revoked_at,
    })
}

/// The client with this row id.
pub async fn find(db: &impl Db, id: ClientId) -> Result<Option<Client>> {
    Entity::find_by_id(id.0).one(db.conn()).await?.map(client).transpose()
}

/// The client that signs in with this id, and the hash of its secret.
pub async fn by_client_id(db: &impl Db, client_id: &str) -> Result<Option<(Client, String)>> {
    // PostgreSQL cannot even be asked for such a text.
    if client_id.contains('\0') {
        return Ok(None);
    }
    let model = Entity::find().filter(Column::ClientId.eq(client_id)).one(db.conn()).await?;
    model.map(|model| Ok((client(model.clone())?, model.secret_hash))).transpose()
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
        new.secret_hash.into(),
        new.scopes.to_string().into(),
        now.into(),
    ];
    tx.conn().execute_raw(statement(tx, sql, values)).await?;
    let stored = by_client_id(tx, new.client_id).await?;
    stored.map(|(client, _)| client).ok_or_else(|| Error::internal("a client just stored is not there"))
}

/// Replaces a client's secret; `false` if it is unknown or revoked.
pub async fn set_secret(tx: &Tx, id: ClientId, secret_hash: &str) -> Result<bool> {
    let done = Entity::update_many()
        .col_expr(Column::SecretHash, Expr::value(secret_hash))
        .filter(Column::Id.eq(id.0))
        .filter(Column::RevokedAt.is_null())
        .exec(tx.conn())
        .await?;
    Ok(done.rows_affected > 0)
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
