//! `requests`: who asks to talk. Nothing that they wrote is shown before they are accepted.

use crate::desk::Desk;
use crate::failure::Failure;
use crate::line::Line;
use crate::request::{Lines, Pace};

pub(crate) async fn execute(desk: &Desk, pace: Pace, lines: &Lines) -> Result<(), Failure> {
    desk.refresh(pace, lines).await?;
    for request in desk.client().requests().await? {
        lines.line(Line::Request(request)).await?;
    }
    Ok(())
}
