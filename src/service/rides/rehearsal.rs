//! A ride that is created and undone at once, to tell which number it would get and why no other.

use super::{
    Admitted,
    placing::{Placed, Subject},
};
use crate::{
    domain::{
        client::Caller,
        comparison::StoredSide,
        error::{Error, PoolLimit, Result},
        ids::NumberId,
        number::NumberMatch,
        phone::PhoneNumber,
        pool::{Preference, Rejection},
        ride::NewRide,
    },
    service::{Context, random},
    store::{numbers, pool},
};

/// What would come of a ride.
pub struct Rehearsal {
    /// The number that it would get, or the limit that leaves none.
    pub outcome: std::result::Result<Chosen, PoolLimit>,
    /// Numbers that it could have, that one included.
    pub free: i64,
    /// Numbers that it could not have, and why; each counts once.
    pub rejected: Vec<(Rejection, i64)>,
}

/// A number that a ride would get.
pub struct Chosen {
    /// Its id.
    pub id: NumberId,
    /// The number itself.
    pub phone: PhoneNumber,
    /// Why this one.
    pub preference: Preference,
}

/// Creates a ride as `rides::create` does and undoes it, people named in it included; no
/// idempotency key is taken and nobody is told. Answers which number it got and counts the rest of the pool.
pub async fn dry_run(ctx: &Context, caller: &Caller, new: &NewRide) -> Result<Rehearsal> {
    crate::service::comparisons::count_for(ctx, caller, StoredSide::DryRun, random::name("").into_bytes()).await?;
    let now = ctx.now();
    let usable = &ctx.providers.configured();
    let attempt = || {
        ctx.store.rehearse(move |tx| async move {
            let Admitted { parties, placing, timeout_at, contact } = super::admit(ctx, &tx, caller, new).await?;
            let outcome = match super::placing::place(ctx, &tx, &placing, Subject::New(new, timeout_at), contact).await
            {
                Ok(Placed { ride, is_pairs_own }) => {
                    let number = numbers::find(&tx, ride.number_id, now).await?;
                    let number = number.ok_or_else(|| Error::internal("a number just chosen is not there"))?;
                    let is_of = |country: Option<String>| country.is_some() && country == number.country;
                    let preference = if is_pairs_own {
                        Preference::SamePair
                    } else if is_of(parties.customer.phone.country()) {
                        Preference::CustomerCountry
                    } else if is_of(parties.driver.phone.country()) {
                        Preference::DriverCountry
                    } else {
                        Preference::Any
                    };
                    Ok(Chosen { id: number.id, phone: number.phone, preference })
                }
                Err(Error::PoolDepleted(limit)) => Err(limit),
                Err(cause) => return Err(cause),
            };
            Ok((outcome, placing.pair, placing.countries))
        })
    };
    let (outcome, pair, countries) = crate::service::comparisons::counting(ctx, caller.id, attempt).await?;
    // After the transaction and not in it: counting reads the whole pool, and nobody should wait for that.
    let required = (ctx.number_match == NumberMatch::Strict).then_some(countries.as_slice());
    let chosen = outcome.as_ref().ok().map(|chosen| chosen.id);
    let classes = pool::classes(&ctx.store, &pair, usable, required, chosen, now).await?;
    Ok(Rehearsal { outcome, free: classes.free, rejected: classes.rejected })
}
