//! Removals, bans and leaving.

use mls_rs::group::{CommitEffect, Sender};
use posthouse_crypto::room::RoomError;
use posthouse_crypto::room::member::Wish;
use posthouse_spec::Cbor as _;
use posthouse_spec::cbor::List;
use posthouse_spec::policy::PolicyRule;
use posthouse_spec::room::{Departures, RoomContext};

use crate::world::World;

#[test]
fn the_other_sees_that_it_is_removed() {
    let mut world = World::of_three();
    let leaf = world.olga.leaf_of(world.olga.account());
    let proposed = world.alice.propose(&Wish { removes: vec![leaf], ..Wish::default() }).unwrap();
    let taken = world.take(&proposed.commit, &proposed.group_info);
    let by = world.alice.room().own_leaf().unwrap().leaf;
    let CommitEffect::Removed { remover, .. } = taken.seen.unwrap().effect else {
        panic!("mls-rs is still in the room")
    };
    assert_eq!(remover, Sender::Member(by));
    // What is sealed without her opens for Bob alone.
    let said = world.alice.say("without Olga");
    assert!(world.olga.hear(&said).is_err());
    assert_eq!(world.bob.hear(&said).text, "without Olga");
    assert_eq!(world.observer.members().len(), 2);
}

#[test]
fn a_ban_removes_the_other_and_keeps_it_out() {
    let mut world = World::of_three();
    let leaf = world.olga.leaf_of(world.olga.account());
    let banned = Some(List::new(vec![world.olga.account()]).unwrap());
    let context = RoomContext { banned, ..world.alice.room().context().clone() };
    let ban = Wish { removes: vec![leaf], context: Some(context), ..Wish::default() };
    let proposed = world.alice.propose(&ban).unwrap();
    let taken = world.take(&proposed.commit, &proposed.group_info);
    assert!(matches!(taken.seen.unwrap().effect, CommitEffect::Removed { .. }));
    let package = world.olga.key_package();
    let refused = world.alice.propose(&Wish { adds: vec![package], ..Wish::default() });
    assert_eq!(refused.unwrap_err(), RoomError::Policy(PolicyRule::Banned));
}

#[test]
fn the_other_is_invited_again() {
    let mut world = World::of_three();
    let leaf = world.olga.leaf_of(world.olga.account());
    let removed = world.alice.propose(&Wish { removes: vec![leaf], ..Wish::default() }).unwrap();
    world.take(&removed.commit, &removed.group_info);
    world.olga.forget();
    let package = world.olga.key_package();
    let added = world.alices(&Wish { adds: vec![package], ..Wish::default() });
    world.olga.join(&added.welcome.unwrap(), &added.group_info);
    world.agree();
    world.chat();
}

#[test]
fn bob_leaves_by_his_word_and_either_lets_him_go() {
    for olga_commits in [false, true] {
        let mut world = World::of_three();
        let bob = world.bob.room().own_leaf().unwrap().leaf;
        let word = world.bob.room().leave_claim(&world.bob.person.device).unwrap();
        let departures = Departures { claims: List::new(vec![word.clone()]).unwrap() };
        let (commit, group_info) = if olga_commits {
            // She is no admin: Bob's word is what she may remove him by.
            let made = world
                .olga
                .commit(|commit| commit.remove_member(bob).unwrap().authenticated_data(departures.to_cbor()));
            (made.commit, made.group_info)
        } else {
            let made = world.alice.propose(&Wish { leaves: vec![word], ..Wish::default() }).unwrap();
            (made.commit, made.group_info)
        };
        let taken = world.take(&commit, &group_info);
        assert_eq!(taken.change.left, [bob]);
        assert_eq!(taken.seen.unwrap().authenticated_data, departures.to_cbor());
        assert!(!world.bob.is_member());
        world.agree();
        world.chat();
    }
}

#[test]
fn the_other_leaves_by_its_word() {
    let mut world = World::of_three();
    let leaf = world.olga.leaf_of(world.olga.account());
    let word = world.olga.leave_claim(world.observer.room());
    assert_eq!(world.bob.room().check_leave(&word).unwrap(), [leaf]);
    let proposed = world.bob.propose(&Wish { leaves: vec![word], ..Wish::default() }).unwrap();
    let taken = world.take(&proposed.commit, &proposed.group_info);
    assert_eq!(taken.change.left, [leaf]);
    assert!(matches!(taken.seen.unwrap().effect, CommitEffect::Removed { .. }));
}
