//! `/v1/clients`.

use std::sync::Arc;

use poem_openapi::{
    OpenApi,
    param::{Header, Path, Query},
};
use secrecy::ExposeSecret as _;

use super::group::Group;
use crate::{
    domain::{
        client::Client,
        ids::ClientId,
        scope::{Scope, Scopes},
        text::ClientName,
    },
    http::{
        auth::{Allowed, ClientsManage},
        fields::{Checked, Draft, Parameters, request_body, view},
        problem::Answer,
        reply::{Created, Found, List, page, request_id},
        scalars::{Cursor, Limit, SortOrder, Timestamp},
    },
    service::{
        Context,
        auth::{self, ClientWithSecret},
    },
};

view! {
    /// An API client.
    ClientView as "Client" {
        /// Row id, for the paths of this resource.
        id: ClientId,
        /// What it signs in with.
        client_id: String,
        /// Its secret: shown once, when it is made or rotated.
        client_secret: Option<String>,
        /// What you call it.
        name: ClientName,
        /// The most it may ask for.
        scopes: Vec<Scope>,
        /// The former secret works until then too. Absent when there is none.
        former_secret_expires_at: Option<Timestamp>,
        /// When it was made.
        created_at: Timestamp,
        /// When it was revoked; its tokens died with it.
        revoked_at: Option<Timestamp>,
    }
}

impl ClientView {
    pub(in crate::http) fn of(client: Client, secret: Option<String>) -> Self {
        Self {
            id: client.id,
            client_id: client.client_id,
            client_secret: secret,
            name: client.name,
            scopes: client.scopes.iter().collect(),
            former_secret_expires_at: client.former_secret_until.map(Timestamp),
            created_at: Timestamp(client.created_at),
            revoked_at: client.revoked_at.map(Timestamp),
        }
    }
}
const PATH: &str = "/v1/clients";

request_body! {
    /// A new API client.
    NewClientBody {
        /// What you call it.
        name: ClientName,
        /// The most it may ask for.
        scopes: Vec<Scope>,
    }
    example { "name": "dispatch backend", "scopes": ["rides:read", "rides:write"] }
}

pub(in crate::http) struct ClientsApi {
    pub(in crate::http) ctx: Arc<Context>,
}

fn view(made: ClientWithSecret) -> ClientView {
    ClientView::of(made.client, made.secret.map(|secret| secret.expose_secret().to_owned()))
}

#[OpenApi(tag = "Group::Clients")]
impl ClientsApi {
    /// List clients
    ///
    /// A page of API clients, by id, revoked ones too.
    #[oai(path = "/v1/clients", method = "get", operation_id = "list_clients")]
    async fn list(
        &self,
        #[oai(scope = "Scope::ClientsManage")] _allowed: Allowed<ClientsManage>,
        mut parameters: Parameters,
        /// At most so many items.
        limit: Query<Option<Checked<Limit>>>,
        /// The `next` of the page before.
        after: Query<Option<Checked<Cursor>>>,
        /// By id, ascending or descending.
        order: Query<Option<Checked<SortOrder>>>,
    ) -> Answer<Found<List<ClientView>>> {
        let page = page(&mut parameters, limit.0, after.0, order.0);
        parameters.finish()?;
        Ok(List::of(auth::list_clients(&self.ctx, &page).await?, |client| ClientView::of(client, None)))
    }

    /// Create a client
    ///
    /// The answer shows the secret, this once. You can give only scopes that your own token has.
    #[oai(path = "/v1/clients", method = "post", operation_id = "create_client")]
    async fn create(
        &self,
        #[oai(scope = "Scope::ClientsManage")] allowed: Allowed<ClientsManage>,
        /// Repeating a request with its key has no second effect and gets the same answer, without the secret, for 24
        /// hours.
        #[oai(name = "Idempotency-Key")]
        idempotency_key: Header<Option<String>>,
        parameters: Parameters,
        body: Draft<NewClientBody>,
    ) -> Answer<Created<ClientView>> {
        let scopes = body.peek::<Vec<Scope>>("scopes").map(|scopes| scopes.into_iter().collect());
        let more = scopes.and_then(|scopes| auth::wrong_scopes(&allowed.caller, &scopes));
        let body = body.finish(parameters, more.into_iter().collect())?;
        let scopes: Scopes = body.value.scopes.into_iter().collect();
        let request = request_id(&self.ctx, &allowed.caller, PATH, idempotency_key.0, ("", &body.canonical))?;
        let made = auth::create_client(&self.ctx, &allowed.caller, &request, &body.value.name, &scopes).await?;
        let id = made.client.id;
        Ok(Created::new(view(made)).at(format!("{PATH}/{id}")))
    }

    /// Rotate a client's secret
    ///
    /// The answer shows the new secret, this once. The former secret works for 24 hours more
    /// (`former_secret_expires_at`), and so do the tokens issued for it. The one before the former, if it still worked,
    /// ends at once: rotating twice within 24 hours ends the secret that clients use now. To end every secret and token
    /// at once, revoke the client.
    #[oai(path = "/v1/clients/:id/rotate", method = "post", operation_id = "rotate_client")]
    async fn rotate(
        &self,
        #[oai(scope = "Scope::ClientsManage")] allowed: Allowed<ClientsManage>,
        /// Id of the client.
        id: Path<ClientId>,
        /// Repeating a request with its key has no second effect and gets the same answer, without the secret, for 24
        /// hours.
        #[oai(name = "Idempotency-Key")]
        idempotency_key: Header<Option<String>>,
    ) -> Answer<Found<ClientView>> {
        let what = id.0.to_string();
        let request = request_id(&self.ctx, &allowed.caller, "rotate_client", idempotency_key.0, (&what, b""))?;
        Ok(Found::new(view(auth::rotate_client(&self.ctx, &allowed.caller, &request, id.0).await?)))
    }

    /// Revoke a client
    ///
    /// It can get no more tokens, and those it has die at once.
    #[oai(path = "/v1/clients/:id/revoke", method = "post", operation_id = "revoke_client")]
    async fn revoke(
        &self,
        #[oai(scope = "Scope::ClientsManage")] allowed: Allowed<ClientsManage>,
        /// Id of the client.
        id: Path<ClientId>,
    ) -> Answer<Found<ClientView>> {
        Ok(Found::new(ClientView::of(auth::revoke_client(&self.ctx, &allowed.caller, id.0).await?, None)))
    }
}
