//! Event endpoints: creating, listing, editing and deleting them, and delivering events again.

use chrono::Duration;
use secrecy::SecretString;

use super::{Context, Once, RequestId, chance, once::write_once};
use crate::{
    domain::{
        client::ApiCaller,
        clock::Time,
        endpoint::{Attempt, EndpointPatch, EndpointStatus, EventEndpoint, NewEndpoint, Retry, RetryState},
        error::{Conflict, Error, FieldError, Invalid, Result},
        ids::{EndpointId, EventId},
        page::{Page, PageRequest},
        scope::Scope,
        target::TargetUrl,
        version::ExpectedVersion,
    },
    store::{
        Tx,
        deliveries::{self, AttemptsOf, RetryFilter},
        endpoints, events,
    },
};

/// Maximum number of endpoints: each reads the whole log.
const MOST: u64 = 200;
/// Time for which the previous secret still signs after a rotation.
const OVERLAP: Duration = Duration::hours(24);

/// Endpoint with its secret, which is shown once.
pub struct EndpointWithSecret {
    pub endpoint: EventEndpoint,
    /// `None` when a repeated request is answered: kept answers leave out the secret.
    pub secret: Option<SecretString>,
}

impl EndpointWithSecret {
    fn new(once: Once<EventEndpoint>, secret: SecretString) -> Self {
        Self { endpoint: once.value, secret: (!once.repeated).then_some(secret) }
    }
}

/// Creates an endpoint for the caller's client. It gets events from now on.
pub async fn create(
    ctx: &Context,
    caller: &ApiCaller,
    request: &RequestId,
    new: &NewEndpoint,
) -> Result<EndpointWithSecret> {
    if new.include_text {
        require(caller, Scope::MessagesRead)?;
    }
    admit_target(ctx, &new.url)?;
    let (now, secret) = (ctx.now(), chance::webhook_secret());
    let signs = &secret;
    let once = write_once(ctx, request, |tx| async move {
        if endpoints::count(&tx).await? >= MOST {
            return Err(Conflict::TooManyEndpoints.into());
        }
        endpoints::insert(&tx, caller.id, new, signs, now).await
    })
    .await?;
    Ok(EndpointWithSecret::new(once, secret.spell()))
}

/// Checks the URL of an endpoint.
pub fn wrong_target(ctx: &Context, url: &TargetUrl) -> Option<FieldError> {
    ctx.settings.targets.admit(url).err().map(|wrong| FieldError::new("/url", wrong))
}

fn admit_target(ctx: &Context, url: &TargetUrl) -> Result<()> {
    wrong_target(ctx, url).map_or(Ok(()), |wrong| Err(Error::Invalid(Invalid::Fields, vec![wrong])))
}

pub async fn find(ctx: &Context, id: EndpointId) -> Result<EventEndpoint> {
    let found = endpoints::find(&ctx.store, id).await?.ok_or(Error::NotFound)?;
    Ok(without_former(found, ctx.now()))
}

pub async fn list(ctx: &Context, page: &PageRequest) -> Result<Page<EventEndpoint>> {
    let now = ctx.now();
    Ok(endpoints::list(&ctx.store, page).await?.map(|endpoint| without_former(endpoint, now)))
}

/// Edits an endpoint. One that is enabled again, or has a new URL, is served at once, from its old position.
pub async fn edit(
    ctx: &Context,
    caller: &ApiCaller,
    id: EndpointId,
    patch: &EndpointPatch,
    expected: &ExpectedVersion,
) -> Result<EventEndpoint> {
    if patch.include_text == Some(true) {
        require(caller, Scope::MessagesRead)?;
    }
    if let Some(url) = &patch.url {
        admit_target(ctx, url)?;
    }
    let now = ctx.now();
    let edited = ctx
        .store
        .write(|tx| async move {
            let before = own_locked(&tx, caller, id).await?.ok_or(Error::NotFound)?;
            expected.require(before.version)?;
            let mut after = before.clone();
            after.url = patch.url.clone().unwrap_or(after.url);
            after.description = patch.description.clone().unwrap_or(after.description);
            after.types = patch.types.clone().unwrap_or(after.types);
            after.include_text = patch.include_text.unwrap_or(after.include_text);
            after.status = patch.status.unwrap_or(after.status);
            let is_enabled = after.status == EndpointStatus::Enabled;
            if is_enabled {
                after.disabled_reason = None;
            }
            if after == before {
                return Ok(before);
            }
            if before.leads_texts_elsewhere(&after) {
                require(caller, Scope::MessagesRead)?;
            }
            let afresh = after.url != before.url || (is_enabled && before.status != EndpointStatus::Enabled);
            endpoints::update(&tx, &after, afresh, now).await
        })
        .await?;
    ctx.wakeups.events.send();
    Ok(without_former(edited, now))
}

/// Deletes an endpoint with its pending deliveries.
pub async fn delete(ctx: &Context, caller: &ApiCaller, id: EndpointId, expected: &ExpectedVersion) -> Result<()> {
    ctx.store
        .write(|tx| async move {
            let endpoint = own_locked(&tx, caller, id).await?.ok_or(Error::NotFound)?;
            expected.require(endpoint.version)?;
            endpoints::delete(&tx, id).await
        })
        .await
}

