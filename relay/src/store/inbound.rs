//! What comes in on messages lanes: each item finds its local devices, waits for its room, or is refused by name.

use bytes::Bytes;
use posthouse_spec::cbor::Text;
use posthouse_spec::envelope::{EpochEndItem, Item, MessageItem, UndeliveredItem};
use posthouse_spec::peer::deliver::{ItemRefusal, RefusedItem};
use posthouse_spec::{Domain, Epoch, LaneSeq, Millis, RoomId};

use super::error::StoreError;
use super::handle::Store;
use super::items::{ItemKind, NewItem};
use super::tx::Tx;
use super::types::Incoming;
use crate::lane::{Arrival, arrive};
use crate::mailbox::MailboxKey;
use crate::rooms::{Placement, place_end, place_message};

/// An item of a messages lane that has been read, with its bytes; or why it cannot be.
#[derive(Debug, Clone)]
pub(crate) enum InboundItem {
    Message(MessageItem, Bytes),
    EpochEnd(EpochEndItem, Bytes),
    Undelivered(UndeliveredItem),
    Malformed(String),
}

/// What became of a run of items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InboundOutcome {
    /// It is durable.
    Received {
        /// The lane's cursor now.
        next: LaneSeq,
        /// What was taken off the lane undelivered.
        refused: Vec<RefusedItem>,
    },
    /// It begins ahead of the cursor.
    Gap {
        /// Where the cursor stands.
        expected: LaneSeq,
    },
}

/// What became of one item.
pub(crate) enum Placed {
    /// It is in mailboxes, or rightly in none, or it waits for its room.
    Done,
    /// It goes undelivered.
    Refused(ItemRefusal, String),
}

impl InboundItem {
    /// Reads an item of a messages lane; `None` for one that such a lane does not carry.
    pub(crate) fn read(bytes: &Bytes) -> Option<Self> {
        use posthouse_spec::Cbor as _;
        match Item::from_cbor(bytes) {
            Ok(Item::Message(item)) => Some(Self::Message(item, bytes.clone())),
            Ok(Item::EpochEnd(item)) => Some(Self::EpochEnd(item, bytes.clone())),
            Ok(Item::Undelivered(item)) => Some(Self::Undelivered(item)),
            Ok(_) => None,
            Err(malformed) => Some(Self::Malformed(malformed.to_string())),
        }
    }
}

impl Store {
    /// Takes a run of items of a messages lane that begins at `first`: drops what the cursor has passed, places the rest,
    /// and moves the cursor, in one transaction.
    pub(crate) fn receive_messages(
        &self,
        now: Millis,
        lane: Incoming,
        first: LaneSeq,
        items: Vec<InboundItem>,
    ) -> impl Future<Output = Result<InboundOutcome, StoreError>> + Send + 'static {
        self.queue(move |tx| Box::pin(async move { tx.receive_messages(now, &lane, first, items).await }))
    }
}

impl Tx {
    async fn receive_messages(
        &mut self,
        now: Millis,
        lane: &Incoming,
        first: LaneSeq,
        items: Vec<InboundItem>,
    ) -> Result<InboundOutcome, StoreError> {
        let expected = self.cursor(lane).await?;
        let Arrival::Run { skip, next: _ } = arrive(expected, first, items.len() as u64) else {
            return Ok(InboundOutcome::Gap { expected });
        };
        let passed = usize::try_from(skip).unwrap_or(usize::MAX);
        let seen = LaneSeq(first.0 + skip);
        // What comes again may have been refused before, and its origin may not have heard of it.
        let mut refused = if first < seen { self.refusals(lane, first, seen).await? } else { Vec::new() };
        let (mut seq, told) = (expected, refused.len());
        for item in items.into_iter().skip(passed) {
            if let Placed::Refused(reason, detail) = self.place(now, &lane.origin, item).await? {
                refused.push(RefusedItem { seq, reason, detail: Text::clipped(&detail) });
            }
            seq = seq.next();
        }
        if refused.len() > told {
            self.keep_refusals(now, lane, seq, &refused[told..]).await?;
        }
        self.move_cursor(now, lane, seq);
        Ok(InboundOutcome::Received { next: seq, refused })
    }

