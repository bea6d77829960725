//! Claims of key packages, each with its answer: the same claim sent again gets the same answer, so a crash between the
//! two costs nobody a key package.

use posthouse_spec::account::{ClaimedKeyPackages, KeyClaim};
use posthouse_spec::cbor::Cbor as _;
use posthouse_spec::{AccountId, Millis, RoomId, Signed};
use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;

use super::columns::{cbor, int, number};
use crate::error::VaultError;

/// A claim that was made.
pub(crate) struct Claimed {
    /// The claim.
    pub(crate) claim: Signed<KeyClaim>,
    /// When it was made.
    pub(crate) made: Millis,
    /// The answer.
    pub(crate) packages: Option<ClaimedKeyPackages>,
}

/// For which room a claim is; a direct room that is not made yet has no id.
fn key(room: Option<&RoomId>) -> &[u8] {
    room.map_or(&[], |room| room.as_bytes().as_slice())
}

/// The claim for a room and an account.
pub(crate) async fn find(
    db: &mut SqliteConnection,
    room: Option<&RoomId>,
    account: &AccountId,
) -> Result<Option<Claimed>, VaultError> {
    let row = sqlx::query("SELECT * FROM claims WHERE room = ? AND account = ?")
        .bind(key(room))
        .bind(account.as_bytes().as_slice())
        .fetch_optional(db)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let packages = match row.try_get::<Option<&[u8]>, _>("packages")? {
        Some(_) => Some(cbor(&row, "packages")?),
        None => None,
    };
    Ok(Some(Claimed { claim: cbor(&row, "claim")?, made: Millis(number(&row, "claimed")?), packages }))
}

/// Keeps the claim that will be sent.
pub(crate) async fn put(
    db: &mut SqliteConnection,
    room: Option<&RoomId>,
    account: &AccountId,
    claim: &Signed<KeyClaim>,
    now: Millis,
) -> Result<(), VaultError> {
    sqlx::query(
        "INSERT INTO claims (room, account, claim, claimed) VALUES (?, ?, ?, ?)
         ON CONFLICT (room, account) DO UPDATE SET claim = excluded.claim, claimed = excluded.claimed, packages = NULL",
    )
    .bind(key(room))
    .bind(account.as_bytes().as_slice())
    .bind(claim.to_cbor())
    .bind(int(now.0))
    .execute(db)
    .await?;
    Ok(())
}

/// Keeps the answer to the claim.
pub(crate) async fn set_packages(
    db: &mut SqliteConnection,
    room: Option<&RoomId>,
    account: &AccountId,
    packages: &ClaimedKeyPackages,
) -> Result<(), VaultError> {
    sqlx::query("UPDATE claims SET packages = ? WHERE room = ? AND account = ?")
        .bind(packages.to_cbor())
        .bind(key(room))
        .bind(account.as_bytes().as_slice())
        .execute(db)
        .await?;
    Ok(())
}

/// The answer was used, or is of no use: the next attempt makes another claim.
pub(crate) async fn remove(
    db: &mut SqliteConnection,
    room: Option<&RoomId>,
    account: &AccountId,
) -> Result<(), VaultError> {
    sqlx::query("DELETE FROM claims WHERE room = ? AND account = ?")
        .bind(key(room))
        .bind(account.as_bytes().as_slice())
        .execute(db)
        .await?;
    Ok(())
}
