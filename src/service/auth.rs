//! Who may call: clients, their secrets, and the tokens they get for them.

use chrono::Duration;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::{Once, RequestId, Service, random};
use crate::{
    domain::{
        client::{Caller, Client},
        error::{Conflict, Error, FieldError, Result},
        ids::ClientId,
        page::{Page, PageRequest},
        scope::Scopes,
        text::ClientName,
    },
    store::clients::{self, NewClient},
};

/// How long a token lives.
pub const TOKEN_LIFETIME: Duration = Duration::hours(1);

/// Signs and reads access tokens (JWT, HS256). Issuer and audience name this installation, so that a token of another
/// one is refused even if both share a secret.
pub(super) struct Tokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
    issuer: String,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: String,
    iat: i64,
    exp: i64,
    jti: String,
    scope: String,
    /// Row id of the client: the token's right to exist is checked by primary key.
    cid: ClientId,
}

impl Tokens {
    pub(super) fn new(secret: &SecretString, issuer: &str) -> Self {
        let secret = secret.expose_secret().as_bytes();
        Self {
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
            issuer: issuer.to_owned(),
        }
    }

    fn read(&self, token: &str) -> Option<Claims> {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.issuer]);
        // Time is an argument here; the library would ask the machine.
        validation.validate_exp = false;
        jsonwebtoken::decode(token, &self.decoding, &validation).ok().map(|token| token.claims)
    }
}

/// A token, freshly issued.
pub struct Issued {
    /// The token.
    pub token: String,
    /// What it may do.
    pub scopes: Scopes,
}

/// Why no token is issued (RFC 6749, section 5.2).
#[derive(Debug)]
pub enum Denied {
    /// Unknown client, wrong secret, or revoked: the caller is not told which.
    InvalidClient,
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

impl Service {
    /// Exchanges a client's secret for a token with the scopes asked for, or all it may have.
    pub async fn issue_token(
        &self,
        client_id: &str,
        secret: &str,
        scopes: Option<Scopes>,
    ) -> std::result::Result<Issued, Denied> {
        let found = clients::by_client_id(&self.store, client_id).await?;
        let found = found.filter(|(client, _)| client.revoked_at.is_none());
        let (client, hash) = found.unzip();
        if !self.secrets.verify(secret, hash).await? {
            return Err(Denied::InvalidClient);
        }
        let client = client.ok_or(Denied::InvalidClient)?;
        let scopes = scopes.unwrap_or_else(|| client.scopes.clone());
        if !client.scopes.covers(&scopes) {
            return Err(Denied::InvalidScope);
        }
        let now = self.now();
        let claims = Claims {
            iss: self.tokens.issuer.clone(),
            sub: client.client_id,
            aud: self.tokens.issuer.clone(),
            iat: now.timestamp(),
            exp: (now + TOKEN_LIFETIME).timestamp(),
            jti: random::name(""),
            scope: scopes.to_string(),
            cid: client.id,
        };
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.tokens.encoding);
        Ok(Issued { token: token.map_err(Error::internal)?, scopes })
    }

    /// Reads a token. Its client is looked up every time: a revoked client's tokens are dead at once, on every replica.
    pub async fn authenticate(&self, token: &str) -> Result<Caller> {
        let claims = self.tokens.read(token).ok_or(Error::Unauthorized)?;
        let now = self.now().timestamp();
        if claims.exp <= now || claims.iat > now + 60 {
            return Err(Error::Unauthorized);
        }
        let scopes = Scopes::parse(&claims.scope).ok_or(Error::Unauthorized)?;
        let client = clients::find(&self.store, claims.cid).await?;
        match client.filter(|client| client.revoked_at.is_none() && client.client_id == claims.sub) {
            Some(client) => Ok(Caller { id: client.id, scopes }),
            None => Err(Error::Unauthorized),
        }
    }

    /// What is wrong with the scopes of a new client. Nobody can give what they do not have.
    pub fn wrong_scopes(&self, caller: &Caller, scopes: &Scopes) -> Option<FieldError> {
        if scopes.is_empty() {
            return Some(FieldError::new("/scopes", "must name at least one"));
        }
        let is_covered = caller.scopes.covers(scopes);
        (!is_covered).then(|| FieldError::new("/scopes", "must be among the scopes of your own token"))
    }

