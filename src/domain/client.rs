//! API clients: the programs that may call the API.

use aws_lc_rs::{constant_time, digest};
use chrono::Duration;

use super::{clock::Time, ids::ClientId, scope::Scopes, text::ClientName};

/// How long a secret keeps working after it was rotated.
pub const SECRET_OVERLAP: Duration = Duration::hours(24);

/// API client without its secrets. Only hashes of them are stored.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Client {
    /// Row ID.
    pub id: ClientId,
    /// OAuth client ID with which it signs in.
    pub client_id: String,
    pub name: ClientName,
    /// Largest set of scopes that it may request.
    pub scopes: Scopes,
    /// Version of the current secret: 1, plus one for each rotation.
    pub secret_version: i32,
    /// Time until which the previous secret works.
    pub former_secret_until: Option<Time>,
    pub created_at: Time,
    /// When it was revoked. Its tokens became invalid at the same time.
    pub revoked_at: Option<Time>,
}

impl Client {
    /// Returns the client as shown at this time. A previous secret that no longer works is left out, even before its
    /// hash is deleted.
    pub fn shown_at(self, now: Time) -> Self {
        let former_secret_until = self.former_secret_until.filter(|until| *until > now && self.revoked_at.is_none());
        Self { former_secret_until, ..self }
    }

    /// Checks whether the secret of this version works at this time. A token lives no longer than the secret for which
    /// it was issued.
    pub fn accepts(&self, secret_version: i32, now: Time) -> bool {
        let former = || self.former_secret_until.is_some_and(|until| until > now);
        self.revoked_at.is_none()
            && (secret_version == self.secret_version
                || (secret_version.checked_add(1) == Some(self.secret_version) && former()))
    }
}

/// SHA-256 of a secret. The secrets that we generate have 256 bits, so no search finds one from its hash. A slow hash
/// would only cost us time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// Hash that, as far as anybody knows, no secret has.
    const NONE: Self = Self([0; 32]);

    pub fn of(secret: &str) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, secret.as_bytes()).as_ref());
        Self(hash)
    }

    /// Reads a stored hash; `None` if its length is wrong.
    pub fn from_stored(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Compares in constant time.
    fn equals(&self, other: &Self) -> bool {
        constant_time::verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

/// Client with the hashes of its secrets.
pub struct Credentials {
    pub client: Client,
    /// Hash of the current secret.
    pub secret: SecretHash,
    /// Hash of the previous secret, until it is deleted.
    pub former_secret: Option<SecretHash>,
}

/// Secret of a client that a caller presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownSecret {
    pub version: i32,
    /// End of the overlap, if the secret was rotated.
    pub until: Option<Time>,
}

impl Credentials {
    /// Checks a secret against those with which the client can sign in now. An unknown client has none, but the check
    /// takes just as long.
    pub fn check(stored: Option<&Self>, secret: &str, now: Time) -> Option<KnownSecret> {
        let shown = SecretHash::of(secret);
        let current = stored.map_or(SecretHash::NONE, |stored| stored.secret);
        let former = stored.and_then(|stored| stored.former_secret).unwrap_or(SecretHash::NONE);
        let (is_current, is_former) = (shown.equals(&current), shown.equals(&former));
        let client = &stored?.client;
        let known = if is_current {
            KnownSecret { version: client.secret_version, until: None }
        } else if is_former {
            KnownSecret { version: client.secret_version - 1, until: client.former_secret_until }
        } else {
            return None;
        };
        client.accepts(known.version, now).then_some(known)
    }
}

/// Client that makes a request, according to its token.
#[derive(Clone, Debug)]
pub struct ApiCaller {
    pub id: ClientId,
    /// Scopes of this token.
    pub scopes: Scopes,
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::domain::hex;

    fn now() -> Time {
        DateTime::from_timestamp(1_800_000_000, 0).expect("a time")
    }

    fn client(secret_version: i32, former_secret_until: Option<Time>) -> Client {
        Client {
            id: ClientId(1),
            client_id: "client".to_owned(),
            name: ClientName::from_stored("client".to_owned()),
            scopes: Scopes::all(),
            secret_version,
            former_secret_until,
            created_at: now(),
            revoked_at: None,
        }
    }

    #[test]
    fn a_client_accepts_its_secret_and_for_a_while_the_one_before() {
        let second = Duration::seconds(1);
        let rotated = client(3, Some(now() + second));
        for (version, at, accepted) in [
            (3, now(), true),
            (2, now(), true),
            (2, now() + second, false),
            (3, now() + second, true),
            (1, now(), false),
            (4, now(), false),
            (i32::MAX, now(), false),
            (i32::MIN, now(), false),
        ] {
            assert_eq!(rotated.accepts(version, at), accepted, "version {version} at {at}");
        }
        assert!(!client(3, None).accepts(2, now()));
        let revoked = Client { revoked_at: Some(now()), ..rotated };
        assert!(!revoked.accepts(3, now()) && !revoked.accepts(2, now()));
    }

    #[test]
    fn only_a_secret_of_the_client_is_known() {
        let until = now() + Duration::hours(1);
        let former_secret = Some(SecretHash::of("former"));
        let stored = Credentials { client: client(2, Some(until)), secret: SecretHash::of("current"), former_secret };
        let check = |secret, at| Credentials::check(Some(&stored), secret, at);
        assert_eq!(check("current", now()), Some(KnownSecret { version: 2, until: None }));
        assert_eq!(check("former", now()), Some(KnownSecret { version: 1, until: Some(until) }));
        assert_eq!(check("former", until), None);
        assert_eq!(check("current", until), Some(KnownSecret { version: 2, until: None }));
        for wrong in ["", "curren", "current ", "Current"] {
            assert_eq!(check(wrong, now()), None, "{wrong}");
            assert_eq!(Credentials::check(None, wrong, now()), None);
        }
    }

    /// Test vector of FIPS 180-4.
    #[test]
    fn a_hash_is_sha_256() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let hex = hex::encode(SecretHash::of("abc").as_bytes());
        assert_eq!(hex, expected);
    }
}
