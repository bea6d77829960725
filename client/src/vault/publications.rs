//! Rooms that were made here and that their hub does not have yet.

use posthouse_spec::RoomId;
use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;

use crate::error::VaultError;

/// Keeps what the hub is to be given.
pub(crate) async fn insert(
    db: &mut SqliteConnection,
    room: &RoomId,
    group_info: &[u8],
) -> Result<(), VaultError> {
    sqlx::query("INSERT INTO publications (room, group_info) VALUES (?, ?)")
        .bind(room.as_bytes().as_slice())
        .bind(group_info)
        .execute(db)
        .await?;
    Ok(())
}

/// What the hub is to be given, where it does not have the room.
pub(crate) async fn find(db: &mut SqliteConnection, room: &RoomId) -> Result<Option<Vec<u8>>, VaultError> {
    let row = sqlx::query("SELECT group_info FROM publications WHERE room = ?")
        .bind(room.as_bytes().as_slice())
        .fetch_optional(db)
        .await?;
    Ok(row.map(|row| row.try_get("group_info")).transpose()?)
}

/// The hub has the room.
pub(crate) async fn remove(db: &mut SqliteConnection, room: &RoomId) -> Result<(), VaultError> {
    sqlx::query("DELETE FROM publications WHERE room = ?")
        .bind(room.as_bytes().as_slice())
        .execute(db)
        .await?;
    Ok(())
}
