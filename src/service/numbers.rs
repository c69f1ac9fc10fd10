//! The pool.

use super::{Once, RequestId, Service, expect_version};
use crate::{
    domain::{
        error::{Conflict, Error, Result},
        ids::NumberId,
        number::{NewNumber, Number, NumberPatch},
        page::{Page, PageRequest},
    },
    store::{
        bindings,
        numbers::{self, NumberFilter},
        people,
        pool::{self, PoolCount},
    },
};

impl Service {
    /// Adds a number to the pool. Its provider must be configured.
    pub async fn create_number(&self, request: &RequestId, new: &NewNumber) -> Result<Once<Number>> {
        if self.providers.get(&new.provider).is_none() {
            return Err(Error::field("/provider", "is not a provider that is configured"));
        }
        let now = self.now();
        let owner = &self.store.phone_index(&new.phone);
        self.write_once(request, |tx| async move {
            people::hold_phone(&tx, &new.phone).await?;
            if people::phone_is_known(&tx, owner).await? {
                return Err(Conflict::NumberIsPersonsPhone.into());
            }
            numbers::insert(&tx, new, new.phone.country(), now).await
        })
        .await
    }

    /// The number with this id.
    pub async fn number(&self, id: NumberId) -> Result<Number> {
        numbers::find(&self.store, id, self.now()).await?.ok_or(Error::NotFound)
    }

    /// Numbers, a page at a time.
    pub async fn list_numbers(&self, filter: &NumberFilter, page: &PageRequest) -> Result<Page<Number>> {
        numbers::list(&self.store, filter, page, self.now()).await
    }

    /// Edits a number. Draining or suspending it waits for rides that are being given it at this moment.
    pub async fn edit_number(&self, id: NumberId, patch: &NumberPatch, seen: Option<i64>) -> Result<Number> {
        let now = self.now();
        self.store
            .write(|tx| async move {
                let number = numbers::find_locked(&tx, id, now).await?.ok_or(Error::NotFound)?;
                expect_version(seen, number.version)?;
                let mut after = number.clone();
                after.status = patch.status.unwrap_or(number.status);
                after.capabilities = patch.capabilities.unwrap_or(number.capabilities);
                if (after.status, after.capabilities) == (number.status, number.capabilities) {
                    return Ok(number);
                }
                numbers::update(&tx, &after, now).await
            })
            .await
    }

    /// Takes a number out of the pool, once no contact window on it is open.
    pub async fn delete_number(&self, id: NumberId, seen: Option<i64>) -> Result<()> {
        let now = self.now();
        self.store
            .write(|tx| async move {
                let number = numbers::find_locked(&tx, id, now).await?.ok_or(Error::NotFound)?;
                expect_version(seen, number.version)?;
                if bindings::number_is_open(&tx, id, now).await? {
                    return Err(Conflict::NumberInUse.into());
                }
                numbers::retire(&tx, id, now).await
            })
            .await
    }

    /// How many numbers there are, by provider and country.
    pub async fn pool(&self) -> Result<Vec<PoolCount>> {
        pool::count(&self.store, &self.providers.configured(), self.now()).await
    }
}
