//! `GET /.well-known/posthouse/manifest` and `…/manifests/{seq}`: who this relay is and was, for other relays and for
//! clients.

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use posthouse_spec::ManifestSeq;
use posthouse_spec::client::Refusal;
use posthouse_spec::client::http::ErrorBody;
use posthouse_spec::manifest::MEDIA_TYPE;

use super::body::Part;
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

/// Gives an earlier link of the relay's chain of manifests: a COSE_Sign1, which never changes.
#[utoipa::path(
    get, path = "/.well-known/posthouse/manifests/{seq}", operation_id = "manifest_link",
    params(("seq" = u64, Path, description = "the manifest's position, from 1")),
    responses(
        (status = 200, content_type = "application/cose", body = Vec<u8>),
        (status = "default", body = ErrorBody),
    )
)]
pub(super) async fn link(State(network): State<Network>, Part(seq): Part<u64>) -> ApiResult<Response> {
    let none = || ApiError::new(Refusal::NotFound, format!("this relay has no manifest {seq} in its chain"));
    let link = network.link_of_own(ManifestSeq(seq)).await?.ok_or_else(none)?;
    let headers = [(CONTENT_TYPE, MEDIA_TYPE), (CACHE_CONTROL, "max-age=86400")];
    Ok((headers, link.signed().as_bytes().clone()).into_response())
}
