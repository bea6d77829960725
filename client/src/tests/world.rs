//! A small world for tests: people with real vaults and real MLS, and a hub that only decides. No network.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use posthouse_crypto::room::member::key_package;
use posthouse_crypto::{KnownAccount, SigningKey, Verified, follow, key_hash, lineage, manifest_hash};
use posthouse_spec::account::{AliasBinding, ClaimedKeyPackage, KeyClaim};
use posthouse_spec::cbor::{Cbor as _, List, Octets, Text};
use posthouse_spec::client::Delivery;
use posthouse_spec::client::delivery::{
    DecidedDelivery, EpochEndDelivery, Failure, MessageDelivery, NoticeDelivery, WelcomeDelivery,
};
use posthouse_spec::client::socket::Push;
use posthouse_spec::manifest::Manifest;
use posthouse_spec::room::{CommitClaim, CommitUpload, Decided, Decision, Suite};
use posthouse_spec::{
    Alias, Ballot, Domain, Epoch, Incarnation, MailboxSeq, ManifestSeq, Millis, RoomId, Signed, Ticket,
};
use tempfile::TempDir;
use tokio::sync::mpsc;

use crate::client::Client;
use crate::clock;
use crate::context::Context;
use crate::event::Event;
use crate::model::{Conversation, Direction, Page};
use crate::profile::{Profile, Unlock};
use crate::register;
use crate::rooms::identity::leaf_identity;
use crate::rooms::{commit, fit, founding};
use crate::sync::testing;
use crate::vault::commits::{self, PendingCommit};
use crate::vault::outbox::Outgoing;
use crate::vault::owner::Owner;
use crate::vault::{Vault, contacts, foundings, held, key_packages, owner, relays, requests, rooms};

/// Events that a test may leave unread.
const EVENTS: usize = 4096;

/// The hub and its keys.
pub(crate) struct World {
    root: SigningKey,
    ordering: SigningKey,
    pub(crate) manifest: Verified<Manifest>,
}

/// Somebody with a vault.
pub(crate) struct Person {
    pub(crate) client: Client,
    pub(crate) profile: Profile,
    pub(crate) key_file: PathBuf,
    folder: TempDir,
    next: AtomicU64,
    sender: mpsc::Sender<Event>,
    events: Mutex<mpsc::Receiver<Event>>,
}

/// A room that was founded, with what its invited one gets.
pub(crate) struct Founded {
    pub(crate) room: RoomId,
    pub(crate) welcome: Delivery,
}

impl World {
    pub(crate) fn new() -> Self {
        let rng = &mut rand::rng();
        let (root, next, ordering) =
            (SigningKey::generate(rng), SigningKey::generate(rng), SigningKey::generate(rng));
        let domain: Domain = "h.localhost".parse().expect("a domain");
        let manifest = root.sign(&Manifest {
            domain: domain.clone(),
            seq: ManifestSeq(1),
            previous: None,
            root: root.public(),
            next_root: key_hash(&next.public()),
            ordering: ordering.public(),
            nodes: List::default(),
            addresses: List::default(),
            client_url: Text::clipped("http://127.0.0.1:1"),
            created: Millis(1),
            lineage: None,
            mailbags: None,
            circuits: None,
        });
        let manifest = follow(&domain, None, &manifest).expect("a first manifest");
        Self { root, ordering, manifest }
    }

    /// The hub replaces its ordering key: its next manifest names another.
    pub(crate) fn replace_ordering(&mut self) {
        self.ordering = SigningKey::generate(&mut rand::rng());
        let next = self.root.sign(&Manifest {
            seq: self.manifest.seq.next(),
            previous: Some(manifest_hash(self.manifest.signed())),
            lineage: Some(lineage(&self.manifest)),
            ordering: self.ordering.public(),
            ..(*self.manifest).clone()
        });
        self.manifest = follow(&self.manifest.domain, Some(self.manifest.signed()), &next).expect("the next");
    }

