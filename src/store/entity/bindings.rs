//! Bindings of phones to numbers.

use super::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "bindings")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    pub(crate) number_id: NumberId,
    pub(crate) phone_index: PhoneIndex,
    pub(crate) ride_id: RideId,
    pub(crate) role: Role,
    pub(crate) contact_until: Time,
    pub(crate) barred_until: Time,
    pub(crate) retired: bool,
}

impl ActiveModelBehavior for ActiveModel {}
