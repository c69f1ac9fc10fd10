//! Calls.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "calls")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    pub(crate) ride_id: Option<i64>,
    pub(crate) from_role: Option<String>,
    pub(crate) status: String,
    pub(crate) reason: Option<String>,
    pub(crate) provider: String,
    pub(crate) provider_call_id: String,
    pub(crate) number_id: Option<i64>,
    pub(crate) started_at: DateTimeUtc,
    pub(crate) answered_at: Option<DateTimeUtc>,
    pub(crate) ended_at: Option<DateTimeUtc>,
    pub(crate) duration_s: Option<i64>,
    pub(crate) poll_at: Option<DateTimeUtc>,
    pub(crate) claimed_by: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
