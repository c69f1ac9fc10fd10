//! Customers and drivers.

use sea_orm::{
    ActiveValue::Set, ConnectionTrait as _, DbBackend, QueryOrder as _, QuerySelect as _, entity::prelude::*,
    sea_query::LikeExpr,
};

use super::{
    Db, PhoneIndex, Tx,
    entity::people::{ActiveModel, Column, Entity, Model},
    error::{OnUnique as _, UnknownValue, uq},
    row, statement,
};
use crate::domain::{
    clock::Time,
    error::{Conflict, Result},
    ids::PersonId,
    page::{Page, PageRequest},
    person::{NewPerson, Person, Role},
    phone::PhoneNumber,
    text::{ExternalId, Language, Name},
};

/// Which people to list.
#[derive(Clone, Debug, Default)]
pub struct PeopleFilter {
    /// With this id of the platform's.
    pub external_id: Option<ExternalId>,
    /// Whose name starts so, whatever the case.
    pub name_prefix: Option<String>,
}

fn person(db: &impl Db, model: Model) -> Result<Person> {
    let phone = model.phone_sealed.ok_or(UnknownValue("phone_sealed"))?;
    Ok(Person {
        id: PersonId(model.id),
        role: row::role(&model.role)?,
        name: Name::from_stored(model.name.ok_or(UnknownValue("name"))?),
        phone: row::open_phone(db, &phone)?,
        language: model.language.map(Language::from_stored),
        external_id: model.external_id.map(ExternalId::from_stored),
        version: model.version,
        created_at: model.created_at,
        updated_at: model.updated_at,
    })
}

/// The form in which names are compared by their start.
fn name_key(name: &str) -> String {
    // A sigma is written differently where a word ends, and words asked for end where a name goes on.
    name.to_lowercase().replace('ς', "σ")
}

fn living(role: Role) -> Select<Entity> {
    Entity::find().filter(Column::Role.eq(role.as_str())).filter(Column::DeletedAt.is_null())
}

/// The person, if there is one with this id in this role.
pub async fn find(db: &impl Db, role: Role, id: PersonId) -> Result<Option<Person>> {
    let model = living(role).filter(Column::Id.eq(id.0)).one(db.conn()).await?;
    model.map(|model| person(db, model)).transpose()
}

/// The same, and nobody else changes or erases the person before this transaction ends.
pub async fn find_locked(tx: &Tx, role: Role, id: PersonId) -> Result<Option<Person>> {
    let model = living(role).filter(Column::Id.eq(id.0)).lock_exclusive().one(tx.conn()).await?;
    model.map(|model| person(tx, model)).transpose()
}

/// People, a page at a time.
pub async fn list(db: &impl Db, role: Role, filter: &PeopleFilter, page: &PageRequest) -> Result<Page<Person>> {
    let mut select = living(role);
    if let Some(external_id) = &filter.external_id {
        select = select.filter(Column::ExternalId.eq(external_id.as_str()));
    }
    if let Some(prefix) = &filter.name_prefix {
        let literal = name_key(prefix).replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
        select = select.filter(Column::NameKey.like(LikeExpr::new(format!("{literal}%")).escape('\\')));
    }
    let models = super::page(select, Column::Id, page).all(db.conn()).await?;
    let people = models.into_iter().map(|model| person(db, model)).collect::<Result<Vec<_>>>()?;
    Ok(Page::cut(people, page, |person| person.id.0))
}

/// Everybody in this role with this phone.
pub async fn with_phone(db: &impl Db, role: Role, phone: &PhoneIndex) -> Result<Vec<Person>> {
    let select = living(role).filter(Column::PhoneIndex.eq(phone.0.clone())).order_by_asc(Column::Id).limit(200);
    select.all(db.conn()).await?.into_iter().map(|model| person(db, model)).collect()
}

