//! Parts of texts that we owe, or owed.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "outbox")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    pub(crate) message_id: i64,
    pub(crate) ride_id: Option<i64>,
    pub(crate) to_role: Option<String>,
    pub(crate) seq: i64,
    pub(crate) part: i32,
    pub(crate) body_start: Option<i32>,
    pub(crate) body_end: Option<i32>,
    pub(crate) state: String,
    pub(crate) attempts: i32,
    pub(crate) in_flight: bool,
    pub(crate) in_doubt: bool,
    pub(crate) due_at: DateTimeUtc,
    pub(crate) reference: String,
    pub(crate) provider_message_id: Option<String>,
    pub(crate) provider: Option<String>,
    pub(crate) number_id: Option<i64>,
    pub(crate) expires_at: Option<DateTimeUtc>,
    pub(crate) slot_at: Option<DateTimeUtc>,
    pub(crate) probes: i32,
    pub(crate) claimed_by: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
