//! A hub that replaces its ordering key: what the new one signs moves rooms on, what the old one signs only while a room
//! has seen nothing newer.

use posthouse_spec::{Epoch, RoomId};

use super::world::{Person, World};
use crate::event::Event;
use crate::rooms::intake::Intake;
use crate::rooms::opening;
use crate::vault::rooms;

/// Two people in one room.
async fn friends(world: &World) -> (Person, Person, RoomId) {
    let (alice, bob) = (world.person("alice").await, world.person("bob").await);
    let founded = world.found(&alice, &bob).await;
    bob.knows(&alice).await;
    bob.gets(std::slice::from_ref(&founded.welcome)).await;
    bob.finds_out(&founded.room).await;
    bob.client.accept(alice.alias()).await.expect("joined");
    bob.events();
    (alice, bob, founded.room)
}

/// Takes what waits, as the work beside the connection does.
async fn takes_what_waits(person: &Person, id: &RoomId) {
    let mut intake = Intake::begin(person.context()).await.expect("a transaction");
    let row = rooms::by_id(intake.tx.db().expect("db"), id).await.expect("read");
    opening::drain(&mut intake, &mut row.expect("the room")).await.expect("drained");
    intake.commit().await.expect("durable");
}

fn complained(person: &Person) -> bool {
    let bad = |event: &Event| matches!(event, Event::Notice(notice) if notice.code == "bad-decision");
    person.events().iter().any(bad)
}

#[tokio::test]
async fn a_decision_by_a_new_key_waits_for_the_manifest_that_names_it() {
    let mut world = World::new();
    let (alice, bob, room) = friends(&world).await;
    world.replace_ordering();
    alice.has_met(&world).await;
    let decided = world.move_on(&alice, &room).await;
    bob.gets(&[decided]).await;
    assert_eq!(bob.stands(&room).await, (Epoch(1), 1));
    bob.has_met(&world).await;
    takes_what_waits(&bob, &room).await;
    assert_eq!(bob.stands(&room).await, (Epoch(2), 0));
}

#[tokio::test]
async fn a_decision_from_before_is_taken_late_by_the_manifest_that_it_names() {
    let mut world = World::new();
    let (alice, bob, room) = friends(&world).await;
    let early = world.move_on(&alice, &room).await;
    world.replace_ordering();
    for person in [&alice, &bob] {
        person.has_met(&world).await;
    }
    let late = world.move_on(&alice, &room).await;
    bob.gets(&[early, late]).await;
    assert_eq!(bob.stands(&room).await, (Epoch(3), 0));
    assert!(!complained(&bob));
}

#[tokio::test]
async fn an_old_key_moves_nothing_once_the_room_has_seen_the_new_one() {
    let mut world = World::new();
    let (alice, bob, room) = friends(&world).await;
    let thief = world.stolen();
    world.replace_ordering();
    for person in [&alice, &bob] {
        person.has_met(&world).await;
    }
    let decided = world.move_on(&alice, &room).await;
    bob.gets(&[decided]).await;
    let commit = alice.renews(&room).await;
    bob.gets(&[thief.decided(room, thief.decide(&commit))]).await;
    assert_eq!(bob.stands(&room).await, (Epoch(2), 0));
    assert!(complained(&bob), "it is dropped, and not silently");
    bob.gets(&[world.decided(room, world.decide(&commit))]).await;
    assert_eq!(bob.stands(&room).await, (Epoch(3), 0), "the hub's own word counts");
}

#[tokio::test]
async fn an_old_key_cannot_speak_under_the_new_manifest() {
    let mut world = World::new();
    let (alice, bob, room) = friends(&world).await;
    let mut thief = world.stolen();
    world.replace_ordering();
    bob.has_met(&world).await;
    thief.manifest = world.manifest.clone();
    let commit = alice.renews(&room).await;
    bob.gets(&[thief.decided(room, thief.decide(&commit))]).await;
    assert_eq!(bob.stands(&room).await, (Epoch(1), 0));
    assert!(complained(&bob));
}

#[tokio::test]
async fn an_invitation_by_a_new_key_waits_for_its_manifest_and_is_not_lost() {
    let mut world = World::new();
    let (alice, bob) = (world.person("alice").await, world.person("bob").await);
    world.replace_ordering();
    alice.has_met(&world).await;
    let founded = world.found(&alice, &bob).await;
    bob.knows(&alice).await;
    bob.gets(std::slice::from_ref(&founded.welcome)).await;
    bob.finds_out(&founded.room).await;
    bob.client.accept(alice.alias()).await.expect("noted");
    assert!(bob.client.rooms().await.expect("rooms").is_empty());
    bob.has_met(&world).await;
    bob.client.accept(alice.alias()).await.expect("joined");
    assert_eq!(bob.stands(&founded.room).await, (Epoch(1), 0));
}
