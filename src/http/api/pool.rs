//! `/v1/pool`.

use std::sync::Arc;

use poem_openapi::OpenApi;

use super::group::Group;

use crate::{
    domain::scope::Scope,
    http::{
        auth::{Allowed, NumbersRead},
        fields::{Nullable, view},
        problem::Answer,
        reply::Found,
    },
    service::{Context, PoolGroup, PoolReport, pool},
};

view! {
    /// The pool, counted. A phone holds a number while it has contact over it, and while the number cools down for it.
    PoolView as "Pool" {
        /// All numbers.
        total: i64,
        /// Those that may be given to new rides.
        usable: i64,
        /// Those with an open contact window.
        open: i64,
        /// Those without one that still cool down for somebody.
        cooling: i64,
        /// Most numbers that one phone holds.
        busiest_held: i64,
        /// No fewer numbers would have done for today (UTC): the most different people that one phone has had contact
        /// with today and still holds a number for.
        needed_today: i64,
        /// Usable numbers that are free for a new pair, at least, where both phones hold as many as the median one of
        /// all phones that hold any: `usable` - 2 × median.
        free_at_median: i64,
        /// The same where one of the two phones holds most of all: `usable` - most - median.
        free_for_busiest: i64,
        /// The low-water mark, `POOL_LOW_WATER`; 0 if there is none.
        low_water: i64,
        /// Whether `free_for_busiest` is under the mark.
        low: bool,
        /// The same by provider and country.
        groups: Vec<GroupView>,
    }
}

view! {
    /// The numbers of one provider in one country.
    GroupView as "PoolGroup" {
        /// The provider.
        provider: String,
        /// ISO 3166 country.
        country: Nullable<String>,
        /// All numbers.
        total: i64,
        /// Those that may be given to new rides.
        usable: i64,
        /// Those with an open contact window.
        open: i64,
        /// Those without one that still cool down for somebody.
        cooling: i64,
        /// Most numbers of this group that one phone holds.
        busiest_held: i64,
        /// No fewer numbers of this group would have done for what it served today; see the whole pool.
        needed_today: i64,
        /// Usable numbers of this group that are free for a new pair at the median, at least; see the whole pool.
        free_at_median: i64,
        /// The same where one of the two phones holds most of all.
        free_for_busiest: i64,
    }
}

impl From<PoolReport> for PoolView {
    fn from(report: PoolReport) -> Self {
        let PoolReport { whole, groups, low_water, low } = report;
        Self {
            total: whole.total,
            usable: whole.usable,
            open: whole.open,
            cooling: whole.cooling,
            busiest_held: whole.reach.busiest_held,
            needed_today: whole.needed_today,
            free_at_median: whole.reach.free_at_median,
            free_for_busiest: whole.reach.free_for_busiest,
            low_water: low_water.into(),
            low,
            groups: groups.into_iter().map(GroupView::from).collect(),
        }
    }
}

impl From<PoolGroup> for GroupView {
    fn from(group: PoolGroup) -> Self {
        let PoolGroup { provider, country, stock } = group;
        Self {
            provider,
            country: Nullable(country),
            total: stock.total,
            usable: stock.usable,
            open: stock.open,
            cooling: stock.cooling,
            busiest_held: stock.reach.busiest_held,
            needed_today: stock.needed_today,
            free_at_median: stock.reach.free_at_median,
            free_for_busiest: stock.reach.free_for_busiest,
        }
    }
}

pub(in crate::http) struct PoolApi {
    pub(in crate::http) ctx: Arc<Context>,
}

#[OpenApi(tag = "Group::Numbers")]
impl PoolApi {
    /// Count the pool
    ///
    /// How many numbers there are, how many are in use, and how far they reach, by provider and country. It reads the
    /// whole pool and all that is held: ask every few minutes, not for every ride.
    #[oai(path = "/v1/pool", method = "get", operation_id = "get_pool")]
    async fn pool(
        &self,
        #[oai(scope = "Scope::NumbersRead")] _allowed: Allowed<NumbersRead>,
    ) -> Answer<Found<PoolView>> {
        Ok(Found::new(pool::report(&self.ctx).await?.into()))
    }
}