/// Until this transaction ends, nobody else makes this phone a person's or the pool's: whether it is the other already
/// can be asked, and stays true. SQLite's one writer needs no lock.
pub async fn hold_phone(tx: &Tx, phone: &PhoneNumber) -> Result<()> {
    if tx.conn().get_database_backend() == DbBackend::Postgres {
        let index = tx.vault().phone_index(&phone.match_key());
        let key = index.0.iter().take(8).fold(0, |key, byte| (key << 8) | i64::from(*byte));
        tx.conn().execute_raw(statement(tx, "SELECT pg_advisory_xact_lock($1)", [key.into()])).await?;
    }
    Ok(())
}

/// The person with this id of the platform's, locked; until this transaction ends, nobody else makes one.
pub async fn find_external_locked(tx: &Tx, role: Role, external_id: &ExternalId) -> Result<Option<Person>> {
    if tx.conn().get_database_backend() == DbBackend::Postgres {
        let sql = "SELECT pg_advisory_xact_lock(hashtext($1), hashtext($2))";
        let values = [role.as_str().into(), external_id.as_str().into()];
        tx.conn().execute_raw(statement(tx, sql, values)).await?;
    }
    let select = living(role).filter(Column::ExternalId.eq(external_id.as_str())).lock_exclusive();
    select.one(tx.conn()).await?.map(|model| person(tx, model)).transpose()
}

/// Somebody, in whatever role, has this phone.
pub async fn phone_is_known(db: &impl Db, phone: &PhoneIndex) -> Result<bool> {
    let found = Entity::find().filter(Column::PhoneIndex.eq(phone.0.clone())).limit(1).one(db.conn()).await?;
    Ok(found.is_some())
}

/// Stores a new person.
pub async fn insert(tx: &Tx, role: Role, new: &NewPerson, now: Time) -> Result<Person> {
    let index = tx.vault().phone_index(&new.phone.match_key());
    let model = ActiveModel {
        role: Set(role.as_str().to_owned()),
        name: Set(Some(new.name.as_str().to_owned())),
        name_key: Set(Some(name_key(new.name.as_str()))),
        phone_index: Set(Some(index.0)),
        phone_sealed: Set(Some(row::seal_phone(tx, &new.phone)?)),
        language: Set(new.language.as_ref().map(|language| language.as_str().to_owned())),
        external_id: Set(new.external_id.as_ref().map(|id| id.as_str().to_owned())),
        version: Set(1),
        created_at: Set(now),
        updated_at: Set(now),
        ..Default::default()
    };
    let inserted = model.insert(tx.conn()).await;
    person(tx, inserted.on_unique(&uq::PEOPLE_EXTERNAL_ID, Conflict::ExternalIdTaken)?)
}

/// Stores an edited person under the next version. The row must be locked.
pub async fn update(tx: &Tx, after: &Person, now: Time) -> Result<Person> {
    let index = tx.vault().phone_index(&after.phone.match_key());
    let model = ActiveModel {
        id: Set(after.id.0),
        name: Set(Some(after.name.as_str().to_owned())),
        name_key: Set(Some(name_key(after.name.as_str()))),
        phone_index: Set(Some(index.0)),
        phone_sealed: Set(Some(row::seal_phone(tx, &after.phone)?)),
        language: Set(after.language.as_ref().map(|language| language.as_str().to_owned())),
        external_id: Set(after.external_id.as_ref().map(|id| id.as_str().to_owned())),
        version: Set(after.version + 1),
        updated_at: Set(now),
        ..Default::default()
    };
    let updated = model.update(tx.conn()).await;
    person(tx, updated.on_unique(&uq::PEOPLE_EXTERNAL_ID, Conflict::ExternalIdTaken)?)
}

/// Erases a person: what is left is an id that rides refer to. The row must be locked.
pub async fn erase(tx: &Tx, id: PersonId, now: Time) -> Result<()> {
    let erased = ActiveModel {
        id: Set(id.0),
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
