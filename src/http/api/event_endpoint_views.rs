//! Event endpoints and deliveries as callers see them.

use crate::{
    domain::{
        endpoint::{Attempt, DisabledReason, EndpointStatus, EventEndpoint, Retry, RetryState},
        event::EventType,
        ids::{EndpointId, EventId},
        outbound::{Exchange, PostFailure},
        target::TargetUrl,
        text::Description,
    },
    http::{
        fields::{Nullable, view},
        scalars::Timestamp,
    },
};

view! {
    /// Where events are delivered.
    EventEndpointView as "EventEndpoint" {
        /// Id.
        id: EndpointId,
        /// `client_id` of the client that it belongs to: the one that created or adopted it. Null for an endpoint from
        /// before endpoints belonged to clients.
        client_id: Nullable<String>,
        /// Where it is.
        url: TargetUrl,
        /// Its secret (`whsec_...`): shown once, when it is made or rotated.
        secret: Option<String>,
        /// What it is for.
        description: Option<Description>,
        /// What it hears of; null for all types.
        types: Nullable<Vec<EventType>>,
        /// Whether `message.*` events bring the text along.
        include_text: bool,
        /// Whether the text is left out although `include_text` is true, because the client of the endpoint is revoked
        /// or has lost the scope `messages:read`, or because it belongs to no client.
        text_withheld: bool,
        /// Whether it gets events.
        status: EndpointStatus,
        /// Why it was disabled, unless you did it.
        disabled_reason: Option<DisabledReason>,
        /// The first failure since it last took an event; absent while it does.
        failing_since: Option<Timestamp>,
        /// Places of the log that it has not been offered yet, of whatever type.
        behind: i64,
        /// Until then, the former secret signs too.
        former_secret_expires_at: Option<Timestamp>,
        /// When it was made.
        created_at: Timestamp,
        /// When it was last edited.
        updated_at: Timestamp,
    }
}

impl EventEndpointView {
    pub(in crate::http) fn of(endpoint: EventEndpoint, secret: Option<String>) -> Self {
        Self {
            id: endpoint.id,
            text_withheld: endpoint.is_text_withheld(),
            client_id: Nullable(endpoint.owner.map(|owner| owner.client_id)),
            url: endpoint.url,
            secret,
            description: endpoint.description,
            types: Nullable(endpoint.types),
            include_text: endpoint.include_text,
            status: endpoint.status,
            disabled_reason: endpoint.disabled_reason,
            failing_since: endpoint.failing_since.map(Timestamp),
            behind: endpoint.behind,
            former_secret_expires_at: endpoint.former_secret_until.map(Timestamp),
            created_at: Timestamp(endpoint.created_at),
            updated_at: Timestamp(endpoint.updated_at),
        }
    }
}

view! {
    /// What came of a test.
    PingView as "Ping" {
        /// Whether the endpoint took it.
        delivered: bool,
        /// Status of the answer, if there was one.
        status: Option<u16>,
        /// Why it was not taken, unless it was.
        failure: Option<PostFailure>,
        /// How long it took, in milliseconds.
        duration_ms: i64,
    }
}

impl From<Exchange> for PingView {
    fn from(exchange: Exchange) -> Self {
        let failure = exchange.failure();
        Self { delivered: failure.is_none(), status: exchange.status(), failure, duration_ms: exchange.duration_ms() }
    }
}

view! {
    /// An attempt to deliver an event.
    AttemptView as "EventAttempt" {
        /// Id.
        id: i64,
        /// What.
        event_id: EventId,
        /// Where to.
        endpoint_id: EndpointId,
        /// When.
        at: Timestamp,
        /// Whether the endpoint took it.
        delivered: bool,
        /// Status of the answer, if there was one.
        status: Option<u16>,
        /// Why it was not taken, unless it was.
        failure: Option<PostFailure>,
        /// How long it took, in milliseconds.
        duration_ms: i64,
    }
}

impl From<Attempt> for AttemptView {
    fn from(attempt: Attempt) -> Self {
        Self {
            id: attempt.id,
            event_id: attempt.event_id,
            endpoint_id: attempt.endpoint_id,
            at: Timestamp(attempt.at),
            delivered: attempt.failure.is_none(),
            status: attempt.status,
            failure: attempt.failure,
            duration_ms: attempt.duration_ms,
        }
    }
}

view! {
    /// An event that an endpoint did not take at once, or is to get again.
    RetryView as "EventRetry" {
        /// What.
        event_id: EventId,
        /// `pending` is tried again, `dead` was given up.
        state: RetryState,
        /// How often it was tried since it was first, or since you asked for it again.
        attempts: i32,
        /// When that was.
        first_at: Timestamp,
        /// When it is tried next, unless it was given up.
        due_at: Option<Timestamp>,
    }
}

impl From<Retry> for RetryView {
    fn from(retry: Retry) -> Self {
        Self {
            event_id: retry.event_id,
            state: retry.state,
            attempts: retry.attempts,
            first_at: Timestamp(retry.first_at),
            due_at: (retry.state == RetryState::Pending).then_some(Timestamp(retry.due_at)),
        }
    }
}

view! {
    /// What will be delivered again.
    RedeliveryView as "Redelivery" {
        /// To how many endpoints.
        endpoints: u64,
    }
}
