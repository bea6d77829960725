//! What a person wants changed in a room, in order, until it is done or refused.

use posthouse_spec::{AccountId, Millis, RoomId};
use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::columns::{id, int, number, optional_id, word};
use crate::change::{ChangeState, ChangeStatus, RoomChange};
use crate::error::VaultError;

/// Changes of one room that are over and still listed: the newest ones.
const MAX_KEPT: u64 = 100;

/// A wanted change.
#[derive(Debug, Clone)]
pub(crate) struct ChangeRow {
    /// Its place.
    pub(crate) id: u64,
    /// The room.
    pub(crate) room: RoomId,
    /// What is wanted.
    pub(crate) change: RoomChange,
    /// Whom it is about, once that is known.
    pub(crate) account: Option<AccountId>,
    /// What became of it.
    pub(crate) state: ChangeState,
    /// Why it waits or was refused.
    pub(crate) reason: Option<String>,
    /// Whether it goes into a commit of its own.
    pub(crate) alone: bool,
    /// How often it was tried in vain.
    pub(crate) attempts: u64,
    /// Not before this time.
    pub(crate) due: Millis,
}

impl ChangeRow {
    /// The change as it is shown.
    pub(crate) fn shown(&self) -> ChangeStatus {
        ChangeStatus {
            id: self.id,
            room: self.room,
            change: self.change.clone(),
            state: self.state,
            reason: self.reason.clone(),
        }
    }
}

fn read(row: &SqliteRow) -> Result<ChangeRow, VaultError> {
    let change = serde_json::from_str(row.try_get("change")?)
        .map_err(|error| VaultError::Content(format!("a change of a room: {error}")))?;
    Ok(ChangeRow {
        id: number(row, "id")?,
        room: id(row, "room", RoomId::from_slice)?,
        change,
        account: optional_id(row, "account", AccountId::from_slice)?,
        state: word(row, "state", ChangeState::from_name)?,
        reason: row.try_get("reason")?,
        alone: number(row, "alone")? == 1,
        attempts: number(row, "attempts")?,
        due: Millis(number(row, "due")?),
    })
}

/// Stores a change; returns its place.
pub(crate) async fn insert(
    db: &mut SqliteConnection,
    room: &RoomId,
    change: &RoomChange,
    account: Option<&AccountId>,
    now: Millis,
) -> Result<u64, VaultError> {
    let json = serde_json::to_string(change)
        .map_err(|error| VaultError::Content(format!("a change of a room: {error}")))?;
    let row = sqlx::query(
        "INSERT INTO changes (room, change, account, state, created) VALUES (?, ?, ?, 'waiting', ?) RETURNING id",
    )
    .bind(room.as_bytes().as_slice())
    .bind(json)
    .bind(account.map(|account| account.as_bytes().as_slice()))
    .bind(int(now.0))
    .fetch_one(db)
    .await?;
    number(&row, "id")
}

/// One change.
pub(crate) async fn by_id(db: &mut SqliteConnection, change: u64) -> Result<Option<ChangeRow>, VaultError> {
    sqlx::query("SELECT * FROM changes WHERE id = ?")
        .bind(int(change))
        .fetch_optional(db)
        .await?
        .map(|row| read(&row))
        .transpose()
}

/// All changes of a room that are listed, oldest first.
pub(crate) async fn of_room(db: &mut SqliteConnection, room: &RoomId) -> Result<Vec<ChangeRow>, VaultError> {
    let rows = sqlx::query("SELECT * FROM changes WHERE room = ? ORDER BY id")
        .bind(room.as_bytes().as_slice())
        .fetch_all(db)
        .await?;
    rows.iter().map(read).collect()
}

/// The changes of a room that are in this state, oldest first.
pub(crate) async fn in_state(
    db: &mut SqliteConnection,
    room: &RoomId,
    state: ChangeState,
) -> Result<Vec<ChangeRow>, VaultError> {
    let rows = sqlx::query("SELECT * FROM changes WHERE room = ? AND state = ? ORDER BY id")
        .bind(room.as_bytes().as_slice())
        .bind(state.name())
        .fetch_all(db)
        .await?;
    rows.iter().map(read).collect()
}

