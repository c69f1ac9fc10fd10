//! `/v1/numbers`.

use std::sync::Arc;

use poem_openapi::{
    OpenApi,
    param::{Header, Path, Query},
};

use super::group::Group;
use crate::{
    domain::{
        ids::NumberId,
        number::{Capabilities, Capability, NewNumber, Number, NumberPatch, NumberStatus, ProviderName},
        phone::PhoneNumber,
        scope::Scope,
    },
    http::{
        auth::{Allowed, NumbersRead, NumbersWrite},
        fields::{Checked, Draft, JsonBody, Many, Nullable, Parameters, PatchField, peek, request_body, view},
        problem::Answer,
        reply::{Created, Found, List, NoContent, expected, page, request_id},
        scalars::{Country, Cursor, Limit, ShownPhone, SortOrder, Timestamp},
    },
    service::{Context, numbers},
    store::numbers::NumberFilter,
};

view! {
    /// A proxy number.
    NumberView as "Number" {
        /// Id.
        id: NumberId,
        /// The number itself: yours, not a person's.
        phone_number: ShownPhone,
        /// The provider that owns the line.
        provider: ProviderName,
        /// What it can carry.
        capabilities: Vec<Capability>,
        /// ISO 3166 country of its numbering plan.
        country: Nullable<String>,
        /// `active` numbers may be given to new rides.
        status: NumberStatus,
        /// Rides whose contact window on it is open.
        open_rides: i64,
        /// When it was last given to a ride.
        last_assigned_at: Nullable<Timestamp>,
        /// When it joined the pool.
        created_at: Timestamp,
        /// When it was last edited.
        updated_at: Timestamp,
    }
}

impl From<Number> for NumberView {
    fn from(number: Number) -> Self {
        Self {
            id: number.id,
            phone_number: ShownPhone::of(&number.phone, true),
            provider: number.provider,
            capabilities: number.capabilities.list(),
            country: Nullable(number.country),
            status: number.status,
            open_rides: number.open_rides,
            last_assigned_at: Nullable(number.last_assigned_at.map(Timestamp)),
            created_at: Timestamp(number.created_at),
            updated_at: Timestamp(number.updated_at),
        }
    }
}

view! {
    /// The numbers that were added.
    NumberBatch as "NumberBatch" {
        /// In the order of the request.
        items: Vec<NumberView>,
    }
}

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

request_body! {
    /// Changes of a number: an absent field stays as it is. The number itself and its provider never change.
    NumberPatchBody {
        /// `draining` serves the rides it has and takes no new ones; `suspended` takes no new ones.
        status: PatchField<NumberStatus>,
        /// Another set of capabilities.
        capabilities: PatchField<Vec<Capability>>,
    }
    example { "status": "draining" }
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
    /// Adds a proxy number to the pool, or revives one that was deleted: its cool-downs go on. A number that is the
    /// phone of a person is refused; without the scope `phone_numbers:reveal`, a client learns that of 10 numbers an
    /// hour (then 429 `rate_limited`).
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
    /// `/numbers/3/phone_number`. If one of more than 10 numbers is the phone of a person, the answer is 403 without
    /// the scope `phone_numbers:reveal`, so that nobody can look phones up this way.
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
        body: JsonBody<NumberPatchBody>,
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
}
