//! A relay's store in a temporary folder, with people, rooms and shorthands for what the tests say.

use std::path::Path;

use posthouse_crypto::{Account, SealSecret, SigningKey, commit_hash, identity};
use posthouse_spec::account::{AliasBinding, AliasClaim, DeviceKeys};
use posthouse_spec::cbor::{List, Octets};
use posthouse_spec::client::Delivery;
use posthouse_spec::client::socket::Submit;
use posthouse_spec::envelope::{Item, LaneClass};
use posthouse_spec::room::{Decided, Decision, RelayRef, RoomContext, RoomKind, Suite};
use posthouse_spec::{
    Alias, AliasName, Ballot, Cbor, DeviceId, Domain, Epoch, Incarnation, LaneSeq, Lineage, MailboxSeq,
    ManifestSeq, Millis, Number, RoomId, Signed,
};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use sqlx::Row as _;

use super::super::rooms::{Advance, FoundOutcome, RoomState, StepOutcome};
use super::super::types::{Incoming, LaneId, SubmitOutcome, Wakes};
use super::super::{RegisterOutcome, Store};
use crate::mailbox::MailboxKey;
use crate::quota::{Quota, Quotas};
use crate::rooms::{Roster, RosterEntry};

pub(super) const NOW: Millis = Millis(1_790_000_000_000);
/// The room of most stories.
pub(super) const ROOM: RoomId = RoomId::new([7; 32]);

pub(super) fn domain(name: &str) -> Domain {
    name.parse().unwrap()
}

pub(super) fn own() -> Domain {
    domain("a.example")
}

/// Somebody with one device.
pub(super) struct Person {
    pub(super) recovery: SigningKey,
    pub(super) device: SigningKey,
    pub(super) account: Account,
    pub(super) who: MailboxKey,
}

impl Person {
    pub(super) fn new(seed: u64, home: &str) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let recovery = SigningKey::generate(&mut rng);
        let device = SigningKey::generate(&mut rng);
        let keys = DeviceKeys { device: device.device_id(), seal: SealSecret::generate(&mut rng).public() };
        let genesis = identity::genesis(&recovery, keys, domain(home), &mut rng, NOW);
        let account = Account::validate(&[genesis]).unwrap();
        let who = MailboxKey { account: account.id(), device: device.device_id() };
        Self { recovery, device, account, who }
    }

    pub(super) fn entry(&self) -> RosterEntry {
        RosterEntry { account: self.who.account, device: self.who.device, home: self.account.home().clone() }
    }

    pub(super) fn binding(&self, name: &str) -> Signed<AliasBinding> {
        let alias = Alias { name: name.parse().unwrap(), domain: own() };
        let claim = AliasClaim { alias, account: self.account.id(), created: NOW };
        self.device.sign(&AliasBinding { claim: self.device.sign(&claim), bound: NOW })
    }

    pub(super) async fn register(&self, store: &Store, name: &str) -> RegisterOutcome {
        let alias: AliasName = name.parse().unwrap();
        store.register(NOW, &self.account, &alias, &self.binding(name), None).await.unwrap()
    }
}

/// What a store is on the disk.
const FILES: [&str; 3] = ["relay.db", "relay.db-wal", "relay.db-shm"];
/// A copy of [`FILES`], as far as they are there.
pub(super) type Copy = [Option<Vec<u8>>; 3];

/// A relay of a.example with two people of its own, and one at b.example.
pub(super) struct World {
    pub(super) folder: tempfile::TempDir,
    pub(super) store: Store,
    pub(super) alice: Person,
    pub(super) anna: Person,
    quotas: Quotas,
    pub(super) bob: Person,
}

pub(super) async fn open(folder: &Path) -> Store {
    Store::open(folder, &own(), "test", Wakes::none()).await.unwrap()
}

impl World {
    pub(super) async fn new() -> Self {
        Self::with(Quota::default()).await
    }

    pub(super) async fn with(quota: Quota) -> Self {
        Self::within(Quotas { mailbox: quota, ..Quotas::default() }).await
    }

    /// With quotas, and a room of all three.
    pub(super) async fn with_quotas(quotas: Quotas) -> Self {
        let world = Self::within(quotas).await;
        world.found(&[&world.alice, &world.anna, &world.bob]).await;
        world
    }

