//! Inbound calls.

use super::Context;
use crate::{
    domain::{
        call::Call,
        error::Result,
        page::{Page, PageRequest},
    },
    store::calls::{self, CallFilter},
};

pub async fn list(ctx: &Context, filter: &CallFilter, page: &PageRequest) -> Result<Page<Call>> {
    calls::list(&ctx.store, filter, page).await
}
