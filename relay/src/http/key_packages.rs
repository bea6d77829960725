//! `POST` and `GET /v1/key-packages`: the stock of the session's device.

use axum::Json;
use axum::extract::State;
use posthouse_spec::client::http::{ErrorBody, KeyPackageCounts, KeyPackageUpload};

use super::auth::Caller;
use super::body::Body;
use crate::accounts::Accounts;
use crate::error::ApiResult;
use crate::store::KeyPackageStock;

/// Adds key packages; all of them are kept, or none.
#[utoipa::path(
    post, path = "/v1/key-packages", operation_id = "uploadKeyPackages", security(("session" = [])),
    request_body = KeyPackageUpload,
    responses((status = 200, body = KeyPackageCounts), (status = "default", body = ErrorBody))
)]
pub(super) async fn upload(
    State(accounts): State<Accounts>,
    caller: Caller,
    Body(request): Body<KeyPackageUpload>,
) -> ApiResult<Json<KeyPackageCounts>> {
    Ok(Json(counted(accounts.upload(*caller, request).await?)))
}

/// Says how many are left.
#[utoipa::path(
    get, path = "/v1/key-packages", operation_id = "countKeyPackages", security(("session" = [])),
    responses((status = 200, body = KeyPackageCounts), (status = "default", body = ErrorBody))
)]
pub(super) async fn counts(
    State(accounts): State<Accounts>,
    caller: Caller,
) -> ApiResult<Json<KeyPackageCounts>> {
    Ok(Json(counted(accounts.stock(*caller).await?)))
}

fn counted(stock: KeyPackageStock) -> KeyPackageCounts {
    KeyPackageCounts { classic: stock.classic, post_quantum: stock.post_quantum }
}
