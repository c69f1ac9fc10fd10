//! What connections may take.

use std::time::Duration;

/// How many connections may be open, and how long each phase of one may last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Connections open at a time.
    pub(crate) connections: usize,
    /// From accept, or from the first byte of a later request, to the end of its head.
    pub(crate) head: Duration,
    /// Between two requests.
    pub(crate) keep_alive: Duration,
    /// Without progress of a response.
    pub(crate) write: Duration,
}

impl Limits {
    pub(crate) fn new(connections: usize, keep_alive: Duration) -> Self {
        Self { connections, head: Duration::from_secs(10), keep_alive, write: Duration::from_secs(30) }
    }

    /// Requests that may be worked on at a time. The other connections wait for a client and can make room for a new
    /// one, so that `/health/live` is answered however busy the process is.
    pub(super) fn requests(&self) -> usize {
        self.connections - (self.connections / 8).max(1)
    }
}
