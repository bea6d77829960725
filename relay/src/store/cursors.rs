//! Cursors of incoming lanes: the position that each expects next, moved in the transaction that takes its items.

use posthouse_spec::envelope::LaneClass;
use posthouse_spec::peer::deliver::RefusedItem;
use posthouse_spec::peer::hello::LaneCursor;
use posthouse_spec::{Domain, Incarnation, LaneSeq, Millis};

use super::columns::{Columns, sql};
use super::error::StoreError;
use super::handle::Store;
use super::lanes::class;
use super::tx::Tx;
use super::types::Incoming;
pub(crate) use crate::lane::Pass;
use crate::lane::{MAX_LIVES, pass, surplus};

/// Cursors of one origin that a hello tells of: the newest ones.
const MAX_TOLD: i64 = 16;

const FIND: &str = "SELECT next FROM cursors WHERE origin = ? AND class = ? AND incarnation = ?";

impl Store {
    /// The position that is expected next; 1 for a lane that was never seen.
    ///
    /// # Errors
    /// The store failed.
    pub async fn cursor(&self, lane: &Incoming) -> Result<LaneSeq, StoreError> {
        let row = sqlx::query(FIND)
            .bind(lane.origin.as_str())
            .bind(sql(lane.class.code()))
            .bind(lane.incarnation.as_bytes().as_slice())
            .fetch_optional(self.readers())
            .await
            .map_err(StoreError::sql("find a lane's cursor"))?;
        row.map_or(Ok(LaneSeq(1)), |row| Ok(LaneSeq(row.number(0)?)))
    }

    /// The newest cursors of an origin's lanes.
    ///
    /// # Errors
    /// The store failed.
    pub async fn cursors(&self, origin: &Domain) -> Result<Vec<LaneCursor>, StoreError> {
        let rows = sqlx::query(
            "SELECT class, incarnation, next FROM cursors WHERE origin = ? ORDER BY touched DESC LIMIT ?",
        )
        .bind(origin.as_str())
        .bind(MAX_TOLD)
        .fetch_all(self.readers())
        .await
        .map_err(StoreError::sql("list the cursors of a relay"))?;
        rows.iter()
            .map(|row| {
                Ok(LaneCursor {
                    class: class(row.number(0)?)?,
                    incarnation: row.fixed(1, Incarnation::from_slice)?,
                    next: LaneSeq(row.number(2)?),
                })
            })
            .collect()
    }
}

impl Tx {
    /// The position that a lane is expected to go on from.
    pub(crate) async fn cursor(&mut self, lane: &Incoming) -> Result<LaneSeq, StoreError> {
        if let Some(next) = self.caches.cursors.get(lane) {
            return Ok(*next);
        }
        let row = sqlx::query(FIND)
            .bind(lane.origin.as_str())
            .bind(sql(lane.class.code()))
            .bind(lane.incarnation.as_bytes().as_slice())
            .fetch_optional(&mut self.conn)
            .await
            .map_err(StoreError::sql("find a lane's cursor"))?;
        let next = row.map_or(Ok(1), |row| row.number(0))?;
        self.caches.cursors.insert(lane.clone(), LaneSeq(next));
        Ok(LaneSeq(next))
    }

    /// Moves a cursor; it is written with the batch.
    pub(crate) fn move_cursor(&mut self, now: Millis, lane: &Incoming, next: LaneSeq) {
        let before = self.caches.cursors.insert(lane.clone(), next);
        if before.is_none_or(|before| before == LaneSeq(1)) {
            self.pending.new_lives.insert((lane.origin.clone(), lane.class));
        }
        self.pending.cursors.insert(lane.clone(), now);
    }

    /// Writes the cursors that have moved.
    pub(super) async fn flush_cursors(&mut self) -> Result<(), StoreError> {
        for (lane, at) in std::mem::take(&mut self.pending.cursors) {
            let Some(next) = self.caches.cursors.get(&lane) else { continue };
            sqlx::query(
                "INSERT INTO cursors (origin, class, incarnation, next, touched) VALUES (?,?,?,?,?) \
                 ON CONFLICT (origin, class, incarnation) \
                 DO UPDATE SET next = excluded.next, touched = excluded.touched",
            )
            .bind(lane.origin.as_str())
            .bind(sql(lane.class.code()))
            .bind(lane.incarnation.as_bytes().as_slice())
            .bind(sql(next.0))
            .bind(sql(at.0))
            .execute(&mut self.conn)
            .await
            .map_err(StoreError::sql("move a lane's cursor"))?;
        }
        for (origin, class) in std::mem::take(&mut self.pending.new_lives) {
            self.bound_lives(origin, class).await?;
        }
        Ok(())
    }

    /// Forgets the oldest lives of a lane, where there are too many.
    async fn bound_lives(&mut self, origin: Domain, class: LaneClass) -> Result<(), StoreError> {
        let doing = "bound the lives of a lane";
        let rows = sqlx::query("SELECT incarnation, touched FROM cursors WHERE origin = ? AND class = ?")
            .bind(origin.as_str())
            .bind(sql(class.code()))
            .fetch_all(&mut self.conn)
            .await
            .map_err(StoreError::sql(doing))?;
        let lives = rows
            .iter()
            .map(|row| Ok((row.fixed(0, Incarnation::from_slice)?, Millis(row.number(1)?))))
            .collect::<Result<Vec<_>, StoreError>>()?;
        for incarnation in surplus(&lives) {
            tracing::warn!(%origin, %class, bound = MAX_LIVES, "a relay begins too many lives of a lane; the oldest is forgotten");
            for text in [
                "DELETE FROM cursors WHERE origin = ? AND class = ? AND incarnation = ?",
                "DELETE FROM refusals WHERE origin = ? AND class = ? AND incarnation = ?",
            ] {
                sqlx::query(text)
                    .bind(origin.as_str())
                    .bind(sql(class.code()))
                    .bind(incarnation.as_bytes().as_slice())
                    .execute(&mut self.conn)
                    .await
                    .map_err(StoreError::sql(doing))?;
            }
            self.caches.cursors.remove(&Incoming { origin: origin.clone(), class, incarnation });
        }
        Ok(())
    }

    /// Moves a cursor over one item, unless it has passed that item already.
    pub(crate) async fn pass(&mut self, now: Millis, place: Option<&LanePlace>) -> Result<Pass, StoreError> {
        let Some(place) = place else { return Ok(Pass::First) };
        let expected = self.cursor(&place.lane).await?;
        match pass(expected, place.seq) {
            Pass::First => self.move_cursor(now, &place.lane, expected.next()),
            Pass::Repeat => return Ok(Pass::Repeat),
            // Whole runs are judged before their items, so this one cannot be. Nothing is taken of it.
            Pass::Ahead => return Ok(Pass::Repeat),
        }
        Ok(Pass::First)
    }
}

/// The place of one item on an incoming lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LanePlace {
    /// The lane.
    pub lane: Incoming,
    /// The item's position.
    pub seq: LaneSeq,
}

impl Store {
    /// Moves a cursor over an item that needs nothing else. One that is refused is kept as such until its origin is sure
    /// to have heard of it.
    pub(crate) async fn pass_item(
        &self,
        now: Millis,
        place: LanePlace,
        refused: Option<RefusedItem>,
    ) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let first = tx.pass(now, Some(&place)).await? == Pass::First;
                if let Some(refused) = refused.filter(|_| first) {
                    tx.keep_refusals(now, &place.lane, place.seq.next(), &[refused]).await?;
                }
                Ok(())
            })
        })
        .await
    }
}
