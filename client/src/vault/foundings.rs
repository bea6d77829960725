//! Direct rooms on their way, step by step, so that a crash between any two goes on where it stopped.

use posthouse_spec::{AccountId, RoomId};
use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;

use super::columns::{number, optional_id};
use crate::error::VaultError;

/// How far a founding has come.
pub(crate) struct Founding {
    /// With whom.
    pub(crate) peer: AccountId,
    /// The room, with the group info for its hub.
    pub(crate) room: Option<(RoomId, Vec<u8>)>,
    /// Whether the hub has taken the room.
    pub(crate) founded: bool,
    /// How often the invitation was refused.
    pub(crate) attempts: u64,
}

/// Begins to found a room with somebody, unless that has begun.
pub(crate) async fn begin(db: &mut SqliteConnection, peer: &AccountId) -> Result<(), VaultError> {
    sqlx::query("INSERT OR IGNORE INTO foundings (peer) VALUES (?)")
        .bind(peer.as_bytes().as_slice())
        .execute(db)
        .await?;
    Ok(())
}

/// The founding with somebody.
pub(crate) async fn find(
    db: &mut SqliteConnection,
    peer: &AccountId,
) -> Result<Option<Founding>, VaultError> {
    let row = sqlx::query("SELECT * FROM foundings WHERE peer = ?")
        .bind(peer.as_bytes().as_slice())
        .fetch_optional(db)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let room = match optional_id(&row, "room", RoomId::from_slice)? {
        Some(room) => Some((room, row.try_get("group_info")?)),
        None => None,
    };
    Ok(Some(Founding {
        peer: *peer,
        room,
        founded: number(&row, "founded")? == 1,
        attempts: number(&row, "attempts")?,
    }))
}

/// Keeps the room that was made.
pub(crate) async fn set_room(
    db: &mut SqliteConnection,
    peer: &AccountId,
    room: &RoomId,
    group_info: &[u8],
) -> Result<(), VaultError> {
    sqlx::query("UPDATE foundings SET room = ?, group_info = ?, founded = 0 WHERE peer = ?")
        .bind(room.as_bytes().as_slice())
        .bind(group_info)
        .bind(peer.as_bytes().as_slice())
        .execute(db)
        .await?;
    Ok(())
}

/// The hub has taken the room.
pub(crate) async fn set_founded(db: &mut SqliteConnection, peer: &AccountId) -> Result<(), VaultError> {
    sqlx::query("UPDATE foundings SET founded = 1 WHERE peer = ?")
        .bind(peer.as_bytes().as_slice())
        .execute(db)
        .await?;
    Ok(())
}

/// The invitation was refused.
pub(crate) async fn count_attempt(db: &mut SqliteConnection, peer: &AccountId) -> Result<(), VaultError> {
    sqlx::query("UPDATE foundings SET attempts = attempts + 1 WHERE peer = ?")
        .bind(peer.as_bytes().as_slice())
        .execute(db)
        .await?;
    Ok(())
}

/// The room stands, or is given up.
pub(crate) async fn remove(db: &mut SqliteConnection, peer: &AccountId) -> Result<(), VaultError> {
    sqlx::query("DELETE FROM foundings WHERE peer = ?").bind(peer.as_bytes().as_slice()).execute(db).await?;
    Ok(())
}