    /// The hub as it was, with all its keys, for whoever has stolen them.
    pub(crate) fn stolen(&self) -> Self {
        let copy = |key: &SigningKey| SigningKey::from_seed(&key.seed());
        Self { root: copy(&self.root), ordering: copy(&self.ordering), manifest: self.manifest.clone() }
    }

    /// Somebody whose registration this hub's relay confirmed.
    pub(crate) async fn person(&self, name: &str) -> Person {
        self.person_at(name, "http://127.0.0.1:1").await
    }

    /// Somebody whose relay is at a URL.
    pub(crate) async fn person_at(&self, name: &str, url: &str) -> Person {
        let folder = tempfile::tempdir().expect("a folder");
        let profile = Profile::locate(Some(folder.path()), name).expect("a profile");
        let key_file = folder.path().join("key");
        let unlock = Unlock::KeyFile(key_file.clone());
        let vault = Vault::create(&profile, &unlock).await.expect("a vault");
        let alias: Alias = format!("{name}@h.localhost").parse().expect("an alias");
        let owner = register::begin(&vault, &alias, Some(url)).await.expect("an owner");
        let binding = self.bind(&owner);
        let mut tx = vault.begin().await.expect("a transaction");
        let db = tx.db().expect("a database");
        owner::confirm(db, &binding, Millis(1)).await.expect("confirmed");
        relays::pin(db, &alias.domain, self.manifest.signed(), Millis(1)).await.expect("pinned");
        tx.commit().await.expect("durable");
        vault.close().await.expect("closed");
        drop(vault);
        let client = Client::open(&profile, unlock).await.expect("the client");
        let (sender, events) = mpsc::channel(EVENTS);
        Person {
            client,
            profile,
            key_file,
            folder,
            next: AtomicU64::new(1),
            sender,
            events: Mutex::new(events),
        }
    }

    /// The relay's word for an alias.
    pub(crate) fn bind(&self, owner: &Owner) -> Signed<AliasBinding> {
        self.ordering.sign(&AliasBinding { claim: owner.claim.clone(), bound: Millis(1) })
    }

    /// The hub signs a decision.
    pub(crate) fn sign(&self, decision: &Decision) -> Signed<Decision> {
        self.ordering.sign(decision)
    }

    /// Founds a room as `by`, who knows `with` and writes to them.
    pub(crate) async fn found(&self, by: &Person, with: &Person) -> Founded {
        by.knows(with).await;
        let context = by.context();
        let peer = with.context().owner.account.id();
        let mut tx = context.vault.begin().await.expect("a transaction");
        contacts::consent(tx.db().expect("db"), &peer).await.expect("consent");
        foundings::begin(tx.db().expect("db"), &peer).await.expect("begun");
        tx.commit().await.expect("durable");
        let room = founding::found(context, &peer, &self.manifest).await.expect("a room");
        let package = with.claimed().await;
        let fit = fit::fit_packages(&[package], &with.context().owner.account, fit::SUITE);
        let commit = founding::invite(context, &room, &fit).await.expect("a commit");
        let decided = self.decide(&commit);
        commit::finish(context, &room, &decided).await.expect("merged");
        Founded { room, welcome: self.welcome(by, with, commit, decided) }
    }

    /// Moves a room to its next epoch, for `by`, and returns what the others get of it.
    pub(crate) async fn move_on(&self, by: &Person, room: &RoomId) -> Delivery {
        let commit = by.renews(room).await;
        let delivery = self.decided(*room, self.decide(&commit));
        by.gets(std::slice::from_ref(&delivery)).await;
        delivery
    }

    /// Decides a commit.
    pub(crate) fn decide(&self, commit: &PendingCommit) -> Decided {
        let decision = Decision {
            room: commit.room,
            epoch: commit.epoch,
            ballot: Ballot(0),
            commit: commit.hash,
            manifest: self.manifest.seq,
        };
        Decided { decision: self.ordering.sign(&decision), commit: commit.upload.commit.clone() }
    }

