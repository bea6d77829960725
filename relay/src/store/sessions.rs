//! Sessions, by the hashes of their tokens.

use posthouse_spec::{AccountId, DeviceId, Millis};

use super::columns::{Columns, sql};
use super::error::StoreError;
use super::handle::Store;
use super::tx::Tx;
use super::types::Session;
use crate::mailbox::MailboxKey;

impl Store {
    /// Keeps a session.
    ///
    /// # Errors
    /// The store failed.
    pub async fn put_session(
        &self,
        token_hash: [u8; 32],
        who: MailboxKey,
        expires: Millis,
    ) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                sqlx::query("INSERT INTO sessions (token_hash, account, device, expires) VALUES (?,?,?,?)")
                    .bind(token_hash.to_vec())
                    .bind(who.account.as_bytes().as_slice())
                    .bind(who.device.as_bytes().as_slice())
                    .bind(sql(expires.0))
                    .execute(&mut tx.conn)
                    .await
                    .map_err(StoreError::sql("keep a session"))?;
                Ok(())
            })
        })
        .await
    }

    /// The session of a token, if it has not ended.
    ///
    /// # Errors
    /// The store failed.
    pub async fn session(&self, token_hash: [u8; 32], now: Millis) -> Result<Option<Session>, StoreError> {
        let row =
            sqlx::query("SELECT account, device, expires FROM sessions WHERE token_hash = ? AND expires > ?")
                .bind(token_hash.to_vec())
                .bind(sql(now.0))
                .fetch_optional(self.readers())
                .await
                .map_err(StoreError::sql("find a session"))?;
        let Some(row) = row else { return Ok(None) };
        let who = MailboxKey {
            account: row.fixed(0, AccountId::from_slice)?,
            device: row.fixed(1, DeviceId::from_slice)?,
        };
        Ok(Some(Session { who, expires: Millis(row.number(2)?) }))
    }

    /// Ends all sessions of a device.
    ///
    /// # Errors
    /// The store failed.
    pub async fn end_sessions(&self, who: MailboxKey) -> Result<(), StoreError> {
        self.write(move |tx| Box::pin(async move { tx.end_sessions(who).await })).await
    }
}

impl Tx {
    pub(crate) async fn end_sessions(&mut self, who: MailboxKey) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM sessions WHERE account = ? AND device = ?")
            .bind(who.account.as_bytes().as_slice())
            .bind(who.device.as_bytes().as_slice())
            .execute(&mut self.conn)
            .await
            .map_err(StoreError::sql("end sessions"))?;
        Ok(())
    }
}
