//! Proxy numbers.

use super::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "numbers")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: NumberId,
    pub(crate) phone_number: ProxyNumber,
    pub(crate) match_key: String,
    pub(crate) provider: ProviderName,
    pub(crate) sms: bool,
    pub(crate) voice: bool,
    pub(crate) mms: bool,
    pub(crate) country: Option<String>,
    pub(crate) status: NumberStatus,
    pub(crate) ring_position: i64,
    pub(crate) version: i64,
    pub(crate) created_at: Time,
    pub(crate) updated_at: Time,
    pub(crate) deleted_at: Option<Time>,
}

impl ActiveModelBehavior for ActiveModel {}
