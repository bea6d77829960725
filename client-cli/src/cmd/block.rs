//! `block`: refuses somebody for good. They are not told.

use posthouse_spec::Alias;

use crate::desk::Desk;
use crate::failure::Failure;
use crate::line::{Contact, Line, Standing};
use crate::request::{Lines, Pace};

pub(crate) async fn execute(desk: &Desk, alias: &Alias, pace: Pace, lines: &Lines) -> Result<(), Failure> {
    let peer = desk.client().block(alias).await?;
    lines.line(Line::Contact(Contact { state: Standing::Blocked, peer })).await?;
    desk.refresh(pace, lines).await
}
