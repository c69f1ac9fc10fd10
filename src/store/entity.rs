//! Tables as SeaORM sees them, one file each. They are private to the store, which returns domain types.

pub(super) mod bindings;
pub(super) mod calls;
pub(super) mod clients;
pub(super) mod event_attempts;
pub(super) mod event_endpoints;
pub(super) mod event_retries;
pub(super) mod messages;
pub(super) mod numbers;
pub(super) mod outbox;
pub(super) mod people;
pub(super) mod ride_events;
pub(super) mod rides;
pub(super) mod simulator_screens;

/// Derives and column types of the entities.
mod prelude {
    pub(super) use sea_orm::entity::prelude::*;

    pub(super) use crate::{
        domain::{
            call::CallStatus,
            clock::Time,
            endpoint::{DisabledReason, EndpointStatus, RetryState},
            ids::{CallId, ClientId, EndpointId, EventId, MessageId, NumberId, PersonId, ProcessId, RideId, SendId},
            message::{MessageKind, MessageStatus, PartState},
            number::{NumberStatus, ProviderName},
            outbound::PostFailure,
            person::Role,
            ride::{CloseReason, EndedBy, RideEventKind, RideStatus},
            scope::Scopes,
            screen::EntryKind,
            target::TargetUrl,
            text::{ClientName, Description, ExternalId, Language, Name, Place},
        },
        store::{
            PhoneIndex,
            columns::{EventTypes, ProxyNumber},
        },
    };
}
