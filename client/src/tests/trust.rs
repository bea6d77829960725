//! Devices that bear an account's name and are not on its list.

use posthouse_crypto::room::member::{Keys, LeafIdentity, Room, key_package};
use posthouse_crypto::{KnownAccount, SigningKey, verify};
use posthouse_spec::cbor::{Cbor as _, List, Octets};
use posthouse_spec::client::Delivery;
use posthouse_spec::content::MimiContent;
use posthouse_spec::room::{CommitClaim, CommitUpload, Suite, WelcomeBundle};
use posthouse_spec::{AccountId, Millis, Number, RoomId};

use super::world::{Person, World};
use crate::clock;
use crate::model::{Conversation, Direction, Message, Page};
use crate::rooms::founding;
use crate::rooms::identity::leaf_identity;
use crate::vault::commits::PendingCommit;
use crate::vault::outbox::Outgoing;

/// A key package of a device that nobody has, in somebody's name.
fn forged(keys: &mut Keys, of: &Person) -> Vec<u8> {
    let device = SigningKey::generate(&mut rand::rng());
    let named = LeafIdentity { device: &device, ..leaf_identity(&of.context().owner) };
    key_package(keys, &named, Suite::PostQuantum, false, &mut rand::rng(), clock::now())
        .expect("a key package")
        .bytes
}

/// A device that says it is of `of`, in a room into which `by` brings it.
struct Ghost {
    keys: Keys,
    room: Room,
    commit: PendingCommit,
}

impl Ghost {
    async fn enters(id: &RoomId, by: &Person, of: &Person) -> Self {
        let mut keys = Keys::load(std::iter::empty());
        let package = forged(&mut keys, of);
        let mut tx = by.context().vault.begin().await.expect("a transaction");
        let (room, by_keys) = tx.room(id).expect("the room");
        let proposed = room.invite(by_keys, &[package]).expect("a commit");
        let claim = CommitClaim { room: *id, epoch: proposed.epoch, commit: proposed.hash };
        let upload = CommitUpload {
            claim: by.context().owner.device.sign(&claim),
            commit: Octets::new(proposed.commit).expect("within the limit"),
            welcome: None,
        };
        let welcome = proposed.welcome.expect("an invitation");
        let room = Room::join(&mut keys, &welcome, &proposed.group_info).expect("the ghost joins");
        let again = Millis::default();
        let commit = PendingCommit { room: *id, epoch: proposed.epoch, hash: proposed.hash, upload, again };
        Self { keys, room, commit }
    }

    fn writes(&mut self, text: &str) -> Outgoing {
        let content = MimiContent::text(rand::random(), text).expect("a text");
        let body = self.room.seal(&mut self.keys, &content.to_cbor()).expect("sealed");
        Outgoing { number: Number(1), room: self.room.id(), epoch: self.room.epoch(), body, local: 1 }
    }
}

/// What `reader` has of somebody who says that they are `of`.
async fn told(reader: &Person, room: &RoomId, of: AccountId) -> Vec<Message> {
    let of_room = Conversation::Room(*room);
    let history = reader.client.history(&of_room, Page::default()).await.expect("a history");
    history.into_iter().filter(|message| message.account == Some(of)).collect()
}

#[tokio::test]
async fn nobody_speaks_in_the_name_of_another() {
    for in_own_name in [false, true] {
        let world = World::new();
        let (alice, bob) = (world.person("alice").await, world.person("bob").await);
        let founded = world.found(&alice, &bob).await;
        bob.knows(&alice).await;
        bob.gets(std::slice::from_ref(&founded.welcome)).await;
        bob.finds_out(&founded.room).await;
        bob.client.accept(alice.alias()).await.expect("joined");
        let named = if in_own_name { &bob } else { &alice };
        let mut ghost = Ghost::enters(&founded.room, &alice, named).await;
        let decided = world.decided(founded.room, world.decide(&ghost.commit));
        let letter = ghost.writes("I owe you a house");
        bob.gets(&[decided, world.message(&letter)]).await;
        let named = named.context().owner.account.id();
        // Her relay shows her list as it is.
        bob.hears_of(&named).await;
        let lines = told(&bob, &founded.room, named).await;
        assert_eq!(lines.len(), 1, "it is not dropped silently");
        assert_eq!((lines[0].text.as_deref(), lines[0].direction), (None, Direction::In));
        assert!(lines[0].reason.is_some());
    }
}

