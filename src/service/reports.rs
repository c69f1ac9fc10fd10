//! Provider reports: whether a text was delivered, and how a call went.

use chrono::Duration;

use super::Context;
use crate::{
    domain::{
        call::{CallFlow, CallStatus},
        clock::Time,
        contact::{CallReport, DeliveryReport},
        error::Result,
        message::{PartState, SendFailure},
        notice::{Announcement, CatalogueEntry},
        number::ProviderName,
    },
    store::{
        Tx, calls,
        inbox::{self, EventKind},
        outbox, routing,
    },
};

/// Time for which an event is remembered. Providers repeat a webhook for a day at most.
pub(super) const INBOX_RETENTION: Duration = Duration::days(7);

/// Handles a delivery report of a text that we sent.
pub(super) async fn handle_report(ctx: &Context, provider: &ProviderName, report: &DeliveryReport) -> Result<()> {
    let now = ctx.now();
    let failure = SendFailure::Undeliverable.with_code(report.code.as_ref());
    let reason = (report.state == PartState::Undelivered).then_some(failure.as_str());
    ctx.store
        .write(|tx| async move {
            if !inbox::record(&tx, provider, EventKind::Report, &report.key, now + INBOX_RETENTION).await? {
                return Ok(());
            }
            if !outbox::report(&tx, &report.reference, report.state, reason, now).await? {
                tracing::info!(%provider, "ignored a delivery report about an unknown text");
            }
            Ok(())
        })
        .await?;
    // The next text of the conversation may have been waiting for this one.
    ctx.wakeups.outbox.send();
    Ok(())
}

/// Handles a report of a call whose caller is still on the line, and decides what they hear next.
pub(super) async fn handle_waiting_caller(
    ctx: &Context,
    provider: &ProviderName,
    report: &CallReport,
) -> Result<CallFlow> {
    handle_call_report(ctx, provider, report).await?;
    let caller = routing::call_party(&ctx.store, provider, &report.call_key).await?;
    Ok(match &caller {
        Some(caller) => {
            let words = ctx.settings.catalogue.of_contact(caller.language.as_ref(), caller.number.as_ref());
            after(report.status, caller.to_party, words)
        }
        None => after(report.status, true, ctx.settings.catalogue.default()),
    })
}

pub(super) async fn handle_call_report(ctx: &Context, provider: &ProviderName, report: &CallReport) -> Result<()> {
    let now = ctx.now();
    ctx.store
        .write(|tx| async move {
            if !inbox::record(&tx, provider, EventKind::CallReport, &report.key, now + INBOX_RETENTION).await? {
                return Ok(());
            }
            record_call_report(&tx, provider, report, now).await
        })
        .await
}

/// Returns what a caller who is still there hears when the call to the other party, or to the support number, is over.
pub(super) fn after(status: CallStatus, to_party: bool, words: &CatalogueEntry) -> CallFlow {
    match status {
        CallStatus::Busy | CallStatus::NoAnswer | CallStatus::Failed if to_party => {
            words.announce(Announcement::NotReached)
        }
        CallStatus::Busy | CallStatus::NoAnswer | CallStatus::Failed => words.announce(Announcement::NoContact),
        _ => CallFlow::HangUp,
    }
}

pub(super) async fn record_call_report(tx: &Tx, provider: &ProviderName, report: &CallReport, now: Time) -> Result<()> {
    let Some(call) = calls::find_locked(tx, provider, &report.call_key).await? else {
        tracing::info!(%provider, "ignored a call report about an unknown call");
        return Ok(());
    };
    let mut after = call.clone();
    if after.report(report.status, report.duration_s, report.at.unwrap_or(now)) {
        calls::update(tx, &call, &after, now).await?;
    }
    Ok(())
}
