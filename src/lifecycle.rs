//! Shutdown: the signals that request it, and the switch that passes the request on.

use tokio::sync::watch;

/// Switch that requests shutdown.
pub struct Stopper(watch::Sender<bool>);

/// Listener for the shutdown request. Clones receive it too.
#[derive(Clone)]
pub struct Stop(watch::Receiver<bool>);

/// Creates a switch and its listener.
pub fn stop_switch() -> (Stopper, Stop) {
    let (sender, receiver) = watch::channel(false);
    (Stopper(sender), Stop(receiver))
}

impl Stopper {
    /// Requests shutdown.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    /// Waits until shutdown is requested or the [`Stopper`] is dropped.
    pub async fn requested(&mut self) {
        // An error means that the stopper was dropped, which counts as a request.
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
