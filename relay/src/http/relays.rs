//! `GET /v1/relays/{domain}` and `…/manifests/{seq}`: another relay's manifest, and the earlier ones of its chain.

use axum::Json;
use axum::extract::State;
use posthouse_spec::client::http::{Base64, ErrorBody, RelayResponse};
use posthouse_spec::{Domain, ManifestSeq};

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

/// Gives the manifest that stood at a position of a relay's chain, for what was signed under it. This relay has proven
/// that it lies before the pinned one; a client proves the same by the hashes in the links between.
#[utoipa::path(
    get, path = "/v1/relays/{domain}/manifests/{seq}", operation_id = "relay_manifest",
    security(("session" = [])),
    params(
        ("domain" = String, Path, description = "the relay's domain"),
        ("seq" = u64, Path, description = "the manifest's position, from 1"),
    ),
    responses((status = 200, body = RelayResponse), (status = "default", body = ErrorBody))
)]
pub(super) async fn manifest(
    State(accounts): State<Accounts>,
    caller: Caller,
    Part((domain, seq)): Part<(Domain, u64)>,
) -> ApiResult<Json<RelayResponse>> {
    let manifest = accounts.relay_at(&caller.account, &domain, ManifestSeq(seq)).await?;
    Ok(Json(RelayResponse { manifest: Base64::of(manifest.signed()) }))
}
