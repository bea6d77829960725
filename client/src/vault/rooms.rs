//! Rooms that this device is in.

use posthouse_spec::room::{RoomKind, Suite};
use posthouse_spec::{AccountId, Alias, Domain, Epoch, ManifestSeq, Millis, RoomId};
use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::columns::{code, id, int, name, number, optional_id, optional_name, word};
use crate::error::VaultError;
use crate::model::RoomState;

/// A room as the tables know it.
#[derive(Debug, Clone)]
pub(crate) struct RoomRow {
    /// The room.
    pub(crate) room: RoomId,
    /// What it is for.
    pub(crate) kind: RoomKind,
    /// Its ciphersuite.
    pub(crate) suite: Suite,
    /// Whether it can be used.
    pub(crate) state: RoomState,
    /// The other one of a direct room.
    pub(crate) peer: Option<AccountId>,
    /// The relay that orders its changes.
    pub(crate) hub: Domain,
    /// Its epoch.
    pub(crate) epoch: Epoch,
    /// The epoch in which this device joined.
    pub(crate) first_epoch: Epoch,
    /// The manifest that the decision named which led to the epoch; 0 where there was none yet.
    pub(crate) manifest: ManifestSeq,
    /// Why it cannot go on.
    pub(crate) reason: Option<String>,
}

impl RoomRow {
    /// Whether this device is not in the room any more.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.state, RoomState::Left | RoomState::Removed)
    }
}

/// A room in the list, with what the list shows of it.
pub(crate) struct Listed {
    /// The room.
    pub(crate) row: RoomRow,
    /// The alias of the other one.
    pub(crate) alias: Option<Alias>,
    /// Its name.
    pub(crate) name: Option<String>,
    /// How many people are in it.
    pub(crate) members: u64,
    /// Messages that nobody has read.
    pub(crate) unread: u64,
    /// The last message.
    pub(crate) last: Option<u64>,
}

fn read(row: &SqliteRow) -> Result<RoomRow, VaultError> {
    Ok(RoomRow {
        room: id(row, "room", RoomId::from_slice)?,
        kind: code(row, "kind", RoomKind::from_code)?,
        suite: code(row, "suite", Suite::from_code)?,
        state: word(row, "state", RoomState::from_name)?,
        peer: optional_id(row, "peer", AccountId::from_slice)?,
        hub: name(row, "hub")?,
        epoch: Epoch(number(row, "epoch")?),
        first_epoch: Epoch(number(row, "first_epoch")?),
        manifest: ManifestSeq(number(row, "manifest")?),
        reason: row.try_get("reason")?,
    })
}

/// Stores a room that was founded or joined; one that this device was in before is joined anew.
pub(crate) async fn insert(db: &mut SqliteConnection, room: &RoomRow, now: Millis) -> Result<(), VaultError> {
    sqlx::query(
        "INSERT INTO rooms (room, kind, suite, state, peer, hub, epoch, first_epoch, manifest, created)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (room) DO UPDATE SET state = excluded.state, hub = excluded.hub, epoch = excluded.epoch,
             first_epoch = excluded.first_epoch, manifest = excluded.manifest, stale = NULL, reason = NULL",
    )
    .bind(room.room.as_bytes().as_slice())
    .bind(int(room.kind.code()))
    .bind(int(room.suite.code()))
    .bind(room.state.name())
    .bind(room.peer.as_ref().map(|peer| peer.as_bytes().as_slice()))
    .bind(room.hub.as_str())
    .bind(int(room.epoch.0))
    .bind(int(room.first_epoch.0))
    .bind(int(room.manifest.0))
    .bind(int(now.0))
    .execute(db)
    .await?;
    Ok(())
}

/// A room.
pub(crate) async fn by_id(db: &mut SqliteConnection, room: &RoomId) -> Result<Option<RoomRow>, VaultError> {
    sqlx::query("SELECT * FROM rooms WHERE room = ?")
        .bind(room.as_bytes().as_slice())
        .fetch_optional(db)
        .await?
        .map(|row| read(&row))
        .transpose()
}

