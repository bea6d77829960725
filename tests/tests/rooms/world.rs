//! Two relays with one person each, and the hands that carry between them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::future::LocalBoxFuture;
use posthouse_crypto::room::member::{Keys, LeafIdentity, Opened, Proposed, Room, key_package};
use posthouse_crypto::{Account, SealSecret, SigningKey, Verified, identity, key_hash, lineage, verify};
use posthouse_federation::LaneId;
use posthouse_federation::host::{Inbox as _, Outbox as _, Received};
use posthouse_relay::hub::{HubLink, LinkError, ManifestLookup, RoomInfo, RoomRefused, Rooms};
use posthouse_relay::mailbox::MailboxKey;
use posthouse_relay::outbox::{KeysService, RelayHost};
use posthouse_relay::store::{ClaimOutcome, Store, SubmitOutcome, Wakes};
use posthouse_spec::account::{AliasBinding, AliasClaim, ClaimedKeyPackage, DeviceKeys, Invited, KeyClaim};
use posthouse_spec::cbor::{List, Octets, Text};
use posthouse_spec::client::Delivery;
use posthouse_spec::client::socket::Submit;
use posthouse_spec::envelope::{ENVELOPE_VERSION, Envelope, LaneClass};
use posthouse_spec::manifest::Manifest;
use posthouse_spec::peer::{KeysRequest, KeysResponse, RoomRequest, RoomResponse};
use posthouse_spec::room::{CommitClaim, CommitUpload, Decided, RelayRef, RoomContext, Suite, WelcomeBundle};
use posthouse_spec::{
    Alias, Cbor, Domain, Epoch, Incarnation, LaneSeq, MailboxSeq, ManifestSeq, Millis, Number, RoomId,
};
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
    manifests: Mutex<BTreeMap<Domain, Verified<Manifest>>>,
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
        let known = self.manifests.lock().expect("not poisoned").get(domain).cloned();
        known.ok_or_else(|| LinkError(format!("no relay of {domain}")))
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
        };
        let manifest = verify(&root.sign(&manifest), &root.public()).expect("just signed");
        wires.manifests.lock().expect("not poisoned").insert(domain(name), manifest);
        let folder = tempfile::tempdir().expect("a folder");
        let (store, rooms, host) = parts(folder.path(), &domain(name), &ordering, wires).await;
        Self { domain: domain(name), store, rooms, host, ordering, node, folder, wires: wires.clone() }
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
        let items = self.host.items(&lane, state.oldest, 100, usize::MAX).await.expect("the store answers");
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
    let host = RelayHost::new(store.clone(), rooms.clone(), Arc::new(NoKeys), Arc::new(|| NOW));
    (store, rooms, host)
}

/// Somebody with one device and its keys.
pub(crate) struct Person {
    pub(crate) account: Account,
    pub(crate) device: SigningKey,
    pub(crate) who: MailboxKey,
    pub(crate) keys: Keys,
    pub(crate) room: Option<Room>,
    name: &'static str,
    nonce: u8,
    number: u64,
    seen: MailboxSeq,
    rng: StdRng,
}

impl Person {
    pub(crate) async fn new(seed: u64, name: &'static str, relay: &Relay) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let (recovery, device) = (SigningKey::generate(&mut rng), SigningKey::generate(&mut rng));
        let keys = DeviceKeys { device: device.device_id(), seal: SealSecret::generate(&mut rng).public() };
        let genesis = identity::genesis(&recovery, keys, relay.domain.clone(), &mut rng, NOW);
        let account = Account::validate(&[genesis]).expect("a chain of one");
        let alias = Alias { name: name.parse().expect("a name"), domain: relay.domain.clone() };
        let claim = AliasClaim { alias: alias.clone(), account: account.id(), created: NOW };
        let binding = AliasBinding { claim: device.sign(&claim), bound: NOW };
        let binding = relay.ordering.sign(&binding);
        relay.store.register(NOW, &account, &alias.name, &binding, None).await.expect("the store answers");
        let who = MailboxKey { account: account.id(), device: device.device_id() };
        let (keys, seen) = (Keys::load(std::iter::empty()), MailboxSeq(0));
        Self { account, device, who, keys, room: None, name, nonce: 0, number: 0, seen, rng }
    }

    /// Leaves a key package at home.
    pub(crate) async fn stock_up(&mut self, relay: &Relay) {
        let id = leaf(&self.account, &self.device);
        let made = key_package(&mut self.keys, &id, SUITE, false, &mut self.rng, NOW).expect("a key package");
        let one = vec![(made.hash, made.bytes.into())];
        relay.store.upload(self.who, SUITE, one, None).await.expect("the store answers");
    }

