//! Expiry: what has waited longer than the retention goes, and its senders are told.

use posthouse_spec::client::delivery::Failure;
use posthouse_spec::envelope::{Item, MessageItem, Undelivered};
use posthouse_spec::{Domain, Incarnation, LaneSeq, Millis, Number, RoomId};
use sqlx::sqlite::SqliteRow;

use super::columns::{Columns, sql};
use super::error::StoreError;
use super::handle::Store;
use super::items::Submitter;
use super::tx::Tx;
use super::types::{LaneId, Swept};

/// Rows that one transaction expires: a bound on how long others wait for it.
const CHUNK: i64 = 512;

/// What a sender is told of an expired message.
const EXPIRED: &str = "it waited longer than messages are kept, and nobody came for it";

/// What ends at a time of its own.
const ENDED: [&str; 3] = [
    "DELETE FROM sessions WHERE expires < ?",
    "DELETE FROM invites WHERE expires < ?",
    "DELETE FROM key_packages WHERE not_after < ?",
];
/// What is kept for the retention and no longer. A room's log is kept as far back as its snapshot needs it.
const KEPT: [&str; 4] = [
    "DELETE FROM refusals WHERE created < ?",
    "DELETE FROM claims WHERE created < ?",
    "DELETE FROM tickets WHERE created < ?",
    "DELETE FROM commits WHERE created < ? AND epoch < (SELECT s.epoch FROM snapshots s WHERE s.room = commits.room)",
];
/// Rosters are kept for the epochs of which messages may still come: as far back as the log reaches.
const ROSTERS: &str = "DELETE FROM members WHERE to_epoch <= coalesce( \
     (SELECT min(c.epoch) FROM commits c WHERE c.room = members.room), \
     (SELECT s.epoch FROM snapshots s WHERE s.room = members.room))";

impl Store {
    /// Expires what has waited longer than `retention_ms`. Called now and then.
    ///
    /// # Errors
    /// The store failed; the next sweep goes on.
    pub async fn sweep(&self, now: Millis, retention_ms: u64) -> Result<Swept, StoreError> {
        let before = Millis(now.0.saturating_sub(retention_ms));
        let mut swept = Swept::default();
        let old = self.write(move |tx| Box::pin(async move { tx.old_items(before).await })).await?;
        loop {
            let expired =
                self.write(move |tx| Box::pin(async move { tx.expire_mailboxes(now, old).await })).await?;
            swept.mailbox += expired;
            if expired == 0 {
                break;
            }
        }
        for lane in self.waiting_lanes().await? {
            loop {
                let lane = lane.clone();
                let expired = self
                    .write(move |tx| Box::pin(async move { tx.expire_lane(now, &lane, old).await }))
                    .await?;
                swept.outbox += expired;
                if expired == 0 {
                    break;
                }
            }
        }
        loop {
            let expired =
                self.write(move |tx| Box::pin(async move { tx.expire_aside(now, before).await })).await?;
            swept.aside += expired;
            if expired == 0 {
                break;
            }
        }
        while self.write(move |tx| Box::pin(async move { tx.expire_words(before).await })).await? > 0 {}
        self.write(move |tx| Box::pin(async move { tx.expire_leftovers(now, before).await })).await?;
        self.checkpoint().await;
        Ok(swept)
    }
}

fn submitter(row: &SqliteRow, column: usize) -> Result<Option<Submitter>, StoreError> {
    let (device, number) = (row.row_id_or_null(column)?, row.row_id_or_null(column + 1)?);
    Ok(device.zip(number).map(|(device, number)| Submitter { device, number: Number(number.unsigned_abs()) }))
}

impl Tx {
    /// The item id below which everything is older than `before`: ids grow with time.
    async fn old_items(&mut self, before: Millis) -> Result<i64, StoreError> {
        let row = sqlx::query(
            "SELECT coalesce((SELECT id FROM items WHERE received >= ? ORDER BY id LIMIT 1), \
             (SELECT coalesce(max(id), 0) + 1 FROM items))",
        )
        .bind(sql(before.0))
        .fetch_one(&mut self.conn)
        .await
        .map_err(StoreError::sql("find expired items"))?;
        row.row_id(0)
    }

    /// Expires some mailbox rows; says how many.
    async fn expire_mailboxes(&mut self, now: Millis, old: i64) -> Result<u64, StoreError> {
        let doing = "expire mailboxes";
        let rows = sqlx::query(
            "SELECT m.device, m.seq, i.id, i.room, i.submitter, i.number, i.origin, i.mark FROM items i JOIN mailbox m ON m.item = i.id \
             WHERE i.id < ? ORDER BY i.id LIMIT ?",
        )
        .bind(old)
        .bind(CHUNK)
        .fetch_all(&mut self.conn)
        .await
        .map_err(StoreError::sql(doing))?;
        let mut told = None;
        for row in &rows {
            let item = row.row_id(2)?;
            sqlx::query("DELETE FROM mailbox WHERE device = ? AND seq = ?")
                .bind(row.row_id(0)?)
                .bind(row.row_id(1)?)
                .execute(&mut self.conn)
                .await
                .map_err(StoreError::sql(doing))?;
            self.pending.loose.push(item);
            if let Some(submitter) = submitter(row, 4)?.filter(|_| told != Some(item)) {
                let own = self.own.clone();
                self.tell_expired(now, submitter, row.fixed(3, RoomId::from_slice)?, own).await?;
                told = Some(item);
            }
            let mark = row.blob_or_null(7)?.filter(|_| told != Some(item));
            if let (Some(mark), origin) = (mark, row.domain(6)?)
                && origin != self.own
            {
                let room = row.fixed(3, RoomId::from_slice)?;
                self.word_back(now, &origin, room, &mark, Undelivered::Expired, EXPIRED).await?;
                told = Some(item);
            }
        }
        Ok(rows.len() as u64)
    }

