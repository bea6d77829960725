//! Items that wait for consent, for a later epoch, or for a hub's manifest; by room, in the order in which they came.

use posthouse_spec::RoomId;
use posthouse_spec::cbor::Cbor as _;
use posthouse_spec::client::Delivery;
use sqlx::sqlite::SqliteConnection;

use super::columns::{cbor, id, int, number};
use crate::error::VaultError;

/// An item that waits.
pub(crate) struct Held {
    /// Its place in the queue.
    pub(crate) id: u64,
    /// The item.
    pub(crate) item: Delivery,
}

/// How much waits in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Load {
    /// Items.
    pub(crate) items: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
}

/// Keeps an item.
pub(crate) async fn push(
    db: &mut SqliteConnection,
    room: &RoomId,
    item: &Delivery,
) -> Result<(), VaultError> {
    sqlx::query("INSERT INTO held (room, item) VALUES (?, ?)")
        .bind(room.as_bytes().as_slice())
        .bind(item.to_cbor())
        .execute(db)
        .await?;
    Ok(())
}

/// How much waits in the room.
pub(crate) async fn load(db: &mut SqliteConnection, room: &RoomId) -> Result<Load, VaultError> {
    let (items, bytes): (i64, i64) =
        sqlx::query_as("SELECT count(*), coalesce(sum(length(item)), 0) FROM held WHERE room = ?")
            .bind(room.as_bytes().as_slice())
            .fetch_one(db)
            .await?;
    Ok(Load { items: items.unsigned_abs(), bytes: bytes.unsigned_abs() })
}

/// The first items of a room behind a place.
pub(crate) async fn next(
    db: &mut SqliteConnection,
    room: &RoomId,
    after: u64,
    limit: u32,
) -> Result<Vec<Held>, VaultError> {
    let rows = sqlx::query("SELECT id, item FROM held WHERE room = ? AND id > ? ORDER BY id LIMIT ?")
        .bind(room.as_bytes().as_slice())
        .bind(int(after))
        .bind(limit)
        .fetch_all(db)
        .await?;
    rows.iter().map(|row| Ok(Held { id: number(row, "id")?, item: cbor(row, "item")? })).collect()
}

/// An item was dealt with.
pub(crate) async fn remove(db: &mut SqliteConnection, id: u64) -> Result<(), VaultError> {
    sqlx::query("DELETE FROM held WHERE id = ?").bind(int(id)).execute(db).await?;
    Ok(())
}

/// Nothing of the room is wanted.
pub(crate) async fn clear(db: &mut SqliteConnection, room: &RoomId) -> Result<(), VaultError> {
    sqlx::query("DELETE FROM held WHERE room = ?").bind(room.as_bytes().as_slice()).execute(db).await?;
    Ok(())
}

/// Rooms of this device in which something waits.
pub(crate) async fn waiting_rooms(db: &mut SqliteConnection) -> Result<Vec<RoomId>, VaultError> {
    let rows = sqlx::query(
        "SELECT DISTINCT held.room AS room FROM held JOIN rooms ON rooms.room = held.room WHERE rooms.state IN ('founding', 'active', 'left')",
    )
    .fetch_all(db)
    .await?;
    rows.iter().map(|row| id(row, "room", RoomId::from_slice)).collect()
}

/// How much waits in rooms of which nothing is known.
pub(crate) async fn strays(db: &mut SqliteConnection) -> Result<u64, VaultError> {
    let count: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM held WHERE room NOT IN (SELECT room FROM rooms)
         AND room NOT IN (SELECT room FROM requests)",
    )
    .fetch_one(db)
    .await?;
    Ok(count.unsigned_abs())
}
