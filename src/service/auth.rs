//! Who may call: clients, their secrets, and the tokens they get for them.

use std::net::IpAddr;

use chrono::Duration;
use secrecy::{ExposeSecret as _, SecretString};

use super::{Context, Once, RequestId, chance, once::write_once, tokens::NewToken};
use crate::{
    domain::{
        client::{Caller, Client, Credentials, SECRET_OVERLAP, SecretHash},
        error::{Conflict, Error, FieldError, Invalid, Result},
        ids::ClientId,
        page::{Page, PageRequest},
        scope::Scopes,
        text::ClientName,
    },
    store::clients::{self, NewClient},
};

/// How long a token lives at most.
const TOKEN_LIFETIME: Duration = Duration::hours(1);

/// A token, freshly issued.
pub struct Issued {
    /// The token.
    pub token: String,
    /// What it may do.
    pub scopes: Scopes,
    /// How long it lives.
    pub lifetime: Duration,
}

/// Why no token is issued (RFC 6749, section 5.2).
#[derive(Debug)]
pub enum Denied {
    /// Unknown client, wrong secret, or revoked: the caller is not told which.
    InvalidClient,
    /// The same, and a client id or the caller's address has shown too many wrong secrets lately.
    TooManyWrongSecrets {
        /// Not before this.
        retry_after: Duration,
    },
    /// The client may not have one of the scopes.
    InvalidScope,
    /// Something else went wrong.
    Failed(Error),
}

impl From<Error> for Denied {
    fn from(failed: Error) -> Self {
        Self::Failed(failed)
    }
}

/// A client with its secret: shown once, never stored.
pub struct WithSecret {
    /// The client.
    pub client: Client,
    /// Its secret; none when a repeated request is answered, since it is not kept.
    pub secret: Option<SecretString>,
}

impl WithSecret {
    fn new(once: Once<Client>, secret: String) -> Self {
        Self { client: once.value, secret: (!once.repeated).then(|| secret.into()) }
    }
}

/// Exchanges a client's id and secret for a token with the scopes asked for, or all it may have.
///
/// Some ways to send the two can be read in more ways than one: `readings` has each. The secret is checked first and
/// always, so that nobody can shut out a client that has the right one by showing wrong ones.
pub async fn issue_token(
    ctx: &Context,
    readings: &[(&str, &str)],
    scopes: Option<Scopes>,
    address: Option<IpAddr>,
) -> std::result::Result<Issued, Denied> {
    let now = ctx.now();
    for (client_id, secret) in readings {
        let stored = clients::by_client_id(&ctx.store, client_id).await?;
        let known = Credentials::check(stored.as_ref(), secret, now);
        let Some((Credentials { client, .. }, secret)) = stored.zip(known) else { continue };
        let scopes = scopes.unwrap_or_else(|| client.scopes.clone());
        if !client.scopes.covers(&scopes) {
            return Err(Denied::InvalidScope);
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
        return Ok(Issued { token, scopes, lifetime: expires_at - now });
    }
    let mut ids: Vec<_> = readings.iter().map(|(client_id, _)| *client_id).collect();
    ids.dedup();
    match ctx.wrong_secrets.count(address, ids, now) {
        Some(retry_after) => Err(Denied::TooManyWrongSecrets { retry_after }),
        None => Err(Denied::InvalidClient),
    }
}

/// Reads a token. Its client is looked up every time: the tokens of a revoked client, and those issued for a secret
/// that works no longer, are dead at once, on every replica.
pub async fn authenticate(ctx: &Context, token: &str) -> Result<Caller> {
    let now = ctx.now();
    let claims = ctx.tokens.read(token, now).ok_or(Error::Unauthorized)?;
    let scopes = Scopes::parse(&claims.scope).ok_or(Error::Unauthorized)?;
    let client = clients::find(&ctx.store, claims.cid).await?;
    match client.filter(|client| client.client_id == claims.sub && client.accepts(claims.sv, now)) {
        Some(client) => Ok(Caller { id: client.id, scopes }),
        None => Err(Error::Unauthorized),
    }
}

/// Checks the scopes of a new client: a caller can grant only scopes of its own.
pub fn wrong_scopes(caller: &Caller, scopes: &Scopes) -> Option<FieldError> {
    if scopes.is_empty() {
        return Some(FieldError::new("/scopes", "must name at least one"));
    }
    let is_covered = caller.scopes.covers(scopes);
    (!is_covered).then(|| FieldError::new("/scopes", "must be among the scopes of your own token"))
}

/// Makes a client.
pub async fn create_client(
    ctx: &Context,
    caller: &Caller,
    request: &RequestId,
    name: &ClientName,
    scopes: &Scopes,
) -> Result<WithSecret> {
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
    Ok(WithSecret::new(once, secret))
}

/// Makes a client from the command line.
pub async fn create_client_unasked(ctx: &Context, name: &ClientName, scopes: &Scopes) -> Result<WithSecret> {
    let secret = chance::secret("msk_");
    let client = store_client(ctx, &chance::name("client_"), name, &secret, scopes).await?;
    Ok(WithSecret { client, secret: Some(secret.into()) })
}

/// Makes the first client, with all scopes, unless there is one. `given` is what the configuration says; without
/// it, in the embedded default, one is generated and answered so that it can be shown, once.
pub async fn bootstrap_client(
    ctx: &Context,
    given: Option<(String, SecretString)>,
    generate: bool,
) -> Result<Option<WithSecret>> {
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
                        "BOOTSTRAP_CLIENT_SECRET is not the secret of that client: it only makes the first client; \
                     rotate the client to change its secret"
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

/// Clients, a page at a time.
pub async fn list_clients(ctx: &Context, page: &PageRequest) -> Result<Page<Client>> {
    let now = ctx.now();
    Ok(clients::list(&ctx.store, page).await?.map(|client| client.shown_at(now)))
}

/// Gives a client another secret. The current one works for a day more, with the tokens issued for it; the one before
/// that, if it still worked, ends at once. A caller cannot take over a client that may do more.
pub async fn rotate_client(ctx: &Context, caller: &Caller, request: &RequestId, id: ClientId) -> Result<WithSecret> {
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
    Ok(WithSecret::new(once, secret))
}

/// Revokes a client; its tokens die with it. Nobody can revoke the client they came in with: that is how one
/// locks oneself out. Nor one that may do more.
pub async fn revoke_client(ctx: &Context, caller: &Caller, id: ClientId) -> Result<Client> {
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
