//! `GET /healthz` and `GET /readyz`: whether the process lives, and whether it can do its work.

use axum::extract::State;
use posthouse_spec::client::Refusal;
use posthouse_spec::client::http::ErrorBody;

use crate::error::{ApiError, ApiResult};
use crate::network::Network;
use crate::store::Store;

/// Says that the process answers.
#[utoipa::path(get, path = "/healthz", operation_id = "alive", responses((status = 200, body = String)))]
pub(super) async fn alive() -> &'static str {
    "ok\n"
}

/// Says whether the store answers and the node listens.
#[utoipa::path(
    get, path = "/readyz", operation_id = "ready",
    responses((status = 200, body = String), (status = "default", body = ErrorBody))
)]
pub(super) async fn ready(
    State(store): State<Store>,
    State(network): State<Network>,
) -> ApiResult<&'static str> {
    if network.federation().is_none() {
        return Err(ApiError::new(
            Refusal::Busy,
            "the relay does not listen for other relays yet; wait a moment",
        ));
    }
    store.ready().await.map_err(|error| {
        tracing::warn!(%error, "the relay is not ready");
        ApiError::new(Refusal::Busy, "the store does not answer; the relay's log says why")
    })?;
    Ok("ready\n")
}
