//! `/v1/numbers`, `/v1/pool` and `/v1/providers`.

use std::sync::Arc;

use poem::http::Method;
use poem_openapi::{
    OpenApi,
    param::{Header, Path, Query},
};

use super::{Group, pool::PoolView, views::NumberView};
use crate::{
    domain::{
        breaker::{BreakerReason, BreakerState},
        clock::Time,
        ids::NumberId,
        number::{Capabilities, Capability, NewNumber, NumberPatch, NumberStatus, ProviderName},
        phone::PhoneNumber,
        scope::Scope,
        text::TextUnit,
    },
    http::{
        auth::{Allowed, NumbersRead, NumbersWrite},
        fields::{Body, Checked, Draft, Keep, Many, Parameters, peek, request_body, view},
        problem::Answer,
        reply::{Created, Found, List, NoContent, expected, page, request_id},
        scalars::{Country, Cursor, Limit, SortOrder},
    },
    provider::{CallResults, Endpoint},
    service::{Context, breakers, numbers, pool},
    store::numbers::NumberFilter,
};

const PATH: &str = "/v1/numbers";

request_body! {
    /// A new proxy number.
    NewNumberBody {
        /// The number in international form.
        phone_number: PhoneNumber,
        /// The provider that owns the line; it must be configured.
        provider: ProviderName,
        /// What it can carry; SMS and voice unless you say otherwise. A ride needs both.
        capabilities: Option<Vec<Capability>>,
        /// Whether it takes part in the pool; `active` unless you say otherwise.
        status: Option<NumberStatus>,
    }
    example { "phone_number": "+3197010200001", "provider": "simulator", "capabilities": ["sms", "voice"] }
}

impl From<NewNumberBody> for NewNumber {
    fn from(body: NewNumberBody) -> Self {
        let capabilities = body.capabilities.unwrap_or_else(|| vec![Capability::Sms, Capability::Voice]);
        Self {
            phone: body.phone_number,
            provider: body.provider,
            capabilities: Capabilities::of(&capabilities),
            status: body.status.unwrap_or(NumberStatus::Active),
        }
    }
}

request_body! {
    /// Many new proxy numbers.
    NumberBatchBody {
        /// The numbers.
        numbers: Many<NewNumberBody, 500>,
    }
    example { "numbers": [{ "phone_number": "+3197010200001", "provider": "simulator" }] }
}

view! {
    /// The numbers that were added.
    NumberBatch as "NumberBatch" {
        /// In the order of the request.
        items: Vec<NumberView>,
    }
}

request_body! {
    /// Changes of a number: an absent field stays as it is. The number itself and its provider never change.
    NumberPatchBody {
        /// `draining` serves the rides it has and takes no new ones; `suspended` takes no new ones.
        status: Keep<NumberStatus>,
        /// Another set of capabilities.
        capabilities: Keep<Vec<Capability>>,
    }
    example { "status": "draining" }
}

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
        /// What the provider counts: UTF-16 code units, of which most emoji take two or more, or characters (code points).
        text_unit: TextUnit,
        /// Pictures in one send; 0 if pictures cannot be passed on.
        media_limit: u64,
        /// Largest webhook or call flow, in bytes.
        body_limit: u64,
        /// Texts that one number may send in a minute; more wait.
        texts_per_minute: u32,
        /// Texts that all its numbers together may send in a second; null if only its numbers limit it.
        texts_per_second: Option<u32>,
        /// Whether its circuit breaker lets texts through: `closed` does; `open` lets them wait, because several sends in a
        /// row failed or the provider refused your credentials; `half_open` lets one try whether it works again.
        breaker: BreakerState,
        /// Why the breaker is not closed: several sends in a row failed (`provider_unavailable`), or the provider refused your
        /// credentials or your account with it (`provider_refused_us`); null if it is closed.
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

pub(in crate::http) struct NumbersApi {
    pub(in crate::http) ctx: Arc<Context>,
}

