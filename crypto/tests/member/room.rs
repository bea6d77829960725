//! Rooms as people live in them: founding, inviting, writing, late messages, forgetting, leaving.

use crate::support::{Pair, Person, SUITES, group, hub, rng};
use posthouse_crypto::room::member::Room;
use posthouse_crypto::room::{MessageKind, Observer, RoomError, inspect, inspect_key_package};
use posthouse_spec::content::padded_len;
use posthouse_spec::policy::{Committer, PolicyRule};
use posthouse_spec::room::{RoomContext, Suite};
use posthouse_spec::{Epoch, RoomId};

#[test]
fn two_people_write_to_each_other_in_both_suites() {
    for suite in SUITES {
        let mut pair = Pair::new(suite);
        assert_eq!(pair.bob_room.suite(), suite);
        assert_eq!(pair.bob_room.epoch(), Epoch(1));
        assert_eq!(pair.bob_room.context(), &RoomContext::direct(hub("a.example")));

        let sealed = pair.alice_room.seal(&mut pair.alice.keys, b"Dear Bob").expect("Alice seals");
        let opened = pair.bob_room.open(&mut pair.bob.keys, &sealed).expect("Bob opens");
        assert_eq!(opened.content, b"Dear Bob");
        assert_eq!(opened.sender.account, pair.alice.account.id());
        assert_eq!(opened.sender.home.as_str(), "a.example");
        assert_eq!(opened.epoch, Epoch(1));

        let sealed = pair.bob_room.seal(&mut pair.bob.keys, b"Dear Alice").expect("Bob seals");
        let opened = pair.alice_room.open(&mut pair.alice.keys, &sealed).expect("Alice opens");
        assert_eq!(opened.content, b"Dear Alice");
        assert_eq!(opened.sender.device, pair.bob.device.device_id());
    }
}

#[test]
fn every_relay_derives_the_same_roster_from_the_tree() {
    for suite in SUITES {
        let pair = Pair::new(suite);
        assert_eq!(pair.observer.members(), pair.alice_room.members());
        assert_eq!(pair.observer.members(), pair.bob_room.members());
        assert_eq!(pair.observer.relays(), pair.bob_room.relays());
        let relays: Vec<String> = pair.observer.relays().iter().map(ToString::to_string).collect();
        assert_eq!(relays, ["a.example", "b.example"]);

        pair.observer.agrees_with(&pair.invitation.group_info).expect("the inviter told the truth");
        let newcomer =
            Observer::from_group_info(&pair.invitation.group_info).expect("a relay that comes new");
        assert_eq!(newcomer.members(), pair.observer.members());
        assert_eq!(newcomer.epoch(), Epoch(1));
    }
}

#[test]
fn an_observer_goes_on_from_its_snapshot() {
    for suite in SUITES {
        let mut pair = Pair::new(suite);
        let mut restored = Observer::restore(&pair.observer.snapshot()).expect("a snapshot restores");
        assert_eq!(restored.members(), pair.observer.members());
        assert_eq!(restored.snapshot(), pair.observer.snapshot());

        let renewal = pair.bob_room.renew(&mut pair.bob.keys).expect("Bob renews his leaf");
        restored
            .apply(restored.judge(&renewal.commit).expect("the restored observer admits it"))
            .expect("it applies");
        pair.observer
            .apply(pair.observer.judge(&renewal.commit).expect("so does the other"))
            .expect("it applies");
        restored.agrees_with(&renewal.group_info).expect("the restored one agrees");
        pair.observer.agrees_with(&renewal.group_info).expect("so does the other");
        assert_eq!(restored.snapshot(), pair.observer.snapshot());
    }
}

#[test]
fn a_key_package_says_whose_it_is() {
    let mut bob = Person::new(2, "b.example");
    for suite in SUITES {
        let package = bob.key_package(suite);
        let info = inspect_key_package(&package.bytes).expect("it holds");
        assert_eq!((info.hash, info.suite, info.last_resort), (package.hash, suite, false));
        assert_eq!(info.claim.account, bob.account.id());
        assert_eq!(info.claim.device, bob.device.device_id());
        assert!(bob.account.held(&info.claim.device, info.claim.seq, &info.claim.head));
    }
}

