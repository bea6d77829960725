//! `POST /v1/sessions`: the second half of a login.

use std::net::SocketAddr;

use axum::Json;
use axum::extract::{ConnectInfo, State};
use posthouse_spec::client::http::{ErrorBody, LoginRequest, LoginResponse};

use super::body::Body;
use crate::accounts::Accounts;
use crate::error::ApiResult;

/// Takes the signed answer to a challenge and opens a session.
#[utoipa::path(
    post, path = "/v1/sessions", operation_id = "login", request_body = LoginRequest,
    responses((status = 200, body = LoginResponse), (status = "default", body = ErrorBody))
)]
pub(super) async fn login(
    State(accounts): State<Accounts>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    Body(request): Body<LoginRequest>,
) -> ApiResult<Json<LoginResponse>> {
    let session = accounts.login(&request, from.ip()).await?;
    Ok(Json(LoginResponse { token: session.token.to_string(), expires: session.expires }))
}
