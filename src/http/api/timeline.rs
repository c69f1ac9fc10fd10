//! How a ride's timeline is shown: messages, calls and events in one list, each with its `type`.

use std::borrow::Cow;

use poem_openapi::{
    registry::{MetaSchema, MetaSchemaRef, Registry},
    types::{ToJSON, Type},
};
use serde_json::Value;

use super::{calls::CallView, messages::MessageView};
use crate::{
    domain::ride::RideEventKind,
    http::{fields::view, scalars::Timestamp},
    service::TimelineItem,
};

view! {
    /// Everything that happened on a ride.
    Timeline as "Timeline" {
        /// Oldest first.
        items: Vec<TimelineEntry>,
    }
}

view! {
    /// Something that happened to a ride.
    RideEventView as "RideEvent" {
        /// What.
        event: RideEventKind,
    }
}

/// One thing that happened on a ride: a message, a call or an event, with its `type` and when it happened.
pub(in crate::http) struct TimelineEntry(Value);

impl TimelineEntry {
    pub(super) fn of(item: TimelineItem, reads_texts: bool) -> Self {
        let at = Timestamp(item.at()).to_json();
        let (kind, view) = match item {
            TimelineItem::Message(message) => ("message", MessageView::of(message, reads_texts).to_json()),
            TimelineItem::Call(call) => ("call", CallView::from(call).to_json()),
            TimelineItem::Event(event) => ("ride_event", RideEventView { event: event.event }.to_json()),
        };
        let mut entry = view.unwrap_or_default();
        entry["type"] = kind.into();
        entry["at"] = at.unwrap_or_default();
        Self(entry)
    }
}

impl ToJSON for TimelineEntry {
    fn to_json(&self) -> Option<Value> {
        Some(self.0.clone())
    }
}

impl Type for TimelineEntry {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "TimelineEntry".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Reference(Self::name().into_owned())
    }

    fn register(registry: &mut Registry) {
        MessageView::register(registry);
        CallView::register(registry);
        RideEventView::register(registry);
        let tagged = |kind: &str, view: MetaSchemaRef| {
            let tag = MetaSchema { enum_items: vec![kind.into()], ..MetaSchema::new("string") };
            let own = MetaSchema {
                required: vec!["type", "at"],
                properties: vec![("type", MetaSchemaRef::Inline(Box::new(tag))), ("at", Timestamp::schema_ref())],
                ..MetaSchema::new("object")
            };
            let all_of = vec![view, MetaSchemaRef::Inline(Box::new(own))];
            MetaSchemaRef::Inline(Box::new(MetaSchema { all_of, ..MetaSchema::ANY }))
        };
        registry.create_schema::<Self, _>(Self::name().into_owned(), |_| MetaSchema {
            description: Some("One thing that happened on a ride; `type` tells which."),
            one_of: vec![
                tagged("message", MessageView::schema_ref()),
                tagged("call", CallView::schema_ref()),
                tagged("ride_event", RideEventView::schema_ref()),
            ],
            ..MetaSchema::ANY
        });
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}
