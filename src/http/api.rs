//! The operations, one file a resource. Handlers are glue: decode, call one use case, encode.

pub(super) mod activity;
pub(super) mod clients;
mod dry_run;
mod event_endpoint_views;
pub(super) mod event_endpoints;
pub(super) mod events;
pub(super) mod numbers;
pub(super) mod oauth;
pub(super) mod operations;
pub(super) mod people;
mod pool;
pub(super) mod rides;
pub(super) mod simulator;
mod timeline;
pub(super) mod views;
pub(super) mod webhooks;

/// Groups of operations in the document.
#[derive(poem_openapi::Tags)]
pub(super) enum Group {
    /// Get a token: OAuth 2 client credentials.
    Authorization,
    /// The people who ride, order or buy.
    Customers,
    /// The people who drive, deliver or serve.
    Drivers,
    /// The proxy numbers of the pool, and the providers that own them.
    Numbers,
    /// Rides: each masks two phones behind one proxy number while contact is open.
    Rides,
    /// Texts and calls.
    Activity,
    /// What happens, told to your backend: a log that can be read again from any place, and endpoints that it is posted to.
    Events,
    /// The programs that may use this API.
    Clients,
    /// Phones without a provider: send a text or call as a phone, and look at its screen.
    Simulator,
    /// What telephony providers call. Signed by the provider; not for you.
    Webhooks,
    /// For load balancers and orchestrators.
    Health,
}