    async fn within(quotas: Quotas) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_with(folder.path(), &own(), "test", Wakes::none(), quotas).await.unwrap();
        let (alice, anna, bob) =
            (Person::new(1, "a.example"), Person::new(2, "a.example"), Person::new(3, "b.example"));
        assert_eq!(alice.register(&store, "alice").await, RegisterOutcome::Registered);
        assert_eq!(anna.register(&store, "anna").await, RegisterOutcome::Registered);
        Self { folder, store, quotas, alice, anna, bob }
    }

    /// With a room of all three.
    pub(super) async fn with_room() -> Self {
        let world = Self::new().await;
        world.found(&[&world.alice, &world.anna, &world.bob]).await;
        world
    }

    pub(super) async fn found(&self, people: &[&Person]) {
        let state = state(Epoch(0), people);
        let found = self.store.found_room(state, [1; 32], vec![1]).await.unwrap();
        assert_eq!(found, FoundOutcome::Founded);
    }

    /// Closes and opens again.
    pub(super) async fn restart(&mut self) {
        self.store.close().await;
        let folder = self.folder.path();
        self.store = Store::open_with(folder, &own(), "test", Wakes::none(), self.quotas).await.unwrap();
    }

    /// Closes, copies what is on the disk, and opens again.
    pub(super) async fn back_up(&mut self) -> Copy {
        self.store.close().await;
        let copy = FILES.map(|file| std::fs::read(self.folder.path().join(file)).ok());
        self.restart().await;
        copy
    }

    /// Puts a copy back, and opens it.
    pub(super) async fn put_back(&mut self, copy: &Copy) {
        self.store.close().await;
        for (file, bytes) in FILES.iter().zip(copy) {
            let path = self.folder.path().join(file);
            match bytes {
                Some(bytes) => std::fs::write(path, bytes).unwrap(),
                None if path.exists() => std::fs::remove_file(path).unwrap(),
                None => {}
            }
        }
        self.restart().await;
    }

    pub(super) async fn submit(&self, from: &Person, number: u64, body: &[u8]) -> SubmitOutcome {
        self.store.submit(NOW, from.who, submit(Epoch(0), number, body)).await.unwrap()
    }

    /// Moves the room to the epoch behind `ends`.
    pub(super) async fn advance(&self, ends: Epoch, people: &[&Person]) -> StepOutcome {
        self.store.advance_room(NOW, advance(ends, people)).await.unwrap()
    }

    pub(super) async fn mailbox(&self, of: &Person) -> Vec<(u64, Delivery)> {
        let waiting = self.store.pending(of.who, MailboxSeq(0), 10_000, usize::MAX).await.unwrap();
        waiting.iter().map(|item| (item.seq.0, Delivery::from_cbor(&item.delivery).unwrap())).collect()
    }

    pub(super) async fn lane(&self, class: LaneClass) -> Vec<(u64, Item)> {
        let incarnation = self.store.lane(&to_b(class)).await.unwrap().incarnation;
        self.lane_in(class, incarnation).await
    }

    /// As [`World::lane`], in one of its lives.
    pub(super) async fn lane_in(&self, class: LaneClass, life: Incarnation) -> Vec<(u64, Item)> {
        let items = self.store.lane_items(&to_b(class), life, LaneSeq(1), 10_000, usize::MAX).await.unwrap();
        items.iter().map(|item| (item.seq.0, Item::from_cbor(&item.bytes).unwrap())).collect()
    }

    /// How many rows a table has.
    pub(super) async fn count(&self, table: &'static str) -> i64 {
        let text = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        sqlx::query(text).fetch_one(self.store.readers()).await.unwrap().get(0)
    }
}

pub(super) fn to_b(class: LaneClass) -> LaneId {
    LaneId { peer: domain("b.example"), class }
}

pub(super) fn from_b() -> Incoming {
    Incoming {
        origin: domain("b.example"),
        class: LaneClass::Messages,
        incarnation: Incarnation::new([5; 16]),
    }
}

pub(super) fn submit(epoch: Epoch, number: u64, body: &[u8]) -> Submit {
    Submit { room: ROOM, epoch, number: Number(number), body: Octets::new(body.to_vec()).unwrap() }
}

pub(super) fn state(epoch: Epoch, people: &[&Person]) -> RoomState {
    let hub = RelayRef { domain: own(), lineage: Lineage::new([1; 32]) };
    let kind = if people.len() > 2 { RoomKind::Group } else { RoomKind::Direct };
    let owners = List::new(people.iter().take(1).map(|person| person.who.account).collect()).unwrap();
    let roster: Roster = people.iter().map(|person| person.entry()).collect();
    let context = RoomContext { kind, owners, ..RoomContext::direct(hub) };
    RoomState { room: ROOM, epoch, suite: Suite::Classic, context, roster, snapshot: Some(vec![1]) }
}

pub(super) fn decided(ends: Epoch) -> Decided {
    let commit = vec![ends.0 as u8; 8];
    let decision = Decision {
        room: ROOM,
        epoch: ends,
        ballot: Ballot(0),
        commit: commit_hash(&commit),
        manifest: ManifestSeq(1),
    };
    let key = SigningKey::from_seed(&[4; 32]);
    Decided { decision: key.sign(&decision), commit: Octets::new(commit).unwrap() }
}

pub(super) fn advance(ends: Epoch, people: &[&Person]) -> Advance {
    let decided = decided(ends);
    Advance {
        state: state(ends.next(), people),
        commit: commit_hash(&decided.commit),
        decided,
        invitation: None,
        decided_to: vec![domain("b.example")],
        welcome_to: Vec::new(),
        strict: true,
        place: None,
    }
}

/// What a mailbox holds, in short.
pub(super) fn shorts(mailbox: &[(u64, Delivery)]) -> Vec<String> {
    mailbox
        .iter()
        .map(|(_, delivery)| match delivery {
            Delivery::Message(m) => format!("{} e{} {}", m.origin, m.epoch, String::from_utf8_lossy(&m.body)),
            Delivery::Decided(d) => format!("decided {}", d.decided.decision.peek().unwrap().epoch),
            Delivery::Welcome(w) => format!("welcome of {}", w.invited.len()),
            Delivery::EpochEnd(e) => format!("{} ends {}", e.origin, e.epoch),
            Delivery::Notice(n) => format!("{} at {}: {}", n.number, n.relay, n.failure),
        })
        .collect()
}

pub(super) fn device(n: u8) -> DeviceId {
    DeviceId::new([n; 32])
}
