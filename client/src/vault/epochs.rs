//! Which epochs are over: a past epoch's secrets go when every relay of it has said that it sends nothing more of it.

use posthouse_spec::{Domain, Epoch, RoomId};
use sqlx::sqlite::SqliteConnection;

use super::columns::int;
use crate::error::VaultError;

/// Notes which relays will say that the epoch is over.
pub(crate) async fn expect(
    db: &mut SqliteConnection,
    room: &RoomId,
    epoch: Epoch,
    relays: &[Domain],
) -> Result<(), VaultError> {
    for relay in relays {
        sqlx::query("INSERT OR IGNORE INTO epoch_relays (room, epoch, relay) VALUES (?, ?, ?)")
            .bind(room.as_bytes().as_slice())
            .bind(int(epoch.0))
            .bind(relay.as_str())
            .execute(&mut *db)
            .await?;
    }
    Ok(())
}

/// Notes that a relay said so.
pub(crate) async fn ended(
    db: &mut SqliteConnection,
    room: &RoomId,
    epoch: Epoch,
    relay: &Domain,
) -> Result<(), VaultError> {
    sqlx::query("INSERT OR IGNORE INTO epoch_ends (room, epoch, relay) VALUES (?, ?, ?)")
        .bind(room.as_bytes().as_slice())
        .bind(int(epoch.0))
        .bind(relay.as_str())
        .execute(db)
        .await?;
    Ok(())
}

/// Whether every relay of the epoch has said so; then the notes about it go.
pub(crate) async fn take_if_over(
    db: &mut SqliteConnection,
    room: &RoomId,
    epoch: Epoch,
) -> Result<bool, VaultError> {
    let (expected, missing): (i64, i64) = sqlx::query_as(
        "SELECT count(*), count(*) - count(e.relay) FROM epoch_relays r
         LEFT JOIN epoch_ends e ON e.room = r.room AND e.epoch = r.epoch AND e.relay = r.relay
         WHERE r.room = ? AND r.epoch = ?",
    )
    .bind(room.as_bytes().as_slice())
    .bind(int(epoch.0))
    .fetch_one(&mut *db)
    .await?;
    let over = expected > 0 && missing == 0;
    if over {
        for sql in [
            "DELETE FROM epoch_relays WHERE room = ? AND epoch = ?",
            "DELETE FROM epoch_ends WHERE room = ? AND epoch = ?",
        ] {
            sqlx::query(sql).bind(room.as_bytes().as_slice()).bind(int(epoch.0)).execute(&mut *db).await?;
        }
    }
    Ok(over)
}
