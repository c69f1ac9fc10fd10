//! Sends outbox items: claims a part, looks up its route again, hands it to the provider, records the outcome.
//!
//! The worker does the network exchange; this module does everything before and after it.

use std::sync::Arc;

use chrono::Duration;

use super::{
    Context,
    breakers::{probe_again, update_after_send},
};
use crate::{
    domain::{
        breaker::SendHealth,
        error::Result,
        ids::MessageId,
        message::{ProviderCode, SendFailure},
        number::ProviderName,
        outbound::{Exchange, NoResponse, OutboundRequest, OutboundResponse},
        retry,
    },
    provider::{OutboundText, Provider, SendOutcome},
    store::{
        breakers,
        outbox::{self, Cause, Claim, ClaimRequest, ClaimResult, Settlement},
        processes::Holder,
    },
};

/// Latest start of an exchange after its claim. An exchange takes at most 10 seconds, and must end before the lease
/// does.
const BEGINS_WITHIN: Duration = Duration::seconds(18);

/// Returns the lease of a claim that nothing else ends. A claim that names its process also ends when the process is
/// dead, so its lease can be long enough for clocks to differ by half a minute.
fn lease(holder: Holder) -> Duration {
    match holder {
        Holder::Unnamed => Duration::seconds(30),
        Holder::Process(_) => Duration::seconds(60),
    }
}

/// Maximum number of texts that expire in a run, each in its own transaction.
const EXPIRED_AT_ONCE: u32 = 200;

/// Part on its way to its provider, with what [`write_down`] needs to know.
pub struct Dispatch {
    claim: Claim,
    message: MessageId,
    provider: Arc<dyn Provider>,
}

/// Failed send.
struct SendError {
    why: SendFailure,
    /// Error code of the provider.
    code: Option<ProviderCode>,
    /// HTTP status of the provider's answer.
    status: Option<u16>,
}

impl SendError {
    fn reason(&self) -> String {
        self.why.with_code(self.code.as_ref())
    }

    fn cause<'a>(&self, reason: &'a str) -> Cause<'a> {
        Cause { reason, provider_status: self.status }
    }
}

/// Claims parts that are due at a provider, no more than it can take now.
pub async fn claim_due(ctx: &Context, provider: &ProviderName, limit: u32) -> Result<ClaimResult> {
    let now = ctx.now();
    let Some(adapter) = ctx.providers.get(provider) else { return Ok(ClaimResult::default()) };
    let Some(holder) = ctx.membership.holder() else { return Ok(ClaimResult::default()) };
    let lease = lease(holder);
    if let Holder::Process(process) = holder {
        ctx.in_hand.release_lost(&ctx.store, process, now).await?;
    }
    let _claiming = ctx.in_hand.claiming().await;
    let throughput = ctx.providers.throughput(adapter.profile());
    let claimed = ctx
        .store
        .write(|tx| async move {
            let open = breakers::open_locked(&tx, provider).await?;
            let probe_at = open.as_ref().and_then(|breaker| breaker.probe_at);
            if probe_at.is_some_and(|probe_at| now < probe_at) {
                return Ok(ClaimResult { claims: Vec::new(), again_at: probe_at });
            }
            let is_probe = open.is_some();
            let limit = if is_probe { 1 } else { limit };
            let minds_arrivals = ctx.settings.intercept.is_some();
            let request = ClaimRequest { provider, throughput, limit, lease, holder, is_probe, minds_arrivals };
            let claimed = outbox::claim(&tx, &request, now).await?;
            if let Some(breaker) = open.as_ref().filter(|_| !claimed.claims.is_empty()) {
                // No further probe before the outcome of this one is known, or its claim ends.
                breakers::probe(&tx, provider, now + lease, breaker.probes, holder).await?;
            }
            Ok(claimed)
        })
        .await;
    ctx.in_hand.add(&claimed);
    claimed
}

/// Checks whether a claimed part may be sent now: the claim holds, and lasts until the send is over.
pub fn may_send(ctx: &Context, claim: Claim) -> bool {
    let claimed_at = claim.until - lease(claim.holder);
    ctx.membership.holds(claim.holder) && ctx.now() <= claimed_at + BEGINS_WITHIN
}

