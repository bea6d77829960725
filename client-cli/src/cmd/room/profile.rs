//! `room rename`, `room describe`, `room picture`: what a room says of itself.

use posthouse_client::ProfileChange;

use super::settle;
use crate::anew::look_again;
use crate::desk::Desk;
use crate::failure::Failure;
use crate::line::{Line, ProfileLine};
use crate::request::{Lines, Pace};
use crate::which;

pub(super) async fn execute(
    desk: &Desk,
    room: &str,
    change: ProfileChange,
    pace: Pace,
    lines: &Lines,
) -> Result<(), Failure> {
    if change.name.as_ref().is_some_and(|name| name.trim().is_empty()) {
        return Err(Failure::usage("empty-name", "a room needs a name by which people find it: write one"));
    }
    let room = which::room(desk, room, pace, lines).await?.room;
    let profile = match desk.client().set_room_profile(&room, &change).await {
        Err(error) => {
            look_again(desk, error, pace, lines).await?;
            desk.client().set_room_profile(&room, &change).await?
        }
        Ok(profile) => profile,
    };
    settle::carry(desk, pace, lines).await?;
    lines.line(Line::RoomProfile(ProfileLine { room, profile })).await
}
