//! Proxy numbers.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "numbers")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    pub(crate) phone_number: String,
    pub(crate) match_key: String,
    pub(crate) provider: String,
    pub(crate) sms: bool,
    pub(crate) voice: bool,
    pub(crate) mms: bool,
    pub(crate) country: Option<String>,
    pub(crate) status: String,
    pub(crate) ring_position: i64,
    pub(crate) version: i64,
    pub(crate) created_at: DateTimeUtc,
    pub(crate) updated_at: DateTimeUtc,
    pub(crate) deleted_at: Option<DateTimeUtc>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
