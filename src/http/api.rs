//! The operations, one file for each resource, with its views. Handlers are glue: decode, call one use case, encode.

mod calls;
mod clients;
mod dry_run;
mod event_endpoint_views;
mod event_endpoints;
pub(super) mod events;
mod group;
mod health;
mod messages;
mod numbers;
mod oauth;
mod people;
mod pool;
mod providers;
mod rides;
mod simulator;
mod timeline;
mod webhooks;

use std::sync::Arc;

use crate::{outbound::Outbound, service::Context, simulator::SimulatedNetwork};

/// All operations, as one value.
pub(super) type Operations = (
    oauth::OAuthApi,
    people::CustomersApi,
    people::DriversApi,
    numbers::NumbersApi,
    pool::PoolApi,
    providers::ProvidersApi,
    rides::RidesApi,
    messages::MessagesApi,
    calls::CallsApi,
    events::EventsApi,
    event_endpoints::EventEndpointsApi,
    clients::ClientsApi,
    simulator::SimulatorApi,
    webhooks::WebhooksApi,
    health::HealthApi,
);

pub(super) fn operations(
    ctx: &Arc<Context>,
    outbound: &Arc<dyn Outbound>,
    simulator: Option<Arc<SimulatedNetwork>>,
) -> Operations {
    let shared = || Arc::clone(ctx);
    (
        oauth::OAuthApi { ctx: shared() },
        people::CustomersApi::new(shared()),
        people::DriversApi::new(shared()),
        numbers::NumbersApi { ctx: shared() },
        pool::PoolApi { ctx: shared() },
        providers::ProvidersApi { ctx: shared() },
        rides::RidesApi { ctx: shared() },
        messages::MessagesApi { ctx: shared() },
        calls::CallsApi { ctx: shared() },
        events::EventsApi { ctx: shared() },
        event_endpoints::EventEndpointsApi::new(shared(), Arc::clone(outbound)),
        clients::ClientsApi { ctx: shared() },
        simulator::SimulatorApi { simulator },
        webhooks::WebhooksApi { ctx: shared(), outbound: Arc::clone(outbound) },
        health::HealthApi { ctx: shared() },
    )
}
