use posthouse_relay::store::SubmitOutcome;
use posthouse_spec::Epoch;
use posthouse_spec::client::Delivery;
use posthouse_spec::envelope::LaneClass;

use crate::world::World;

#[tokio::test]
async fn two_people_at_two_relays_write_to_each_other() {
    let mut world = World::joined().await;
    assert_eq!(world.epochs().await, (Some(1), Some(1)));
    assert_eq!(world.alice.say(&world.a, "hello Bob").await, SubmitOutcome::Accepted);
    assert_eq!(world.bob.say(&world.b, "hello Alice").await, SubmitOutcome::Accepted);
    world.a.carry_all(&world.b).await;
    world.b.carry_all(&world.a).await;
    assert_eq!(world.bob.read(&world.b).await, ["hello Bob"]);
    assert_eq!(world.alice.read(&world.a).await, ["hello Alice"]);
    // Everything is delivered and acknowledged: the lanes are empty.
    assert!(world.a.store.waiting_lanes().await.unwrap().is_empty());
    assert!(world.b.store.waiting_lanes().await.unwrap().is_empty());
}

#[tokio::test]
async fn messages_that_overtake_the_welcome_wait_for_it() {
    let mut world = World::founded().await;
    world.invite_bob().await.unwrap();
    world.alice.merge();
    assert_eq!(world.alice.say(&world.a, "first").await, SubmitOutcome::Accepted);
    assert_eq!(world.alice.say(&world.a, "second").await, SubmitOutcome::Accepted);
    world.a.carry(&world.b, LaneClass::Messages).await;
    assert!(world.bob.read(&world.b).await.is_empty());
    world.b.restart().await;
    world.a.carry(&world.b, LaneClass::Control).await;
    assert_eq!(world.bob.read(&world.b).await, ["first", "second"]);
}

#[tokio::test]
async fn a_commit_through_the_own_relay_is_applied_there_before_its_device_hears_of_it() {
    let mut world = World::joined().await;
    let (_, upload) = world.bob.renew();
    let decided = world.b.rooms.commit(crate::relay::NOW, world.bob.who, upload).await.unwrap();
    assert_eq!(decided.decision.peek().unwrap().epoch, Epoch(1));
    assert_eq!(world.epochs().await, (Some(2), Some(2)));
    world.bob.merge();
    assert_eq!(world.bob.say(&world.b, "from the new epoch").await, SubmitOutcome::Accepted);
    world.b.carry_all(&world.a).await;
    assert_eq!(world.alice.read(&world.a).await, ["from the new epoch"]);
    // The hub's own word of it comes later, and is a repeat.
    world.a.carry_all(&world.b).await;
    assert_eq!(world.epochs().await, (Some(2), Some(2)));
    assert!(world.bob.read(&world.b).await.is_empty());
}

#[tokio::test]
async fn both_relays_say_when_an_epoch_is_over() {
    let mut world = World::joined().await;
    world.alice.move_on(&world.a).await;
    world.a.carry_all(&world.b).await;
    world.b.carry_all(&world.a).await;
    let ends = |news: &[Delivery]| -> Vec<(String, u64)> {
        news.iter()
            .filter_map(|delivery| match delivery {
                Delivery::EpochEnd(end) => Some((end.origin.to_string(), end.epoch.0)),
                _ => None,
            })
            .collect()
    };
    let both = [("a.example".to_owned(), 1), ("b.example".to_owned(), 1)];
    let news = world.alice.news(&world.a).await;
    assert_eq!(ends(&news), both);
    let Delivery::Decided(decided) = &news[0] else { panic!("{news:?}") };
    assert_eq!(decided.relays.len(), 2);
    let mut bobs = ends(&world.bob.news(&world.b).await);
    bobs.sort();
    assert_eq!(bobs, both);
}

#[tokio::test]
async fn a_room_survives_restarts_of_both_relays_by_snapshot_and_log() {
    let mut world = World::joined().await;
    for round in 0..40 {
        world.alice.move_on(&world.a).await;
        world.a.carry_all(&world.b).await;
        if round % 15 == 14 {
            world.a.restart().await;
            world.b.restart().await;
        }
        assert!(world.bob.read(&world.b).await.is_empty());
    }
    assert_eq!(world.epochs().await, (Some(41), Some(41)));
    assert_eq!(world.bob.say(&world.b, "still here").await, SubmitOutcome::Accepted);
    world.b.carry_all(&world.a).await;
    assert_eq!(world.alice.read(&world.a).await, ["still here"]);
}
