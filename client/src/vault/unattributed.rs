//! Opened messages whose sender's chain is not here yet, in the order in which they came.

use posthouse_spec::{AccountId, DeviceId, Domain, Epoch, Millis, RoomId};
use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::columns::{id, int, name, number};
use crate::error::VaultError;

/// A message that was opened.
#[derive(Debug, Clone)]
pub(crate) struct Unattributed {
    /// The room.
    pub(crate) room: RoomId,
    /// Who sent it, as the leaf says.
    pub(crate) account: AccountId,
    /// By which device.
    pub(crate) device: DeviceId,
    /// Its relay, as the leaf says.
    pub(crate) home: Domain,
    /// The epoch in which it was sealed.
    pub(crate) epoch: Epoch,
    /// When the relay took it.
    pub(crate) received: Millis,
    /// What was in the seal.
    pub(crate) content: Vec<u8>,
    /// The hash of the sealed body.
    pub(crate) body_hash: [u8; 32],
}

/// Keeps one.
pub(crate) async fn push(db: &mut SqliteConnection, message: &Unattributed) -> Result<(), VaultError> {
    sqlx::query(
        "INSERT OR IGNORE INTO unattributed (room, account, device, home, epoch, received, content, body_hash)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(message.room.as_bytes().as_slice())
    .bind(message.account.as_bytes().as_slice())
    .bind(message.device.as_bytes().as_slice())
    .bind(message.home.as_str())
    .bind(int(message.epoch.0))
    .bind(int(message.received.0))
    .bind(&message.content)
    .bind(message.body_hash.as_slice())
    .execute(db)
    .await?;
    Ok(())
}

/// How many wait in a room.
pub(crate) async fn count(db: &mut SqliteConnection, room: &RoomId) -> Result<u64, VaultError> {
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM unattributed WHERE room = ?")
        .bind(room.as_bytes().as_slice())
        .fetch_one(db)
        .await?;
    Ok(count.unsigned_abs())
}

/// Whether one with this sealed body waits.
pub(crate) async fn has(db: &mut SqliteConnection, body_hash: &[u8; 32]) -> Result<bool, VaultError> {
    Ok(sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM unattributed WHERE body_hash = ?)")
        .bind(body_hash.as_slice())
        .fetch_one(db)
        .await?)
}

/// Takes out all of an account.
pub(crate) async fn take(
    db: &mut SqliteConnection,
    account: &AccountId,
) -> Result<Vec<Unattributed>, VaultError> {
    let rows = sqlx::query("SELECT * FROM unattributed WHERE account = ? ORDER BY id")
        .bind(account.as_bytes().as_slice())
        .fetch_all(&mut *db)
        .await?;
    sqlx::query("DELETE FROM unattributed WHERE account = ?")
        .bind(account.as_bytes().as_slice())
        .execute(db)
        .await?;
    rows.iter().map(read).collect()
}

fn read(row: &SqliteRow) -> Result<Unattributed, VaultError> {
    Ok(Unattributed {
        room: id(row, "room", RoomId::from_slice)?,
        account: id(row, "account", AccountId::from_slice)?,
        device: id(row, "device", DeviceId::from_slice)?,
        home: name(row, "home")?,
        epoch: Epoch(number(row, "epoch")?),
        received: Millis(number(row, "received")?),
        content: row.try_get("content")?,
        body_hash: id(row, "body_hash", |bytes| bytes.try_into().ok())?,
    })
}
