//! `/health/live` and `/health/ready`.

use std::sync::Arc;

use poem::http::StatusCode;
use poem_openapi::{
    OpenApi,
    payload::{PlainText, Response},
};

use super::group::Group;
use crate::{
    http::{
        fields::view,
        problem::{Answer, Problem},
        reply::Found,
    },
    service::{Context, health},
};

view! {
    /// How the process is.
    Health as "Health" {
        /// `ok`.
        status: String,
    }
}

fn ok() -> Found<Health> {
    Found::new(Health { status: "ok".to_owned() })
}

pub(in crate::http) struct HealthApi {
    pub(in crate::http) ctx: Arc<Context>,
}

#[OpenApi(tag = "Group::Health")]
impl HealthApi {
    /// To Swagger UI: people who open the address want to see something.
    #[oai(path = "/", method = "get", operation_id = "home", hidden = true)]
    async fn home(&self) -> Response<PlainText<&'static str>> {
        Response::new(PlainText("Swagger UI is at the address in the Location header.\n"))
            .status(StatusCode::FOUND)
            .header("location", "/docs")
    }

    /// Is it alive?
    ///
    /// The process answers. No scope.
    #[oai(path = "/health/live", method = "get", operation_id = "live")]
    async fn live(&self) -> Answer<Found<Health>> {
        Ok(ok())
    }

    /// Is it ready?
    ///
    /// Requests should come here: the database answers and takes writes, its clock and ours agree, and nobody asked the
    /// process to stop. Otherwise 503, and `reason` says why. No scope.
    #[oai(path = "/health/ready", method = "get", operation_id = "ready")]
    async fn ready(&self) -> Answer<Found<Health>> {
        match health::ready(&self.ctx).await {
            Ok(()) => Ok(ok()),
            Err(why) => Err(Problem::not_ready(why)),
        }
    }
}
