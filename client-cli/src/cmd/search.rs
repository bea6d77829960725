//! `search`: messages with a text, newest first.

use posthouse_client::Search;

use crate::desk::Desk;
use crate::failure::Failure;
use crate::line::Line;
use crate::request::{Lines, Pace};
use crate::which;

pub(crate) async fn execute(
    desk: &Desk,
    mut search: Search,
    with: Option<String>,
    pace: Pace,
    lines: &Lines,
) -> Result<(), Failure> {
    if let Some(with) = with {
        search.within = Some(which::conversation(desk, &with, Pace { offline: true, ..pace }, lines).await?);
    }
    let forwards = search.after.is_some();
    let found = desk.client().search(&search).await?;
    for message in found.messages {
        lines.line(Line::Message(Box::new(message))).await?;
    }
    match found.more {
        Some(place) if forwards => lines.line(Line::More { before: None, after: Some(place) }).await,
        Some(place) => lines.line(Line::More { before: Some(place), after: None }).await,
        None => Ok(()),
    }
}
