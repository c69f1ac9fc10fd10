//! The HTTP side: the only module that knows poem.
//!
//! Handlers in [`mod@api`] are glue. Everything that all operations share stands around them: authentication as a
//! parameter type ([`auth`]), bodies that name every wrong field ([`fields`]), problem documents ([`problem`]), and the
//! guard that gives every request an id, a size and a line in the log ([`guard`]). The OpenAPI document is made from
//! the same types ([`spec`]). Connections are served by [`mod@server`].

mod api;
mod auth;
mod context;
mod etag;
mod fields;
mod guard;
mod json;
mod names;
mod origin;
mod pages;
mod prefix;
mod problem;
mod reply;
mod scalars;
mod server;
pub mod spec;

use std::sync::Arc;

use poem::{
    Endpoint, EndpointExt as _, IntoResponse as _, Response, Route, endpoint::make_sync, get, middleware::CatchPanic,
};
use poem_openapi::OpenApiService;

use self::pages::Page;
pub(crate) use self::server::{Limits, serve};
use crate::{outbound::Outbound, service::Context, simulator::SimulatedNetwork};

/// The whole application over HTTP.
pub fn routes(
    ctx: &Arc<Context>,
    outbound: &Arc<dyn Outbound>,
    simulator: Option<Arc<SimulatedNetwork>>,
) -> impl Endpoint<Output = Response> + use<> {
    let api = OpenApiService::new(api::operations(ctx, outbound, simulator), spec::TITLE, env!("CARGO_PKG_VERSION"));
    let prefix = prefix::of(&ctx.settings.public_base_url);
    let document = Arc::new(spec::document_under(&prefix));
    let guard = guard::Guard::new(&document);
    let below_prefix = prefix::Prefix::new(&prefix, &guard);
    let docs = Page::new("text/html; charset=utf-8", move || spec::swagger_page(&prefix));
    let json = Page::new("application/json", {
        let document = Arc::clone(&document);
        move || spec::json(&document)
    });
    let yaml = Page::new("application/yaml", move || spec::yaml(&document));
    let page = |page: Page| get(make_sync(move |request| page.answer(&request)));
    Route::new()
        .at("/docs", page(docs))
        .at("/openapi.json", page(json))
        .at("/openapi.yaml", page(yaml))
        .nest("/", api)
        .data(Arc::clone(ctx))
        .catch_all_error(async |error| problem::Problem::of_framework(&error).into_response())
        .with(CatchPanic::new().with_handler(|_| problem::Problem::of(problem::Code::Internal).into_response()))
        .with(guard)
        .with(below_prefix)
}
