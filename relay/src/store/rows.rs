//! Multi-row INSERTs: one statement for many rows, because a round trip for each is what a batch would spend its time on.

use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, Sqlite, SqliteConnection};

use super::error::StoreError;

/// A prepared statement's bound values.
pub(crate) type Bound<'q> = Query<'q, Sqlite, SqliteArguments>;

/// The row counts for which statements are prepared: few, so that each is prepared once and then reused, and so that a batch
/// of any size takes few of them.
pub(crate) const CHUNKS: [usize; 7] = [64, 32, 16, 8, 4, 2, 1];

/// The number to write behind LIMIT for a read of `wanted` rows; the reader stops by itself at `wanted`. It stands in the
/// text, because SQLite prepares a statement anew for each use when the limit is a bound value; and there are few of them,
/// so that few statements are prepared.
pub(crate) fn limit(wanted: usize) -> usize {
    wanted.next_power_of_two()
}

/// An INSERT of many rows.
pub(crate) struct Insert {
    /// Up to and including `VALUES`.
    pub(crate) head: &'static str,
    /// One row's placeholders, such as `(?,?)`.
    pub(crate) row: &'static str,
    /// What follows the rows, such as an upsert clause.
    pub(crate) tail: &'static str,
    /// What a failure is reported as.
    pub(crate) doing: &'static str,
}

impl Insert {
    /// Inserts the rows in order.
    pub(crate) async fn run<T>(
        &self,
        conn: &mut SqliteConnection,
        rows: &[T],
        bind: impl for<'q> Fn(Bound<'q>, &T) -> Bound<'q>,
    ) -> Result<(), StoreError> {
        let mut rest = rows;
        for chunk in CHUNKS {
            while rest.len() >= chunk {
                let (now, later) = rest.split_at(chunk);
                // Only this module's constants and a number make up the text.
                let text = self.text(chunk);
                let query = now.iter().fold(sqlx::query(AssertSqlSafe(text)), &bind);
                query.execute(&mut *conn).await.map_err(StoreError::sql(self.doing))?;
                rest = later;
            }
        }
        Ok(())
    }

    fn text(&self, rows: usize) -> String {
        let mut text = String::from(self.head);
        for i in 0..rows {
            text.push_str(if i == 0 { " " } else { "," });
            text.push_str(self.row);
        }
        text.push(' ');
        text.push_str(self.tail);
        text
    }
}
