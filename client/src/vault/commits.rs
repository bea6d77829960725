//! Own commits that wait for their decision: these bytes are sent again until there is one.

use posthouse_spec::cbor::Cbor as _;
use posthouse_spec::room::CommitUpload;
use posthouse_spec::{AccountId, CommitHash, Epoch, Millis, RoomId};
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::columns::{cbor, id, int, number};
use crate::error::VaultError;

/// An own commit that waits for its decision.
pub(crate) struct PendingCommit {
    /// The room.
    pub(crate) room: RoomId,
    /// The epoch that it would end.
    pub(crate) epoch: Epoch,
    /// Its name.
    pub(crate) hash: CommitHash,
    /// What is uploaded.
    pub(crate) upload: CommitUpload,
    /// Not before this time.
    pub(crate) again: Millis,
}

/// Keeps an own commit.
pub(crate) async fn put(db: &mut SqliteConnection, commit: &PendingCommit) -> Result<(), VaultError> {
    sqlx::query("INSERT INTO commits (room, epoch, hash, upload, again) VALUES (?, ?, ?, ?, ?)")
        .bind(commit.room.as_bytes().as_slice())
        .bind(int(commit.epoch.0))
        .bind(commit.hash.as_bytes().as_slice())
        .bind(commit.upload.to_cbor())
        .bind(int(commit.again.0))
        .execute(db)
        .await?;
    Ok(())
}

/// The own commit that waits in a room.
pub(crate) async fn of_room(
    db: &mut SqliteConnection,
    room: &RoomId,
) -> Result<Option<PendingCommit>, VaultError> {
    let row = sqlx::query("SELECT * FROM commits WHERE room = ?")
        .bind(room.as_bytes().as_slice())
        .fetch_optional(db)
        .await?;
    row.map(|row| read(&row)).transpose()
}

/// The commits with which direct rooms are founded, by the account with whom.
pub(crate) async fn of_foundings(
    db: &mut SqliteConnection,
) -> Result<Vec<(AccountId, PendingCommit)>, VaultError> {
    let rows = sqlx::query("SELECT f.peer AS peer, c.* FROM foundings f JOIN commits c ON c.room = f.room")
        .fetch_all(db)
        .await?;
    rows.iter().map(|row| Ok((id(row, "peer", AccountId::from_slice)?, read(row)?))).collect()
}

/// It is not sent again before this time.
pub(crate) async fn put_off(
    db: &mut SqliteConnection,
    room: &RoomId,
    again: Millis,
) -> Result<(), VaultError> {
    sqlx::query("UPDATE commits SET again = ? WHERE room = ?")
        .bind(int(again.0))
        .bind(room.as_bytes().as_slice())
        .execute(db)
        .await?;
    Ok(())
}

/// The own commit was decided, or lost.
pub(crate) async fn remove(db: &mut SqliteConnection, room: &RoomId) -> Result<(), VaultError> {
    sqlx::query("DELETE FROM commits WHERE room = ?").bind(room.as_bytes().as_slice()).execute(db).await?;
    Ok(())
}

fn read(row: &SqliteRow) -> Result<PendingCommit, VaultError> {
    Ok(PendingCommit {
        room: id(row, "room", RoomId::from_slice)?,
        epoch: Epoch(number(row, "epoch")?),
        hash: id(row, "hash", CommitHash::from_slice)?,
        upload: cbor(row, "upload")?,
        again: Millis(number(row, "again")?),
    })
}
