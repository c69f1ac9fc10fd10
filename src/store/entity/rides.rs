//! Rides.

use super::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "rides")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: RideId,
    pub(crate) customer_id: PersonId,
    pub(crate) driver_id: PersonId,
    pub(crate) number_id: NumberId,
    #[sea_orm(belongs_to, from = "number_id", to = "id")]
    pub(crate) number: HasOne<super::numbers::Entity>,
    pub(crate) start: Place,
    pub(crate) destination: Place,
    pub(crate) datetime: Time,
    pub(crate) utc_offset_s: i32,
    pub(crate) status: RideStatus,
    pub(crate) ended_by: Option<EndedBy>,
    pub(crate) ended_at: Option<Time>,
    pub(crate) timeout_at: Time,
    pub(crate) contact_until: Time,
    pub(crate) inherited_contact_until: Option<Time>,
    pub(crate) inherited_from_ride_id: Option<RideId>,
    pub(crate) own_contact_until: Option<Time>,
    pub(crate) closed_reason: Option<CloseReason>,
    pub(crate) grace_s: Option<i64>,
    pub(crate) max_duration_s: Option<i64>,
    pub(crate) external_id: Option<ExternalId>,
    pub(crate) customer_seq: i64,
    pub(crate) driver_seq: i64,
    pub(crate) version: i64,
    pub(crate) created_at: Time,
    pub(crate) updated_at: Time,
    pub(crate) deleted_at: Option<Time>,
}

impl ActiveModelBehavior for ActiveModel {}
