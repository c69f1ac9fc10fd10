//! Event endpoints: what they are, and their secrets. How they are served is in [`deliveries`](super::deliveries).

use std::collections::HashMap;

use chrono::Duration;
use sea_orm::{
    ActiveValue::Set, FromQueryResult, PaginatorTrait as _, QuerySelect as _, entity::prelude::*, sea_query::Expr,
};

use super::{
    Db, Tx,
    entity::{
        clients,
        event_endpoints::{ActiveModel, Column, Entity, Model},
    },
    error::UnknownValue,
    events, row, statement,
    vault::Purpose,
};
use crate::domain::{
    clock::Time,
    endpoint::{DisabledReason, EndpointOwner, EndpointStatus, EventEndpoint, NewEndpoint},
    error::{Error, Result},
    event::EventType,
    ids::{ClientId, EndpointId},
    page::{Page, PageRequest},
    scope::Scope,
    signature::WebhookSecret,
    target::TargetUrl,
    text::Description,
};

/// The types of an endpoint, as they are stored: words with spaces between them.
pub(super) fn types(stored: Option<&str>) -> Result<Option<Vec<EventType>>> {
    let Some(stored) = stored else { return Ok(None) };
    // A type that this build does not know (after going back a version) is left out rather than refused.
    let types: Vec<_> = stored.split(' ').filter_map(EventType::parse).collect();
    if types.is_empty() { Err(UnknownValue("types").into()) } else { Ok(Some(types)) }
}

fn spell_types(types: Option<&[EventType]>) -> Option<String> {
    types.map(|types| types.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(" "))
}

/// The client is not revoked, and these are its scopes.
fn reads_texts(scopes: &str, revoked_at: Option<Time>) -> bool {
    revoked_at.is_none() && scopes.split(' ').any(|scope| scope == Scope::MessagesRead.as_str())
}

/// The owners of these endpoints, by row id.
async fn owners(db: &impl Db, models: &[Model]) -> Result<HashMap<i64, EndpointOwner>> {
    let ids: Vec<_> = models.iter().filter_map(|model| model.client_id).collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let clients = clients::Entity::find().filter(clients::Column::Id.is_in(ids)).all(db.conn()).await?;
    let owner = |client: clients::Model| {
        let reads_texts = reads_texts(&client.scopes, client.revoked_at);
        (client.id, EndpointOwner { id: ClientId(client.id), client_id: client.client_id, reads_texts })
    };
    Ok(clients.into_iter().map(owner).collect())
}

/// Endpoints with what stands elsewhere: their owners, and the end of the log.
async fn whole(db: &impl Db, models: Vec<Model>) -> Result<Vec<EventEndpoint>> {
    let (owners, last_position) = (owners(db, &models).await?, events::last_position(db).await?);
    models.into_iter().map(|model| endpoint(model, &owners, last_position)).collect()
}

fn endpoint(model: Model, owners: &HashMap<i64, EndpointOwner>, last_position: i64) -> Result<EventEndpoint> {
    let reason = model.disabled_reason.as_deref();
    Ok(EventEndpoint {
        id: EndpointId(model.id),
        owner: model.client_id.and_then(|id| owners.get(&id).cloned()),
        url: TargetUrl::from_stored(model.url),
        description: model.description.map(Description::from_stored),
        types: types(model.types.as_deref())?,
        include_text: model.include_text,
        status: row::word(EndpointStatus::parse, "status", &model.status)?,
        disabled_reason: reason
            .map(|reason| row::word(DisabledReason::parse, "disabled_reason", reason))
            .transpose()?,
        failing_since: model.failing_since,
        behind: (last_position - model.position).max(0),
        former_secret_until: model.former_secret_until,
        version: model.version,
        created_at: model.created_at,
        updated_at: model.updated_at,
    })
}

/// The endpoint with this id.
pub async fn find(db: &impl Db, id: EndpointId) -> Result<Option<EventEndpoint>> {
    let model = Entity::find_by_id(id.0).one(db.conn()).await?;
    Ok(whole(db, model.into_iter().collect()).await?.pop())
}

/// The same; nobody else changes it until this transaction ends.
pub async fn find_locked(tx: &Tx, id: EndpointId) -> Result<Option<EventEndpoint>> {
    let model = Entity::find_by_id(id.0).lock_exclusive().one(tx.conn()).await?;
    Ok(whole(tx, model.into_iter().collect()).await?.pop())
}

/// Endpoints, a page at a time.
pub async fn list(db: &impl Db, page: &PageRequest) -> Result<Page<EventEndpoint>> {
    let models = super::page(Entity::find(), Column::Id, page).all(db.conn()).await?;
    Ok(Page::cut(whole(db, models).await?, page, |endpoint| endpoint.id.0))
}

/// How many there are.
pub async fn count(db: &impl Db) -> Result<u64> {
    Ok(Entity::find().count(db.conn()).await?)
}

/// Whether texts may be posted to an endpoint now: it asks for them, and its client may read them.
pub async fn may_post_texts(db: &impl Db, id: EndpointId) -> Result<bool> {
    #[derive(FromQueryResult)]
    struct Row {
        scopes: String,
        revoked_at: Option<Time>,
    }
    let sql = "SELECT c.scopes AS scopes, c.revoked_at AS revoked_at
        FROM event_endpoints e JOIN clients c ON c.id = e.client_id WHERE e.id = $1 AND e.include_text";
    let row = Row::find_by_statement(statement(db, sql, [id.0.into()])).one(db.conn()).await?;
    Ok(row.is_some_and(|row| reads_texts(&row.scopes, row.revoked_at)))
}

