//! Event endpoints and their secrets. Deliveries to them are in [`deliveries`](super::deliveries).

use std::collections::HashMap;

use chrono::Duration;
use sea_orm::{
    ActiveValue::Set, FromQueryResult, PaginatorTrait as _, QuerySelect as _, entity::prelude::*, sea_query::Expr,
};

use super::{
    Db, Tx,
    columns::EventTypes,
    entity::{
        clients,
        event_endpoints::{ActiveModel, Column, Entity, Model},
    },
    error::UnknownValue,
    events, query_one,
    vault::Purpose,
};
use crate::domain::{
    clock::Time,
    endpoint::{EndpointOwner, EndpointStatus, EventEndpoint, NewEndpoint},
    error::{Error, Result},
    event::EventType,
    ids::{ClientId, EndpointId},
    page::{Page, PageRequest},
    scope::{Scope, Scopes},
    signature::WebhookSecret,
    target::TargetUrl,
};

/// Returns the event types of an endpoint; `None` for all. Fails if this build knows none of those that are stored.
pub(super) fn types(stored: Option<EventTypes>) -> Result<Option<Vec<EventType>>> {
    match stored {
        Some(EventTypes(types)) if types.is_empty() => Err(UnknownValue::of("types").into()),
        stored => Ok(stored.map(|EventTypes(types)| types)),
    }
}

/// Checks whether a client may read texts.
fn reads_texts(scopes: &Scopes, revoked_at: Option<Time>) -> bool {
    revoked_at.is_none() && scopes.has(Scope::MessagesRead)
}

/// Reads the owners of these endpoints.
async fn owners(db: &impl Db, models: &[Model]) -> Result<HashMap<ClientId, EndpointOwner>> {
    let ids: Vec<_> = models.iter().filter_map(|model| model.client_id).collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let clients = clients::Entity::find().filter(clients::Column::Id.is_in(ids)).all(db.conn()).await?;
    let owner = |client: clients::Model| {
        let reads_texts = reads_texts(&client.scopes, client.revoked_at);
        (client.id, EndpointOwner { id: client.id, client_id: client.client_id, reads_texts })
    };
    Ok(clients.into_iter().map(owner).collect())
}

/// Adds what is stored elsewhere: the owners of endpoints, and how far they are behind the log.
async fn whole(db: &impl Db, models: Vec<Model>) -> Result<Vec<EventEndpoint>> {
    let (owners, last_position) = (owners(db, &models).await?, events::last_position(db).await?);
    models.into_iter().map(|model| endpoint(model, &owners, last_position)).collect()
}

fn endpoint(model: Model, owners: &HashMap<ClientId, EndpointOwner>, last_position: i64) -> Result<EventEndpoint> {
    Ok(EventEndpoint {
        id: model.id,
        owner: model.client_id.and_then(|id| owners.get(&id).cloned()),
        url: model.url,
        description: model.description,
        types: types(model.types)?,
        include_text: model.include_text,
        status: model.status,
        disabled_reason: model.disabled_reason,
        failing_since: model.failing_since,
        behind: (last_position - model.position).max(0),
        former_secret_until: model.former_secret_until,
        version: model.version,
        created_at: model.created_at,
        updated_at: model.updated_at,
    })
}

pub async fn find(db: &impl Db, id: EndpointId) -> Result<Option<EventEndpoint>> {
    let model = Entity::find_by_id(id).one(db.conn()).await?;
    Ok(whole(db, model.into_iter().collect()).await?.pop())
}

/// Finds an endpoint and locks its row until this transaction ends.
pub async fn find_locked(tx: &Tx, id: EndpointId) -> Result<Option<EventEndpoint>> {
    let model = Entity::find_by_id(id).lock_exclusive().one(tx.conn()).await?;
    Ok(whole(tx, model.into_iter().collect()).await?.pop())
}

/// Reads an endpoint that must exist: this transaction stored or locked it.
async fn reload(tx: &Tx, id: EndpointId) -> Result<EventEndpoint> {
    find(tx, id).await?.ok_or_else(|| Error::internal("an endpoint of this transaction is not there"))
}

pub async fn list(db: &impl Db, page: &PageRequest) -> Result<Page<EventEndpoint>> {
    let models = super::page(Entity::find(), Column::Id, page).all(db.conn()).await?;
    Ok(Page::cut(whole(db, models).await?, page, |endpoint| endpoint.id.0))
}

pub async fn count(db: &impl Db) -> Result<u64> {
    Ok(Entity::find().count(db.conn()).await?)
}

/// Checks whether texts may be posted to an endpoint now: it asks for them, and its client may read them.
pub async fn may_post_texts(db: &impl Db, id: EndpointId) -> Result<bool> {
    #[derive(FromQueryResult)]
    struct Row {
        scopes: Scopes,
        revoked_at: Option<Time>,
    }
    let sql = "SELECT c.scopes AS scopes, c.revoked_at AS revoked_at
        FROM event_endpoints e JOIN clients c ON c.id = e.client_id WHERE e.id = $1 AND e.include_text";
    let row: Option<Row> = query_one(db, sql, [id.into()]).await?;
    Ok(row.is_some_and(|row| reads_texts(&row.scopes, row.revoked_at)))
}

