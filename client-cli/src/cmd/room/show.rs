//! `room show`: all of one room.

use posthouse_client::ChangeState;

use crate::desk::Desk;
use crate::failure::Failure;
use crate::line::{Line, RoomDetails};
use crate::request::{Lines, Pace};
use crate::which;

pub(super) async fn execute(desk: &Desk, room: &str, pace: Pace, lines: &Lines) -> Result<(), Failure> {
    desk.refresh(pace, lines).await?;
    // What is new is here already.
    let room = which::room(desk, room, Pace { offline: true, ..pace }, lines).await?;
    let (client, id) = (desk.client(), room.room);
    let profile = client.room_profile(&id).await?;
    let mut changes = client.changes(&id).await?;
    changes.retain(|change| matches!(change.state, ChangeState::Waiting | ChangeState::Deciding));
    let details = RoomDetails {
        description: profile.description,
        has_picture: profile.picture.is_some(),
        rules: client.room_rules(&id).await?,
        people: client.members(&id).await?,
        changes,
        room,
    };
    lines.line(Line::RoomDetails(Box::new(details))).await
}
