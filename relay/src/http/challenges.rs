//! `POST /v1/challenges`: the first half of a login.

use std::net::SocketAddr;

use axum::Json;
use axum::extract::{ConnectInfo, State};
use posthouse_spec::client::http::{ChallengeRequest, ChallengeResponse, ErrorBody};

use super::body::Body;
use crate::accounts::Accounts;
use crate::error::ApiResult;

/// Gives a challenge, good once and for a minute.
#[utoipa::path(
    post, path = "/v1/challenges", operation_id = "challenge", request_body = ChallengeRequest,
    responses((status = 200, body = ChallengeResponse), (status = "default", body = ErrorBody))
)]
pub(super) async fn challenge(
    State(accounts): State<Accounts>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    Body(request): Body<ChallengeRequest>,
) -> ApiResult<Json<ChallengeResponse>> {
    let challenge = accounts.challenge(request.account, request.device, from.ip())?;
    Ok(Json(ChallengeResponse { challenge, domain: accounts.domain().clone(), now: accounts.clock() }))
}
