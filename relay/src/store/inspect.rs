//! Looking at a store without touching it: for checks before a relay starts.

use std::fs::File;
use std::path::Path;

use posthouse_spec::Domain;
use sqlx::{ConnectOptions as _, Connection as _};

use super::columns::Columns;
use super::error::StoreError;
use super::handle::Store;
use super::open::{FILE, LOCK, lock, newest_known, newest_step, options};

/// A data folder that no relay can use meanwhile.
#[derive(Debug)]
#[must_use = "the folder is let go when this is dropped"]
pub struct HeldFolder(#[expect(dead_code, reason = "the lock lives as long as the file is open")] File);

impl Store {
    /// Keeps every relay out of the folder, for as long as what is returned lives: for tools that change what a relay
    /// reads when it starts.
    ///
    /// # Errors
    /// A relay uses it.
    pub fn hold(folder: &Path) -> Result<HeldFolder, StoreError> {
        lock(folder).map(HeldFolder)
    }

    /// Whether the folder has a database at all: one that served before must have, and a new one in its place would lose
    /// everybody's account without a word.
    ///
    /// # Errors
    /// It is missing, or empty.
    pub fn must_exist(folder: &Path) -> Result<(), StoreError> {
        let path = folder.join(FILE);
        match std::fs::metadata(&path) {
            Ok(found) if found.len() > 0 => Ok(()),
            _ => Err(StoreError::Gone(path)),
        }
    }

    /// Whether the store in `folder` could be opened for `domain`: there is none yet, or a fitting one that nobody has
    /// open. Changes nothing.
    ///
    /// # Errors
    /// It is in use, newer, of another domain, or cannot be read.
    pub async fn inspect(folder: &Path, domain: &Domain) -> Result<(), StoreError> {
        if !folder.join(FILE).exists() {
            return Ok(());
        }
        if folder.join(LOCK).exists() {
            // Let go at the end of the statement; only one who holds it is of interest.
            drop(lock(folder)?);
        }
        let doing = "look into the database";
        let mut conn =
            options(folder).read_only(true).connect().await.map_err(StoreError::sql("open the database"))?;
        let found = newest_step(&mut conn).await?;
        let known = newest_known();
        if found > known {
            return Err(StoreError::Newer { folder: folder.to_owned(), found, known });
        }
        if found > 0 {
            let owner = sqlx::query("SELECT domain FROM owner")
                .fetch_optional(&mut conn)
                .await
                .map_err(StoreError::sql(doing))?;
            if let Some(row) = owner {
                let owner = row.domain(0)?;
                if owner != *domain {
                    let (folder, wanted) = (folder.to_owned(), domain.clone());
                    return Err(StoreError::OtherDomain { folder, found: owner.to_string(), wanted });
                }
            }
        }
        conn.close().await.map_err(StoreError::sql(doing))
    }
}
