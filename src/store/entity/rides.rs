//! Rides.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "rides")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    pub(crate) customer_id: i64,
    pub(crate) driver_id: i64,
    pub(crate) number_id: i64,
    pub(crate) start: String,
    pub(crate) destination: String,
    pub(crate) datetime: DateTimeUtc,
    pub(crate) utc_offset_s: i32,
    pub(crate) status: String,
    pub(crate) ended_by: Option<String>,
    pub(crate) ended_at: Option<DateTimeUtc>,
    pub(crate) timeout_at: DateTimeUtc,
    pub(crate) contact_until: DateTimeUtc,
    pub(crate) inherited_contact_until: Option<DateTimeUtc>,
    pub(crate) inherited_from_ride_id: Option<i64>,
    pub(crate) own_contact_until: Option<DateTimeUtc>,
    pub(crate) closed_reason: Option<String>,
    pub(crate) grace_s: Option<i64>,
    pub(crate) max_duration_s: Option<i64>,
    pub(crate) external_id: Option<String>,
    pub(crate) customer_seq: i64,
    pub(crate) driver_seq: i64,
    pub(crate) version: i64,
    pub(crate) created_at: DateTimeUtc,
    pub(crate) updated_at: DateTimeUtc,
    pub(crate) deleted_at: Option<DateTimeUtc>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {
    #[sea_orm(belongs_to = "super::numbers::Entity", from = "Column::NumberId", to = "super::numbers::Column::Id")]
    Number,
}

impl ActiveModelBehavior for ActiveModel {}
