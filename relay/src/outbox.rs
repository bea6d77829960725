//! What the federation asks of this relay: its outbox and inbox, its answers, and its pinned manifests, over the store,
//! the rooms and the accounts.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use posthouse_crypto::Verified;
use posthouse_federation::host::{
    Evidence, HostError, Inbox, LaneState, OutboundItem, Outbox, Pins, Received, Service,
};
use posthouse_federation::{Clock, Host, LaneId, ReceiveError};
use posthouse_spec::cbor::Text;
use posthouse_spec::envelope::{Envelope, Item, LaneClass};
use posthouse_spec::manifest::Manifest;
use posthouse_spec::peer::deliver::{ItemRefusal, RefusedItem};
use posthouse_spec::peer::hello::{LaneCursor, PeerRule};
use posthouse_spec::peer::{
    KeysRequest, KeysResponse, MailbagRequest, MailbagResponse, RoomRequest, RoomResponse,
};
use posthouse_spec::{Cbor, Domain, Incarnation, LaneSeq, ManifestSeq, Signed};

use crate::canaries::Canaries;
use crate::hub::Rooms;
use crate::mailbags::Holder;
use crate::store::{InboundItem, InboundOutcome, Incoming, LanePlace, ManifestEvidence, Store, StoreError};

/// Answers other relays' questions about accounts and key packages.
#[async_trait]
pub trait KeysService: Send + Sync {
    /// Answers one question.
    async fn keys(&self, from: &Domain, request: KeysRequest) -> KeysResponse;
}

/// This relay, as the federation sees it.
pub struct RelayHost {
    store: Store,
    rooms: Rooms,
    keys: Arc<dyn KeysService>,
    holder: Arc<Holder>,
    canaries: Canaries,
    clock: Clock,
}

impl RelayHost {
    /// Puts the host together.
    #[must_use]
    pub fn new(
        store: Store,
        rooms: Rooms,
        keys: Arc<dyn KeysService>,
        holder: Arc<Holder>,
        clock: Clock,
    ) -> Self {
        let canaries = Canaries::new(store.clone(), Arc::clone(&clock));
        Self { store, rooms, keys, holder, canaries, clock }
    }

    /// With these canaries, which somebody else sends.
    #[must_use]
    pub fn with_canaries(self, canaries: Canaries) -> Self {
        Self { canaries, ..self }
    }
}

impl From<crate::store::LaneId> for LaneId {
    fn from(lane: crate::store::LaneId) -> Self {
        Self { peer: lane.peer, class: lane.class }
    }
}

impl From<LaneId> for crate::store::LaneId {
    fn from(lane: LaneId) -> Self {
        Self { peer: lane.peer, class: lane.class }
    }
}

impl From<crate::store::LaneStatus> for LaneState {
    fn from(status: crate::store::LaneStatus) -> Self {
        let crate::store::LaneStatus { incarnation, oldest, next, handed } = status;
        Self { incarnation, oldest, next, handed }
    }
}

fn failed(error: StoreError) -> HostError {
    tracing::error!(%error, "the store failed the federation");
    HostError::new(error)
}

#[async_trait]
impl Outbox for RelayHost {
    async fn lanes(&self) -> Result<Vec<LaneId>, HostError> {
        let lanes = self.store.waiting_lanes().await.map_err(failed)?;
        Ok(lanes.into_iter().map(Into::into).collect())
    }

    async fn neighbours(&self) -> Result<Vec<Domain>, HostError> {
        self.store.neighbours().await.map_err(failed)
    }

    async fn lane(&self, lane: &LaneId) -> Result<LaneState, HostError> {
        Ok(self.store.lane(&lane.clone().into()).await.map_err(failed)?.into())
    }

