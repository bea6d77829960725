//! `GET /v1/account`: who the session is.

use axum::Json;
use axum::extract::State;
use posthouse_spec::client::http::{ErrorBody, WhoamiResponse};

use super::auth::Caller;
use crate::accounts::Accounts;
use crate::error::{ApiError, ApiResult};

/// Says whose session it is.
#[utoipa::path(
    get, path = "/v1/account", operation_id = "whoami", security(("session" = [])),
    responses((status = 200, body = WhoamiResponse), (status = "default", body = ErrorBody))
)]
pub(super) async fn whoami(
    State(accounts): State<Accounts>,
    caller: Caller,
) -> ApiResult<Json<WhoamiResponse>> {
    let record = accounts.record(&caller.account).await?;
    let claim = record
        .binding
        .peek()
        .and_then(|binding| binding.claim.peek())
        .map_err(|fault| ApiError::internal("reading a stored alias binding", &fault))?;
    Ok(Json(WhoamiResponse { alias: claim.alias, account: caller.account, device: caller.device }))
}