/// Removes a claim from those in hand. If it is not `finished`, it will be released.
pub fn let_go(ctx: &Context, claim: Claim, finished: bool) {
    ctx.in_hand.let_go(claim, finished);
}

/// Expires texts that were not sent in time.
pub async fn expire_texts(ctx: &Context) -> Result<()> {
    let now = ctx.now();
    let overdue = outbox::overdue(&ctx.store, now, EXPIRED_AT_ONCE).await?;
    for text in &overdue {
        ctx.store.write(|tx| async move { outbox::expire(&tx, *text, now).await }).await?;
    }
    if !overdue.is_empty() {
        tracing::warn!(texts = overdue.len(), "expired texts that could not be sent in time (MESSAGE_TTL)");
    }
    Ok(())
}

/// Gives back a claim that was not sent: the part is due again at once, for any process.
pub async fn give_back(ctx: &Context, provider: &ProviderName, claim: Claim) -> Result<()> {
    let now = ctx.now();
    ctx.store.write(|tx| async move { outbox::give_back(&tx, claim, now).await }).await?;
    release_probe(ctx, provider, claim).await
}

/// Counts pending parts.
pub async fn pending_count(ctx: &Context) -> Result<u64> {
    outbox::pending_count(&ctx.store).await
}

/// Prepares a claimed part. Returns `None` if there is nothing to send, and records the reason.
pub async fn prepare(ctx: &Context, claim: Claim) -> Result<Option<(OutboundRequest, Dispatch)>> {
    let Some(part) = outbox::resolve(&ctx.store, claim, ctx.now()).await? else { return Ok(None) };
    let Some(route) = part.route else {
        settle(ctx, part.message_id, claim, Settlement::failed(Cause::of(SendFailure::ContactClosed.as_str()))).await?;
        return Ok(None);
    };
    let Some(provider) = ctx.providers.get(&route.provider) else {
        tracing::warn!(provider = %route.provider, "postponed a text: its provider is not configured");
        let why = SendError { why: SendFailure::ProviderNotConfigured, code: None, status: None };
        try_later(ctx, part.message_id, claim, None, false, &why).await?;
        return Ok(None);
    };
    let text = OutboundText {
        from: &route.from,
        to: &route.to,
        body: &part.body,
        media: &part.media,
        reference: &part.reference,
        report_url: &ctx.report_url(&route.provider),
    };
    let request = provider.build_send(&text, ctx.now());
    Ok(Some((request, Dispatch { claim, message: part.message_id, provider: Arc::clone(provider) })))
}

/// Handles a claimed part that was not sent. If it was a probe, the next part becomes the probe.
pub async fn release_probe(ctx: &Context, provider: &ProviderName, claim: Claim) -> Result<()> {
    if claim.is_probe { probe_again(ctx, provider).await } else { Ok(()) }
}

/// Records the outcome of a dispatch. `exchange` is `None` if the dispatch was aborted.
pub async fn write_down(ctx: &Context, dispatch: &Dispatch, exchange: Option<&Exchange>) -> Result<()> {
    match exchange {
        Some(exchange) => finish(ctx, dispatch, &exchange.outcome).await,
        None => break_off(ctx, dispatch).await,
    }
}

