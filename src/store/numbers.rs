//! Proxy numbers.

use std::collections::HashMap;

use sea_orm::{
    ActiveValue::Set, FromQueryResult, QuerySelect as _, QueryTrait as _, entity::prelude::*, sea_query::Expr,
};

use super::{
    Db, Tx,
    columns::ProxyNumber,
    entity::numbers::{ActiveModel, Column, Entity, Model},
    error::{OnUnique as _, uq},
    params::Params,
    query_all,
};
use crate::domain::{
    clock::Time,
    error::{Conflict, Error, Result},
    ids::NumberId,
    number::{Capabilities, NewNumber, Number, NumberStatus, ProviderName},
    page::{Page, PageRequest},
    phone::{MatchKey, PhoneNumber},
};

/// Numbers to list. A filter that is `None` matches all.
#[derive(Clone, Debug, Default)]
pub struct NumberFilter {
    pub provider: Option<ProviderName>,
    pub status: Option<NumberStatus>,
    /// ISO 3166 code.
    pub country: Option<String>,
}

/// How much a number is used. It is derived and never stored in the number's row, so that assigning the number does not
/// make the row hot.
#[derive(Default, FromQueryResult)]
struct Usage {
    open_rides: i64,
    last_assigned_at: Option<Time>,
}

fn number(model: Model, usage: Usage) -> Number {
    Number {
        id: model.id,
        phone: model.phone_number.0,
        provider: model.provider,
        capabilities: Capabilities { sms: model.sms, voice: model.voice, mms: model.mms },
        country: model.country,
        status: model.status,
        open_rides: usage.open_rides,
        last_assigned_at: usage.last_assigned_at,
        version: model.version,
        created_at: model.created_at,
        updated_at: model.updated_at,
    }
}

async fn with_usage(db: &impl Db, models: Vec<Model>, now: Time) -> Result<Vec<Number>> {
    #[derive(FromQueryResult)]
    struct Row {
        id: NumberId,
        #[sea_orm(nested)]
        usage: Usage,
    }
    if models.is_empty() {
        return Ok(Vec::new());
    }
    let mut params = Params::new([now.into()]);
    let sql = format!(
        "SELECT n.id AS id,
            (SELECT COUNT(DISTINCT b.ride_id) FROM bindings b WHERE b.number_id = n.id AND b.contact_until > $1)
                AS open_rides,
            (SELECT r.created_at FROM rides r WHERE r.number_id = n.id ORDER BY r.id DESC LIMIT 1) AS last_assigned_at
        FROM numbers n WHERE n.id IN ({})",
        params.add_list(models.iter().map(|model| model.id))
    );
    let rows: Vec<Row> = query_all(db, &sql, params).await?;
    let mut usage: HashMap<_, _> = rows.into_iter().map(|row| (row.id, row.usage)).collect();
    let numbers = models.into_iter().map(|model| {
        let usage = usage.remove(&model.id).unwrap_or_default();
        number(model, usage)
    });
    Ok(numbers.collect())
}

/// Numbers that are not deleted.
fn existing() -> Select<Entity> {
    Entity::find().filter(Column::DeletedAt.is_null())
}

pub async fn find(db: &impl Db, id: NumberId, now: Time) -> Result<Option<Number>> {
    let model = existing().filter(Column::Id.eq(id)).one(db.conn()).await?;
    Ok(with_usage(db, model.into_iter().collect(), now).await?.pop())
}

/// Finds a number and locks its row. Until this transaction ends, the number is assigned to no ride.
pub async fn find_locked(tx: &Tx, id: NumberId, now: Time) -> Result<Option<Number>> {
    let model = existing().filter(Column::Id.eq(id)).lock_exclusive().one(tx.conn()).await?;
    Ok(with_usage(tx, model.into_iter().collect(), now).await?.pop())
}

pub async fn list(db: &impl Db, filter: &NumberFilter, page: &PageRequest, now: Time) -> Result<Page<Number>> {
    let select = existing()
        .apply_if(filter.provider.as_ref(), |select, provider| select.filter(Column::Provider.eq(provider)))
        .apply_if(filter.status, |select, status| select.filter(Column::Status.eq(status)))
        .apply_if(filter.country.as_deref(), |select, country| select.filter(Column::Country.eq(country)));
    let models = super::page(select, Column::Id, page).all(db.conn()).await?;
    Ok(Page::cut(with_usage(db, models, now).await?, page, |number| number.id.0))
}

