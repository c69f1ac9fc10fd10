//! Calls that came in.

use super::Context;
use crate::{
    domain::{
        call::Call,
        error::Result,
        page::{Page, PageRequest},
    },
    store::calls::{self, CallFilter},
};

/// Calls, a page at a time.
pub async fn list(ctx: &Context, filter: &CallFilter, page: &PageRequest) -> Result<Page<Call>> {
    calls::list(&ctx.store, filter, page).await
}
