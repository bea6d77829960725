//! The log of a room's commits, and the snapshots of its public tree from which the log is replayed.

use posthouse_spec::room::Decided;
use posthouse_spec::{Cbor, CommitHash, Domain, Epoch, Millis, RoomId};

use super::columns::{Columns, sql};
use super::cursors::LanePlace;
use super::error::StoreError;
use super::handle::Store;
use super::rooms::RoomState;
use super::tx::Tx;

/// Contradicting decisions that are kept of one room. The first convicts its hub; a hub could sign them without end.
const MAX_EVIDENCE: i64 = 8;

/// A room's public tree at an epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) epoch: Epoch,
    pub(crate) bytes: Vec<u8>,
}

/// What was decided for an epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Logged {
    pub(crate) commit: CommitHash,
    pub(crate) decided: Decided,
}

impl Store {
    /// The newest snapshot of a room.
    pub(crate) async fn snapshot(&self, room: RoomId) -> Result<Option<Snapshot>, StoreError> {
        let row = sqlx::query("SELECT epoch, snapshot FROM snapshots WHERE room = ?")
            .bind(room.as_bytes().as_slice())
            .fetch_optional(self.readers())
            .await
            .map_err(StoreError::sql("read a room's snapshot"))?;
        row.map(|row| Ok(Snapshot { epoch: Epoch(row.number(0)?), bytes: row.blob(1)? })).transpose()
    }

    /// What was decided for an epoch, if the log reaches back to it.
    pub(crate) async fn decided(&self, room: RoomId, epoch: Epoch) -> Result<Option<Logged>, StoreError> {
        let row = sqlx::query("SELECT commit_hash, decided FROM commits WHERE room = ? AND epoch = ?")
            .bind(room.as_bytes().as_slice())
            .bind(sql(epoch.0))
            .fetch_optional(self.readers())
            .await
            .map_err(StoreError::sql("read a room's log"))?;
        row.map(|row| Ok(Logged { commit: row.fixed(0, CommitHash::from_slice)?, decided: row.cbor(1)? }))
            .transpose()
    }

    /// The decisions from an epoch on, in order and without a hole, at most `limit`.
    pub(crate) async fn decisions(
        &self,
        room: RoomId,
        from: Epoch,
        limit: usize,
    ) -> Result<Vec<Decided>, StoreError> {
        let rows = sqlx::query(
            "SELECT epoch, decided FROM commits WHERE room = ? AND epoch >= ? ORDER BY epoch LIMIT ?",
        )
        .bind(room.as_bytes().as_slice())
        .bind(sql(from.0))
        .bind(sql(limit as u64))
        .fetch_all(self.readers())
        .await
        .map_err(StoreError::sql("read a room's log"))?;
        let mut decisions = Vec::with_capacity(rows.len());
        for (row, epoch) in rows.iter().zip(from.0..) {
            if row.number(0)? != epoch {
                break;
            }
            decisions.push(row.cbor(1)?);
        }
        Ok(decisions)
    }

    /// As [`Store::decisions`], as far as another relay may see them: while it was in the room, and to the end of the
    /// epoch in which it left.
    pub(crate) async fn decisions_shared(
        &self,
        with: &Domain,
        room: RoomId,
        from: Epoch,
        limit: usize,
    ) -> Result<Vec<Decided>, StoreError> {
        let mut decisions = self.decisions(room, from, limit).await?;
        for (seen, epoch) in (from.0..).take(decisions.len()).enumerate() {
            if !self.roster(room, Epoch(epoch)).await?.has_relay(with) {
                decisions.truncate(seen);
                break;
            }
        }
        Ok(decisions)
    }

    /// The group info of a room's epoch, if a device has left one.
    pub(crate) async fn group_info(&self, room: RoomId, epoch: Epoch) -> Result<Option<Vec<u8>>, StoreError> {
        let row = sqlx::query("SELECT group_info FROM group_infos WHERE room = ? AND epoch = ?")
            .bind(room.as_bytes().as_slice())
            .bind(sql(epoch.0))
            .fetch_optional(self.readers())
            .await
            .map_err(StoreError::sql("read a room's group info"))?;
        row.map(|row| row.blob(0)).transpose()
    }

    /// Keeps a decision that contradicts the one that was applied, as evidence, and passes the item that brought it.
    pub(crate) async fn keep_evidence(
        &self,
        now: Millis,
        room: RoomId,
        epoch: Epoch,
        commit: CommitHash,
        decided: Decided,
        place: Option<LanePlace>,
    ) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                tx.pass(now, place.as_ref()).await?;
                sqlx::query(
                    "INSERT INTO evidence (room, epoch, commit_hash, created, decided) SELECT ?1, ?2, ?3, ?4, ?5 \
                     WHERE (SELECT count(*) FROM evidence WHERE room = ?1) < ?6 ON CONFLICT DO NOTHING",
                )
                .bind(room.as_bytes().as_slice())
                .bind(sql(epoch.0))
                .bind(commit.as_bytes().as_slice())
                .bind(sql(now.0))
                .bind(decided.to_cbor())
                .bind(MAX_EVIDENCE)
                .execute(&mut tx.conn)
                .await
                .map_err(StoreError::sql("keep evidence"))?;
                Ok(())
            })
        })
        .await
    }

    /// How many contradicting decisions are kept.
    ///
    /// # Errors
    /// The store failed.
    pub async fn evidence_count(&self) -> Result<u64, StoreError> {
        sqlx::query("SELECT count(*) FROM evidence")
            .fetch_one(self.readers())
            .await
            .map_err(StoreError::sql("count evidence"))?
            .number(0)
    }
}

impl Tx {
    pub(super) async fn write_commit(
        &mut self,
        now: Millis,
        room: RoomId,
        epoch: Epoch,
        commit: CommitHash,
        decided: &Decided,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO commits (room, epoch, commit_hash, created, decided) VALUES (?,?,?,?,?) \
             ON CONFLICT (room, epoch) DO NOTHING",
        )
        .bind(room.as_bytes().as_slice())
        .bind(sql(epoch.0))
        .bind(commit.as_bytes().as_slice())
        .bind(sql(now.0))
        .bind(decided.to_cbor())
        .execute(&mut self.conn)
        .await
        .map_err(StoreError::sql("log a commit"))?;
        Ok(())
    }

    pub(super) async fn write_snapshot(&mut self, state: &RoomState) -> Result<(), StoreError> {
        let Some(snapshot) = &state.snapshot else { return Ok(()) };
        sqlx::query(
            "INSERT INTO snapshots (room, epoch, snapshot) VALUES (?,?,?) \
             ON CONFLICT (room) DO UPDATE SET epoch = excluded.epoch, snapshot = excluded.snapshot",
        )
        .bind(state.room.as_bytes().as_slice())
        .bind(sql(state.epoch.0))
        .bind(snapshot.as_slice())
        .execute(&mut self.conn)
        .await
        .map_err(StoreError::sql("keep a room's snapshot"))?;
        Ok(())
    }

    pub(super) async fn write_group_info(
        &mut self,
        state: &RoomState,
        group_info: &[u8],
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO group_infos (room, epoch, group_info) VALUES (?,?,?) \
             ON CONFLICT (room) DO UPDATE SET epoch = excluded.epoch, group_info = excluded.group_info",
        )
        .bind(state.room.as_bytes().as_slice())
        .bind(sql(state.epoch.0))
        .bind(group_info)
        .execute(&mut self.conn)
        .await
        .map_err(StoreError::sql("keep a room's group info"))?;
        Ok(())
    }
}
