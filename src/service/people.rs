//! Customers and drivers.

use super::{
    Context, Once, RequestId,
    comparisons::{counting, require_new_phone_counted},
    moves::follow_phone,
    once::write_once,
};
use crate::{
    domain::{
        client::ApiCaller,
        clock::Time,
        error::{Conflict, Error, Result},
        ids::PersonId,
        page::{Page, PageRequest},
        person::{NewPerson, Person, PersonPatch, PersonRef, Role},
        phone::PhoneNumber,
        version::ExpectedVersion,
    },
    store::{
        Tx, numbers,
        people::{self, PeopleFilter},
        rides,
    },
};

pub async fn create(ctx: &Context, request: &RequestId, role: Role, new: &NewPerson) -> Result<Once<Person>> {
    let now = ctx.now();
    write_once(ctx, request, |tx| async move {
        refuse_pool_number(&tx, &new.phone).await?;
        people::insert(&tx, role, new, now).await
    })
    .await
}

pub async fn find(ctx: &Context, role: Role, id: PersonId) -> Result<Person> {
    people::find(&ctx.store, role, id).await?.ok_or(Error::NotFound)
}

pub async fn list(ctx: &Context, role: Role, filter: &PeopleFilter, page: &PageRequest) -> Result<Page<Person>> {
    people::list(&ctx.store, role, filter, page).await
}

pub async fn find_all(ctx: &Context, caller: &ApiCaller, role: Role, phone: &PhoneNumber) -> Result<Vec<Person>> {
    tracing::info!(client_id = %caller.id, %role, "searched people by phone");
    people::with_phone(&ctx.store, role, &ctx.store.phone_index(phone)).await
}

/// Edits a person. If the phone changes, all of their open rides move to the new one, or nothing changes.
pub async fn edit(
    ctx: &Context,
    caller: &ApiCaller,
    role: Role,
    id: PersonId,
    patch: &PersonPatch,
    expected: &ExpectedVersion,
) -> Result<Person> {
    let now = ctx.now();
    let attempt = || {
        ctx.store.write(move |tx| async move {
            // Creating a ride locks the person too, so no contact window opens between this check and the edit.
            let person = people::find_locked(&tx, role, id).await?.ok_or(Error::NotFound)?;
            expected.require(person.version)?;
            if let Some(phone) = &patch.phone {
                require_new_phone_counted(ctx, &tx, caller, &person, phone).await?;
            }
            change(ctx, &tx, person, patch.clone(), now).await
        })
    };
    counting(ctx, caller.id, attempt).await
}

/// Erases a person: deletes name, phone and external id, and keeps the id as a tombstone.
pub async fn delete(ctx: &Context, role: Role, id: PersonId, expected: &ExpectedVersion) -> Result<()> {
    let now = ctx.now();
    ctx.store
        .write(|tx| async move {
            let person = people::find_locked(&tx, role, id).await?.ok_or(Error::NotFound)?;
            expected.require(person.version)?;
            if rides::has_open_contact(&tx, role, id, now).await? {
                return Err(Conflict::ContactWindowOpen.into());
            }
            people::erase(&tx, id, now).await
        })
        .await
}

/// Finds and locks the person of a new ride. A person named by the platform's id is created if missing, and updated if
/// anything differs. Returns `None` if the id names nobody in this role.
pub(super) async fn resolve(
    ctx: &Context,
    tx: &Tx,
    role: Role,
    person: &PersonRef,
    now: Time,
) -> Result<Option<Person>> {
    match person {
        PersonRef::Known(id) => people::find_locked(tx, role, *id).await,
        PersonRef::Inline { external_id, name, phone, language } => {
            let (name, phone, language) = (name.clone(), phone.clone(), language.clone());
            if let Some(known) = people::find_external_locked(tx, role, external_id).await? {
                let language = language.map(Some);
                let patch = PersonPatch { name: Some(name), phone: Some(phone), language, external_id: None };
                return change(ctx, tx, known, patch, now).await.map(Some);
            }
            refuse_pool_number(tx, &phone).await?;
            let new = NewPerson { name, phone, language, external_id: Some(external_id.clone()) };
            people::insert(tx, role, &new, now).await.map(Some)
        }
    }
}

/// Edits a person whose row is locked.
async fn change(ctx: &Context, tx: &Tx, person: Person, patch: PersonPatch, now: Time) -> Result<Person> {
    let (after, changed) = patch.apply(&person);
    if !changed {
        return Ok(person);
    }
    if after.phone != person.phone {
        refuse_pool_number(tx, &after.phone).await?;
        follow_phone(ctx, tx, &person, &after.phone).await?;
    }
    people::update(tx, &after, now).await
}

async fn refuse_pool_number(tx: &Tx, phone: &PhoneNumber) -> Result<()> {
    people::hold_phone(tx, phone).await?;
    match numbers::is_pooled(tx, &phone.match_key()).await? {
        true => Err(Conflict::PhoneIsPoolNumber.into()),
        false => Ok(()),
    }
}
