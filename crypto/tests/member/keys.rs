//! Keys between memory and vault: what is written, what a failed transaction leaves behind, and what a restart finds.

use posthouse_crypto::room::RoomError;
use posthouse_crypto::room::member::{Keys, Room};
use posthouse_spec::room::{RoomContext, Suite};
use posthouse_spec::{Epoch, RoomId};

use crate::support::{Pair, Person, SUITES, group, hub};

#[test]
fn a_room_goes_on_from_the_vaults_rows() {
    for suite in SUITES {
        let mut pair = Pair::new(suite);
        let id = pair.alice_room.id();
        for round in 0..3u8 {
            pair.alice.flush();
            pair.bob.flush();
            pair.alice.restart();
            pair.bob.restart();
            pair.alice_room = Room::load(&pair.alice.keys, &id).expect("Alice's room loads");
            pair.bob_room = Room::load(&pair.bob.keys, &id).expect("Bob's room loads");
            let sealed = pair.alice_room.seal(&mut pair.alice.keys, &[round]).expect("Alice seals");
            let opened = pair.bob_room.open(&mut pair.bob.keys, &sealed).expect("Bob opens");
            assert_eq!(opened.content, [round]);
        }
        assert_eq!(pair.bob_room.members(), pair.observer.members());
    }
}

#[test]
fn a_commit_waits_across_a_restart() {
    for suite in SUITES {
        let mut pair = Pair::new(suite);
        let renewal = pair.alice_room.renew(&mut pair.alice.keys).expect("Alice renews");
        pair.alice.flush();
        pair.alice.restart();
        let mut room = Room::load(&pair.alice.keys, &pair.alice_room.id()).expect("the room loads");
        assert_eq!(room.has_pending(), Some(renewal.hash));
        room.merge_own(&mut pair.alice.keys).expect("it was decided");
        pair.bob_room.apply(&mut pair.bob.keys, &renewal.commit).expect("Bob applies it");
        let sealed = room.seal(&mut pair.alice.keys, b"in epoch 2").expect("Alice seals");
        pair.bob_room.open(&mut pair.bob.keys, &sealed).expect("Bob opens");
    }
}

#[test]
fn after_a_rollback_the_same_message_opens_again() {
    let mut pair = Pair::new(Suite::PostQuantum);
    pair.bob.flush();
    let sealed = pair.alice_room.seal(&mut pair.alice.keys, b"twice").expect("Alice seals");
    pair.bob_room.open(&mut pair.bob.keys, &sealed).expect("Bob opens");
    // The vault's transaction fails.
    pair.bob.keys.rollback();
    let mut room = Room::load(&pair.bob.keys, &pair.bob_room.id()).expect("the room loads as it was");
    let opened = room.open(&mut pair.bob.keys, &sealed).expect("and opens the message");
    assert_eq!(opened.content, b"twice");
    assert!(pair.bob.flush() > 0);
}

#[test]
fn after_a_rollback_a_commit_is_applied_again() {
    let mut pair = Pair::new(Suite::Classic);
    pair.bob.flush();
    let renewal = pair.alice_room.renew(&mut pair.alice.keys).expect("Alice renews");
    pair.alice_room.merge_own(&mut pair.alice.keys).expect("decided");
    pair.bob_room.apply(&mut pair.bob.keys, &renewal.commit).expect("Bob applies it");
    pair.bob.keys.rollback();
    let mut room = Room::load(&pair.bob.keys, &pair.bob_room.id()).expect("the room loads as it was");
    assert_eq!(room.epoch(), Epoch(1));
    room.apply(&mut pair.bob.keys, &renewal.commit).expect("and applies the commit");
    let sealed = room.seal(&mut pair.bob.keys, b"in epoch 2").expect("Bob seals");
    pair.alice_room.open(&mut pair.alice.keys, &sealed).expect("Alice opens");
}

#[test]
fn a_failed_operation_writes_nothing() {
    let mut pair = Pair::new(Suite::Classic);
    pair.bob.flush();
    let mut sealed = pair.alice_room.seal(&mut pair.alice.keys, b"altered on the way").expect("Alice seals");
    let last = sealed.len() - 1;
    sealed[last] ^= 1;
    assert!(matches!(pair.bob_room.open(&mut pair.bob.keys, &sealed), Err(RoomError::DoesNotOpen(_))));
    assert_eq!(pair.bob.keys.take_writes(), [], "nothing changed");
    sealed[last] ^= 1;
    pair.bob_room.open(&mut pair.bob.keys, &sealed).expect("the true one still opens");
    pair.bob.flush();
    let mut carol = Person::new(3, "c.example");
    let third = carol.key_package(Suite::Classic);
    pair.bob_room.invite(&mut pair.bob.keys, &[third.bytes]).expect_err("a direct room is for two");
    assert_eq!(pair.bob.keys.take_writes(), [], "nothing changed");
}