/// Returns those of these numbers that the pool has at this provider, in the same order.
pub async fn ours_among(db: &impl Db, provider: &ProviderName, numbers: &[PhoneNumber]) -> Result<Vec<PhoneNumber>> {
    let keys: Vec<_> = numbers.iter().map(PhoneNumber::match_key).collect();
    let found: Vec<String> = existing()
        .filter(Column::Provider.eq(provider))
        .filter(Column::MatchKey.is_in(keys.iter().map(MatchKey::expose)))
        .select_only()
        .column(Column::MatchKey)
        .into_tuple()
        .all(db.conn())
        .await?;
    let is_ours = |key: &MatchKey| found.iter().any(|found| found == key.expose());
    Ok(numbers.iter().zip(keys).filter(|(_, key)| is_ours(key)).map(|(number, _)| number.clone()).collect())
}

/// Checks whether the pool has this number.
pub async fn is_pooled(db: &impl Db, key: &MatchKey) -> Result<bool> {
    Ok(existing().filter(Column::MatchKey.eq(key.expose())).one(db.conn()).await?.is_some())
}

/// Adds a number. One that was in the pool before is revived, and its cool-downs continue.
pub async fn insert(tx: &Tx, new: &NewNumber, country: Option<String>, now: Time) -> Result<Number> {
    let key = new.phone.match_key();
    let former = Entity::find().filter(Column::MatchKey.eq(key.expose())).lock_exclusive().one(tx.conn()).await?;
    let fields = ActiveModel {
        phone_number: Set(ProxyNumber(new.phone.clone())),
        match_key: Set(key.expose().to_owned()),
        provider: Set(new.provider.clone()),
        sms: Set(new.capabilities.sms),
        voice: Set(new.capabilities.voice),
        mms: Set(new.capabilities.mms),
        country: Set(country),
        status: Set(new.status),
        created_at: Set(now),
        updated_at: Set(now),
        deleted_at: Set(None),
        ..Default::default()
    };
    let model = match former {
        Some(former) if former.deleted_at.is_none() => return Err(Conflict::NumberExists.into()),
        Some(former) => {
            let revived = ActiveModel { id: Set(former.id), version: Set(former.version + 1), ..fields };
            revived.update(tx.conn()).await?
        }
        None => {
            let fresh = ActiveModel { version: Set(1), ring_position: Set(0), ..fields };
            let model = fresh.insert(tx.conn()).await.on_unique(&uq::NUMBERS_MATCH_KEY, Conflict::NumberExists)?;
            let ring_position = Set(ring_position(model.id));
            ActiveModel { id: Set(model.id), ring_position, ..Default::default() }.update(tx.conn()).await?
        }
    };
    let found = with_usage(tx, vec![model], now).await?.pop();
    found.ok_or_else(|| Error::internal("a number just stored is not there"))
}

/// Returns the position of a number on the ring from which numbers are chosen at random points: its ID with the bits
/// reversed (the van der Corput sequence), which spreads any amount of numbers evenly.
fn ring_position(id: NumberId) -> i64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the low 32 bits are what is spread")]
    i64::from((id.0 as u32).reverse_bits())
}

/// Stores an edited number under the next version. The row must be locked.
pub async fn update(tx: &Tx, after: &Number, now: Time) -> Result<Number> {
    let model = ActiveModel {
        id: Set(after.id),
        sms: Set(after.capabilities.sms),
        voice: Set(after.capabilities.voice),
        mms: Set(after.capabilities.mms),
        status: Set(after.status),
        version: Set(after.version + 1),
        updated_at: Set(now),
        ..Default::default()
    };
    let usage = Usage { open_rides: after.open_rides, last_assigned_at: after.last_assigned_at };
    Ok(number(model.update(tx.conn()).await?, usage))
}

/// Takes a number out of the pool. The row must be locked.
pub async fn retire(tx: &Tx, id: NumberId, now: Time) -> Result<()> {
    Entity::update_many()
        .col_expr(Column::DeletedAt, Expr::value(now))
        .filter(Column::Id.eq(id))
        .exec(tx.conn())
        .await?;
    Ok(())
}

/// Finds the provider of a number, deleted or not: texts and calls of old rides still name it.
pub async fn provider(db: &impl Db, id: NumberId) -> Result<Option<ProviderName>> {
    Ok(Entity::find_by_id(id).one(db.conn()).await?.map(|model| model.provider))
}

/// Finds the status of a number of the pool.
pub async fn status(db: &impl Db, id: NumberId) -> Result<Option<NumberStatus>> {
    Ok(existing().filter(Column::Id.eq(id)).one(db.conn()).await?.map(|model| model.status))
}

/// Checks whether a number can carry pictures.
pub async fn carries_media(db: &impl Db, id: NumberId) -> Result<bool> {
    Ok(Entity::find_by_id(id).one(db.conn()).await?.is_some_and(|model| model.mms))
}

/// Lists the providers of the numbers of the pool.
pub async fn providers(db: &impl Db) -> Result<Vec<ProviderName>> {
    Ok(existing().select_only().column(Column::Provider).distinct().into_tuple().all(db.conn()).await?)
}
