//! `GET /metrics`: what is counted, for the operator and nobody else.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, FromRequestParts, State};
use axum::http::header::{CONTENT_TYPE, FORWARDED};
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use posthouse_crypto::sha256;
use posthouse_spec::client::Refusal;
use posthouse_spec::client::http::ErrorBody;

use super::auth::bearer;
use crate::error::{ApiError, ApiResult};
use crate::state::{App, Operation};

/// A request of the operator: from this machine, or with the configured token.
pub(super) struct Operator;

impl FromRequestParts<App> for Operator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let token = app.operation.token.as_deref();
        // Hashes are compared, so that the time taken says nothing of the token.
        let given = bearer(parts).map(|given| sha256(given.as_bytes()));
        if given.is_some() && given == token.map(|token| sha256(token.as_bytes())) {
            return Ok(Self);
        }
        // What a proxy on this machine passes on comes from elsewhere.
        let forwarded =
            parts.headers.contains_key(FORWARDED) || parts.headers.contains_key("x-forwarded-for");
        match ConnectInfo::<SocketAddr>::from_request_parts(parts, app).await {
            Ok(ConnectInfo(from)) if from.ip().is_loopback() && !forwarded => Ok(Self),
            _ => Err(ApiError::new(
                Refusal::Unauthenticated,
                "metrics are for this machine, or for the token that `http.metrics_token` sets",
            )),
        }
    }
}

/// Renders the counts in the Prometheus text format.
#[utoipa::path(
    get, path = "/metrics", operation_id = "metrics",
    responses((status = 200, content_type = "text/plain", body = String), (status = "default", body = ErrorBody))
)]
pub(super) async fn metrics(_: Operator, State(operation): State<Operation>) -> ApiResult<Response> {
    let recorder = operation
        .recorder
        .ok_or_else(|| ApiError::new(Refusal::NotFound, "nothing is counted in this process"))?;
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4")], recorder.render()).into_response())
}
