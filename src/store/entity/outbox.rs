//! Parts of texts, pending or settled.

use super::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "outbox")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: SendId,
    pub(crate) message_id: MessageId,
    pub(crate) ride_id: Option<RideId>,
    pub(crate) to_role: Option<Role>,
    pub(crate) seq: i64,
    pub(crate) part: i32,
    pub(crate) body_start: i32,
    pub(crate) body_end: i32,
    pub(crate) state: PartState,
    pub(crate) attempts: i32,
    pub(crate) in_flight: bool,
    pub(crate) in_doubt: bool,
    pub(crate) due_at: Time,
    pub(crate) reference: String,
    pub(crate) provider_message_id: Option<String>,
    pub(crate) provider: ProviderName,
    pub(crate) number_id: NumberId,
    pub(crate) expires_at: Time,
    pub(crate) slot_at: Option<Time>,
    pub(crate) probes: i32,
    pub(crate) claimed_by: Option<ProcessId>,
}

impl ActiveModelBehavior for ActiveModel {}
