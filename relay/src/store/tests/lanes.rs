use posthouse_spec::cbor::Text;
use posthouse_spec::envelope::{Item, LaneClass};
use posthouse_spec::peer::deliver::{ItemRefusal, RefusedItem};
use posthouse_spec::{Epoch, Incarnation, LaneSeq};

use super::super::types::SubmitOutcome;
use super::support::*;

#[tokio::test]
async fn a_lane_is_numbered_without_gaps_and_ends_an_epoch_behind_its_last_message() {
    let mut world = World::with_room().await;
    assert_eq!(world.submit(&world.alice, 1, b"one").await, SubmitOutcome::Accepted);
    world.restart().await;
    assert_eq!(world.submit(&world.anna, 1, b"two").await, SubmitOutcome::Accepted);
    world.advance(Epoch(0), &[&world.alice, &world.anna, &world.bob]).await;
    let next = world.store.submit(NOW, world.alice.who, submit(Epoch(1), 2, b"three")).await.unwrap();
    assert_eq!(next, SubmitOutcome::Accepted);
    let lane = world.lane(LaneClass::Messages).await;
    assert!(lane.iter().map(|(seq, _)| *seq).eq(1..=4));
    assert!(matches!(&lane[2].1, Item::EpochEnd(end) if end.epoch == Epoch(0)));
    assert!(matches!(&lane[3].1, Item::Message(item) if item.epoch == Epoch(1)));
    let control = world.lane(LaneClass::Control).await;
    assert!(matches!(&control[..], [(1, Item::Decided(_))]));
    assert_eq!(world.store.neighbours().await.unwrap(), [domain("b.example")]);
}

#[tokio::test]
async fn what_a_relay_refuses_is_told_to_its_sender() {
    let world = World::with_room().await;
    for n in 1..=3 {
        assert_eq!(world.submit(&world.alice, n, b"x").await, SubmitOutcome::Accepted);
    }
    let lane = to_b(LaneClass::Messages);
    let incarnation = world.store.lane(&lane).await.unwrap().incarnation;
    let refused =
        |seq, reason| RefusedItem { seq: LaneSeq(seq), reason, detail: Text::new("because").unwrap() };
    let all = vec![refused(1, ItemRefusal::Quota), refused(2, ItemRefusal::NoRecipient)];
    world.store.lane_acknowledged(NOW, &lane, incarnation, LaneSeq(3), all.clone()).await.unwrap();
    world.store.lane_acknowledged(NOW, &lane, incarnation, LaneSeq(3), all).await.unwrap();
    let told = shorts(&world.mailbox(&world.alice).await);
    assert_eq!(told, ["1 at b.example: quota-exceeded", "2 at b.example: refused"]);
    let status = world.store.lane(&lane).await.unwrap();
    assert_eq!((status.oldest, status.next), (LaneSeq(3), LaneSeq(4)));
}

#[tokio::test]
async fn an_acknowledgement_for_another_life_or_ahead_of_the_lane_deletes_nothing() {
    let world = World::with_room().await;
    assert_eq!(world.submit(&world.alice, 1, b"x").await, SubmitOutcome::Accepted);
    let lane = to_b(LaneClass::Messages);
    let incarnation = world.store.lane(&lane).await.unwrap().incarnation;
    let other = Incarnation::new([0; 16]);
    world.store.lane_acknowledged(NOW, &lane, other, LaneSeq(2), Vec::new()).await.unwrap();
    world.store.lane_acknowledged(NOW, &lane, incarnation, LaneSeq(3), Vec::new()).await.unwrap();
    assert_eq!(world.lane(LaneClass::Messages).await.len(), 1);
    assert_eq!(world.store.waiting_lanes().await.unwrap(), [lane]);
}

#[tokio::test]
async fn a_lane_that_was_never_used_has_an_incarnation_that_stays() {
    let mut world = World::new().await;
    let lane = to_b(LaneClass::Control);
    let fresh = world.store.lane(&lane).await.unwrap();
    assert_eq!((fresh.oldest, fresh.next), (LaneSeq(1), LaneSeq(1)));
    world.restart().await;
    assert_eq!(world.store.lane(&lane).await.unwrap(), fresh);
}
