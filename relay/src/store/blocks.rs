//! Blocks: who wants to hear nothing from whom.

use posthouse_spec::AccountId;

use super::columns::Columns;
use super::error::StoreError;
use super::handle::Store;

impl Store {
    /// Blocks an account for `by`, or no longer.
    ///
    /// # Errors
    /// The store failed.
    pub async fn set_block(
        &self,
        by: &AccountId,
        account: &AccountId,
        blocked: bool,
    ) -> Result<(), StoreError> {
        let (by, account) = (*by, *account);
        let text = if blocked {
            "INSERT INTO blocks (by_account, account) VALUES (?,?) ON CONFLICT DO NOTHING"
        } else {
            "DELETE FROM blocks WHERE by_account = ? AND account = ?"
        };
        self.write(move |tx| {
            Box::pin(async move {
                sqlx::query(text)
                    .bind(by.as_bytes().as_slice())
                    .bind(account.as_bytes().as_slice())
                    .execute(&mut tx.conn)
                    .await
                    .map_err(StoreError::sql("keep a block"))?;
                // Rooms remember whom a block silences.
                tx.caches.rooms.clear();
                Ok(())
            })
        })
        .await
    }

    /// Whether `by` has blocked `account`.
    ///
    /// # Errors
    /// The store failed.
    pub async fn is_blocked(&self, by: &AccountId, account: &AccountId) -> Result<bool, StoreError> {
        let row = sqlx::query("SELECT count(*) FROM blocks WHERE by_account = ? AND account = ?")
            .bind(by.as_bytes().as_slice())
            .bind(account.as_bytes().as_slice())
            .fetch_one(self.readers())
            .await
            .map_err(StoreError::sql("look for a block"))?;
        Ok(row.number(0)? > 0)
    }
}
