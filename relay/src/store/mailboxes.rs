//! Mailboxes: hello, what waits, and acknowledgements.

use futures::TryStreamExt as _;
use posthouse_spec::MailboxSeq;
use posthouse_spec::client::socket::Hello;
use sqlx::AssertSqlSafe;

use super::columns::{Columns, sql};
use super::error::StoreError;
use super::handle::Store;
use super::items::{DELIVERY_COLUMNS, delivery};
use super::rows::limit;
use super::tx::Tx;
use super::types::{HelloOutcome, Waiting};
use crate::mailbox::{MailboxKey, Resume, resume};

impl Store {
    /// Judges a device's hello. The first one binds its vault; what it says it holds is acknowledged.
    ///
    /// # Errors
    /// The store failed.
    pub fn hello(
        &self,
        who: MailboxKey,
        hello: &Hello,
    ) -> impl Future<Output = Result<HelloOutcome, StoreError>> + Send + 'static {
        let hello = hello.clone();
        self.queue(move |tx| Box::pin(async move { tx.hello(&who, &hello).await }))
    }

    /// What waits behind `after`, in order: at most `max_items` of at most `max_bytes` together, and one at least if
    /// there is any.
    ///
    /// # Errors
    /// The store failed.
    pub async fn pending(
        &self,
        who: MailboxKey,
        after: MailboxSeq,
        max_items: usize,
        max_bytes: usize,
    ) -> Result<Vec<Waiting>, StoreError> {
        let text = format!(
            "SELECT m.seq, {DELIVERY_COLUMNS} FROM mailbox m JOIN items i ON i.id = m.item \
             WHERE m.device = (SELECT id FROM devices WHERE account = ? AND device = ? AND active = 1) AND m.seq > ? \
             ORDER BY m.seq LIMIT {}",
            limit(max_items)
        );
        let mut rows = sqlx::query(AssertSqlSafe(text))
            .bind(who.account.as_bytes().as_slice())
            .bind(who.device.as_bytes().as_slice())
            .bind(sql(after.0))
            .fetch(self.readers());
        let (mut waiting, mut bytes) = (Vec::new(), 0);
        while let Some(row) = rows.try_next().await.map_err(StoreError::sql("read a mailbox"))? {
            let item = Waiting { seq: MailboxSeq(row.number(0)?), delivery: delivery(&row)? };
            bytes += item.delivery.len();
            if bytes > max_bytes && !waiting.is_empty() {
                break;
            }
            waiting.push(item);
            if waiting.len() >= max_items {
                break;
            }
        }
        Ok(waiting)
    }

    /// Deletes what the device has made durable, up to a position.
    ///
    /// # Errors
    /// The store failed.
    pub fn acknowledge(
        &self,
        who: MailboxKey,
        through: MailboxSeq,
    ) -> impl Future<Output = Result<(), StoreError>> + Send + 'static {
        self.queue(move |tx| Box::pin(async move { tx.acknowledge(&who, through).await }))
    }
}

impl Tx {
    async fn hello(&mut self, who: &MailboxKey, hello: &Hello) -> Result<HelloOutcome, StoreError> {
        let Some(entry) = self.device(who).await? else { return Ok(HelloOutcome::UnknownDevice) };
        let known = entry.state();
        match resume(&known, hello) {
            Resume::Continue => {}
            Resume::RolledBack(why) => return Ok(HelloOutcome::RolledBack(why)),
            Resume::Ahead { shift } => {
                tracing::error!(account = %who.account, device = %who.device, holds = %hello.acked, given = %known.given,
                    "a device holds mailbox positions that this relay has never given out: the relay was restored from an \
                     older copy. What it has taken since goes behind them");
                self.move_up(who, known.given, shift).await?;
            }
        }
        let Some(entry) = self.device(who).await? else { return Ok(HelloOutcome::UnknownDevice) };
        entry.incarnation = Some(hello.incarnation);
        // Durable with this, before anything is pushed: the next start must not take for new what may have been given out.
        entry.greeted = true;
        self.pending.devices.insert(*who);
        self.acknowledge(who, hello.acked).await?;
        let Some(entry) = self.device(who).await? else { return Ok(HelloOutcome::UnknownDevice) };
        let head = MailboxSeq(entry.next.0 - 1);
        Ok(HelloOutcome::Ready { accepted: entry.window.accepted(), acked: entry.acked, head })
    }

    /// Moves what lies behind `given` up by so many positions: a position that the device knows is never used again.
    async fn move_up(&mut self, who: &MailboxKey, given: MailboxSeq, shift: u64) -> Result<(), StoreError> {
        self.flush().await?;
        let Some(entry) = self.device(who).await? else { return Ok(()) };
        entry.next = MailboxSeq(entry.next.0.saturating_add(shift));
        entry.given = MailboxSeq(given.0.saturating_add(shift));
        let (device, doing) = (entry.id, "move a mailbox behind what its device holds");
        // Over negative numbers, because no two rows may have one position even for a moment.
        sqlx::query("UPDATE mailbox SET seq = -(seq + ?) WHERE device = ? AND seq > ?")
            .bind(sql(shift))
            .bind(device)
            .bind(sql(given.0))
            .execute(&mut self.conn)
            .await
            .map_err(StoreError::sql(doing))?;
        sqlx::query("UPDATE mailbox SET seq = -seq WHERE device = ? AND seq < 0")
            .bind(device)
            .execute(&mut self.conn)
            .await
            .map_err(StoreError::sql(doing))?;
        Ok(())
    }

    async fn acknowledge(&mut self, who: &MailboxKey, through: MailboxSeq) -> Result<(), StoreError> {
        let Some(entry) = self.device(who).await? else { return Ok(()) };
        let through = through.min(MailboxSeq(entry.next.0 - 1));
        if through <= entry.acked {
            return Ok(());
        }
        entry.acked = through;
        entry.rooms.clear();
        if through.next() == entry.next {
            entry.bytes = 0;
        }
        let device = entry.id;
        self.pending.mailbox_acks.insert(device, through);
        self.pending.devices.insert(*who);
        Ok(())
    }
}
