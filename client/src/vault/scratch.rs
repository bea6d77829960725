//! A vault to try things in: in a temporary folder, under a key that nobody keeps, and gone when it is dropped.

use std::path::PathBuf;

use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnection;

use super::key::VaultKey;
use super::{database, file};
use crate::error::VaultError;

/// An empty vault without a profile.
pub(crate) struct Scratch {
    connection: SqliteConnection,
    folder: Folder,
}

/// The folder; it goes when this is dropped.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // What stays behind is encrypted under a key that is gone.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Scratch {
    /// Makes one.
    pub(crate) async fn make() -> Result<Self, VaultError> {
        let name = format!("posthouse-scratch-{}", hex::encode(rand::random::<[u8; 8]>()));
        let folder = Folder(std::env::temp_dir().join(name));
        file::make_dir(&folder.0)?;
        let key = VaultKey::new(rand::random());
        let mut connection = database::open(&folder.0.join("vault.db"), &key, true).await?;
        // One transaction that never ends: nothing here needs to be durable, and waiting for the disk takes long.
        sqlx::query("BEGIN").execute(&mut connection).await?;
        Ok(Self { connection, folder })
    }

    /// The tables.
    pub(crate) fn db(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }

    /// Closes and deletes it.
    pub(crate) async fn close(self) -> Result<(), VaultError> {
        let Self { connection, folder } = self;
        connection.close().await?;
        drop(folder);
        Ok(())
    }
}