    /// A decision with its relays, as a mailbox has it.
    pub(crate) fn decided(&self, room: RoomId, decided: Decided) -> Delivery {
        let relays = List::new(vec![self.manifest.domain.clone()]).expect("one");
        Delivery::Decided(DecidedDelivery { room, decided, relays })
    }

    /// An invitation as a mailbox has it.
    pub(crate) fn welcome(
        &self,
        by: &Person,
        with: &Person,
        commit: PendingCommit,
        decided: Decided,
    ) -> Delivery {
        let (inviter, invited) = (&by.context().owner, &with.context().owner);
        let claim: Signed<KeyClaim> = inviter.device.sign(&KeyClaim {
            claimant: inviter.account.id(),
            device: inviter.device.device_id(),
            alias: inviter.alias.clone(),
            target: invited.account.id(),
            domain: invited.alias.domain.clone(),
            suite: 0x004E,
            created: Millis(1),
            nonce: Incarnation::new([7; 16]),
        });
        let bundle = commit.upload.welcome.expect("an invitation");
        Delivery::Welcome(WelcomeDelivery {
            room: commit.room,
            claim,
            decided,
            welcome: bundle.welcome,
            group_info: bundle.group_info,
            invited: List::default(),
            received: Millis(5),
        })
    }

    /// A sealed message as a mailbox has it.
    pub(crate) fn message(&self, item: &Outgoing) -> Delivery {
        Delivery::Message(MessageDelivery {
            room: item.room,
            origin: self.manifest.domain.clone(),
            epoch: item.epoch,
            body: Octets::new(item.body.clone()).expect("within the limit"),
            received: Millis(9),
        })
    }

    /// The end of an epoch as a mailbox has it.
    pub(crate) fn epoch_end(&self, room: RoomId, epoch: Epoch) -> Delivery {
        Delivery::EpochEnd(EpochEndDelivery { room, origin: self.manifest.domain.clone(), epoch })
    }
}

impl Person {
    pub(crate) fn context(&self) -> &Context {
        self.client.context()
    }

    pub(crate) fn alias(&self) -> &Alias {
        &self.context().owner.alias
    }

    /// Keeps who somebody is, as after a look-up.
    pub(crate) async fn knows(&self, other: &Self) {
        let owner = &other.context().owner;
        let known =
            KnownAccount { alias: owner.alias.clone(), account: owner.account.clone(), bound: Millis(1) };
        let mut tx = self.context().vault.begin().await.expect("a transaction");
        contacts::learn(tx.db().expect("db"), &known, Millis(1)).await.expect("learnt");
        tx.commit().await.expect("durable");
    }

    /// The program ends and is started again.
    pub(crate) async fn starts_again(self) -> Self {
        self.client.clone().close().await.expect("closed");
        let Self { client, profile, key_file, folder, next, sender, events } = self;
        drop(client);
        let client = Client::open(&profile, Unlock::KeyFile(key_file.clone())).await.expect("opens again");
        Self { client, profile, key_file, folder, next, sender, events }
    }

    /// A key package of this device, as a relay hands it out.
    pub(crate) async fn claimed(&self) -> ClaimedKeyPackage {
        let context = self.context();
        let mut tx = context.vault.begin().await.expect("a transaction");
        let identity = leaf_identity(&context.owner);
        let suite = Suite::PostQuantum;
        let package = key_package(tx.keys(), &identity, suite, false, &mut rand::rng(), clock::now())
            .expect("a key package");
        key_packages::insert(tx.db().expect("db"), suite, false, &package, Millis(1)).await.expect("kept");
        tx.commit().await.expect("durable");
        ClaimedKeyPackage {
            device: context.owner.device.device_id(),
            key_package: Octets::new(package.bytes).expect("within the limit"),
            ticket: Ticket::new([3; 32]),
            last_resort: false,
        }
    }

    /// Has heard of a hub's manifest.
    pub(crate) async fn has_met(&self, world: &World) {
        let mut tx = self.context().vault.begin().await.expect("a transaction");
        let db = tx.db().expect("db");
        relays::pin(db, &world.manifest.domain, world.manifest.signed(), Millis(2)).await.expect("pinned");
        tx.commit().await.expect("durable");
    }

