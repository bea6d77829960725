//! Invite tokens, by their hashes.

use std::path::Path;

use posthouse_spec::Millis;
use sqlx::SqliteConnection;

use super::columns::sql;
use super::error::StoreError;
use super::handle::Store;
use super::open::open_beside;
use super::tx::Tx;

impl Store {
    /// Adds an invite token that admits `uses` accounts until it expires.
    ///
    /// # Errors
    /// The store failed.
    pub async fn add_invite(
        &self,
        now: Millis,
        token_hash: [u8; 32],
        uses: u32,
        expires: Millis,
    ) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move { insert(&mut tx.conn, now, token_hash, uses, expires).await })
        })
        .await
    }

    /// Adds an invite token to the store of a folder that a running relay may have open: for the command line. Nothing
    /// that the running relay remembers depends on it.
    ///
    /// # Errors
    /// The folder is newer, or cannot be read or written.
    pub async fn add_invite_beside(
        folder: &Path,
        now: Millis,
        token_hash: [u8; 32],
        uses: u32,
        expires: Millis,
    ) -> Result<(), StoreError> {
        let mut conn = open_beside(folder).await?;
        let inserted = insert(&mut conn, now, token_hash, uses, expires).await;
        sqlx::Connection::close(conn).await.map_err(StoreError::sql("close the database"))?;
        inserted
    }
}

async fn insert(
    conn: &mut SqliteConnection,
    now: Millis,
    token_hash: [u8; 32],
    uses: u32,
    expires: Millis,
) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO invites (token_hash, uses_left, expires, created) VALUES (?,?,?,?)")
        .bind(token_hash.to_vec())
        .bind(i64::from(uses))
        .bind(sql(expires.0))
        .bind(sql(now.0))
        .execute(conn)
        .await
        .map_err(StoreError::sql("add an invite token"))?;
    Ok(())
}

impl Tx {
    /// Uses an invite token once, if it still admits anybody.
    pub(crate) async fn use_invite(&mut self, now: Millis, token_hash: [u8; 32]) -> Result<bool, StoreError> {
        let used = sqlx::query(
            "UPDATE invites SET uses_left = uses_left - 1 WHERE token_hash = ? AND uses_left > 0 AND expires > ?",
        )
        .bind(token_hash.to_vec())
        .bind(sql(now.0))
        .execute(&mut self.conn)
        .await
        .map_err(StoreError::sql("use an invite token"))?;
        Ok(used.rows_affected() > 0)
    }
}
