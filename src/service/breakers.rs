//! Provider health: failures in a row open a provider's breaker for all replicas, and a successful probe closes it.

pub(super) mod streaks;

use super::Context;
use crate::{
    domain::{
        breaker::{Breaker, BreakerReason, FIRST_PROBE, SendHealth, probe_pause},
        error::Result,
        event::{EventData, EventType},
        ids::MessageId,
        number::ProviderName,
    },
    store::{Db, breakers, events, outbox, processes::Holder},
};

/// Lists breakers that are open or have been.
pub async fn list(ctx: &Context) -> Result<Vec<Breaker>> {
    breakers::all(&ctx.store).await
}

/// Returns the configured providers, except those that have been down long enough that rides should use another.
pub(super) async fn healthy_providers(ctx: &Context, db: &impl Db) -> Result<Vec<ProviderName>> {
    let now = ctx.now();
    let down: Vec<_> =
        breakers::all(db).await?.into_iter().filter(|one| one.is_down(ctx.settings.failover.after, now)).collect();
    let mut healthy = ctx.providers.configured();
    healthy.retain(|name| !down.iter().any(|breaker| breaker.provider == *name));
    Ok(healthy)
}

/// Updates a provider's breaker from the outcome of a send.
pub(super) async fn update_after_send(
    ctx: &Context,
    provider: &ProviderName,
    health: SendHealth,
    text: MessageId,
    is_probe: bool,
) -> Result<()> {
    if is_probe {
        return match health {
            SendHealth::Failing => probe_failed(ctx, provider, BreakerReason::ProviderUnavailable).await,
            SendHealth::RefusingUs => probe_failed(ctx, provider, BreakerReason::ProviderRefusedUs).await,
            SendHealth::Throttling => probe_was_throttled(ctx, provider).await,
            SendHealth::Working => close(ctx, provider).await,
        };
    }
    if health == SendHealth::RefusingUs {
        // The provider refuses every text, so one failure is enough.
        return open(ctx, provider, BreakerReason::ProviderRefusedUs).await;
    }
    let most = ctx.settings.failover.breaker_failures;
    if most == 0 {
        return Ok(());
    }
    let opens = ctx.streaks.observe(provider, health, text, most);
    if opens {
        open(ctx, provider, BreakerReason::ProviderUnavailable).await?;
        // Only after opening succeeded: if it fails, the next failure tries again.
        ctx.streaks.forget(provider);
    }
    Ok(())
}

pub(super) async fn open(ctx: &Context, provider: &ProviderName, reason: BreakerReason) -> Result<()> {
    let now = ctx.now();
    let opened = ctx
        .store
        .write(|tx| async move {
            let opened = breakers::trip(&tx, provider, reason, now + FIRST_PROBE, now).await?;
            if opened {
                let down = EventData { reason: Some(reason.as_str().to_owned()), ..about(provider) };
                events::record(&tx, EventType::ProviderDown, &down, now).await?;
            } else if reason == BreakerReason::ProviderRefusedUs {
                breakers::set_reason(&tx, provider, reason).await?;
            }
            Ok(opened)
        })
        .await?;
    if opened {
        tracing::error!(%provider, %reason, "opened the breaker of a provider: its texts are held except for periodic probes");
    }
    Ok(())
}

pub(super) async fn close(ctx: &Context, provider: &ProviderName) -> Result<()> {
    let now = ctx.now();
    let closed = ctx
        .store
        .write(|tx| async move {
            let closed = breakers::close(&tx, provider, now).await?;
            if closed {
                outbox::release(&tx, provider, now).await?;
                events::record(&tx, EventType::ProviderUp, &about(provider), now).await?;
            }
            Ok(closed)
        })
        .await?;
    ctx.streaks.forget(provider);
    if closed {
        tracing::info!(%provider, "closed the breaker of a provider: it works again");
        ctx.wakeups.outbox.send();
    }
    Ok(())
}

pub(super) async fn probe_failed(ctx: &Context, provider: &ProviderName, reason: BreakerReason) -> Result<()> {
    let now = ctx.now();
    ctx.store
        .write(|tx| async move {
            let Some(breaker) = breakers::open_locked(&tx, provider).await? else { return Ok(()) };
            let probes = breaker.probes.saturating_add(1);
            breakers::probe(&tx, provider, now + probe_pause(probes), probes, Holder::Unnamed).await?;
            breakers::set_reason(&tx, provider, reason).await
        })
        .await
}

/// Handles a throttled probe: the provider works again, and the breaker closes. If it opened because the provider
/// refused us, that may still be so, and it stays open.
async fn probe_was_throttled(ctx: &Context, provider: &ProviderName) -> Result<()> {
    let open = breakers::all(&ctx.store).await?.into_iter().find(|breaker| breaker.provider == *provider);
    match open {
        Some(breaker) if breaker.is_refusing() => probe_failed(ctx, provider, BreakerReason::ProviderRefusedUs).await,
        _ => close(ctx, provider).await,
    }
}

/// Makes the next text the probe, because a claimed probe was not sent.
pub(super) async fn probe_again(ctx: &Context, provider: &ProviderName) -> Result<()> {
    let now = ctx.now();
    ctx.store
        .write(|tx| async move {
            let Some(breaker) = breakers::open_locked(&tx, provider).await? else { return Ok(()) };
            breakers::probe(&tx, provider, now, breaker.probes, Holder::Unnamed).await
        })
        .await
}

fn about(provider: &ProviderName) -> EventData {
    EventData { provider: Some(provider.clone()), ..EventData::default() }
}
