//! Asks providers what became of calls, where they do not tell by themselves.

use std::{sync::Arc, time::Duration};

use tokio::{task::JoinSet, time};

use crate::{domain::error::Result, lifecycle::Stop, service::Service, transport::Transport};

/// Questions that one process has under way at most.
const AT_ONCE: u32 = 8;
const PERIOD: Duration = Duration::from_secs(5);

/// Asks everything that is due now, `AT_ONCE` at a time; answers how many questions there were.
pub async fn tick(service: &Arc<Service>, transport: &Arc<dyn Transport>) -> Result<usize> {
    let mut asked = 0;
    loop {
        let questions = service.take_questions(AT_ONCE).await?;
        if questions.is_empty() {
            return Ok(asked);
        }
        asked += questions.len();
        let mut running = JoinSet::new();
        for (request, asking) in questions {
            let (service, transport) = (Arc::clone(service), Arc::clone(transport));
            running.spawn(async move {
                let response = transport.exchange(request).await.ok();
                if let Err(cause) = service.take_answer(&asking, response.as_ref()).await {
                    tracing::error!(%cause, "what became of a call could not be written down");
                }
            });
        }
        running.join_all().await;
    }
}

/// Asks until told to stop.
pub async fn run(service: Arc<Service>, transport: Arc<dyn Transport>, mut stop: Stop) {
    loop {
        if let Err(cause) = tick(&service, &transport).await {
            tracing::error!(%cause, "calls could not be asked about");
        }
        tokio::select! {
            () = stop.requested() => return,
            () = time::sleep(PERIOD) => {}
        }
    }
}
