//! `POST /v1/accounts`: registration. `GET /v1/accounts/{account}`: who a member of a room is.

use std::net::SocketAddr;

use axum::Json;
use axum::extract::{ConnectInfo, State};
use posthouse_spec::client::http::{AccountResponse, Base64, ErrorBody, RegisterRequest, RegisterResponse};
use posthouse_spec::{AccountId, Domain};
use serde::Deserialize;

use super::auth::Caller;
use super::body::{Asked, Body, Part};
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

/// Where an account lives.
#[derive(Deserialize)]
pub(super) struct Home {
    home: Domain,
}

/// Looks an account up at the relay that its leaf in a room names.
#[utoipa::path(
    get, path = "/v1/accounts/{account}", operation_id = "member", security(("session" = [])),
    params(
        ("account" = String, Path, description = "the account"),
        ("home" = String, Query, description = "the domain of its relay"),
    ),
    responses((status = 200, body = AccountResponse), (status = "default", body = ErrorBody))
)]
pub(super) async fn find(
    State(accounts): State<Accounts>,
    caller: Caller,
    Part(account): Part<AccountId>,
    Asked(Home { home }): Asked<Home>,
) -> ApiResult<Json<AccountResponse>> {
    let found = accounts.member(&caller.account, &account, &home).await?;
    Ok(Json(AccountResponse {
        record: Base64::of(&found.record),
        manifest: Base64::of(found.manifest.signed()),
    }))
}
