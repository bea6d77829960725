//! `GET /v1/relays/{domain}`: another relay's manifest.

use axum::Json;
use axum::extract::State;
use posthouse_spec::Domain;
use posthouse_spec::client::http::{Base64, ErrorBody, RelayResponse};

use super::auth::Caller;
use super::body::Part;
use crate::accounts::Accounts;
use crate::error::ApiResult;

/// Gives a relay's manifest, as this relay has verified it.
#[utoipa::path(
    get, path = "/v1/relays/{domain}", operation_id = "relay", security(("session" = [])),
    params(("domain" = String, Path, description = "the relay's domain")),
    responses((status = 200, body = RelayResponse), (status = "default", body = ErrorBody))
)]
pub(super) async fn relay(
    State(accounts): State<Accounts>,
    caller: Caller,
    Part(domain): Part<Domain>,
) -> ApiResult<Json<RelayResponse>> {
    let manifest = accounts.relay(&caller.account, &domain).await?;
    Ok(Json(RelayResponse { manifest: Base64::of(manifest.signed()) }))
}
