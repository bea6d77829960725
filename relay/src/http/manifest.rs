//! `GET /.well-known/posthouse/manifest`: who this relay is, for other relays and for clients.

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use posthouse_spec::client::Refusal;
use posthouse_spec::client::http::ErrorBody;
use posthouse_spec::manifest::MEDIA_TYPE;

use crate::error::{ApiError, ApiResult};
use crate::network::Network;

/// Gives the relay's signed manifest: a COSE_Sign1.
#[utoipa::path(
    get, path = "/.well-known/posthouse/manifest", operation_id = "manifest",
    responses(
        (status = 200, content_type = "application/cose", body = Vec<u8>),
        (status = "default", body = ErrorBody),
    )
)]
pub(super) async fn manifest(State(network): State<Network>) -> ApiResult<Response> {
    let own = network
        .own()
        .ok_or_else(|| ApiError::new(Refusal::Busy, "the relay is still starting; try again in a moment"))?;
    let headers = [(CONTENT_TYPE, MEDIA_TYPE), (CACHE_CONTROL, "no-cache")];
    Ok((headers, own.signed().as_bytes().clone()).into_response())
}
