//! What can go wrong with history and backups.

use std::path::PathBuf;

use posthouse_spec::Alias;

/// A line of a file that cannot be imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// Its number, from 1.
    pub number: u64,
    /// What is wrong with it.
    pub why: String,
}

/// Why something with history or a backup did not work.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// A text that cannot be searched for.
    #[error("cannot search for this: {0}. Name one or more words, or parts of them")]
    BadSearch(String),
    /// A number of days that makes no sense.
    #[error("cannot keep a conversation for {days} days: name 1 to {limit}, or switch it off")]
    BadRetention {
        /// The number.
        days: u64,
        /// The largest.
        limit: u64,
    },
    /// Writing an export failed.
    #[error("cannot write the export: {0}")]
    Export(#[source] std::io::Error),
    /// A file cannot be read or written.
    #[error("cannot {doing} {path}: {source}")]
    File {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// Lines of an import are bad.
    #[error(
        "{path} cannot be imported, and nothing of it was: {}. Mend or remove these lines, or leave them out with --skip-bad",
        told(lines, *count)
    )]
    BadImport {
        /// The file.
        path: PathBuf,
        /// The first bad lines.
        lines: Vec<BadLine>,
        /// How many there are.
        count: u64,
    },
    /// The vault came from a backup, and its device is not enrolled.
    #[error(
        "history restored; this device is not enrolled yet, so {0} cannot send or receive here: link it from another device \
         of the account, or register another account in another --profile. Reading, search and export work"
    )]
    NotEnrolled(Alias),
    /// The vault does not know to which key backups are sealed.
    #[error(
        "this vault does not know the backup key of its account: give the 24 words of the recovery code once"
    )]
    NoBackupKey,
    /// What was typed is no recovery code, or another account's.
    #[error("{0}")]
    Words(String),
    /// A file stands where a backup is to be written.
    #[error("{0} exists and is no backup of this account, so it is not written over: name another file")]
    NotOurs(PathBuf),
    /// A file is no backup.
    #[error("{0} is no backup: name a file that `backup create` has written")]
    NoBackup(PathBuf),
    /// A newer version wrote the backup.
    #[error("the backup {path} was written by a newer version of this program ({why}): update the program")]
    Newer {
        /// The file.
        path: PathBuf,
        /// How that shows.
        why: String,
    },
    /// A backup is damaged.
    #[error("the backup {path} is damaged: {why}. Nothing was restored; use another copy of the file")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where and how.
        why: String,
    },
    /// The vault's key does not open the backup.
    #[error(
        "this vault's key does not open the backup {0}: another vault wrote it. Give the 24 words instead, with --words"
    )]
    OtherVault(PathBuf),
    /// The profile has a vault already.
    #[error("this profile has a vault already, and nothing is written over: use another --profile")]
    HasVault,
}

/// Names bad lines.
fn told(lines: &[BadLine], count: u64) -> String {
    let named: Vec<String> = lines.iter().map(|line| format!("line {}: {}", line.number, line.why)).collect();
    let more = count.saturating_sub(lines.len() as u64);
    let rest = if more > 0 { format!("; and {more} more") } else { String::new() };
    format!("{}{rest}", named.join("; "))
}

impl HistoryError {
    /// The stable name.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadSearch(_) => "bad-search",
            Self::BadRetention { .. } => "bad-retention",
            Self::Export(_) => "export-failed",
            Self::File { .. } => "file-failed",
            Self::BadImport { .. } => "bad-import",
            Self::NotEnrolled(_) => "not-enrolled",
            Self::NoBackupKey => "no-backup-key",
            Self::Words(_) => "wrong-words",
            Self::NotOurs(_) => "file-exists",
            Self::NoBackup(_) => "no-backup",
            Self::Newer { .. } => "backup-newer",
            Self::Damaged { .. } => "backup-damaged",
            Self::OtherVault(_) => "backup-of-other-vault",
            Self::HasVault => "vault-exists",
        }
    }
}