#[test]
fn a_failed_join_leaves_the_key_package_usable() {
    let (mut alice, mut bob) = (Person::new(1, "a.example"), Person::new(2, "b.example"));
    let (mut room, founding) =
        alice.found(RoomId::new([1; 32]), Suite::Classic, &RoomContext::direct(hub("a.example")));
    let package = bob.key_package(Suite::Classic);
    let invitation = room.invite(&mut alice.keys, &[package.bytes]).expect("Alice invites");
    let welcome = invitation.welcome.expect("somebody is added");
    bob.flush();
    Room::join(&mut bob.keys, &welcome, &founding).expect_err("the tree is of another epoch");
    assert_eq!(bob.keys.take_writes(), [], "the key package is still there");
    Room::join(&mut bob.keys, &welcome, &invitation.group_info).expect("with the right one he joins");
}

#[test]
fn sealing_a_message_rewrites_little() {
    let mut pair = Pair::new(Suite::PostQuantum);
    pair.alice.flush();
    for _ in 0..20 {
        pair.alice_room.seal(&mut pair.alice.keys, b"a message").expect("Alice seals");
        let written = pair.alice.flush();
        assert!((1..=4096).contains(&written), "{written} bytes for one message");
    }
}

#[test]
fn in_a_large_room_too() {
    let mut alice = Person::new(1, "a.example");
    let context = group(&alice);
    let (mut room, _) = alice.found(RoomId::new([1; 32]), Suite::Classic, &context);
    let packages: Vec<Vec<u8>> =
        (0..100).map(|n| Person::new(100 + n, "b.example").key_package(Suite::Classic).bytes).collect();
    room.invite(&mut alice.keys, &packages).expect("the owner invites many");
    room.merge_own(&mut alice.keys).expect("decided");
    let all = alice.flush();
    for _ in 0..20 {
        room.seal(&mut alice.keys, b"a message").expect("Alice seals");
        let written = alice.flush();
        assert!((1..=10_000).contains(&written), "{written} of {all} bytes for one message");
    }
    assert!(alice.vault.values().all(|row| row.len() <= 4097), "rows are short");
    alice.restart();
    Room::load(&alice.keys, &room.id()).expect("the chunks make the same room");
}

#[test]
fn an_unchanged_vault_is_not_written() {
    let mut pair = Pair::new(Suite::Classic);
    pair.alice.flush();
    assert_eq!(pair.alice.keys.take_writes(), []);
    pair.alice.restart();
    assert_eq!(pair.alice.keys.take_writes(), []);
}

#[test]
fn damaged_rows_are_told_from_missing_ones() {
    let mut pair = Pair::new(Suite::PostQuantum);
    let id = pair.alice_room.id();
    assert_eq!(
        Room::load(&Keys::load(std::iter::empty()), &id).unwrap_err(),
        RoomError::UnknownRoom(id),
        "an empty vault"
    );
    pair.alice.flush();
    let chunks: Vec<_> = pair.alice.vault.keys().filter(|key| key[0] == 1).cloned().collect();
    assert!(!chunks.is_empty(), "something is large enough to be cut");
    for key in &chunks {
        let mut damaged = pair.alice.vault.clone();
        damaged.remove(key);
        let loaded = Room::load(&Keys::load(damaged.into_iter()), &id);
        assert!(matches!(loaded, Err(RoomError::BadState(_))), "{loaded:?}");
    }
}

#[test]
fn no_secret_shows_in_debug_output() {
    let mut pair = Pair::new(Suite::Classic);
    let sealed = pair.alice_room.seal(&mut pair.alice.keys, b"do not show this").expect("Alice seals");
    let opened = pair.bob_room.open(&mut pair.bob.keys, &sealed).expect("Bob opens");
    assert!(!format!("{opened:?}").contains("do not show this"));
    assert_eq!(format!("{:?}", pair.alice_room), "Room(RoomId(09090909…), epoch 1, 2 leaves, secret)");
    let writes = pair.alice.keys.take_writes();
    assert!(writes.iter().all(|write| {
        let shown = format!("{write:?}");
        shown.ends_with("secret bytes)") || shown == "KeyWrite(delete)"
    }));
    let shown = format!("{:?}", pair.alice.keys);
    assert!(shown.starts_with("Keys(") && shown.ends_with(" values, secret)"), "{shown}");
}

#[test]
fn forgotten_secrets_leave_the_vault() {
    let mut pair = Pair::new(Suite::Classic);
    let size = |alice: &mut Person| {
        alice.flush();
        alice.vault.values().map(Vec::len).sum::<usize>()
    };
    let none_past = size(&mut pair.alice);
    pair.alice_room.renew(&mut pair.alice.keys).expect("Alice renews");
    pair.alice_room.merge_own(&mut pair.alice.keys).expect("decided");
    let one_past = size(&mut pair.alice);
    pair.alice_room.forget_epoch(&mut pair.alice.keys, Epoch(1)).expect("epoch 1 is past");
    let forgotten = size(&mut pair.alice);
    assert!(one_past > none_past + 500, "{none_past} then {one_past}: the secrets of a past epoch take room");
    assert!(forgotten + 500 < one_past, "{one_past} then {forgotten}: and are gone");
}
