//! Outgoing lanes: what waits for other relays, and what becomes of it.

use bytes::Bytes;
use futures::TryStreamExt as _;
use posthouse_spec::cbor::Text;
use posthouse_spec::client::Delivery;
use posthouse_spec::client::delivery::{Failure, NoticeDelivery};
use posthouse_spec::envelope::LaneClass;
use posthouse_spec::peer::deliver::{ItemRefusal, RefusedItem};
use posthouse_spec::{
    AccountId, Cbor, DeviceId, Domain, Epoch, Incarnation, LaneSeq, Millis, Number, RoomId,
};
use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteRow;

use super::cache::LaneEntry;
use super::columns::{Columns, sql};
use super::error::StoreError;
use super::handle::Store;
use super::items::{ItemKind, LANE_COLUMNS, NewItem, Submitter, lane_item};
use super::rows::limit;
use super::tx::Tx;
use super::types::{LaneId, LaneItem, LaneStatus};
use crate::lane::{Acknowledged, Ledger};
use crate::mailbox::MailboxKey;

impl Store {
    /// The lanes on which anything waits.
    ///
    /// # Errors
    /// The store failed.
    pub async fn waiting_lanes(&self) -> Result<Vec<LaneId>, StoreError> {
        let rows = sqlx::query(
            "SELECT peer, class FROM lanes WHERE EXISTS (SELECT 1 FROM outbox WHERE outbox.lane = lanes.id)",
        )
        .fetch_all(self.readers())
        .await
        .map_err(StoreError::sql("list the lanes"))?;
        rows.iter().map(|row| Ok(LaneId { peer: row.domain(0)?, class: class(row.number(1)?)? })).collect()
    }

    /// Where a lane stands. A lane that was never used gets its incarnation now.
    ///
    /// # Errors
    /// The store failed.
    pub async fn lane(&self, lane: &LaneId) -> Result<LaneStatus, StoreError> {
        let known = sqlx::query(
            "SELECT class, incarnation, next, acked, handed FROM lanes WHERE peer = ? AND class = ?",
        )
        .bind(lane.peer.as_str())
        .bind(sql(lane.class.code()))
        .fetch_optional(self.readers())
        .await
        .map_err(StoreError::sql("find a lane"))?;
        if let Some(row) = known {
            return Ok(self.status(&lane.peer, &row)?.1);
        }
        let lane = lane.clone();
        let ledger = self.write(move |tx| Box::pin(async move { Ok(tx.lane(&lane).await?.ledger) })).await?;
        Ok(LaneStatus {
            incarnation: ledger.incarnation,
            oldest: ledger.acked,
            next: ledger.next,
            handed: ledger.handed,
        })
    }

    /// Where the lanes to a relay stand, those that were ever used.
    ///
    /// # Errors
    /// The store failed.
    pub async fn lanes_to(&self, peer: &Domain) -> Result<Vec<(LaneClass, LaneStatus)>, StoreError> {
        let rows = sqlx::query("SELECT class, incarnation, next, acked, handed FROM lanes WHERE peer = ?")
            .bind(peer.as_str())
            .fetch_all(self.readers())
            .await
            .map_err(StoreError::sql("list the lanes to a relay"))?;
        rows.iter().map(|row| self.status(peer, row)).collect()
    }

    fn status(&self, peer: &Domain, row: &SqliteRow) -> Result<(LaneClass, LaneStatus), StoreError> {
        let class = class(row.number(0)?)?;
        let incarnation = row.fixed(1, Incarnation::from_slice)?;
        let (next, oldest) = (LaneSeq(row.number(2)?), LaneSeq(row.number(3)?));
        let lane = LaneId { peer: peer.clone(), class };
        let handed = self.handed().of(&lane, incarnation, LaneSeq(row.number(4)?)).unwrap_or(next);
        Ok((class, LaneStatus { incarnation, oldest, next, handed }))
    }

    /// A lane that cannot go on in that life begins another one with everything that waits. Nothing happens if that life
    /// has ended already. Says which life it is in now.
    ///
    /// # Errors
    /// The store failed.
    pub async fn begin_lane_life(
        &self,
        lane: &LaneId,
        incarnation: Incarnation,
    ) -> Result<Incarnation, StoreError> {
        let lane = lane.clone();
        self.write(move |tx| {
            Box::pin(async move {
                let entry = tx.lane(&lane).await?;
                if entry.ledger.incarnation == incarnation {
                    let shift = entry.ledger.begin_life(Incarnation::new(rand::random()));
                    entry.shift(shift);
                    let now = entry.ledger.incarnation;
                    tx.pending.lanes.insert(lane.clone());
                    tx.woken.lanes.insert(lane);
                    return Ok(now);
                }
                Ok(entry.ledger.incarnation)
            })
        })
        .await
    }

