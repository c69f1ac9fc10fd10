//! Moves rides while they are live: to another driver, to a person's new phone, or off a number that was suspended or
//! whose provider is down.
//!
//! The binding of the old phone to the old number stays, closed and barred: that phone reaches nobody through it, and
//! nobody else gets it before the cool-down is over. Every move locks the ride's people first, customer before driver,
//! and then the ride, as creating a ride does.

pub(super) mod cursor;

use std::collections::BTreeSet;

use super::{
    Context,
    assignment::{Assignment, Contact, NumberRequest, Subject, assign, assign_from, number_request},
    breakers::healthy_providers,
    notices::{notify, notify_both},
    pool::report_depletion,
};
use crate::{
    domain::{
        clock::Time,
        error::{Error, FieldError, Invalid, PoolLimit, Result},
        ids::{PersonId, RideId},
        notice::About,
        number::{NumberStatus, ProviderName},
        person::{Parties, Person, Role},
        phone::PhoneNumber,
        ride::{CloseReason, InheritedContact, Ride, RideEventKind},
    },
    store::{
        Tx,
        bindings::{self, Pair},
        numbers, outbox, people, pool, rides,
    },
};

/// Reason why a ride leaves its number.
#[derive(Clone, Copy)]
enum MoveReason<'a> {
    /// The number is suspended: any other one will do.
    Suspended,
    /// Its provider is down: the ride moves only to a number of these providers.
    DownFor(&'a [ProviderName]),
}

/// Customer of a ride with its next and its previous driver, all locked.
pub(super) struct NextDriver {
    pub(super) parties: Parties,
    /// Previous driver; `None` if that person was erased.
    before: Option<Person>,
}

/// Locks the people of a ride and the driver whom the edit assigns. Returns `None` if the edit assigns none, or there
/// is no such ride or person.
pub(super) async fn lock_next_driver(tx: &Tx, id: RideId, driver: Option<PersonId>) -> Result<Option<NextDriver>> {
    let Some(driver) = driver else { return Ok(None) };
    let Some(ride) = rides::find(tx, id).await? else { return Ok(None) };
    let customer = people::find_locked(tx, Role::Customer, ride.customer_id).await?;
    let (mut next, mut before) = (None, None);
    // In the order of ids, so that two edits cannot deadlock on each other's second driver.
    for id in BTreeSet::from([driver, ride.driver_id]) {
        let found = people::find_locked(tx, Role::Driver, id).await?;
        if id == driver { next = found } else { before = found }
    }
    let parties = customer.zip(next).map(|(customer, driver)| Parties { customer, driver });
    Ok(parties.map(|parties| NextDriver { parties, before }))
}

/// Assigns the next driver to a ride. The ride stays on the number that the customer knows if the driver can have it,
/// and otherwise gets another one. The old driver is cut off: everything queued to or from them is dropped.
///
/// If the customer and the old driver inherited contact from an earlier ride, they keep it and the number, and
/// this ride gets another one. If no other number is free, this ride takes precedence: on one number, the customer
/// could not distinguish the two drivers, and would answer one but reach the other.
pub(super) async fn change_driver(
    ctx: &Context,
    tx: &Tx,
    after: Ride,
    next: &NextDriver,
    inherited: Option<InheritedContact>,
) -> Result<Ride> {
    let now = ctx.now();
    let barred_until = ctx.settings.policy.window(now).barred_until;
    let request = number_request(ctx, &next.parties);
    let Pair { customer, driver } = &request.pair;
    if customer == driver {
        let same = FieldError::new("/driver_id", "has the same phone number as the other party");
        return Err(Error::Invalid(Invalid::SamePhone, vec![same]));
    }
    if let Some((former, until)) = lock_former(ctx, tx, &after, next, inherited).await?
        && let Some(moved) = leave_number_to(ctx, tx, &former, until, &after, &request).await?
    {
        return Ok(moved);
    }
    outbox::cut_off(tx, after.id, Role::Driver, now).await?;
    rides::record_driver_change(tx, after.id, now).await?;
    bindings::retire(tx, after.id, Role::Driver, now, barred_until).await?;
    bindings::release_expired(tx, &[driver], now).await?;
    let window = ctx.settings.policy.window(after.contact_until);
    let stays = numbers::status(tx, after.number_id).await? != Some(NumberStatus::Suspended)
        && bindings::rebind(tx, after.number_id, (driver, Role::Driver), after.id, window).await?;
    if stays {
        return Ok(after);
    }
    bindings::retire(tx, after.id, Role::Customer, now, barred_until).await?;
    let placed = assign(ctx, tx, &request, Subject::Stored(after.id), Contact::of(&after)).await?;
    Ok(on_number_of(after, placed))
}

