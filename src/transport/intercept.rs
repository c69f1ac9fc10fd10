//! To the address that the operator configured to be asked about contacts (`INTERCEPT_URL`): wherever that is, and in no time,
//! because somebody waits. No proxy stands in between: the address may be inside.

use std::time::Duration;

use futures_util::future::BoxFuture;
use reqwest::redirect;

use super::posting::{USER_AGENT, post};
use crate::domain::{
    courier::{Courier, Parcel, Receipt},
    intercept::{MAX_ANSWER, QUESTION_TIMEOUT},
};

/// How much of an answer is read, in bytes: one more than it may have, so that a longer one is told from one that fits.
const MAX_RESPONSE: usize = MAX_ANSWER + 1;

/// Posts questions.
pub struct InterceptCourier(reqwest::Client);

impl InterceptCourier {
    /// A courier; fails only when TLS cannot be set up.
    pub fn new() -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .timeout(QUESTION_TIMEOUT)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .pool_idle_timeout(Duration::from_secs(30))
            .user_agent(USER_AGENT)
            .build()?;
        Ok(Self(client))
    }
}

impl Courier for InterceptCourier {
    fn post(&self, parcel: Parcel) -> BoxFuture<'_, Receipt> {
        Box::pin(post(&self.0, parcel, MAX_RESPONSE))
    }
}
