//! What `POST /v1/rides?dry_run=true` answers.

use crate::{
    domain::{
        error::PoolLimit,
        ids::NumberId,
        pool::{Preference, Rejection},
    },
    http::{
        fields::{Nullable, view},
        scalars::ShownPhone,
    },
    service::DryRun,
};

view! {
    /// What would come of a ride: its number, or the limit that leaves none; and the rest of the pool.
    DryRunView as "RideDryRun" {
        /// Id of the number that it would get; null if there is none. Among several that are equally good chance
        /// decides, so the ride itself may get another one.
        number_id: Nullable<NumberId>,
        /// That number, as both people would see it.
        proxy_number: Nullable<ShownPhone>,
        /// Why this one: the two phones had it before; or it is of the customer's country, of the driver's, or any.
        reason: Nullable<Preference>,
        /// Without a number: the limit that was hit first, as 409 `number_pool_depleted` would name it.
        limit: Nullable<PoolLimit>,
        /// How many numbers it could have, that one included.
        free: i64,
        /// How many numbers it could not have, by reason: the first that holds, in the order of the enumeration of
        /// `reason`, so that with `free` each number of the pool is counted once. Reasons without numbers are left out.
        /// Cooling includes numbers that both people's phones hold with each other, except for the one that would be
        /// chosen as `same_pair`.
        rejected: Vec<RejectedView>,
    }
}

view! {
    /// Numbers that a ride could not have.
    RejectedView as "RideDryRunRejected" {
        /// Why not. Held: contact of that phone over it is open; cooling: contact is over, and the cool-down is not.
        reason: Rejection,
        /// How many.
        numbers: i64,
    }
}

impl From<DryRun> for DryRunView {
    fn from(dry_run: DryRun) -> Self {
        let (chosen, limit) = match dry_run.outcome {
            Ok(chosen) => (Some(chosen), None),
            Err(limit) => (None, Some(limit)),
        };
        let rejected = dry_run.rejected.into_iter().map(|(reason, numbers)| RejectedView { reason, numbers });
        Self {
            number_id: Nullable(chosen.as_ref().map(|chosen| chosen.id)),
            proxy_number: Nullable(chosen.as_ref().map(|chosen| ShownPhone::of(&chosen.phone, true))),
            reason: Nullable(chosen.map(|chosen| chosen.preference)),
            limit: Nullable(limit),
            free: dry_run.free,
            rejected: rejected.collect(),
        }
    }
}