/// It is known whom the change is about.
pub(crate) async fn set_account(
    db: &mut SqliteConnection,
    change: u64,
    account: &AccountId,
) -> Result<(), VaultError> {
    sqlx::query("UPDATE changes SET account = ? WHERE id = ?")
        .bind(account.as_bytes().as_slice())
        .bind(int(change))
        .execute(db)
        .await?;
    Ok(())
}

/// What became of a change.
pub(crate) async fn set_state(
    db: &mut SqliteConnection,
    change: u64,
    state: ChangeState,
    reason: Option<&str>,
) -> Result<(), VaultError> {
    sqlx::query("UPDATE changes SET state = ?, reason = ? WHERE id = ?")
        .bind(state.name())
        .bind(reason)
        .bind(int(change))
        .execute(db)
        .await?;
    Ok(())
}

/// The commit that held these was not decided: they wait for another one, and not before `due`.
pub(crate) async fn back_to_waiting(
    db: &mut SqliteConnection,
    room: &RoomId,
    due: Millis,
    alone: bool,
) -> Result<(), VaultError> {
    sqlx::query(
        "UPDATE changes SET state = 'waiting', reason = NULL, attempts = attempts + 1, due = ?, alone = max(alone, ?)
         WHERE room = ? AND state = 'deciding'",
    )
    .bind(int(due.0))
    .bind(alone)
    .bind(room.as_bytes().as_slice())
    .execute(db)
    .await?;
    Ok(())
}

/// Each of these goes into a commit of its own.
pub(crate) async fn separate(db: &mut SqliteConnection, changes: &[u64]) -> Result<(), VaultError> {
    for change in changes {
        sqlx::query("UPDATE changes SET alone = 1 WHERE id = ?").bind(int(*change)).execute(&mut *db).await?;
    }
    Ok(())
}

/// Forgets the oldest of those that are over.
pub(crate) async fn prune(db: &mut SqliteConnection, room: &RoomId) -> Result<(), VaultError> {
    sqlx::query(
        "DELETE FROM changes WHERE room = ?1 AND state IN ('done', 'refused') AND id <=
         (SELECT id FROM changes WHERE room = ?1 AND state IN ('done', 'refused') ORDER BY id DESC LIMIT 1 OFFSET ?2)",
    )
    .bind(room.as_bytes().as_slice())
    .bind(int(MAX_KEPT))
    .execute(db)
    .await?;
    Ok(())
}

/// Rooms that want work: a change, a commit without its decision, somebody who leaves, or a hub that does not have the room.
/// Direct rooms that are being founded have a way of their own.
pub(crate) async fn rooms(db: &mut SqliteConnection) -> Result<Vec<RoomId>, VaultError> {
    let rows = sqlx::query(
        "SELECT room FROM (
             SELECT room FROM changes WHERE state IN ('waiting', 'deciding')
             UNION SELECT room FROM commits UNION SELECT room FROM publications UNION SELECT room FROM leavings)
         WHERE room NOT IN (SELECT room FROM foundings WHERE room IS NOT NULL)
             AND room IN (SELECT room FROM rooms WHERE state IN ('founding', 'active'))",
    )
    .fetch_all(db)
    .await?;
    rows.iter().map(|row| id(row, "room", RoomId::from_slice)).collect()
}

/// When the next thing behind a time is due that waits for nothing but that.
pub(crate) async fn next_due(
    db: &mut SqliteConnection,
    behind: Millis,
) -> Result<Option<Millis>, VaultError> {
    let row = sqlx::query(
        "SELECT min(due) AS due FROM (
             SELECT due, room FROM changes WHERE state = 'waiting' AND reason IS NULL
             UNION ALL SELECT due, room FROM leavings
             UNION ALL SELECT again AS due, room FROM commits)
         WHERE due > ? AND room IN (SELECT room FROM rooms WHERE state IN ('founding', 'active'))",
    )
    .bind(int(behind.0))
    .fetch_one(db)
    .await?;
    Ok(super::columns::optional_number(&row, "due")?.map(Millis))
}

/// Whether a change goes on by itself: it waits for nothing that is out of reach.
pub(crate) async fn is_moving(db: &mut SqliteConnection) -> Result<bool, VaultError> {
    Ok(sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM changes WHERE state IN ('waiting', 'deciding') AND reason IS NULL
             AND room IN (SELECT room FROM rooms WHERE state IN ('founding', 'active')))",
    )
    .fetch_one(db)
    .await?)
}
