//! The API for clients and operators: one file an endpoint, and the table of them here.
//!
//! Every refusal has the same body (`ErrorBody`), whether a handler or the framework says it. The OpenAPI document is
//! generated from the handlers, so that it cannot leave one out.

mod account;
mod accounts;
mod aliases;
mod auth;
mod blocks;
mod body;
mod challenges;
mod claims;
mod commits;
mod devices;
mod health;
mod key_packages;
mod manifest;
mod metrics;
mod openapi;
mod relays;
mod rooms;
mod sessions;
mod socket;
mod watch;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, map_response};
use posthouse_spec::limits::MAX_HTTP_BODY;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::error::uniform;
use crate::state::App;

/// Largest body of a request that needs no session, bytes: a chain of account events in base64.
const MAX_OPEN_BODY: usize = 1024 * 1024;
/// Largest body of a small request, bytes.
const MAX_SMALL_BODY: usize = 64 * 1024;

/// The whole API.
pub fn router(app: App) -> Router {
    let (router, document) = endpoints().split_for_parts();
    router
        .merge(openapi::router(document))
        .layer(from_fn(watch::deadline))
        .layer(map_response(uniform))
        .layer(from_fn(watch::count))
        .with_state(app)
}

/// The paths of the API with their methods, as the OpenAPI document has them.
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    openapi::complete(endpoints().into_openapi())
}

fn endpoints() -> OpenApiRouter<App> {
    let open = OpenApiRouter::with_openapi(openapi::head())
        .routes(routes!(accounts::register))
        .routes(routes!(challenges::challenge))
        .routes(routes!(sessions::login))
        .layer(DefaultBodyLimit::max(MAX_OPEN_BODY));
    let small = OpenApiRouter::default()
        .routes(routes!(account::whoami))
        .routes(routes!(devices::devices))
        .routes(routes!(accounts::find))
        .routes(routes!(aliases::find))
        .routes(routes!(relays::relay))
        .routes(routes!(relays::manifest))
        .routes(routes!(claims::claim))
        .routes(routes!(blocks::block, blocks::unblock))
        .routes(routes!(socket::connect))
        .routes(routes!(manifest::manifest))
        .routes(routes!(manifest::link))
        .routes(routes!(health::alive))
        .routes(routes!(health::ready))
        .routes(routes!(metrics::metrics))
        .layer(DefaultBodyLimit::max(MAX_SMALL_BODY));
    let large = OpenApiRouter::default()
        .routes(routes!(key_packages::upload, key_packages::counts))
        .routes(routes!(rooms::found, rooms::room))
        .routes(routes!(commits::commit))
        .layer(DefaultBodyLimit::max(MAX_HTTP_BODY));
    open.merge(small).merge(large)
}
