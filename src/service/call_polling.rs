//! Polls a provider for the results of calls, if the provider does not report them on its own.
//!
//! The worker does the network exchange; this module does everything before and after it. Nothing waits for an answer:
//! an unanswered poll is repeated later, until the call itself is closed.

use std::{collections::HashMap, sync::Arc};

use chrono::Duration;
use http::StatusCode;

use super::{
    Context,
    breakers::{close, open, probe_failed},
    reports::record_call_report,
};
use crate::{
    domain::{
        breaker::{Breaker, BreakerReason},
        clock::Time,
        error::Result,
        ids::CallId,
        number::ProviderName,
        outbound::{Exchange, NoResponse, OutboundRequest, OutboundResponse},
    },
    provider::{CallResults, Provider},
    store::{
        Tx, breakers,
        calls::{self, DuePoll},
        processes::Holder,
    },
};

/// Delay of the first poll: before the other phone has rung there is nothing to learn.
const FIRST: Duration = Duration::seconds(10);
const LONGEST_PAUSE: Duration = Duration::minutes(5);
/// Lease of a poll, which also ends when this process dies. Longer than the longest exchange.
const LEASE: Duration = Duration::minutes(1);

/// Poll in flight.
pub struct CallPoll {
    /// Whether this poll is the probe of a provider that refuses us.
    is_probe: bool,
    call: CallId,
    call_key: String,
    started_at: Time,
    provider: Arc<dyn Provider>,
}

/// Returns when to poll a call that begins now; `None` if its provider reports results.
pub(super) fn first_poll(ctx: &Context, provider: &ProviderName, now: Time) -> Option<Time> {
    let polls = |known: &Arc<dyn Provider>| known.profile().call_results == CallResults::Polling;
    ctx.providers.get(provider).is_some_and(polls).then(|| now + FIRST)
}

/// Claims due polls and builds their requests.
pub async fn claim_due(ctx: &Context, limit: u32) -> Result<Vec<(OutboundRequest, CallPoll)>> {
    let now = ctx.now();
    let Some(holder) = ctx.membership.holder() else { return Ok(Vec::new()) };
    let (due, refusing) = ctx
        .store
        .write(|tx| async move {
            let due = calls::claim_due_polls(&tx, limit, holder, now + LEASE, now).await?;
            let refusing = probe_refusing(&tx, &due, holder, now).await?;
            Ok((due, refusing))
        })
        .await?;
    let mut polls = Vec::with_capacity(due.len());
    for question in due {
        let name = question.provider;
        let is_probe = match refusing.get(&name) {
            // The provider refuses us and this poll is not the probe: it waits until its lease ends.
            Some(probe) if *probe != Some(question.id) => continue,
            probe => probe.is_some(),
        };
        let Some(provider) = ctx.providers.get(&name) else { continue };
        let Some(request) = provider.build_call_query(&question.provider_call_id, now) else { continue };
        let (call, started_at) = (question.id, question.started_at);
        let call_key = question.provider_call_id;
        polls.push((request, CallPoll { is_probe, call, call_key, started_at, provider: Arc::clone(provider) }));
    }
    Ok(polls)
}

/// Records an answer, and schedules another poll if the call goes on.
pub async fn record_answer(
    ctx: &Context,
    poll: &CallPoll,
    Exchange { outcome: response, .. }: &Exchange,
) -> Result<()> {
    let now = ctx.now();
    let provider = &poll.provider.profile().name;
    match response {
        Ok(answer) if answer.status.is_success() => {}
        Ok(answer) => {
            tracing::warn!(%provider, call = poll.call.0, status = answer.status.as_u16(), "failed to get a call result: the provider answered with an error");
        }
        Err(none) => {
            tracing::warn!(%provider, call = poll.call.0, why = %none.why, "failed to get a call result: the provider did not answer")
        }
    }
    let is_refused = response.as_ref().is_ok_and(|answer| answer.status == StatusCode::UNAUTHORIZED);
    judge_answer(ctx, poll, response, is_refused).await?;
    let news = response.as_ref().map(|response| poll.provider.read_call_query(&poll.call_key, response));
    let news = news.unwrap_or_default();
    let pause = ((now - poll.started_at) / 4).clamp(FIRST, LONGEST_PAUSE);
    let pause = if is_refused { LONGEST_PAUSE } else { pause };
    let news = &news;
    ctx.store
        .write(|tx| async move {
            for report in news {
                record_call_report(&tx, provider, report, now).await?;
            }
            calls::poll_again(&tx, poll.call, now + pause).await
        })
        .await
}

/// Updates the breaker from what an answer shows about our credentials, which are the same as for texts.
async fn judge_answer(
    ctx: &Context,
    poll: &CallPoll,
    response: &std::result::Result<OutboundResponse, NoResponse>,
    is_refused: bool,
) -> Result<()> {
    let (provider, refused) = (&poll.provider.profile().name, BreakerReason::ProviderRefusedUs);
    match response {
        _ if poll.is_probe && is_refused => probe_failed(ctx, provider, refused).await,
        _ if is_refused => open(ctx, provider, refused).await,
        Ok(answer) if poll.is_probe && !answer.status.is_server_error() => close(ctx, provider).await,
        _ if poll.is_probe => probe_failed(ctx, provider, refused).await,
        _ => Ok(()),
    }
}

/// Returns the providers of these polls that refuse us. Each comes with the one poll that probes whether it still does,
/// or with `None` if no probe is due.
async fn probe_refusing(
    tx: &Tx,
    due: &[DuePoll],
    holder: Holder,
    now: Time,
) -> Result<HashMap<ProviderName, Option<CallId>>> {
    let mut refusing = HashMap::new();
    for question in due {
        let provider = &question.provider;
        if refusing.contains_key(provider) {
            continue;
        }
        let Some(breaker) = breakers::open_locked(tx, provider).await?.filter(Breaker::is_refusing) else { continue };
        let is_due = breaker.probe_at.is_none_or(|at| at <= now);
        if is_due {
            breakers::probe(tx, provider, now + LEASE, breaker.probes, holder).await?;
        }
        refusing.insert(provider.clone(), is_due.then_some(question.id));
    }
    Ok(refusing)
}
