//! Event endpoints.

use super::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "event_endpoints")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: EndpointId,
    pub(crate) url: TargetUrl,
    pub(crate) description: Option<Description>,
    pub(crate) types: Option<EventTypes>,
    pub(crate) include_text: bool,
    pub(crate) client_id: Option<ClientId>,
    pub(crate) status: EndpointStatus,
    pub(crate) disabled_reason: Option<DisabledReason>,
    pub(crate) secret_sealed: Vec<u8>,
    pub(crate) former_secret_sealed: Option<Vec<u8>>,
    pub(crate) former_secret_until: Option<Time>,
    pub(crate) position: i64,
    pub(crate) failures: i32,
    pub(crate) failing_since: Option<Time>,
    pub(crate) is_slow: bool,
    pub(crate) due_at: Time,
    pub(crate) claim_number: i32,
    pub(crate) claimed_by: Option<ProcessId>,
    pub(crate) version: i64,
    pub(crate) created_at: Time,
    pub(crate) updated_at: Time,
}

impl ActiveModelBehavior for ActiveModel {}
