//! `GET /v1/socket`: the WebSocket on which messages travel.

use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::response::Response;
use posthouse_spec::client::Refusal;
use posthouse_spec::client::http::ErrorBody;

use super::auth::Caller;
use crate::error::{ApiError, ApiResult};
use crate::sessions::{Context, MAX_UP_MESSAGE, READ_BUFFER, WRITE_BUFFER, serve};

/// Upgrades to a WebSocket. Its frames are CBOR, and the client says hello first.
#[utoipa::path(
    get, path = "/v1/socket", operation_id = "socket", security(("session" = [])),
    responses((status = 101, description = "the connection is a WebSocket now"), (status = "default", body = ErrorBody))
)]
pub(super) async fn connect(
    State(context): State<Context>,
    caller: Caller,
    upgrade: WebSocketUpgrade,
) -> ApiResult<Response> {
    if context.sessions.stopping() {
        return Err(ApiError::new(Refusal::ShuttingDown, "the relay is shutting down; try again later"));
    }
    let place = context.sessions.admit().ok_or_else(|| {
        ApiError::new(Refusal::Busy, "the relay has as many connections as it takes; try again in a minute")
    })?;
    let upgrade = upgrade
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_message_size(MAX_UP_MESSAGE)
        .max_frame_size(MAX_UP_MESSAGE);
    Ok(upgrade.on_upgrade(move |socket| serve(socket, caller.0, context, place)))
}
