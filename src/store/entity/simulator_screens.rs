//! Entries on the screens of simulated phones.

use super::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "simulator_screens")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    pub(crate) phone_index: PhoneIndex,
    pub(crate) kind: EntryKind,
    pub(crate) number_sealed: Vec<u8>,
    pub(crate) body_sealed: Option<Vec<u8>>,
    pub(crate) at: Time,
}

impl ActiveModelBehavior for ActiveModel {}
