//! What was taken off incoming lanes undelivered, kept until its origin is sure to have heard of it.
//!
//! An acknowledgement tells a refusal once, and the stream may break before it arrives. So a lane goes on from the first
//! refusal that its origin may not know of: the origin sends that item again, the cursor drops it, and the refusal is
//! told again.

use posthouse_spec::cbor::Text;
use posthouse_spec::limits::LANE_WINDOW_ITEMS;
use posthouse_spec::peer::deliver::{ItemRefusal, RefusedItem};
use posthouse_spec::{LaneSeq, Millis};
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Row as _, Sqlite};

use super::columns::{Columns, sql};
use super::error::StoreError;
use super::handle::Store;
use super::tx::Tx;
use super::types::Incoming;
use crate::lane::resume_at;

/// Refusals of one life of a lane that are kept. On the lane itself an origin is never further behind than its window; but
/// mailbags, of which it hears nothing, may have brought much more.
pub(super) const MAX_UNHEARD: u64 = 8 * LANE_WINDOW_ITEMS;

impl Store {
    /// The position from which a lane goes on whose origin still has everything from `oldest` on: its cursor, or before
    /// it the first refusal that the origin may not have heard of.
    ///
    /// # Errors
    /// The store failed.
    pub async fn resume_at(&self, lane: &Incoming, oldest: LaneSeq) -> Result<LaneSeq, StoreError> {
        let cursor = self.cursor(lane).await?;
        let row = sqlx::query(
            "SELECT min(seq) FROM refusals WHERE origin = ? AND class = ? AND incarnation = ? AND seq >= ?",
        )
        .bind(lane.origin.as_str())
        .bind(sql(lane.class.code()))
        .bind(lane.incarnation.as_bytes().as_slice())
        .bind(sql(oldest.0))
        .fetch_one(self.readers())
        .await
        .map_err(StoreError::sql("find a lane's first refusal"))?;
        Ok(resume_at(cursor, row.row_id_or_null(0)?.map(|seq| LaneSeq(seq.unsigned_abs()))))
    }
}

const RECALL: &str = "SELECT seq, reason, detail FROM refusals \
     WHERE origin = ? AND class = ? AND incarnation = ? AND seq >= ? AND seq < ? ORDER BY seq";

impl Store {
    /// What was refused of a lane from `from` on and before `to`.
    ///
    /// # Errors
    /// The store failed.
    pub async fn refused_before(
        &self,
        lane: &Incoming,
        from: LaneSeq,
        to: LaneSeq,
    ) -> Result<Vec<RefusedItem>, StoreError> {
        let rows = recall(lane, from, to)
            .fetch_all(self.readers())
            .await
            .map_err(StoreError::sql("recall what was refused"))?;
        rows.iter().map(refusal).collect()
    }
}

fn recall(lane: &Incoming, from: LaneSeq, to: LaneSeq) -> Query<'static, Sqlite, SqliteArguments> {
    sqlx::query(RECALL)
        .bind(lane.origin.to_string())
        .bind(sql(lane.class.code()))
        .bind(lane.incarnation.as_bytes().to_vec())
        .bind(sql(from.0))
        .bind(sql(to.0))
}

fn refusal(row: &SqliteRow) -> Result<RefusedItem, StoreError> {
    let reason = row.number(1)?;
    let detail: &str = row.try_get(2).map_err(StoreError::sql("read a refusal"))?;
    Ok(RefusedItem {
        seq: LaneSeq(row.number(0)?),
        reason: ItemRefusal::from_code(reason)
            .ok_or_else(|| StoreError::damaged(format!("a refusal of kind {reason}")))?,
        detail: Text::clipped(detail),
    })
}

impl Tx {
    /// Keeps what was refused of a lane whose cursor moves to `next`, and forgets the oldest of too many.
    pub(crate) async fn keep_refusals(
        &mut self,
        now: Millis,
        lane: &Incoming,
        next: LaneSeq,
        refused: &[RefusedItem],
    ) -> Result<(), StoreError> {
        for item in refused {
            sqlx::query(
                "INSERT INTO refusals (origin, class, incarnation, seq, reason, detail, created) \
                 VALUES (?,?,?,?,?,?,?)",
            )
            .bind(lane.origin.as_str())
            .bind(sql(lane.class.code()))
            .bind(lane.incarnation.as_bytes().as_slice())
            .bind(sql(item.seq.0))
            .bind(sql(item.reason.code()))
            .bind(item.detail.as_str())
            .bind(sql(now.0))
            .execute(&mut self.conn)
            .await
            .map_err(StoreError::sql("keep a refusal"))?;
        }
        self.bound_refusals(lane, next).await
    }

    async fn bound_refusals(&mut self, lane: &Incoming, next: LaneSeq) -> Result<(), StoreError> {
        let doing = "forget the oldest refusals";
        let (class, life) = (sql(lane.class.code()), lane.incarnation.as_bytes().as_slice());
        let oldest =
            sqlx::query("SELECT min(seq) FROM refusals WHERE origin = ? AND class = ? AND incarnation = ?")
                .bind(lane.origin.as_str())
                .bind(class)
                .bind(life)
                .fetch_one(&mut self.conn)
                .await
                .map_err(StoreError::sql(doing))?;
        // There are no more of them than positions from the oldest on, which need no counting.
        let oldest = oldest.row_id_or_null(0)?.map_or(next.0, i64::unsigned_abs);
        if next.0.saturating_sub(oldest) <= MAX_UNHEARD {
            return Ok(());
        }
        let forgotten = sqlx::query(
            "DELETE FROM refusals WHERE origin = ?1 AND class = ?2 AND incarnation = ?3 AND seq <= \
             (SELECT seq FROM refusals WHERE origin = ?1 AND class = ?2 AND incarnation = ?3 \
             ORDER BY seq DESC LIMIT 1 OFFSET ?4)",
        )
        .bind(lane.origin.as_str())
        .bind(class)
        .bind(life)
        .bind(sql(MAX_UNHEARD))
        .execute(&mut self.conn)
        .await
        .map_err(StoreError::sql(doing))?
        .rows_affected();
        if forgotten > 0 {
            tracing::warn!(origin = %lane.origin, class = %lane.class, refusals = forgotten, kept = MAX_UNHEARD,
                "too many refusals of a lane are kept: of the oldest its origin hears no more, if it has not yet");
        }
        Ok(())
    }

    /// What was refused of a lane from `from` on and before `to`.
    pub(crate) async fn refusals(
        &mut self,
        lane: &Incoming,
        from: LaneSeq,
        to: LaneSeq,
    ) -> Result<Vec<RefusedItem>, StoreError> {
        let rows = recall(lane, from, to)
            .fetch_all(&mut self.conn)
            .await
            .map_err(StoreError::sql("recall what was refused"))?;
        rows.iter().map(refusal).collect()
    }
}