#[OpenApi(tag = "Group::Numbers")]
impl NumbersApi {
    /// List numbers
    ///
    /// A page of the pool, by id.
    #[oai(path = "/v1/numbers", method = "get", operation_id = "list_numbers")]
    async fn list(
        &self,
        #[oai(scope = "Scope::NumbersRead")] _allowed: Allowed<NumbersRead>,
        /// Only those of this provider.
        provider: Query<Option<Checked<ProviderName>>>,
        /// Only those in this status.
        status: Query<Option<Checked<NumberStatus>>>,
        /// Only those in this country (ISO 3166).
        country: Query<Option<Checked<Country>>>,
        mut parameters: Parameters,
        /// At most so many items.
        limit: Query<Option<Checked<Limit>>>,
        /// The `next` of the page before.
        after: Query<Option<Checked<Cursor>>>,
        /// By id, ascending or descending.
        order: Query<Option<Checked<SortOrder>>>,
    ) -> Answer<Found<List<NumberView>>> {
        let filter = NumberFilter {
            provider: parameters.take("provider", provider.0),
            status: parameters.take("status", status.0),
            country: parameters.take("country", country.0).map(|country| country.0),
        };
        let page = page(&mut parameters, limit.0, after.0, order.0);
        parameters.finish()?;
        Ok(List::of(numbers::list(&self.ctx, &filter, &page).await?, NumberView::from))
    }

    /// Add a number
    ///
    /// Adds a proxy number to the pool, or revives one that was deleted: its cool-downs go on. A number that is the phone of
    /// a person is refused; without the scope `phone_numbers:reveal`, a client learns that of 10 numbers an hour (then 429
    /// `rate_limited`).
    #[oai(path = "/v1/numbers", method = "post", operation_id = "create_number")]
    async fn create(
        &self,
        #[oai(scope = "Scope::NumbersWrite")] allowed: Allowed<NumbersWrite>,
        /// Repeating a request with its key has no second effect and gets the same answer, for 24 hours.
        #[oai(name = "Idempotency-Key")]
        idempotency_key: Header<Option<String>>,
        parameters: Parameters,
        body: Draft<NewNumberBody>,
    ) -> Answer<Created<NumberView>> {
        let provider = body.peek("provider");
        let body = body.finish(
            parameters,
            numbers::wrong_provider(&self.ctx, "/provider", provider.as_ref()).into_iter().collect(),
        )?;
        let request = request_id(&self.ctx, &allowed.caller, PATH, idempotency_key.0, ("", &body.canonical))?;
        let number = numbers::create(&self.ctx, &request, &body.value.into()).await?.value;
        let (id, version) = (number.id, number.version);
        Ok(Created::new(number.into()).version(version).at(format!("{PATH}/{id}")))
    }

    /// Add many numbers
    ///
    /// Adds up to 500 proxy numbers to the pool, all of them or none. What is wrong is named by place, such as
    /// `/numbers/3/phone_number`. If one of more than 10 numbers is the phone of a person, the answer is 403 without the
    /// scope `phone_numbers:reveal`, so that nobody can look phones up this way.
    #[oai(path = "/v1/numbers/batch", method = "post", operation_id = "create_numbers")]
    async fn create_many(
        &self,
        #[oai(scope = "Scope::NumbersWrite")] allowed: Allowed<NumbersWrite>,
        /// Repeating a request with its key has no second effect and gets the same answer, for 24 hours.
        #[oai(name = "Idempotency-Key")]
        idempotency_key: Header<Option<String>>,
        parameters: Parameters,
        body: Draft<NumberBatchBody>,
    ) -> Answer<Created<NumberBatch>> {
        let given = body.items("numbers", |number| (peek(number, "phone_number"), peek(number, "provider")));
        let more =
            numbers::wrong_batch(&self.ctx, given.iter().map(|(phone, provider)| (phone.as_ref(), provider.as_ref())));
        let body = body.finish(parameters, more)?;
        let what = ("", body.canonical.as_slice());
        let request = request_id(&self.ctx, &allowed.caller, "create_numbers", idempotency_key.0, what)?;
        let new: Vec<NewNumber> = body.value.numbers.0.into_iter().map(NewNumber::from).collect();
        let made = numbers::create_batch(&self.ctx, &request, &new).await?.value;
        Ok(Created::new(NumberBatch { items: made.into_iter().map(NumberView::from).collect() }).at(PATH.to_owned()))
    }

