//! Carrying what we post to addresses that the platform gave: what is asked of whoever knows the network.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::words::words;

words! {
    /// Why a post was not taken.
    PostFailure {
        /// No whole answer came in time.
        Timeout = "timeout",
        /// Nobody listens there.
        ConnectionRefused = "connection_refused",
        /// No connection, or it broke.
        Unreachable = "unreachable",
        /// No secure connection: the certificate, as a rule.
        Tls = "tls",
        /// The name has no address.
        Dns = "dns",
        /// It leads to an address that is not on the public Internet.
        BlockedAddress = "blocked_address",
        /// An answer other than 2xx.
        HttpStatus = "http_status",
    }
}

/// Something to be posted as JSON.
pub struct Parcel {
    /// Where to.
    pub url: String,
    /// Further headers.
    pub headers: [(&'static str, String); 3],
    /// The body.
    pub body: Vec<u8>,
}

/// What came back.
pub struct Receipt {
    /// How long it took.
    pub took: Duration,
    /// The status of the answer, if one began.
    pub status: Option<u16>,
    /// The answer's body up to the limit of the courier, or why there is no whole answer.
    pub body: Result<Vec<u8>, PostFailure>,
}

impl Receipt {
    /// A post that got no answer.
    pub fn unanswered(took: Duration, why: PostFailure) -> Self {
        Self { took, status: None, body: Err(why) }
    }

    /// The status of the answer, if it came whole.
    pub fn status(&self) -> Option<u16> {
        self.status.filter(|_| self.body.is_ok())
    }

    /// Why the post was not taken, unless it was.
    pub fn failure(&self) -> Option<PostFailure> {
        match (self.status, &self.body) {
            (_, Err(failure)) => Some(*failure),
            (Some(200..=299), Ok(_)) => None,
            (_, Ok(_)) => Some(PostFailure::HttpStatus),
        }
    }
}

/// Posts parcels. It never follows a redirect.
pub trait Courier: Send + Sync {
    /// Posts one, within the time that this courier has for it.
    fn post(&self, parcel: Parcel) -> BoxFuture<'_, Receipt>;
}
