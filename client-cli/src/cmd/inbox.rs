//! `inbox`: unread messages, conversation by conversation; they are read then.

use crate::desk::Desk;
use crate::failure::Failure;
use crate::line::Line;
use crate::request::{Lines, Pace};

pub(crate) async fn execute(desk: &Desk, pace: Pace, lines: &Lines) -> Result<(), Failure> {
    desk.refresh(pace, lines).await?;
    for conversation in desk.client().inbox().await? {
        for message in conversation.messages {
            lines.line(Line::Message(Box::new(message))).await?;
        }
    }
    Ok(())
}
