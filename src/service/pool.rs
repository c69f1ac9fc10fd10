//! The pool as its operators see it: how far the numbers reach, and a word in the log when they run low.

use std::sync::Mutex;

use chrono::{Duration, NaiveTime};

use super::Service;
use crate::{
    domain::{
        clock::Time,
        error::Result,
        pool::{Holders, Reach, Stock},
    },
    store::pool::{self, PoolCount},
};

/// How often upkeep looks whether the pool is low. Looking reads every binding.
const LOOK_EVERY: Duration = Duration::minutes(5);

/// The pool, counted.
pub struct PoolReport {
    /// All of it.
    pub whole: Stock,
    /// The same by provider and country.
    pub groups: Vec<PoolGroup>,
    /// The pool is low when fewer numbers than this are free for the busiest phone; never if it is 0.
    pub low_water: u32,
    /// Whether it is.
    pub low: bool,
}

/// The numbers of one provider in one country.
pub struct PoolGroup {
    /// The provider's name.
    pub provider: String,
    /// ISO 3166 country, if known.
    pub country: Option<String>,
    /// The numbers.
    pub stock: Stock,
}

/// What upkeep last saw of the pool.
#[derive(Default)]
pub(super) struct Watch(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    at: Option<Time>,
    low: bool,
}

impl Service {
    /// Counts the pool. Reads all numbers and all bindings.
    pub async fn pool(&self) -> Result<PoolReport> {
        let now = self.now();
        let midnight = now.date_naive().and_time(NaiveTime::MIN).and_utc();
        let usable = self.providers.configured();
        let counts = pool::count(&self.store, &usable, now).await?;
        let holders = pool::holders(&self.store, &usable, now).await?;
        let needed = pool::needed(&self.store, midnight, now).await?;
        let stock_of = |part: &pool::Part, counts: &[PoolCount]| {
            let sum = |of: fn(&PoolCount) -> i64| counts.iter().map(of).sum();
            let holders = holders.iter().filter(|(of, _)| of == part).map(|(_, holders)| *holders);
            let usable = sum(|count| count.usable);
            Stock {
                total: sum(|count| count.total),
                usable,
                open: sum(|count| count.open),
                cooling: sum(|count| count.cooling),
                reach: Reach::of(usable, holders.collect()),
                needed_today: needed.iter().find(|(of, _)| of == part).map_or(0, |(_, needed)| *needed),
            }
        };
        let whole = stock_of(&None, &counts);
        let groups = counts.iter().map(|count| {
            let (provider, country) = (count.provider.clone(), count.country.clone());
            let part = Some((provider.clone(), country.clone()));
            PoolGroup { provider, country, stock: stock_of(&part, std::slice::from_ref(count)) }
        });
        let groups = groups.collect();
        let low = self.is_low(whole.reach);
        Ok(PoolReport { whole, groups, low_water: self.low_water, low })
    }

    fn is_low(&self, reach: Reach) -> bool {
        reach.free_for_busiest < i64::from(self.low_water)
    }

    /// Says in the log when the pool becomes low, and when it no longer is; each once. Looks every few minutes only.
    pub(super) async fn watch_pool(&self) -> Result<()> {
        let now = self.now();
        if self.low_water == 0 || !self.pool_watch.is_due(now) {
            return Ok(());
        }
        let usable = self.providers.configured();
        let numbers = pool::count(&self.store, &usable, now).await?.iter().map(|count| count.usable).sum();
        let holders = pool::holders(&self.store, &usable, now).await?;
        let everywhere = |(part, holders): (pool::Part, Holders)| part.is_none().then_some(holders);
        let reach = Reach::of(numbers, holders.into_iter().filter_map(everywhere).collect());
        let (free, low_water) = (reach.free_for_busiest, self.low_water);
        match self.pool_watch.saw(now, self.is_low(reach)) {
            Some(true) => tracing::warn!(
                free,
                low_water,
                "the pool is low: few numbers are free for the busiest phone (POOL_LOW_WATER)"
            ),
            Some(false) => tracing::info!(free, low_water, "the pool is no longer low"),
            None => {}
        }
        Ok(())
    }
}

impl Watch {
    fn is_due(&self, now: Time) -> bool {
        self.seen().at.is_none_or(|at| now >= at + LOOK_EVERY)
    }

    /// Takes note; answers what the pool has become, if it was not so before.
    fn saw(&self, now: Time, low: bool) -> Option<bool> {
        let mut seen = self.seen();
        let changed = seen.low != low;
        *seen = Seen { at: Some(now), low };
        changed.then_some(low)
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::clock::{Clock as _, SystemClock};

    #[test]
    fn a_pool_is_said_to_be_low_once_and_to_have_recovered_once() {
        let (watch, start) = (Watch::default(), SystemClock.now());
        let looks = [false, true, true, false, false, true];
        let mut said = Vec::new();
        for (at, low) in (0..).zip(looks) {
            let now = start + LOOK_EVERY * at;
            assert!(watch.is_due(now));
            said.push(watch.saw(now, low));
            assert!(!watch.is_due(now + LOOK_EVERY / 2), "not looked at again too soon");
        }
        assert_eq!(said, [None, Some(true), None, Some(false), None, Some(true)]);
    }
}
