//! Groups of operations.

/// Groups of operations in the document.
#[derive(poem_openapi::Tags)]
pub(in crate::http) enum Group {
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
    /// What happens, told to your backend: a log that can be read again from any place, and endpoints that it is posted
    /// to.
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
