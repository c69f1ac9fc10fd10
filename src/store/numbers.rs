//! Proxy numbers.

use sea_orm::{ActiveValue::Set, FromQueryResult, QuerySelect as _, entity::prelude::*, sea_query::Expr};

use super::{
    Db, Tx,
    entity::numbers::{ActiveModel, Column, Entity, Model},
    error::{self, OnUnique as _, uq},
    placeholders, row,
};
use crate::domain::{
    clock::Time,
    error::{Conflict, Error, Result},
    ids::NumberId,
    number::{Capabilities, NewNumber, Number, NumberStatus, ProviderName},
    page::{Page, PageRequest},
    phone::{MatchKey, PhoneNumber},
};

/// Which numbers to list.
#[derive(Clone, Debug, Default)]
pub struct NumberFilter {
    /// At this provider.
    pub provider: Option<ProviderName>,
    /// In this status.
    pub status: Option<NumberStatus>,
    /// In this country (ISO 3166).
    pub country: Option<String>,
}

/// How much a number is used: derived, never stored on its row, so that assigning it does not make the row hot.
#[derive(FromQueryResult, Default)]
struct Use {
    id: i64,
    open_rides: i64,
    last_assigned_at: Option<Time>,
}

fn number(model: Model, used: Use) -> Result<Number> {
    Ok(Number {
        id: NumberId(model.id),
        phone: row::number_phone(&model.phone_number)?,
        provider: row::provider(&model.provider)?,
        capabilities: Capabilities { sms: model.sms, voice: model.voice, mms: model.mms },
        country: model.country,
        status: row::word(NumberStatus::parse, "status", &model.status)?,
        open_rides: used.open_rides,
        last_assigned_at: used.last_assigned_at,
        version: model.version,
        created_at: model.created_at,
        updated_at: model.updated_at,
    })
}

async fn with_use(db: &impl Db, models: Vec<Model>, now: Time) -> Result<Vec<Number>> {
    if models.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT n.id AS id,
            (SELECT COUNT(DISTINCT b.ride_id) FROM bindings b WHERE b.number_id = n.id AND b.contact_until > $1)
                AS open_rides,
            (SELECT r.created_at FROM rides r WHERE r.number_id = n.id ORDER BY r.id DESC LIMIT 1) AS last_assigned_at
        FROM numbers n WHERE n.id IN ({})",
        placeholders(2, models.len())
    );
    let values = std::iter::once(error::time(now)).chain(models.iter().map(|model| model.id.into()));
    let used = Use::find_by_statement(super::statement(db, &sql, values)).all(db.conn()).await?;
    let mut used: std::collections::HashMap<_, _> = used.into_iter().map(|used| (used.id, used)).collect();
    models
        .into_iter()
        .map(|model| {
            let used = used.remove(&model.id).unwrap_or_default();
            number(model, used)
        })
        .collect()
}

fn living() -> Select<Entity> {
    Entity::find().filter(Column::DeletedAt.is_null())
}

/// The number with this id.
pub async fn find(db: &impl Db, id: NumberId, now: Time) -> Result<Option<Number>> {
    let model = living().filter(Column::Id.eq(id.0)).one(db.conn()).await?;
    Ok(with_use(db, model.into_iter().collect(), now).await?.pop())
}

/// The same; until this transaction ends no ride can be given the number.
pub async fn find_locked(tx: &Tx, id: NumberId, now: Time) -> Result<Option<Number>> {
    let model = living().filter(Column::Id.eq(id.0)).lock_exclusive().one(tx.conn()).await?;
    Ok(with_use(tx, model.into_iter().collect(), now).await?.pop())
}

/// Numbers, a page at a time.
pub async fn list(db: &impl Db, filter: &NumberFilter, page: &PageRequest, now: Time) -> Result<Page<Number>> {
    let mut select = living();
    if let Some(provider) = &filter.provider {
        select = select.filter(Column::Provider.eq(provider.as_str()));
    }
    if let Some(status) = filter.status {
        select = select.filter(Column::Status.eq(status.as_str()));
    }
    if let Some(country) = &filter.country {
        select = select.filter(Column::Country.eq(country.as_str()));
    }
    let models = super::page(select, Column::Id, page).all(db.conn()).await?;
    Ok(Page::cut(with_use(db, models, now).await?, page, |number| number.id.0))
}

