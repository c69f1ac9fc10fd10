//! Routes of contacts.

use super::Context;
use crate::{
    domain::{
        contact::{CallerId, Route, RouteFacts, decide},
        error::Result,
        number::ProviderName,
        phone::PhoneNumber,
    },
    store::{Db, routing},
};

/// Looks up the current route of a contact.
pub(super) async fn route(
    ctx: &Context,
    db: &impl Db,
    provider: &ProviderName,
    from: &CallerId,
    to: Option<&PhoneNumber>,
) -> Result<Route> {
    let facts = match to {
        Some(number) => routing::look_up(db, number, from).await?,
        None => RouteFacts { number: None, suspended: false, from_pool: false, binding: None, language: None },
    };
    Ok(decide(facts, provider, from, ctx.now()))
}