    /// The items of a lane from `from` on, in order: at most `max_items` of at most `max_bytes` together, and one at
    /// least if there is any. Nothing for another life of the lane than the current one: its positions are others.
    ///
    /// # Errors
    /// The store failed.
    pub async fn lane_items(
        &self,
        lane: &LaneId,
        incarnation: Incarnation,
        from: LaneSeq,
        max_items: usize,
        max_bytes: usize,
    ) -> Result<Vec<LaneItem>, StoreError> {
        let doing = "read the outbox";
        let text = format!(
            "SELECT o.seq - l.base, {LANE_COLUMNS} FROM lanes l JOIN outbox o ON o.lane = l.id AND o.seq >= l.base + ? \
             JOIN items i ON i.id = o.item WHERE l.peer = ? AND l.class = ? AND l.incarnation = ? \
             ORDER BY o.seq LIMIT {}",
            limit(max_items)
        );
        let mut rows = sqlx::query(AssertSqlSafe(text))
            .bind(sql(from.0))
            .bind(lane.peer.as_str())
            .bind(sql(lane.class.code()))
            .bind(incarnation.as_bytes().as_slice())
            .fetch(self.readers());
        let (mut items, mut bytes) = (Vec::new(), 0);
        while let Some(row) = rows.try_next().await.map_err(StoreError::sql(doing))? {
            let item = LaneItem { seq: LaneSeq(row.number(0)?), bytes: lane_item(&row)? };
            bytes += item.bytes.len();
            if bytes > max_bytes && !items.is_empty() {
                break;
            }
            items.push(item);
            if items.len() >= max_items {
                break;
            }
        }
        drop(rows);
        if let Some(last) = items.last() {
            // Durable before anything leaves: the next start must not take for unsent what may have been sent.
            if !self.handed().knows(lane, incarnation) && !self.begin_sending(lane, incarnation).await? {
                return Ok(Vec::new());
            }
            self.handed().note(lane, incarnation, last.seq.next());
        }
        Ok(items)
    }

    /// Takes a destination's word that everything below `next` is durable there or refused for good. What was refused
    /// is told to its senders.
    ///
    /// # Errors
    /// The store failed.
    pub fn lane_acknowledged(
        &self,
        now: Millis,
        lane: &LaneId,
        incarnation: Incarnation,
        next: LaneSeq,
        refused: Vec<RefusedItem>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send + 'static {
        let lane = lane.clone();
        self.queue(move |tx| {
            Box::pin(async move { tx.lane_acknowledged(now, &lane, incarnation, next, &refused).await })
        })
    }
}

pub(crate) fn class(code: u64) -> Result<LaneClass, StoreError> {
    LaneClass::from_code(code).ok_or_else(|| StoreError::damaged(format!("a lane of class {code}")))
}

impl Tx {
    /// An outgoing lane; it is made when it is first asked for.
    pub(crate) async fn lane(&mut self, lane: &LaneId) -> Result<&mut LaneEntry, StoreError> {
        if !self.caches.lanes.contains_key(lane) {
            let fresh = Incarnation::new(rand::random());
            let row = sqlx::query(
                "INSERT INTO lanes (peer, class, incarnation, next, acked) VALUES (?,?,?,1,1) \
                 ON CONFLICT (peer, class) DO UPDATE SET next = next \
                 RETURNING id, incarnation, next, acked, handed, base, bytes, sending",
            )
            .bind(lane.peer.as_str())
            .bind(sql(lane.class.code()))
            .bind(fresh.as_bytes().as_slice())
            .fetch_one(&mut self.conn)
            .await
            .map_err(StoreError::sql("find a lane"))?;
            let ledger = Ledger {
                incarnation: row.fixed(1, Incarnation::from_slice)?,
                next: LaneSeq(row.number(2)?),
                acked: LaneSeq(row.number(3)?),
                handed: LaneSeq(row.number(4)?),
                sending: row.number(7)? != 0,
            };
            let entry = LaneEntry { id: row.row_id(0)?, base: row.number(5)?, ledger, bytes: row.number(6)? };
            self.caches.lanes.insert(lane.clone(), entry);
        }
        self.caches.lanes.get_mut(lane).ok_or_else(|| StoreError::damaged("a lane vanished"))
    }

    /// Puts a stored item on a lane.
    pub(crate) async fn send(
        &mut self,
        peer: &Domain,
        class: LaneClass,
        item: i64,
    ) -> Result<(), StoreError> {
        let lane = LaneId { peer: peer.clone(), class };
        let bytes = self.pending.size_of(item);
        let entry = self.lane(&lane).await?;
        let seq = entry.ledger.number();
        let (id, row) = (entry.id, entry.row(seq));
        entry.bytes += bytes;
        self.pending.outbox.push((id, row, item, bytes));
        self.pending.lanes.insert(lane.clone());
        self.woken.lanes.insert(lane);
        Ok(())
    }

