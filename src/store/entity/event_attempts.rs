//! Attempts to deliver events.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "event_attempts")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    pub(crate) endpoint_id: i64,
    pub(crate) event_id: i64,
    pub(crate) at: DateTimeUtc,
    pub(crate) status: Option<i32>,
    pub(crate) failure: Option<String>,
    pub(crate) duration_ms: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
