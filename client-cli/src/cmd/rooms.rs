//! `rooms`: all rooms, the latest used first.

use crate::desk::Desk;
use crate::failure::Failure;
use crate::line::Line;
use crate::request::{Lines, Pace};

pub(crate) async fn execute(desk: &Desk, pace: Pace, lines: &Lines) -> Result<(), Failure> {
    desk.refresh(pace, lines).await?;
    for room in desk.client().rooms().await? {
        lines.line(Line::Room(Box::new(room))).await?;
    }
    Ok(())
}
