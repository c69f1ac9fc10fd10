//! Authentication of callers: clients, their secrets, and the tokens that they exchange them for.

use std::net::IpAddr;

use chrono::Duration;
use secrecy::{ExposeSecret as _, SecretString};

use super::{Context, Once, RequestId, chance, once::write_once, tokens::NewToken};
use crate::{
    domain::{
        client::{ApiCaller, Client, Credentials, SECRET_OVERLAP, SecretHash},
        error::{Conflict, Error, FieldError, Invalid, Result},
        ids::ClientId,
        page::{Page, PageRequest},
        scope::Scopes,
        text::ClientName,
    },
    store::clients::{self, NewClient},
};

/// Longest lifetime of a token.
const TOKEN_LIFETIME: Duration = Duration::hours(1);

/// Newly issued token.
pub struct IssuedToken {
    pub token: String,
    pub scopes: Scopes,
    pub lifetime: Duration,
}

/// Reason why no token is issued (RFC 6749, section 5.2).
#[derive(Debug)]
pub enum TokenRefusal {
    /// The client is unknown or revoked, or the secret is wrong. The caller does not learn which.
    InvalidClient,
    /// Same as `InvalidClient`, after too many recent wrong secrets for a client id or from the caller's address.
    TooManyWrongSecrets {
        /// Time to wait before the next attempt.
        retry_after: Duration,
    },
    /// The client may not have one of the scopes.
    InvalidScope,
    /// Any other failure.
    Failed(Error),
}

impl From<Error> for TokenRefusal {
    fn from(failed: Error) -> Self {
        Self::Failed(failed)
    }
}

/// Client with its secret, which is shown once and never stored.
pub struct ClientWithSecret {
    pub client: Client,
    /// `None` when a repeated request is answered: kept answers leave out the secret.
    pub secret: Option<SecretString>,
}

impl ClientWithSecret {
    fn new(once: Once<Client>, secret: String) -> Self {
        Self { client: once.value, secret: (!once.repeated).then(|| secret.into()) }
    }
}

/// Exchanges a client's id and secret for a token with the requested scopes, or with all scopes of the client.
///
/// Some ways to send the two can be read in more than one way: `readings` has each reading. The secret is always
/// checked, and first, so that nobody can lock out a client by sending wrong secrets for it.
pub async fn issue_token(
    ctx: &Context,
    readings: &[(&str, &str)],
    scopes: Option<Scopes>,
    address: Option<IpAddr>,
) -> std::result::Result<IssuedToken, TokenRefusal> {
    let now = ctx.now();
    for (client_id, secret) in readings {
        let stored = clients::by_client_id(&ctx.store, client_id).await?;
        let known = Credentials::check(stored.as_ref(), secret, now);
        let Some((Credentials { client, .. }, secret)) = stored.zip(known) else { continue };
        let scopes = scopes.unwrap_or_else(|| client.scopes.clone());
        if !client.scopes.covers(&scopes) {
            return Err(TokenRefusal::InvalidScope);
        }
        let longest = now + TOKEN_LIFETIME;
        let expires_at = secret.until.map_or(longest, |until| until.min(longest));
        let token = ctx.tokens.issue(NewToken {
            client_id: client.client_id,
            row: client.id,
            secret_version: secret.version,
            scope: scopes.to_string(),
            id: chance::name(""),
            issued_at: now,
            expires_at,
        })?;
        return Ok(IssuedToken { token, scopes, lifetime: expires_at - now });
    }
    let mut ids: Vec<_> = readings.iter().map(|(client_id, _)| *client_id).collect();
    ids.dedup();
    match ctx.wrong_secrets.count(address, ids, now) {
        Some(retry_after) => Err(TokenRefusal::TooManyWrongSecrets { retry_after }),
        None => Err(TokenRefusal::InvalidClient),
    }
}

/// Verifies a token. Its client is looked up every time: when a client is revoked, or the secret that a token was
/// issued for stops working, the token stops working at once, on every replica.
pub async fn authenticate(ctx: &Context, token: &str) -> Result<ApiCaller> {
    let now = ctx.now();
    let claims = ctx.tokens.read(token, now).ok_or(Error::Unauthorized)?;
    let scopes = Scopes::parse(&claims.scope).ok_or(Error::Unauthorized)?;
    let client = clients::find(&ctx.store, claims.cid).await?;
    match client.filter(|client| client.client_id == claims.sub && client.accepts(claims.sv, now)) {
        Some(client) => Ok(ApiCaller { id: client.id, scopes }),
        None => Err(Error::Unauthorized),
    }
}

/// Checks the scopes of a new client: a caller can grant only its own scopes.
pub fn wrong_scopes(caller: &ApiCaller, scopes: &Scopes) -> Option<FieldError> {
    if scopes.is_empty() {
        return Some(FieldError::new("/scopes", "must name at least one"));
    }
    let is_covered = caller.scopes.covers(scopes);
    (!is_covered).then(|| FieldError::new("/scopes", "must be among the scopes of your own token"))
}

