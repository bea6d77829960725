//! Changes of a room: what it agrees on, who is banned, and how somebody leaves.
#![expect(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

use posthouse_crypto::room::member::{Proposed, Room, Wish};
use posthouse_crypto::room::{LeaveFault, RoomError};
use posthouse_spec::cbor::List;
use posthouse_spec::policy::{Change, PolicyRule};
use posthouse_spec::room::{Role, RoomContext, Suite};
use posthouse_spec::{Epoch, RoomId};

use crate::support::{Pair, Person, SUITES, group};

/// Alice's group with Bob and Carol.
struct Group {
    pair: Pair,
    carol: Person,
    carol_room: Room,
}

impl Group {
    fn new(suite: Suite) -> Self {
        let mut pair = Pair::with(suite, group);
        let mut carol = Person::new(3, "c.example");
        let package = carol.key_package(suite);
        let invitation = pair.alice_room.invite(&mut pair.alice.keys, &[package.bytes]).unwrap();
        let welcome = invitation.welcome.clone().unwrap();
        let carol_room = Room::join(&mut carol.keys, &welcome, &invitation.group_info).unwrap();
        let judged = pair.observer.judge(&invitation.commit).unwrap();
        pair.observer.apply(judged).unwrap();
        pair.alice_room.merge_own(&mut pair.alice.keys).unwrap();
        pair.bob_room.apply(&mut pair.bob.keys, &invitation.commit).unwrap();
        Self { pair, carol, carol_room }
    }

    /// Everybody takes a commit of Alice's.
    fn take_alices(&mut self, proposed: &Proposed) -> Change {
        let judged = self.pair.observer.judge(&proposed.commit).unwrap();
        let change = judged.change.clone();
        self.pair.observer.apply(judged).unwrap();
        assert_eq!(self.pair.alice_room.merge_own(&mut self.pair.alice.keys).unwrap(), change);
        assert_eq!(self.pair.bob_room.apply(&mut self.pair.bob.keys, &proposed.commit).unwrap(), change);
        assert_eq!(self.carol_room.apply(&mut self.carol.keys, &proposed.commit).unwrap(), change);
        change
    }
}

#[test]
fn the_context_is_changed_and_all_see_it() {
    for suite in SUITES {
        let mut group = Group::new(suite);
        let mut context = group.pair.alice_room.context().clone();
        context.admins = List::new(vec![group.pair.bob.account.id()]).unwrap();
        context.policy.write = Role::Admin;
        let wish = Wish { context: Some(context.clone()), ..Wish::default() };
        let proposed = group.pair.alice_room.propose(&mut group.pair.alice.keys, &wish).unwrap();
        group.take_alices(&proposed);
        for seen in [group.pair.observer.context(), group.pair.bob_room.context(), group.carol_room.context()]
        {
            assert_eq!(seen, &context);
        }
        let wish =
            Wish { context: Some(RoomContext { admins: List::default(), ..context }), ..Wish::default() };
        let refused = group.carol_room.propose(&mut group.carol.keys, &wish);
        assert_eq!(refused.unwrap_err(), RoomError::Policy(PolicyRule::MayNotChange));
    }
}

