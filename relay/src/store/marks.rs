//! The key of the marks that this relay puts on its own messages.

use posthouse_crypto::mark::MarkKey;
use sqlx::SqliteConnection;

use super::columns::Columns;
use super::error::StoreError;

/// The key of this relay's marks; it is made when it is first asked for.
pub(super) async fn mark_key(conn: &mut SqliteConnection) -> Result<MarkKey, StoreError> {
    let fresh: [u8; 32] = rand::random();
    let row = sqlx::query(
        "INSERT INTO mark_key (one, key) VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET key = key RETURNING key",
    )
    .bind(fresh.as_slice())
    .fetch_one(conn)
    .await
    .map_err(StoreError::sql("find the key of the marks"))?;
    let key = row.fixed(0, |bytes| <[u8; 32]>::try_from(bytes).ok())?;
    Ok(MarkKey::from_bytes(&key))
}
