use posthouse_spec::cbor::Text;
use posthouse_spec::client::Refusal;
use posthouse_spec::envelope::{Item, LaneClass};
use posthouse_spec::peer::deliver::{ItemRefusal, RefusedItem};
use posthouse_spec::{Epoch, Incarnation, LaneSeq};

use super::super::types::SubmitOutcome;
use super::support::*;
use crate::quota::{Quota, Quotas};

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

/// What waits on the messages lane to b, in short: position and body.
async fn waiting(world: &World) -> Vec<(u64, String)> {
    let lane = world.lane(LaneClass::Messages).await;
    lane.into_iter()
        .filter_map(|(seq, item)| match item {
            Item::Message(item) => Some((seq, String::from_utf8_lossy(&item.body).into_owned())),
            _ => None,
        })
        .collect()
}

#[tokio::test]
async fn a_lane_begins_another_life_with_what_waits() {
    let mut world = World::with_room().await;
    for n in 1..=4 {
        assert_eq!(world.submit(&world.alice, n, n.to_string().as_bytes()).await, SubmitOutcome::Accepted);
    }
    let lane = to_b(LaneClass::Messages);
    let first = world.store.lane(&lane).await.unwrap();
    world.store.lane_acknowledged(NOW, &lane, first.incarnation, LaneSeq(3), Vec::new()).await.unwrap();
    world.store.begin_lane_life(&lane, first.incarnation).await.unwrap();
    let second = world.store.lane(&lane).await.unwrap();
    assert_ne!(second.incarnation, first.incarnation);
    assert_eq!((second.oldest, second.next, second.handed), (LaneSeq(1), LaneSeq(3), LaneSeq(1)));
    // Word of the first life comes late, and says nothing any more.
    world.store.begin_lane_life(&lane, first.incarnation).await.unwrap();
    world.store.lane_acknowledged(NOW, &lane, first.incarnation, LaneSeq(5), Vec::new()).await.unwrap();
    assert_eq!(world.store.lane(&lane).await.unwrap(), second);
    world.restart().await;
    assert_eq!(world.submit(&world.alice, 5, b"5").await, SubmitOutcome::Accepted);
    assert_eq!(waiting(&world).await, [(1, "3".into()), (2, "4".into()), (3, "5".into())]);
    let refused = RefusedItem {
        seq: LaneSeq(1),
        reason: ItemRefusal::NoRecipient,
        detail: Text::new("because").unwrap(),
    };
    world.store.lane_acknowledged(NOW, &lane, second.incarnation, LaneSeq(3), vec![refused]).await.unwrap();
    assert_eq!(waiting(&world).await, [(3, "5".into())]);
    assert_eq!(shorts(&world.mailbox(&world.alice).await), ["3 at b.example: refused"]);
}

#[tokio::test]
async fn what_never_left_this_relay_is_known_across_a_start() {
    let mut world = World::with_room().await;
    let lane = to_b(LaneClass::Messages);
    let handed = async |world: &World| world.store.lane(&lane).await.unwrap().handed.0;
    for n in 1..=3 {
        assert_eq!(world.submit(&world.alice, n, b"x").await, SubmitOutcome::Accepted);
    }
    assert_eq!(handed(&world).await, 1);
    let life = world.store.lane(&lane).await.unwrap().incarnation;
    world.store.lane_items(&lane, life, LaneSeq(1), 2, usize::MAX).await.unwrap();
    assert_eq!(handed(&world).await, 3);
    // After a start it can only be said what has a number since.
    world.restart().await;
    assert_eq!(handed(&world).await, 4);
    assert_eq!(world.submit(&world.alice, 4, b"x").await, SubmitOutcome::Accepted);
    assert_eq!(handed(&world).await, 4);
    let lanes = world.store.lanes_to(&domain("b.example")).await.unwrap();
    assert!(lanes.iter().any(|(class, status)| *class == LaneClass::Messages && status.next == LaneSeq(5)));
    assert_eq!(world.store.lanes_to(&domain("stranger.example")).await.unwrap(), []);
}

#[tokio::test]
async fn a_restore_is_known_however_often_the_relay_starts_before_it_meets_the_other() {
    let mut world = World::with_room().await;
    let lane = to_b(LaneClass::Messages);
    let give_out = async |world: &World| world.lane(LaneClass::Messages).await.len();
    for n in 1..=2 {
        assert_eq!(world.submit(&world.alice, n, b"before").await, SubmitOutcome::Accepted);
    }
    assert_eq!(give_out(&world).await, 2);
    let copy = world.back_up().await;
    for n in 3..=4 {
        assert_eq!(world.submit(&world.alice, n, b"lost").await, SubmitOutcome::Accepted);
    }
    // The other relay now expects 5, which the copy never heard of.
    assert_eq!(give_out(&world).await, 4);
    world.put_back(&copy).await;
    for n in 3..=6 {
        assert_eq!(world.submit(&world.alice, n, b"new").await, SubmitOutcome::Accepted);
    }
    for _ in 0..3 {
        world.restart().await;
        let status = world.store.lane(&lane).await.unwrap();
        assert_eq!((status.handed, status.next), (LaneSeq(3), LaneSeq(7)));
    }
    let old = world.store.lane(&lane).await.unwrap().incarnation;
    world.store.begin_lane_life(&lane, old).await.unwrap();
    assert_eq!(world.lane_in(LaneClass::Messages, old).await, []);
    assert_eq!(world.store.lane(&lane).await.unwrap().handed, LaneSeq(1));
    // What is given out in the new life is known to be by the next start, whenever that comes.
    assert_eq!(give_out(&world).await, 6);
    world.restart().await;
    assert_eq!(world.store.lane(&lane).await.unwrap().handed, LaneSeq(7));
}

