//! Provider accounts: each is complete or absent.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret as _, SecretString};

use super::Reader;
use crate::{
    domain::number::ProviderName,
    provider::{
        bandwidth, messagebird, plivo,
        registry::{self, Accounts, Limits},
        telnyx, twilio, vonage,
    },
};

impl Reader<'_> {
    /// Reads the accounts with real providers.
    pub(super) fn accounts(&mut self) -> Accounts {
        let mut accounts = Accounts {
            messagebird: self.messagebird(),
            plivo: self.plivo(),
            bandwidth: self.bandwidth(),
            twilio: self.twilio(),
            vonage: self.vonage(),
            telnyx: self.telnyx(),
            simulator: None,
            limits: BTreeMap::new(),
        };
        for provider in registry::names() {
            accounts.limits.insert(provider.clone(), self.limits(provider));
        }
        accounts
    }

    /// Reads the rate limits of an account, as agreed with its provider. Without that account they have no effect.
    fn limits(&mut self, provider: &ProviderName) -> Limits {
        let name = provider.as_str().to_ascii_uppercase();
        Limits {
            texts_per_minute: self.rate(&format!("{name}_TEXTS_PER_MINUTE")),
            texts_per_second: self.rate(&format!("{name}_TEXTS_PER_SECOND")),
        }
    }

    fn rate(&mut self, name: &str) -> Option<u32> {
        let text = self.text(name)?;
        let rate = text.parse().ok().filter(|rate| (1..=1_000_000).contains(rate));
        self.require(&format!("{name} must be a whole number from 1 to 1000000"), rate)
    }

    fn messagebird(&mut self) -> Option<messagebird::Config> {
        let base_url = self.base_url("MESSAGEBIRD_BASE_URL");
        let names = ["MESSAGEBIRD_API_KEY", "MESSAGEBIRD_SIGNING_KEY"];
        let [api_key, signing_keys] = self.whole(names, base_url.is_some())?;
        Some(messagebird::Config {
            api_key,
            signing_keys: self.list(names[1], &signing_keys)?,
            base_url: base_url.unwrap_or_else(|| messagebird::DEFAULT_BASE_URL.to_owned()),
        })
    }

    fn plivo(&mut self) -> Option<plivo::Config> {
        let base_url = self.base_url("PLIVO_BASE_URL");
        let accept_v2 = self.switch("PLIVO_ACCEPT_SIGNATURE_V2", false);
        let names = ["PLIVO_AUTH_ID", "PLIVO_AUTH_TOKEN"];
        let [auth_id, auth_tokens] = self.whole(names, base_url.is_some())?;
        Some(plivo::Config {
            auth_id: self.identifier(names[0], &auth_id)?,
            auth_tokens: self.list(names[1], &auth_tokens)?,
            base_url: base_url.unwrap_or_else(|| plivo::DEFAULT_BASE_URL.to_owned()),
            accept_v2,
        })
    }

    fn bandwidth(&mut self) -> Option<bandwidth::Config> {
        let base_url = self.base_url("BANDWIDTH_BASE_URL");
        let names = [
            "BANDWIDTH_ACCOUNT_ID",
            "BANDWIDTH_APPLICATION_ID",
            "BANDWIDTH_USERNAME",
            "BANDWIDTH_PASSWORD",
            "BANDWIDTH_WEBHOOK_USERNAME",
            "BANDWIDTH_WEBHOOK_PASSWORD",
        ];
        let [account_id, application_id, username, password, webhook_username, webhook_passwords] =
            self.whole(names, base_url.is_some())?;
        Some(bandwidth::Config {
            account_id: self.identifier(names[0], &account_id)?,
            application_id: self.identifier(names[1], &application_id)?,
            username: self.user_name(names[2], &username)?,
            password,
            webhook_username: self.user_name(names[4], &webhook_username)?,
            webhook_passwords: self.passwords(names[5], &webhook_passwords)?,
            base_url: base_url.unwrap_or_else(|| bandwidth::DEFAULT_BASE_URL.to_owned()),
        })
    }

    fn twilio(&mut self) -> Option<twilio::Config> {
        let base_url = self.base_url("TWILIO_BASE_URL");
        let names = ["TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN"];
        let [account_sid, auth_tokens] = self.whole(names, base_url.is_some())?;
        Some(twilio::Config {
            account_sid: self.identifier(names[0], &account_sid)?,
            auth_tokens: self.list(names[1], &auth_tokens)?,
            base_url: base_url.unwrap_or_else(|| twilio::DEFAULT_BASE_URL.to_owned()),
        })
    }

    fn vonage(&mut self) -> Option<vonage::Config> {
        let base_url = self.base_url("VONAGE_BASE_URL");
        let names = ["VONAGE_APPLICATION_ID", "VONAGE_PRIVATE_KEY", "VONAGE_API_KEY", "VONAGE_SIGNATURE_SECRET"];
        let [application_id, private_key, api_key, signature_secrets] = self.whole(names, base_url.is_some())?;
        let private_key = vonage::PrivateKey::parse(private_key.expose_secret());
        Some(vonage::Config {
            application_id: self.identifier(names[0], &application_id)?,
            private_key: self.require("VONAGE_PRIVATE_KEY must be an RSA private key in PEM form", private_key)?,
            api_key: api_key.expose_secret().to_owned(),
            signature_secrets: self.list(names[3], &signature_secrets)?,
            base_url: base_url.unwrap_or_else(|| vonage::DEFAULT_BASE_URL.to_owned()),
        })
    }

    fn telnyx(&mut self) -> Option<telnyx::Config> {
        let base_url = self.base_url("TELNYX_BASE_URL");
        let names = ["TELNYX_API_KEY", "TELNYX_PUBLIC_KEY"];
        let [api_key, public_keys] = self.whole(names, base_url.is_some())?;
        let keys = self.list(names[1], &public_keys)?;
        let keys = keys.iter().map(|key| telnyx::PublicKey::parse(key.expose_secret())).collect();
        Some(telnyx::Config {
            api_key,
            public_keys: self.require("TELNYX_PUBLIC_KEY must be 32 bytes in base64, as the portal shows it", keys)?,
            base_url: base_url.unwrap_or_else(|| telnyx::DEFAULT_BASE_URL.to_owned()),
        })
    }

    /// Reads the variables of an account, if all are set. Some without the others are a mistake. So is any other
    /// setting of an account that is not there (`wanted`).
    fn whole<const N: usize>(&mut self, names: [&str; N], wanted: bool) -> Option<[SecretString; N]> {
        let values = names.map(|name| self.secret(name));
        let missing: Vec<_> = names.iter().zip(&values).filter(|(_, value)| value.is_none()).collect();
        if !missing.is_empty() && (wanted || missing.len() < N) {
            let missing: Vec<_> = missing.iter().map(|(name, _)| **name).collect();
            let rule =
                format!("{} belong together: set all or none. Missing: {}", names.join(", "), missing.join(", "));
            self.errors.push(rule);
        }
        let values: Vec<_> = values.into_iter().flatten().collect();
        values.try_into().ok()
    }

    /// Checks a value that becomes part of an address.
    fn identifier(&mut self, name: &str, value: &SecretString) -> Option<String> {
        let value = value.expose_secret();
        let shape = (1..=64).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        self.require(&format!("{name} must be letters, digits and hyphens"), shape.then(|| value.to_owned()))
    }

    /// Checks passwords that are the only proof of a webhook: it has no signature and no expiry.
    fn passwords(&mut self, name: &str, value: &SecretString) -> Option<Vec<SecretString>> {
        let passwords = self.list(name, value)?;
        let long = passwords.iter().all(|password| password.expose_secret().len() >= 16);
        self.require(&format!("{name} must be at least 16 characters each"), long.then_some(passwords))
    }

    /// Checks the user of HTTP Basic credentials, in which a colon ends the name.
    fn user_name(&mut self, name: &str, value: &SecretString) -> Option<String> {
        let value = value.expose_secret();
        self.require(&format!("{name} must be without a colon"), (!value.contains(':')).then(|| value.to_owned()))
    }

    /// Reads a key, or several during a rotation.
    fn list(&mut self, name: &str, value: &SecretString) -> Option<Vec<SecretString>> {
        let keys = value.expose_secret().split(',').map(str::trim).filter(|key| !key.is_empty());
        let keys: Vec<_> = keys.map(SecretString::from).collect();
        let keys = (!keys.is_empty()).then_some(keys);
        self.require(&format!("{name} must be a key, or several with commas between them"), keys)
    }
}
