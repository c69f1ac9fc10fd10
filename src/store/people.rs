//! Customers and drivers.

use sea_orm::{
    ActiveValue::Set, ConnectionTrait as _, DbBackend, QueryOrder as _, QuerySelect as _, QueryTrait as _,
    entity::prelude::*, sea_query::LikeExpr,
};

use super::{
    Db, PhoneIndex, Tx,
    entity::people::{ActiveModel, Column, Entity, Model},
    error::{OnUnique as _, UnknownValue, uq},
    execute, sealed,
};
use crate::domain::{
    clock::Time,
    error::{Conflict, Result},
    ids::PersonId,
    page::{Page, PageRequest},
    person::{NewPerson, Person, Role},
    phone::PhoneNumber,
    text::{ExternalId, Name},
};

/// People to list. A filter that is `None` matches all.
#[derive(Clone, Debug, Default)]
pub struct PeopleFilter {
    /// The platform's ID.
    pub external_id: Option<ExternalId>,
    /// Start of the name, in any case.
    pub name_prefix: Option<String>,
}

fn person(db: &impl Db, model: Model) -> Result<Person> {
    let phone = model.phone_sealed.ok_or_else(|| UnknownValue::of("phone_sealed"))?;
    Ok(Person {
        id: model.id,
        role: model.role,
        name: model.name.ok_or_else(|| UnknownValue::of("name"))?,
        phone: sealed::open_phone(db, &phone)?,
        language: model.language,
        external_id: model.external_id,
        version: model.version,
        created_at: model.created_at,
        updated_at: model.updated_at,
    })
}

/// Returns the form in which the starts of names are compared.
fn name_key(name: &str) -> String {
    // Greek writes a sigma differently at the end of a word, and a prefix may end inside a word.
    name.to_lowercase().replace('ς', "σ")
}

/// People in this role who are not erased.
fn existing(role: Role) -> Select<Entity> {
    Entity::find().filter(Column::Role.eq(role)).filter(Column::DeletedAt.is_null())
}

pub async fn find(db: &impl Db, role: Role, id: PersonId) -> Result<Option<Person>> {
    let model = existing(role).filter(Column::Id.eq(id)).one(db.conn()).await?;
    model.map(|model| person(db, model)).transpose()
}

/// Finds a person and locks the row until this transaction ends.
pub async fn find_locked(tx: &Tx, role: Role, id: PersonId) -> Result<Option<Person>> {
    let model = existing(role).filter(Column::Id.eq(id)).lock_exclusive().one(tx.conn()).await?;
    model.map(|model| person(tx, model)).transpose()
}

pub async fn list(db: &impl Db, role: Role, filter: &PeopleFilter, page: &PageRequest) -> Result<Page<Person>> {
    let mut select =
        existing(role).apply_if(filter.external_id.as_ref(), |select, id| select.filter(Column::ExternalId.eq(id)));
    if let Some(prefix) = &filter.name_prefix {
        let literal = name_key(prefix).replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
        select = select.filter(Column::NameKey.like(LikeExpr::new(format!("{literal}%")).escape('\\')));
    }
    let models = super::page(select, Column::Id, page).all(db.conn()).await?;
    let people = models.into_iter().map(|model| person(db, model)).collect::<Result<Vec<_>>>()?;
    Ok(Page::cut(people, page, |person| person.id.0))
}

/// Finds people in this role by phone.
pub async fn with_phone(db: &impl Db, role: Role, phone: &PhoneIndex) -> Result<Vec<Person>> {
    let select = existing(role).filter(Column::PhoneIndex.eq(phone)).order_by_asc(Column::Id).limit(200);
    select.all(db.conn()).await?.into_iter().map(|model| person(db, model)).collect()
}

/// Keeps other transactions from giving this phone to a person or adding it to the pool until this one ends. So it can
/// check whether a person or the pool has the phone, and rely on the result. SQLite, with its one writer, needs no
/// lock.
pub async fn hold_phone(tx: &Tx, phone: &PhoneNumber) -> Result<()> {
    if tx.conn().get_database_backend() == DbBackend::Postgres {
        let index = tx.vault().phone_index(&phone.match_key());
        let key = index.0.iter().take(8).fold(0, |key, byte| (key << 8) | i64::from(*byte));
        execute(tx, "SELECT pg_advisory_xact_lock($1)", [key.into()]).await?;
    }
    Ok(())
}

/// Finds a person by the platform's ID and locks the row. Until this transaction ends, no other one creates such a
/// person.
pub async fn find_external_locked(tx: &Tx, role: Role, external_id: &ExternalId) -> Result<Option<Person>> {
    if tx.conn().get_database_backend() == DbBackend::Postgres {
        let sql = "SELECT pg_advisory_xact_lock(hashtext($1), hashtext($2))";
        execute(tx, sql, [role.into(), external_id.into()]).await?;
    }
    let select = existing(role).filter(Column::ExternalId.eq(external_id)).lock_exclusive();
    select.one(tx.conn()).await?.map(|model| person(tx, model)).transpose()
}

/// Checks whether a person in any role has this phone.
pub async fn phone_is_known(db: &impl Db, phone: &PhoneIndex) -> Result<bool> {
    let found = Entity::find().filter(Column::PhoneIndex.eq(phone)).limit(1).one(db.conn()).await?;
    Ok(found.is_some())
}

/// Stores a new person.
pub async fn insert(tx: &Tx, role: Role, new: &NewPerson, now: Time) -> Result<Person> {
    let model = ActiveModel {
        role: Set(role),
        language: Set(new.language.clone()),
        external_id: Set(new.external_id.clone()),
        version: Set(1),
        created_at: Set(now),
        updated_at: Set(now),
        ..with_name_and_phone(tx, &new.name, &new.phone)?
    };
    let inserted = model.insert(tx.conn()).await;
    person(tx, inserted.on_unique(&uq::PEOPLE_EXTERNAL_ID, Conflict::ExternalIdTaken)?)
}

fn with_name_and_phone(tx: &Tx, name: &Name, phone: &PhoneNumber) -> Result<ActiveModel> {
    Ok(ActiveModel {
        name: Set(Some(name.clone())),
        name_key: Set(Some(name_key(name.as_str()))),
        phone_index: Set(Some(tx.vault().phone_index(&phone.match_key()))),
        phone_sealed: Set(Some(sealed::seal_phone(tx, phone)?)),
        ..Default::default()
    })
}

/// Stores an edited person under the next version. The row must be locked.
pub async fn update(tx: &Tx, after: &Person, now: Time) -> Result<Person> {
    let model = ActiveModel {
        id: Set(after.id),
        language: Set(after.language.clone()),
        external_id: Set(after.external_id.clone()),
        version: Set(after.version + 1),
        updated_at: Set(now),
        ..with_name_and_phone(tx, &after.name, &after.phone)?
    };
    let updated = model.update(tx.conn()).await;
    person(tx, updated.on_unique(&uq::PEOPLE_EXTERNAL_ID, Conflict::ExternalIdTaken)?)
}

/// Erases a person and keeps the ID, which rides refer to. The row must be locked.
pub async fn erase(tx: &Tx, id: PersonId, now: Time) -> Result<()> {
    let erased = ActiveModel {
        id: Set(id),
        name: Set(None),
        name_key: Set(None),
        phone_index: Set(None),
        phone_sealed: Set(None),
        language: Set(None),
        external_id: Set(None),
        updated_at: Set(now),
        deleted_at: Set(Some(now)),
        ..Default::default()
    };
    erased.update(tx.conn()).await?;
    Ok(())
}
