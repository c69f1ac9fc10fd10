//! Wake-up signal between the parts of one process.

use tokio::sync::watch;

/// Signal that wakes every listener, including those that were busy when it was sent.
#[derive(Clone)]
pub struct Wakeup(watch::Sender<()>);

/// Listener to the signals of one [`Wakeup`].
pub struct Listener(watch::Receiver<()>);

impl Wakeup {
    pub fn new() -> Self {
        Self(watch::Sender::new(()))
    }

    /// Wakes all listeners.
    pub fn send(&self) {
        self.0.send_replace(());
    }

    /// Returns a listener to every signal sent from now on.
    pub fn listen(&self) -> Listener {
        Listener(self.0.subscribe())
    }
}

impl Listener {
    /// Waits for a signal, or returns at once if one was sent since the last call.
    pub async fn woken(&mut self) {
        if self.0.changed().await.is_err() {
            // The sender is gone: no signal can come.
            std::future::pending().await
        }
    }
}
