//! `history`: a conversation, oldest message first.

use posthouse_client::{Conversation, Page};

use crate::desk::Desk;
use crate::failure::Failure;
use crate::line::Line;
use crate::request::{Lines, Pace};

pub(crate) async fn execute(
    desk: &Desk,
    with: &str,
    page: Page,
    pace: Pace,
    lines: &Lines,
) -> Result<(), Failure> {
    let conversation: Conversation = with.parse()?;
    desk.refresh(pace, lines).await?;
    for message in desk.client().history(&conversation, page).await? {
        lines.line(Line::Message(Box::new(message))).await?;
    }
    Ok(())
}