    async fn lane_acknowledged(
        &mut self,
        now: Millis,
        lane: &LaneId,
        incarnation: Incarnation,
        next: LaneSeq,
        refused: &[RefusedItem],
    ) -> Result<(), StoreError> {
        let entry = self.lane(lane).await?;
        let (id, before) = (entry.id, *entry);
        let (from, to) = match entry.ledger.acknowledge(incarnation, next) {
            Acknowledged::Advanced { from, to } => (from, to),
            Acknowledged::Repeat => return Ok(()),
            Acknowledged::Stray => {
                tracing::warn!(peer = %lane.peer, class = %lane.class, %next, "an acknowledgement for another life of the lane is ignored");
                return Ok(());
            }
        };
        for item in refused.iter().filter(|item| from <= item.seq && item.seq < to) {
            self.refused(now, lane, (id, before.row(item.seq)), item).await?;
        }
        self.pending.lane_acks.insert(lane.clone(), before.row(to));
        self.pending.lanes.insert(lane.clone());
        Ok(())
    }

    /// Deletes the rows of a lane before one of them.
    pub(crate) async fn empty_lane(&mut self, lane: &LaneId, before: LaneSeq) -> Result<(), StoreError> {
        let id = self.lane(lane).await?.id;
        let rows = sqlx::query("DELETE FROM outbox WHERE lane = ? AND seq < ? RETURNING item, bytes")
            .bind(id)
            .bind(sql(before.0))
            .fetch_all(&mut self.conn)
            .await
            .map_err(StoreError::sql("empty the outbox"))?;
        let mut bytes = 0;
        for row in rows {
            self.pending.loose.push(row.row_id(0)?);
            bytes += row.number(1)?;
        }
        let entry = self.lane(lane).await?;
        entry.bytes = entry.bytes.saturating_sub(bytes);
        self.pending.lanes.insert(lane.clone());
        Ok(())
    }

    async fn refused(
        &mut self,
        now: Millis,
        lane: &LaneId,
        (id, at): (i64, LaneSeq),
        item: &RefusedItem,
    ) -> Result<(), StoreError> {
        let row = sqlx::query(
            "SELECT i.id, i.room, i.submitter, i.number FROM outbox o JOIN items i ON i.id = o.item \
             WHERE o.lane = ? AND o.seq = ?",
        )
        .bind(id)
        .bind(sql(at.0))
        .fetch_optional(&mut self.conn)
        .await
        .map_err(StoreError::sql("find a refused item"))?;
        let Some(row) = row else { return Ok(()) };
        let room = row.fixed(1, RoomId::from_slice)?;
        tracing::warn!(peer = %lane.peer, %room, reason = %item.reason, detail = %item.detail, "another relay refused an item");
        let failure = if item.reason == ItemRefusal::Quota { Failure::Quota } else { Failure::Refused };
        let detail = format!("{}: {}", item.reason, item.detail);
        if let (Some(device), Some(number)) = (row.row_id_or_null(2)?, row.row_id_or_null(3)?) {
            let submitter = Submitter { device, number: Number(number.unsigned_abs()) };
            self.notice(now, submitter, room, lane.peer.clone(), failure, &detail).await?;
        }
        Ok(())
    }

    /// Tells a sender what became of a message.
    pub(crate) async fn notice(
        &mut self,
        now: Millis,
        submitter: Submitter,
        room: RoomId,
        relay: Domain,
        failure: Failure,
        detail: &str,
    ) -> Result<(), StoreError> {
        let row = sqlx::query("SELECT account, device FROM devices WHERE id = ?")
            .bind(submitter.device)
            .fetch_optional(&mut self.conn)
            .await
            .map_err(StoreError::sql("find the sender of a message"))?;
        let Some(row) = row else { return Ok(()) };
        let who = MailboxKey {
            account: row.fixed(0, AccountId::from_slice)?,
            device: row.fixed(1, DeviceId::from_slice)?,
        };
        let notice =
            NoticeDelivery { room, number: submitter.number, relay, failure, detail: Text::clipped(detail) };
        let item = self.raw_delivery(now, room, Delivery::Notice(notice).to_cbor().into());
        self.deliver_all(vec![who], item).await
    }

    /// An item that is a delivery in its encoded form.
    pub(crate) fn raw_delivery(&self, now: Millis, room: RoomId, body: Bytes) -> NewItem {
        self.own_item(now, ItemKind::Delivery, room, Epoch(0), body)
    }

    /// An item that this relay itself has made.
    pub(crate) fn own_item(
        &self,
        now: Millis,
        kind: ItemKind,
        room: RoomId,
        epoch: Epoch,
        body: Bytes,
    ) -> NewItem {
        let (hub, origin) = (self.own.clone(), self.own.clone());
        NewItem {
            kind,
            room,
            hub,
            epoch,
            origin,
            received: now,
            submitter: None,
            relays: None,
            mark: None,
            body,
        }
    }
}
