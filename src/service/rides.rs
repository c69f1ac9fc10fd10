//! Rides: creating one, with everything that belongs to it, in one transaction; editing and ending it.

mod dry_run;

use chrono::Duration;
pub use dry_run::{DryRun, dry_run};

use super::{
    Context, Once, RequestId,
    assignment::{Contact, NumberRequest, Subject, assign, number_request},
    comparisons::{counting, pair_compared, require_counted, require_ride_counted},
    moves::{change_driver, lock_next_driver},
    notices::{notify_both, notify_of_change, notify_of_next_driver},
    once::write_once,
    people::resolve,
    pool::report_depletion,
};
use crate::{
    domain::{
        client::ApiCaller,
        clock::Time,
        error::{Conflict, Error, FieldError, Invalid, Result},
        ids::RideId,
        notice::About,
        page::{Page, PageRequest},
        person::{Parties, PersonRef, Role},
        ride::{InheritedContact, NewRide, Ride, RideEventKind, RidePatch, Terms},
        version::ExpectedVersion,
    },
    store::{
        Tx, bindings,
        rides::{self, RideFilter},
    },
};

/// Error for the id of a person who does not exist.
const NOBODY: &str = "names nobody in this role";

/// New ride whose request is valid, with its people locked.
struct Admission {
    parties: Parties,
    number: NumberRequest,
    timeout_at: Time,
    contact: Contact,
}

/// Result of an edit.
struct RideEdit {
    /// Ride after the edit.
    after: Ride,
    /// Events that the edit causes.
    events: Vec<RideEventKind>,
    /// Contact that the customer and the previous driver had left from a former ride, if the driver changed.
    left: Option<InheritedContact>,
}

/// Creates a ride: picks a number that neither phone holds, binds both phones to it, and enqueues a confirmation to
/// both people. If the pool has no number for them, nothing changes.
pub async fn create(ctx: &Context, request: &RequestId, new: &NewRide) -> Result<Once<Ride>> {
    let now = ctx.now();
    let once = write_once(ctx, request, |tx| async move {
        let Admission { parties, number, timeout_at, contact } = admit(ctx, &tx, &request.caller, new).await?;
        let ride = assign(ctx, &tx, &number, Subject::New(new, timeout_at), contact).await?.ride;
        rides::record(&tx, &ride, RideEventKind::Created, now).await?;
        if new.notify {
            notify_both(ctx, &tx, About::Confirmation, &ride, &parties).await?;
        }
        Ok(ride)
    })
    .await;
    let once = report_depletion(ctx, once).await?;
    ctx.wakeups.outbox.send();
    Ok(once)
}

/// Finds or creates the people of a new ride, locks them, and checks everything that does not depend on the pool.
async fn admit(ctx: &Context, tx: &Tx, caller: &ApiCaller, new: &NewRide) -> Result<Admission> {
    require_ride_counted(ctx, tx, caller, new).await?;
    let now = ctx.now();
    let policy = ctx.settings.policy.with(&new.terms);
    let timeout_at = policy.timeout_at(new.datetime.to_utc(), now);
    let too_long = terms_too_long(ctx, &new.terms);
    // Customer, then driver: every ride locks in this order.
    let customer = resolve(ctx, tx, Role::Customer, &new.customer, now).await?;
    let driver = resolve(ctx, tx, Role::Driver, &new.driver, now).await?;
    let (customer, driver, timeout_at) = match (customer, driver, timeout_at) {
        (Some(customer), Some(driver), Ok(timeout_at)) if too_long.is_empty() => (customer, driver, timeout_at),
        (customer, driver, timeout_at) => {
            let unknown = |pointer, missing: bool| missing.then(|| FieldError::new(pointer, NOBODY));
            let wrong = [
                unknown("/customer_id", customer.is_none()),
                unknown("/driver_id", driver.is_none()),
                timeout_at.err().map(|bad| FieldError::new("/datetime", bad)),
            ];
            return Err(Error::Invalid(Invalid::Fields, wrong.into_iter().flatten().chain(too_long).collect()));
        }
    };
    let parties = Parties { customer, driver };
    let number = number_request(ctx, &parties);
    if number.pair.customer == number.pair.driver {
        let same = |pointer: String| FieldError::new(pointer, "has the same phone number as the other party");
        let wrong = vec![same(pointer_of("customer", &new.customer)), same(pointer_of("driver", &new.driver))];
        return Err(Error::Invalid(Invalid::SamePhone, wrong));
    }
    let contact = Contact { until: timeout_at + policy.grace, inherited: None };
    Ok(Admission { parties, number, timeout_at, contact })
}

pub async fn find(ctx: &Context, id: RideId) -> Result<Ride> {
    rides::find(&ctx.store, id).await?.ok_or(Error::NotFound)
}

pub async fn list(ctx: &Context, filter: &RideFilter, page: &PageRequest) -> Result<Page<Ride>> {
    rides::list(&ctx.store, filter, page, ctx.now()).await
}