    /// Get a number
    ///
    /// One number of the pool.
    #[oai(path = "/v1/numbers/:id", method = "get", operation_id = "get_number")]
    async fn get(
        &self,
        #[oai(scope = "Scope::NumbersRead")] _allowed: Allowed<NumbersRead>,
        /// Id of the number.
        id: Path<NumberId>,
    ) -> Answer<Found<NumberView>> {
        let number = numbers::find(&self.ctx, id.0).await?;
        let version = number.version;
        Ok(Found::new(number.into()).version(version))
    }

    /// Change a number
    ///
    /// Its status or its capabilities. Absent fields stay as they are.
    #[oai(path = "/v1/numbers/:id", method = "patch", operation_id = "edit_number")]
    async fn edit(
        &self,
        #[oai(scope = "Scope::NumbersWrite")] _allowed: Allowed<NumbersWrite>,
        /// Id of the number.
        id: Path<NumberId>,
        /// The `ETag` that you saw: 412 if somebody changed the number since.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
        body: Body<NumberPatchBody>,
    ) -> Answer<Found<NumberView>> {
        let patch = NumberPatch {
            status: body.value.status.0,
            capabilities: body.value.capabilities.0.map(|list| Capabilities::of(&list)),
        };
        let number = numbers::edit(&self.ctx, id.0, &patch, &expected(if_match.0.as_deref())).await?;
        let version = number.version;
        Ok(Found::new(number.into()).version(version))
    }

    /// Delete a number
    ///
    /// Takes it out of the pool. 409 while a contact window on it is open: drain it first.
    #[oai(path = "/v1/numbers/:id", method = "delete", operation_id = "delete_number")]
    async fn delete(
        &self,
        #[oai(scope = "Scope::NumbersWrite")] _allowed: Allowed<NumbersWrite>,
        /// Id of the number.
        id: Path<NumberId>,
        /// The `ETag` that you saw: 412 if somebody changed the number since.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
    ) -> Answer<NoContent> {
        numbers::delete(&self.ctx, id.0, &expected(if_match.0.as_deref())).await?;
        Ok(NoContent)
    }

    /// Count the pool
    ///
    /// How many numbers there are, how many are in use, and how far they reach, by provider and country. It reads the whole
    /// pool and all that is held: ask every few minutes, not for every ride.
    #[oai(path = "/v1/pool", method = "get", operation_id = "get_pool")]
    async fn pool(
        &self,
        #[oai(scope = "Scope::NumbersRead")] _allowed: Allowed<NumbersRead>,
    ) -> Answer<Found<PoolView>> {
        Ok(Found::new(pool::report(&self.ctx).await?.into()))
    }

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
                sms: profile.webhook(base, Endpoint::Sms),
                voice: profile.webhook(base, Endpoint::Voice),
                status: profile.webhook(base, Endpoint::Status),
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
            breaker_reason: breaker_of(&profile.name)
                .filter(|breaker| breaker.is_open)
                .map(|breaker| breaker.reason.unwrap_or(BreakerReason::ProviderUnavailable)),
            down_since: breaker_of(&profile.name).filter(|breaker| breaker.is_open).map(|breaker| breaker.since),
            delivery_reports: profile.delivery_reports,
            call_results: profile.call_results,
        });
        Ok(Found::new(Providers { items: items.collect() }))
    }
}