#[tokio::test]
async fn a_room_with_a_forged_device_is_not_joined() {
    for in_own_name in [false, true] {
        let world = World::new();
        let (alice, bob) = (world.person("alice").await, world.person("bob").await);
        alice.knows(&bob).await;
        let peer = bob.context().owner.account.id();
        let id = founding::found(alice.context(), &peer, &world.manifest).await.expect("a room");
        let named = if in_own_name { &bob } else { &alice };
        let ghost = forged(&mut Keys::load(std::iter::empty()), named);
        let package = bob.claimed().await.key_package.to_vec();
        let mut tx = alice.context().vault.begin().await.expect("a transaction");
        let (room, keys) = tx.room(&id).expect("the room");
        let proposed = room.invite(keys, &[package, ghost]).expect("a commit");
        drop(tx);
        let claim = CommitClaim { room: id, epoch: proposed.epoch, commit: proposed.hash };
        let bundle = WelcomeBundle {
            welcome: Octets::new(proposed.welcome.expect("an invitation")).expect("within the limit"),
            group_info: Octets::new(proposed.group_info).expect("within the limit"),
            invited: List::default(),
        };
        let upload = CommitUpload {
            claim: alice.context().owner.device.sign(&claim),
            commit: Octets::new(proposed.commit).expect("within the limit"),
            welcome: Some(bundle),
        };
        let again = Millis::default();
        let commit = PendingCommit { room: id, epoch: proposed.epoch, hash: proposed.hash, upload, again };
        let decided = world.decide(&commit);
        bob.knows(&alice).await;
        bob.gets(&[world.welcome(&alice, &bob, commit, decided)]).await;
        bob.finds_out(&id).await;
        bob.client.accept(alice.alias()).await.expect("noted");
        assert!(bob.client.rooms().await.expect("rooms").is_empty(), "in Bob's own name: {in_own_name}");
    }
}

/// An invitation of `by`, in the name of `of`.
async fn invites_as(world: &World, by: &Person, of: &Person, with: &Person) -> Delivery {
    let Delivery::Welcome(mut welcome) = world.found(by, with).await.welcome else {
        unreachable!("an invitation")
    };
    let (device, owner) = (&by.context().owner.device, &of.context().owner);
    let mut claim = verify(&welcome.claim, &device.public()).expect("signed").into_inner();
    claim.claimant = owner.account.id();
    claim.alias = owner.alias.clone();
    welcome.claim = device.sign(&claim);
    Delivery::Welcome(welcome)
}

#[tokio::test]
async fn an_invitation_in_the_name_of_a_friend_holds_up_nothing() {
    let world = World::new();
    let (alice, bob) = (world.person("alice").await, world.person("bob").await);
    let mallory = world.person("mallory").await;
    let his = world.found(&bob, &alice).await;
    alice.gets(std::slice::from_ref(&his.welcome)).await;
    alice.knows(&bob).await;
    alice.finds_out(&his.room).await;
    alice.client.accept(bob.alias()).await.expect("joined");
    bob.gets(&[invites_as(&world, &mallory, &alice, &bob).await]).await;
    alice.client.send(bob.alias(), "hello").await.expect("queued");
    let sealed = alice.seals(1).await;
    bob.gets(&[world.message(&sealed[0])]).await;
    assert_eq!(bob.texts_from(&alice).await, [Some("hello".to_owned())]);
}

#[tokio::test]
async fn only_an_invitation_of_their_own_stands_for_a_room_with_them() {
    for theirs in [false, true] {
        let world = World::new();
        let (alice, bob) = (world.person("alice").await, world.person("bob").await);
        let mallory = world.person("mallory").await;
        let by = if theirs { &alice } else { &mallory };
        bob.gets(&[invites_as(&world, by, &alice, &bob).await]).await;
        let owner = &alice.context().owner;
        let known =
            KnownAccount { alias: owner.alias.clone(), account: owner.account.clone(), bound: Millis(1) };
        let needed = founding::begin(bob.context(), &known).await.expect("begun");
        assert_eq!(needed, !theirs);
    }
}
