//! What rooms agreed on, by epoch: a message is judged by the rules under which it was sealed.

use posthouse_spec::cbor::Cbor as _;
use posthouse_spec::room::RoomContext;
use posthouse_spec::{Epoch, RoomId};
use sqlx::sqlite::SqliteConnection;

use super::columns::{cbor, int};
use crate::error::VaultError;

/// Contexts of one room that are kept: the newest ones. No message of an earlier epoch can be opened.
const MAX_KEPT: u64 = 64;

/// Notes what a room agrees on from an epoch on.
pub(crate) async fn put(
    db: &mut SqliteConnection,
    room: &RoomId,
    epoch: Epoch,
    context: &RoomContext,
) -> Result<(), VaultError> {
    if at(&mut *db, room, epoch).await?.as_ref() == Some(context) {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO contexts (room, epoch, context) VALUES (?, ?, ?)
         ON CONFLICT (room, epoch) DO UPDATE SET context = excluded.context",
    )
    .bind(room.as_bytes().as_slice())
    .bind(int(epoch.0))
    .bind(context.to_cbor())
    .execute(&mut *db)
    .await?;
    sqlx::query(
        "DELETE FROM contexts WHERE room = ?1 AND epoch <=
         (SELECT epoch FROM contexts WHERE room = ?1 ORDER BY epoch DESC LIMIT 1 OFFSET ?2)",
    )
    .bind(room.as_bytes().as_slice())
    .bind(int(MAX_KEPT))
    .execute(db)
    .await?;
    Ok(())
}

/// What a room agreed on in an epoch; `None` where nothing is noted.
pub(crate) async fn at(
    db: &mut SqliteConnection,
    room: &RoomId,
    epoch: Epoch,
) -> Result<Option<RoomContext>, VaultError> {
    sqlx::query("SELECT context FROM contexts WHERE room = ? AND epoch <= ? ORDER BY epoch DESC LIMIT 1")
        .bind(room.as_bytes().as_slice())
        .bind(int(epoch.0))
        .fetch_optional(db)
        .await?
        .map(|row| cbor(&row, "context"))
        .transpose()
}
