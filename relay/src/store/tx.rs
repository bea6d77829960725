//! One transaction of the writer: its connection, what it remembers, and the rows that it has yet to write.

use posthouse_crypto::mark::MarkKey;
use posthouse_spec::Domain;
use sqlx::{AssertSqlSafe, SqliteConnection};

use super::cache::Caches;
use super::columns::{Columns, sql};
use super::error::StoreError;
use super::items::NewItem;
use super::pending::{Pending, Woken};
use super::rows::{CHUNKS, Insert};
use super::types::LaneId;
use crate::mailbox::MailboxKey;
use crate::quota::Quota;

/// The writer's connection while a batch runs.
pub(crate) struct Tx {
    pub(crate) conn: SqliteConnection,
    pub(crate) own: Domain,
    pub(crate) quota: Quota,
    /// Bounds the messages that wait for one other relay.
    pub(crate) outbox_quota: Quota,
    /// Seals the marks of this relay's own messages.
    pub(crate) marks: MarkKey,
    pub(crate) caches: Caches,
    pub(crate) pending: Pending,
    pub(crate) woken: Woken,
}

const ITEMS: Insert = Insert {
    head: "INSERT INTO items (id, kind, room, hub, epoch, origin, received, submitter, number, relays, body, mark) VALUES",
    row: "(?,?,?,?,?,?,?,?,?,?,?,?)",
    tail: "",
    doing: "store items",
};
const MAILBOX: Insert = Insert {
    head: "INSERT INTO mailbox (device, seq, item) VALUES",
    row: "(?,?,?)",
    tail: "",
    doing: "fill mailboxes",
};
const OUTBOX: Insert = Insert {
    head: "INSERT INTO outbox (lane, seq, item, bytes) VALUES",
    row: "(?,?,?,?)",
    tail: "",
    doing: "fill the outbox",
};
const SUBMITS: Insert = Insert {
    head: "INSERT INTO submits (device, number, body_hash) VALUES",
    row: "(?,?,?)",
    tail: "",
    doing: "remember submits",
};
const DEVICE_STATE: Insert = Insert {
    head: "INSERT INTO device_state (device, incarnation, accepted, acked, next, given, greeted) VALUES",
    row: "(?,?,?,?,?,?,?)",
    tail: "ON CONFLICT (device) DO UPDATE SET incarnation = excluded.incarnation, accepted = excluded.accepted, acked = excluded.acked, next = excluded.next, given = excluded.given, greeted = excluded.greeted",
    doing: "remember where devices stand",
};

/// How many numbers may leave a device's window before their hashes are deleted.
const TRIM_EVERY: u64 = 64;
/// How many item ids one statement deletes.
const LOOSE_CHUNK: usize = 128;

impl Tx {
    /// Runs a statement of this program without values.
    pub(crate) async fn run(&mut self, text: &'static str, doing: &'static str) -> Result<(), StoreError> {
        sqlx::query(text).execute(&mut self.conn).await.map_err(StoreError::sql(doing))?;
        Ok(())
    }

    /// Begins, and makes sure that the store is still this node's.
    pub(crate) async fn begin(&mut self, fence: i64) -> Result<(), StoreError> {
        self.caches.bound();
        self.run("BEGIN IMMEDIATE", "begin a transaction").await?;
        let row = sqlx::query("SELECT fence, (SELECT coalesce(max(id), 0) FROM items) FROM owner")
            .fetch_one(&mut self.conn)
            .await
            .map_err(StoreError::sql("check the fence"))?;
        let found = row.row_id(0)?;
        if found != fence {
            return Err(StoreError::Fenced { found, ours: fence });
        }
        self.caches.next_item = Some(row.row_id(1)? + 1);
        Ok(())
    }

    /// Writes what waits, and commits.
    pub(crate) async fn commit(&mut self) -> Result<(), StoreError> {
        self.flush().await?;
        self.run("COMMIT", "commit").await
    }

