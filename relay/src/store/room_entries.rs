//! Rooms as the writer sees them: where each stands, and who is on its rosters.

use std::collections::HashSet;
use std::sync::Arc;

use posthouse_spec::room::{RoomContext, RoomKind, Suite};
use posthouse_spec::{AccountId, Cbor, DeviceId, Domain, Epoch, RoomId};
use sqlx::sqlite::SqliteRow;
use sqlx::{SqliteConnection, SqlitePool};

use super::cache::RoomEntry;
use super::columns::{Columns, sql};
use super::error::StoreError;
use super::handle::Store;
use super::tx::Tx;
use crate::rooms::{Roster, RosterEntry};

/// A room as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomRow {
    /// Its hub.
    pub hub: Domain,
    /// Its epoch.
    pub epoch: Epoch,
    /// Its suite.
    pub suite: Suite,
    /// What its members agree on.
    pub context: RoomContext,
    /// The hash of the group info that founded it, where this relay was asked to found it.
    pub founded: Option<[u8; 32]>,
    /// Whether anybody of this relay is in the room, or this relay is its hub.
    pub active: bool,
}

const FIND_ROOM: &str = "SELECT hub, epoch, suite, context, founded, active FROM rooms WHERE room = ?";
const FIND_ROSTER: &str = "SELECT account, device, home FROM members \
     WHERE room = ?1 AND from_epoch <= ?2 AND (to_epoch IS NULL OR to_epoch > ?2)";

fn room_row(row: &SqliteRow) -> Result<RoomRow, StoreError> {
    let suite = row.number(2)?;
    let founded = match row.blob_or_null(4)? {
        Some(hash) => Some(hash.try_into().map_err(|_| StoreError::damaged("a hash's length"))?),
        None => None,
    };
    Ok(RoomRow {
        hub: row.domain(0)?,
        epoch: Epoch(row.number(1)?),
        suite: Suite::from_code(suite)
            .ok_or_else(|| StoreError::damaged(format!("a room of suite {suite}")))?,
        context: RoomContext::from_cbor(&row.blob(3)?).map_err(|e| StoreError::damaged(e.to_string()))?,
        founded,
        active: row.row_id(5)? != 0,
    })
}

fn roster_entry(row: &SqliteRow) -> Result<RosterEntry, StoreError> {
    Ok(RosterEntry {
        account: row.fixed(0, AccountId::from_slice)?,
        device: row.fixed(1, DeviceId::from_slice)?,
        home: row.domain(2)?,
    })
}

fn roster_query(room: RoomId, epoch: Epoch) -> super::rows::Bound<'static> {
    sqlx::query(FIND_ROSTER).bind(room.as_bytes().to_vec()).bind(sql(epoch.0))
}

impl Store {
    /// A room as it is stored.
    ///
    /// # Errors
    /// The store failed.
    pub async fn room(&self, room: RoomId) -> Result<Option<RoomRow>, StoreError> {
        let row = sqlx::query(FIND_ROOM)
            .bind(room.as_bytes().as_slice())
            .fetch_optional(self.readers())
            .await
            .map_err(StoreError::sql("find a room"))?;
        row.as_ref().map(room_row).transpose()
    }

    /// Who was on a room's roster in an epoch.
    ///
    /// # Errors
    /// The store failed.
    pub async fn roster(&self, room: RoomId, epoch: Epoch) -> Result<Roster, StoreError> {
        let readers: &SqlitePool = self.readers();
        let rows =
            roster_query(room, epoch).fetch_all(readers).await.map_err(StoreError::sql("read a roster"))?;
        rows.iter().map(roster_entry).collect()
    }
}

async fn load_roster(conn: &mut SqliteConnection, room: RoomId, epoch: Epoch) -> Result<Roster, StoreError> {
    let rows = roster_query(room, epoch).fetch_all(conn).await.map_err(StoreError::sql("read a roster"))?;
    rows.iter().map(roster_entry).collect()
}

impl Tx {
    /// A room, if this relay knows it.
    pub(crate) async fn room(&mut self, room: RoomId) -> Result<Option<&mut RoomEntry>, StoreError> {
        if !self.caches.rooms.contains_key(&room) {
            let Some(entry) = self.load_room(room).await? else { return Ok(None) };
            self.caches.rooms.insert(room, entry);
        }
        Ok(self.caches.rooms.get_mut(&room))
    }

    /// A room as it is stored.
    pub(crate) async fn room_row(&mut self, room: RoomId) -> Result<Option<RoomRow>, StoreError> {
        let row = sqlx::query(FIND_ROOM)
            .bind(room.as_bytes().as_slice())
            .fetch_optional(&mut self.conn)
            .await
            .map_err(StoreError::sql("find a room"))?;
        row.as_ref().map(room_row).transpose()
    }

    async fn load_room(&mut self, room: RoomId) -> Result<Option<RoomEntry>, StoreError> {
        let Some(row) = self.room_row(room).await? else { return Ok(None) };
        let roster = load_roster(&mut self.conn, room, row.epoch).await?;
        let muted = self.muted(&row.context, &roster).await?;
        Ok(Some(RoomEntry::new(row.hub, row.epoch, row.context, row.active, roster, muted)))
    }

    /// The local accounts that have blocked the other side of a direct room. In other rooms a block silences nobody.
    async fn muted(
        &mut self,
        context: &RoomContext,
        roster: &Roster,
    ) -> Result<HashSet<AccountId>, StoreError> {
        if context.kind != RoomKind::Direct {
            return Ok(HashSet::new());
        }
        let own = self.own.clone();
        let local: HashSet<AccountId> = roster.mailboxes(&own).iter().map(|who| who.account).collect();
        let all: HashSet<AccountId> = roster.entries().map(|entry| entry.account).collect();
        let mut muted = HashSet::new();
        for by in local {
            for account in all.iter().filter(|account| **account != by) {
                if self.has_blocked(&by, account).await? {
                    muted.insert(by);
                }
            }
        }
        Ok(muted)
    }

    /// Whether `by` has blocked `account`.
    pub(crate) async fn has_blocked(
        &mut self,
        by: &AccountId,
        account: &AccountId,
    ) -> Result<bool, StoreError> {
        let row = sqlx::query("SELECT count(*) FROM blocks WHERE by_account = ? AND account = ?")
            .bind(by.as_bytes().as_slice())
            .bind(account.as_bytes().as_slice())
            .fetch_one(&mut self.conn)
            .await
            .map_err(StoreError::sql("look for a block"))?;
        Ok(row.number(0)? > 0)
    }

    /// The roster of an epoch that the room has reached; empty for an epoch in which nobody of this relay was there.
    pub(crate) async fn roster_of(&mut self, room: RoomId, epoch: Epoch) -> Result<Arc<Roster>, StoreError> {
        let Some(entry) = self.room(room).await? else { return Ok(Arc::default()) };
        if let Some(roster) = entry.roster_of(epoch) {
            return Ok(roster);
        }
        let roster = Arc::new(load_roster(&mut self.conn, room, epoch).await?);
        if let Some(entry) = self.room(room).await? {
            entry.keep_past(epoch, roster.clone());
        }
        Ok(roster)
    }
}
