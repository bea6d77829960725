use posthouse_spec::client::Refusal;
use posthouse_spec::room::RoomContext;
use posthouse_spec::{Epoch, RoomId};

use crate::person::Person;
use crate::relay::{NOW, ROOM};
use crate::world::World;

#[tokio::test]
async fn a_room_is_founded_once_at_its_hub() {
    let mut world = World::new().await;
    let context = RoomContext::direct(world.a.us().await);
    let info = world.alice.found(&world.a, &context).await.unwrap();
    assert_eq!((info.epoch, info.hub.as_str()), (Epoch(0), "a.example"));
    assert_eq!(world.a.rooms.room(ROOM).await.unwrap().unwrap(), info);
    assert_eq!(world.a.rooms.room_for(world.alice.who, ROOM).await.unwrap(), Some(info));
    assert_eq!(world.a.rooms.room_for(world.bob.who, ROOM).await.unwrap(), None);
}

#[tokio::test]
async fn the_same_founding_gets_the_same_answer_and_another_is_a_conflict() {
    let mut world = World::new().await;
    let context = RoomContext::direct(world.a.us().await);
    let first = world.alice.begin(&context);
    let info = world.a.rooms.found(NOW, world.alice.who, ROOM, &first).await.unwrap();
    world.a.restart().await;
    let again = world.a.rooms.found(NOW, world.alice.who, ROOM, &first).await.unwrap();
    assert_eq!(again, info);
    let mut carol = Person::new(60, "carol", &world.a).await;
    let other = carol.found(&world.a, &context).await.unwrap_err();
    assert_eq!(other.reason, Refusal::Conflict);
}

#[tokio::test]
async fn a_founding_that_is_none_of_the_devices_own_is_refused() {
    let mut world = World::new().await;
    let elsewhere = RoomContext::direct(world.b.us().await);
    let refused = world.alice.found(&world.a, &elsewhere).await.unwrap_err();
    assert_eq!(refused.reason, Refusal::InvalidCommit);
    assert!(refused.detail.contains("b.example"), "{}", refused.detail);
    let garbage = world.a.rooms.found(NOW, world.alice.who, ROOM, b"garbage").await.unwrap_err();
    assert_eq!(garbage.reason, Refusal::InvalidCommit);
    let context = RoomContext::direct(world.a.us().await);
    let mut stranger = World::new().await.alice;
    stranger.who.device = world.bob.who.device;
    let refused = stranger.found(&world.a, &context).await.unwrap_err();
    assert_eq!(refused.reason, Refusal::InvalidCommit);
    assert!(world.a.rooms.room(RoomId::new([9; 32])).await.unwrap().is_none());
}
