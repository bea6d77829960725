//! Pinned manifests: by which keys other relays are known.

use posthouse_spec::manifest::Manifest;
use posthouse_spec::{Domain, Signed};

use super::columns::Columns;
use super::error::StoreError;
use super::handle::Store;

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
        let Some(row) = row else { return Ok(None) };
        Signed::from_bytes(row.blob(0)?.into()).map(Some).map_err(|e| StoreError::damaged(e.to_string()))
    }

    /// Pins a manifest that was checked against the one before it.
    ///
    /// # Errors
    /// The store failed.
    pub async fn pin(&self, domain: &Domain, manifest: &Signed<Manifest>) -> Result<(), StoreError> {
        let (domain, manifest) = (domain.clone(), manifest.clone());
        self.write(move |tx| {
            Box::pin(async move {
                sqlx::query(
                    "INSERT INTO pins (domain, manifest) VALUES (?,?) \
                     ON CONFLICT (domain) DO UPDATE SET manifest = excluded.manifest",
                )
                .bind(domain.as_str())
                .bind(&manifest.as_bytes()[..])
                .execute(&mut tx.conn)
                .await
                .map_err(StoreError::sql("pin a manifest"))?;
                Ok(())
            })
        })
        .await
    }
}
