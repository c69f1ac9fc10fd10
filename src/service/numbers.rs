//! Numbers of the pool: adding, listing, editing and removing them.

use std::collections::HashSet;

use super::{
    Context, Once, RequestId,
    comparisons::{compared, require_counted},
    once::write_once,
};
use crate::{
    domain::{
        comparison::StoredSide,
        error::{Conflict, Error, FieldError, Invalid, Result},
        event::{EventData, EventType},
        ids::NumberId,
        number::{NewNumber, Number, NumberPatch, NumberStatus, ProviderName},
        page::{Page, PageRequest},
        phone::PhoneNumber,
        scope::Scope,
        version::ExpectedVersion,
    },
    store::{
        bindings, events,
        numbers::{self, NumberFilter},
        people,
    },
};

/// Adds a number to the pool. Its provider must be configured.
pub async fn create(ctx: &Context, request: &RequestId, new: &NewNumber) -> Result<Once<Number>> {
    if let Some(wrong) = wrong_provider(ctx, "/provider", Some(&new.provider)) {
        return Err(Error::Invalid(Invalid::Fields, vec![wrong]));
    }
    let now = ctx.now();
    let owner = &ctx.store.phone_index(&new.phone);
    write_once(ctx, request, |tx| async move {
        people::hold_phone(&tx, &new.phone).await?;
        if people::phone_is_known(&tx, owner).await? {
            require_counted(ctx, &tx, &request.caller, [compared(ctx, StoredSide::Everybody, &new.phone)]).await?;
            return Err(Conflict::NumberIsPersonsPhone.into());
        }
        numbers::insert(&tx, new, new.phone.country(), now).await
    })
    .await
}

/// Checks the provider of a new number, if it is known.
pub fn wrong_provider(ctx: &Context, pointer: &str, provider: Option<&ProviderName>) -> Option<FieldError> {
    let is_configured = ctx.providers.get(provider?).is_some();
    (!is_configured).then(|| FieldError::new(pointer, "is not a provider that is configured"))
}

/// Checks new numbers, each as far as it is known.
pub fn wrong_batch<'a>(
    ctx: &Context,
    numbers: impl Iterator<Item = (Option<&'a PhoneNumber>, Option<&'a ProviderName>)>,
) -> Vec<FieldError> {
    let (mut wrong, mut before) = (Vec::new(), HashSet::new());
    for (at, (phone, provider)) in numbers.enumerate() {
        wrong.extend(wrong_provider(ctx, &at_place(at, "provider"), provider));
        if phone.is_some_and(|phone| !before.insert(phone.match_key())) {
            wrong.push(FieldError::new(at_place(at, "phone_number"), "is in this list already"));
        }
    }
    wrong
}

/// Adds many numbers to the pool, all of them or none. Errors name entries by their index in the list.
///
/// A refused import stores nothing, so it leaves no trace of what it asked. A caller who may not see phones therefore
/// learns about people's phones only from a short list, where each entry counts as a comparison, and only if the list
/// has no numbers of the pool.
pub async fn create_batch(ctx: &Context, request: &RequestId, new: &[NewNumber]) -> Result<Once<Vec<Number>>> {
    let wrong = wrong_batch(ctx, new.iter().map(|number| (Some(&number.phone), Some(&number.provider))));
    if !wrong.is_empty() {
        return Err(Error::Invalid(Invalid::Fields, wrong));
    }
    let now = ctx.now();
    write_once(ctx, request, |tx| async move {
        // Always in the same order, so that two imports cannot deadlock on each other's next number.
        let mut in_order: Vec<_> = new.iter().enumerate().collect();
        in_order.sort_by_key(|(_, number)| number.phone.expose().to_owned());
        let mut conflicts = Vec::new();
        for (at, number) in &in_order {
            people::hold_phone(&tx, &number.phone).await?;
            let conflict = if people::phone_is_known(&tx, &ctx.store.phone_index(&number.phone)).await? {
                Conflict::NumberIsPersonsPhone
            } else if numbers::is_pooled(&tx, &number.phone.match_key()).await? {
                Conflict::NumberExists
            } else {
                continue;
            };
            conflicts.push((*at, conflict));
        }
        if !request.caller.scopes.has(Scope::PhoneNumbersReveal) {
            if conflicts.iter().any(|(_, conflict)| *conflict == Conflict::NumberExists) {
                conflicts.retain(|(_, conflict)| *conflict == Conflict::NumberExists);
            } else if !conflicts.is_empty() {
                if new.len() > StoredSide::Everybody.limit().most {
                    return Err(Error::MissingScope(Scope::PhoneNumbersReveal));
                }
                let compared = new.iter().map(|number| compared(ctx, StoredSide::Everybody, &number.phone));
                require_counted(ctx, &tx, &request.caller, compared).await?;
            }
        }
        conflicts.sort_by_key(|(at, _)| *at);
        if let Some((_, first)) = conflicts.first() {
            let named =
                |(at, conflict): &(usize, Conflict)| FieldError::new(at_place(*at, "phone_number"), conflict.detail());
            return Err(Error::Conflicts(*first, conflicts.iter().map(named).collect()));
        }
        let mut made = Vec::with_capacity(new.len());
        for number in new {
            made.push(numbers::insert(&tx, number, number.phone.country(), now).await?);
        }
        Ok(made)
    })
    .await
}

pub async fn find(ctx: &Context, id: NumberId) -> Result<Number> {
    numbers::find(&ctx.store, id, ctx.now()).await?.ok_or(Error::NotFound)
}

pub async fn list(ctx: &Context, filter: &NumberFilter, page: &PageRequest) -> Result<Page<Number>> {
    numbers::list(&ctx.store, filter, page, ctx.now()).await
}

/// Edits a number. Draining or suspending it waits for transactions that are assigning it at this moment.
pub async fn edit(ctx: &Context, id: NumberId, patch: &NumberPatch, expected: &ExpectedVersion) -> Result<Number> {
    let now = ctx.now();
    ctx.store
        .write(|tx| async move {
            let number = numbers::find_locked(&tx, id, now).await?.ok_or(Error::NotFound)?;
            expected.require(number.version)?;
            let mut after = number.clone();
            after.status = patch.status.unwrap_or(number.status);
            after.capabilities = patch.capabilities.unwrap_or(number.capabilities);
            if (after.status, after.capabilities) == (number.status, number.capabilities) {
                return Ok(number);
            }
            if after.status == NumberStatus::Suspended && number.status != NumberStatus::Suspended {
                let suspended = EventData {
                    number_id: Some(id),
                    provider: Some(number.provider.clone()),
                    status: Some(after.status.as_str().to_owned()),
                    ..EventData::default()
                };
                events::record(&tx, EventType::NumberSuspended, &suspended, now).await?;
            }
            numbers::update(&tx, &after, now).await
        })
        .await
}

/// Removes a number from the pool, once no contact window on it is open.
pub async fn delete(ctx: &Context, id: NumberId, expected: &ExpectedVersion) -> Result<()> {
    let now = ctx.now();
    ctx.store
        .write(|tx| async move {
            let number = numbers::find_locked(&tx, id, now).await?.ok_or(Error::NotFound)?;
            expected.require(number.version)?;
            let open = bindings::open_rides(&tx, id, now).await?;
            if open > 0 {
                return Err(Error::NumberInUse(open));
            }
            numbers::retire(&tx, id, now).await
        })
        .await
}

/// Returns the pointer to a field of one number in a list.
fn at_place(at: usize, field: &str) -> String {
    format!("/numbers/{at}/{field}")
}
