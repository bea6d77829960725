//! Members who said that they leave, until a commit lets them go.

use posthouse_spec::cbor::Cbor as _;
use posthouse_spec::room::LeaveClaim;
use posthouse_spec::{AccountId, Millis, RoomId, Signed};
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::columns::{cbor, id, int, number};
use crate::error::VaultError;

/// Somebody's signed word that they leave.
pub(crate) struct Leaving {
    /// Who.
    pub(crate) account: AccountId,
    /// Their word.
    pub(crate) claim: Signed<LeaveClaim>,
    /// When this device makes the commit.
    pub(crate) due: Millis,
}

fn read(row: &SqliteRow) -> Result<Leaving, VaultError> {
    Ok(Leaving {
        account: id(row, "account", AccountId::from_slice)?,
        claim: cbor(row, "claim")?,
        due: Millis(number(row, "due")?),
    })
}

/// Keeps somebody's word; a later one takes the place of an earlier one.
pub(crate) async fn put(
    db: &mut SqliteConnection,
    room: &RoomId,
    leaving: &Leaving,
) -> Result<(), VaultError> {
    sqlx::query(
        "INSERT INTO leavings (room, account, claim, due) VALUES (?, ?, ?, ?)
         ON CONFLICT (room, account) DO UPDATE SET claim = excluded.claim",
    )
    .bind(room.as_bytes().as_slice())
    .bind(leaving.account.as_bytes().as_slice())
    .bind(leaving.claim.to_cbor())
    .bind(int(leaving.due.0))
    .execute(db)
    .await?;
    Ok(())
}

/// Everybody who wants to leave a room.
pub(crate) async fn of_room(db: &mut SqliteConnection, room: &RoomId) -> Result<Vec<Leaving>, VaultError> {
    let rows = sqlx::query("SELECT * FROM leavings WHERE room = ? ORDER BY account")
        .bind(room.as_bytes().as_slice())
        .fetch_all(db)
        .await?;
    rows.iter().map(read).collect()
}

/// Another attempt is not made before this time.
pub(crate) async fn put_off(db: &mut SqliteConnection, room: &RoomId, due: Millis) -> Result<(), VaultError> {
    sqlx::query("UPDATE leavings SET due = max(due, ?) WHERE room = ?")
        .bind(int(due.0))
        .bind(room.as_bytes().as_slice())
        .execute(db)
        .await?;
    Ok(())
}

/// They are gone, or their word does not hold.
pub(crate) async fn remove(
    db: &mut SqliteConnection,
    room: &RoomId,
    account: &AccountId,
) -> Result<(), VaultError> {
    sqlx::query("DELETE FROM leavings WHERE room = ? AND account = ?")
        .bind(room.as_bytes().as_slice())
        .bind(account.as_bytes().as_slice())
        .execute(db)
        .await?;
    Ok(())
}

/// Nobody is let go by this device any more.
pub(crate) async fn clear(db: &mut SqliteConnection, room: &RoomId) -> Result<(), VaultError> {
    sqlx::query("DELETE FROM leavings WHERE room = ?").bind(room.as_bytes().as_slice()).execute(db).await?;
    Ok(())
}
