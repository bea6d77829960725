//! Items put aside: they came before their room had reached the epoch that they need, or before the room was known.

use bytes::Bytes;
use posthouse_spec::envelope::{Item, Undelivered};
use posthouse_spec::limits::MAX_ASIDE;
use posthouse_spec::peer::deliver::ItemRefusal;
use posthouse_spec::{Domain, Epoch, Millis, RoomId};

use super::columns::{Columns, sql};
use super::error::StoreError;
use super::handle::Store;
use super::inbound::Placed;
use super::tx::Tx;
use crate::quota::{Backlog, Quota};

/// Items taken back at once: a bound on memory, not on how many are released.
const RELEASE_CHUNK: i64 = 256;
/// Most that one origin may have put aside for all rooms together, which it may make up: items and bytes.
const MAX_ASIDE_OF_ORIGIN: Quota = Quota { items: 65_536, bytes: 256 * 1024 * 1024 };

impl Store {
    /// The rooms that are known here and have items waiting for a later epoch, at most `limit`.
    ///
    /// # Errors
    /// The store failed.
    pub async fn rooms_behind(&self, received_before: Millis, limit: u32) -> Result<Vec<RoomId>, StoreError> {
        let rows = sqlx::query(
            "SELECT DISTINCT a.room FROM aside a JOIN rooms r ON r.room = a.room \
             WHERE r.active = 1 AND a.needs > r.epoch AND a.received < ? LIMIT ?",
        )
        .bind(sql(received_before.0))
        .bind(limit)
        .fetch_all(self.readers())
        .await
        .map_err(StoreError::sql("list the rooms that are behind"))?;
        rows.iter().map(|row| row.fixed(0, RoomId::from_slice)).collect()
    }
}

impl Tx {
    /// Puts an item aside, within the bound for its origin and room.
    pub(crate) async fn put_aside(
        &mut self,
        now: Millis,
        origin: &Domain,
        room: RoomId,
        hub: &Domain,
        needs: Epoch,
        bytes: Option<Bytes>,
    ) -> Result<Placed, StoreError> {
        let Some(bytes) = bytes else {
            return Ok(Placed::Refused(
                ItemRefusal::Invalid,
                "it waited for an epoch that did not come".into(),
            ));
        };
        let key = (origin.clone(), room);
        let waiting = match self.caches.aside.get(&key) {
            Some(waiting) => *waiting,
            None => self.count_aside(origin, room).await?,
        };
        if waiting >= MAX_ASIDE {
            self.caches.aside.insert(key, waiting);
            let why =
                format!("{waiting} items of this room wait already for it to become known or to catch up");
            return Ok(Placed::Refused(ItemRefusal::UnknownRoom, why));
        }
        let mut all = match self.caches.aside_of.get(origin) {
            Some(all) => *all,
            None => self.count_aside_of(origin).await?,
        };
        let size = bytes.len() as u64;
        if !MAX_ASIDE_OF_ORIGIN.admits(all, size) {
            self.caches.aside_of.insert(origin.clone(), all);
            let why = format!("{} items of rooms that are not known here wait already", all.items);
            return Ok(Placed::Refused(ItemRefusal::UnknownRoom, why));
        }
        sqlx::query("INSERT INTO aside (room, origin, hub, needs, received, item) VALUES (?,?,?,?,?,?)")
            .bind(room.as_bytes().as_slice())
            .bind(origin.as_str())
            .bind(hub.as_str())
            .bind(sql(needs.0))
            .bind(sql(now.0))
            .bind(&bytes[..])
            .execute(&mut self.conn)
            .await
            .map_err(StoreError::sql("put an item aside"))?;
        self.caches.aside.insert(key, waiting + 1);
        all.add(size);
        self.caches.aside_of.insert(origin.clone(), all);
        Ok(Placed::Done)
    }

    async fn count_aside_of(&mut self, origin: &Domain) -> Result<Backlog, StoreError> {
        let row = sqlx::query("SELECT count(*), coalesce(sum(length(item)), 0) FROM aside WHERE origin = ?")
            .bind(origin.as_str())
            .fetch_one(&mut self.conn)
            .await
            .map_err(StoreError::sql("count what a relay has put aside"))?;
        Ok(Backlog { items: row.number(0)?, bytes: row.number(1)? })
    }

    async fn count_aside(&mut self, origin: &Domain, room: RoomId) -> Result<u64, StoreError> {
        sqlx::query("SELECT count(*) FROM aside WHERE room = ? AND origin = ?")
            .bind(room.as_bytes().as_slice())
            .bind(origin.as_str())
            .fetch_one(&mut self.conn)
            .await
            .map_err(StoreError::sql("count the items put aside"))?
            .number(0)
    }

    /// Takes back, in the order in which they came, the items of a room that need no later epoch than `epoch`.
    pub(crate) async fn release(
        &mut self,
        now: Millis,
        room: RoomId,
        epoch: Epoch,
    ) -> Result<(), StoreError> {
        loop {
            let rows = sqlx::query(
                "DELETE FROM aside WHERE id IN \
                 (SELECT id FROM aside WHERE room = ? AND needs <= ? ORDER BY id LIMIT ?) \
                 RETURNING id, origin, item",
            )
            .bind(room.as_bytes().as_slice())
            .bind(sql(epoch.0))
            .bind(RELEASE_CHUNK)
            .fetch_all(&mut self.conn)
            .await
            .map_err(StoreError::sql("take back items put aside"))?;
            if rows.is_empty() {
                return Ok(());
            }
            // RETURNING promises no order.
            let mut items = rows
                .iter()
                .map(|row| Ok((row.row_id(0)?, row.domain(1)?, row.cbor::<Item>(2)?)))
                .collect::<Result<Vec<_>, StoreError>>()?;
            items.sort_unstable_by_key(|(id, ..)| *id);
            for (_, origin, item) in items {
                self.caches.aside.remove(&(origin.clone(), room));
                self.caches.aside_of.remove(&origin);
                self.release_one(now, &origin, item).await?;
            }
        }
    }

    async fn release_one(&mut self, now: Millis, origin: &Domain, item: Item) -> Result<(), StoreError> {
        let room = item.room();
        let mark = match &item {
            Item::Message(item) => item.mark.clone(),
            _ => None,
        };
        let placed = match item {
            Item::Message(item) => self.place_message(now, origin, item, None).await?,
            Item::EpochEnd(item) => self.place_end(now, origin, item, None).await?,
            Item::Decided(_) | Item::Welcome(_) | Item::Undelivered(_) | Item::Canary(_) => Placed::Done,
        };
        if let Placed::Refused(reason, why) = placed {
            tracing::warn!(%origin, ?room, %reason, why, "an item that waited for its room is not for anybody here");
            if let (Some(room), Some(mark)) = (room, mark) {
                let detail = format!("{reason}: {why}");
                self.word_back(now, origin, room, &mark, Undelivered::Refused, &detail).await?;
            }
        }
        Ok(())
    }
}