/// The direct room in which one writes to somebody: of several the one with the lowest id, so that both choose the same.
pub(crate) async fn direct(
    db: &mut SqliteConnection,
    peer: &AccountId,
) -> Result<Option<RoomRow>, VaultError> {
    sqlx::query("SELECT * FROM rooms WHERE peer = ? AND state = 'active' ORDER BY room LIMIT 1")
        .bind(peer.as_bytes().as_slice())
        .fetch_optional(db)
        .await?
        .map(|row| read(&row))
        .transpose()
}

/// All rooms with somebody that can go on.
pub(crate) async fn with_peer(
    db: &mut SqliteConnection,
    peer: &AccountId,
) -> Result<Vec<RoomRow>, VaultError> {
    let rows =
        sqlx::query("SELECT * FROM rooms WHERE peer = ? AND state IN ('founding', 'active') ORDER BY room")
            .bind(peer.as_bytes().as_slice())
            .fetch_all(db)
            .await?;
    rows.iter().map(read).collect()
}

/// Notes the epoch that the room is in now, and the manifest that the decision named which led there.
pub(crate) async fn set_epoch(
    db: &mut SqliteConnection,
    room: &RoomId,
    epoch: Epoch,
    manifest: ManifestSeq,
) -> Result<(), VaultError> {
    sqlx::query("UPDATE rooms SET epoch = ?, manifest = ? WHERE room = ?")
        .bind(int(epoch.0))
        .bind(int(manifest.0))
        .bind(room.as_bytes().as_slice())
        .execute(db)
        .await?;
    Ok(())
}

/// The relay refused a message of this epoch: nothing more is sealed before the room has left it.
pub(crate) async fn set_stale(
    db: &mut SqliteConnection,
    room: &RoomId,
    epoch: Epoch,
) -> Result<(), VaultError> {
    sqlx::query("UPDATE rooms SET stale = max(coalesce(stale, 0), ?) WHERE room = ?")
        .bind(int(epoch.0))
        .bind(room.as_bytes().as_slice())
        .execute(db)
        .await?;
    Ok(())
}

/// Changes whether the room can be used.
pub(crate) async fn set_state(
    db: &mut SqliteConnection,
    room: &RoomId,
    state: RoomState,
    reason: Option<&str>,
) -> Result<(), VaultError> {
    sqlx::query("UPDATE rooms SET state = ?, reason = ? WHERE room = ?")
        .bind(state.name())
        .bind(reason)
        .bind(room.as_bytes().as_slice())
        .execute(db)
        .await?;
    Ok(())
}

/// A room that nobody else has heard of goes.
pub(crate) async fn remove(db: &mut SqliteConnection, room: &RoomId) -> Result<(), VaultError> {
    sqlx::query("DELETE FROM rooms WHERE room = ?").bind(room.as_bytes().as_slice()).execute(db).await?;
    Ok(())
}

/// All rooms, the latest used first.
pub(crate) async fn list(db: &mut SqliteConnection) -> Result<Vec<Listed>, VaultError> {
    let rows = sqlx::query(
        "SELECT rooms.*, contacts.alias AS alias,
             (SELECT name FROM room_infos i WHERE i.room = rooms.room) AS name,
             (SELECT count(*) FROM members n WHERE n.room = rooms.room) AS members,
             (SELECT count(*) FROM messages m WHERE m.room = rooms.room AND m.unread = 1) AS unread,
             (SELECT coalesce(max(local), 0) FROM messages m WHERE m.room = rooms.room AND m.kind <> 'control') AS last
         FROM rooms LEFT JOIN contacts ON contacts.account = rooms.peer
         ORDER BY last DESC, rooms.created DESC",
    )
    .fetch_all(db)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Listed {
                row: read(row)?,
                alias: optional_name(row, "alias")?,
                name: row.try_get("name")?,
                members: number(row, "members")?,
                unread: number(row, "unread")?,
                last: Some(number(row, "last")?).filter(|last| *last > 0),
            })
        })
        .collect()
}
