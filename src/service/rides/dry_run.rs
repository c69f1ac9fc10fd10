//! Dry run: creates a ride and undoes it, to show which number it would get and why no other.

use super::{Admission, admit};
use crate::{
    domain::{
        client::ApiCaller,
        comparison::StoredSide,
        error::{Error, PoolLimit, Result},
        ids::NumberId,
        number::NumberMatch,
        phone::PhoneNumber,
        pool::{Preference, Rejection},
        ride::NewRide,
    },
    service::{
        Context,
        assignment::{Assignment, Subject, assign},
        chance,
        comparisons::{count_for, counting},
    },
    store::{numbers, pool},
};

/// Result of a dry run.
pub struct DryRun {
    /// Number that the ride would get, or the limit that leaves none.
    pub outcome: std::result::Result<NumberChoice, PoolLimit>,
    /// Count of numbers that it could have, including the chosen one.
    pub free: i64,
    /// Counts of numbers that it could not have, by reason. Each number counts once.
    pub rejected: Vec<(Rejection, i64)>,
}

/// Number that a ride would get.
pub struct NumberChoice {
    pub id: NumberId,
    pub phone: PhoneNumber,
    /// Reason why this number is chosen.
    pub preference: Preference,
}

/// Creates a ride as `rides::create` does and undoes it, including changes to the people named in it. Takes no
/// idempotency key and notifies nobody. Returns the number that the ride got, and counts the rest of the pool.
pub async fn dry_run(ctx: &Context, caller: &ApiCaller, new: &NewRide) -> Result<DryRun> {
    count_for(ctx, caller, StoredSide::DryRun, chance::name("").into_bytes()).await?;
    let now = ctx.now();
    let usable = &ctx.providers.configured();
    let attempt = || {
        ctx.store.dry_run(move |tx| async move {
            let Admission { parties, number, timeout_at, contact } = admit(ctx, &tx, caller, new).await?;
            let outcome = match assign(ctx, &tx, &number, Subject::New(new, timeout_at), contact).await {
                Ok(Assignment { ride, is_pairs_own }) => {
                    let found = numbers::find(&tx, ride.number_id, now).await?;
                    let found = found.ok_or_else(|| Error::internal("a number just chosen is not there"))?;
                    let is_of = |country: Option<String>| country.is_some() && country == found.country;
                    let preference = if is_pairs_own {
                        Preference::SamePair
                    } else if is_of(parties.customer.phone.country()) {
                        Preference::CustomerCountry
                    } else if is_of(parties.driver.phone.country()) {
                        Preference::DriverCountry
                    } else {
                        Preference::Any
                    };
                    Ok(NumberChoice { id: found.id, phone: found.phone, preference })
                }
                Err(Error::PoolDepleted(limit)) => Err(limit),
                Err(cause) => return Err(cause),
            };
            Ok((outcome, number.pair, number.countries))
        })
    };
    let (outcome, pair, countries) = counting(ctx, caller.id, attempt).await?;
    // Outside the transaction: the count reads the whole pool, and nobody should wait for that.
    let required = (ctx.settings.number_match == NumberMatch::Strict).then_some(countries.as_slice());
    let chosen = outcome.as_ref().ok().map(|chosen| chosen.id);
    let classes = pool::classes(&ctx.store, &pair, usable, required, chosen, now).await?;
    Ok(DryRun { outcome, free: classes.free, rejected: classes.rejected })
}
