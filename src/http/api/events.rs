//! `/v1/events`: the log of platform events.

use std::{borrow::Cow, sync::Arc};

use chrono::SecondsFormat;
use poem_openapi::{
    OpenApi,
    param::{Path, Query},
    registry::{MetaSchema, MetaSchemaRef, Registry},
    types::{ToJSON, Type},
};
use serde_json::{Value, json};

use super::group::Group;
use crate::{
    domain::{
        event::StoredEvent,
        ids::{EventId, RideId},
        scope::Scope,
    },
    http::{
        auth::{Allowed, EventsManage},
        fields::{Checked, Parameters},
        problem::Answer,
        reply::{Found, List, page},
        scalars::{Cursor, EventTypes, Limit, SortOrder},
    },
    service::{Context, events},
    store::events::EventFilter,
};

/// An event in the log: what is delivered of it, and where it stands. Its schema is made in
/// [`spec::events`](crate::http::spec), from the table of all types.
pub(in crate::http) struct EventView(StoredEvent);

impl EventView {
    /// The name of its schema.
    pub(in crate::http) const NAME: &str = "Event";
}

impl ToJSON for EventView {
    fn to_json(&self) -> Option<Value> {
        let Self(event) = self;
        Some(json!({
            "id": event.id.0,
            "cursor": Cursor(event.position).to_json(),
            "type": event.kind.as_str(),
            "timestamp": event.at.to_rfc3339_opts(SecondsFormat::Millis, true),
            "data": event.data,
        }))
    }
}

impl Type for EventView {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        Self::NAME.into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Reference(Self::name().into_owned())
    }

    fn register(registry: &mut Registry) {
        registry.create_schema::<Self, _>(Self::name().into_owned(), |_| MetaSchema::new("object"));
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

pub(in crate::http) struct EventsApi {
    pub(in crate::http) ctx: Arc<Context>,
}

#[OpenApi(tag = "Group::Events")]
impl EventsApi {
    /// List events
    ///
    /// A page of the log of events, in its order. `next` is null where the log ends for now: keep the `cursor` of the
    /// last event you read, and pass it as `after` whenever you read on. Nothing is ever put before it.
    #[oai(path = "/v1/events", method = "get", operation_id = "list_events")]
    async fn events(
        &self,
        #[oai(scope = "Scope::EventsManage")] _allowed: Allowed<EventsManage>,
        /// Only those of these types; commas between them.
        #[oai(name = "type")]
        types: Query<Option<Checked<EventTypes>>>,
        /// Only those of this ride.
        ride_id: Query<Option<Checked<RideId>>>,
        mut parameters: Parameters,
        /// At most so many items.
        limit: Query<Option<Checked<Limit>>>,
        /// The `next` of the page before, or the `cursor` of any event.
        after: Query<Option<Checked<Cursor>>>,
        /// In the order of the log, or backwards.
        order: Query<Option<Checked<SortOrder>>>,
    ) -> Answer<Found<List<EventView>>> {
        let types = parameters.take("type", types.0).map(|types| types.0);
        let filter = EventFilter { types, ride_id: parameters.take("ride_id", ride_id.0) };
        let page = page(&mut parameters, limit.0, after.0, order.0);
        parameters.finish()?;
        Ok(List::of(events::list(&self.ctx, &filter, &page).await?, EventView))
    }

    /// Get an event
    ///
    /// One event of the log.
    #[oai(path = "/v1/events/:id", method = "get", operation_id = "get_event")]
    async fn event(
        &self,
        #[oai(scope = "Scope::EventsManage")] _allowed: Allowed<EventsManage>,
        /// Id of the event.
        id: Path<EventId>,
    ) -> Answer<Found<EventView>> {
        Ok(Found::new(EventView(events::find(&self.ctx, id.0).await?)))
    }
}
