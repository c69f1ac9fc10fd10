//! Starting and stopping: who asks the process to stop, and how everybody hears of it.

use tokio::sync::watch;

/// Asks everybody to stop.
pub struct Stopper(watch::Sender<bool>);

/// Hears of it. Clones hear the same.
#[derive(Clone)]
pub struct Stop(watch::Receiver<bool>);

/// A stopper and its listeners.
pub fn stop_switch() -> (Stopper, Stop) {
    let (sender, receiver) = watch::channel(false);
    (Stopper(sender), Stop(receiver))
}

impl Stopper {
    /// Asks.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    /// Waits until asked to stop, or until there is nobody left to ask.
    pub async fn requested(&mut self) {
        // An error means that the stopper is gone, which is as good as being asked.
        let _ = self.0.wait_for(|stopped| *stopped).await;
    }
}

/// Waits for SIGTERM or Ctrl-C.
pub async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};

    let interrupted = tokio::signal::ctrl_c();
    match signal(SignalKind::terminate()) {
        Ok(mut terminated) => {
            tokio::select! {
                _ = terminated.recv() => {}
                _ = interrupted => {}
            }
        }
        Err(_) => {
            let _ = interrupted.await;
        }
    }
}
