//! Handing a room that was made here to its hub.

use posthouse_spec::RoomId;
use posthouse_spec::client::http::{Base64, RoomCreate, RoomResponse};
use reqwest::Method;

use crate::context::Context;
use crate::error::ClientError;

/// Hands the room over; sent again, it changes nothing.
pub(crate) async fn publish(
    context: &Context,
    room: &RoomId,
    group_info: Vec<u8>,
) -> Result<(), ClientError> {
    let request = RoomCreate { group_info: Base64(group_info) };
    let path = format!("/v1/rooms/{room}");
    let _: RoomResponse =
        context.relay.ask(&context.owner, "found a room", Method::PUT, &path, Some(&request)).await?;
    Ok(())
}