    /// Undoes everything since [`Tx::begin`].
    pub(crate) async fn roll_back(&mut self) {
        self.forget();
        // SQLite may have rolled back by itself, and then has no transaction to roll back.
        let _ = sqlx::query("ROLLBACK").execute(&mut self.conn).await;
    }

    /// Opens a part that may fail alone.
    pub(crate) async fn begin_part(&mut self) -> Result<(), StoreError> {
        self.flush().await?;
        self.run("SAVEPOINT part", "begin a part of a transaction").await
    }

    /// Keeps the part.
    pub(crate) async fn keep_part(&mut self) -> Result<(), StoreError> {
        self.flush().await?;
        self.run("RELEASE part", "end a part of a transaction").await
    }

    /// Undoes the part alone: what came before it was written before it began.
    pub(crate) async fn undo_part(&mut self) -> Result<(), StoreError> {
        let next_item = self.caches.next_item;
        self.pending = Pending::default();
        self.caches = Caches { next_item, ..Caches::default() };
        self.run("ROLLBACK TO part", "undo a part of a transaction").await?;
        self.run("RELEASE part", "end a part of a transaction").await
    }

    fn forget(&mut self) {
        self.caches = Caches::default();
        self.pending = Pending::default();
        self.woken = Woken::default();
    }

    /// Gives an item its id; it is written with the batch.
    pub(crate) fn put_item(&mut self, item: NewItem) -> i64 {
        let id = self.caches.next_item.unwrap_or(1);
        self.caches.next_item = Some(id + 1);
        self.pending.items.push((id, item));
        id
    }

    /// Writes what waits in memory, without a commit.
    pub(crate) async fn flush(&mut self) -> Result<(), StoreError> {
        self.flush_items().await?;
        self.flush_devices().await?;
        self.flush_acks().await?;
        self.flush_lanes().await?;
        self.flush_cursors().await?;
        self.flush_loose().await
    }

    async fn flush_items(&mut self) -> Result<(), StoreError> {
        let Self { conn, pending, .. } = self;
        ITEMS
            .run(conn, &pending.items, |query, (id, item)| {
                query
                    .bind(*id)
                    .bind(item.kind as i64)
                    .bind(item.room.as_bytes().as_slice())
                    .bind(item.hub.as_str())
                    .bind(sql(item.epoch.0))
                    .bind(item.origin.as_str())
                    .bind(sql(item.received.0))
                    .bind(item.submitter.map(|s| s.device))
                    .bind(item.submitter.map(|s| sql(s.number.0)))
                    .bind(item.relays.as_deref())
                    .bind(&item.body[..])
                    .bind(item.mark.as_deref())
            })
            .await?;
        MAILBOX
            .run(conn, &pending.mailbox, |query, (device, seq, item)| {
                query.bind(*device).bind(sql(seq.0)).bind(*item)
            })
            .await?;
        OUTBOX
            .run(conn, &pending.outbox, |query, (lane, row, item, bytes)| {
                query.bind(*lane).bind(sql(row.0)).bind(*item).bind(sql(*bytes))
            })
            .await?;
        SUBMITS
            .run(conn, &pending.submits, |query, (device, number, hash)| {
                query.bind(*device).bind(sql(number.0)).bind(hash.as_slice())
            })
            .await?;
        pending.items.clear();
        pending.mailbox.clear();
        pending.outbox.clear();
        pending.submits.clear();
        Ok(())
    }

