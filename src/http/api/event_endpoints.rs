//! `/v1/event-endpoints`, and what became of an event at them.

use std::sync::Arc;

use chrono::Duration;

use poem_openapi::{
    OpenApi,
    param::{Header, Path, Query},
};
use secrecy::ExposeSecret as _;
use tokio::sync::Semaphore;

use super::{
    event_endpoint_views::{AttemptView, EventEndpointView, PingView, RedeliveryView, RetryView},
    group::Group,
};
use crate::{
    domain::{
        endpoint::{EndpointPatch, EndpointStatus, NewEndpoint, RetryState},
        error::{Error, FieldError},
        event::EventType,
        ids::{EndpointId, EventId},
        outbound::Receiver,
        scope::Scope,
        target::TargetUrl,
        text::Description,
    },
    http::{
        auth::{Allowed, EventsAdmin, EventsManage},
        fields::{Checked, Draft, JsonBody, NullablePatchField, Parameters, PatchField, request_body},
        problem::Answer,
        reply::{Accepted, Created, Found, List, NoContent, expected, page, request_id},
        scalars::{Cursor, Limit, SortOrder},
    },
    outbound::Outbound,
    service::{Context, EndpointWithSecret, deliveries, endpoints},
    store::deliveries::RetryFilter,
};

/// Pings under way at most.
const PINGS: usize = 8;

const PATH: &str = "/v1/event-endpoints";

request_body! {
    /// A new event endpoint.
    NewEventEndpointBody {
        /// Where events are posted: https, on the public Internet.
        url: TargetUrl,
        /// What it is for.
        description: Option<Description>,
        /// What it hears of; all types, also those to come, unless you say otherwise.
        types: Option<Vec<EventType>>,
        /// Whether `message.*` events bring the text along; default false. True needs the scope `messages:read` too.
        include_text: Option<bool>,
    }
    example {
        "url": "https://platform.example.com/maskline-events",
        "types": ["ride.completed", "message.received"]
    }
}

request_body! {
    /// Changes of an event endpoint: an absent field stays as it is, null clears an optional one.
    EventEndpointPatchBody {
        /// Somewhere else.
        url: PatchField<TargetUrl>,
        /// Another description.
        description: NullablePatchField<Description>,
        /// Other types; null for all.
        types: NullablePatchField<Vec<EventType>>,
        /// Whether `message.*` events bring the text along. True needs the scope `messages:read` too.
        include_text: PatchField<bool>,
        /// `disabled` gets nothing; `enabled` goes on where it was.
        status: PatchField<EndpointStatus>,
    }
    example { "status": "enabled" }
}

request_body! {
    /// What to deliver again.
    RedeliverBody {
        /// To this endpoint only. Default: all enabled ones that hear of the event's type and that you may change.
        endpoint_id: Option<EndpointId>,
    }
    example { "endpoint_id": 1 }
}

/// A type named twice is named once.
fn distinct(mut types: Vec<EventType>) -> Vec<EventType> {
    types.sort_unstable();
    types.dedup();
    types
}

fn view(made: EndpointWithSecret) -> EventEndpointView {
    EventEndpointView::of(made.endpoint, made.secret.map(|secret| secret.expose_secret().to_owned()))
}

pub(in crate::http) struct EventEndpointsApi {
    ctx: Arc<Context>,
    outbound: Arc<dyn Outbound>,
    /// One for each ping under way: a ping holds its request for as long as the endpoint takes.
    pings: Semaphore,
}

impl EventEndpointsApi {
    pub(in crate::http) fn new(ctx: Arc<Context>, outbound: Arc<dyn Outbound>) -> Self {
        Self { ctx, outbound, pings: Semaphore::new(PINGS) }
    }

    /// What of an endpoint's body is wrong though each field is right by itself.
    fn wrong<T>(&self, body: &Draft<T>) -> Vec<FieldError> {
        let url = body.peek("url").and_then(|url| endpoints::wrong_target(&self.ctx, &url));
        // An empty list would be an endpoint that hears nothing.
        let is_deaf = body.peek("types").is_some_and(|types: Vec<EventType>| types.is_empty());
        let types = is_deaf.then(|| FieldError::new("/types", "must name at least one"));
        url.into_iter().chain(types).collect()
    }
}