/// Rotates an endpoint's secret. The current secret also signs for one more day.
pub async fn rotate_secret(
    ctx: &Context,
    caller: &ApiCaller,
    request: &RequestId,
    id: EndpointId,
) -> Result<EndpointWithSecret> {
    let (now, secret) = (ctx.now(), chance::webhook_secret());
    let signs = &secret;
    let once = write_once(ctx, request, |tx| async move {
        own_locked(&tx, caller, id).await?.ok_or(Error::NotFound)?;
        endpoints::rotate(&tx, id, signs, OVERLAP, now).await?.ok_or(Error::NotFound)
    })
    .await?;
    Ok(EndpointWithSecret::new(once, secret.spell()))
}

/// Transfers an endpoint to the caller's client, whose scopes decide from then on whether the endpoint gets texts. If
/// the caller may not read texts, the endpoint no longer gets them.
pub async fn adopt(ctx: &Context, caller: &ApiCaller, id: EndpointId) -> Result<EventEndpoint> {
    let now = ctx.now();
    let adopted = ctx
        .store
        .write(|tx| async move {
            let before = endpoints::find_locked(&tx, id).await?.ok_or(Error::NotFound)?;
            let include_text = before.include_text && caller.scopes.has(Scope::MessagesRead);
            if before.is_of(caller.id) && before.include_text == include_text {
                return Ok(before);
            }
            endpoints::adopt(&tx, id, caller.id, include_text, now).await
        })
        .await?;
    Ok(without_former(adopted, now))
}

/// Lists attempts to deliver to an endpoint.
pub async fn attempts(ctx: &Context, id: EndpointId, page: &PageRequest) -> Result<Page<Attempt>> {
    find(ctx, id).await?;
    deliveries::list_attempts(&ctx.store, AttemptsOf::Endpoint(id), page).await
}

/// Lists attempts to deliver an event.
pub async fn attempts_of_event(ctx: &Context, id: EventId, page: &PageRequest) -> Result<Page<Attempt>> {
    events::find(&ctx.store, id).await?.ok_or(Error::NotFound)?;
    deliveries::list_attempts(&ctx.store, AttemptsOf::Event(id), page).await
}

/// Lists events that an endpoint has not accepted.
pub async fn retries(ctx: &Context, id: EndpointId, filter: RetryFilter, page: &PageRequest) -> Result<Page<Retry>> {
    find(ctx, id).await?;
    deliveries::list_retries(&ctx.store, id, filter, page).await
}

/// Delivers an event again, whatever its earlier outcome: to the endpoint `only`, or to all enabled endpoints that
/// subscribe to its type and that the caller may change. Returns the number of endpoints.
pub async fn redeliver(
    ctx: &Context,
    caller: &ApiCaller,
    request: &RequestId,
    id: EventId,
    only: Option<EndpointId>,
) -> Result<u64> {
    let now = ctx.now();
    let of = (!caller.scopes.has(Scope::EventsAdmin)).then_some(caller.id);
    let count = write_once(ctx, request, |tx| async move {
        let event = events::find(&tx, id).await?.ok_or(Error::NotFound)?;
        let endpoints = match only {
            Some(endpoint) => {
                let found = own_locked(&tx, caller, endpoint).await?;
                found.ok_or_else(|| Error::field("/endpoint_id", "is not an endpoint"))?;
                vec![endpoint]
            }
            None => deliveries::hearers(&tx, event.kind, of).await?,
        };
        let retry = Retry { event_id: id, state: RetryState::Pending, attempts: 0, first_at: now, due_at: now };
        for endpoint in &endpoints {
            deliveries::put_retry(&tx, *endpoint, &retry).await?;
        }
        Ok(endpoints.len() as u64)
    })
    .await?;
    ctx.wakeups.events.send();
    Ok(count.value)
}

/// Finds and locks an endpoint. Returns an error if the caller may not change it.
async fn own_locked(tx: &Tx, caller: &ApiCaller, id: EndpointId) -> Result<Option<EventEndpoint>> {
    let found = endpoints::find_locked(tx, id).await?;
    if let Some(endpoint) = &found {
        require_own(caller, endpoint)?;
    }
    Ok(found)
}

/// Returns an error if the caller may not change this endpoint, or have anything posted to it.
pub(super) fn require_own(caller: &ApiCaller, endpoint: &EventEndpoint) -> Result<()> {
    if endpoint.is_of(caller.id) { Ok(()) } else { require(caller, Scope::EventsAdmin) }
}

fn require(caller: &ApiCaller, scope: Scope) -> Result<()> {
    if caller.scopes.has(scope) { Ok(()) } else { Err(Error::MissingScope(scope)) }
}

/// Hides a previous secret that no longer signs, even if upkeep has not deleted it yet.
fn without_former(endpoint: EventEndpoint, now: Time) -> EventEndpoint {
    let former_secret_until = endpoint.former_secret_until.filter(|until| *until > now);
    EventEndpoint { former_secret_until, ..endpoint }
}
