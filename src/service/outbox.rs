//! Paying what we owe: claim a part, look up its way anew, hand it to the provider, write down what came of it.
//!
//! The worker owns the network; here is everything before and after the exchange.

use std::sync::Arc;

use chrono::Duration;

use super::Service;
use crate::{
    domain::{
        error::Result,
        ids::MessageId,
        message::{PartState, SendFailure},
        retry,
    },
    provider::{OutboundText, Provider, ProviderRequest, ProviderResponse, SendOutcome, Unreached},
    store::outbox::{self, Claim},
};

/// How long a claim is ours. Longer than the longest exchange, with room for what comes before and after it.
pub const LEASE: Duration = Duration::seconds(30);

/// A part on its way to its provider: what [`Service::finish`] needs to know.
pub struct Dispatch {
    claim: Claim,
    message: MessageId,
    provider: Arc<dyn Provider>,
}

impl Service {
    /// Claims parts that are due.
    pub async fn claim_due(&self, limit: u32) -> Result<Vec<Claim>> {
        let now = self.now();
        self.store.write(|tx| async move { outbox::claim(&tx, limit, LEASE, now).await }).await
    }

    /// How many parts are owed.
    pub async fn owed_count(&self) -> Result<u64> {
        outbox::owed(&self.store).await
    }

    /// Prepares a claimed part. `None`: there is nothing to send, and why is written down.
    pub async fn prepare(&self, claim: Claim) -> Result<Option<(ProviderRequest, Dispatch)>> {
        let Some(part) = outbox::resolve(&self.store, claim, self.now()).await? else { return Ok(None) };
        let Some(way) = part.way else {
            let reason = SendFailure::ContactClosed.as_str();
            self.settle(part.message_id, claim, PartState::Failed, None, Some(reason)).await?;
            return Ok(None);
        };
        let Some(provider) = self.providers.get(&way.provider) else {
            tracing::warn!(provider = %way.provider, "a text waits for a provider that is not configured");
            self.try_later(part.message_id, claim, None, false, SendFailure::ProviderNotConfigured).await?;
            return Ok(None);
        };
        let text = OutboundText {
            from: &way.from,
            to: &way.to,
            body: &part.body,
            media: &part.media,
            reference: &part.reference,
            report_url: &self.report_url(&way.provider),
        };
        let request = provider.build_send(&text, self.now());
        Ok(Some((request, Dispatch { claim, message: part.message_id, provider: Arc::clone(provider) })))
    }

    /// Writes down what came of a dispatch.
    pub async fn finish(
        &self,
        dispatch: &Dispatch,
        response: &std::result::Result<ProviderResponse, Unreached>,
    ) -> Result<()> {
        let Dispatch { claim, message, provider } = dispatch;
        let (claim, message) = (*claim, *message);
        let outcome = match response {
            Ok(response) => provider.read_outcome(response),
            Err(Unreached::NotSent) => SendOutcome::TryLater { after: None },
            Err(Unreached::Unknown) => SendOutcome::InDoubt,
        };
        let provider = &provider.profile().name;
        match outcome {
            SendOutcome::Accepted { provider_id } => {
                self.settle(message, claim, PartState::Sent, Some(&provider_id), None).await
            }
            SendOutcome::Rejected { code } => {
                tracing::warn!(%provider, message_id = %message, code = code.as_ref().map(|code| code.as_str()), "a provider rejected a text");
                let reason = SendFailure::ProviderRejected.with_code(code.as_ref());
                self.settle(message, claim, PartState::Failed, None, Some(&reason)).await
            }
            SendOutcome::TryLater { after } => {
                tracing::warn!(%provider, message_id = %message, attempt = claim.attempt, "a provider did not take a text");
                self.try_later(message, claim, after, false, SendFailure::ProviderUnavailable).await
            }
            SendOutcome::InDoubt => {
                tracing::warn!(%provider, message_id = %message, attempt = claim.attempt, "nobody knows whether a provider took a text");
                self.try_later(message, claim, None, true, SendFailure::ProviderUnavailable).await
            }
        }
    }

    async fn try_later(
        &self,
        message: MessageId,
        claim: Claim,
        after: Option<Duration>,
        in_doubt: bool,
        at_last: SendFailure,
    ) -> Result<()> {
        if claim.attempt >= retry::MAX_ATTEMPTS {
            return self.settle(message, claim, PartState::Failed, None, Some(at_last.as_str())).await;
        }
        let attempt = if in_doubt { claim.attempt + retry::DOUBT } else { claim.attempt };
        let due_at = self.now() + retry::pause(attempt, self.chance.unit(), after);
        self.store.write(|tx| async move { outbox::postpone(&tx, message, claim, due_at, in_doubt).await }).await
    }

    async fn settle(
        &self,
        message: MessageId,
        claim: Claim,
        state: PartState,
        provider_id: Option<&str>,
        reason: Option<&str>,
    ) -> Result<()> {
        let now = self.now();
        let settled = self
            .store
            .write(|tx| async move { outbox::settle(&tx, message, claim, state, provider_id, reason, now).await })
            .await?;
        if !settled {
            tracing::debug!(message_id = %message, "a claim was settled elsewhere");
        }
        Ok(())
    }
}
