//! `retention`: after how many days a conversation's messages are deleted from this vault.

use posthouse_client::Conversation;

use crate::args::history::Keep;
use crate::desk::Desk;
use crate::failure::Failure;
use crate::line::Line;
use crate::request::Lines;

pub(crate) async fn execute(
    desk: &Desk,
    with: String,
    keep: Option<Keep>,
    lines: &Lines,
) -> Result<(), Failure> {
    let conversation: Conversation = with.parse()?;
    let deleted = match keep {
        None => None,
        Some(Keep::Days(days)) => Some(desk.client().set_retention(&conversation, Some(days)).await?),
        Some(Keep::Off) => Some(desk.client().set_retention(&conversation, None).await?),
    };
    let days = desk.client().retention(&conversation).await?;
    lines.line(Line::Retention { with, days, deleted }).await
}
