//! Names, descriptions and pictures of rooms.

use posthouse_spec::{MessageId, RoomId};
use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;

use super::columns::{id, int, number};
use crate::error::VaultError;

/// What a room says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InfoRow {
    /// Its version: the highest wins.
    pub(crate) version: u64,
    /// The message that brought it: of two with one version the larger wins.
    pub(crate) id: MessageId,
    /// The name.
    pub(crate) name: String,
    /// The description.
    pub(crate) description: String,
    /// The picture.
    pub(crate) picture: Option<Vec<u8>>,
}

/// What the room says of itself.
pub(crate) async fn find(db: &mut SqliteConnection, room: &RoomId) -> Result<Option<InfoRow>, VaultError> {
    let row = sqlx::query("SELECT * FROM room_infos WHERE room = ?")
        .bind(room.as_bytes().as_slice())
        .fetch_optional(db)
        .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(InfoRow {
        version: number(&row, "version")?,
        id: id(&row, "id", MessageId::from_slice)?,
        name: row.try_get("name")?,
        description: row.try_get("description")?,
        picture: row.try_get("picture")?,
    }))
}

/// Notes what it says now.
pub(crate) async fn put(db: &mut SqliteConnection, room: &RoomId, info: &InfoRow) -> Result<(), VaultError> {
    sqlx::query(
        "INSERT INTO room_infos (room, version, id, name, description, picture) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT (room) DO UPDATE SET version = excluded.version, id = excluded.id, name = excluded.name,
             description = excluded.description, picture = excluded.picture",
    )
    .bind(room.as_bytes().as_slice())
    .bind(int(info.version))
    .bind(info.id.as_bytes().as_slice())
    .bind(&info.name)
    .bind(&info.description)
    .bind(&info.picture)
    .execute(db)
    .await?;
    Ok(())
}
