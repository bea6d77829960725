//! `whoami`: alias, account and device.

use crate::desk::Desk;
use crate::failure::Failure;
use crate::line::Line;
use crate::request::Lines;

pub(crate) async fn execute(desk: &Desk, lines: &Lines) -> Result<(), Failure> {
    lines.line(Line::Identity(desk.client().whoami().await?)).await
}
