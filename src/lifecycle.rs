//! Shutdown: the signals that request it. A `CancellationToken` passes the request on.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// Catches SIGTERM and Ctrl-C from now on; the future ends at the first of them. Before this call they kill the
/// process.
///
/// # Errors
///
/// The operating system refuses to pass signals on.
pub fn signals() -> io::Result<impl Future<Output = ()>> {
    let (mut terminated, mut interrupted) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
        }
    })
}
