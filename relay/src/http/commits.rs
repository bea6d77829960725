//! `POST /v1/rooms/{room}/commits`: a room changes.

use axum::Json;
use axum::extract::State;
use posthouse_spec::RoomId;
use posthouse_spec::client::http::{Base64, CommitRequest, CommitResponse, ErrorBody};
use posthouse_spec::room::CommitUpload;

use super::auth::Caller;
use super::body::{Body, Part};
use super::rooms::refused;
use crate::error::{ApiError, ApiResult};
use crate::hub::Rooms;
use crate::state::Clock;

/// Has a commit decided by the room's hub. This relay has applied it when it answers. For a stale epoch the refusal
/// holds what was decided instead.
#[utoipa::path(
    post, path = "/v1/rooms/{room}/commits", operation_id = "commit", security(("session" = [])),
    params(("room" = String, Path, description = "the room's id, 64 hexadecimal digits")),
    request_body = CommitRequest,
    responses((status = 200, body = CommitResponse), (status = "default", body = ErrorBody))
)]
pub(super) async fn commit(
    State(rooms): State<Rooms>,
    State(clock): State<Clock>,
    caller: Caller,
    Part(room): Part<RoomId>,
    Body(request): Body<CommitRequest>,
) -> ApiResult<Json<CommitResponse>> {
    let upload: CommitUpload =
        request.upload.read().map_err(|fault| ApiError::malformed("the commit upload", fault))?;
    let claim = upload.claim.peek().map_err(|fault| ApiError::malformed("the commit's claim", fault))?;
    if claim.room != room {
        return Err(ApiError::malformed("the commit upload", "it is for another room than the path names"));
    }
    let decided = rooms.commit(clock(), *caller, upload).await.map_err(refused)?;
    Ok(Json(CommitResponse { decided: Base64::of(&decided) }))
}
