//! Texts.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "messages")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    pub(crate) ride_id: Option<i64>,
    pub(crate) kind: String,
    pub(crate) from_role: Option<String>,
    pub(crate) to_role: Option<String>,
    pub(crate) body_sealed: Option<Vec<u8>>,
    pub(crate) media_sealed: Option<Vec<u8>>,
    pub(crate) phone_sealed: Option<Vec<u8>>,
    pub(crate) status: String,
    pub(crate) reason: Option<String>,
    pub(crate) provider_status: Option<i32>,
    pub(crate) provider: String,
    pub(crate) number_id: Option<i64>,
    pub(crate) parts: i32,
    pub(crate) part_limit: i32,
    pub(crate) media_limit: i32,
    pub(crate) ignores_window: bool,
    pub(crate) received_at: Option<DateTimeUtc>,
    pub(crate) sent_at: Option<DateTimeUtc>,
    pub(crate) delivered_at: Option<DateTimeUtc>,
    pub(crate) possibly_duplicated: bool,
    pub(crate) created_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
