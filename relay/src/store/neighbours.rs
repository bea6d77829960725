//! Neighbours: the relays with which this one has something in common.

use posthouse_spec::Domain;

use super::columns::Columns;
use super::error::StoreError;
use super::handle::Store;

/// Asked for every claim of key packages, so it must find its answer without a scan.
const IS_NEIGHBOUR: &str = "SELECT EXISTS (SELECT 1 FROM members WHERE to_epoch IS NULL AND home = ?1) \
     OR EXISTS (SELECT 1 FROM rooms WHERE active = 1 AND hub = ?1)";

impl Store {
    /// The relays with which this one shares a room or has a lane with something on it.
    ///
    /// # Errors
    /// The store failed.
    pub async fn neighbours(&self) -> Result<Vec<Domain>, StoreError> {
        let rows = sqlx::query(
            "SELECT home FROM members WHERE to_epoch IS NULL AND home <> ?1 \
             UNION SELECT hub FROM rooms WHERE active = 1 AND hub <> ?1 \
             UNION SELECT peer FROM lanes WHERE EXISTS (SELECT 1 FROM outbox WHERE outbox.lane = lanes.id)",
        )
        .bind(self.domain().as_str())
        .fetch_all(self.readers())
        .await
        .map_err(StoreError::sql("list the relays that share rooms"))?;
        rows.iter().map(|row| row.domain(0)).collect()
    }

    /// Whether this relay shares a room with another one.
    ///
    /// # Errors
    /// The store failed.
    pub async fn is_neighbour(&self, relay: &Domain) -> Result<bool, StoreError> {
        let row = sqlx::query(IS_NEIGHBOUR)
            .bind(relay.as_str())
            .fetch_one(self.readers())
            .await
            .map_err(StoreError::sql("find out whether a relay shares a room"))?;
        Ok(row.number(0)? != 0)
    }
}

#[cfg(test)]
mod tests {
    use sqlx::{AssertSqlSafe, Row as _};

    use super::*;
    use crate::store::Wakes;

    #[tokio::test]
    async fn who_is_no_neighbour_costs_no_look_at_every_room() {
        let folder = tempfile::tempdir().unwrap();
        let own = "a.example".parse().unwrap();
        let store = Store::open(folder.path(), &own, "main", Wakes::none()).await.unwrap();
        let plan = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {IS_NEIGHBOUR}"));
        let rows = sqlx::query(plan).bind("b.example").fetch_all(store.readers()).await.unwrap();
        let steps: Vec<String> = rows.iter().map(|row| row.get(3)).collect();
        let scans = |step: &&String| step.starts_with("SCAN") && !step.contains("CONSTANT ROW");
        assert_eq!(steps.iter().find(scans), None, "{steps:?}");
        store.close().await;
    }
}