    /// Makes a client.
    pub async fn create_client(
        &self,
        caller: &Caller,
        request: &RequestId,
        name: &ClientName,
        scopes: &Scopes,
    ) -> Result<Once<WithSecret>> {
        if let Some(wrong) = self.wrong_scopes(caller, scopes) {
            return Err(Error::Invalid("invalid_request", vec![wrong]));
        }
        let (client_id, secret) = (random::name("client_"), random::secret("msk_"));
        let hash = self.secrets.hash(&secret).await?;
        let (now, client_id, hash) = (self.now(), &client_id, &hash);
        let once = self
            .write_once(request, |tx| async move {
                let new = NewClient { client_id, name, secret_hash: hash, scopes };
                clients::insert(&tx, new, now).await
            })
            .await?;
        let secret = (!once.repeated).then(|| secret.into());
        Ok(Once { value: WithSecret { client: once.value, secret }, repeated: once.repeated })
    }

    /// Makes a client from the command line.
    pub async fn create_client_unasked(&self, name: &ClientName, scopes: &Scopes) -> Result<WithSecret> {
        let secret = random::secret("msk_");
        let client = self.store_client(&random::name("client_"), name, &secret, scopes).await?;
        Ok(WithSecret { client, secret: Some(secret.into()) })
    }

    /// Makes the first client, with all scopes, unless there is one. `given` is what the configuration says; without
    /// it, in the embedded default, one is generated and answered so that it can be shown, once.
    pub async fn bootstrap_client(
        &self,
        given: Option<(String, SecretString)>,
        generate: bool,
    ) -> Result<Option<WithSecret>> {
        let name = ClientName::from_stored("bootstrap".to_owned());
        match given {
            Some((client_id, secret)) => {
                let secret = secret.expose_secret();
                match clients::by_client_id(&self.store, &client_id).await? {
                    None => {
                        self.store_client(&client_id, &name, secret, &Scopes::all()).await?;
                    }
                    Some((_, hash)) if !self.secrets.verify(secret, Some(hash.clone())).await? => tracing::warn!(
                        "BOOTSTRAP_CLIENT_SECRET is not the secret of that client: it only makes the first client; \
                         rotate the client to change its secret"
                    ),
                    Some(_) => {}
                }
                Ok(None)
            }
            None if generate && !clients::any(&self.store).await? => {
                self.create_client_unasked(&name, &Scopes::all()).await.map(Some)
            }
            None => Ok(None),
        }
    }

    async fn store_client(&self, client_id: &str, name: &ClientName, secret: &str, scopes: &Scopes) -> Result<Client> {
        let hash = &self.secrets.hash(secret).await?;
        let now = self.now();
        self.store
            .write(|tx| async move {
                clients::insert(&tx, NewClient { client_id, name, secret_hash: hash, scopes }, now).await
            })
            .await
    }

    /// Clients, a page at a time.
    pub async fn list_clients(&self, page: &PageRequest) -> Result<Page<Client>> {
        clients::list(&self.store, page).await
    }

    /// Gives a client another secret. Tokens issued for the old one live on until they expire. A caller cannot take
    /// over a client that may do more.
    pub async fn rotate_client(&self, caller: &Caller, id: ClientId) -> Result<WithSecret> {
        let client = clients::find(&self.store, id).await?.ok_or(Error::NotFound)?;
        if !caller.scopes.covers(&client.scopes) {
            return Err(Error::Outranked);
        }
        let secret = random::secret("msk_");
        let hash = &self.secrets.hash(&secret).await?;
        self.store
            .write(|tx| async move {
                let done = clients::set_secret(&tx, id, hash).await?;
                if done { Ok(()) } else { Err(Conflict::ClientRevoked.into()) }
            })
            .await?;
        Ok(WithSecret { client, secret: Some(secret.into()) })
    }

    /// Revokes a client; its tokens die with it. Nobody can revoke the client they came in with: that is how one
    /// locks oneself out. Nor one that may do more.
    pub async fn revoke_client(&self, caller: &Caller, id: ClientId) -> Result<Client> {
        if caller.id == id {
            return Err(Conflict::OwnClient.into());
        }
        let now = self.now();
        self.store
            .write(|tx| async move {
                let client = clients::find(&tx, id).await?.ok_or(Error::NotFound)?;
                if !caller.scopes.covers(&client.scopes) {
                    return Err(Error::Outranked);
                }
                clients::revoke(&tx, id, now).await?;
                clients::find(&tx, id).await?.ok_or(Error::NotFound)
            })
            .await
    }
}
