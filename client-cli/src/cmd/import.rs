//! `import`: takes the JSON lines of an export back.

use std::path::PathBuf;

use crate::desk::Desk;
use crate::failure::Failure;
use crate::line::Line;
use crate::request::Lines;

pub(crate) async fn execute(
    desk: &Desk,
    file: PathBuf,
    skip_bad: bool,
    lines: &Lines,
) -> Result<(), Failure> {
    let done = desk.client().import(&file, skip_bad).await?;
    for bad in &done.bad {
        lines.warn("bad-line", format!("line {} was left out: {}", bad.number, bad.why)).await?;
    }
    let file = file.display().to_string();
    lines.line(Line::Imported { file, added: done.added, known: done.known, skipped: done.skipped }).await
}
