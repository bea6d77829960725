//! Changes of the room, made by either implementation.

use mls_rs::MlsMessage;
use mls_rs::group::CommitEffect;
use posthouse_crypto::room::RoomError;
use posthouse_crypto::room::member::Wish;
use posthouse_spec::Epoch;
use posthouse_spec::cbor::List;
use posthouse_spec::policy::{Committer, PolicyRule};
use posthouse_spec::room::Role;

use crate::world::World;

#[test]
fn a_context_that_we_change_is_read_by_the_other() {
    let mut world = World::of_three();
    let mut context = world.alice.room().context().clone();
    context.policy.add = Role::Member;
    context.admins = List::new(vec![world.olga.account()]).unwrap();
    world.alices(&Wish { context: Some(context.clone()), ..Wish::default() });
    world.agree();
    assert_eq!(world.olga.context(), context);
    world.chat();
}

#[test]
fn keys_are_renewed_by_either() {
    let mut world = World::of_three();
    for _ in 0..2 {
        let renewal = world.olga.commit(|commit| commit);
        let taken = world.take(&renewal.commit, &renewal.group_info);
        assert!(
            matches!(&taken.change.committer, Committer::Member(who) if who.account == world.olga.account())
        );
        assert_eq!(taken.change.updates, taken.change.updated, "the leaf says the same of its owner");
        world.agree();
        world.alices(&Wish { renew: true, ..Wish::default() });
        world.agree();
    }
    assert_eq!(world.observer.epoch(), Epoch(6));
    world.chat();
}

#[test]
fn the_other_adds_a_device_of_ours() {
    let mut world = World::new();
    world.appoint_olga();
    let package = world.bob.key_package();
    let added =
        world.olga.commit(|commit| commit.add_member(MlsMessage::from_bytes(&package).unwrap()).unwrap());
    let judged = world.observer.judge(&added.commit).unwrap();
    assert_eq!(judged.key_packages, [posthouse_crypto::key_package_hash(&package)]);
    let taken = world.take(&added.commit, &added.group_info);
    assert_eq!(taken.change.adds.len(), 1);
    world.bob.join(&added.welcome.unwrap(), &added.group_info);
    world.agree();
    world.chat();
    world.alices(&Wish { renew: true, ..Wish::default() });
    world.agree();
    world.chat();
}

#[test]
fn the_other_changes_the_context() {
    let mut world = World::of_three();
    world.appoint_olga();
    let mut context = world.olga.context();
    context.policy.add = Role::Member;
    let changed = world.olga.change_context(&context);
    let taken = world.take(&changed.commit, &changed.group_info);
    assert_eq!(taken.change.context, Some(context));
    world.agree();
    world.chat();
}

#[test]
fn policy_binds_the_other_too() {
    let mut world = World::new();
    let package = world.bob.key_package();
    let added =
        world.olga.commit(|commit| commit.add_member(MlsMessage::from_bytes(&package).unwrap()).unwrap());
    let refused = world.observer.judge(&added.commit).unwrap_err();
    assert_eq!(refused, RoomError::Policy(PolicyRule::MayNotAdd));
    let leaf = world.alice.room().own_leaf().unwrap().leaf;
    world.olga.drop_own();
    let removal = world.olga.commit(|commit| commit.remove_member(leaf).unwrap());
    let refused = world.observer.judge(&removal.commit).unwrap_err();
    assert_eq!(refused, RoomError::Policy(PolicyRule::MayNotRemove));
    world.olga.drop_own();
    world.chat();
}

#[test]
fn of_two_commits_for_an_epoch_one_is_dropped() {
    let mut world = World::of_three();
    // Olga's waits when Alice's is decided, and the other way round.
    let lost = world.olga.commit(|commit| commit);
    world.alices(&Wish { renew: true, ..Wish::default() });
    world.agree();
    assert!(matches!(world.observer.judge(&lost.commit), Err(RoomError::WrongEpoch { .. })));
    world.alice.propose(&Wish { renew: true, ..Wish::default() }).unwrap();
    let decided = world.olga.commit(|commit| commit);
    let taken = world.take(&decided.commit, &decided.group_info);
    assert!(matches!(taken.seen.unwrap().effect, CommitEffect::NewEpoch(_)));
    world.agree();
    world.chat();
}

#[test]
fn a_device_of_ours_comes_back_by_a_group_info_of_the_other() {
    let mut world = World::of_three();
    let lost = world.bob.room.take();
    let renewal = world.olga.commit(|commit| commit);
    world.take(&renewal.commit, &renewal.group_info);
    drop(lost);
    let back = world.bob.rejoin(&renewal.group_info);
    let taken = world.take(&back.commit, &back.group_info);
    assert!(taken.seen.unwrap().is_external);
    world.agree();
    world.chat();
}