/// Finds and locks the ride that left contact to this ride's customer and old driver. Returns it with the end of that
/// contact, if the two can have it again. They cannot if the next driver has the old driver's phone.
async fn lock_former(
    ctx: &Context,
    tx: &Tx,
    after: &Ride,
    next: &NextDriver,
    inherited: Option<InheritedContact>,
) -> Result<Option<(Ride, Time)>> {
    let now = ctx.now();
    let Some(inherited) = inherited.filter(|inherited| inherited.until > now) else { return Ok(None) };
    let Some(before) = &next.before else { return Ok(None) };
    if ctx.store.phone_index(&before.phone) == ctx.store.phone_index(&next.parties.driver.phone) {
        return Ok(None);
    }
    let Some(former) = rides::find_locked(tx, inherited.from).await? else { return Ok(None) };
    let is_theirs = (former.customer_id, former.driver_id) == (after.customer_id, before.id);
    Ok((is_theirs && !former.contact_open(now)).then_some((former, inherited.until)))
}

/// Returns the ride's number to the former ride of its customer and old driver, with contact until `until` and the
/// texts pending from it, and moves the ride to another number. Returns `None`, with nothing changed, if no other
/// number is free.
///
/// The former ride gets its texts back first: on its new number, the ride may inherit texts of yet another one.
async fn leave_number_to(
    ctx: &Context,
    tx: &Tx,
    former: &Ride,
    until: Time,
    after: &Ride,
    request: &NumberRequest,
) -> Result<Option<Ride>> {
    let now = ctx.now();
    let moved = tx.attempt(|tx| async move {
        bindings::pass(&tx, after.id, former.id, ctx.settings.policy.window(until)).await?;
        let former = rides::reopen_contact(&tx, former, after.number_id, until, now).await?;
        rides::record(&tx, &former, RideEventKind::Updated, now).await?;
        for &to in Role::ALL {
            outbox::bequeath(&tx, (after.id, former.id), to, now).await?;
        }
        outbox::reroute(&tx, former.id, former.number_id, now).await?;
        outbox::cut_off(&tx, after.id, Role::Driver, now).await?;
        rides::record_driver_change(&tx, after.id, now).await?;
        assign(ctx, &tx, request, Subject::Stored(after.id), Contact::of(after)).await
    });
    match moved.await {
        Ok(placed) => Ok(Some(on_number_of(after.clone(), placed))),
        Err(Error::PoolDepleted(_)) => Ok(None),
        Err(cause) => Err(cause),
    }
}

/// Moves a person's open rides to another phone, all of them or none.
pub(super) async fn follow_phone(ctx: &Context, tx: &Tx, person: &Person, phone: &PhoneNumber) -> Result<()> {
    let now = ctx.now();
    let (was, is) = (ctx.store.phone_index(&person.phone), ctx.store.phone_index(phone));
    if was == is {
        return Ok(());
    }
    bindings::release_expired(tx, &[&is], now).await?;
    let mut in_conflict = Vec::new();
    for id in rides::with_open_contact(tx, person.role, person.id, now).await? {
        let Some(ride) = rides::find_locked(tx, id).await? else { continue };
        // It may have closed, or changed its driver, before this transaction locked it.
        if !ride.contact_open(now) || ride.party(person.role) != person.id {
            continue;
        }
        let window = ctx.settings.policy.window(ride.contact_until);
        bindings::retire(tx, id, person.role, now, ctx.settings.policy.window(now).barred_until).await?;
        // If the other party has this very phone, that party's own row is in the way.
        if !bindings::rebind(tx, ride.number_id, (&is, person.role), id, window).await? {
            in_conflict.push(id);
        }
    }
    if in_conflict.is_empty() { Ok(()) } else { Err(Error::PhoneBarred(in_conflict)) }
}

/// Moves rides with open contact off suspended numbers, at most `limit`. Returns how many there were. If no other
/// number is free for a ride, its contact is closed and both people are notified.
pub async fn leave_suspended_numbers(ctx: &Context, limit: u64) -> Result<usize> {
    let ids = rides::on_suspended_numbers(&ctx.store, ctx.now(), limit).await?;
    for id in &ids {
        match report_depletion(ctx, leave_number(ctx, *id, MoveReason::Suspended).await).await {
            Err(Error::PoolDepleted(_)) => strand(ctx, *id).await?,
            // Too many other transactions won the race: the next run tries this ride again.
            Err(Error::Busy { .. }) | Ok(_) => {}
            Err(cause) => return Err(cause),
        }
    }
    if !ids.is_empty() {
        ctx.wakeups.outbox.send();
    }
    Ok(ids.len())
}

