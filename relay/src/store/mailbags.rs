//! Mailbags: what is held here for relays that are down, and how far this relay's own lanes were left with others.

use posthouse_spec::cbor::{List, Octets};
use posthouse_spec::envelope::LaneClass;
use posthouse_spec::limits::MAX_MAILBAG_LIST;
use posthouse_spec::peer::mailbag::{Mailbag, MailbagList, MailbagRef};
use posthouse_spec::{Domain, EnvelopeId, Incarnation, LaneSeq, Millis};
use sqlx::AssertSqlSafe;

use super::columns::{Columns, sql};
use super::error::StoreError;
use super::handle::Store;
use super::lanes::class;
use super::rows::limit;
use super::tx::Tx;
use super::types::LaneId;
use crate::quota::Backlog;

/// What a bag is charged beyond its own bytes: so that quotas bound the number of bags too.
const BAG_CHARGE: u64 = 512;
/// Bags that one transaction throws away: a bound on how long others wait for it.
const CHUNK: i64 = 256;

/// How much may be held, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailbagQuota {
    /// For one destination.
    pub destination: u64,
    /// For one destination from one origin.
    pub origin: u64,
    /// In all.
    pub total: u64,
}

/// Whose space is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FullOf {
    /// What one destination may have here.
    Destination,
    /// What one origin may leave for one destination.
    Origin,
    /// What this relay holds in all.
    Total,
}

/// What is held now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Usage {
    destination: Backlog,
    origin: Backlog,
    total: Backlog,
}

/// What became of a bag that was left here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldOutcome {
    /// It is durable, now or since before, and held until then.
    Held(Millis),
    /// There is no space for it.
    Full(FullOf),
}

/// How far a lane was left with holders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftMark {
    /// The lane's class.
    pub class: LaneClass,
    /// The lane's life.
    pub incarnation: Incarnation,
    /// The first item that was not left.
    pub next: LaneSeq,
    /// Who holds the newest bag.
    pub holder: Domain,
    /// Until when all of it is held.
    pub until: Millis,
}

/// Which part of the oldest so many bags a list shows, counted from 0 in whole lists, and how many of it.
fn part(asked: u64) -> (u64, usize) {
    let whole = MAX_MAILBAG_LIST as u64;
    let part = asked.saturating_sub(1) / whole;
    (part, usize::try_from(asked - part * whole).unwrap_or(MAX_MAILBAG_LIST))
}

impl MailbagQuota {
    /// Whose space one more bag of `size` bytes would pass, if any.
    fn passed(&self, usage: Usage, size: u64) -> Option<FullOf> {
        let over = |held: Backlog, quota: u64| {
            let charged = held.bytes.saturating_add(held.items.saturating_add(1).saturating_mul(BAG_CHARGE));
            charged.saturating_add(size) > quota
        };
        if over(usage.origin, self.origin) {
            return Some(FullOf::Origin);
        }
        if over(usage.destination, self.destination) {
            return Some(FullOf::Destination);
        }
        over(usage.total, self.total).then_some(FullOf::Total)
    }
}

impl Store {
    /// Holds a bag until `until`, if there is space. The same bag again changes nothing.
    ///
    /// # Errors
    /// The store failed.
    pub async fn hold_mailbag(
        &self,
        bag: Mailbag,
        until: Millis,
        quota: MailbagQuota,
    ) -> Result<HoldOutcome, StoreError> {
        self.write(move |tx| Box::pin(async move { tx.hold_mailbag(&bag, until, quota).await })).await
    }

    /// The oldest `max` bags for a destination that are held at `now`, or the last part of them that one list holds, in the
    /// order in which they were left. No origin's bags keep another's off the list.
    ///
    /// # Errors
    /// The store failed.
    pub async fn held_mailbags(
        &self,
        destination: &Domain,
        max: u64,
        now: Millis,
    ) -> Result<MailbagList, StoreError> {
        let doing = "list mailbags";
        let rows =
            sqlx::query("SELECT origin, bags FROM mailbag_usage WHERE destination = ? ORDER BY random()")
                .bind(destination.as_str())
                .fetch_all(self.readers())
                .await
                .map_err(StoreError::sql(doing))?;
        let mut total = 0;
        for row in &rows {
            total += row.number(1)?;
        }
        let (part, max) = part(max);
        let share = (max / rows.len().max(1)).max(1);
        let passed = part.saturating_mul((MAX_MAILBAG_LIST / rows.len().max(1)).max(1) as u64);
        let mut found: Vec<(i64, MailbagRef)> = Vec::new();
        for row in rows.iter().take(max) {
            let origin = row.domain(0)?;
            let text = format!(
                "SELECT id, envelope, size FROM mailbags WHERE destination = ? AND origin = ? AND until > ? \
                 ORDER BY id LIMIT {} OFFSET ?",
                limit(share)
            );
            let bags = sqlx::query(AssertSqlSafe(text))
                .bind(destination.as_str())
                .bind(origin.as_str())
                .bind(sql(now.0))
                .bind(sql(passed))
                .fetch_all(self.readers())
                .await
                .map_err(StoreError::sql(doing))?;
            for bag in bags.iter().take(share) {
                let envelope = bag.fixed(1, EnvelopeId::from_slice)?;
                let found_bag = MailbagRef { origin: origin.clone(), envelope, size: bag.number(2)? };
                found.push((bag.row_id(0)?, found_bag));
            }
        }
        found.sort_unstable_by_key(|(id, _)| *id);
        let held = List::new(found.into_iter().map(|(_, bag)| bag).collect());
        Ok(MailbagList { held: held.map_err(|e| StoreError::damaged(e.to_string()))?, total })
    }

