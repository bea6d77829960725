//! The rows that MLS keeps: opaque keys and values.

use posthouse_crypto::room::member::KeyWrite;
use sqlx::sqlite::SqliteConnection;

use crate::error::VaultError;

/// All rows.
pub(super) async fn all(db: &mut SqliteConnection) -> Result<Vec<(Vec<u8>, Vec<u8>)>, VaultError> {
    Ok(sqlx::query_as("SELECT key, value FROM mls").fetch_all(db).await?)
}

/// Applies a set of writes.
pub(super) async fn apply(db: &mut SqliteConnection, writes: Vec<KeyWrite>) -> Result<(), VaultError> {
    for write in writes {
        match write.value {
            Some(value) => {
                sqlx::query(
                    "INSERT INTO mls (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                )
                .bind(write.key)
                .bind(value)
                .execute(&mut *db)
                .await?;
            }
            None => {
                sqlx::query("DELETE FROM mls WHERE key = ?").bind(write.key).execute(&mut *db).await?;
            }
        }
    }
    Ok(())
}
