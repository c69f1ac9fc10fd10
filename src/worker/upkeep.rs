//! Does what time asks for, every so often.

use std::{sync::Arc, time::Duration};

use tokio::time;

use crate::{lifecycle::Stop, service::Service};

const PERIOD: Duration = Duration::from_secs(15);

/// Tidies until told to stop.
pub async fn run(service: Arc<Service>, mut stop: Stop) {
    loop {
        if let Err(cause) = service.tidy().await {
            tracing::error!(%cause, "upkeep failed");
        }
        tokio::select! {
            () = stop.requested() => return,
            () = time::sleep(PERIOD) => {}
        }
    }
}
