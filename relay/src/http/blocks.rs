//! `PUT` and `DELETE /v1/blocks/{account}`: an account is blocked, or no longer.

use axum::Json;
use axum::extract::State;
use posthouse_spec::AccountId;
use posthouse_spec::client::http::{BlockResponse, ErrorBody};

use super::auth::Caller;
use super::body::Part;
use crate::accounts::Accounts;
use crate::error::ApiResult;

/// Blocks an account, for all devices of the session's account. The blocked cannot tell.
#[utoipa::path(
    put, path = "/v1/blocks/{account}", operation_id = "block", security(("session" = [])),
    params(("account" = String, Path, description = "the account's id, 64 hexadecimal digits")),
    responses((status = 200, body = BlockResponse), (status = "default", body = ErrorBody))
)]
pub(super) async fn block(
    State(accounts): State<Accounts>,
    caller: Caller,
    Part(account): Part<AccountId>,
) -> ApiResult<Json<BlockResponse>> {
    accounts.set_block(&caller.account, &account, true).await?;
    Ok(Json(BlockResponse { blocked: true }))
}

/// Lifts a block.
#[utoipa::path(
    delete, path = "/v1/blocks/{account}", operation_id = "unblock", security(("session" = [])),
    params(("account" = String, Path, description = "the account's id, 64 hexadecimal digits")),
    responses((status = 200, body = BlockResponse), (status = "default", body = ErrorBody))
)]
pub(super) async fn unblock(
    State(accounts): State<Accounts>,
    caller: Caller,
    Part(account): Part<AccountId>,
) -> ApiResult<Json<BlockResponse>> {
    accounts.set_block(&caller.account, &account, false).await?;
    Ok(Json(BlockResponse { blocked: false }))
}