/// With `FAILOVER=rebind`, moves rides with open contact off numbers of providers that are down, at most `limit`.
/// Returns how many moved. If no other provider has a free number, a ride waits for its own.
pub async fn leave_down_providers(ctx: &Context, limit: u64) -> Result<usize> {
    if !ctx.settings.failover.rebind {
        return Ok(0);
    }
    let healthy = healthy_providers(ctx, &ctx.store).await?;
    let mut down = ctx.providers.configured();
    down.retain(|provider| !healthy.contains(provider));
    // Starts where the previous round ended, so that rides that have to wait do not hold up others.
    let ids = rides::on_numbers_of(&ctx.store, &down, ctx.failover_cursor.get(), ctx.now(), limit).await?;
    let is_last_round = u64::try_from(ids.len()).is_ok_and(|found| found < limit);
    ctx.failover_cursor.set(ids.last().filter(|_| !is_last_round).copied().unwrap_or(RideId(0)));
    let mut moved = 0;
    for id in &ids {
        match leave_number(ctx, *id, MoveReason::DownFor(&healthy)).await {
            Ok(true) => moved += 1,
            Ok(false) | Err(Error::PoolDepleted(_) | Error::Busy { .. }) => {}
            Err(cause) => return Err(cause),
        }
    }
    if moved > 0 {
        ctx.wakeups.outbox.send();
    }
    Ok(moved)
}

/// Moves one ride to another number and notifies both people. Returns `false` if it no longer has to leave its own.
async fn leave_number(ctx: &Context, id: RideId, why: MoveReason<'_>) -> Result<bool> {
    let now = ctx.now();
    ctx.store
        .write(|tx| async move {
            let Some((ride, parties)) = lock_stuck(ctx, &tx, id, why).await? else { return Ok(false) };
            for &role in Role::ALL {
                bindings::retire(&tx, id, role, now, ctx.settings.policy.window(now).barred_until).await?;
            }
            let (request, contact) = (number_request(ctx, &parties), Contact::of(&ride));
            let placed = match why {
                MoveReason::Suspended => assign(ctx, &tx, &request, Subject::Stored(id), contact).await?,
                MoveReason::DownFor(healthy) => {
                    let placed = assign_from(ctx, &tx, &request, &mut Subject::Stored(id), contact, healthy).await?;
                    placed.ok_or(Error::PoolDepleted(PoolLimit::NoneActive))?
                }
            };
            let placed = placed.ride;
            rides::record(&tx, &placed, RideEventKind::Updated, now).await?;
            let moved = rides::update(&tx, &placed, now).await?;
            notify_both(ctx, &tx, About::NewNumber, &moved, &parties).await?;
            Ok(true)
        })
        .await
}

/// Closes contact of a ride for which no number is left, and notifies both people from any number that can still send.
async fn strand(ctx: &Context, id: RideId) -> Result<()> {
    let now = ctx.now();
    ctx.store
        .write(|tx| async move {
            let Some((mut ride, parties)) = lock_stuck(ctx, &tx, id, MoveReason::Suspended).await? else { return Ok(()) };
            for &to in Role::ALL {
                // The texts queued there have no route, and must not hold up the final notice.
                outbox::cut_off(&tx, id, to, now).await?;
            }
            for &to in Role::ALL {
                let phone = ctx.store.phone_index(&parties.of(to).phone);
                match pool::sender(&tx, &phone, &ctx.providers.configured()).await? {
                    Some(number) => notify(ctx, &tx, (About::Stranded, to), &ride, &parties, number).await?,
                    None => tracing::warn!(ride_id = %id, %to, "failed to notify a party of closed contact: no number left"),
                }
            }
            ride.contact_until = now;
            ride.inherited = None;
            ride.closed_reason = Some(CloseReason::NumberSuspended);
            bindings::set_window(&tx, id, ctx.settings.policy.window(now)).await?;
            rides::record(&tx, &ride, RideEventKind::Updated, now).await?;
            rides::update(&tx, &ride, now).await?;
            tracing::warn!(ride_id = %id, "closed the contact of a ride: its number is suspended, and no other is free");
            Ok(())
        })
        .await
}

/// Returns the ride with its people, all locked, if it still has open contact on a number that it must leave.
async fn lock_stuck(ctx: &Context, tx: &Tx, id: RideId, why: MoveReason<'_>) -> Result<Option<(Ride, Parties)>> {
    let Some(seen) = rides::find(tx, id).await? else { return Ok(None) };
    let customer = people::find_locked(tx, Role::Customer, seen.customer_id).await?;
    let driver = people::find_locked(tx, Role::Driver, seen.driver_id).await?;
    let Some((customer, driver)) = customer.zip(driver) else { return Ok(None) };
    let Some(ride) = rides::find_locked(tx, id).await? else { return Ok(None) };
    let is_stuck = match why {
        MoveReason::Suspended => numbers::status(tx, ride.number_id).await? == Some(NumberStatus::Suspended),
        MoveReason::DownFor(healthy) => {
            numbers::provider(tx, ride.number_id).await?.is_some_and(|provider| !healthy.contains(&provider))
        }
    };
    // If the driver has changed since the first read, a later run tries again.
    let is_same = ride.driver_id == seen.driver_id;
    Ok((is_stuck && is_same && ride.contact_open(ctx.now())).then_some((ride, Parties { customer, driver })))
}

/// Returns the edited ride on the number that it was assigned.
fn on_number_of(after: Ride, Assignment { ride, .. }: Assignment) -> Ride {
    Ride {
        number_id: ride.number_id,
        proxy_number: ride.proxy_number,
        contact_until: ride.contact_until,
        inherited: ride.inherited,
        ..after
    }
}
