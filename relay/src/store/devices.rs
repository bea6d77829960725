//! Devices that live here, as the writer sees them: where each stands, and what goes into its mailbox.

use posthouse_spec::{Incarnation, MailboxSeq, Number, RoomId};
use sqlx::Row as _;

use super::cache::DeviceEntry;
use super::columns::Columns;
use super::error::StoreError;
use super::items::NewItem;
use super::tx::Tx;
use crate::mailbox::{MailboxKey, NumberWindow};
use crate::quota::Backlog;

impl Tx {
    /// An active device that lives here.
    pub(crate) async fn device(&mut self, who: &MailboxKey) -> Result<Option<&mut DeviceEntry>, StoreError> {
        if !self.caches.devices.contains_key(who) {
            let entry = self.load_device(who).await?;
            self.caches.devices.insert(*who, entry);
        }
        Ok(self.caches.devices.get_mut(who).and_then(Option::as_mut))
    }

    async fn load_device(&mut self, who: &MailboxKey) -> Result<Option<DeviceEntry>, StoreError> {
        let row = sqlx::query(
            "SELECT d.id, s.incarnation, s.accepted, s.acked, s.next, s.given, s.greeted, \
             (SELECT coalesce(sum(length(i.body)), 0) FROM mailbox m JOIN items i ON i.id = m.item WHERE m.device = d.id) \
             FROM devices d LEFT JOIN device_state s ON s.device = d.id \
             WHERE d.account = ? AND d.device = ? AND d.active = 1",
        )
        .bind(who.account.as_bytes().as_slice())
        .bind(who.device.as_bytes().as_slice())
        .fetch_optional(&mut self.conn)
        .await
        .map_err(StoreError::sql("find a device"))?;
        let Some(row) = row else { return Ok(None) };
        let (id, bytes) = (row.row_id(0)?, row.number(7)?);
        if row.try_get::<Option<i64>, _>(2).map_err(StoreError::sql("find a device"))?.is_none() {
            return Ok(Some(DeviceEntry {
                id,
                incarnation: None,
                window: NumberWindow::default(),
                trimmed: Number(0),
                acked: MailboxSeq(0),
                next: MailboxSeq(1),
                given: MailboxSeq(0),
                greeted: false,
                bytes,
                rooms: Default::default(),
            }));
        }
        let incarnation = match row.blob_or_null(1)? {
            Some(bytes) => Some(
                Incarnation::from_slice(&bytes)
                    .ok_or_else(|| StoreError::damaged("an incarnation's length"))?,
            ),
            None => None,
        };
        let window = self.load_window(id, Number(row.number(2)?)).await?;
        Ok(Some(DeviceEntry {
            id,
            incarnation,
            trimmed: Number(window.forgotten().0),
            window,
            acked: MailboxSeq(row.number(3)?),
            next: MailboxSeq(row.number(4)?),
            given: MailboxSeq(row.number(5)?),
            greeted: row.number(6)? != 0,
            bytes,
            rooms: Default::default(),
        }))
    }

    async fn load_window(&mut self, device: i64, accepted: Number) -> Result<NumberWindow, StoreError> {
        let forgotten = NumberWindow::restore(accepted, []).forgotten();
        let rows =
            sqlx::query("SELECT body_hash FROM submits WHERE device = ? AND number > ? ORDER BY number")
                .bind(device)
                .bind(super::columns::sql(forgotten.0))
                .fetch_all(&mut self.conn)
                .await
                .map_err(StoreError::sql("recall a device's submits"))?;
        let hashes = rows
            .iter()
            .map(|row| row.fixed(0, |bytes| bytes.try_into().ok()))
            .collect::<Result<Vec<[u8; 32]>, StoreError>>()?;
        Ok(NumberWindow::restore(accepted, hashes))
    }

    /// Whether one more item fits what waits for a device in a room. An unknown device takes nothing.
    pub(crate) async fn has_space(
        &mut self,
        who: &MailboxKey,
        room: RoomId,
        bytes: u64,
    ) -> Result<bool, StoreError> {
        let quota = self.quota;
        let Some(entry) = self.device(who).await? else { return Ok(false) };
        // What waits in all rooms together bounds what waits in this one, and costs nothing to know.
        if quota.admits(entry.backlog(), bytes) {
            return Ok(true);
        }
        if let Some(backlog) = entry.rooms.get(&room) {
            return Ok(quota.admits(*backlog, bytes));
        }
        let device = entry.id;
        let backlog = self.count_backlog(device, room).await?;
        if let Some(entry) = self.device(who).await? {
            entry.rooms.insert(room, backlog);
        }
        Ok(quota.admits(backlog, bytes))
    }

    async fn count_backlog(&mut self, device: i64, room: RoomId) -> Result<Backlog, StoreError> {
        self.flush().await?;
        let row = sqlx::query(
            "SELECT count(*), coalesce(sum(length(i.body)), 0) \
             FROM mailbox m JOIN items i ON i.id = m.item WHERE m.device = ? AND i.room = ?",
        )
        .bind(device)
        .bind(room.as_bytes().as_slice())
        .fetch_one(&mut self.conn)
        .await
        .map_err(StoreError::sql("count what waits in a room"))?;
        Ok(Backlog { items: row.number(0)?, bytes: row.number(1)? })
    }

    /// Puts a stored item into a mailbox. A device that is unknown here, or was revoked, gets nothing.
    pub(crate) async fn deliver(
        &mut self,
        who: &MailboxKey,
        item: i64,
        room: RoomId,
        bytes: u64,
    ) -> Result<(), StoreError> {
        let Some(entry) = self.device(who).await? else { return Ok(()) };
        let (device, seq) = (entry.id, entry.next);
        entry.next = seq.next();
        entry.bytes += bytes;
        if let Some(backlog) = entry.rooms.get_mut(&room) {
            backlog.add(bytes);
        }
        self.pending.mailbox.push((device, seq, item));
        self.pending.devices.insert(*who);
        self.woken.mailboxes.insert(*who);
        Ok(())
    }

    /// Those of `mailboxes` that exist: the devices that are active here.
    pub(crate) async fn existing(
        &mut self,
        mailboxes: Vec<MailboxKey>,
    ) -> Result<Vec<MailboxKey>, StoreError> {
        let mut existing = Vec::with_capacity(mailboxes.len());
        for who in mailboxes {
            if self.device(&who).await?.is_some() {
                existing.push(who);
            }
        }
        Ok(existing)
    }

    /// Stores an item and puts it into each of the mailboxes that exist, full or not: for what must never be refused.
    pub(crate) async fn deliver_all(
        &mut self,
        mailboxes: Vec<MailboxKey>,
        item: NewItem,
    ) -> Result<(), StoreError> {
        let mailboxes = self.existing(mailboxes).await?;
        if mailboxes.is_empty() {
            return Ok(());
        }
        let (room, bytes) = (item.room, item.body.len() as u64);
        let id = self.put_item(item);
        for who in &mailboxes {
            self.deliver(who, id, room, bytes).await?;
        }
        Ok(())
    }
}
