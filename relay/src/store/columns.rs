//! From a row's columns to this protocol's types. A value that does not fit was not written by this program.

use posthouse_spec::{Cbor, Domain};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::error::StoreError;

/// Reads columns by their place in the SELECT.
pub(crate) trait Columns {
    /// A fixed-size value, such as an id.
    fn fixed<T>(&self, column: usize, make: impl FnOnce(&[u8]) -> Option<T>) -> Result<T, StoreError>;
    /// A byte string.
    fn blob(&self, column: usize) -> Result<Vec<u8>, StoreError>;
    /// A byte string that may be null.
    fn blob_or_null(&self, column: usize) -> Result<Option<Vec<u8>>, StoreError>;
    /// A count or position.
    fn number(&self, column: usize) -> Result<u64, StoreError>;
    /// A row id.
    fn row_id(&self, column: usize) -> Result<i64, StoreError>;
    /// A number that may be null.
    fn row_id_or_null(&self, column: usize) -> Result<Option<i64>, StoreError>;
    /// A domain.
    fn domain(&self, column: usize) -> Result<Domain, StoreError>;
    /// A value in its encoded form.
    fn cbor<T: Cbor>(&self, column: usize) -> Result<T, StoreError>;
}

fn read<'r, T>(row: &'r SqliteRow, column: usize) -> Result<T, StoreError>
where
    T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    row.try_get(column).map_err(StoreError::sql("read a column"))
}

impl Columns for SqliteRow {
    fn fixed<T>(&self, column: usize, make: impl FnOnce(&[u8]) -> Option<T>) -> Result<T, StoreError> {
        let bytes: &[u8] = read(self, column)?;
        make(bytes)
            .ok_or_else(|| StoreError::damaged(format!("a fixed-size value has {} bytes", bytes.len())))
    }

    fn blob(&self, column: usize) -> Result<Vec<u8>, StoreError> {
        read(self, column)
    }

    fn blob_or_null(&self, column: usize) -> Result<Option<Vec<u8>>, StoreError> {
        read(self, column)
    }

    fn number(&self, column: usize) -> Result<u64, StoreError> {
        let value: i64 = read(self, column)?;
        u64::try_from(value).map_err(|_| StoreError::damaged("a count is negative"))
    }

    fn row_id(&self, column: usize) -> Result<i64, StoreError> {
        read(self, column)
    }

    fn row_id_or_null(&self, column: usize) -> Result<Option<i64>, StoreError> {
        read(self, column)
    }

    fn domain(&self, column: usize) -> Result<Domain, StoreError> {
        let text: &str = read(self, column)?;
        text.parse().map_err(|e: posthouse_spec::name::BadName| StoreError::damaged(e.to_string()))
    }

    fn cbor<T: Cbor>(&self, column: usize) -> Result<T, StoreError> {
        let bytes: &[u8] = read(self, column)?;
        T::from_cbor(bytes).map_err(|e| StoreError::damaged(e.to_string()))
    }
}

/// A position as SQLite holds it. Positions of this protocol stay below 2^63.
pub(crate) fn sql(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
