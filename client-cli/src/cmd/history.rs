//! `history`: a conversation, oldest message first.

use posthouse_client::Page;

use crate::desk::Desk;
use crate::failure::Failure;
use crate::line::Line;
use crate::request::{Lines, Pace};
use crate::which;

pub(crate) async fn execute(
    desk: &Desk,
    with: &str,
    page: Page,
    pace: Pace,
    lines: &Lines,
) -> Result<(), Failure> {
    which::check(with)?;
    desk.refresh(pace, lines).await?;
    // What is new is here already.
    let conversation = which::conversation(desk, with, Pace { offline: true, ..pace }, lines).await?;
    for message in desk.client().history(&conversation, page).await? {
        lines.line(Line::Message(Box::new(message))).await?;
    }
    Ok(())
}
