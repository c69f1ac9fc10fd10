//! A bell that everybody hears who listens, also who was busy when it rang.

use tokio::sync::watch;

/// The bell.
pub struct Bell(watch::Sender<()>);

/// Somebody who listens.
pub struct Listener(watch::Receiver<()>);

impl Bell {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(()))
    }

    /// Rings.
    pub(super) fn ring(&self) {
        self.0.send_replace(());
    }

    /// Listens from now on.
    pub fn listen(&self) -> Listener {
        Listener(self.0.subscribe())
    }
}

impl Listener {
    /// Waits until it rings, or did since this was last answered.
    pub async fn rung(&mut self) {
        if self.0.changed().await.is_err() {
            // Nobody is left to ring.
            std::future::pending().await
        }
    }
}
