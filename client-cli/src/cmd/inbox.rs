//! `inbox`: unread messages, conversation by conversation; each is read once it was shown, where that is wanted.

use crate::desk::Desk;
use crate::failure::Failure;
use crate::line::Line;
use crate::request::{Lines, Pace};

pub(crate) async fn execute(desk: &Desk, mark_read: bool, pace: Pace, lines: &Lines) -> Result<(), Failure> {
    desk.refresh(pace, lines).await?;
    for conversation in desk.client().inbox().await? {
        let locals: Vec<u64> = conversation.messages.iter().map(|message| message.local).collect();
        for message in conversation.messages {
            lines.line(Line::Message(Box::new(message))).await?;
        }
        if !mark_read {
            continue;
        }
        // Who goes before the lines are shown finds the messages unread the next time.
        lines.shown().await?;
        desk.client().mark_read(&locals).await?;
    }
    Ok(())
}