/// Stores a new endpoint of this client, which begins at the present end of the log.
pub async fn insert(
    tx: &Tx,
    owner: ClientId,
    new: &NewEndpoint,
    secret: &WebhookSecret,
    now: Time,
) -> Result<EventEndpoint> {
    let position = events::last_position(tx).await?;
    let model = ActiveModel {
        client_id: Set(Some(owner.0)),
        url: Set(new.url.as_str().to_owned()),
        description: Set(new.description.as_ref().map(|text| text.as_str().to_owned())),
        types: Set(spell_types(new.types.as_deref())),
        include_text: Set(new.include_text),
        status: Set(EndpointStatus::Enabled.as_str().to_owned()),
        secret_sealed: Set(tx.vault().seal(Purpose::Secret, secret.expose())?),
        position: Set(position),
        failures: Set(0),
        is_slow: Set(false),
        due_at: Set(now),
        claim_number: Set(0),
        version: Set(1),
        created_at: Set(now),
        updated_at: Set(now),
        ..Default::default()
    };
    let model = model.insert(tx.conn()).await?;
    whole(tx, vec![model]).await?.pop().ok_or_else(|| Error::internal("an endpoint just stored is not there"))
}

/// Gives an endpoint to this client, with texts or without, under another version.
pub async fn adopt(tx: &Tx, id: EndpointId, owner: ClientId, include_text: bool, now: Time) -> Result<EventEndpoint> {
    Entity::update_many()
        .col_expr(Column::ClientId, Expr::value(owner.0))
        .col_expr(Column::IncludeText, Expr::value(include_text))
        .col_expr(Column::Version, Expr::cust("version + 1"))
        .col_expr(Column::UpdatedAt, Expr::value(now))
        .filter(Column::Id.eq(id.0))
        .exec(tx.conn())
        .await?;
    find(tx, id).await?.ok_or_else(|| Error::internal("an endpoint under lock is not there"))
}

/// Writes the editable part, under another version. `afresh`: it is served at once, whatever failed before, and who is
/// serving it now has lost their claim.
pub async fn update(tx: &Tx, after: &EventEndpoint, afresh: bool, now: Time) -> Result<EventEndpoint> {
    let mut update = Entity::update_many()
        .col_expr(Column::Url, Expr::value(after.url.as_str()))
        .col_expr(Column::Description, Expr::value(after.description.as_ref().map(Description::as_str)))
        .col_expr(Column::Types, Expr::value(spell_types(after.types.as_deref())))
        .col_expr(Column::IncludeText, Expr::value(after.include_text))
        .col_expr(Column::Status, Expr::value(after.status.as_str()))
        .col_expr(Column::DisabledReason, Expr::value(after.disabled_reason.map(DisabledReason::as_str)))
        .col_expr(Column::Version, Expr::cust("version + 1"))
        .col_expr(Column::UpdatedAt, Expr::value(now));
    if afresh {
        update = update
            .col_expr(Column::Failures, Expr::value(0))
            .col_expr(Column::FailingSince, Expr::value(None::<Time>))
            .col_expr(Column::IsSlow, Expr::value(false))
            .col_expr(Column::DueAt, Expr::value(now))
            .col_expr(Column::ClaimNumber, Expr::cust("claim_number + 1"))
            .col_expr(Column::ClaimedBy, Expr::value(None::<i64>));
    }
    update.filter(Column::Id.eq(after.id.0)).exec(tx.conn()).await?;
    find(tx, after.id).await?.ok_or_else(|| Error::internal("an endpoint under lock is not there"))
}

/// Gives an endpoint another secret. The present one signs too for so long; the one before it does no longer. `None` if
/// there is no such endpoint.
pub async fn rotate(
    tx: &Tx,
    id: EndpointId,
    secret: &WebhookSecret,
    overlap: Duration,
    now: Time,
) -> Result<Option<EventEndpoint>> {
    let Some(model) = Entity::find_by_id(id.0).lock_exclusive().one(tx.conn()).await? else { return Ok(None) };
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

/// The secrets that sign for an endpoint now: the present one, and the former one while it lives.
pub(super) fn secrets(db: &impl Db, model: Model, now: Time) -> Result<Vec<WebhookSecret>> {
    let former = model.former_secret_sealed.filter(|_| model.former_secret_until.is_some_and(|until| until > now));
    let open = |sealed: Vec<u8>| Ok(WebhookSecret::from_bytes(db.vault().open(Purpose::Secret, &sealed)?));
    std::iter::once(model.secret_sealed).chain(former).map(open).collect()
}

/// Where an endpoint is, and the secrets that sign for it now.
pub async fn signing(db: &impl Db, id: EndpointId, now: Time) -> Result<Option<(TargetUrl, Vec<WebhookSecret>)>> {
    let Some(model) = Entity::find_by_id(id.0).one(db.conn()).await? else { return Ok(None) };
    let url = TargetUrl::from_stored(model.url.clone());
    Ok(Some((url, secrets(db, model, now)?)))
}

/// Forgets secrets that sign no longer.
pub async fn prune_secrets(tx: &Tx, now: Time) -> Result<()> {
    Entity::update_many()
        .col_expr(Column::FormerSecretSealed, Expr::value(None::<Vec<u8>>))
        .col_expr(Column::FormerSecretUntil, Expr::value(None::<Time>))
        .filter(Column::FormerSecretUntil.lte(now))
        .exec(tx.conn())
        .await?;
    Ok(())
}

/// Deletes an endpoint with all that was to be delivered to it.
pub async fn delete(tx: &Tx, id: EndpointId) -> Result<()> {
    Entity::delete_by_id(id.0).exec(tx.conn()).await?;
    Ok(())
}