#[OpenApi(tag = "Group::Events")]
impl EventEndpointsApi {
    /// List event endpoints
    ///
    /// A page of event endpoints of all clients, by id.
    #[oai(path = "/v1/event-endpoints", method = "get", operation_id = "list_event_endpoints")]
    async fn list(
        &self,
        #[oai(scope = "Scope::EventsManage")] _allowed: Allowed<EventsManage>,
        mut parameters: Parameters,
        /// At most so many items.
        limit: Query<Option<Checked<Limit>>>,
        /// The `next` of the page before.
        after: Query<Option<Checked<Cursor>>>,
        /// By id, ascending or descending.
        order: Query<Option<Checked<SortOrder>>>,
    ) -> Answer<Found<List<EventEndpointView>>> {
        let page = page(&mut parameters, limit.0, after.0, order.0);
        parameters.finish()?;
        Ok(List::of(endpoints::list(&self.ctx, &page).await?, |endpoint| EventEndpointView::of(endpoint, None)))
    }

    /// Create an event endpoint
    ///
    /// Events that happen from now on are posted to it, signed as Standard Webhooks describes. The answer shows the
    /// secret, this once. The endpoint belongs to your client, whose stored scopes count whenever a text is posted:
    /// once it lacks `messages:read` or is revoked, events go on without text.
    #[oai(path = "/v1/event-endpoints", method = "post", operation_id = "create_event_endpoint")]
    async fn create(
        &self,
        #[oai(scope = "Scope::EventsManage")] allowed: Allowed<EventsManage>,
        /// Repeating a request with its key has no second effect and gets the same answer, without the secret, for 24
        /// hours.
        #[oai(name = "Idempotency-Key")]
        idempotency_key: Header<Option<String>>,
        parameters: Parameters,
        body: Draft<NewEventEndpointBody>,
    ) -> Answer<Created<EventEndpointView>> {
        let more = self.wrong(&body);
        let body = body.finish(parameters, more)?;
        let request = request_id(&self.ctx, &allowed.caller, PATH, idempotency_key.0, ("", &body.canonical))?;
        let new = NewEndpoint {
            url: body.value.url,
            description: body.value.description,
            types: body.value.types.map(distinct),
            include_text: body.value.include_text.unwrap_or(false),
        };
        let made = endpoints::create(&self.ctx, &allowed.caller, &request, &new).await?;
        let (id, version) = (made.endpoint.id, made.endpoint.version);
        Ok(Created::new(view(made)).version(version).at(format!("{PATH}/{id}")))
    }

    /// Get an event endpoint
    ///
    /// One event endpoint, and how it does.
    #[oai(path = "/v1/event-endpoints/:id", method = "get", operation_id = "get_event_endpoint")]
    async fn get(
        &self,
        #[oai(scope = "Scope::EventsManage")] _allowed: Allowed<EventsManage>,
        /// Id of the endpoint.
        id: Path<EndpointId>,
    ) -> Answer<Found<EventEndpointView>> {
        let endpoint = endpoints::find(&self.ctx, id.0).await?;
        let version = endpoint.version;
        Ok(Found::new(EventEndpointView::of(endpoint, None)).version(version))
    }

    /// Change an event endpoint
    ///
    /// Absent fields stay as they are. An endpoint that is enabled again, or given another address, is tried at once
    /// and goes on from where it was: it misses nothing that the log still has.
    ///
    /// An endpoint of another client needs the scope `events:admin` too. One with `include_text` needs `messages:read`
    /// for another `url`, other `types` or `enabled`.
    #[oai(path = "/v1/event-endpoints/:id", method = "patch", operation_id = "edit_event_endpoint")]
    async fn edit(
        &self,
        #[oai(scope = "Scope::EventsManage")] allowed: Allowed<EventsManage>,
        /// Id of the endpoint.
        id: Path<EndpointId>,
        /// The `ETag` that you saw: 412 if somebody changed the endpoint since.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
        parameters: Parameters,
        body: Draft<EventEndpointPatchBody>,
    ) -> Answer<Found<EventEndpointView>> {
        let more = self.wrong(&body);
        let body = body.finish(parameters, more)?;
        let types = body.value.types.0.map(|types| types.map(distinct));
        let patch = EndpointPatch {
            url: body.value.url.0,
            description: body.value.description.0,
            types,
            include_text: body.value.include_text.0,
            status: body.value.status.0,
        };
        let endpoint =
            endpoints::edit(&self.ctx, &allowed.caller, id.0, &patch, &expected(if_match.0.as_deref())).await?;
        let version = endpoint.version;
        Ok(Found::new(EventEndpointView::of(endpoint, None)).version(version))
    }

