//! Customers and drivers.

use super::{Once, RequestId, Service, expect_version};
use crate::{
    domain::{
        client::Caller,
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

impl Service {
    /// Adds a person.
    pub async fn create_person(&self, request: &RequestId, role: Role, new: &NewPerson) -> Result<Once<Person>> {
        let now = self.now();
        self.write_once(request, |tx| async move {
            refuse_pool_number(&tx, &new.phone).await?;
            people::insert(&tx, role, new, now).await
        })
        .await
    }

    /// The person with this id.
    pub async fn person(&self, role: Role, id: PersonId) -> Result<Person> {
        people::find(&self.store, role, id).await?.ok_or(Error::NotFound)
    }

    /// People, a page at a time.
    pub async fn list_people(&self, role: Role, filter: &PeopleFilter, page: &PageRequest) -> Result<Page<Person>> {
        people::list(&self.store, role, filter, page).await
    }

    /// Everybody in this role with this phone.
    pub async fn find_people(&self, caller: &Caller, role: Role, phone: &PhoneNumber) -> Result<Vec<Person>> {
        tracing::info!(client_id = %caller.id, %role, "searched people by phone");
        people::with_phone(&self.store, role, &self.store.phone_index(phone)).await
    }

    /// Edits a person. With another phone, all of their open rides go on, or nothing changes.
    pub async fn edit_person(
        &self,
        caller: &Caller,
        role: Role,
        id: PersonId,
        patch: &PersonPatch,
        expected: &ExpectedVersion,
    ) -> Result<Person> {
        let now = self.now();
        let attempt = || {
            self.store.write(move |tx| async move {
                // Creating a ride locks the person too, so no window opens between the question and the edit.
                let person = people::find_locked(&tx, role, id).await?.ok_or(Error::NotFound)?;
                expect_version(expected, person.version)?;
                if let Some(phone) = &patch.phone {
                    self.require_new_phone_counted(&tx, caller, &person, phone).await?;
                }
                self.change(&tx, person, patch.clone(), now).await
            })
        };
        self.counting(caller.id, attempt).await
    }

    /// Erases a person: name, phone and external id are gone, the id stays a tombstone.
    pub async fn delete_person(&self, role: Role, id: PersonId, expected: &ExpectedVersion) -> Result<()> {
        let now = self.now();
        self.store
            .write(|tx| async move {
                let person = people::find_locked(&tx, role, id).await?.ok_or(Error::NotFound)?;
                expect_version(expected, person.version)?;
                if rides::has_open_contact(&tx, role, id, now).await? {
                    return Err(Conflict::ContactWindowOpen.into());
                }
                people::erase(&tx, id, now).await
            })
            .await
    }

    /// The person of a new ride, locked: one we know, or one found or made by the platform's id and updated if anything
    /// differs. `None` if the id names nobody in this role.
    pub(super) async fn resolve(&self, tx: &Tx, role: Role, person: &PersonRef, now: Time) -> Result<Option<Person>> {
        match person {
            PersonRef::Known(id) => people::find_locked(tx, role, *id).await,
            PersonRef::Inline { external_id, name, phone, language } => {
                let (name, phone, language) = (name.clone(), phone.clone(), language.clone());
                if let Some(known) = people::find_external_locked(tx, role, external_id).await? {
                    let language = language.map(Some);
                    let patch = PersonPatch { name: Some(name), phone: Some(phone), language, external_id: None };
                    return self.change(tx, known, patch, now).await.map(Some);
                }
                refuse_pool_number(tx, &phone).await?;
                let new = NewPerson { name, phone, language, external_id: Some(external_id.clone()) };
                people::insert(tx, role, &new, now).await.map(Some)
            }
        }
    }

    /// Edits a person whose row is locked.
    async fn change(&self, tx: &Tx, person: Person, patch: PersonPatch, now: Time) -> Result<Person> {
        let (after, changed) = patch.apply(&person);
        if !changed {
            return Ok(person);
        }
        if after.phone != person.phone {
            refuse_pool_number(tx, &after.phone).await?;
            self.follow_phone(tx, &person, &after.phone).await?;
        }
        people::update(tx, &after, now).await
    }
}

async fn refuse_pool_number(tx: &Tx, phone: &PhoneNumber) -> Result<()> {
    people::hold_phone(tx, phone).await?;
    match numbers::is_pooled(tx, &phone.match_key()).await? {
        true => Err(Conflict::PhoneIsPoolNumber.into()),
        false => Ok(()),
    }
}
