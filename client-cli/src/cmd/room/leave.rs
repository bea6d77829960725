//! `room leave`: nothing more of a room is shown or sent; somebody else's client lets this account go.

use super::settle;
use crate::anew::look_again;
use crate::desk::Desk;
use crate::failure::Failure;
use crate::line::Line;
use crate::request::{Lines, Pace};
use crate::which;

pub(super) async fn execute(desk: &Desk, room: &str, pace: Pace, lines: &Lines) -> Result<(), Failure> {
    let room = which::room(desk, room, pace, lines).await?.room;
    if let Err(error) = desk.client().leave(&room).await {
        look_again(desk, error, pace, lines).await?;
        desk.client().leave(&room).await?;
    }
    settle::carry(desk, pace, lines).await?;
    lines.line(Line::RoomLeft { room }).await
}
