//! `verify`: the safety number that two people compare.

use posthouse_spec::Alias;

use crate::desk::Desk;
use crate::failure::Failure;
use crate::line::Line;
use crate::request::Lines;

pub(crate) async fn execute(desk: &Desk, alias: &Alias, lines: &Lines) -> Result<(), Failure> {
    lines.line(Line::SafetyNumber(desk.client().verify(alias).await?)).await
}
