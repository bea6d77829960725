//! Key packages of this device: durable here before the relay gets them.

use posthouse_crypto::room::member::NewKeyPackage;
use posthouse_spec::room::Suite;
use posthouse_spec::{KeyPackageHash, Millis};
use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;

use super::columns::{id, int, number};
use crate::error::VaultError;

/// A key package that may not be at the relay yet.
pub(crate) struct Pending {
    /// Its name.
    pub(crate) hash: KeyPackageHash,
    /// Whether it may be used more than once.
    pub(crate) last_resort: bool,
    /// The KeyPackage as an MLSMessage.
    pub(crate) bytes: Vec<u8>,
}

/// Keeps a new one.
pub(crate) async fn insert(
    db: &mut SqliteConnection,
    suite: Suite,
    last_resort: bool,
    package: &NewKeyPackage,
    now: Millis,
) -> Result<(), VaultError> {
    sqlx::query("INSERT INTO key_packages (hash, suite, last_resort, bytes, created) VALUES (?, ?, ?, ?, ?)")
        .bind(package.hash.as_bytes().as_slice())
        .bind(int(suite.code()))
        .bind(last_resort)
        .bind(&package.bytes)
        .bind(int(now.0))
        .execute(db)
        .await?;
    Ok(())
}

/// Those that may not be at the relay yet.
pub(crate) async fn pending(db: &mut SqliteConnection, suite: Suite) -> Result<Vec<Pending>, VaultError> {
    let rows =
        sqlx::query("SELECT hash, last_resort, bytes FROM key_packages WHERE suite = ? AND uploaded = 0")
            .bind(int(suite.code()))
            .fetch_all(db)
            .await?;
    rows.iter()
        .map(|row| {
            Ok(Pending {
                hash: id(row, "hash", KeyPackageHash::from_slice)?,
                last_resort: number(row, "last_resort")? == 1,
                bytes: row.try_get("bytes")?,
            })
        })
        .collect()
}

/// Whether a last resort of the suite was made at `since` or later.
pub(crate) async fn has_last_resort(
    db: &mut SqliteConnection,
    suite: Suite,
    since: Millis,
) -> Result<bool, VaultError> {
    let text =
        "SELECT EXISTS (SELECT 1 FROM key_packages WHERE suite = ? AND last_resort = 1 AND created >= ?)";
    Ok(sqlx::query_scalar(text).bind(int(suite.code())).bind(int(since.0)).fetch_one(db).await?)
}

/// These are at the relay: their public bytes need not be kept.
pub(crate) async fn uploaded(db: &mut SqliteConnection, packages: &[Pending]) -> Result<(), VaultError> {
    for package in packages {
        sqlx::query("UPDATE key_packages SET uploaded = 1, bytes = x'' WHERE hash = ?")
            .bind(package.hash.as_bytes().as_slice())
            .execute(&mut *db)
            .await?;
    }
    Ok(())
}
