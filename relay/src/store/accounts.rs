//! Accounts that live here: their chains, aliases and devices.

use futures::TryStreamExt as _;
use posthouse_crypto::{Account, event_hash};
use posthouse_spec::account::{AccountRecord, AliasBinding, Event};
use posthouse_spec::cbor::List;
use posthouse_spec::{AccountId, AliasName, DeviceId, EventHash, Millis, Signed};

use super::columns::{Columns, sql};
use super::error::StoreError;
use super::handle::Store;
use super::tx::Tx;
use super::types::{AppendOutcome, RegisterOutcome};
use crate::mailbox::MailboxKey;

impl Store {
    /// Registers an account under an alias. A repeat gets the binding that was made before; `invite` is the hash of an
    /// invite token, which is used up by a new registration alone.
    ///
    /// # Errors
    /// The store failed.
    pub async fn register(
        &self,
        now: Millis,
        account: &Account,
        name: &AliasName,
        binding: &Signed<AliasBinding>,
        invite: Option<[u8; 32]>,
    ) -> Result<RegisterOutcome, StoreError> {
        let (account, name, binding) = (account.clone(), name.clone(), binding.clone());
        self.write(move |tx| {
            Box::pin(async move { tx.register(now, &account, &name, &binding, invite).await })
        })
        .await
    }

    /// An account that lives here.
    ///
    /// # Errors
    /// The store failed.
    pub async fn account(&self, account: &AccountId) -> Result<Option<Account>, StoreError> {
        let chain = self.chain(account).await?;
        if chain.is_empty() {
            return Ok(None);
        }
        Account::validate(&chain)
            .map(Some)
            .map_err(|e| StoreError::damaged(format!("the chain of {account}: {e}")))
    }

    /// Who is behind a name here.
    ///
    /// # Errors
    /// The store failed.
    pub async fn by_alias(&self, name: &AliasName) -> Result<Option<AccountId>, StoreError> {
        let row = sqlx::query("SELECT account FROM aliases WHERE name = ?")
            .bind(name.as_str())
            .fetch_optional(self.readers())
            .await
            .map_err(StoreError::sql("find an alias"))?;
        row.map(|row| row.fixed(0, AccountId::from_slice)).transpose()
    }

    /// The alias binding of an account here, with its chain.
    ///
    /// # Errors
    /// The store failed.
    pub async fn record(&self, account: &AccountId) -> Result<Option<AccountRecord>, StoreError> {
        let row = sqlx::query("SELECT binding FROM aliases WHERE account = ?")
            .bind(account.as_bytes().as_slice())
            .fetch_optional(self.readers())
            .await
            .map_err(StoreError::sql("find an account's alias"))?;
        let Some(row) = row else { return Ok(None) };
        let damaged = |e: posthouse_spec::Malformed| StoreError::damaged(e.to_string());
        let binding = Signed::from_bytes(row.blob(0)?.into()).map_err(damaged)?;
        let chain = List::new(self.chain(account).await?).map_err(damaged)?;
        Ok(Some(AccountRecord { binding, chain }))
    }

    /// Appends an event to an account's chain, if it extends the head that is stored. Revoked devices lose their
    /// sessions, mailboxes and key packages in the same transaction.
    ///
    /// # Errors
    /// The store failed.
    pub async fn append_event(
        &self,
        account: &AccountId,
        event: &Signed<Event>,
    ) -> Result<AppendOutcome, StoreError> {
        let Some(mut known) = self.account(account).await? else { return Ok(AppendOutcome::UnknownAccount) };
        let hash = event_hash(event);
        if known.chain().iter().any(|old| event_hash(old) == hash) {
            return Ok(AppendOutcome::Same);
        }
        let expected = known.head();
        if known.extend(event.clone()).is_err() {
            return Ok(AppendOutcome::Conflict);
        }
        let event = event.clone();
        self.write(move |tx| Box::pin(async move { tx.append(&known, expected, &event).await })).await
    }

    async fn chain(&self, account: &AccountId) -> Result<Vec<Signed<Event>>, StoreError> {
        let doing = "read an account's chain";
        let mut rows = sqlx::query("SELECT event FROM events WHERE account = ? ORDER BY seq")
            .bind(account.as_bytes().as_slice())
            .fetch(self.readers());
        let mut chain = Vec::new();
        while let Some(row) = rows.try_next().await.map_err(StoreError::sql(doing))? {
            let event =
                Signed::from_bytes(row.blob(0)?.into()).map_err(|e| StoreError::damaged(e.to_string()))?;
            chain.push(event);
        }
        Ok(chain)
    }
}