#[test]
fn whoever_leaves_is_let_go_by_a_member_in_a_later_epoch() {
    for suite in SUITES {
        let mut group = Group::new(suite);
        let word = group.pair.bob_room.leave_claim(&group.pair.bob.device).unwrap();
        let renewal = group.pair.alice_room.renew(&mut group.pair.alice.keys).unwrap();
        group.take_alices(&renewal);
        let leaf = group.pair.bob_room.own_leaf().unwrap().leaf;
        assert_eq!(group.carol_room.check_leave(&word).unwrap(), [leaf]);
        let wish = Wish { leaves: vec![word.clone()], ..Wish::default() };
        let proposed = group.carol_room.propose(&mut group.carol.keys, &wish).unwrap();
        // The word outlasts a restart between the commit and its decision.
        group.carol.flush();
        group.carol.restart();
        group.carol_room = Room::load(&group.carol.keys, &group.carol_room.id()).unwrap();
        let judged = group.pair.observer.judge(&proposed.commit).unwrap();
        assert_eq!(judged.change.left, [leaf]);
        group.pair.observer.apply(judged).unwrap();
        group.carol_room.merge_own(&mut group.carol.keys).unwrap();
        group.pair.alice_room.apply(&mut group.pair.alice.keys, &proposed.commit).unwrap();
        group.pair.bob_room.apply(&mut group.pair.bob.keys, &proposed.commit).unwrap();
        assert_eq!(group.pair.bob_room.own_leaf(), None);
        assert_eq!(group.pair.observer.members().len(), 2);
        // Once they are gone, the word is worth nothing: neither now nor when they are invited again.
        let fault = group.carol_room.check_leave(&word).unwrap_err();
        assert_eq!(fault, RoomError::Leave(LeaveFault::NotTheirs));
        let package = group.pair.bob.key_package(suite);
        group.pair.alice_room.invite(&mut group.pair.alice.keys, &[package.bytes]).unwrap();
        group.pair.alice_room.merge_own(&mut group.pair.alice.keys).unwrap();
        assert_eq!(group.pair.alice_room.check_leave(&word).unwrap(), [0_u32; 0]);
    }
}

#[test]
fn nobody_is_let_go_by_another_word() {
    let mut group = Group::new(Suite::Classic);
    let wish = |word| Wish { leaves: vec![word], ..Wish::default() };
    // Carol's own device says it of Bob's leaves.
    let mut claim = group.pair.bob_room.leave_claim(&group.pair.bob.device).unwrap().peek().unwrap();
    let forged = group.carol.device.sign(&claim);
    let refused = group.carol_room.propose(&mut group.carol.keys, &wish(forged));
    assert_eq!(refused.unwrap_err(), RoomError::Leave(LeaveFault::NotTheirs));
    claim.room = RoomId::new([77; 32]);
    let elsewhere = group.pair.bob.device.sign(&claim);
    let refused = group.carol_room.propose(&mut group.carol.keys, &wish(elsewhere));
    assert_eq!(refused.unwrap_err(), RoomError::Leave(LeaveFault::OtherRoom));
    assert_eq!(group.carol_room.has_pending(), None);
    // The owner is the last one.
    let word = group.pair.alice_room.leave_claim(&group.pair.alice.device).unwrap();
    let refused = group.carol_room.propose(&mut group.carol.keys, &wish(word));
    assert_eq!(refused.unwrap_err(), RoomError::Policy(PolicyRule::NoOwner));
}

#[test]
fn without_the_word_a_member_removes_nobody() {
    let mut group = Group::new(Suite::Classic);
    let leaf = group.pair.bob_room.own_leaf().unwrap().leaf;
    let refused = group.carol_room.remove(&mut group.carol.keys, &[leaf]);
    assert_eq!(refused.unwrap_err(), RoomError::Policy(PolicyRule::MayNotRemove));
}

#[test]
fn a_ban_removes_and_keeps_out() {
    let mut group = Group::new(Suite::PostQuantum);
    let bob = group.pair.bob_room.own_leaf().unwrap();
    let banned = Some(List::new(vec![bob.account]).unwrap());
    let context = RoomContext { banned, ..group.pair.alice_room.context().clone() };
    let ban = Wish { removes: vec![bob.leaf], context: Some(context), ..Wish::default() };
    let proposed = group.pair.alice_room.propose(&mut group.pair.alice.keys, &ban).unwrap();
    let change = group.take_alices(&proposed);
    assert_eq!((change.removes.len(), change.left.len()), (1, 0));
    assert_eq!(group.pair.observer.epoch(), Epoch(3));
    let package = group.pair.bob.key_package(Suite::PostQuantum);
    let refused = group.pair.alice_room.invite(&mut group.pair.alice.keys, &[package.bytes]);
    assert_eq!(refused.unwrap_err(), RoomError::Policy(PolicyRule::Banned));
}
