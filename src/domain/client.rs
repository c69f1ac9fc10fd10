//! API clients: the programs that may call us.

use super::{clock::Time, ids::ClientId, scope::Scopes, text::ClientName};

/// An API client, without its secret: only a hash of that is stored.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Client {
    /// Row id.
    pub id: ClientId,
    /// What it signs in with.
    pub client_id: String,
    /// What operators call it.
    pub name: ClientName,
    /// The most it may ask for.
    pub scopes: Scopes,
    /// When it was made.
    pub created_at: Time,
    /// When it was revoked; its tokens died with it.
    pub revoked_at: Option<Time>,
}

/// Who makes a request, as its token says.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The client.
    pub id: ClientId,
    /// What this token may do.
    pub scopes: Scopes,
}
