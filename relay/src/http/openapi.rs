//! `GET /openapi.json`: what this API is, generated from its handlers.

use std::sync::Arc;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use posthouse_spec::client::http::ErrorBody;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Components, Info, OpenApi};
use utoipa::{PartialSchema as _, ToSchema as _};

use crate::state::App;

/// The document's head.
pub(super) fn head() -> OpenApi {
    let mut info = Info::new("Posthouse relay", env!("CARGO_PKG_VERSION"));
    info.description = Some(
        "The API between a client and its relay. Binary values are base64url without padding; signed things are \
         COSE_Sign1 in CBOR, as the protocol's specification has them. Messages travel over the WebSocket at /v1/socket."
            .into(),
    );
    let mut document = OpenApi::default();
    document.info = info;
    document
}

/// The document with what all endpoints share.
pub(super) fn complete(mut document: OpenApi) -> OpenApi {
    let components = document.components.get_or_insert_with(Components::new);
    components.add_security_scheme("session", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    components.schemas.insert(ErrorBody::name().into_owned(), ErrorBody::schema());
    document
}

pub(super) fn router(document: OpenApi) -> Router<App> {
    // Encoded once: the document is the same for everybody.
    let text: Arc<str> = match complete(document).to_json() {
        Ok(text) => text.into(),
        Err(error) => {
            tracing::error!(%error, "the API's description could not be encoded");
            "{}".into()
        }
    };
    Router::new().route(
        "/openapi.json",
        get(move || async move { ([(CONTENT_TYPE, "application/json")], text.to_string()) }),
    )
}
