//! Customers and drivers.

use super::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "people")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: PersonId,
    pub(crate) role: Role,
    pub(crate) name: Option<Name>,
    pub(crate) name_key: Option<String>,
    pub(crate) phone_index: Option<PhoneIndex>,
    pub(crate) phone_sealed: Option<Vec<u8>>,
    pub(crate) language: Option<Language>,
    pub(crate) external_id: Option<ExternalId>,
    pub(crate) version: i64,
    pub(crate) created_at: Time,
    pub(crate) updated_at: Time,
    pub(crate) deleted_at: Option<Time>,
}

impl ActiveModelBehavior for ActiveModel {}