    /// One bag, if it is still held at `now`.
    ///
    /// # Errors
    /// The store failed.
    pub async fn held_mailbag(
        &self,
        destination: &Domain,
        bag: &MailbagRef,
        now: Millis,
    ) -> Result<Option<Mailbag>, StoreError> {
        let row = sqlx::query(
            "SELECT expires, sealed FROM mailbags \
             WHERE destination = ? AND origin = ? AND envelope = ? AND until > ?",
        )
        .bind(destination.as_str())
        .bind(bag.origin.as_str())
        .bind(bag.envelope.as_bytes().as_slice())
        .bind(sql(now.0))
        .fetch_optional(self.readers())
        .await
        .map_err(StoreError::sql("find a mailbag"))?;
        let Some(row) = row else { return Ok(None) };
        let sealed = Octets::new(row.blob(1)?).map_err(|e| StoreError::damaged(e.to_string()))?;
        Ok(Some(Mailbag {
            origin: bag.origin.clone(),
            destination: destination.clone(),
            envelope: bag.envelope,
            expires: Millis(row.number(0)?),
            sealed,
        }))
    }

    /// Drops bags of a destination; says how many there were.
    ///
    /// # Errors
    /// The store failed.
    pub async fn drop_mailbags(
        &self,
        destination: &Domain,
        bags: Vec<MailbagRef>,
    ) -> Result<u64, StoreError> {
        let destination = destination.clone();
        self.write(move |tx| Box::pin(async move { tx.drop_mailbags(&destination, &bags).await })).await
    }

    /// Throws away some of what is held no longer; says how many bags. Called until it says none.
    ///
    /// # Errors
    /// The store failed.
    pub async fn expire_mailbags(&self, now: Millis) -> Result<u64, StoreError> {
        self.write(move |tx| Box::pin(async move { tx.expire_mailbags(now).await })).await
    }

    /// How much is held in all.
    ///
    /// # Errors
    /// The store failed.
    pub async fn mailbags_held(&self) -> Result<Backlog, StoreError> {
        let row = sqlx::query("SELECT coalesce(sum(bags), 0), coalesce(sum(bytes), 0) FROM mailbag_usage")
            .fetch_one(self.readers())
            .await
            .map_err(StoreError::sql("count mailbags"))?;
        Ok(Backlog { items: row.number(0)?, bytes: row.number(1)? })
    }

    /// How far the lanes to a relay were left with holders.
    ///
    /// # Errors
    /// The store failed.
    pub async fn left_marks(&self, peer: &Domain) -> Result<Vec<LeftMark>, StoreError> {
        let rows =
            sqlx::query("SELECT class, incarnation, next, holder, until FROM mailbags_left WHERE peer = ?")
                .bind(peer.as_str())
                .fetch_all(self.readers())
                .await
                .map_err(StoreError::sql("find out what was left with holders"))?;
        rows.iter()
            .map(|row| {
                Ok(LeftMark {
                    class: class(row.number(0)?)?,
                    incarnation: row.fixed(1, Incarnation::from_slice)?,
                    next: LaneSeq(row.number(2)?),
                    holder: row.domain(3)?,
                    until: Millis(row.number(4)?),
                })
            })
            .collect()
    }

    /// When an item of a lane came to this relay; nothing for one that is not kept, or of another life of the lane.
    ///
    /// # Errors
    /// The store failed.
    pub async fn lane_item_received(
        &self,
        lane: &LaneId,
        incarnation: Incarnation,
        seq: LaneSeq,
    ) -> Result<Option<Millis>, StoreError> {
        let row = sqlx::query(
            "SELECT i.received FROM lanes l JOIN outbox o ON o.lane = l.id AND o.seq = l.base + ? \
             JOIN items i ON i.id = o.item WHERE l.peer = ? AND l.class = ? AND l.incarnation = ?",
        )
        .bind(sql(seq.0))
        .bind(lane.peer.as_str())
        .bind(sql(lane.class.code()))
        .bind(incarnation.as_bytes().as_slice())
        .fetch_optional(self.readers())
        .await
        .map_err(StoreError::sql("find out how old an item is"))?;
        row.map(|row| row.number(0).map(Millis)).transpose()
    }