    /// Founds the room of a story, with a context of choice.
    pub(crate) async fn found(&mut self, at: &Relay, context: &RoomContext) -> Result<RoomInfo, RoomRefused> {
        let group_info = self.begin(context);
        at.rooms.found(NOW, self.who, ROOM, &group_info).await
    }

    /// Makes the first state of the room of a story, for its founding.
    pub(crate) fn begin(&mut self, context: &RoomContext) -> Vec<u8> {
        let id = leaf(&self.account, &self.device);
        let (room, group_info) = Room::found(&mut self.keys, &id, ROOM, SUITE, context, &mut self.rng, NOW)
            .expect("founding holds");
        self.room = Some(room);
        group_info
    }

    /// Claims a key package of each device of somebody.
    pub(crate) async fn claim(&mut self, home: &Relay, of: &Self, at: &Relay) -> Vec<ClaimedKeyPackage> {
        self.nonce += 1;
        let alias = Alias { name: self.name.parse().expect("a name"), domain: home.domain.clone() };
        let claim = KeyClaim {
            claimant: self.who.account,
            device: self.who.device,
            alias,
            target: of.who.account,
            domain: at.domain.clone(),
            suite: 3,
            created: NOW,
            nonce: Incarnation::new([self.nonce; 16]),
        };
        let claim = verify(&self.device.sign(&claim), &self.device.public()).expect("just signed");
        match at.store.claim(NOW, &claim).await.expect("the store answers") {
            ClaimOutcome::Claimed(claimed) => claimed.into_vec(),
            ClaimOutcome::UnknownAccount => Vec::new(),
        }
    }

    /// Makes the commit that invites somebody by claimed key packages, and the upload for it.
    pub(crate) fn invite(&mut self, who: &Self, claimed: &[ClaimedKeyPackage]) -> (Proposed, CommitUpload) {
        let packages: Vec<Vec<u8>> = claimed.iter().map(|one| one.key_package.to_vec()).collect();
        let room = self.room.as_mut().expect("in the room");
        let proposed = room.invite(&mut self.keys, &packages).expect("the invitation holds");
        let invited = claimed
            .iter()
            .map(|one| Invited {
                account: who.who.account,
                device: one.device,
                domain: who.account.home().clone(),
                key_package: posthouse_crypto::key_package_hash(&one.key_package),
                ticket: one.ticket,
            })
            .collect();
        let bundle = WelcomeBundle {
            welcome: Octets::new(proposed.welcome.clone().expect("somebody is added")).expect("it fits"),
            group_info: Octets::new(proposed.group_info.clone()).expect("it fits"),
            invited: List::new(invited).expect("it fits"),
        };
        let upload = self.upload(&proposed, Some(bundle));
        (proposed, upload)
    }

    /// Makes a commit that renews the own leaf.
    pub(crate) fn renew(&mut self) -> (Proposed, CommitUpload) {
        let room = self.room.as_mut().expect("in the room");
        let proposed = room.renew(&mut self.keys).expect("a renewal holds");
        let upload = self.upload(&proposed, None);
        (proposed, upload)
    }

    pub(crate) fn upload(&self, proposed: &Proposed, welcome: Option<WelcomeBundle>) -> CommitUpload {
        let claim = CommitClaim { room: ROOM, epoch: proposed.epoch, commit: proposed.hash };
        let commit = Octets::new(proposed.commit.clone()).expect("it fits");
        CommitUpload { claim: self.device.sign(&claim), commit, welcome }
    }

    pub(crate) fn merge(&mut self) {
        self.room.as_mut().expect("in the room").merge_own(&mut self.keys).expect("a commit waits");
    }

    pub(crate) fn drop_own(&mut self) {
        self.room.as_mut().expect("in the room").drop_own(&mut self.keys).expect("a commit waits");
    }

    pub(crate) fn apply(&mut self, decided: &Decided) {
        self.room
            .as_mut()
            .expect("in the room")
            .apply(&mut self.keys, &decided.commit)
            .expect("it was decided");
    }

    /// Has a renewal of one's own decided, and merges it.
    pub(crate) async fn move_on(&mut self, home: &Relay) -> Decided {
        let (_, upload) = self.renew();
        let decided = home.rooms.commit(NOW, self.who, upload).await.expect("it is decided");
        self.merge();
        decided
    }

    pub(crate) async fn say(&mut self, home: &Relay, text: &str) -> SubmitOutcome {
        self.number += 1;
        let room = self.room.as_mut().expect("in the room");
        let body = room.seal(&mut self.keys, text.as_bytes()).expect("it seals");
        let submit = Submit {
            room: ROOM,
            epoch: room.epoch(),
            number: Number(self.number),
            body: Octets::new(body).expect("it fits"),
        };
        home.store.submit(NOW, self.who, submit).await.expect("the store answers")
    }

