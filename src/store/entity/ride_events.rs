//! Entries of the timelines of rides.

use super::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "ride_events")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    pub(crate) ride_id: RideId,
    pub(crate) event: RideEventKind,
    pub(crate) at: Time,
}

impl ActiveModelBehavior for ActiveModel {}
