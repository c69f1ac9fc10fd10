//! Assigns a number to a ride: the one that the pair had before, or one from the pool.

use chrono::Duration;

use super::{Context, breakers::healthy_providers};
use crate::{
    domain::{
        clock::Time,
        error::{Error, Result},
        ids::{NumberId, PersonId, RideId},
        number::{NumberMatch, ProviderName},
        person::{Parties, Role},
        ride::{InheritedContact, NewRide, Ride},
    },
    store::{
        Tx,
        bindings::{self, FormerRide, Pair},
        outbox, pool,
        rides::{self, RideTimes},
    },
};

/// Maximum number of attempts to choose a number if other transactions win the race. Each attempt sees the row that
/// beat the one before.
const MAX_CHOICES: u32 = 16;

/// Request for a number between two people.
pub(super) struct NumberRequest {
    /// Customer and driver.
    parties: (PersonId, PersonId),
    /// Indexes of their phones.
    pub(super) pair: Pair,
    /// Countries whose numbers are preferred, in this order.
    pub(super) countries: Vec<String>,
}

/// Ride that needs a number.
#[derive(Clone, Copy)]
pub(super) enum Subject<'a> {
    /// A ride that is not stored yet, because its row needs a number; with the time of its automatic completion.
    New(&'a NewRide, Time),
    /// A stored ride. If it had a number, the caller has released it.
    Stored(RideId),
}

/// Contact window of the two people.
#[derive(Clone, Copy)]
pub(super) struct Contact {
    /// See [`Ride::contact_until`].
    pub(super) until: Time,
    /// See [`Ride::inherited`].
    pub(super) inherited: Option<InheritedContact>,
}

impl Contact {
    pub(super) fn of(ride: &Ride) -> Self {
        Self { until: ride.contact_until, inherited: ride.inherited }
    }

    /// Extends the contact by what a former ride left, if that ride was between these two people. Others with the same
    /// phones get nothing of it.
    fn at_least(self, former: &FormerRide, parties: (PersonId, PersonId)) -> Self {
        let Some(until) = former.open_until.filter(|_| former.parties == parties) else { return self };
        if self.inherited.is_some_and(|inherited| inherited.until >= until) {
            return self;
        }
        let own = self.inherited.map_or(self.until, |inherited| inherited.own);
        Self { until: self.until.max(until), inherited: Some(InheritedContact { until, from: former.ride_id, own }) }
    }
}

impl Subject<'_> {
    /// Stores the ride on this number, with this contact.
    async fn put_on(
        self,
        tx: &Tx,
        parties: (PersonId, PersonId),
        number: NumberId,
        contact: Contact,
        now: Time,
    ) -> Result<Ride> {
        let Contact { until: contact_until, inherited } = contact;
        match self {
            Self::New(new, timeout_at) => {
                let times = RideTimes { timeout_at, contact_until, inherited };
                rides::insert(tx, new, parties, number, times, now).await
            }
            Self::Stored(id) => {
                outbox::reroute(tx, id, number, now).await?;
                rides::move_to_number(tx, id, number, contact_until, inherited).await
            }
        }
    }
}

/// Ride on its assigned number.
pub(super) struct Assignment {
    pub(super) ride: Ride,
    /// Whether the pair had the number before.
    pub(super) is_pairs_own: bool,
}

pub(super) fn number_request(ctx: &Context, parties: &Parties) -> NumberRequest {
    let Parties { customer, driver } = parties;
    let mut countries: Vec<_> = [customer, driver].into_iter().filter_map(|person| person.phone.country()).collect();
    countries.dedup();
    let pair = Pair { customer: ctx.store.phone_index(&customer.phone), driver: ctx.store.phone_index(&driver.phone) };
    NumberRequest { parties: (customer.id, driver.id), pair, countries }
}

