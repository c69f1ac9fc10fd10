//! Settings of the platform's interceptor, which is asked before a contact goes through.

use secrecy::ExposeSecret as _;

use super::Reader;
use crate::domain::{intercept::OnFailure, signature::WebhookSecret};

/// `INTERCEPT_URL` and related settings.
#[derive(Clone)]
pub(crate) struct InterceptConfig {
    /// Chosen by the operator, so http and private addresses are allowed too.
    pub(crate) url: String,
    /// Secret that signs the questions.
    pub(crate) secret: WebhookSecret,
    /// Handling of a contact if the platform does not answer.
    pub(crate) on_failure: OnFailure,
}

impl Reader<'_> {
    pub(super) fn intercept(&mut self) -> Option<InterceptConfig> {
        let url = self.text("INTERCEPT_URL");
        let secret = self.secret("INTERCEPT_SECRET");
        let on_failure =
            self.parsed("INTERCEPT_ON_FAILURE", "fail_open", "must be fail_open or fail_closed", OnFailure::parse);
        if url.is_some() != secret.is_some() {
            self.errors.push("INTERCEPT_URL and INTERCEPT_SECRET belong together: set both or none".to_owned());
        }
        let (url, secret) = (url?, secret?);
        let is_whole = |url: &url::Url| {
            matches!(url.scheme(), "http" | "https")
                && url.has_host()
                && url.fragment().is_none()
                && url.username().is_empty()
                && url.password().is_none()
        };
        let url = self.require(
            "INTERCEPT_URL must be an http or https address, such as https://platform.example.com/intercept",
            url::Url::parse(&url).ok().filter(is_whole),
        );
        let secret = self.require(
            "INTERCEPT_SECRET must be whsec_ and 24 to 64 bytes in base64",
            WebhookSecret::parse(secret.expose_secret()),
        );
        Some(InterceptConfig { url: url?.into(), secret: secret?, on_failure: on_failure? })
    }
}