/// Edits a ride: its plan while it is not over, and its status along the allowed transitions.
pub async fn edit(
    ctx: &Context,
    caller: &ApiCaller,
    id: RideId,
    patch: &RidePatch,
    expected: &ExpectedVersion,
) -> Result<Ride> {
    let attempt = || {
        ctx.store.write(move |tx| async move {
            let next_driver = lock_next_driver(&tx, id, patch.driver_id).await?;
            let ride = rides::find_locked(&tx, id).await?.ok_or(Error::NotFound)?;
            let now = ctx.now();
            expected.require(ride.version)?;
            // An overdue ride is over, even if no worker has recorded it yet. Nothing may reopen it: its people's
            // phones and its number may belong to others now.
            let ride = end_if_overdue(ctx, &tx, ride).await?;
            let RideEdit { mut after, events, left } = apply(ctx, &ride, patch)?;
            if events.is_empty() {
                return Ok(ride);
            }
            if after.contact_until != ride.contact_until {
                bindings::set_window(&tx, id, ctx.settings.policy.window(after.contact_until)).await?;
            }
            let is_passed_on = after.driver_id != ride.driver_id;
            if is_passed_on {
                let next = next_driver.as_ref().ok_or_else(|| Error::field("/driver_id", NOBODY))?;
                require_counted(ctx, &tx, caller, pair_compared(ctx, &next.parties.customer, &next.parties.driver))
                    .await?;
                after = change_driver(ctx, &tx, after, next, left).await?;
            }
            for event in events {
                rides::record(&tx, &after, event, now).await?;
            }
            let edited = rides::update(&tx, &after, now).await?;
            if edited.status.is_ended() || patch.quiet {
                return Ok(edited);
            }
            match next_driver.filter(|_| is_passed_on) {
                Some(next) => notify_of_next_driver(ctx, &tx, &edited, &next.parties).await?,
                None if is_replanned(&ride, &edited) => notify_of_change(ctx, &tx, &edited).await?,
                None => {}
            }
            Ok(edited)
        })
    };
    let edited = report_depletion(ctx, counting(ctx, caller.id, attempt).await).await?;
    ctx.wakeups.outbox.send();
    Ok(edited)
}

/// Ends a ride that is overdue, as of the moment its longest duration ran out.
async fn end_if_overdue(ctx: &Context, tx: &Tx, mut ride: Ride) -> Result<Ride> {
    if ride.status.is_ended() || ride.timeout_at > ctx.now() {
        return Ok(ride);
    }
    ride.time_out();
    rides::record(tx, &ride, RideEventKind::Completed, ride.timeout_at).await?;
    rides::update(tx, &ride, ctx.now()).await
}

/// Computes the ride after an edit, and the events of the edit.
fn apply(ctx: &Context, ride: &Ride, patch: &RidePatch) -> Result<RideEdit> {
    let now = ctx.now();
    let replaced = |asked: Option<_>, present| asked.is_some_and(|asked| asked != present);
    if replaced(patch.customer_id, ride.customer_id) {
        return Err(Conflict::PartyChangeUnsupported.into());
    }
    let mut after = ride.clone();
    let is_passed_on = replaced(patch.driver_id, ride.driver_id);
    let mut events = Vec::new();
    if let Some(external_id) = &patch.external_id {
        after.external_id.clone_from(external_id);
    }
    if let Some(start) = &patch.start {
        after.start = start.clone();
    }
    if let Some(destination) = &patch.destination {
        after.destination = destination.clone();
    }
    if let Some(datetime) = patch.datetime.filter(|datetime| *datetime != ride.datetime) {
        let policy = ride.policy(&ctx.settings.policy);
        let timeout_at = policy.timeout_at(datetime.to_utc(), now);
        let timeout_at = timeout_at.map_err(|bad| Error::field("/datetime", bad))?;
        after.reschedule(datetime, timeout_at, &policy);
    }
    let replanned = is_replanned(ride, &after);
    if (replanned || is_passed_on) && ride.status.is_ended() {
        return Err(Conflict::RideEnded.into());
    }
    // A new time would reopen a closed window, and the number may belong to somebody else now.
    if (after.datetime != ride.datetime || is_passed_on) && !ride.contact_open(now) {
        return Err(Conflict::ContactClosed.into());
    }
    let mut left = None;
    if let Some(driver) = patch.driver_id.filter(|_| is_passed_on) {
        left = after.pass_on(driver, &ride.policy(&ctx.settings.policy));
        if !after.contact_open(now) {
            // Only the contact left to the previous pair kept it open.
            return Err(Conflict::ContactClosed.into());
        }
    }
    if replanned || is_passed_on || after.external_id != ride.external_id {
        events.push(RideEventKind::Updated);
    }
    if let Some(status) = patch.status {
        after.move_to(status, now, &ride.policy(&ctx.settings.policy))?;
    }
    if after.status != ride.status {
        events.push(after.status.event());
    }
    Ok(RideEdit { after, events, left })
}

