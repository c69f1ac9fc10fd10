//! The context of a request.

use std::sync::Arc;

use poem::Request;

use crate::service::Context;

/// The context that [`routes`](super::routes) adds to every request.
pub(super) fn of(request: &Request) -> &Arc<Context> {
    request.data::<Arc<Context>>().expect("routes() adds the context to every request")
}
