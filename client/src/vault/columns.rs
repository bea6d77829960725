//! Reading columns as the types that they hold.

use std::str::FromStr;

use posthouse_spec::cbor::Cbor;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use crate::error::VaultError;

fn wrong(column: &str) -> VaultError {
    VaultError::Content(format!("column {column}"))
}

/// An id or key.
pub(crate) fn id<T>(
    row: &SqliteRow,
    column: &str,
    read: impl Fn(&[u8]) -> Option<T>,
) -> Result<T, VaultError> {
    read(row.try_get::<&[u8], _>(column)?).ok_or_else(|| wrong(column))
}

/// An id or key that may be absent.
pub(crate) fn optional_id<T>(
    row: &SqliteRow,
    column: &str,
    read: impl Fn(&[u8]) -> Option<T>,
) -> Result<Option<T>, VaultError> {
    match row.try_get::<Option<&[u8]>, _>(column)? {
        Some(bytes) => read(bytes).map(Some).ok_or_else(|| wrong(column)),
        None => Ok(None),
    }
}

/// A number that is never negative.
pub(crate) fn number(row: &SqliteRow, column: &str) -> Result<u64, VaultError> {
    u64::try_from(row.try_get::<i64, _>(column)?).map_err(|_| wrong(column))
}

/// A number that is never negative and may be absent.
pub(crate) fn optional_number(row: &SqliteRow, column: &str) -> Result<Option<u64>, VaultError> {
    row.try_get::<Option<i64>, _>(column)?
        .map(|value| u64::try_from(value).map_err(|_| wrong(column)))
        .transpose()
}

/// A value in its canonical encoding.
pub(crate) fn cbor<T: Cbor>(row: &SqliteRow, column: &str) -> Result<T, VaultError> {
    T::from_cbor(row.try_get(column)?).map_err(|_| wrong(column))
}

/// A name.
pub(crate) fn name<T: FromStr>(row: &SqliteRow, column: &str) -> Result<T, VaultError> {
    row.try_get::<&str, _>(column)?.parse().map_err(|_| wrong(column))
}

/// A name that may be absent.
pub(crate) fn optional_name<T: FromStr>(row: &SqliteRow, column: &str) -> Result<Option<T>, VaultError> {
    match row.try_get::<Option<&str>, _>(column)? {
        Some(text) => text.parse().map(Some).map_err(|_| wrong(column)),
        None => Ok(None),
    }
}

/// A code of one of the protocol's tables.
pub(crate) fn code<T>(
    row: &SqliteRow,
    column: &str,
    read: impl Fn(u64) -> Option<T>,
) -> Result<T, VaultError> {
    read(number(row, column)?).ok_or_else(|| wrong(column))
}

/// A word of one of our own tables.
pub(crate) fn word<T>(
    row: &SqliteRow,
    column: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<T, VaultError> {
    read(row.try_get(column)?).ok_or_else(|| wrong(column))
}

/// A position as SQLite stores it; those of the protocol fit by their definition.
pub(crate) fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
