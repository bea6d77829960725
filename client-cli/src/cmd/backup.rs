//! `backup`: what is asked of an open vault.

use std::path::{Path, PathBuf};

use posthouse_client::Report;

use crate::desk::Desk;
use crate::failure::Failure;
use crate::line::{BackupLine, Done, Line};
use crate::request::{Lines, Words};

/// Writes a backup.
pub(crate) async fn create(desk: &Desk, file: PathBuf, lines: &Lines) -> Result<(), Failure> {
    let report = desk.client().create_backup(&file).await?;
    lines.line(line(Done::Written, &file, report)).await
}

/// Tries a backup out.
pub(crate) async fn verify(desk: &Desk, file: PathBuf, lines: &Lines) -> Result<(), Failure> {
    let report = desk.client().verify_backup(&file).await?;
    lines.line(line(Done::Verified, &file, report)).await
}

/// Lets the vault learn its backup key.
pub(crate) async fn learn(desk: &Desk, words: Words) -> Result<(), Failure> {
    Ok(desk.client().learn_words(&words.0).await?)
}

/// What is told of a backup.
pub(crate) fn line(done: Done, file: &Path, report: Report) -> Line {
    Line::Backup(BackupLine { done, file: file.display().to_string(), report })
}
