//! What phone reaches whom over which number.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "bindings")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    pub(crate) number_id: i64,
    pub(crate) phone_index: Vec<u8>,
    pub(crate) ride_id: i64,
    pub(crate) role: String,
    pub(crate) contact_until: DateTimeUtc,
    pub(crate) barred_until: DateTimeUtc,
    pub(crate) retired: bool,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
