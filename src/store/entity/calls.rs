//! Calls.

use super::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "calls")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: CallId,
    pub(crate) ride_id: Option<RideId>,
    pub(crate) from_role: Option<Role>,
    pub(crate) status: CallStatus,
    pub(crate) reason: Option<String>,
    pub(crate) provider: ProviderName,
    pub(crate) provider_call_id: String,
    pub(crate) number_id: Option<NumberId>,
    pub(crate) started_at: Time,
    pub(crate) answered_at: Option<Time>,
    pub(crate) ended_at: Option<Time>,
    pub(crate) duration_s: Option<i64>,
    pub(crate) poll_at: Option<Time>,
    pub(crate) claimed_by: Option<ProcessId>,
}

impl ActiveModelBehavior for ActiveModel {}
