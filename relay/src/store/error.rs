//! Why the store could not do something; the one place where an SQL error becomes one of this relay's own.

use std::path::PathBuf;

use posthouse_spec::Domain;

/// Why the store could not do something. Nothing was changed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Another relay uses the data folder.
    #[error("the data folder {} is in use by another relay: stop that one, or give this one another folder with --data", .0.display())]
    Locked(PathBuf),
    /// A newer version of this program has written the data folder.
    #[error(
        "the data folder {} was written by a newer version of posthouse-relay (its schema has step {found}, this program knows up to {known}): run the newer version, or restore a backup from before the upgrade", .folder.display()
    )]
    Newer {
        /// The data folder.
        folder: PathBuf,
        /// The newest step of its schema.
        found: i64,
        /// The newest step that this program knows.
        known: i64,
    },
    /// The data folder has been a relay's, and its database is gone.
    #[error(
        "{} is missing or empty, and the data folder has been a relay's before: restore it from a backup; if there is none, `posthouse-relay serve --new-store` begins with an empty one, in which nobody is registered", .0.display()
    )]
    Gone(PathBuf),
    /// The data folder belongs to a relay of another domain.
    #[error("the data folder {} belongs to the relay of {found}, not of {wanted}: set the domain back, or use another folder", .folder.display())]
    OtherDomain {
        /// The data folder.
        folder: PathBuf,
        /// The domain it belongs to.
        found: String,
        /// The domain that was asked for.
        wanted: Domain,
    },
    /// Another node took the store over; this one must not write any more.
    #[error(
        "another node has taken over this relay's store (fence {found}, ours was {ours}): this node must stop"
    )]
    Fenced {
        /// The fence that stands in the store.
        found: i64,
        /// The fence that this node was given.
        ours: i64,
    },
    /// The disk is full.
    #[error(
        "the disk that holds the relay's data is full: free some space; the relay goes on by itself then"
    )]
    Full,
    /// Too many writes wait already.
    #[error("the store is overloaded: {0} writes wait already; try again later")]
    Busy(usize),
    /// The store is closed or closing.
    #[error("the store is closed: the relay is shutting down")]
    Closed,
    /// The file system refused something.
    #[error("cannot {doing} {}: {why}", .path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file or folder.
        path: PathBuf,
        /// Why it failed.
        why: String,
    },
    /// The database refused something.
    #[error("the store failed while it was to {doing}: {why}")]
    Database {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        why: String,
    },
    /// What is stored is not what was written.
    #[error("the store is damaged: {0}; restore the data folder from a backup")]
    Damaged(String),
}

/// SQLite's primary result code for a damaged database.
const SQLITE_CORRUPT: i32 = 11;
/// SQLite's primary result code for a full disk.
const SQLITE_FULL: i32 = 13;
/// SQLite's primary result code for a file that is no database at all.
const SQLITE_NOTADB: i32 = 26;

impl StoreError {
    /// Turns an SQL error into ours, with what was being done.
    pub(crate) fn sql(doing: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |error| {
            let code =
                error.as_database_error().and_then(|e| e.code()).and_then(|code| code.parse::<i32>().ok());
            match code.map(|code| code & 0xff) {
                Some(SQLITE_FULL) => Self::Full,
                Some(SQLITE_CORRUPT | SQLITE_NOTADB) => Self::Damaged(format!("{error} (tried to {doing})")),
                _ => Self::Database { doing, why: error.to_string() },
            }
        }
    }

    /// A stored value of `what` that cannot be read back.
    pub(crate) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged(what.into())
    }
}
