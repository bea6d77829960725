//! Relays whose manifests were verified.

use posthouse_spec::cbor::Cbor as _;
use posthouse_spec::manifest::Manifest;
use posthouse_spec::{Domain, Millis, Signed};
use sqlx::sqlite::SqliteConnection;

use super::columns::{cbor, int};
use crate::error::VaultError;

/// The manifest that was verified last.
pub(crate) async fn pinned(
    db: &mut SqliteConnection,
    domain: &Domain,
) -> Result<Option<Signed<Manifest>>, VaultError> {
    sqlx::query("SELECT manifest FROM relays WHERE domain = ?")
        .bind(domain.as_str())
        .fetch_optional(db)
        .await?
        .map(|row| cbor(&row, "manifest"))
        .transpose()
}

/// Keeps a manifest that was verified.
pub(crate) async fn pin(
    db: &mut SqliteConnection,
    domain: &Domain,
    manifest: &Signed<Manifest>,
    now: Millis,
) -> Result<(), VaultError> {
    sqlx::query(
        "INSERT INTO relays (domain, manifest, pinned) VALUES (?, ?, ?)
         ON CONFLICT (domain) DO UPDATE SET manifest = excluded.manifest, pinned = excluded.pinned",
    )
    .bind(domain.as_str())
    .bind(manifest.to_cbor())
    .bind(int(now.0))
    .execute(db)
    .await?;
    Ok(())
}