impl Tx {
    async fn register(
        &mut self,
        now: Millis,
        account: &Account,
        name: &AliasName,
        binding: &Signed<AliasBinding>,
        invite: Option<[u8; 32]>,
    ) -> Result<RegisterOutcome, StoreError> {
        let id = account.id();
        // An alias has one account and an account has one alias here, so one row decides.
        let bound = sqlx::query("SELECT name, account, binding FROM aliases WHERE name = ? OR account = ?")
            .bind(name.as_str())
            .bind(id.as_bytes().as_slice())
            .fetch_optional(&mut self.conn)
            .await
            .map_err(StoreError::sql("look whether an alias is free"))?;
        if let Some(row) = bound {
            let same_name = sqlx::Row::try_get::<&str, _>(&row, 0).is_ok_and(|bound| bound == name.as_str());
            if !same_name || row.fixed(1, AccountId::from_slice)? != id {
                return Ok(RegisterOutcome::AliasTaken);
            }
            let binding =
                Signed::from_bytes(row.blob(2)?.into()).map_err(|e| StoreError::damaged(e.to_string()))?;
            return Ok(RegisterOutcome::Same(binding));
        }
        if let Some(token_hash) = invite
            && !self.use_invite(now, token_hash).await?
        {
            return Ok(RegisterOutcome::InvalidInvite);
        }
        sqlx::query("INSERT INTO accounts (account, head, seq, created) VALUES (?,?,?,?)")
            .bind(id.as_bytes().as_slice())
            .bind(account.head().as_bytes().as_slice())
            .bind(sql(account.seq().0))
            .bind(sql(now.0))
            .execute(&mut self.conn)
            .await
            .map_err(StoreError::sql("store an account"))?;
        for (event, seq) in account.chain().iter().zip(0..) {
            self.write_event(&id, seq, event).await?;
        }
        sqlx::query("INSERT INTO aliases (name, account, binding) VALUES (?,?,?)")
            .bind(name.as_str())
            .bind(id.as_bytes().as_slice())
            .bind(&binding.as_bytes()[..])
            .execute(&mut self.conn)
            .await
            .map_err(StoreError::sql("bind an alias"))?;
        self.sync_devices(account).await?;
        Ok(RegisterOutcome::Registered)
    }

    async fn append(
        &mut self,
        account: &Account,
        expected: EventHash,
        event: &Signed<Event>,
    ) -> Result<AppendOutcome, StoreError> {
        let id = account.id();
        let moved = sqlx::query("UPDATE accounts SET head = ?, seq = ? WHERE account = ? AND head = ?")
            .bind(account.head().as_bytes().as_slice())
            .bind(sql(account.seq().0))
            .bind(id.as_bytes().as_slice())
            .bind(expected.as_bytes().as_slice())
            .execute(&mut self.conn)
            .await
            .map_err(StoreError::sql("move an account's head"))?;
        if moved.rows_affected() == 0 {
            return Ok(AppendOutcome::Conflict);
        }
        self.write_event(&id, account.seq().0, event).await?;
        self.sync_devices(account).await?;
        Ok(AppendOutcome::Appended)
    }

    async fn write_event(
        &mut self,
        account: &AccountId,
        seq: u64,
        event: &Signed<Event>,
    ) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO events (account, seq, event) VALUES (?,?,?)")
            .bind(account.as_bytes().as_slice())
            .bind(sql(seq))
            .bind(&event.as_bytes()[..])
            .execute(&mut self.conn)
            .await
            .map_err(StoreError::sql("store an account's event"))?;
        Ok(())
    }

    /// Makes mailboxes for new devices, and closes those of devices that are active no more.
    async fn sync_devices(&mut self, account: &Account) -> Result<(), StoreError> {
        let id = account.id();
        for keys in account.devices() {
            sqlx::query(
                "INSERT INTO devices (account, device, active) VALUES (?,?,1) ON CONFLICT DO NOTHING",
            )
            .bind(id.as_bytes().as_slice())
            .bind(keys.device.as_bytes().as_slice())
            .execute(&mut self.conn)
            .await
            .map_err(StoreError::sql("make a mailbox"))?;
            self.caches.devices.remove(&MailboxKey { account: id, device: keys.device });
        }
        let rows = sqlx::query("SELECT id, device FROM devices WHERE account = ? AND active = 1")
            .bind(id.as_bytes().as_slice())
            .fetch_all(&mut self.conn)
            .await
            .map_err(StoreError::sql("list an account's devices"))?;
        for row in rows {
            let device = row.fixed(1, DeviceId::from_slice)?;
            if !account.is_active(&device) {
                self.close_mailbox(MailboxKey { account: id, device }, row.row_id(0)?).await?;
            }
        }
        Ok(())
    }

    async fn close_mailbox(&mut self, who: MailboxKey, device: i64) -> Result<(), StoreError> {
        let doing = "close a revoked device's mailbox";
        self.flush().await?;
        self.caches.devices.remove(&who);
        for text in [
            "UPDATE devices SET active = 0 WHERE id = ?",
            "DELETE FROM submits WHERE device = ?",
            "DELETE FROM key_packages WHERE device = ?",
        ] {
            sqlx::query(text).bind(device).execute(&mut self.conn).await.map_err(StoreError::sql(doing))?;
        }
        self.pending.mailbox_acks.insert(device, posthouse_spec::MailboxSeq(u64::MAX));
        self.end_sessions(who).await
    }
}