    /// What has come since the last time, acknowledged.
    pub(crate) async fn news(&mut self, home: &Relay) -> Vec<Delivery> {
        let waiting =
            home.store.pending(self.who, self.seen, 1_000, usize::MAX).await.expect("the store answers");
        if let Some(last) = waiting.last() {
            self.seen = last.seq;
            home.store.acknowledge(self.who, last.seq).await.expect("the store answers");
        }
        waiting.iter().map(|item| Delivery::from_cbor(&item.delivery).expect("a delivery")).collect()
    }

    /// Takes everything that has come as a client does, and gives the texts.
    pub(crate) async fn read(&mut self, home: &Relay) -> Vec<String> {
        let mut texts = Vec::new();
        for delivery in self.news(home).await {
            match delivery {
                Delivery::Welcome(welcome) => {
                    let joined = Room::join(&mut self.keys, &welcome.welcome, &welcome.group_info);
                    self.room = Some(joined.expect("the Welcome holds"));
                }
                Delivery::Decided(decided) => {
                    let epoch = decided.decided.decision.peek().expect("a decision").epoch;
                    if self.room.as_ref().is_some_and(|room| room.epoch() == epoch) {
                        self.apply(&decided.decided);
                    }
                }
                Delivery::Message(message) => {
                    let room = self.room.as_mut().expect("in the room");
                    let Opened { content, .. } = room.open(&mut self.keys, &message.body).expect("it opens");
                    texts.push(String::from_utf8(content).expect("text"));
                }
                Delivery::EpochEnd(_) | Delivery::Notice(_) => {}
            }
        }
        texts
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.room.as_ref().expect("in the room").epoch()
    }
}

fn leaf<'a>(account: &Account, device: &'a SigningKey) -> LeafIdentity<'a> {
    LeafIdentity {
        account: account.id(),
        home: account.home().clone(),
        device,
        seq: account.seq(),
        head: account.head(),
    }
}

/// Alice at a.example, which is the hub, and Bob at b.example.
pub(crate) struct World {
    pub(crate) wires: Arc<Wires>,
    pub(crate) a: Relay,
    pub(crate) b: Relay,
    pub(crate) alice: Person,
    pub(crate) bob: Person,
}

impl World {
    pub(crate) async fn new() -> Self {
        let wires = Arc::new(Wires::default());
        let (a, b) = (Relay::new(1, "a.example", &wires).await, Relay::new(2, "b.example", &wires).await);
        let (alice, mut bob) = (Person::new(3, "alice", &a).await, Person::new(4, "bob", &b).await);
        bob.stock_up(&b).await;
        Self { wires, a, b, alice, bob }
    }

    /// With a direct room that Alice has founded.
    pub(crate) fn founded() -> LocalBoxFuture<'static, Self> {
        Box::pin(async {
            let mut world = Self::new().await;
            let context = RoomContext::direct(world.a.us().await);
            world.alice.found(&world.a, &context).await.expect("it is founded");
            world
        })
    }

    /// With Bob in the room, and everything carried.
    pub(crate) fn joined() -> LocalBoxFuture<'static, Self> {
        Box::pin(async {
            let mut world = Self::founded().await;
            world.invite_bob().await.expect("it is decided");
            world.alice.merge();
            world.a.carry_all(&world.b).await;
            assert!(world.bob.read(&world.b).await.is_empty());
            assert_eq!(world.bob.epoch(), Epoch(1));
            assert!(world.alice.read(&world.a).await.is_empty());
            world
        })
    }

    pub(crate) async fn invite_bob(&mut self) -> Result<Decided, RoomRefused> {
        let claimed = self.alice.claim(&self.a, &self.bob, &self.b).await;
        let (_, upload) = self.alice.invite(&self.bob, &claimed);
        self.a.rooms.commit(NOW, self.alice.who, upload).await
    }

    pub(crate) async fn epochs(&self) -> (Option<u64>, Option<u64>) {
        let of = |info: Option<RoomInfo>| info.map(|info| info.epoch.0);
        let (a, b) = (self.a.rooms.room(ROOM).await, self.b.rooms.room(ROOM).await);
        (of(a.expect("the store answers")), of(b.expect("the store answers")))
    }
}

/// A place of an item that somebody else than the federation hands over.
pub(crate) fn place(origin: &Relay, lane: u8, seq: u64) -> posthouse_relay::store::LanePlace {
    posthouse_relay::store::LanePlace {
        lane: posthouse_relay::store::Incoming {
            origin: origin.domain.clone(),
            class: LaneClass::Control,
            incarnation: Incarnation::new([lane; 16]),
        },
        seq: LaneSeq(seq),
    }
}