#[test]
fn a_judged_commit_names_the_key_packages_that_it_used() {
    let (mut alice, mut bob) = (Person::new(1, "a.example"), Person::new(2, "b.example"));
    let (mut room, group_info) =
        alice.found(RoomId::new([1; 32]), Suite::PostQuantum, &RoomContext::direct(hub("a.example")));
    let package = bob.key_package(Suite::PostQuantum);
    let proposed =
        room.invite(&mut alice.keys, std::slice::from_ref(&package.bytes)).expect("Alice may invite");
    let observer = Observer::from_group_info(&group_info).expect("the founding holds");
    let judged = observer.judge(&proposed.commit).expect("it is admitted");
    assert_eq!(judged.key_packages, [package.hash]);
    assert_eq!((judged.commit, judged.epoch), (proposed.hash, Epoch(0)));
    assert_eq!(judged.change.adds[0].account, bob.account.id());
    assert!(matches!(&judged.change.committer, Committer::Member(by) if by.account == alice.account.id()));
    assert_eq!(observer.epoch(), Epoch(0), "judging changes nothing");
}

#[test]
fn the_outside_of_a_message_can_be_read_by_anybody() {
    let mut pair = Pair::new(Suite::Classic);
    let commit = inspect(&pair.invitation.commit).expect("a commit");
    assert_eq!(
        (commit.room, commit.epoch, commit.kind),
        (pair.observer.room(), Epoch(0), MessageKind::Commit)
    );
    let sealed = pair.alice_room.seal(&mut pair.alice.keys, b"hello").expect("Alice seals");
    let message = inspect(&sealed).expect("a message");
    assert_eq!((message.epoch, message.kind), (Epoch(1), MessageKind::Application));
}

#[test]
fn a_sealed_message_shows_only_the_bucket_of_its_length() {
    let mut pair = Pair::new(Suite::Classic);
    let mut sealed =
        |content: &[u8]| pair.alice_room.seal(&mut pair.alice.keys, content).expect("Alice seals").len();
    assert_eq!(sealed(b"yes"), sealed(&[b'x'; 250]));
    assert!(sealed(b"yes") - padded_len(4) < 250, "MLS itself adds little");
    assert!(matches!(
        pair.alice_room.seal(&mut pair.alice.keys, &[0; 70_000]),
        Err(RoomError::TooLarge { .. })
    ));
}

#[test]
fn a_late_message_is_readable_until_its_epoch_is_forgotten() {
    for suite in SUITES {
        let mut pair = Pair::new(suite);
        let late = pair.bob_room.seal(&mut pair.bob.keys, b"written in epoch 1").expect("Bob seals");
        let later = pair.bob_room.seal(&mut pair.bob.keys, b"also in epoch 1").expect("Bob seals");

        let renewal = pair.alice_room.renew(&mut pair.alice.keys).expect("Alice renews");
        pair.alice_room.merge_own(&mut pair.alice.keys).expect("it was decided");
        assert_eq!(pair.alice_room.epoch(), Epoch(2));

        let opened = pair.alice_room.open(&mut pair.alice.keys, &late).expect("it opens in epoch 2");
        assert_eq!((opened.content.as_slice(), opened.epoch), (b"written in epoch 1".as_slice(), Epoch(1)));
        assert_eq!(opened.sender.account, pair.bob.account.id());

        pair.alice_room.forget_epoch(&mut pair.alice.keys, Epoch(1)).expect("epoch 1 is past");
        let refused = pair.alice_room.open(&mut pair.alice.keys, &later).expect_err("its secrets are gone");
        assert!(matches!(refused, RoomError::DoesNotOpen(_)), "{refused}");

        pair.bob_room.apply(&mut pair.bob.keys, &renewal.commit).expect("Bob applies it");
        let sealed = pair.bob_room.seal(&mut pair.bob.keys, b"in epoch 2").expect("Bob seals");
        pair.alice_room.open(&mut pair.alice.keys, &sealed).expect("the room goes on");
    }
}

#[test]
fn an_epoch_is_forgotten_with_the_older_ones_that_are_not_over() {
    let mut pair = Pair::new(Suite::Classic);
    let in_1 = pair.bob_room.seal(&mut pair.bob.keys, b"1").expect("Bob seals");
    for _ in 0..2 {
        let renewal = pair.alice_room.renew(&mut pair.alice.keys).expect("Alice renews");
        pair.alice_room.merge_own(&mut pair.alice.keys).expect("it was decided");
        pair.bob_room.apply(&mut pair.bob.keys, &renewal.commit).expect("Bob applies it");
    }
    pair.alice_room.forget_epoch(&mut pair.alice.keys, Epoch(2)).expect("epoch 2 is past");
    assert_eq!(pair.alice_room.oldest_epoch(), Epoch(1), "epoch 1 is not over");
    pair.alice_room.open(&mut pair.alice.keys, &in_1).expect("epoch 1 still opens");
    pair.alice_room.forget_epoch(&mut pair.alice.keys, Epoch(1)).expect("epoch 1 is past");
    assert_eq!(pair.alice_room.oldest_epoch(), Epoch(3));
    let current = pair.alice_room.forget_epoch(&mut pair.alice.keys, Epoch(3));
    assert!(matches!(current, Err(RoomError::WrongEpoch { .. })), "the current epoch is not past");
}

