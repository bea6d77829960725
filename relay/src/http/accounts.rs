//! `POST /v1/accounts`: registration.

use std::net::SocketAddr;

use axum::Json;
use axum::extract::{ConnectInfo, State};
use posthouse_spec::client::http::{Base64, ErrorBody, RegisterRequest, RegisterResponse};

use super::body::Body;
use crate::accounts::Accounts;
use crate::error::ApiResult;

/// Registers an account under an alias. Sent again, it gives the same answer.
#[utoipa::path(
    post, path = "/v1/accounts", operation_id = "register", request_body = RegisterRequest,
    responses((status = 200, body = RegisterResponse), (status = "default", body = ErrorBody))
)]
pub(super) async fn register(
    State(accounts): State<Accounts>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    Body(request): Body<RegisterRequest>,
) -> ApiResult<Json<RegisterResponse>> {
    let binding = accounts.register(&request, from.ip()).await?;
    Ok(Json(RegisterResponse { binding: Base64::of(&binding) }))
}