    async fn items(
        &self,
        lane: &LaneId,
        incarnation: Incarnation,
        from: LaneSeq,
        max_items: usize,
        max_bytes: usize,
    ) -> Result<Vec<OutboundItem>, HostError> {
        let lane = lane.clone().into();
        let items = self.store.lane_items_to_send(&lane, incarnation, from, max_items, max_bytes).await;
        let items = items.map_err(failed)?;
        Ok(items.into_iter().map(|item| OutboundItem { seq: item.seq, bytes: item.bytes }).collect())
    }

    async fn acknowledged(
        &self,
        lane: &LaneId,
        incarnation: Incarnation,
        next: LaneSeq,
        refused: Vec<RefusedItem>,
    ) -> Result<(), HostError> {
        let (now, lane) = ((self.clock)(), lane.clone().into());
        let told = refused.clone();
        self.store.lane_acknowledged(now, &lane, incarnation, next, refused).await.map_err(failed)?;
        self.canaries.acknowledged(&lane, incarnation, next, &told);
        Ok(())
    }

    async fn lanes_to(&self, peer: &Domain) -> Result<Vec<(LaneClass, LaneState)>, HostError> {
        let lanes = self.store.lanes_to(peer).await.map_err(failed)?;
        Ok(lanes.into_iter().map(|(class, status)| (class, status.into())).collect())
    }

    async fn begin_new_life(&self, lane: &LaneId, incarnation: Incarnation) -> Result<(), HostError> {
        self.store.begin_lane_life(&lane.clone().into(), incarnation).await.map(|_| ()).map_err(failed)
    }
}

#[async_trait]
impl Inbox for RelayHost {
    async fn cursor(
        &self,
        origin: &Domain,
        class: LaneClass,
        incarnation: Incarnation,
        oldest: LaneSeq,
    ) -> Result<LaneSeq, HostError> {
        let lane = Incoming { origin: origin.clone(), class, incarnation };
        let next = self.store.resume_at(&lane, oldest).await.map_err(failed)?;
        if next < oldest {
            tracing::warn!(%origin, %class, %oldest, %next,
                "a relay goes on with a life of a lane that is not known here, or not so far: it was forgotten, or this \
                 relay was restored from a copy. That relay begins another life of it");
        }
        Ok(next)
    }

    async fn cursors(&self, origin: &Domain) -> Result<Vec<LaneCursor>, HostError> {
        self.store.cursors(origin).await.map_err(failed)
    }

    async fn receive(&self, origin: &Domain, envelope: Verified<Envelope>) -> Result<Received, ReceiveError> {
        let lane =
            Incoming { origin: origin.clone(), class: envelope.class, incarnation: envelope.incarnation };
        match lane.class {
            LaneClass::Messages => self.receive_messages(lane, &envelope).await,
            LaneClass::Control => self.receive_control(lane, &envelope).await,
            LaneClass::Slots | LaneClass::Media => {
                let why = format!("this version takes no {} lanes", lane.class);
                Err(ReceiveError::Rule(PeerRule::WrongItem, why))
            }
        }
    }
}

impl RelayHost {
    async fn receive_messages(&self, lane: Incoming, envelope: &Envelope) -> Result<Received, ReceiveError> {
        let items: Option<Vec<InboundItem>> =
            envelope.items.iter().map(|item| InboundItem::read(item.bytes())).collect();
        let items = items.ok_or_else(|| wrong_item(lane.class))?;
        let now = (self.clock)();
        match self.store.receive_messages(now, lane, envelope.first, items).await.map_err(failed)? {
            InboundOutcome::Received { next, refused } => Ok(Received { next, refused }),
            InboundOutcome::Gap { expected } => Err(ReceiveError::Gap { expected }),
        }
    }

