//! `GET /v1/aliases/{alias}`: who is behind an alias, here or at another relay.

use axum::Json;
use axum::extract::State;
use posthouse_spec::Alias;
use posthouse_spec::client::http::{AccountResponse, Base64, ErrorBody};

use super::auth::Caller;
use super::body::Part;
use crate::accounts::Accounts;
use crate::error::ApiResult;

/// Looks an alias up.
#[utoipa::path(
    get, path = "/v1/aliases/{alias}", operation_id = "find", security(("session" = [])),
    params(("alias" = String, Path, description = "name@domain")),
    responses((status = 200, body = AccountResponse), (status = "default", body = ErrorBody))
)]
pub(super) async fn find(
    State(accounts): State<Accounts>,
    caller: Caller,
    Part(alias): Part<Alias>,
) -> ApiResult<Json<AccountResponse>> {
    let found = accounts.find(&caller.account, &alias).await?;
    Ok(Json(AccountResponse {
        record: Base64::of(&found.record),
        manifest: Base64::of(found.manifest.signed()),
    }))
}