/// Stores the ride on a number of the pool: the one that the pair had before if they can have it again, otherwise the
/// first free one from a random point of the pool. Prefers providers that work. A stored ride must no longer hold a
/// number.
pub(super) async fn assign(
    ctx: &Context,
    tx: &Tx,
    request: &NumberRequest,
    mut subject: Subject<'_>,
    contact: Contact,
) -> Result<Assignment> {
    let (configured, healthy) = (ctx.providers.configured(), healthy_providers(ctx, tx).await?);
    // A number whose texts have to wait is better than none.
    let tiers = [(healthy.len() < configured.len()).then_some(&healthy), Some(&configured)];
    for usable in tiers.into_iter().flatten() {
        if let Some(placed) = assign_from(ctx, tx, request, &mut subject, contact, usable).await? {
            return Ok(placed);
        }
    }
    let NumberRequest { ref pair, ref countries, .. } = *request;
    let required = (ctx.settings.number_match == NumberMatch::Strict).then_some(countries.as_slice());
    Err(Error::PoolDepleted(pool::limit(tx, pair, &configured, required, ctx.now()).await?))
}

/// Like [`assign`], but only on a number of these providers. Returns `None` if they have no free number.
pub(super) async fn assign_from(
    ctx: &Context,
    tx: &Tx,
    request: &NumberRequest,
    subject: &mut Subject<'_>,
    contact: Contact,
    usable: &[ProviderName],
) -> Result<Option<Assignment>> {
    let NumberRequest { parties, ref pair, ref countries } = *request;
    let now = ctx.now();
    bindings::release_expired(tx, &[&pair.customer, &pair.driver], now).await?;
    if let Some(former) = bindings::former_of_pair(tx, pair, usable, now).await? {
        let contact = contact.at_least(&former, parties);
        let placed = subject.put_on(tx, parties, former.number_id, contact, now).await?;
        if bindings::take_over(tx, &former, pair, placed.id, ctx.settings.policy.window(contact.until)).await? {
            // From now on, nothing more can be queued on the former ride and stay behind there.
            rides::hand_over(tx, former.ride_id, now).await?;
            for (role, person) in [(Role::Customer, parties.0), (Role::Driver, parties.1)] {
                let was = if role == Role::Customer { former.customer_was } else { former.customer_was.other() };
                let person_was = if was == Role::Customer { former.parties.0 } else { former.parties.1 };
                // A text is inherited only if its recipient is the same person, not just the same phone. A text whose
                // contact has closed, or whose ride was deleted, is not sent when contact opens again.
                if person == person_was && former.open_until.is_some() {
                    outbox::inherit(tx, (former.ride_id, was), (placed.id, role), now).await?;
                }
            }
            return Ok(Some(Assignment { ride: placed, is_pairs_own: true }));
        }
        // Other people with the same two phones won the race.
        *subject = Subject::Stored(placed.id);
    }
    for _ in 0..MAX_CHOICES {
        let Some(number) = choose(ctx, tx, pair, countries, usable).await? else { return Ok(None) };
        let placed = subject.put_on(tx, parties, number, contact, now).await?;
        if bindings::bind(tx, number, pair, placed.id, ctx.settings.policy.window(contact.until)).await? {
            return Ok(Some(Assignment { ride: placed, is_pairs_own: false }));
        }
        *subject = Subject::Stored(placed.id);
    }
    Err(Error::Busy { retry_after: Duration::seconds(1) })
}

/// Chooses a number from the customer's country, otherwise from the driver's, otherwise from any country unless
/// `NUMBER_MATCH` is strict.
async fn choose(
    ctx: &Context,
    tx: &Tx,
    pair: &Pair,
    countries: &[String],
    usable: &[ProviderName],
) -> Result<Option<NumberId>> {
    for country in countries {
        let found = pool::choose(tx, pair, usable, Some(country), ctx.chance.point()).await?;
        if found.is_some() {
            return Ok(found);
        }
    }
    match ctx.settings.number_match {
        NumberMatch::Loose => pool::choose(tx, pair, usable, None, ctx.chance.point()).await,
        NumberMatch::Strict => Ok(None),
    }
}