#[test]
fn a_message_of_an_epoch_to_come_waits() {
    let mut pair = Pair::new(Suite::Classic);
    let renewal = pair.alice_room.renew(&mut pair.alice.keys).expect("Alice renews");
    pair.alice_room.merge_own(&mut pair.alice.keys).expect("it was decided");
    let early = pair.alice_room.seal(&mut pair.alice.keys, b"in epoch 2").expect("Alice seals");
    let refused = pair.bob_room.open(&mut pair.bob.keys, &early).expect_err("Bob is in epoch 1");
    assert_eq!(refused, RoomError::WrongEpoch { ours: Epoch(1), theirs: Epoch(2) });
    pair.bob_room.apply(&mut pair.bob.keys, &renewal.commit).expect("Bob applies the commit");
    let opened = pair.bob_room.open(&mut pair.bob.keys, &early).expect("now it opens");
    assert_eq!(opened.content, b"in epoch 2");
}

#[test]
fn a_message_opens_once_and_never_for_its_sender() {
    let mut pair = Pair::new(Suite::Classic);
    let sealed = pair.alice_room.seal(&mut pair.alice.keys, b"once").expect("Alice seals");
    pair.bob_room.open(&mut pair.bob.keys, &sealed).expect("Bob opens");
    assert!(matches!(pair.bob_room.open(&mut pair.bob.keys, &sealed), Err(RoomError::DoesNotOpen(_))));
    assert_eq!(pair.alice_room.open(&mut pair.alice.keys, &sealed), Err(RoomError::OwnMessage));
}

#[test]
fn messages_may_arrive_out_of_order() {
    let mut pair = Pair::new(Suite::PostQuantum);
    let mut sealed: Vec<Vec<u8>> =
        (0..50u8).map(|n| pair.alice_room.seal(&mut pair.alice.keys, &[n]).expect("Alice seals")).collect();
    sealed.reverse();
    for (n, body) in (0..50u8).rev().zip(&sealed) {
        let opened = pair.bob_room.open(&mut pair.bob.keys, body).expect("within the tolerance");
        assert_eq!(opened.content, [n]);
    }
}

#[test]
fn the_loser_of_an_epoch_drops_its_commit_and_follows() {
    let mut pair = Pair::new(Suite::Classic);
    let lost = pair.bob_room.renew(&mut pair.bob.keys).expect("Bob renews");
    assert_eq!(pair.bob_room.has_pending(), Some(lost.hash));
    assert_eq!(pair.bob_room.renew(&mut pair.bob.keys).unwrap_err(), RoomError::PendingCommit);
    let won = pair.alice_room.renew(&mut pair.alice.keys).expect("Alice renews");
    pair.alice_room.merge_own(&mut pair.alice.keys).expect("hers was decided");
    pair.observer.apply(pair.observer.judge(&won.commit).expect("admitted")).expect("applied");

    let stale = pair.observer.judge(&lost.commit).expect_err("the epoch is over");
    assert_eq!(stale, RoomError::WrongEpoch { ours: Epoch(2), theirs: Epoch(1) });
    pair.bob_room.drop_own(&mut pair.bob.keys).expect("Bob drops his");
    pair.bob_room.apply(&mut pair.bob.keys, &won.commit).expect("and follows");
    assert_eq!(pair.bob_room.has_pending(), None);
    assert_eq!(pair.bob_room.merge_own(&mut pair.bob.keys).unwrap_err(), RoomError::NoPendingCommit);
    let again = pair.bob_room.renew(&mut pair.bob.keys).expect("then he tries again");
    pair.observer.judge(&again.commit).expect("in the new epoch");
}

#[test]
fn ones_own_commit_that_comes_back_is_merged() {
    let mut pair = Pair::new(Suite::Classic);
    let renewal = pair.bob_room.renew(&mut pair.bob.keys).expect("Bob renews");
    pair.bob_room.apply(&mut pair.bob.keys, &renewal.commit).expect("it is his own");
    assert_eq!((pair.bob_room.epoch(), pair.bob_room.has_pending()), (Epoch(2), None));
}

