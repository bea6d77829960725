//! `POST /v1/claims`: key packages of somebody to invite.

use axum::Json;
use axum::extract::State;
use posthouse_spec::client::http::{Base64, ClaimRequest, ClaimResponse, ErrorBody};

use super::auth::Caller;
use super::body::Body;
use crate::accounts::Accounts;
use crate::error::ApiResult;

/// Claims one key package of each device of an account, here or at another relay. The same claim gets the same answer.
#[utoipa::path(
    post, path = "/v1/claims", operation_id = "claimKeyPackages", security(("session" = [])),
    request_body = ClaimRequest,
    responses((status = 200, body = ClaimResponse), (status = "default", body = ErrorBody))
)]
pub(super) async fn claim(
    State(accounts): State<Accounts>,
    caller: Caller,
    Body(request): Body<ClaimRequest>,
) -> ApiResult<Json<ClaimResponse>> {
    let key_packages = accounts.claim(*caller, &request).await?;
    Ok(Json(ClaimResponse { key_packages: Base64::of(&key_packages) }))
}
