//! Texts.

use super::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "messages")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: MessageId,
    pub(crate) ride_id: Option<RideId>,
    pub(crate) kind: MessageKind,
    pub(crate) from_role: Option<Role>,
    pub(crate) to_role: Option<Role>,
    pub(crate) body_sealed: Option<Vec<u8>>,
    pub(crate) media_sealed: Option<Vec<u8>>,
    pub(crate) phone_sealed: Option<Vec<u8>>,
    pub(crate) status: MessageStatus,
    pub(crate) reason: Option<String>,
    pub(crate) provider_status: Option<i32>,
    pub(crate) provider: ProviderName,
    pub(crate) number_id: Option<NumberId>,
    pub(crate) parts: i32,
    pub(crate) media_limit: i32,
    pub(crate) ignores_window: bool,
    pub(crate) received_at: Option<Time>,
    pub(crate) sent_at: Option<Time>,
    pub(crate) delivered_at: Option<Time>,
    pub(crate) possibly_duplicated: bool,
    pub(crate) created_at: Time,
}

impl ActiveModelBehavior for ActiveModel {}
