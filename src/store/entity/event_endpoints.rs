//! Event endpoints.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "event_endpoints")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    pub(crate) url: String,
    pub(crate) description: Option<String>,
    pub(crate) types: Option<String>,
    pub(crate) include_text: bool,
    pub(crate) client_id: Option<i64>,
    pub(crate) status: String,
    pub(crate) disabled_reason: Option<String>,
    pub(crate) secret_sealed: Vec<u8>,
    pub(crate) former_secret_sealed: Option<Vec<u8>>,
    pub(crate) former_secret_until: Option<DateTimeUtc>,
    pub(crate) position: i64,
    pub(crate) failures: i32,
    pub(crate) failing_since: Option<DateTimeUtc>,
    pub(crate) is_slow: bool,
    pub(crate) due_at: DateTimeUtc,
    pub(crate) claim_number: i32,
    pub(crate) claimed_by: Option<i64>,
    pub(crate) version: i64,
    pub(crate) created_at: DateTimeUtc,
    pub(crate) updated_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
