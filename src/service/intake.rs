//! From a provider's webhook to our answer: verify, read, act, answer in the provider's dialect, in time.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    Context,
    relay::{take_call, take_text},
    reports::{after, take_call_report, take_report, take_waiting},
};
use crate::{
    domain::{
        call::CallFlow,
        contact::{CallReport, ProviderEvent},
        error::Result,
        notice::Announcement,
        number::ProviderName,
    },
    provider::{Endpoint, Provider, Receipt, Unverified, WebhookRequest, WebhookResponse, registry::Found},
};

/// A caller listens to silence meanwhile; providers give up after a few seconds.
const CALL_DEADLINE: Duration = Duration::from_secs(2);

/// Pauses between tries to write down what became of a call whose provider had its answer already.
const LATER: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(15), Duration::from_secs(40)];

/// What became of a webhook.
pub enum Intake {
    /// This answer.
    Answered(WebhookResponse),
    /// The provider has no account here, so nothing it sends can be verified.
    NotConfigured,
    /// There is no such provider.
    Unknown,
    /// The provider does not call this webhook by this method.
    WrongMethod,
}

/// Takes a webhook of the provider with this name.
pub async fn take_webhook(ctx: &Arc<Context>, provider: &str, endpoint: Endpoint, request: &WebhookRequest) -> Intake {
    match ctx.providers.find(provider) {
        Found::Unknown => Intake::Unknown,
        Found::NotConfigured => Intake::NotConfigured,
        Found::Configured(adapter) => {
            let profile = adapter.profile();
            if !profile.methods[endpoint as usize].contains(&request.method) {
                return Intake::WrongMethod;
            }
            Intake::Answered(answer(ctx, adapter.as_ref(), endpoint, request).await)
        }
    }
}

async fn answer(
    ctx: &Arc<Context>,
    adapter: &dyn Provider,
    endpoint: Endpoint,
    request: &WebhookRequest,
) -> WebhookResponse {
    let provider = &adapter.profile().name;
    let render = |flow: &CallFlow| adapter.render_call(flow, &ctx.report_url(provider));
    let verified = match adapter.verify(request, ctx.now()) {
        Ok(verified) => verified,
        Err(why) => {
            match why {
                Unverified::Unasked => {
                    tracing::debug!(%provider, endpoint = endpoint.as_str(), "a webhook was asked for credentials")
                }
                _ => tracing::warn!(%provider, endpoint = endpoint.as_str(), %why, "a webhook was refused"),
            }
            return adapter.refuse(why);
        }
    };
    let events = match adapter.parse(endpoint, &verified) {
        Ok(events) => events,
        Err(malformed) => {
            tracing::warn!(%provider, endpoint = endpoint.as_str(), %malformed, "a signed webhook made no sense");
            return match endpoint {
                Endpoint::Voice => render(&announce(ctx, Announcement::OutOfOrder)),
                Endpoint::Sms | Endpoint::Status => adapter.acknowledge(endpoint, Receipt::Unreadable),
            };
        }
    };
    let (mut flow, mut all_taken) = (None, true);
    let until = Instant::now() + adapter.profile().patience;
    for event in &events {
        // One that cannot be taken does not hold up those behind it; the provider repeats them all together.
        match take_event(ctx, provider, event, until).await {
            Ok(Some(decided)) => flow = Some(decided),
            Ok(None) => {}
            Err(NotTaken) => all_taken = false,
        }
    }
    if !all_taken {
        return adapter.acknowledge(endpoint, Receipt::NotNow);
    }
    match (flow, endpoint) {
        (Some(flow), _) => render(&flow),
        // Whatever this was, somebody may be waiting on the line; unless it was something that nobody waits for.
        (None, Endpoint::Voice) if !events.iter().any(is_about_texts) => {
            render(&announce(ctx, Announcement::NoContact))
        }
        (None, _) => adapter.acknowledge(endpoint, Receipt::Taken),
    }
}

async fn take_event(
    ctx: &Arc<Context>,
    provider: &ProviderName,
    event: &ProviderEvent,
    until: Instant,
) -> std::result::Result<Option<CallFlow>, NotTaken> {
    let for_calls = || Instant::now() + CALL_DEADLINE;
    match event {
        ProviderEvent::Text(text) => within(until, take_text(ctx, provider, text)).await.map(|()| None),
        ProviderEvent::Report(report) => within(until, take_report(ctx, provider, report)).await.map(|()| None),
        // A caller is never left unanswered, even when the database is.
        ProviderEvent::CallReport(report) if report.caller_waits => {
            let flow = within(for_calls(), take_waiting(ctx, provider, report)).await;
            Ok(Some(flow.unwrap_or_else(|NotTaken| {
                tokio::spawn(take_call_report_later(Arc::clone(ctx), provider.clone(), report.clone()));
                after(report.status, true, ctx.settings.catalogue.default())
            })))
        }
        ProviderEvent::CallReport(report) => {
            within(until, take_call_report(ctx, provider, report)).await.map(|()| None)
        }
        ProviderEvent::Call(call) => Ok(Some(
            within(for_calls(), take_call(ctx, provider, call))
                .await
                .unwrap_or_else(|NotTaken| announce(ctx, Announcement::OutOfOrder)),
        )),
        ProviderEvent::Ignored => Ok(None),
        ProviderEvent::Unreadable(why) => {
            tracing::warn!(%provider, why, "a part of a signed webhook made no sense");
            Ok(None)
        }
    }
}

/// Announcement for a caller about whom nothing is known.
fn announce(ctx: &Context, announcement: Announcement) -> CallFlow {
    ctx.settings.catalogue.default().announce(announcement)
}

/// The provider was answered already, and may not tell again.
async fn take_call_report_later(ctx: Arc<Context>, provider: ProviderName, report: CallReport) {
    for pause in LATER {
        tokio::time::sleep(pause).await;
        if take_call_report(&ctx, &provider, &report).await.is_ok() {
            return;
        }
    }
    tracing::error!(%provider, "what became of a call could not be written down");
}

fn is_about_texts(event: &ProviderEvent) -> bool {
    matches!(event, ProviderEvent::Text(_) | ProviderEvent::Report(_))
}

/// An event whose effect is not known to be committed. The provider repeats it; the inbox tells if it was.
struct NotTaken;

async fn within<T>(until: Instant, work: impl Future<Output = Result<T>>) -> std::result::Result<T, NotTaken> {
    match tokio::time::timeout_at(until, work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(cause)) => {
            tracing::error!(%cause, "a webhook could not be taken");
            Err(NotTaken)
        }
        Err(_) => {
            tracing::error!("a webhook could not be taken in time");
            Err(NotTaken)
        }
    }
}
