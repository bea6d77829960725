//! What passes between this relay and others, as its operator looks at it: what waits for whom, what came when.

use posthouse_spec::envelope::LaneClass;
use posthouse_spec::{Domain, LaneSeq, Millis};

use super::columns::Columns;
use super::error::StoreError;
use super::handle::Store;
use super::lanes::class;

/// An outgoing lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Departing {
    /// The destination.
    pub peer: Domain,
    /// What the lane carries.
    pub class: LaneClass,
    /// Items that wait.
    pub waiting: u64,
    /// When the oldest of them was stored.
    pub oldest: Option<Millis>,
    /// The destination has everything below this position.
    pub acked: LaneSeq,
}

/// The incoming lanes of one origin and class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arriving {
    /// The origin.
    pub origin: Domain,
    /// What the lane carries.
    pub class: LaneClass,
    /// When its newest item came.
    pub last: Millis,
    /// How many came, in the life of the lane that is the newest.
    pub items: u64,
}

impl Store {
    /// All outgoing lanes that were ever used, by destination and class.
    ///
    /// # Errors
    /// The store failed.
    pub async fn departing(&self) -> Result<Vec<Departing>, StoreError> {
        let rows = sqlx::query(
            "SELECT l.peer, l.class, l.next, (SELECT min(o.seq) - l.base FROM outbox o WHERE o.lane = l.id), \
             (SELECT i.received FROM outbox o JOIN items i ON i.id = o.item WHERE o.lane = l.id ORDER BY o.seq LIMIT 1) \
             FROM lanes l ORDER BY l.peer, l.class",
        )
        .fetch_all(self.readers())
        .await
        .map_err(StoreError::sql("look at the outgoing lanes"))?;
        rows.iter()
            .map(|row| {
                let next = row.number(2)?;
                // Positions have no gaps, so that nothing needs to be counted.
                let first = row.row_id_or_null(3)?.map_or(next, i64::unsigned_abs);
                Ok(Departing {
                    peer: row.domain(0)?,
                    class: class(row.number(1)?)?,
                    waiting: next.saturating_sub(first),
                    oldest: row.row_id_or_null(4)?.map(|at| Millis(at.unsigned_abs())),
                    acked: LaneSeq(first),
                })
            })
            .collect()
    }

    /// All incoming lanes that are remembered, by origin and class.
    ///
    /// # Errors
    /// The store failed.
    pub async fn arriving(&self) -> Result<Vec<Arriving>, StoreError> {
        let rows = sqlx::query(
            // Of several lives of a lane the one that was touched last stands for it: so SQLite defines max() beside bare columns.
            "SELECT origin, class, max(touched), next FROM cursors GROUP BY origin, class ORDER BY origin, class",
        )
        .fetch_all(self.readers())
        .await
        .map_err(StoreError::sql("look at the incoming lanes"))?;
        rows.iter()
            .map(|row| {
                Ok(Arriving {
                    origin: row.domain(0)?,
                    class: class(row.number(1)?)?,
                    last: Millis(row.number(2)?),
                    items: row.number(3)?.saturating_sub(1),
                })
            })
            .collect()
    }

    /// Every relay of which the store knows anything.
    ///
    /// # Errors
    /// The store failed.
    pub async fn known_relays(&self) -> Result<Vec<Domain>, StoreError> {
        let rows = sqlx::query(
            "SELECT domain FROM pins UNION SELECT domain FROM peer_rules UNION SELECT peer FROM lanes \
             UNION SELECT origin FROM cursors UNION SELECT home FROM members WHERE to_epoch IS NULL AND home <> ?1 \
             UNION SELECT hub FROM rooms WHERE active = 1 AND hub <> ?1 ORDER BY 1",
        )
        .bind(self.domain().as_str())
        .fetch_all(self.readers())
        .await
        .map_err(StoreError::sql("list the known relays"))?;
        rows.iter().map(|row| row.domain(0)).collect()
    }
}