#[tokio::test]
async fn what_a_copy_numbers_anew_is_left_in_a_life_that_nobody_has_met() {
    let mut world = World::with_room().await;
    let lane = to_b(LaneClass::Messages);
    for n in 1..=2 {
        assert_eq!(world.submit(&world.alice, n, b"before").await, SubmitOutcome::Accepted);
    }
    assert_eq!(world.lane(LaneClass::Messages).await.len(), 2);
    let copy = world.back_up().await;
    for n in 3..=4 {
        assert_eq!(world.submit(&world.alice, n, b"lost").await, SubmitOutcome::Accepted);
    }
    assert_eq!(world.lane(LaneClass::Messages).await.len(), 4);
    world.put_back(&copy).await;
    let old = world.store.lane(&lane).await.unwrap();
    // What the copy had given out has the positions that it had then.
    assert_eq!(world.store.life_to_leave(&lane, old.next).await.unwrap(), old.incarnation);
    assert_eq!(world.lane(LaneClass::Messages).await.len(), 2);
    for n in 3..=6 {
        assert_eq!(world.submit(&world.alice, n, b"new").await, SubmitOutcome::Accepted);
    }
    // That something was left is no meeting: the destination expects 5, for something else.
    let life = world.store.life_to_leave(&lane, LaneSeq(7)).await.unwrap();
    assert_ne!(life, old.incarnation);
    assert_eq!(world.store.lane(&lane).await.unwrap().incarnation, life);
    assert_eq!(world.lane_in(LaneClass::Messages, life).await.len(), 6);
    assert_eq!(world.store.life_to_leave(&lane, LaneSeq(7)).await.unwrap(), life);
    // Nobody has met in it since the next start, until the lane's own stream has begun.
    world.restart().await;
    assert_eq!(world.submit(&world.alice, 7, b"newer").await, SubmitOutcome::Accepted);
    world.store.lane_items_to_send(&lane, life, LaneSeq(1), 1, usize::MAX).await.unwrap();
    assert_eq!(world.store.life_to_leave(&lane, LaneSeq(8)).await.unwrap(), life);
}

#[tokio::test]
async fn what_waits_is_counted_in_every_life_of_a_lane() {
    let world = World::with_room().await;
    for n in 1..=4 {
        assert_eq!(world.submit(&world.alice, n, b"x").await, SubmitOutcome::Accepted);
    }
    let lane = to_b(LaneClass::Messages);
    let life = world.store.lane(&lane).await.unwrap().incarnation;
    world.store.lane_acknowledged(NOW, &lane, life, LaneSeq(3), Vec::new()).await.unwrap();
    let messages = async || {
        let lanes = world.store.departing().await.unwrap();
        let lane = lanes.into_iter().find(|lane| lane.class == LaneClass::Messages).unwrap();
        (lane.waiting, lane.acked)
    };
    assert_eq!(messages().await, (2, LaneSeq(3)));
    world.store.begin_lane_life(&lane, life).await.unwrap();
    assert_eq!(messages().await, (2, LaneSeq(1)));
}

#[tokio::test]
async fn a_relay_that_does_not_come_fills_no_disk() {
    let mut world =
        World::with_quotas(Quotas { outbox: Quota { items: 3, bytes: 20 }, ..Quotas::default() }).await;
    for (n, body) in [(1, "12345678"), (2, "12345678"), (3, "12345"), (4, "1234"), (5, "1")] {
        assert_eq!(world.submit(&world.alice, n, body.as_bytes()).await, SubmitOutcome::Accepted);
    }
    // The third was too large, the fifth one too many; who is here has got all of them.
    let lane: Vec<u64> = waiting(&world).await.iter().map(|(_, body)| body.len() as u64).collect();
    assert_eq!(lane, [8, 8, 4]);
    let told = ["3 at b.example: quota-exceeded", "5 at b.example: quota-exceeded"];
    assert_eq!(shorts(&world.mailbox(&world.alice).await), told);
    assert_eq!(world.mailbox(&world.anna).await.len(), 5);
    // What is decided goes all the same, and the ends of epochs with it.
    world.advance(Epoch(0), &[&world.alice, &world.bob]).await;
    assert_eq!(world.lane(LaneClass::Control).await.len(), 1);
    assert_eq!(world.lane(LaneClass::Messages).await.len(), 4);
    // Nobody else would get this one, so it is refused, and its number stays free.
    let alone = world.store.submit(NOW, world.alice.who, submit(Epoch(1), 6, b"x")).await.unwrap();
    assert!(matches!(alone, SubmitOutcome::Refused(Refusal::Quota, _)), "{alone:?}");
    world.restart().await;
    let lane = to_b(LaneClass::Messages);
    let status = world.store.lane(&lane).await.unwrap();
    world.store.lane_acknowledged(NOW, &lane, status.incarnation, LaneSeq(3), Vec::new()).await.unwrap();
    let again = world.store.submit(NOW, world.alice.who, submit(Epoch(1), 6, b"x")).await.unwrap();
    assert_eq!(again, SubmitOutcome::Accepted);
}
