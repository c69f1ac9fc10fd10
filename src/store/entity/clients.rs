//! API clients.

use super::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "clients")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: ClientId,
    pub(crate) client_id: String,
    pub(crate) name: ClientName,
    pub(crate) secret_hash: Vec<u8>,
    pub(crate) secret_version: i32,
    pub(crate) former_secret_hash: Option<Vec<u8>>,
    pub(crate) former_secret_until: Option<Time>,
    pub(crate) scopes: Scopes,
    pub(crate) created_at: Time,
    pub(crate) revoked_at: Option<Time>,
}

impl ActiveModelBehavior for ActiveModel {}