    async fn place(&mut self, now: Millis, origin: &Domain, item: InboundItem) -> Result<Placed, StoreError> {
        match item {
            InboundItem::Message(item, bytes) => self.place_message(now, origin, item, Some(bytes)).await,
            InboundItem::EpochEnd(item, bytes) => self.place_end(now, origin, item, Some(bytes)).await,
            InboundItem::Undelivered(item) => self.take_word(now, origin, item).await,
            InboundItem::Malformed(why) => Ok(Placed::Refused(ItemRefusal::Invalid, why)),
        }
    }

    /// Places a message. `bytes` are there while it may still be put aside, and quotas count; once it was put aside it
    /// was accepted, and nothing may refuse it for lack of space.
    pub(crate) async fn place_message(
        &mut self,
        now: Millis,
        origin: &Domain,
        item: MessageItem,
        bytes: Option<Bytes>,
    ) -> Result<Placed, StoreError> {
        let own = self.own.clone();
        let (current, roster) = self.standing(item.room, item.epoch).await?;
        match place_message(origin, &own, item.epoch, current, &roster) {
            Placement::Aside(needs) => {
                return self.put_aside(now, origin, item.room, &item.hub, needs, bytes).await;
            }
            Placement::Refuse(reason, why) => return Ok(Placed::Refused(reason, why.to_owned())),
            Placement::Deliver => {}
        }
        let local = self.listening(item.room, roster.mailboxes(&own)).await?;
        let (size, mut open) = (item.body.len() as u64, Vec::with_capacity(local.len()));
        for who in &local {
            if bytes.is_none() || self.has_space(who, item.room, size).await? {
                open.push(*who);
            }
        }
        let new = NewItem {
            kind: ItemKind::Message,
            room: item.room,
            hub: item.hub,
            epoch: item.epoch,
            origin: origin.clone(),
            received: now,
            submitter: None,
            relays: None,
            mark: item.mark.map(|mark| mark.to_vec()),
            body: item.body.into_bytes(),
        };
        let full = local.len() - open.len();
        self.deliver_all(open, new).await?;
        if full == 0 {
            return Ok(Placed::Done);
        }
        let why = format!("{full} of {} mailboxes are full", local.len());
        Ok(Placed::Refused(ItemRefusal::Quota, why))
    }

    /// Places the end of an epoch at another relay.
    pub(crate) async fn place_end(
        &mut self,
        now: Millis,
        origin: &Domain,
        item: EpochEndItem,
        bytes: Option<Bytes>,
    ) -> Result<Placed, StoreError> {
        let own = self.own.clone();
        let (current, roster) = self.standing(item.room, item.epoch).await?;
        match place_end(origin, &own, item.epoch, current, &roster) {
            Placement::Aside(needs) => self.put_aside(now, origin, item.room, &item.hub, needs, bytes).await,
            Placement::Refuse(reason, why) => Ok(Placed::Refused(reason, why.to_owned())),
            Placement::Deliver => {
                let local = self.listening(item.room, roster.mailboxes(&own)).await?;
                let mut new = self.own_item(now, ItemKind::EpochEnd, item.room, item.epoch, Bytes::new());
                (new.origin, new.hub) = (origin.clone(), item.hub);
                self.deliver_all(local, new).await?;
                Ok(Placed::Done)
            }
        }
    }

    /// Where the room stands, and the roster of an epoch that it has reached.
    async fn standing(
        &mut self,
        room: RoomId,
        epoch: Epoch,
    ) -> Result<(Option<Epoch>, std::sync::Arc<crate::rooms::Roster>), StoreError> {
        let current = match self.room(room).await? {
            // In a room that everybody here has left, only what came before is known.
            Some(entry) if !entry.active && epoch >= entry.epoch => None,
            Some(entry) => Some(entry.epoch),
            None => None,
        };
        let reached = current.is_some_and(|current| epoch <= current);
        let roster = if reached { self.roster_of(room, epoch).await? } else { Default::default() };
        Ok((current, roster))
    }

    /// Those of `mailboxes` that exist and whose accounts listen to the room.
    async fn listening(
        &mut self,
        room: RoomId,
        mut mailboxes: Vec<MailboxKey>,
    ) -> Result<Vec<MailboxKey>, StoreError> {
        if let Some(entry) = self.room(room).await? {
            mailboxes.retain(|who| !entry.muted.contains(&who.account));
        }
        self.existing(mailboxes).await
    }
}