/// Extends or shortens the contact of a ride while it is open. A time that is not in the future closes it at once.
pub async fn set_contact(
    ctx: &Context,
    request: &RequestId,
    id: RideId,
    until: Time,
    expected: &ExpectedVersion,
) -> Result<Ride> {
    let once = write_once(ctx, request, |tx| async move {
        let ride = rides::find_locked(&tx, id).await?.ok_or(Error::NotFound)?;
        // Read after the lock: contact may have closed while another transaction held it.
        let now = ctx.now();
        expected.require(ride.version)?;
        let mut ride = end_if_overdue(ctx, &tx, ride).await?;
        if !ride.contact_open(now) {
            return Err(Conflict::ContactClosed.into());
        }
        let before = ride.contact_until;
        ride.set_contact(until, now, &ctx.settings.policy).map_err(|bad| Error::field("/until", bad))?;
        if ride.contact_until == before {
            return Ok(ride);
        }
        bindings::set_window(&tx, id, ctx.settings.policy.window(ride.contact_until)).await?;
        rides::record(&tx, &ride, RideEventKind::Updated, now).await?;
        rides::update(&tx, &ride, now).await
    })
    .await?;
    Ok(once.value)
}

/// Checks the plan of a new ride, as far as it is known. [`create`] makes the same checks.
pub fn wrong_plan(ctx: &Context, datetime: Option<Time>, terms: &Terms) -> Vec<FieldError> {
    let timeout_at = datetime.map(|datetime| ctx.settings.policy.with(terms).timeout_at(datetime, ctx.now()));
    let bad = timeout_at.and_then(std::result::Result::err).map(|bad| FieldError::new("/datetime", bad));
    bad.into_iter().chain(terms_too_long(ctx, terms)).collect()
}

/// Checks the new time of a ride, assuming the longest duration that any ride may have.
pub fn wrong_time(ctx: &Context, datetime: Option<Time>) -> Vec<FieldError> {
    wrong_plan(ctx, datetime, &Terms { max_duration: Some(ctx.settings.policy.max_duration_limit), grace: None })
}

/// Checks the durations that a ride sets for itself against the limits.
fn terms_too_long(ctx: &Context, terms: &Terms) -> Vec<FieldError> {
    let asked = [
        ("/grace_s", terms.grace, ctx.settings.policy.grace_limit),
        ("/max_duration_s", terms.max_duration, ctx.settings.policy.max_duration_limit),
    ];
    let too_long = asked.into_iter().filter(|(_, asked, limit)| asked.is_some_and(|asked| asked > *limit));
    let rule = |limit: Duration| format!("must be at most {}", limit.num_seconds());
    too_long.map(|(pointer, _, limit)| FieldError::new(pointer, rule(limit))).collect()
}

/// Deletes a ride: contact closes at once, and its number cools down for both phones.
pub async fn delete(ctx: &Context, id: RideId, expected: &ExpectedVersion) -> Result<()> {
    ctx.store
        .write(|tx| async move {
            let ride = rides::find_locked(&tx, id).await?.ok_or(Error::NotFound)?;
            let now = ctx.now();
            expected.require(ride.version)?;
            if ride.contact_open(now) {
                bindings::set_window(&tx, id, ctx.settings.policy.window(now)).await?;
            }
            rides::delete(&tx, &ride, now).await
        })
        .await
}

/// Ends rides whose longest duration has run out, at most `limit`. Returns how many. Contact closes without a worker;
/// this only records it.
pub async fn end_overdue(ctx: &Context, limit: u64) -> Result<usize> {
    let now = ctx.now();
    let overdue = rides::overdue(&ctx.store, now, limit).await?;
    for id in &overdue {
        ctx.store
            .write(|tx| async move {
                if let Some(ride) = rides::find_locked(&tx, *id).await? {
                    end_if_overdue(ctx, &tx, ride).await?;
                }
                Ok(())
            })
            .await?;
    }
    Ok(overdue.len())
}

/// Notifies the platform of rides whose contact has closed, at most about `limit`. Returns how many.
pub async fn announce_closings(ctx: &Context, limit: u64) -> Result<usize> {
    let now = ctx.now();
    ctx.store.write(|tx| async move { rides::announce_closings(&tx, now, limit).await }).await
}

/// Checks whether the time or place of a ride changed.
fn is_replanned(before: &Ride, after: &Ride) -> bool {
    (&after.start, &after.destination, after.datetime) != (&before.start, &before.destination, before.datetime)
}

/// Returns the pointer to the field of the request that identifies this person.
fn pointer_of(party: &str, person: &PersonRef) -> String {
    match person {
        PersonRef::Known(_) => format!("/{party}_id"),
        PersonRef::Inline { .. } => format!("/{party}/phone_number"),
    }
}