#[test]
fn who_is_removed_knows_it_and_may_be_invited_again() {
    let mut pair = Pair::with(Suite::PostQuantum, group);
    let bobs_leaf = pair.bob_room.own_leaf().expect("Bob is in the room").leaf;
    let removal = pair.alice_room.remove(&mut pair.alice.keys, &[bobs_leaf]).expect("Alice is the owner");
    assert!(removal.welcome.is_none());
    let judged = pair.observer.judge(&removal.commit).expect("admitted");
    assert_eq!(judged.change.removes[0].account, pair.bob.account.id());
    pair.observer.apply(judged).expect("applied");
    pair.alice_room.merge_own(&mut pair.alice.keys).expect("decided");
    pair.bob_room.apply(&mut pair.bob.keys, &removal.commit).expect("Bob hears of it");
    assert_eq!(pair.bob_room.own_leaf(), None);
    assert_eq!(pair.bob_room.seal(&mut pair.bob.keys, b"hello?").unwrap_err(), RoomError::NotMember);
    pair.bob.flush();
    pair.bob.restart();
    let removed = Room::load(&pair.bob.keys, &pair.bob_room.id()).expect("the room can still be looked at");
    assert_eq!(removed.own_leaf(), None);
    assert_eq!(pair.observer.members().len(), 1);

    let package = pair.bob.key_package(Suite::PostQuantum);
    let invitation =
        pair.alice_room.invite(&mut pair.alice.keys, &[package.bytes]).expect("Alice invites again");
    pair.alice_room.merge_own(&mut pair.alice.keys).expect("decided");
    let welcome = invitation.welcome.expect("somebody is added");
    let mut bob_room = Room::join(&mut pair.bob.keys, &welcome, &invitation.group_info).expect("Bob is back");
    let sealed = bob_room.seal(&mut pair.bob.keys, b"I am back").expect("Bob seals");
    pair.alice_room.open(&mut pair.alice.keys, &sealed).expect("Alice opens");
}

#[test]
fn policy_is_asked_before_a_commit_is_made() {
    let mut pair = Pair::with(Suite::Classic, group);
    let mut carol = Person::new(3, "c.example");
    let package = carol.key_package(Suite::Classic);
    let refused = pair.bob_room.invite(&mut pair.bob.keys, std::slice::from_ref(&package.bytes));
    assert_eq!(refused.unwrap_err(), RoomError::Policy(PolicyRule::MayNotAdd));
    assert_eq!(pair.bob_room.has_pending(), None);
    pair.bob_room.renew(&mut pair.bob.keys).expect("nothing was left behind");
    pair.alice_room.invite(&mut pair.alice.keys, &[package.bytes]).expect("the owner may");
}

#[test]
fn a_room_has_one_suite() {
    let mut pair = Pair::with(Suite::Classic, group);
    let other = Person::new(3, "c.example").key_package(Suite::PostQuantum);
    let refused = pair.alice_room.invite(&mut pair.alice.keys, &[other.bytes]);
    assert!(matches!(refused, Err(RoomError::Mls(_))), "{refused:?}");
    pair.alice_room.renew(&mut pair.alice.keys).expect("nothing was left behind");
}

#[test]
fn a_deleted_room_is_unknown() {
    let mut pair = Pair::new(Suite::Classic);
    let id = pair.bob_room.id();
    pair.bob_room.delete(&mut pair.bob.keys).expect("it is deleted");
    assert_eq!(Room::load(&pair.bob.keys, &id).unwrap_err(), RoomError::UnknownRoom(id));
}

#[test]
fn a_last_resort_key_package_opens_more_than_one_room() {
    let (mut alice, mut bob) = (Person::new(1, "a.example"), Person::new(2, "b.example"));
    let id = crate::support::identity_of(&bob.account, &bob.device);
    let package = posthouse_crypto::room::member::key_package(
        &mut bob.keys,
        &id,
        Suite::Classic,
        true,
        &mut rng(5),
        crate::support::NOW,
    )
    .expect("a last resort");
    assert!(inspect_key_package(&package.bytes).expect("it holds").last_resort);
    for n in 0..2 {
        let context = RoomContext::direct(hub("a.example"));
        let (mut room, _) = alice.found(RoomId::new([n; 32]), Suite::Classic, &context);
        let invitation =
            room.invite(&mut alice.keys, std::slice::from_ref(&package.bytes)).expect("Alice invites");
        let welcome = invitation.welcome.expect("somebody is added");
        Room::join(&mut bob.keys, &welcome, &invitation.group_info).expect("Bob joins");
    }
}

#[test]
fn a_key_package_is_used_up_by_its_welcome() {
    let mut pair = Pair::new(Suite::Classic);
    let welcome = pair.invitation.welcome.expect("somebody was added");
    let again = Room::join(&mut pair.bob.keys, &welcome, &pair.invitation.group_info);
    assert_eq!(again.unwrap_err(), RoomError::NoKeyPackage);
    let stranger = Room::join(&mut Person::new(3, "c.example").keys, &welcome, &pair.invitation.group_info);
    assert_eq!(stranger.unwrap_err(), RoomError::NoKeyPackage);
}
