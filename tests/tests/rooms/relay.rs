//! A relay of these stories, its way to the others, and the hands that carry between them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use posthouse_crypto::{SigningKey, Verified, key_hash, lineage, manifest_hash, verify};
use posthouse_federation::LaneId;
use posthouse_federation::host::{Inbox as _, Outbox as _, Received};
use posthouse_relay::config::Config;
use posthouse_relay::hub::{HubLink, LinkError, ManifestLookup, Rooms};
use posthouse_relay::mailbags::Holder;
use posthouse_relay::outbox::{KeysService, RelayHost};
use posthouse_relay::store::{Store, Wakes};
use posthouse_spec::cbor::{List, Octets, Text};
use posthouse_spec::envelope::{ENVELOPE_VERSION, Envelope, LaneClass};
use posthouse_spec::manifest::Manifest;
use posthouse_spec::peer::{KeysRequest, KeysResponse, RoomRequest, RoomResponse};
use posthouse_spec::room::{RelayRef, Suite};
use posthouse_spec::{Domain, ManifestSeq, Millis, RoomId};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

pub(crate) const NOW: Millis = Millis(1_790_000_000_000);
pub(crate) const SUITE: Suite = Suite::Classic;
pub(crate) const ROOM: RoomId = RoomId::new([9; 32]);

fn domain(name: &str) -> Domain {
    name.parse().expect("a domain")
}

/// What both relays know of each other, and whether they can be reached.
#[derive(Default)]
pub(crate) struct Wires {
    manifests: Mutex<BTreeMap<Domain, Vec<Verified<Manifest>>>>,
    rooms: Mutex<BTreeMap<Domain, Rooms>>,
    down: Mutex<BTreeSet<Domain>>,
}

impl Wires {
    pub(crate) fn cut(&self, relay: &Relay, down: bool) {
        let mut all = self.down.lock().expect("not poisoned");
        if down {
            all.insert(relay.domain.clone())
        } else {
            all.remove(&relay.domain)
        };
    }
}

#[async_trait]
impl ManifestLookup for Wires {
    async fn manifest(&self, domain: &Domain) -> Result<Verified<Manifest>, LinkError> {
        let known =
            self.manifests.lock().expect("not poisoned").get(domain).and_then(|all| all.last().cloned());
        known.ok_or_else(|| LinkError(format!("no relay of {domain}")))
    }

    async fn manifest_at(
        &self,
        domain: &Domain,
        seq: ManifestSeq,
    ) -> Result<Option<Verified<Manifest>>, LinkError> {
        let newest = self.manifest(domain).await?;
        if newest.seq < seq {
            return Err(LinkError(format!("{domain} has not said {seq} yet")));
        }
        let all = self.manifests.lock().expect("not poisoned");
        Ok(all.get(domain).and_then(|all| all.iter().find(|manifest| manifest.seq == seq)).cloned())
    }
}

/// One relay's way to the others.
struct Link {
    from: Domain,
    wires: Arc<Wires>,
}

#[async_trait]
impl HubLink for Link {
    async fn room(&self, hub: &Domain, request: RoomRequest) -> Result<RoomResponse, LinkError> {
        let down = self.wires.down.lock().expect("not poisoned").contains(hub);
        let rooms = self.wires.rooms.lock().expect("not poisoned").get(hub).cloned();
        match rooms.filter(|_| !down) {
            Some(rooms) => Ok(rooms.answer(NOW, &self.from, request).await),
            None => Err(LinkError(format!("{hub} does not answer"))),
        }
    }
}

/// The relays of these stories are asked nothing about accounts.
struct NoKeys;

#[async_trait]
impl KeysService for NoKeys {
    async fn keys(&self, _: &Domain, _: KeysRequest) -> KeysResponse {
        KeysResponse::Chain(List::default())
    }
}

pub(crate) struct Relay {
    pub(crate) domain: Domain,
    pub(crate) store: Store,
    pub(crate) rooms: Rooms,
    pub(crate) host: RelayHost,
    pub(crate) ordering: Arc<SigningKey>,
    root: SigningKey,
    node: SigningKey,
    folder: tempfile::TempDir,
    wires: Arc<Wires>,
}

