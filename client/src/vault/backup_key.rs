//! To which key backups are sealed: the public half of what the recovery code's words make.

use posthouse_crypto::RecoveryCode;
use posthouse_spec::{PublicKey, SealKey};
use sqlx::sqlite::SqliteConnection;

use super::columns::id;
use crate::error::VaultError;

/// Keeps the key of these words.
pub(crate) async fn put(db: &mut SqliteConnection, code: &RecoveryCode) -> Result<(), VaultError> {
    sqlx::query("INSERT OR REPLACE INTO backup_key (one, key, recovery) VALUES (1, ?, ?)")
        .bind(code.backup_key().public().as_bytes().as_slice())
        .bind(code.signing_key().public().as_bytes().as_slice())
        .execute(db)
        .await?;
    Ok(())
}

/// The key that belongs to this recovery key, if the vault knows it.
pub(crate) async fn of(
    db: &mut SqliteConnection,
    recovery: &PublicKey,
) -> Result<Option<SealKey>, VaultError> {
    sqlx::query("SELECT key FROM backup_key WHERE recovery = ?")
        .bind(recovery.as_bytes().as_slice())
        .fetch_optional(db)
        .await?
        .map(|row| id(&row, "key", SealKey::from_slice))
        .transpose()
}