async fn finish(
    ctx: &Context,
    dispatch: &Dispatch,
    response: &std::result::Result<OutboundResponse, NoResponse>,
) -> Result<()> {
    let Dispatch { claim, message, provider } = dispatch;
    let (claim, message) = (*claim, *message);
    let outcome = match response {
        Ok(response) => provider.read_outcome(response),
        Err(none) if none.may_have_arrived => SendOutcome::InDoubt,
        Err(_) => SendOutcome::TryLater { after: None },
    };
    let answer = response.as_ref().ok();
    let status = answer.map(|answer| answer.status.as_u16());
    let code = answer.and_then(|answer| provider.read_code(answer));
    let provider = &provider.profile().name;
    let health = health(response, &outcome);
    let (attempt, shown) = (claim.attempt, code.as_ref().map(ProviderCode::as_str));
    match outcome {
        SendOutcome::Accepted { provider_id } => {
            let sent = Settlement { provider_id: Some(&provider_id), ..Settlement::sent() };
            settle(ctx, message, claim, sent).await?;
        }
        SendOutcome::Rejected { code } => {
            let shown = code.as_ref().map(ProviderCode::as_str);
            tracing::warn!(%provider, message_id = %message, attempt, status, code = shown, "provider rejected a text");
            let failed = SendError { why: SendFailure::ProviderRejected, code, status };
            settle(ctx, message, claim, Settlement::failed(failed.cause(&failed.reason()))).await?;
        }
        SendOutcome::RefusedUs => {
            tracing::warn!(%provider, message_id = %message, attempt, status, code = shown, "provider refused our credentials or account");
            let failed = SendError { why: SendFailure::ProviderRefusedUs, code, status };
            try_later(ctx, message, claim, None, false, &failed).await?;
        }
        SendOutcome::TryLater { after } => {
            tracing::warn!(%provider, message_id = %message, attempt, status, code = shown, "provider did not accept a text");
            let failed = SendError { why: SendFailure::ProviderUnavailable, code, status };
            try_later(ctx, message, claim, after, false, &failed).await?;
        }
        SendOutcome::InDoubt => {
            tracing::warn!(%provider, message_id = %message, attempt, status, code = shown, "failed to learn whether a provider accepted a text");
            let failed = SendError { why: SendFailure::ProviderUnavailable, code, status };
            try_later(ctx, message, claim, None, true, &failed).await?;
        }
    }
    update_after_send(ctx, provider, health, message, claim.is_probe).await
}

/// Records a dispatch that was aborted because its claim was lost. Nobody knows whether the provider has the text, and
/// this says nothing about the provider.
async fn break_off(ctx: &Context, dispatch: &Dispatch) -> Result<()> {
    let Dispatch { claim, message, provider } = dispatch;
    let provider = &provider.profile().name;
    tracing::warn!(%provider, message_id = %message, attempt = claim.attempt, "aborted a send: this process could not renew its counter");
    let failed = SendError { why: SendFailure::ProviderUnavailable, code: None, status: None };
    try_later(ctx, *message, *claim, None, true, &failed).await?;
    release_probe(ctx, provider, *claim).await
}

async fn try_later(
    ctx: &Context,
    message: MessageId,
    claim: Claim,
    after: Option<Duration>,
    in_doubt: bool,
    failed: &SendError,
) -> Result<()> {
    let reason = failed.reason();
    let cause = failed.cause(&reason);
    // If the provider refuses us, the text is not to blame and is not given up.
    if claim.tries >= retry::MAX_ATTEMPTS && failed.why != SendFailure::ProviderRefusedUs {
        return settle(ctx, message, claim, Settlement { in_doubt, ..Settlement::failed(cause) }).await;
    }
    let tries = if in_doubt { claim.tries + retry::DOUBT } else { claim.tries };
    // If its provider is down, a text waits for the provider and not for its own next attempt.
    let pause = if claim.is_probe && !in_doubt {
        after.unwrap_or_default()
    } else {
        retry::pause(tries, ctx.chance.unit(), after)
    };
    let due_at = ctx.now() + pause;
    ctx.store.write(|tx| async move { outbox::postpone(&tx, message, claim, due_at, in_doubt, cause).await }).await
}

async fn settle(ctx: &Context, message: MessageId, claim: Claim, settlement: Settlement<'_>) -> Result<()> {
    let (now, settlement) = (ctx.now(), &settlement);
    let settled =
        ctx.store.write(|tx| async move { outbox::settle(&tx, message, claim, settlement, now).await }).await?;
    if !settled {
        tracing::debug!(message_id = %message, "lost a claim: it was settled elsewhere");
    }
    Ok(())
}

/// Returns what a response shows about the provider itself.
fn health(response: &std::result::Result<OutboundResponse, NoResponse>, outcome: &SendOutcome) -> SendHealth {
    match (response, outcome) {
        (_, SendOutcome::Accepted { .. } | SendOutcome::Rejected { .. }) => SendHealth::Working,
        (_, SendOutcome::RefusedUs) => SendHealth::RefusingUs,
        (Ok(response), SendOutcome::TryLater { .. }) if !response.status.is_server_error() => SendHealth::Throttling,
        _ => SendHealth::Failing,
    }
}
