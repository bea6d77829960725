//! People with devices for the stories of these tests.

use std::collections::BTreeMap;

use posthouse_crypto::room::Observer;
use posthouse_crypto::room::member::{Keys, LeafIdentity, NewKeyPackage, Proposed, Room, key_package};
use posthouse_crypto::{Account, SealSecret, SigningKey, identity};
use posthouse_spec::account::DeviceKeys;
use posthouse_spec::cbor::List;
use posthouse_spec::room::{RelayRef, Role, RoomContext, RoomKind, Suite};
use posthouse_spec::{Lineage, Millis, RoomId};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

/// The time of every story.
pub(crate) const NOW: Millis = Millis(1_790_000_000_000);

/// Both suites, for stories that are told in each.
pub(crate) const SUITES: [Suite; 2] = [Suite::Classic, Suite::PostQuantum];

/// A seeded generator, so that a story is always the same.
pub(crate) fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

/// Somebody with one device.
pub(crate) struct Person {
    pub(crate) account: Account,
    pub(crate) device: SigningKey,
    pub(crate) keys: Keys,
    pub(crate) vault: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(crate) rng: StdRng,
}

impl Person {
    /// A new person whose home is `domain`.
    pub(crate) fn new(seed: u64, domain: &str) -> Self {
        let mut rng = rng(seed);
        let recovery = SigningKey::generate(&mut rng);
        let device = SigningKey::generate(&mut rng);
        let seal = SealSecret::generate(&mut rng).public();
        let keys = DeviceKeys { device: device.device_id(), seal };
        let home = domain.parse().expect("a domain");
        let genesis = identity::genesis(&recovery, keys, home, &mut rng, NOW);
        let account = Account::validate(&[genesis]).expect("a chain of one event");
        Self { account, device, keys: Keys::load(std::iter::empty()), vault: BTreeMap::new(), rng }
    }

    /// Founds a room.
    pub(crate) fn found(&mut self, room: RoomId, suite: Suite, context: &RoomContext) -> (Room, Vec<u8>) {
        let id = identity_of(&self.account, &self.device);
        Room::found(&mut self.keys, &id, room, suite, context, &mut self.rng, NOW).expect("founding holds")
    }

    /// Makes a key package.
    pub(crate) fn key_package(&mut self, suite: Suite) -> NewKeyPackage {
        let id = identity_of(&self.account, &self.device);
        key_package(&mut self.keys, &id, suite, false, &mut self.rng, NOW).expect("a key package")
    }

    /// Writes the keys to the person's vault; returns how many bytes that were.
    pub(crate) fn flush(&mut self) -> usize {
        let mut written = 0;
        for write in self.keys.take_writes() {
            match write.value {
                Some(value) => {
                    written += value.len();
                    self.vault.insert(write.key, value);
                }
                None => {
                    self.vault.remove(&write.key);
                }
            }
        }
        written
    }

    /// Starts again from what the vault holds.
    pub(crate) fn restart(&mut self) {
        self.keys = Keys::load(self.vault.clone().into_iter());
    }
}

/// What an account's leaf claims are made from.
pub(crate) fn identity_of<'a>(account: &Account, device: &'a SigningKey) -> LeafIdentity<'a> {
    LeafIdentity {
        account: account.id(),
        home: account.home().clone(),
        device,
        seq: account.seq(),
        head: account.head(),
    }
}

/// A room's hub.
pub(crate) fn hub(domain: &str) -> RelayRef {
    RelayRef { domain: domain.parse().expect("a domain"), lineage: Lineage::new([7; 32]) }
}

/// The context of a group that one account owns.
pub(crate) fn group(owner: &Person) -> RoomContext {
    RoomContext {
        kind: RoomKind::Group,
        owners: List::new(vec![owner.account.id()]).expect("one owner"),
        policy: posthouse_spec::room::RoomPolicy {
            write: Role::Member,
            add: Role::Admin,
            change: Role::Admin,
        },
        ..RoomContext::direct(hub("a.example"))
    }
}

/// A room of two, with an observer that has seen it all.
pub(crate) struct Pair {
    pub(crate) alice: Person,
    pub(crate) bob: Person,
    pub(crate) alice_room: Room,
    pub(crate) bob_room: Room,
    pub(crate) observer: Observer,
    pub(crate) invitation: Proposed,
}

impl Pair {
    /// Alice founds a direct room and invites Bob.
    pub(crate) fn new(suite: Suite) -> Self {
        Self::with(suite, |_| RoomContext::direct(hub("a.example")))
    }

    /// Alice founds a room with a context of her choice and invites Bob.
    pub(crate) fn with(suite: Suite, context: impl Fn(&Person) -> RoomContext) -> Self {
        let (mut alice, mut bob) = (Person::new(1, "a.example"), Person::new(2, "b.example"));
        let context = context(&alice);
        let (mut alice_room, group_info) = alice.found(RoomId::new([9; 32]), suite, &context);
        let mut observer = Observer::from_group_info(&group_info).expect("the observer takes the founding");
        let package = bob.key_package(suite);
        let invitation = alice_room.invite(&mut alice.keys, &[package.bytes]).expect("Alice may invite");
        let judged = observer.judge(&invitation.commit).expect("the observer admits it");
        observer.apply(judged).expect("it is of this epoch");
        alice_room.merge_own(&mut alice.keys).expect("it waits");
        let welcome = invitation.welcome.as_ref().expect("somebody is added");
        let bob_room = Room::join(&mut bob.keys, welcome, &invitation.group_info).expect("Bob joins");
        Self { alice, bob, alice_room, bob_room, observer, invitation }
    }
}
