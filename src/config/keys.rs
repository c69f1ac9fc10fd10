//! Keys of the service, and the secret of its first client.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret as _, SecretString};

use super::{Reader, local_keys};
use crate::store::{DatabaseOptions, Keys};

impl Reader<'_> {
    pub(super) fn bootstrap(&mut self) -> Option<(String, SecretString)> {
        let (id, secret) = (self.text("BOOTSTRAP_CLIENT_ID"), self.secret("BOOTSTRAP_CLIENT_SECRET"));
        match (id, secret) {
            (Some(id), Some(secret)) => {
                if id.len() > 100 || !id.bytes().all(|b| b.is_ascii_graphic() && b != b':') {
                    self.errors
                        .push("BOOTSTRAP_CLIENT_ID must be at most 100 visible ASCII characters, no colon".to_owned());
                }
                if secret.expose_secret().chars().count() < 32 {
                    let rule = "BOOTSTRAP_CLIENT_SECRET must have at least 32 characters: openssl rand -base64 32";
                    self.errors.push(rule.to_owned());
                }
                Some((id, secret))
            }
            (None, None) => None,
            _ => {
                self.errors.push(
                    "BOOTSTRAP_CLIENT_ID and BOOTSTRAP_CLIENT_SECRET belong together: set both or none".to_owned(),
                );
                None
            }
        }
    }

    pub(super) fn keys(&mut self, embedded: bool, url: &str) -> Option<(Vec<SecretString>, Keys)> {
        let mut given = [("JWT_SECRET", None), ("DATA_KEY", None), ("INDEX_KEY", None)];
        for (name, value) in &mut given {
            *value = self.secret(name);
        }
        let file = DatabaseOptions::sqlite_path(url).filter(|_| embedded);
        // Nothing is written to disk for a configuration that will not start.
        if let Some(database) = file.filter(|_| self.errors.is_empty())
            && given.iter().any(|(_, value)| value.is_none())
        {
            match local_keys::load_or_create(database) {
                Ok(kept) => {
                    for (name, value) in &mut given {
                        *value = value.take().or_else(|| kept.get(*name).cloned());
                    }
                }
                Err(wrong) => {
                    self.errors.push(wrong);
                    return None;
                }
            }
        }
        for (name, value) in &given {
            if value.is_none() && !embedded {
                self.errors.push(format!("{name} is required with PostgreSQL"));
            } else if value.is_none() && self.errors.is_empty() {
                self.errors.push(format!("{name} is not in the key file next to the database"));
            }
        }
        let [(_, jwt_secret), (_, data), (_, index)] = given;
        let jwt_secrets = jwt_secret.and_then(|list| {
            let secrets: Vec<_> = list.expose_secret().split(',').map(str::trim).map(SecretString::from).collect();
            let are_long = secrets.iter().all(|secret| secret.expose_secret().len() >= 32);
            self.require(
                "JWT_SECRET must be a secret of at least 32 bytes, or several with commas between them: a comma always \
                 ends a secret, so none can contain one",
                are_long.then_some(secrets),
            )
        });
        let data = data.and_then(|list| {
            let keys: Option<Vec<_>> = list.expose_secret().split(',').map(data_key).collect();
            self.require(
                "DATA_KEY must be a list of id:base64key, each key 32 bytes, each id its own",
                keys.filter(|keys| distinct(keys)),
            )
        });
        let index = index.and_then(|key| {
            let key = STANDARD.decode(key.expose_secret().trim()).ok().filter(|key| key.len() == 32);
            self.require("INDEX_KEY must be 32 bytes in base64", key)
        });
        Some((jwt_secrets?, Keys { data: data?, index: index?.into() }))
    }
}

type DataKey = (String, secrecy::SecretSlice<u8>);

fn data_key(entry: &str) -> Option<DataKey> {
    let (id, key) = entry.trim().split_once(':')?;
    let shape =
        (1..=32).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    let key = STANDARD.decode(key).ok().filter(|key| key.len() == 32 && shape)?;
    Some((id.to_owned(), key.into()))
}

fn distinct(keys: &[DataKey]) -> bool {
    keys.iter().enumerate().all(|(at, (id, _))| keys[..at].iter().all(|(other, _)| other != id))
}
