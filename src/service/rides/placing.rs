//! Finding the number of a ride: the one that the pair had before, or one of the pool.

use chrono::Duration;

use crate::{
    domain::{
        clock::Time,
        error::{Error, Result},
        ids::{NumberId, PersonId},
        number::{NumberMatch, ProviderName},
        person::Role,
        ride::{NewRide, Ride},
    },
    service::{Service, random},
    store::{
        Tx,
        bindings::{self, Pair},
        outbox, pool,
        rides::{self, RideTimes},
    },
};

/// How often another number is tried when somebody else was faster at one. Each try sees what beat it.
const MAX_CHOICES: u32 = 16;

/// A ride that needs a number.
pub(super) struct Placing<'a> {
    pub(super) new: &'a NewRide,
    /// Customer and driver.
    pub(super) parties: (PersonId, PersonId),
    /// Their phones.
    pub(super) pair: Pair,
    /// Whose countries' numbers go before others, and in this order.
    pub(super) countries: Vec<String>,
    pub(super) timeout_at: Time,
}

impl Service {
    /// Stores the ride on a number of the pool: the one that the pair had before, if it can have it again, or one
    /// from a random point of the pool on.
    pub(super) async fn place(&self, tx: &Tx, placing: &Placing<'_>) -> Result<Ride> {
        let Placing { new, parties, ref pair, ref countries, timeout_at } = *placing;
        let now = self.now();
        let usable = self.providers.configured();
        let policy = self.policy.with(&new.terms);
        let window = policy.window(timeout_at + policy.grace);
        let times = RideTimes { timeout_at, contact_until: window.contact_until, contact_floor: None };
        bindings::release_expired(tx, pair, now).await?;
        let mut ride: Option<Ride> = None;
        if let Some(former) = bindings::former_of_pair(tx, pair, &usable, now).await? {
            let contact_until = former.open_until.map_or(window.contact_until, |open| open.max(window.contact_until));
            let times = RideTimes { contact_until, contact_floor: former.open_until, ..times };
            let placed = rides::insert(tx, new, parties, former.number_id, times, now).await?;
            if bindings::take_over(tx, &former, pair, placed.id, self.policy.window(contact_until)).await? {
                for role in [Role::Customer, Role::Driver] {
                    let was = if role == Role::Customer { former.customer_was } else { former.customer_was.other() };
                    outbox::inherit(tx, (former.ride_id, was), (placed.id, role), now).await?;
                }
                rides::hand_over(tx, former.ride_id, now).await?;
                return Ok(placed);
            }
            // Other people with the same two phones were faster.
            ride = Some(placed);
        }
        for _ in 0..MAX_CHOICES {
            let Some(number) = self.choose(tx, pair, countries, &usable).await? else {
                let required = (self.number_match == NumberMatch::Strict).then_some(countries.as_slice());
                return Err(Error::PoolDepleted(pool::limit(tx, pair, &usable, required, now).await?));
            };
            let placed = match ride {
                None => rides::insert(tx, new, parties, number, times, now).await?,
                Some(ride) => rides::move_to_number(tx, ride, number).await?,
            };
            if bindings::bind(tx, number, pair, placed.id, window).await? {
                return Ok(placed);
            }
            ride = Some(placed);
        }
        Err(Error::Busy { retry_after: Duration::seconds(1) })
    }

    /// A number of the customer's country rather than of the driver's, and of that rather than of any other.
    async fn choose(
        &self,
        tx: &Tx,
        pair: &Pair,
        countries: &[String],
        usable: &[ProviderName],
    ) -> Result<Option<NumberId>> {
        for country in countries {
            let found = pool::choose(tx, pair, usable, Some(country), random::point()).await?;
            if found.is_some() {
                return Ok(found);
            }
        }
        match self.number_match {
            NumberMatch::Loose => pool::choose(tx, pair, usable, None, random::point()).await,
            NumberMatch::Strict => Ok(None),
        }
    }
}
