//! `PUT` and `GET /v1/rooms/{room}`: a room is founded, and seen.

use axum::Json;
use axum::extract::State;
use posthouse_spec::RoomId;
use posthouse_spec::client::Refusal;
use posthouse_spec::client::http::{ErrorBody, RoomCreate, RoomResponse};

use super::auth::Caller;
use super::body::{Body, Part};
use crate::accounts::store_failed;
use crate::error::{ApiError, ApiResult};
use crate::hub::{RoomInfo, RoomRefused, Rooms};
use crate::state::Clock;

/// Founds a room; this relay becomes its hub. Sent again, it gives the same answer.
#[utoipa::path(
    put, path = "/v1/rooms/{room}", operation_id = "foundRoom", security(("session" = [])),
    params(("room" = String, Path, description = "the room's id, 64 hexadecimal digits")),
    request_body = RoomCreate,
    responses((status = 200, body = RoomResponse), (status = "default", body = ErrorBody))
)]
pub(super) async fn found(
    State(rooms): State<Rooms>,
    State(clock): State<Clock>,
    caller: Caller,
    Part(room): Part<RoomId>,
    Body(request): Body<RoomCreate>,
) -> ApiResult<Json<RoomResponse>> {
    let info = rooms.found(clock(), *caller, room, &request.group_info.0).await.map_err(refused)?;
    Ok(Json(seen(info)))
}

/// Shows a room to one of its members' devices.
#[utoipa::path(
    get, path = "/v1/rooms/{room}", operation_id = "room", security(("session" = [])),
    params(("room" = String, Path, description = "the room's id, 64 hexadecimal digits")),
    responses((status = 200, body = RoomResponse), (status = "default", body = ErrorBody))
)]
pub(super) async fn room(
    State(rooms): State<Rooms>,
    caller: Caller,
    Part(room): Part<RoomId>,
) -> ApiResult<Json<RoomResponse>> {
    let info = rooms.room_for(*caller, room).await.map_err(store_failed("looking up a room"))?;
    info.map(|info| Json(seen(info))).ok_or_else(|| {
        ApiError::new(Refusal::UnknownRoom, "this device is in no such room; check its id, or found it")
    })
}

fn seen(info: RoomInfo) -> RoomResponse {
    RoomResponse { room: info.room, epoch: info.epoch, hub: info.hub }
}

/// A refusal of the rooms, as this API says it.
pub(super) fn refused(refusal: RoomRefused) -> ApiError {
    ApiError::new(refusal.reason, refusal.detail).with_decided(refusal.decided.map(|decided| *decided))
}