    /// Delete an event endpoint
    ///
    /// With it goes what was still to be delivered to it. An endpoint of another client needs the scope `events:admin`
    /// too.
    #[oai(path = "/v1/event-endpoints/:id", method = "delete", operation_id = "delete_event_endpoint")]
    async fn delete(
        &self,
        #[oai(scope = "Scope::EventsManage")] allowed: Allowed<EventsManage>,
        /// Id of the endpoint.
        id: Path<EndpointId>,
        /// The `ETag` that you saw: 412 if somebody changed the endpoint since.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
    ) -> Answer<NoContent> {
        endpoints::delete(&self.ctx, &allowed.caller, id.0, &expected(if_match.0.as_deref())).await?;
        Ok(NoContent)
    }

    /// Test an event endpoint
    ///
    /// Posts a signed `endpoint.ping` at once, and tells what came of it. It is in no log, is not tried again, and says
    /// nothing about the endpoint's health; a disabled one can be tested too. An endpoint of another client needs the
    /// scope `events:admin` too.
    #[oai(path = "/v1/event-endpoints/:id/ping", method = "post", operation_id = "ping_event_endpoint")]
    async fn ping(
        &self,
        #[oai(scope = "Scope::EventsManage")] allowed: Allowed<EventsManage>,
        /// Id of the endpoint.
        id: Path<EndpointId>,
    ) -> Answer<Found<PingView>> {
        let Ok(_permit) = self.pings.try_acquire() else {
            return Err(Error::Busy { retry_after: Duration::seconds(1) }.into());
        };
        let request = deliveries::prepare_ping(&self.ctx, &allowed.caller, id.0).await?;
        Ok(Found::new(self.outbound.send(Receiver::EventEndpoint, request).await.into()))
    }