    /// The epoch of a room, and how much waits for it.
    pub(crate) async fn stands(&self, room: &RoomId) -> (Epoch, u64) {
        let mut reader = self.context().vault.read().await.expect("a turn");
        let row = rooms::by_id(reader.db().expect("db"), room).await.expect("read").expect("the room");
        let waiting = held::load(reader.db().expect("db"), room).await.expect("read");
        (row.epoch, waiting.items)
    }

    /// Gets these items, as new ones of the mailbox.
    pub(crate) async fn gets(&self, items: &[Delivery]) {
        let push = |item: &Delivery| Push {
            seq: MailboxSeq(self.next.fetch_add(1, Ordering::Relaxed)),
            item: Octets::new(item.to_cbor()).expect("within the limit"),
        };
        let pushes: Vec<Push> = items.iter().map(push).collect();
        testing::take_in(self.context(), self.sender.clone(), &pushes).await.expect("taken in");
    }

    /// Gets the last of these items at a position that was there before.
    pub(crate) async fn gets_again(&self, item: &Delivery) {
        self.next.fetch_sub(1, Ordering::Relaxed);
        self.gets(std::slice::from_ref(item)).await;
    }

    /// Knows that the alias of who asks is theirs, as after a look-up.
    pub(crate) async fn finds_out(&self, room: &RoomId) {
        let mut tx = self.context().vault.begin().await.expect("a transaction");
        requests::set_verified(tx.db().expect("db"), room).await.expect("noted");
        tx.commit().await.expect("durable");
    }

    /// Seals what waits, as if the relay could take `window` messages.
    pub(crate) async fn seals(&self, window: u32) -> Vec<Outgoing> {
        testing::seal(self.context(), self.sender.clone(), window).await.expect("sealed")
    }

    /// Texts that came in, with those that could not be opened as `None`.
    pub(crate) async fn texts_from(&self, other: &Self) -> Vec<Option<String>> {
        let of = Conversation::With(other.alias().clone());
        let history = self.client.history(&of, Page::default()).await.expect("a history");
        history
            .into_iter()
            .filter(|message| message.direction == Direction::In)
            .map(|message| message.text)
            .collect()
    }

    /// All events so far.
    pub(crate) fn events(&self) -> Vec<Event> {
        let mut events = self.events.lock().expect("one thread");
        std::iter::from_fn(|| events.try_recv().ok()).collect()
    }

    /// Where this person's events go.
    pub(crate) fn listener(&self) -> mpsc::Sender<Event> {
        self.sender.clone()
    }

    /// Lets go of the client; the folder stays for as long as it is held.
    pub(crate) fn abandon(self) -> TempDir {
        self.folder
    }

    /// Makes a commit that changes nothing but this device's own keys.
    pub(crate) async fn renews(&self, id: &RoomId) -> PendingCommit {
        let context = self.context();
        let mut tx = context.vault.begin().await.expect("a transaction");
        let (room, keys) = tx.room(id).expect("the room");
        let proposed = room.renew(keys).expect("a commit");
        let claim = CommitClaim { room: *id, epoch: proposed.epoch, commit: proposed.hash };
        let upload = CommitUpload {
            claim: context.owner.device.sign(&claim),
            commit: Octets::new(proposed.commit).expect("within the limit"),
            welcome: None,
        };
        let again = Millis::default();
        let commit = PendingCommit { room: *id, epoch: proposed.epoch, hash: proposed.hash, upload, again };
        commits::put(tx.db().expect("db"), &commit).await.expect("kept");
        tx.commit().await.expect("durable");
        commit
    }
}

/// Word of a failure as a mailbox has it.
pub(crate) fn notice(item: &Outgoing) -> Delivery {
    Delivery::Notice(NoticeDelivery {
        room: item.room,
        number: item.number,
        relay: "b.localhost".parse().expect("a domain"),
        failure: Failure::Expired,
        detail: Text::clipped("it waited for 30 days"),
    })
}