pub async fn create_client(
    ctx: &Context,
    caller: &ApiCaller,
    request: &RequestId,
    name: &ClientName,
    scopes: &Scopes,
) -> Result<ClientWithSecret> {
    if let Some(wrong) = wrong_scopes(caller, scopes) {
        return Err(Error::Invalid(Invalid::Fields, vec![wrong]));
    }
    let (client_id, secret) = (chance::name("client_"), chance::secret("msk_"));
    let (now, client_id, hash) = (ctx.now(), &client_id, SecretHash::of(&secret));
    let once = write_once(ctx, request, |tx| async move {
        let new = NewClient { client_id, name, secret: hash, scopes };
        clients::insert(&tx, new, now).await
    })
    .await?;
    Ok(ClientWithSecret::new(once, secret))
}

/// Creates a client from the command line, where no caller's scopes limit it.
pub async fn create_client_unasked(ctx: &Context, name: &ClientName, scopes: &Scopes) -> Result<ClientWithSecret> {
    let secret = chance::secret("msk_");
    let client = store_client(ctx, &chance::name("client_"), name, &secret, scopes).await?;
    Ok(ClientWithSecret { client, secret: Some(secret.into()) })
}

/// Creates the first client, with all scopes, unless it exists. `given` comes from the configuration. Without it, and
/// if `generate` is set (for an embedded database), the client is generated and returned, so that its secret can be
/// shown once.
pub async fn bootstrap_client(
    ctx: &Context,
    given: Option<(String, SecretString)>,
    generate: bool,
) -> Result<Option<ClientWithSecret>> {
    let name = ClientName::from_stored("bootstrap".to_owned());
    match given {
        Some((client_id, secret)) => {
            let secret = secret.expose_secret();
            match clients::by_client_id(&ctx.store, &client_id).await? {
                None => {
                    store_client(ctx, &client_id, &name, secret, &Scopes::all()).await?;
                }
                stored @ Some(_) if Credentials::check(stored.as_ref(), secret, ctx.now()).is_none() => {
                    tracing::warn!(
                        "ignored BOOTSTRAP_CLIENT_SECRET: the client has another secret, and this setting only creates \
                     the first client; rotate the client to change its secret"
                    )
                }
                Some(_) => {}
            }
            Ok(None)
        }
        None if generate && !clients::any(&ctx.store).await? => {
            create_client_unasked(ctx, &name, &Scopes::all()).await.map(Some)
        }
        None => Ok(None),
    }
}

async fn store_client(
    ctx: &Context,
    client_id: &str,
    name: &ClientName,
    secret: &str,
    scopes: &Scopes,
) -> Result<Client> {
    let (now, hash) = (ctx.now(), SecretHash::of(secret));
    ctx.store
        .write(|tx| async move { clients::insert(&tx, NewClient { client_id, name, secret: hash, scopes }, now).await })
        .await
}

pub async fn list_clients(ctx: &Context, page: &PageRequest) -> Result<Page<Client>> {
    let now = ctx.now();
    Ok(clients::list(&ctx.store, page).await?.map(|client| client.shown_at(now)))
}

/// Rotates a client's secret. The current secret works for one more day, with the tokens issued for it. The one before
/// it stops working at once, if it still worked. A caller cannot rotate the secret of a client with more scopes than
/// its own.
pub async fn rotate_client(
    ctx: &Context,
    caller: &ApiCaller,
    request: &RequestId,
    id: ClientId,
) -> Result<ClientWithSecret> {
    let secret = chance::secret("msk_");
    let (now, hash) = (ctx.now(), SecretHash::of(&secret));
    let once = write_once(ctx, request, |tx| async move {
        let client = clients::find_locked(&tx, id).await?.ok_or(Error::NotFound)?;
        if !caller.scopes.covers(&client.scopes) {
            return Err(Error::Outranked);
        }
        if client.revoked_at.is_some() {
            return Err(Conflict::ClientRevoked.into());
        }
        clients::rotate(&tx, id, hash, SECRET_OVERLAP, now).await
    })
    .await?;
    Ok(ClientWithSecret::new(once, secret))
}

/// Revokes a client and with it the client's tokens. A caller cannot revoke its own client, because it would lock
/// itself out, nor a client with more scopes than its own.
pub async fn revoke_client(ctx: &Context, caller: &ApiCaller, id: ClientId) -> Result<Client> {
    if caller.id == id {
        return Err(Conflict::OwnClient.into());
    }
    let now = ctx.now();
    ctx.store
        .write(|tx| async move {
            let client = clients::find(&tx, id).await?.ok_or(Error::NotFound)?;
            if !caller.scopes.covers(&client.scopes) {
                return Err(Error::Outranked);
            }
            clients::revoke(&tx, id, now).await?;
            Ok(clients::find(&tx, id).await?.ok_or(Error::NotFound)?.shown_at(now))
        })
        .await
}