impl Relay {
    pub(crate) async fn new(seed: u64, name: &str, wires: &Arc<Wires>) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let (root, node) = (SigningKey::generate(&mut rng), SigningKey::generate(&mut rng));
        let ordering = Arc::new(SigningKey::generate(&mut rng));
        let manifest = Manifest {
            domain: domain(name),
            seq: ManifestSeq(1),
            previous: None,
            root: root.public(),
            next_root: key_hash(&node.public()),
            ordering: ordering.public(),
            nodes: List::default(),
            addresses: List::default(),
            client_url: Text::default(),
            created: NOW,
            lineage: None,
            mailbags: None,
            circuits: None,
        };
        let manifest = verify(&root.sign(&manifest), &root.public()).expect("just signed");
        wires.manifests.lock().expect("not poisoned").insert(domain(name), vec![manifest]);
        let folder = tempfile::tempdir().expect("a folder");
        let (store, rooms, host) = parts(folder.path(), &domain(name), &ordering, wires).await;
        Self { domain: domain(name), store, rooms, host, ordering, root, node, folder, wires: wires.clone() }
    }

    /// Replaces the ordering key: the next manifest names the new one, and the relay starts again with it.
    pub(crate) async fn replace_ordering(&mut self, seed: u64) {
        let last = self.wires.manifest(&self.domain).await.expect("every relay has one");
        self.ordering = Arc::new(SigningKey::generate(&mut StdRng::seed_from_u64(seed)));
        let next = Manifest {
            seq: last.seq.next(),
            previous: Some(manifest_hash(last.signed())),
            lineage: Some(lineage(&last)),
            ordering: self.ordering.public(),
            ..last.into_inner()
        };
        let next = verify(&self.root.sign(&next), &self.root.public()).expect("just signed");
        {
            let mut all = self.wires.manifests.lock().expect("not poisoned");
            all.entry(self.domain.clone()).or_default().push(next);
        }
        self.restart().await;
    }

    /// Stops and starts again from the files.
    pub(crate) async fn restart(&mut self) {
        self.store.close().await;
        let (store, rooms, host) = parts(self.folder.path(), &self.domain, &self.ordering, &self.wires).await;
        (self.store, self.rooms, self.host) = (store, rooms, host);
    }

    pub(crate) async fn us(&self) -> RelayRef {
        let manifest = self.wires.manifest(&self.domain).await.expect("every relay has one");
        RelayRef { domain: self.domain.clone(), lineage: lineage(&manifest) }
    }

    /// What waits on a lane, as the envelope that the federation would send.
    pub(crate) async fn envelope(&self, to: &Self, class: LaneClass) -> Verified<Envelope> {
        let lane = LaneId { peer: to.domain.clone(), class };
        let state = self.host.lane(&lane).await.expect("the store answers");
        let items = self
            .host
            .items(&lane, state.incarnation, state.oldest, 100, usize::MAX)
            .await
            .expect("the store answers");
        let items = items.into_iter().map(|item| Octets::new(item.bytes).expect("it fits")).collect();
        let envelope = Envelope {
            version: ENVELOPE_VERSION,
            origin: self.domain.clone(),
            destination: to.domain.clone(),
            class,
            incarnation: state.incarnation,
            first: state.oldest,
            created: NOW,
            items: List::new(items).expect("it fits"),
        };
        verify(&self.node.sign(&envelope), &self.node.public()).expect("just signed")
    }

    /// Carries what waits on a lane to another relay, and its answer back.
    pub(crate) async fn carry(&self, to: &Self, class: LaneClass) -> Received {
        let envelope = self.envelope(to, class).await;
        let incarnation = envelope.incarnation;
        let received = to.host.receive(&self.domain, envelope).await.expect("it is taken");
        let lane = LaneId { peer: to.domain.clone(), class };
        let (next, refused) = (received.next, received.refused.clone());
        self.host.acknowledged(&lane, incarnation, next, refused).await.expect("the store answers");
        received
    }

    /// Carries both lanes.
    pub(crate) async fn carry_all(&self, to: &Self) {
        for class in [LaneClass::Control, LaneClass::Messages] {
            let received = self.carry(to, class).await;
            assert!(received.refused.is_empty(), "{:?}", received.refused);
        }
    }
}

async fn parts(
    folder: &std::path::Path,
    own: &Domain,
    ordering: &Arc<SigningKey>,
    wires: &Arc<Wires>,
) -> (Store, Rooms, RelayHost) {
    let store = Store::open(folder, own, "test", Wakes::none()).await.expect("the store opens");
    let rooms = Rooms::new(store.clone(), own.clone(), ordering.clone(), wires.clone());
    rooms.connect(Arc::new(Link { from: own.clone(), wires: wires.clone() }));
    wires.rooms.lock().expect("not poisoned").insert(own.clone(), rooms.clone());
    let none = Config { domain: own.to_string(), ..Config::default() }.settings().expect("sound").mailbags;
    let holder = Arc::new(Holder::new(store.clone(), &none, Arc::new(|| NOW)));
    let host = RelayHost::new(store.clone(), rooms.clone(), Arc::new(NoKeys), holder, Arc::new(|| NOW));
    (store, rooms, host)
}