    /// Remembers how far a lane to a relay was left.
    ///
    /// # Errors
    /// The store failed.
    pub async fn mark_left(&self, peer: &Domain, mark: LeftMark) -> Result<(), StoreError> {
        let peer = peer.clone();
        self.write(move |tx| Box::pin(async move { tx.mark_left(&peer, &mark).await })).await
    }
}

impl Tx {
    async fn hold_mailbag(
        &mut self,
        bag: &Mailbag,
        until: Millis,
        quota: MailbagQuota,
    ) -> Result<HoldOutcome, StoreError> {
        let doing = "hold a mailbag";
        let known =
            sqlx::query("SELECT until FROM mailbags WHERE destination = ? AND origin = ? AND envelope = ?")
                .bind(bag.destination.as_str())
                .bind(bag.origin.as_str())
                .bind(bag.envelope.as_bytes().as_slice())
                .fetch_optional(&mut self.conn)
                .await
                .map_err(StoreError::sql(doing))?;
        if let Some(known) = known {
            return Ok(HoldOutcome::Held(Millis(known.number(0)?)));
        }
        let usage = self.mailbag_usage(&bag.destination, &bag.origin).await?;
        if let Some(full) = quota.passed(usage, bag.sealed.len() as u64) {
            return Ok(HoldOutcome::Full(full));
        }
        sqlx::query(
            "INSERT INTO mailbags (destination, origin, envelope, expires, until, size, sealed) VALUES (?,?,?,?,?,?,?)",
        )
        .bind(bag.destination.as_str())
        .bind(bag.origin.as_str())
        .bind(bag.envelope.as_bytes().as_slice())
        .bind(sql(bag.expires.0))
        .bind(sql(until.0))
        .bind(sql(bag.sealed.len() as u64))
        .bind(&bag.sealed[..])
        .execute(&mut self.conn)
        .await
        .map_err(StoreError::sql(doing))?;
        Ok(HoldOutcome::Held(until))
    }

    async fn mailbag_usage(&mut self, destination: &Domain, origin: &Domain) -> Result<Usage, StoreError> {
        let row = sqlx::query(
            "SELECT coalesce(sum(bags) FILTER (WHERE destination = ?1), 0), \
             coalesce(sum(bytes) FILTER (WHERE destination = ?1), 0), \
             coalesce(sum(bags) FILTER (WHERE destination = ?1 AND origin = ?2), 0), \
             coalesce(sum(bytes) FILTER (WHERE destination = ?1 AND origin = ?2), 0), \
             coalesce(sum(bags), 0), coalesce(sum(bytes), 0) FROM mailbag_usage",
        )
        .bind(destination.as_str())
        .bind(origin.as_str())
        .fetch_one(&mut self.conn)
        .await
        .map_err(StoreError::sql("find out how much is held"))?;
        let backlog = |at| Ok(Backlog { items: row.number(at)?, bytes: row.number(at + 1)? });
        Ok(Usage { destination: backlog(0)?, origin: backlog(2)?, total: backlog(4)? })
    }

    async fn drop_mailbags(&mut self, destination: &Domain, bags: &[MailbagRef]) -> Result<u64, StoreError> {
        let mut dropped = 0;
        for bag in bags {
            dropped +=
                sqlx::query("DELETE FROM mailbags WHERE destination = ? AND origin = ? AND envelope = ?")
                    .bind(destination.as_str())
                    .bind(bag.origin.as_str())
                    .bind(bag.envelope.as_bytes().as_slice())
                    .execute(&mut self.conn)
                    .await
                    .map_err(StoreError::sql("drop mailbags"))?
                    .rows_affected();
        }
        Ok(dropped)
    }

    async fn expire_mailbags(&mut self, now: Millis) -> Result<u64, StoreError> {
        let doing = "throw old mailbags away";
        sqlx::query("DELETE FROM mailbags_left WHERE until < ?")
            .bind(sql(now.0))
            .execute(&mut self.conn)
            .await
            .map_err(StoreError::sql(doing))?;
        let gone = sqlx::query(
            "DELETE FROM mailbags WHERE id IN (SELECT id FROM mailbags WHERE until < ? ORDER BY until LIMIT ?)",
        )
        .bind(sql(now.0))
        .bind(CHUNK)
        .execute(&mut self.conn)
        .await
        .map_err(StoreError::sql(doing))?;
        Ok(gone.rows_affected())
    }

    async fn mark_left(&mut self, peer: &Domain, mark: &LeftMark) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO mailbags_left (peer, class, incarnation, next, holder, until) VALUES (?,?,?,?,?,?) \
             ON CONFLICT (peer, class) DO UPDATE SET incarnation = excluded.incarnation, next = excluded.next, \
             holder = excluded.holder, until = excluded.until",
        )
        .bind(peer.as_str())
        .bind(sql(mark.class.code()))
        .bind(mark.incarnation.as_bytes().as_slice())
        .bind(sql(mark.next.0))
        .bind(mark.holder.as_str())
        .bind(sql(mark.until.0))
        .execute(&mut self.conn)
        .await
        .map_err(StoreError::sql("remember what was left with a holder"))?;
        Ok(())
    }
}