/// Stores a new endpoint of this client. It starts at the current end of the log.
pub async fn insert(
    tx: &Tx,
    owner: ClientId,
    new: &NewEndpoint,
    secret: &WebhookSecret,
    now: Time,
) -> Result<EventEndpoint> {
    let model = ActiveModel {
        client_id: Set(Some(owner)),
        url: Set(new.url.clone()),
        description: Set(new.description.clone()),
        types: Set(new.types.clone().map(EventTypes)),
        include_text: Set(new.include_text),
        status: Set(EndpointStatus::Enabled),
        secret_sealed: Set(tx.vault().seal(Purpose::Secret, secret.expose())?),
        position: Set(events::last_position(tx).await?),
        failures: Set(0),
        is_slow: Set(false),
        due_at: Set(now),
        claim_number: Set(0),
        version: Set(1),
        created_at: Set(now),
        updated_at: Set(now),
        ..Default::default()
    };
    let stored = model.insert(tx.conn()).await?;
    reload(tx, stored.id).await
}

/// Transfers an endpoint to this client, with or without texts, under the next version.
pub async fn adopt(tx: &Tx, id: EndpointId, owner: ClientId, include_text: bool, now: Time) -> Result<EventEndpoint> {
    let adopted = ActiveModel {
        client_id: Set(Some(owner)),
        include_text: Set(include_text),
        updated_at: Set(now),
        ..Default::default()
    };
    Entity::update_many()
        .set(adopted)
        .col_expr(Column::Version, Expr::cust("version + 1"))
        .filter(Column::Id.eq(id))
        .exec(tx.conn())
        .await?;
    reload(tx, id).await
}

/// Stores the editable fields under the next version. With `afresh`, past failures are forgotten, the endpoint is due
/// at once, and the process that has claimed it loses its claim.
pub async fn update(tx: &Tx, after: &EventEndpoint, afresh: bool, now: Time) -> Result<EventEndpoint> {
    let mut changes = ActiveModel {
        url: Set(after.url.clone()),
        description: Set(after.description.clone()),
        types: Set(after.types.clone().map(EventTypes)),
        include_text: Set(after.include_text),
        status: Set(after.status),
        disabled_reason: Set(after.disabled_reason),
        updated_at: Set(now),
        ..Default::default()
    };
    let mut update = Entity::update_many().col_expr(Column::Version, Expr::cust("version + 1"));
    if afresh {
        changes = ActiveModel {
            failures: Set(0),
            failing_since: Set(None),
            is_slow: Set(false),
            due_at: Set(now),
            claimed_by: Set(None),
            ..changes
        };
        update = update.col_expr(Column::ClaimNumber, Expr::cust("claim_number + 1"));
    }
    update.set(changes).filter(Column::Id.eq(after.id)).exec(tx.conn()).await?;
    reload(tx, after.id).await
}

/// Replaces an endpoint's secret. The current one signs too for another `overlap`, the one before it no longer. `None`
/// if there is no such endpoint.
pub async fn rotate(
    tx: &Tx,
    id: EndpointId,
    secret: &WebhookSecret,
    overlap: Duration,
    now: Time,
) -> Result<Option<EventEndpoint>> {
    let Some(model) = Entity::find_by_id(id).lock_exclusive().one(tx.conn()).await? else { return Ok(None) };
    let rotated = ActiveModel {
        id: Set(model.id),
        secret_sealed: Set(tx.vault().seal(Purpose::Secret, secret.expose())?),
        former_secret_sealed: Set(Some(model.secret_sealed)),
        former_secret_until: Set(Some(now + overlap)),
        ..Default::default()
    };
    rotated.update(tx.conn()).await?;
    find(tx, id).await
}

/// Opens the secrets that sign for an endpoint now: the current one, and the former one until it expires.
pub(super) fn secrets(db: &impl Db, model: Model, now: Time) -> Result<Vec<WebhookSecret>> {
    let former = model.former_secret_sealed.filter(|_| model.former_secret_until.is_some_and(|until| until > now));
    let open = |sealed: Vec<u8>| Ok(WebhookSecret::from_bytes(db.vault().open(Purpose::Secret, &sealed)?));
    std::iter::once(model.secret_sealed).chain(former).map(open).collect()
}

/// Reads the URL of an endpoint, and the secrets that sign for it now.
pub async fn signing(db: &impl Db, id: EndpointId, now: Time) -> Result<Option<(TargetUrl, Vec<WebhookSecret>)>> {
    let Some(model) = Entity::find_by_id(id).one(db.conn()).await? else { return Ok(None) };
    Ok(Some((model.url.clone(), secrets(db, model, now)?)))
}

/// Deletes former secrets that no longer sign.
pub async fn prune_secrets(tx: &Tx, now: Time) -> Result<()> {
    Entity::update_many()
        .set(ActiveModel { former_secret_sealed: Set(None), former_secret_until: Set(None), ..Default::default() })
        .filter(Column::FormerSecretUntil.lte(now))
        .exec(tx.conn())
        .await?;
    Ok(())
}

/// Deletes an endpoint with its retries.
pub async fn delete(tx: &Tx, id: EndpointId) -> Result<()> {
    Entity::delete_by_id(id).exec(tx.conn()).await?;
    Ok(())
}
