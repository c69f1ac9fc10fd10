//! Attempts to deliver events.

use super::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "event_attempts")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    pub(crate) endpoint_id: EndpointId,
    pub(crate) event_id: EventId,
    pub(crate) at: Time,
    pub(crate) status: Option<i32>,
    pub(crate) failure: Option<PostFailure>,
    pub(crate) duration_ms: i64,
}

impl ActiveModelBehavior for ActiveModel {}
