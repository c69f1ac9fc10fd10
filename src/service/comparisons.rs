//! Limits how often a client that may not see phones compares a phone of its choice with stored ones.
//!
//! Inside its transaction, with its people locked, a use case determines what it is about to compare, and continues
//! only if all of it is counted ([`require_counted`]). Otherwise its transaction is rolled back, the comparisons are
//! counted in a separate transaction that stays committed whatever the outcome of the request, and the use case runs
//! again ([`counting`]). So nothing is compared without being counted, and hits and misses are limited alike.

use super::Context;
use crate::{
    domain::{
        client::ApiCaller,
        comparison::{Comparison, StoredSide},
        error::{Error, Result},
        ids::ClientId,
        person::{Person, PersonRef, Role},
        phone::PhoneNumber,
        ride::NewRide,
        scope::Scope,
    },
    store::{Tx, comparisons, people, rides},
};

/// Maximum number of runs of a use case. A later run finds further comparisons only if phones change at the same time.
const TRIES: usize = 6;

/// Runs a use case and counts what it compares.
pub(super) async fn counting<T, F>(ctx: &Context, client: ClientId, work: impl Fn() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    for _ in 0..TRIES {
        match work().await {
            Err(Error::Uncounted(comparisons)) => count(ctx, client, comparisons).await?,
            outcome => return outcome,
        }
    }
    Err(Error::Busy { retry_after: chrono::Duration::seconds(1) })
}

/// Counts comparisons. Returns an error if any of them is over the limit. The others are still counted: which one was
/// refused may depend on what the others would have found.
async fn count(ctx: &Context, client: ClientId, mut comparisons: Vec<Comparison>) -> Result<()> {
    comparisons.sort_unstable();
    comparisons.dedup();
    let (now, comparisons) = (ctx.now(), &comparisons);
    let wait = ctx
        .store
        .write(|tx| async move {
            let mut longest = None;
            for comparison in comparisons {
                longest = longest.max(comparisons::count(&tx, client, comparison, now).await?);
            }
            Ok(longest)
        })
        .await?;
    let subjects: Vec<_> = comparisons.iter().map(|comparison| comparison.subject.to_string()).collect();
    let subjects = subjects.join(" ");
    match wait {
        None => {
            tracing::info!(client_id = %client, subjects, "compared a caller-chosen phone with stored ones");
            Ok(())
        }
        Some(retry_after) => {
            tracing::warn!(client_id = %client, subjects, "refused to compare a caller-chosen phone: over the limit");
            Err(Error::Limited { retry_after })
        }
    }
}

/// Counts an operation that has a limit of its own, before it runs. A caller who may see phones has no limit.
pub(super) async fn count_for(ctx: &Context, caller: &ApiCaller, subject: StoredSide, digest: Vec<u8>) -> Result<()> {
    if caller.scopes.has(Scope::PhoneNumbersReveal) {
        tracing::info!(client_id = %caller.id, subjects = %subject, "compared a caller-chosen phone with stored ones");
        return Ok(());
    }
    count(ctx, caller.id, vec![Comparison { subject, digest }]).await
}

/// Counts a phone that a caller asks the simulator about.
pub async fn count_simulated(ctx: &Context, caller: &ApiCaller, phone: &PhoneNumber) -> Result<()> {
    count_for(ctx, caller, StoredSide::Simulator, ctx.store.phone_index(phone).0).await
}

/// Returns an error unless all of these are counted, or the caller may see phones.
pub(super) async fn require_counted(
    ctx: &Context,
    tx: &Tx,
    caller: &ApiCaller,
    comparisons: impl IntoIterator<Item = Comparison>,
) -> Result<()> {
    if caller.scopes.has(Scope::PhoneNumbersReveal) {
        return Ok(());
    }
    let mut comparisons: Vec<_> = comparisons.into_iter().collect();
    comparisons.sort_unstable();
    comparisons.dedup();
    let uncounted = comparisons::uncounted(tx, caller.id, &comparisons, ctx.now()).await?;
    if uncounted.is_empty() { Ok(()) } else { Err(Error::Uncounted(uncounted)) }
}

