//! Pinned manifests: by which keys other relays are known, and were; and the evidence against them.

use posthouse_spec::manifest::Manifest;
use posthouse_spec::{Domain, ManifestSeq, Millis, Signed};
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::columns::{Columns, sql};
use super::error::StoreError;
use super::handle::Store;

/// Manifests of one domain that are kept: the newest ones.
const MAX_KEPT: i64 = 256;
/// Pieces of evidence that are kept against one domain: the first ones, since each says the same.
const MAX_EVIDENCE: i64 = 8;

/// Two manifests of one position, as they were found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestEvidence {
    /// The one that was pinned when the other one came.
    pub pinned: Signed<Manifest>,
    /// The other one.
    pub other: Signed<Manifest>,
    /// When it was found.
    pub found: Millis,
    /// Whether the operator has decided since.
    pub settled: bool,
}

impl Store {
    /// The newest manifest that was pinned for a domain.
    ///
    /// # Errors
    /// The store failed.
    pub async fn pinned(&self, domain: &Domain) -> Result<Option<Signed<Manifest>>, StoreError> {
        let row = sqlx::query("SELECT manifest FROM pins WHERE domain = ?")
            .bind(domain.as_str())
            .fetch_optional(self.readers())
            .await
            .map_err(StoreError::sql("find a pinned manifest"))?;
        row.map(|row| signed(&row, 0)).transpose()
    }

    /// Pins a manifest that was checked against the one before it, which is kept too.
    ///
    /// # Errors
    /// The store failed.
    pub async fn pin(&self, domain: &Domain, manifest: &Signed<Manifest>) -> Result<(), StoreError> {
        let (domain, manifest) = (domain.clone(), manifest.clone());
        self.write(move |tx| {
            Box::pin(async move {
                let conn = &mut tx.conn;
                if let Some(before) = pinned_now(conn, &domain).await? {
                    keep(conn, &domain, &before).await?;
                }
                replace(conn, &domain, &manifest).await?;
                keep(conn, &domain, &manifest).await?;
                trim(conn, &domain).await
            })
        })
        .await
    }

    /// The oldest kept manifest of a domain at this position or behind it.
    ///
    /// # Errors
    /// The store failed.
    pub async fn pinned_from(
        &self,
        domain: &Domain,
        seq: ManifestSeq,
    ) -> Result<Option<Signed<Manifest>>, StoreError> {
        let text = "SELECT manifest FROM manifests WHERE domain = ? AND seq >= ? ORDER BY seq LIMIT 1";
        let row = sqlx::query(text)
            .bind(domain.as_str())
            .bind(sql(seq.0))
            .fetch_optional(self.readers())
            .await
            .map_err(StoreError::sql("find a kept manifest"))?;
        if let Some(row) = row {
            return signed(&row, 0).map(Some);
        }
        // What was pinned before manifests were kept stands among the pins alone.
        let pinned = self.pinned(domain).await?;
        Ok(pinned.filter(|pinned| position(pinned).is_ok_and(|pinned| pinned >= seq)))
    }

    /// Keeps an earlier link of a domain's chain that was proven to lie before a pinned manifest.
    ///
    /// # Errors
    /// The store failed.
    pub async fn keep_link(&self, domain: &Domain, link: &Signed<Manifest>) -> Result<(), StoreError> {
        let (domain, link) = (domain.clone(), link.clone());
        self.write(move |tx| {
            Box::pin(async move {
                keep(&mut tx.conn, &domain, &link).await?;
                trim(&mut tx.conn, &domain).await
            })
        })
        .await
    }

    /// Keeps evidence against a domain. Whether it is new.
    ///
    /// # Errors
    /// The store failed.
    pub async fn keep_manifest_evidence(
        &self,
        domain: &Domain,
        evidence: &ManifestEvidence,
    ) -> Result<bool, StoreError> {
        let (domain, evidence) = (domain.clone(), evidence.clone());
        self.write(move |tx| {
            Box::pin(async move {
                let done = sqlx::query(
                    "INSERT INTO manifest_evidence (domain, pinned, other, found, settled) \
                     SELECT ?1, ?2, ?3, ?4, 0 WHERE NOT EXISTS (SELECT 1 FROM manifest_evidence \
                     WHERE domain = ?1 AND pinned = ?2 AND other = ?3 AND settled = 0) \
                     AND (SELECT count(*) FROM manifest_evidence WHERE domain = ?1 AND settled = 0) < ?5",
                )
                .bind(domain.as_str())
                .bind(&evidence.pinned.as_bytes()[..])
                .bind(&evidence.other.as_bytes()[..])
                .bind(sql(evidence.found.0))
                .bind(MAX_EVIDENCE)
                .execute(&mut tx.conn)
                .await
                .map_err(StoreError::sql("keep evidence against a relay"))?;
                Ok(done.rows_affected() > 0)
            })
        })
        .await
    }

