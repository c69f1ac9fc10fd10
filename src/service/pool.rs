//! The pool as its operators see it: how far the numbers reach, and warnings to the platform and the log when they run
//! low.

use chrono::{Duration, NaiveTime};

use super::Context;
use crate::{
    domain::{
        error::{Error, PoolLimit, Result},
        event::{EventData, EventType},
        pool::{Holders, PoolLevel, Reach, Stock},
    },
    store::{
        events,
        pool::{self, PoolCount},
    },
};

/// Interval between checks of the pool level. Each reads every binding.
pub(super) const CHECK_INTERVAL: Duration = Duration::minutes(5);

/// Counts of the pool.
pub struct PoolReport {
    /// Counts of the whole pool.
    pub whole: Stock,
    /// Counts by provider and country.
    pub groups: Vec<PoolGroup>,
    /// The pool is low when fewer numbers than this are free for the busiest phone. If it is 0, the pool is never low.
    pub low_water: u32,
    /// Whether the pool is low.
    pub low: bool,
}

/// Numbers of one provider in one country.
pub struct PoolGroup {
    pub provider: String,
    /// ISO 3166 country, if known.
    pub country: Option<String>,
    pub stock: Stock,
}

/// Counts the pool. Reads all numbers and all bindings.
pub async fn report(ctx: &Context) -> Result<PoolReport> {
    let now = ctx.now();
    let midnight = now.date_naive().and_time(NaiveTime::MIN).and_utc();
    let usable = ctx.providers.configured();
    let counts = pool::count(&ctx.store, &usable, now).await?;
    let holders = pool::holders(&ctx.store, &usable, now).await?;
    let needed = pool::needed(&ctx.store, midnight, now).await?;
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
        PoolGroup { provider: provider.to_string(), country, stock: stock_of(&part, std::slice::from_ref(count)) }
    });
    let groups = groups.collect();
    let low = is_low(ctx, whole.reach);
    Ok(PoolReport { whole, groups, low_water: ctx.settings.low_water, low })
}

fn is_low(ctx: &Context, reach: Reach) -> bool {
    reach.free_for_busiest < i64::from(ctx.settings.low_water)
}

/// Notifies the platform, and logs, when the pool becomes low and when it has recovered: once each, for all replicas.
/// Skips the check if there can be nothing to report.
pub(super) async fn watch_pool(ctx: &Context) -> Result<()> {
    let now = ctx.now();
    let level = pool::level(&ctx.store).await?;
    let has_mark = ctx.settings.low_water > 0 || level != PoolLevel::Enough;
    if !has_mark {
        return Ok(());
    }
    let usable = ctx.providers.configured();
    let numbers = pool::count(&ctx.store, &usable, now).await?.iter().map(|count| count.usable).sum();
    let holders = pool::holders(&ctx.store, &usable, now).await?;
    let everywhere = |(part, holders): (pool::Part, Holders)| part.is_none().then_some(holders);
    let reach = Reach::of(numbers, holders.into_iter().filter_map(everywhere).collect());
    let (free, low_water) = (reach.free_for_busiest, ctx.settings.low_water);
    let Some(next) = level.after_check(free, low_water) else { return Ok(()) };
    if !move_level(ctx, level, next, None).await? {
        return Ok(());
    }
    if next == PoolLevel::Low {
        tracing::warn!(free, low_water, "the pool is low: few numbers are free for the busiest phone (POOL_LOW_WATER)");
    } else {
        tracing::info!(free, low_water, "the pool is no longer low");
    }
    Ok(())
}

/// Passes an outcome on. If a ride found no number, notifies the platform and logs it, once until the pool has
/// recovered. Must be called outside the transaction, which the missing number rolled back.
pub(super) async fn report_depletion<T>(ctx: &Context, outcome: Result<T>) -> Result<T> {
    if let Err(Error::PoolDepleted(limit)) = &outcome
        && let Err(cause) = record_depletion(ctx, *limit).await
    {
        tracing::error!(%cause, "failed to record that the pool is depleted");
    }
    outcome
}

async fn record_depletion(ctx: &Context, limit: PoolLimit) -> Result<()> {
    let level = pool::level(&ctx.store).await?;
    if level != PoolLevel::Depleted && move_level(ctx, level, PoolLevel::Depleted, Some(limit)).await? {
        tracing::warn!(%limit, "the pool is depleted: a ride found no number");
    }
    Ok(())
}

/// Moves the pool to another level and notifies the platform. Returns `false` if another replica was faster.
async fn move_level(ctx: &Context, from: PoolLevel, to: PoolLevel, limit: Option<PoolLimit>) -> Result<bool> {
    let now = ctx.now();
    let data = &EventData {
        status: Some(to.as_str().to_owned()),
        reason: limit.map(|limit| limit.as_str().to_owned()),
        ..EventData::default()
    };
    ctx.store
        .write(|tx| async move {
            let moved = pool::set_level(&tx, from, to, now).await?;
            if moved {
                events::record(&tx, EventType::of_pool(to), data, now).await?;
            }
            Ok(moved)
        })
        .await
}
