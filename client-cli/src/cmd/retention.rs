//! `retention`: after how many days a conversation's messages are deleted from this vault.

use crate::args::history::Keep;
use crate::desk::Desk;
use crate::failure::Failure;
use crate::line::Line;
use crate::request::{Lines, Pace};
use crate::which;

pub(crate) async fn execute(
    desk: &Desk,
    with: &str,
    keep: Option<Keep>,
    pace: Pace,
    lines: &Lines,
) -> Result<(), Failure> {
    let conversation = which::conversation(desk, with, Pace { offline: true, ..pace }, lines).await?;
    let deleted = match keep {
        None => None,
        Some(Keep::Days(days)) => Some(desk.client().set_retention(&conversation, Some(days)).await?),
        Some(Keep::Ever(_)) => Some(desk.client().set_retention(&conversation, None).await?),
    };
    let days = desk.client().retention(&conversation).await?;
    lines.line(Line::Retention { with: with.to_owned(), days, deleted }).await
}