    /// The evidence against a domain, the oldest first.
    ///
    /// # Errors
    /// The store failed.
    pub async fn manifest_evidence(&self, domain: &Domain) -> Result<Vec<ManifestEvidence>, StoreError> {
        let text = "SELECT pinned, other, found, settled FROM manifest_evidence WHERE domain = ? ORDER BY id";
        let rows = sqlx::query(text)
            .bind(domain.as_str())
            .fetch_all(self.readers())
            .await
            .map_err(StoreError::sql("find evidence against a relay"))?;
        let evidence = |row: &SqliteRow| {
            Ok(ManifestEvidence {
                pinned: signed(row, 0)?,
                other: signed(row, 1)?,
                found: Millis(row.number(2)?),
                settled: row.number(3)? != 0,
            })
        };
        rows.iter().map(evidence).collect()
    }

    /// Begins anew with a domain: this manifest takes the place of its pin and of all links, and the evidence against
    /// it counts as settled.
    ///
    /// # Errors
    /// The store failed.
    pub async fn repin(&self, domain: &Domain, manifest: &Signed<Manifest>) -> Result<(), StoreError> {
        let (domain, manifest) = (domain.clone(), manifest.clone());
        self.write(move |tx| {
            Box::pin(async move {
                let conn = &mut tx.conn;
                let steps = [
                    "DELETE FROM manifests WHERE domain = ?1",
                    // Settled pieces are a record for the operator; the bound is for them, too.
                    "DELETE FROM manifest_evidence WHERE domain = ?1 AND settled = 1 AND EXISTS \
                     (SELECT 1 FROM manifest_evidence WHERE domain = ?1 AND settled = 0)",
                    "UPDATE manifest_evidence SET settled = 1 WHERE domain = ?1",
                ];
                for text in steps {
                    sqlx::query(text)
                        .bind(domain.as_str())
                        .execute(&mut *conn)
                        .await
                        .map_err(StoreError::sql("pin a manifest anew"))?;
                }
                replace(conn, &domain, &manifest).await?;
                keep(conn, &domain, &manifest).await
            })
        })
        .await
    }
}

fn signed(row: &SqliteRow, column: usize) -> Result<Signed<Manifest>, StoreError> {
    Signed::from_bytes(row.blob(column)?.into()).map_err(|e| StoreError::damaged(e.to_string()))
}

fn position(manifest: &Signed<Manifest>) -> Result<ManifestSeq, StoreError> {
    manifest.peek().map(|manifest| manifest.seq).map_err(|e| StoreError::damaged(e.to_string()))
}

async fn pinned_now(
    conn: &mut SqliteConnection,
    domain: &Domain,
) -> Result<Option<Signed<Manifest>>, StoreError> {
    let row = sqlx::query("SELECT manifest FROM pins WHERE domain = ?")
        .bind(domain.as_str())
        .fetch_optional(conn)
        .await
        .map_err(StoreError::sql("find a pinned manifest"))?;
    row.map(|row| signed(&row, 0)).transpose()
}

async fn replace(
    conn: &mut SqliteConnection,
    domain: &Domain,
    manifest: &Signed<Manifest>,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO pins (domain, manifest) VALUES (?,?) \
         ON CONFLICT (domain) DO UPDATE SET manifest = excluded.manifest",
    )
    .bind(domain.as_str())
    .bind(&manifest.as_bytes()[..])
    .execute(conn)
    .await
    .map_err(StoreError::sql("pin a manifest"))?;
    Ok(())
}

async fn keep(
    conn: &mut SqliteConnection,
    domain: &Domain,
    manifest: &Signed<Manifest>,
) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO manifests (domain, seq, manifest) VALUES (?,?,?) ON CONFLICT DO NOTHING")
        .bind(domain.as_str())
        .bind(sql(position(manifest)?.0))
        .bind(&manifest.as_bytes()[..])
        .execute(conn)
        .await
        .map_err(StoreError::sql("keep a manifest"))?;
    Ok(())
}

async fn trim(conn: &mut SqliteConnection, domain: &Domain) -> Result<(), StoreError> {
    sqlx::query(
        "DELETE FROM manifests WHERE domain = ?1 AND seq <= \
         (SELECT seq FROM manifests WHERE domain = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2)",
    )
    .bind(domain.as_str())
    .bind(MAX_KEPT)
    .execute(conn)
    .await
    .map_err(StoreError::sql("forget the oldest manifests"))?;
    Ok(())
}
