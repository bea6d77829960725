//! Lines about history and backups.

use posthouse_client::Moment;

use crate::line::{BackupLine, Done};
use crate::style::Style;

/// A day, milliseconds.
const DAY: u64 = 24 * 60 * 60 * 1000;
/// An hour, milliseconds.
const HOUR: u64 = 60 * 60 * 1000;

pub(super) fn retention(with: &str, days: Option<u64>, deleted: Option<u64>) -> String {
    let place = if with.contains('@') { "with" } else { "in" };
    let kept = match days {
        Some(1) => format!("messages {place} {with} are deleted here after 1 day"),
        Some(days) => format!("messages {place} {with} are deleted here after {days} days"),
        None => format!("messages {place} {with} are kept"),
    };
    match deleted {
        Some(deleted) if deleted > 0 => format!("{kept}; {deleted} deleted now"),
        _ => kept,
    }
}

pub(super) fn imported(file: &str, added: u64, known: u64, skipped: u64) -> String {
    let mut text = format!("{added} messages imported from {file}, {known} were here already");
    if skipped > 0 {
        text.push_str(&format!(", {skipped} bad lines left out"));
    }
    text
}

pub(super) fn backup(backup: &BackupLine, file: &str, style: Style) -> String {
    let report = &backup.report;
    let holds = format!(
        "{}, {} and {} of {}",
        counted(report.rows("messages"), "message", "messages"),
        counted(report.rows("contacts"), "person", "people"),
        counted(report.rows("rooms"), "room", "rooms"),
        report.alias
    );
    match backup.done {
        Done::Written => {
            format!("{file} holds {holds}. Its key is in the 24 words; try it with `backup verify`")
        }
        Done::Verified => {
            let mut text = format!(
                "{} {file} holds {holds}, written on {} ({})",
                style.bold("It restores:"),
                Moment::of(report.created),
                age(report.age_ms)
            );
            for table in &report.tables {
                let digest = table.digest.get(..16).unwrap_or(&table.digest);
                text.push_str(&style.dim(&format!("\n    {:<12} {:>9}  {digest}", table.table, table.rows)));
            }
            text
        }
        Done::Restored => format!(
            "{} {holds}, as of {}.\nThis device is not enrolled yet: it can read, search and export, and cannot send or receive.\n\
             Link it from another device of the account.",
            style.bold("History restored:"),
            Moment::of(report.created)
        ),
    }
}

fn counted(number: u64, one: &str, more: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {more}") }
}

fn age(age_ms: u64) -> String {
    match (age_ms / DAY, age_ms / HOUR) {
        (0, 0) => "less than an hour ago".to_owned(),
        (0, hours) => format!("{hours} hours ago"),
        (1, _) => "a day ago".to_owned(),
        (days, _) => format!("{days} days ago"),
    }
}
