//! Canaries: an operator's test of the whole way to another relay and back, over the lanes that carry everything else.

use posthouse_spec::cbor::Octets;
use posthouse_spec::envelope::{CanaryItem, Item, LaneClass};
use posthouse_spec::limits::MAX_MARK;
use posthouse_spec::{Cbor, Domain, Epoch, Incarnation, LaneSeq, Millis, RoomId};

use super::cursors::{LanePlace, Pass};
use super::error::StoreError;
use super::handle::Store;
use super::items::ItemKind;
use super::tx::Tx;
use super::types::LaneId;

/// Items that may wait on a control lane where an answer is still put on it: whoever asks and takes nothing makes it no
/// longer.
const MAX_WAITING: u64 = 1024;
/// A canary is about no room.
const NO_ROOM: RoomId = RoomId::new([0; 32]);

/// What a canary is recognised by.
pub(crate) type Nonce = Octets<MAX_MARK>;

/// Where on its lane a canary was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CanaryPlace {
    pub(crate) incarnation: Incarnation,
    pub(crate) seq: LaneSeq,
}

/// What became of another relay's canary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CanaryOutcome {
    /// Its answer is on the lane back.
    Answered,
    /// The lane back is too long already; the item has not been passed.
    Crowded,
}

impl Store {
    /// Puts a canary on the control lane to a relay.
    pub(crate) async fn send_canary(
        &self,
        now: Millis,
        peer: &Domain,
        nonce: Nonce,
    ) -> Result<CanaryPlace, StoreError> {
        let peer = peer.clone();
        self.write(move |tx| Box::pin(async move { tx.put_canary(now, &peer, nonce, false).await })).await
    }

    /// Passes another relay's canary and puts the answer on the control lane back, in one transaction.
    pub(crate) async fn answer_canary(
        &self,
        now: Millis,
        place: LanePlace,
        nonce: Nonce,
    ) -> Result<CanaryOutcome, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let peer = place.lane.origin.clone();
                let back = tx.lane(&LaneId { peer: peer.clone(), class: LaneClass::Control }).await?;
                if back.ledger.waiting() >= MAX_WAITING {
                    return Ok(CanaryOutcome::Crowded);
                }
                if tx.pass(now, Some(&place)).await? == Pass::First {
                    tx.put_canary(now, &peer, nonce, true).await?;
                }
                Ok(CanaryOutcome::Answered)
            })
        })
        .await
    }
}

impl Tx {
    async fn put_canary(
        &mut self,
        now: Millis,
        peer: &Domain,
        nonce: Nonce,
        answer: bool,
    ) -> Result<CanaryPlace, StoreError> {
        let lane = LaneId { peer: peer.clone(), class: LaneClass::Control };
        let entry = self.lane(&lane).await?;
        let place = CanaryPlace { incarnation: entry.ledger.incarnation, seq: entry.ledger.next };
        let body = Item::Canary(CanaryItem { nonce, answer }).to_cbor();
        let item = self.own_item(now, ItemKind::Lane, NO_ROOM, Epoch(0), body.into());
        let id = self.put_item(item);
        self.send(peer, lane.class, id).await?;
        Ok(place)
    }
}