    async fn receive_control(&self, lane: Incoming, envelope: &Envelope) -> Result<Received, ReceiveError> {
        let expected = self.store.cursor(&lane).await.map_err(failed)?;
        if envelope.first > expected {
            return Err(ReceiveError::Gap { expected });
        }
        // What comes again may have been refused before, and its origin may not have heard of it.
        let seen = expected.min(envelope.next());
        let mut refused = self.store.refused_before(&lane, envelope.first, seen).await.map_err(failed)?;
        for (bytes, seq) in
            envelope.items.iter().zip(envelope.first.0..).filter(|(_, seq)| *seq >= expected.0)
        {
            let seq = LaneSeq(seq);
            let place = LanePlace { lane: lane.clone(), seq };
            if let Some((reason, detail)) = self.receive_one(place, bytes.bytes()).await? {
                refused.push(RefusedItem { seq, reason, detail: Text::clipped(&detail) });
            }
        }
        Ok(Received { next: expected.max(envelope.next()), refused })
    }

    async fn receive_one(
        &self,
        place: LanePlace,
        bytes: &Bytes,
    ) -> Result<Option<(ItemRefusal, String)>, ReceiveError> {
        let now = (self.clock)();
        match Item::from_cbor(bytes) {
            Ok(item) if item.class() != place.lane.class => Err(wrong_item(place.lane.class)),
            Ok(Item::Canary(canary)) => {
                Ok(self.canaries.receive(now, place, canary).await.map_err(HostError::new)?)
            }
            Ok(item) => Ok(self.rooms.receive_control(now, place, item).await.map_err(HostError::new)?),
            Err(malformed) => {
                let refused = (ItemRefusal::Invalid, malformed.to_string());
                self.rooms.pass(now, place, &refused).await.map_err(HostError::new)?;
                Ok(Some(refused))
            }
        }
    }
}

fn wrong_item(class: LaneClass) -> ReceiveError {
    ReceiveError::Rule(PeerRule::WrongItem, format!("an item that a {class} lane does not carry"))
}

#[async_trait]
impl Service for RelayHost {
    async fn keys(&self, from: &Domain, request: KeysRequest) -> KeysResponse {
        self.keys.keys(from, request).await
    }

    async fn room(&self, from: &Domain, request: RoomRequest) -> RoomResponse {
        self.rooms.answer((self.clock)(), from, request).await
    }

    async fn mailbag(&self, from: &Domain, request: MailbagRequest) -> MailbagResponse {
        self.holder.answer(from, request).await
    }
}

#[async_trait]
impl Pins for RelayHost {
    async fn pinned(&self, domain: &Domain) -> Result<Option<Signed<Manifest>>, HostError> {
        self.store.pinned(domain).await.map_err(failed)
    }

    async fn pin(&self, domain: &Domain, manifest: &Signed<Manifest>) -> Result<(), HostError> {
        self.store.pin(domain, manifest).await.map_err(failed)
    }

    async fn pinned_from(
        &self,
        domain: &Domain,
        seq: ManifestSeq,
    ) -> Result<Option<Signed<Manifest>>, HostError> {
        self.store.pinned_from(domain, seq).await.map_err(failed)
    }

    async fn keep_link(&self, domain: &Domain, link: &Signed<Manifest>) -> Result<(), HostError> {
        self.store.keep_link(domain, link).await.map_err(failed)
    }

    async fn keep_evidence(&self, domain: &Domain, evidence: &Evidence) -> Result<bool, HostError> {
        let Evidence { pinned, other, found, settled } = evidence.clone();
        let evidence = ManifestEvidence { pinned, other, found, settled };
        self.store.keep_manifest_evidence(domain, &evidence).await.map_err(failed)
    }

    async fn evidence(&self, domain: &Domain) -> Result<Vec<Evidence>, HostError> {
        let kept = self.store.manifest_evidence(domain).await.map_err(failed)?;
        let evidence =
            |ManifestEvidence { pinned, other, found, settled }| Evidence { pinned, other, found, settled };
        Ok(kept.into_iter().map(evidence).collect())
    }

    async fn repin(&self, domain: &Domain, manifest: &Signed<Manifest>) -> Result<(), HostError> {
        self.store.repin(domain, manifest).await.map_err(failed)
    }
}

impl Host for RelayHost {}