/// Describes the comparison of a phone of the caller's choice with `subject`.
pub(super) fn compared(ctx: &Context, subject: StoredSide, phone: &PhoneNumber) -> Comparison {
    Comparison { subject, digest: ctx.store.phone_index(phone).0 }
}

/// Describes the comparisons of two people's phones with each other.
pub(super) fn pair_compared(ctx: &Context, one: &Person, other: &Person) -> [Comparison; 2] {
    [compared(ctx, StoredSide::Person(one.id), &other.phone), compared(ctx, StoredSide::Person(other.id), &one.phone)]
}

/// Returns the comparisons made when a person gets this phone: with their current phone, and with the holders of the
/// numbers of their open rides.
async fn new_phone_compared(ctx: &Context, tx: &Tx, person: &Person, phone: &PhoneNumber) -> Result<Vec<Comparison>> {
    let mut all = vec![compared(ctx, StoredSide::Person(person.id), phone)];
    if ctx.store.phone_index(phone) == ctx.store.phone_index(&person.phone) {
        return Ok(all);
    }
    for id in rides::with_open_contact(tx, person.role, person.id, ctx.now()).await? {
        let Some(ride) = rides::find(tx, id).await? else { continue };
        all.push(compared(ctx, StoredSide::Person(ride.party(person.role.other())), phone));
        all.push(compared(ctx, StoredSide::Number(ride.number_id), phone));
    }
    Ok(all)
}

/// Returns an error unless the comparisons of a person's new phone are counted, or the caller may see phones.
pub(super) async fn require_new_phone_counted(
    ctx: &Context,
    tx: &Tx,
    caller: &ApiCaller,
    person: &Person,
    phone: &PhoneNumber,
) -> Result<()> {
    if caller.scopes.has(Scope::PhoneNumbersReveal) {
        return Ok(());
    }
    let compared = new_phone_compared(ctx, tx, person, phone).await?;
    require_counted(ctx, tx, caller, compared).await
}

/// Returns an error unless the comparisons of a new ride are counted, or the caller may see phones. Locks its people as
/// `people::resolve` does.
///
/// The caller knows a phone that it sends. The stored phone of a person named by id is secret, and it is compared with
/// the other party's.
pub(super) async fn require_ride_counted(ctx: &Context, tx: &Tx, caller: &ApiCaller, new: &NewRide) -> Result<()> {
    if caller.scopes.has(Scope::PhoneNumbersReveal) {
        return Ok(());
    }
    let customer = known(tx, Role::Customer, &new.customer).await?;
    let driver = known(tx, Role::Driver, &new.driver).await?;
    let parties = [(&new.customer, &customer, &new.driver, &driver), (&new.driver, &driver, &new.customer, &customer)];
    let mut all = Vec::new();
    for (asked, stored, other, other_stored) in parties {
        let Some(stored) = stored else { continue };
        let other = match other {
            PersonRef::Known(_) => other_stored.as_ref().map(|person| &person.phone),
            PersonRef::Inline { phone, .. } => Some(phone),
        };
        match asked {
            PersonRef::Known(_) => all.extend(other.map(|phone| compared(ctx, StoredSide::Person(stored.id), phone))),
            PersonRef::Inline { phone, .. } => all.extend(new_phone_compared(ctx, tx, stored, phone).await?),
        }
    }
    require_counted(ctx, tx, caller, all).await
}

/// Finds and locks the person of a new ride, if that person exists.
async fn known(tx: &Tx, role: Role, person: &PersonRef) -> Result<Option<Person>> {
    match person {
        PersonRef::Known(id) => people::find_locked(tx, role, *id).await,
        PersonRef::Inline { external_id, .. } => people::find_external_locked(tx, role, external_id).await,
    }
}