/// Which of these numbers the pool has at this provider, in the same order.
pub async fn ours_among(db: &impl Db, provider: &ProviderName, numbers: &[PhoneNumber]) -> Result<Vec<PhoneNumber>> {
    let keys: Vec<_> = numbers.iter().map(PhoneNumber::match_key).collect();
    let found: Vec<String> = living()
        .filter(Column::Provider.eq(provider.as_str()))
        .filter(Column::MatchKey.is_in(keys.iter().map(MatchKey::expose)))
        .select_only()
        .column(Column::MatchKey)
        .into_tuple()
        .all(db.conn())
        .await?;
    let is_ours = |key: &MatchKey| found.iter().any(|found| found == key.expose());
    Ok(numbers.iter().zip(keys).filter(|(_, key)| is_ours(key)).map(|(number, _)| number.clone()).collect())
}

/// The pool has this number.
pub async fn is_pooled(db: &impl Db, key: &MatchKey) -> Result<bool> {
    Ok(living().filter(Column::MatchKey.eq(key.expose())).one(db.conn()).await?.is_some())
}

/// Adds a number, or revives it if it was in the pool before: its cool-downs go on.
pub async fn insert(tx: &Tx, new: &NewNumber, country: Option<String>, now: Time) -> Result<Number> {
    let key = new.phone.match_key();
    let former = Entity::find().filter(Column::MatchKey.eq(key.expose())).lock_exclusive().one(tx.conn()).await?;
    let fields = ActiveModel {
        phone_number: Set(new.phone.expose().to_owned()),
        match_key: Set(key.expose().to_owned()),
        provider: Set(new.provider.as_str().to_owned()),
        sms: Set(new.capabilities.sms),
        voice: Set(new.capabilities.voice),
        mms: Set(new.capabilities.mms),
        country: Set(country),
        status: Set(new.status.as_str().to_owned()),
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
            let placed =
                ActiveModel { id: Set(model.id), ring_position: Set(ring_position(model.id)), ..Default::default() };
            placed.update(tx.conn()).await?
        }
    };
    let found = with_use(tx, vec![model], now).await?.pop();
    found.ok_or_else(|| Error::internal("a number just stored is not there"))
}

/// Where a number stands on the circle from which numbers are chosen at random points: its id with the bits in
/// reverse order (the van der Corput sequence), so that however many there are, they lie evenly.
fn ring_position(id: i64) -> i64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the low 32 bits are what is spread")]
    i64::from((id as u32).reverse_bits())
}

/// Stores an edited number under the next version. The row must be locked.
pub async fn update(tx: &Tx, after: &Number, now: Time) -> Result<Number> {
    let model = ActiveModel {
        id: Set(after.id.0),
        sms: Set(after.capabilities.sms),
        voice: Set(after.capabilities.voice),
        mms: Set(after.capabilities.mms),
        status: Set(after.status.as_str().to_owned()),
        version: Set(after.version + 1),
        updated_at: Set(now),
        ..Default::default()
    };
    let used = Use { id: after.id.0, open_rides: after.open_rides, last_assigned_at: after.last_assigned_at };
    number(model.update(tx.conn()).await?, used)
}

/// Takes a number out of the pool. The row must be locked.
pub async fn retire(tx: &Tx, id: NumberId, now: Time) -> Result<()> {
    Entity::update_many()
        .col_expr(Column::DeletedAt, Expr::value(now))
        .filter(Column::Id.eq(id.0))
        .exec(tx.conn())
        .await?;
    Ok(())
}

/// The number in clear and its provider, deleted or not: texts and calls of old rides still name it.
pub async fn line(db: &impl Db, id: NumberId) -> Result<Option<(PhoneNumber, ProviderName)>> {
    let model = Entity::find_by_id(id.0).one(db.conn()).await?;
    model.map(|model| Ok((row::number_phone(&model.phone_number)?, row::provider(&model.provider)?))).transpose()
}

/// The status of a number of the pool.
pub async fn status(db: &impl Db, id: NumberId) -> Result<Option<NumberStatus>> {
    let model = living().filter(Column::Id.eq(id.0)).one(db.conn()).await?;
    model.map(|model| row::word(NumberStatus::parse, "status", &model.status)).transpose()
}

/// Whether a number can carry pictures.
pub async fn carries_media(db: &impl Db, id: NumberId) -> Result<bool> {
    Ok(Entity::find_by_id(id.0).one(db.conn()).await?.is_some_and(|model| model.mms))
}

/// Providers that numbers of the pool name.
pub async fn providers(db: &impl Db) -> Result<Vec<ProviderName>> {
    let names: Vec<String> =
        living().select_only().column(Column::Provider).distinct().into_tuple().all(db.conn()).await?;
    names.iter().map(|name| row::provider(name)).collect()
}