    /// Rotate an event endpoint's secret
    ///
    /// The answer shows the new secret, this once. For 24 hours the former one signs too, so that there is time to
    /// exchange it; the one before that ends at once. An endpoint of another client needs the scope `events:admin` too.
    #[oai(
        path = "/v1/event-endpoints/:id/rotate-secret",
        method = "post",
        operation_id = "rotate_event_endpoint_secret"
    )]
    async fn rotate(
        &self,
        #[oai(scope = "Scope::EventsManage")] allowed: Allowed<EventsManage>,
        /// Id of the endpoint.
        id: Path<EndpointId>,
        /// Repeating a request with its key has no second effect and gets the same answer, without the secret, for 24
        /// hours.
        #[oai(name = "Idempotency-Key")]
        idempotency_key: Header<Option<String>>,
    ) -> Answer<Found<EventEndpointView>> {
        let what = id.0.to_string();
        let operation = "rotate_event_endpoint_secret";
        let request = request_id(&self.ctx, &allowed.caller, operation, idempotency_key.0, (&what, b""))?;
        Ok(Found::new(view(endpoints::rotate_secret(&self.ctx, &allowed.caller, &request, id.0).await?)))
    }

    /// Adopt an event endpoint
    ///
    /// The endpoint belongs to your client from now on, and the rights of your client decide whether it gets texts.
    /// With a token that lacks `messages:read`, `include_text` is switched off. Secret, address and position in the log
    /// stay.
    #[oai(path = "/v1/event-endpoints/:id/adopt", method = "post", operation_id = "adopt_event_endpoint")]
    async fn adopt(
        &self,
        #[oai(scope = "Scope::EventsAdmin")] allowed: Allowed<EventsAdmin>,
        /// Id of the endpoint.
        id: Path<EndpointId>,
    ) -> Answer<Found<EventEndpointView>> {
        let endpoint = endpoints::adopt(&self.ctx, &allowed.caller, id.0).await?;
        let version = endpoint.version;
        Ok(Found::new(EventEndpointView::of(endpoint, None)).version(version))
    }

    /// List attempts at an event endpoint
    ///
    /// Every attempt to deliver to it, by id, for 30 days.
    #[oai(path = "/v1/event-endpoints/:id/attempts", method = "get", operation_id = "list_event_endpoint_attempts")]
    async fn attempts(
        &self,
        #[oai(scope = "Scope::EventsManage")] _allowed: Allowed<EventsManage>,
        /// Id of the endpoint.
        id: Path<EndpointId>,
        mut parameters: Parameters,
        /// At most so many items.
        limit: Query<Option<Checked<Limit>>>,
        /// The `next` of the page before.
        after: Query<Option<Checked<Cursor>>>,
        /// By id, ascending or descending.
        order: Query<Option<Checked<SortOrder>>>,
    ) -> Answer<Found<List<AttemptView>>> {
        let page = page(&mut parameters, limit.0, after.0, order.0);
        parameters.finish()?;
        Ok(List::of(endpoints::attempts(&self.ctx, id.0, &page).await?, AttemptView::from))
    }

    /// List what an event endpoint did not take
    ///
    /// By event: what is tried again, and what was given up (dead letters). An event that is taken leaves the list.
    #[oai(path = "/v1/event-endpoints/:id/retries", method = "get", operation_id = "list_event_endpoint_retries")]
    async fn retries(
        &self,
        #[oai(scope = "Scope::EventsManage")] _allowed: Allowed<EventsManage>,
        /// Id of the endpoint.
        id: Path<EndpointId>,
        mut parameters: Parameters,
        /// Only those in this state.
        state: Query<Option<Checked<RetryState>>>,
        /// At most so many items.
        limit: Query<Option<Checked<Limit>>>,
        /// The `next` of the page before.
        after: Query<Option<Checked<Cursor>>>,
        /// By id, ascending or descending.
        order: Query<Option<Checked<SortOrder>>>,
    ) -> Answer<Found<List<RetryView>>> {
        let filter = RetryFilter { state: parameters.take("state", state.0) };
        let page = page(&mut parameters, limit.0, after.0, order.0);
        parameters.finish()?;
        Ok(List::of(endpoints::retries(&self.ctx, id.0, filter, &page).await?, RetryView::from))
    }

    /// List attempts to deliver an event
    ///
    /// At whichever endpoints, by id, for 30 days.
    #[oai(path = "/v1/events/:id/attempts", method = "get", operation_id = "list_event_attempts")]
    async fn event_attempts(
        &self,
        #[oai(scope = "Scope::EventsManage")] _allowed: Allowed<EventsManage>,
        /// Id of the event.
        id: Path<EventId>,
        mut parameters: Parameters,
        /// At most so many items.
        limit: Query<Option<Checked<Limit>>>,
        /// The `next` of the page before.
        after: Query<Option<Checked<Cursor>>>,
        /// By id, ascending or descending.
        order: Query<Option<Checked<SortOrder>>>,
    ) -> Answer<Found<List<AttemptView>>> {
        let page = page(&mut parameters, limit.0, after.0, order.0);
        parameters.finish()?;
        Ok(List::of(endpoints::attempts_of_event(&self.ctx, id.0, &page).await?, AttemptView::from))
    }

    /// Deliver an event again
    ///
    /// Whatever became of it before: delivered, being tried again, or given up. It keeps its `webhook-id`, so that a
    /// receiver can tell that it is the same. An endpoint of another client needs the scope `events:admin` too.
    #[oai(path = "/v1/events/:id/redeliver", method = "post", operation_id = "redeliver_event")]
    async fn redeliver(
        &self,
        #[oai(scope = "Scope::EventsManage")] allowed: Allowed<EventsManage>,
        /// Id of the event.
        id: Path<EventId>,
        /// Repeating a request with its key has no second effect and gets the same answer, for 24 hours.
        #[oai(name = "Idempotency-Key")]
        idempotency_key: Header<Option<String>>,
        body: JsonBody<RedeliverBody>,
    ) -> Answer<Accepted<RedeliveryView>> {
        let what = (&*id.0.to_string(), body.canonical.as_slice());
        let request = request_id(&self.ctx, &allowed.caller, "redeliver_event", idempotency_key.0, what)?;
        let endpoints =
            endpoints::redeliver(&self.ctx, &allowed.caller, &request, id.0, body.value.endpoint_id).await?;
        Ok(Accepted::new(RedeliveryView { endpoints }))
    }
}
