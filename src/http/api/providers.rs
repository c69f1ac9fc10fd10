//! `/v1/providers`.

use std::sync::Arc;

use poem::http::Method;
use poem_openapi::OpenApi;

use super::group::Group;
use crate::{
    domain::{
        breaker::{BreakerReason, BreakerState},
        clock::Time,
        number::{Capability, ProviderName},
        scope::Scope,
        text::TextUnit,
    },
    http::{
        auth::{Allowed, NumbersRead},
        fields::view,
        problem::Answer,
        reply::Found,
    },
    provider::{CallResults, WebhookKind},
    service::{Context, breakers},
};

view! {
    /// The providers there are.
    Providers as "Providers" {
        /// Each of them.
        items: Vec<ProviderView>,
    }
}

view! {
    /// A telephony provider.
    ProviderView as "Provider" {
        /// Its name in paths and records.
        name: String,
        /// Whether this installation has an account with it.
        configured: bool,
        /// The addresses to enter at the provider.
        webhooks: WebhookAddresses,
        /// The methods by which it may call them.
        methods: WebhookMethods,
        /// How its webhooks prove where they come from.
        signature: String,
        /// What its numbers can carry at most.
        capabilities: Vec<Capability>,
        /// Longest text of one send, in units of `text_unit`. Longer ones are split, between words where possible.
        text_limit: u64,
        /// What the provider counts: UTF-16 code units, of which most emoji take two or more, or characters (code
        /// points).
        text_unit: TextUnit,
        /// Pictures in one send; 0 if pictures cannot be passed on.
        media_limit: u64,
        /// Largest webhook or call flow, in bytes.
        body_limit: u64,
        /// Texts that one number may send in a minute; more wait.
        texts_per_minute: u32,
        /// Texts that all its numbers together may send in a second; null if only its numbers limit it.
        texts_per_second: Option<u32>,
        /// Whether its circuit breaker lets texts through: `closed` does; `open` lets them wait, because several sends
        /// in a row failed or the provider refused your credentials; `half_open` lets one try whether it works again.
        breaker: BreakerState,
        /// Why the breaker is not closed: several sends in a row failed (`provider_unavailable`), or the provider
        /// refused your credentials or your account with it (`provider_refused_us`); null if it is closed.
        breaker_reason: Option<BreakerReason>,
        /// Since when it has been down; null if it is not.
        down_since: Option<Time>,
        /// Whether it tells what became of a text.
        delivery_reports: bool,
        /// How the results of calls are learnt: the provider tells, or is asked.
        call_results: CallResults,
    }
}

view! {
    /// The methods by which a provider may call each webhook; any other is 405.
    WebhookMethods as "WebhookMethods" {
        /// For incoming texts.
        sms: Vec<String>,
        /// For incoming calls.
        voice: Vec<String>,
        /// For delivery reports and call results.
        status: Vec<String>,
    }
}

view! {
    /// Addresses to enter at a provider, with the connection overrides (`#...`) that make it try again.
    WebhookAddresses as "WebhookAddresses" {
        /// For incoming texts.
        sms: String,
        /// For incoming calls.
        voice: String,
        /// For delivery reports and call results.
        status: String,
    }
}

pub(in crate::http) struct ProvidersApi {
    pub(in crate::http) ctx: Arc<Context>,
}

#[OpenApi(tag = "Group::Numbers")]
impl ProvidersApi {
    /// List providers
    ///
    /// Every provider this build knows, what it can do, whether it is configured, and the addresses to enter there.
    #[oai(path = "/v1/providers", method = "get", operation_id = "list_providers")]
    async fn providers(
        &self,
        #[oai(scope = "Scope::NumbersRead")] _allowed: Allowed<NumbersRead>,
    ) -> Answer<Found<Providers>> {
        let base = &self.ctx.settings.public_base_url;
        let (breakers, now) = (breakers::list(&self.ctx).await?, self.ctx.now());
        let breaker_of = |name: &ProviderName| breakers.iter().find(|breaker| breaker.provider == *name);
        let items = self.ctx.providers.all().map(|(profile, configured)| ProviderView {
            name: profile.name.as_str().to_owned(),
            configured,
            webhooks: WebhookAddresses {
                sms: profile.webhook(base, WebhookKind::Sms),
                voice: profile.webhook(base, WebhookKind::Voice),
                status: profile.webhook(base, WebhookKind::Status),
            },
            methods: {
                let [sms, voice, status] =
                    profile.methods.map(|methods| methods.iter().map(Method::to_string).collect());
                WebhookMethods { sms, voice, status }
            },
            signature: profile.signature.to_owned(),
            capabilities: profile.capabilities.list(),
            text_limit: profile.text_limit.max as u64,
            text_unit: profile.text_limit.unit,
            media_limit: profile.media_limit as u64,
            body_limit: profile.body_limit as u64,
            texts_per_minute: self.ctx.providers.throughput(profile).texts_per_minute,
            texts_per_second: self.ctx.providers.throughput(profile).texts_per_second,
            breaker: breaker_of(&profile.name).map_or(BreakerState::Closed, |breaker| breaker.state(now)),
            breaker_reason: breaker_of(&profile.name).filter(|breaker| breaker.is_open).map(|breaker| breaker.reason),
            down_since: breaker_of(&profile.name).filter(|breaker| breaker.is_open).map(|breaker| breaker.since),
            delivery_reports: profile.delivery_reports,
            call_results: profile.call_results,
        });
        Ok(Found::new(Providers { items: items.collect() }))
    }
}
