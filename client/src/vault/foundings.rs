//! Direct rooms on their way, step by step, so that a crash between any two goes on where it stopped.

use posthouse_spec::account::{ClaimedKeyPackages, KeyClaim};
use posthouse_spec::cbor::Cbor as _;
use posthouse_spec::room::CommitUpload;
use posthouse_spec::{AccountId, CommitHash, Epoch, Millis, RoomId, Signed};
use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::columns::{cbor, id, int, number, optional_id, optional_number};
use crate::error::VaultError;

/// How far a founding has come.
pub(crate) struct Founding {
    /// With whom.
    pub(crate) peer: AccountId,
    /// The claim of their key packages, and when it was made: the same again gets the same answer.
    pub(crate) claim: Option<(Signed<KeyClaim>, Millis)>,
    /// The claimed key packages.
    pub(crate) packages: Option<ClaimedKeyPackages>,
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
    let claim = match optional_number(&row, "claimed")? {
        Some(at) => Some((cbor(&row, "claim")?, Millis(at))),
        None => None,
    };
    let packages = match row.try_get::<Option<&[u8]>, _>("packages")? {
        Some(_) => Some(cbor(&row, "packages")?),
        None => None,
    };
    let room = match optional_id(&row, "room", RoomId::from_slice)? {
        Some(room) => Some((room, row.try_get("group_info")?)),
        None => None,
    };
    Ok(Some(Founding {
        peer: *peer,
        claim,
        packages,
        room,
        founded: number(&row, "founded")? == 1,
        attempts: number(&row, "attempts")?,
    }))
}

/// Keeps the claim that will be sent.
pub(crate) async fn set_claim(
    db: &mut SqliteConnection,
    peer: &AccountId,
    claim: &Signed<KeyClaim>,
    now: Millis,
) -> Result<(), VaultError> {
    sqlx::query("UPDATE foundings SET claim = ?, claimed = ?, packages = NULL WHERE peer = ?")
        .bind(claim.to_cbor())
        .bind(int(now.0))
        .bind(peer.as_bytes().as_slice())
        .execute(db)
        .await?;
    Ok(())
}

/// Forgets a claim whose answer is of no use, so that the next attempt makes another.
pub(crate) async fn drop_claim(db: &mut SqliteConnection, peer: &AccountId) -> Result<(), VaultError> {
    sqlx::query("UPDATE foundings SET claim = NULL, claimed = NULL, packages = NULL WHERE peer = ?")
        .bind(peer.as_bytes().as_slice())
        .execute(db)
        .await?;
    Ok(())
}

/// Keeps the answer to the claim.
pub(crate) async fn set_packages(
    db: &mut SqliteConnection,
    peer: &AccountId,
    packages: &ClaimedKeyPackages,
) -> Result<(), VaultError> {
    sqlx::query("UPDATE foundings SET packages = ? WHERE peer = ?")
        .bind(packages.to_cbor())
        .bind(peer.as_bytes().as_slice())
        .execute(db)
        .await?;
    Ok(())
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
}

/// Keeps an own commit.
pub(crate) async fn put_commit(db: &mut SqliteConnection, commit: &PendingCommit) -> Result<(), VaultError> {
    sqlx::query("INSERT INTO commits (room, epoch, hash, upload) VALUES (?, ?, ?, ?)")
        .bind(commit.room.as_bytes().as_slice())
        .bind(int(commit.epoch.0))
        .bind(commit.hash.as_bytes().as_slice())
        .bind(commit.upload.to_cbor())
        .execute(db)
        .await?;
    Ok(())
}

/// The own commit that waits in a room.
pub(crate) async fn commit_of(
    db: &mut SqliteConnection,
    room: &RoomId,
) -> Result<Option<PendingCommit>, VaultError> {
    let row = sqlx::query("SELECT * FROM commits WHERE room = ?")
        .bind(room.as_bytes().as_slice())
        .fetch_optional(db)
        .await?;
    row.map(|row| read_commit(&row)).transpose()
}

/// The commits with which rooms are founded, by the account with whom.
pub(crate) async fn with_commit(
    db: &mut SqliteConnection,
) -> Result<Vec<(AccountId, PendingCommit)>, VaultError> {
    let rows = sqlx::query("SELECT f.peer AS peer, c.* FROM foundings f JOIN commits c ON c.room = f.room")
        .fetch_all(db)
        .await?;
    rows.iter().map(|row| Ok((id(row, "peer", AccountId::from_slice)?, read_commit(row)?))).collect()
}

fn read_commit(row: &SqliteRow) -> Result<PendingCommit, VaultError> {
    Ok(PendingCommit {
        room: id(row, "room", RoomId::from_slice)?,
        epoch: Epoch(number(row, "epoch")?),
        hash: id(row, "hash", CommitHash::from_slice)?,
        upload: cbor(row, "upload")?,
    })
}

/// The own commit was decided, or lost.
pub(crate) async fn remove_commit(db: &mut SqliteConnection, room: &RoomId) -> Result<(), VaultError> {
    sqlx::query("DELETE FROM commits WHERE room = ?").bind(room.as_bytes().as_slice()).execute(db).await?;
    Ok(())
}