    async fn tell_expired(
        &mut self,
        now: Millis,
        submitter: Submitter,
        room: RoomId,
        relay: Domain,
    ) -> Result<(), StoreError> {
        self.notice(now, submitter, room, relay, Failure::Expired, EXPIRED).await
    }

    /// Expires the old part of a lane. What is left begins a new life of the lane at position 1, because its receiver
    /// would wait for ever for the positions that are gone.
    async fn expire_lane(&mut self, now: Millis, lane: &LaneId, old: i64) -> Result<u64, StoreError> {
        let doing = "expire the outbox";
        let (id, base) = {
            let entry = self.lane(lane).await?;
            (entry.id, entry.base)
        };
        let rows = sqlx::query(
            "SELECT o.seq, i.id, i.room, i.submitter, i.number FROM outbox o JOIN items i ON i.id = o.item \
             WHERE o.lane = ? AND i.id < ? ORDER BY o.seq LIMIT ?",
        )
        .bind(id)
        .bind(old)
        .bind(CHUNK)
        .fetch_all(&mut self.conn)
        .await
        .map_err(StoreError::sql(doing))?;
        let Some(last) = rows.last() else { return Ok(0) };
        let last = LaneSeq(last.number(0)?);
        tracing::warn!(peer = %lane.peer, class = %lane.class, items = rows.len(), "items expired that a relay never came for");
        for row in &rows {
            if let Some(submitter) = submitter(row, 3)? {
                let room = row.fixed(2, RoomId::from_slice)?;
                self.tell_expired(now, submitter, room, lane.peer.clone()).await?;
            }
        }
        self.empty_lane(lane, last.next()).await?;
        let entry = self.lane(lane).await?;
        let through = LaneSeq(last.0.saturating_sub(base));
        if let Some(shift) = entry.ledger.expire(through, Incarnation::new(rand::random())) {
            entry.shift(shift);
        }
        self.pending.lanes.insert(lane.clone());
        self.woken.lanes.insert(lane.clone());
        Ok(rows.len() as u64)
    }

    async fn expire_aside(&mut self, now: Millis, before: Millis) -> Result<u64, StoreError> {
        let rows = sqlx::query(
            "DELETE FROM aside WHERE id IN (SELECT id FROM aside WHERE received < ? ORDER BY id LIMIT ?) \
             RETURNING origin, item",
        )
        .bind(sql(before.0))
        .bind(CHUNK)
        .fetch_all(&mut self.conn)
        .await
        .map_err(StoreError::sql("expire items put aside"))?;
        for row in &rows {
            if let Item::Message(MessageItem { room, mark: Some(mark), .. }) = row.cbor::<Item>(1)? {
                let why = "its room never became known there, or never caught up";
                self.word_back(now, &row.domain(0)?, room, &mark, Undelivered::Expired, why).await?;
            }
        }
        let gone = rows.len() as u64;
        if gone > 0 {
            tracing::warn!(items = gone, "items expired whose room never became known or never caught up");
            self.caches.aside.clear();
            self.caches.aside_of.clear();
        }
        Ok(gone)
    }

    /// Forgets some word that came back; there may be one for each message.
    async fn expire_words(&mut self, before: Millis) -> Result<u64, StoreError> {
        let gone = sqlx::query(
            "DELETE FROM words WHERE (relay, mark) IN (SELECT relay, mark FROM words WHERE created < ? LIMIT ?)",
        )
        .bind(sql(before.0))
        .bind(CHUNK)
        .execute(&mut self.conn)
        .await
        .map_err(StoreError::sql("forget old word"))?;
        Ok(gone.rows_affected())
    }

    async fn expire_leftovers(&mut self, now: Millis, before: Millis) -> Result<(), StoreError> {
        let timed = ENDED.map(|text| (text, now)).into_iter().chain(KEPT.map(|text| (text, before)));
        for (text, until) in timed {
            sqlx::query(text)
                .bind(sql(until.0))
                .execute(&mut self.conn)
                .await
                .map_err(StoreError::sql("delete what has expired"))?;
        }
        self.run(ROSTERS, "forget old rosters").await?;
        // A lane's cursor outlives everything that its origin could still send on it.
        let forgotten = before.0.saturating_sub(now.0.saturating_sub(before.0));
        sqlx::query("DELETE FROM cursors WHERE touched < ?")
            .bind(sql(forgotten))
            .execute(&mut self.conn)
            .await
            .map_err(StoreError::sql("forget old cursors"))?;
        self.caches.cursors.clear();
        Ok(())
    }
}
