//! Events that an endpoint has not accepted, or is to get again.

use super::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "event_retries")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) endpoint_id: EndpointId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) event_id: EventId,
    pub(crate) state: RetryState,
    pub(crate) attempts: i32,
    pub(crate) first_at: Time,
    pub(crate) due_at: Time,
}

impl ActiveModelBehavior for ActiveModel {}
