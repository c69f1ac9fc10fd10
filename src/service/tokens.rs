//! Access tokens: JWTs with HS256, signed with the first key of `JWT_SECRET` and verified with all of them.

use std::collections::HashSet;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::domain::{
    clock::Time,
    error::{Error, Result},
    ids::ClientId,
    jwt,
};

/// Maximum time, in seconds, by which the clock of the replica that issued a token may be ahead of ours.
const SKEW: i64 = 60;

/// Signs and reads access tokens. Issuer and audience name this installation, so that a token of another one is refused
/// even if both share a secret.
pub(super) struct Tokens {
    encoding: EncodingKey,
    decoding: Vec<DecodingKey>,
    validation: Validation,
    issuer: String,
}

/// Claims of a token.
#[derive(Serialize, Deserialize)]
pub(super) struct Claims {
    iss: String,
    pub(super) sub: String,
    aud: String,
    iat: i64,
    exp: i64,
    /// We never set it, but honor it if present.
    #[serde(default = "long_ago", skip_serializing)]
    nbf: i64,
    jti: String,
    pub(super) scope: String,
    /// Row id of the client, so that the client can be checked by primary key.
    pub(super) cid: ClientId,
    /// Version of the secret that the token was issued for.
    pub(super) sv: i32,
}

fn long_ago() -> i64 {
    i64::MIN
}

/// Claims of a token to issue.
pub(super) struct NewToken {
    pub(super) client_id: String,
    pub(super) row: ClientId,
    pub(super) secret_version: i32,
    pub(super) scope: String,
    pub(super) id: String,
    pub(super) issued_at: Time,
    pub(super) expires_at: Time,
}

impl Tokens {
    /// Creates the signer and verifier. The first of `secrets` signs, all verify. Without any, no token can be issued
    /// or read.
    pub(super) fn new(secrets: &[SecretString], issuer: &str) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.required_spec_claims = HashSet::from(["exp", "iss", "aud", "sub"].map(str::to_owned));
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[issuer]);
        // Times are compared with our clock below; the library would use the machine's.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let bytes = |secret: &SecretString| secret.expose_secret().as_bytes().to_vec();
        Self {
            encoding: EncodingKey::from_secret(&secrets.first().map(bytes).unwrap_or_default()),
            decoding: secrets.iter().map(|secret| DecodingKey::from_secret(&bytes(secret))).collect(),
            validation,
            issuer: issuer.to_owned(),
        }
    }

    pub(super) fn issue(&self, new: NewToken) -> Result<String> {
        let claims = Claims {
            iss: self.issuer.clone(),
            sub: new.client_id,
            aud: self.issuer.clone(),
            iat: new.issued_at.timestamp(),
            exp: new.expires_at.timestamp(),
            nbf: long_ago(),
            jti: new.id,
            scope: new.scope,
            cid: new.row,
            sv: new.secret_version,
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.encoding).map_err(Error::internal)
    }

    /// Reads a token that is ours and valid at this time.
    pub(super) fn read(&self, token: &str, now: Time) -> Option<Claims> {
        if !jwt::is_readable(token) {
            return None;
        }
        let open = |key| jsonwebtoken::decode::<Claims>(token, key, &self.validation).ok();
        let claims = self.decoding.iter().find_map(open)?.claims;
        let now = now.timestamp();
        let is_valid = claims.iat <= now + SKEW && claims.nbf <= now && now < claims.exp;
        is_valid.then_some(claims)
    }
}
