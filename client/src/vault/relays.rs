//! Relays whose manifests were verified: the newest one of each, and the earlier ones that are known.

use posthouse_spec::cbor::Cbor as _;
use posthouse_spec::manifest::Manifest;
use posthouse_spec::{Domain, ManifestSeq, Millis, Signed};
use sqlx::sqlite::SqliteConnection;

use super::columns::{cbor, int};
use crate::error::VaultError;

/// Manifests of one relay that are kept: the newest ones.
const MAX_LINKS: u64 = 256;

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

/// Keeps a manifest that was verified, as the newest one.
pub(crate) async fn pin(
    db: &mut SqliteConnection,
    domain: &Domain,
    manifest: &Signed<Manifest>,
    now: Millis,
) -> Result<(), VaultError> {
    // One that was pinned before links were kept becomes a link here.
    if let Some(before) = pinned(&mut *db, domain).await? {
        keep(&mut *db, domain, &before).await?;
    }
    sqlx::query(
        "INSERT INTO relays (domain, manifest, pinned) VALUES (?, ?, ?)
         ON CONFLICT (domain) DO UPDATE SET manifest = excluded.manifest, pinned = excluded.pinned",
    )
    .bind(domain.as_str())
    .bind(manifest.to_cbor())
    .bind(int(now.0))
    .execute(&mut *db)
    .await?;
    keep(db, domain, manifest).await
}

/// Keeps a manifest of which it was proven that it lies on the relay's chain.
pub(crate) async fn keep(
    db: &mut SqliteConnection,
    domain: &Domain,
    link: &Signed<Manifest>,
) -> Result<(), VaultError> {
    let claimed = link.peek().map_err(|fault| VaultError::Content(format!("a manifest: {fault}")))?;
    sqlx::query("INSERT INTO links (domain, seq, manifest) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
        .bind(domain.as_str())
        .bind(int(claimed.seq.0))
        .bind(link.to_cbor())
        .execute(&mut *db)
        .await?;
    sqlx::query(
        "DELETE FROM links WHERE domain = ?1 AND seq <=
         (SELECT seq FROM links WHERE domain = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2)",
    )
    .bind(domain.as_str())
    .bind(int(MAX_LINKS))
    .execute(db)
    .await?;
    Ok(())
}

/// The oldest manifest at this position or behind it that is kept.
pub(crate) async fn link_from(
    db: &mut SqliteConnection,
    domain: &Domain,
    seq: ManifestSeq,
) -> Result<Option<Signed<Manifest>>, VaultError> {
    sqlx::query("SELECT manifest FROM links WHERE domain = ? AND seq >= ? ORDER BY seq LIMIT 1")
        .bind(domain.as_str())
        .bind(int(seq.0))
        .fetch_optional(db)
        .await?
        .map(|row| cbor(&row, "manifest"))
        .transpose()
}