    async fn flush_devices(&mut self) -> Result<(), StoreError> {
        let changed: Vec<MailboxKey> = self.pending.devices.drain().collect();
        let mut rows = Vec::with_capacity(changed.len());
        let mut trims = Vec::new();
        for who in &changed {
            let Some(Some(entry)) = self.caches.devices.get_mut(who) else { continue };
            let forgotten = entry.window.forgotten();
            if forgotten.0 >= entry.trimmed.0 + TRIM_EVERY {
                entry.trimmed = forgotten;
                trims.push((entry.id, forgotten));
            }
            let (incarnation, accepted) = (entry.incarnation, entry.window.accepted());
            rows.push((entry.id, incarnation, accepted, entry.acked, entry.next, entry.given, entry.greeted));
        }
        DEVICE_STATE
            .run(&mut self.conn, &rows, |query, (id, incarnation, accepted, acked, next, given, greeted)| {
                query
                    .bind(*id)
                    .bind(incarnation.map(|i| i.as_bytes().to_vec()))
                    .bind(sql(accepted.0))
                    .bind(sql(acked.0))
                    .bind(sql(next.0))
                    .bind(sql(given.0))
                    .bind(*greeted)
            })
            .await?;
        for (device, forgotten) in trims {
            sqlx::query("DELETE FROM submits WHERE device = ? AND number <= ?")
                .bind(device)
                .bind(sql(forgotten.0))
                .execute(&mut self.conn)
                .await
                .map_err(StoreError::sql("forget old submits"))?;
        }
        Ok(())
    }

    async fn flush_lanes(&mut self) -> Result<(), StoreError> {
        let changed: Vec<LaneId> = self.pending.lanes.drain().collect();
        for lane in changed {
            let Some(entry) = self.caches.lanes.get(&lane) else { continue };
            let ledger = &entry.ledger;
            sqlx::query("UPDATE lanes SET incarnation = ?, next = ?, acked = ?, handed = ?, sending = ?, base = ?, bytes = ? WHERE id = ?")
                .bind(ledger.incarnation.as_bytes().as_slice())
                .bind(sql(ledger.next.0))
                .bind(sql(ledger.acked.0))
                .bind(sql(ledger.handed.0))
                .bind(ledger.sending)
                .bind(sql(entry.base))
                .bind(sql(entry.bytes))
                .bind(entry.id)
                .execute(&mut self.conn)
                .await
                .map_err(StoreError::sql("remember where a lane stands"))?;
        }
        Ok(())
    }

    async fn flush_acks(&mut self) -> Result<(), StoreError> {
        let acks: Vec<_> = self.pending.mailbox_acks.drain().collect();
        let mut rest = &acks[..];
        for chunk in CHUNKS {
            while let Some((now, later)) = rest.split_at_checked(chunk) {
                // Many mailboxes on one way to the connection's thread and back.
                let text = "DELETE FROM mailbox WHERE device = ? AND seq <= ? RETURNING item;".repeat(chunk);
                let query = now.iter().fold(sqlx::query(AssertSqlSafe(text)), |query, (device, through)| {
                    query.bind(*device).bind(sql(through.0))
                });
                let rows = query.fetch_all(&mut self.conn).await;
                for row in rows.map_err(StoreError::sql("empty mailboxes"))? {
                    self.pending.loose.push(row.row_id(0)?);
                }
                rest = later;
            }
        }
        for (lane, before) in std::mem::take(&mut self.pending.lane_acks) {
            self.empty_lane(&lane, before).await?;
        }
        Ok(())
    }

    /// Deletes the items that have lost their last row.
    async fn flush_loose(&mut self) -> Result<(), StoreError> {
        let mut loose = std::mem::take(&mut self.pending.loose);
        loose.sort_unstable();
        loose.dedup();
        for chunk in loose.chunks(LOOSE_CHUNK) {
            // Few numbers of places keep this few prepared statements; the last id fills those left over.
            let places = chunk.len().next_power_of_two();
            let mut query = sqlx::query(AssertSqlSafe(loose_statement(places)));
            for i in 0..places {
                query = query.bind(chunk.get(i).or(chunk.last()).copied());
            }
            query.execute(&mut self.conn).await.map_err(StoreError::sql("delete delivered items"))?;
        }
        Ok(())
    }
}

fn loose_statement(places: usize) -> String {
    let places = vec!["?"; places].join(",");
    format!(
        "DELETE FROM items WHERE id IN ({places}) \
         AND NOT EXISTS (SELECT 1 FROM mailbox WHERE mailbox.item = items.id) \
         AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.item = items.id)"
    )
}
