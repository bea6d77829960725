use futures::future::join_all;
use posthouse_spec::client::Refusal;
use posthouse_spec::client::delivery::Failure;
use posthouse_spec::envelope::{Item, LaneClass};
use posthouse_spec::limits::SUBMIT_WINDOW;
use posthouse_spec::{Epoch, RoomId};

use super::super::StoreError;
use super::super::types::SubmitOutcome;
use super::support::*;
use crate::quota::Quota;

fn refusal(outcome: &SubmitOutcome) -> Option<Refusal> {
    match outcome {
        SubmitOutcome::Accepted => None,
        SubmitOutcome::Refused(reason, _) => Some(*reason),
    }
}

#[tokio::test]
async fn a_message_is_stored_once_and_goes_to_other_devices_and_relays() {
    let world = World::with_room().await;
    assert_eq!(world.submit(&world.alice, 1, b"hello").await, SubmitOutcome::Accepted);
    assert_eq!(shorts(&world.mailbox(&world.anna).await), ["a.example e0 hello"]);
    assert!(world.mailbox(&world.alice).await.is_empty());
    let lane = world.lane(LaneClass::Messages).await;
    assert!(matches!(&lane[..], [(1, Item::Message(item))] if &item.body[..] == b"hello"));
    assert_eq!(world.count("items").await, 1);
}

#[tokio::test]
async fn a_repeat_changes_nothing_and_a_used_number_is_not_used_again() {
    let mut world = World::with_room().await;
    assert_eq!(world.submit(&world.alice, 1, b"one").await, SubmitOutcome::Accepted);
    assert_eq!(world.submit(&world.alice, 1, b"one").await, SubmitOutcome::Accepted);
    assert_eq!(refusal(&world.submit(&world.alice, 1, b"other").await), Some(Refusal::NumberReused));
    assert_eq!(refusal(&world.submit(&world.alice, 3, b"three").await), Some(Refusal::NumberGap));
    world.restart().await;
    assert_eq!(world.submit(&world.alice, 1, b"one").await, SubmitOutcome::Accepted);
    assert_eq!(refusal(&world.submit(&world.alice, 1, b"other").await), Some(Refusal::NumberReused));
    assert_eq!(world.submit(&world.alice, 2, b"two").await, SubmitOutcome::Accepted);
    assert_eq!(shorts(&world.mailbox(&world.anna).await), ["a.example e0 one", "a.example e0 two"]);
}

#[tokio::test]
async fn the_number_is_checked_before_the_epoch_and_a_refusal_uses_none() {
    let world = World::with_room().await;
    assert_eq!(world.submit(&world.alice, 1, b"one").await, SubmitOutcome::Accepted);
    world.advance(Epoch(0), &[&world.alice, &world.anna, &world.bob]).await;
    // The repeat of a message of the old epoch was answered before, and is again.
    assert_eq!(world.submit(&world.alice, 1, b"one").await, SubmitOutcome::Accepted);
    assert_eq!(refusal(&world.submit(&world.alice, 2, b"two").await), Some(Refusal::StaleEpoch));
    let ahead = world.store.submit(NOW, world.alice.who, submit(Epoch(2), 2, b"two")).await.unwrap();
    assert_eq!(refusal(&ahead), Some(Refusal::StaleEpoch));
    let again = world.store.submit(NOW, world.alice.who, submit(Epoch(1), 2, b"two")).await.unwrap();
    assert_eq!(again, SubmitOutcome::Accepted);
}

#[tokio::test]
async fn only_members_write() {
    let world = World::new().await;
    world.found(&[&world.alice, &world.bob]).await;
    assert_eq!(refusal(&world.submit(&world.anna, 1, b"hi").await), Some(Refusal::NotMember));
    let mut elsewhere = submit(Epoch(0), 1, b"hi");
    elsewhere.room = RoomId::new([9; 32]);
    let unknown = world.store.submit(NOW, world.alice.who, elsewhere).await.unwrap();
    assert_eq!(refusal(&unknown), Some(Refusal::UnknownRoom));
    world.advance(Epoch(0), &[&world.bob]).await;
    let gone = world.store.submit(NOW, world.alice.who, submit(Epoch(1), 1, b"hi")).await.unwrap();
    assert_eq!(refusal(&gone), Some(Refusal::NotMember));
}

#[tokio::test]
async fn many_submits_at_once_keep_their_order_and_their_numbers() {
    let mut world = World::with_room().await;
    let count = 2 * SUBMIT_WINDOW + 100;
    for first in (1..=count).step_by(200) {
        let some = (first..=count.min(first + 199))
            .map(|n| world.store.submit(NOW, world.alice.who, submit(Epoch(0), n, n.to_string().as_bytes())));
        // The calls are made in order and wait together: they share commits.
        for outcome in join_all(some.collect::<Vec<_>>()).await {
            assert_eq!(outcome.unwrap(), SubmitOutcome::Accepted);
        }
    }
    let expected: Vec<String> = (1..=count).map(|n| format!("a.example e0 {n}")).collect();
    assert_eq!(shorts(&world.mailbox(&world.anna).await), expected);
    let lane = world.lane(LaneClass::Messages).await;
    assert!(lane.iter().map(|(seq, _)| *seq).eq(1..=count));
    assert!(world.count("submits").await <= (SUBMIT_WINDOW + 64) as i64);
    world.restart().await;
    assert_eq!(
        world.submit(&world.alice, count, count.to_string().as_bytes()).await,
        SubmitOutcome::Accepted
    );
    assert_eq!(
        refusal(&world.submit(&world.alice, count - 200, b"other").await),
        Some(Refusal::NumberReused)
    );
    assert_eq!(world.submit(&world.alice, count + 1, b"next").await, SubmitOutcome::Accepted);
}

#[tokio::test]
async fn a_full_mailbox_refuses_the_new_and_keeps_the_old() {
    let world = World::with(Quota { items: 2, bytes: 1_000 }).await;
    world.found(&[&world.alice, &world.anna]).await;
    assert_eq!(world.submit(&world.alice, 1, b"one").await, SubmitOutcome::Accepted);
    assert_eq!(world.submit(&world.alice, 2, b"two").await, SubmitOutcome::Accepted);
    assert_eq!(refusal(&world.submit(&world.alice, 3, b"three").await), Some(Refusal::Quota));
    world.store.acknowledge(world.anna.who, posthouse_spec::MailboxSeq(1)).await.unwrap();
    assert_eq!(world.submit(&world.alice, 3, &[b'3'; 990]).await, SubmitOutcome::Accepted);
    world.store.acknowledge(world.anna.who, posthouse_spec::MailboxSeq(2)).await.unwrap();
    assert_eq!(refusal(&world.submit(&world.alice, 4, &[b'4'; 20]).await), Some(Refusal::Quota));
    assert_eq!(world.submit(&world.alice, 4, &[b'4'; 5]).await, SubmitOutcome::Accepted);
}

#[tokio::test]
async fn where_only_some_are_full_the_others_get_it_and_the_sender_is_told() {
    let world = World::with(Quota { items: 1, bytes: 1_000 }).await;
    world.found(&[&world.alice, &world.anna, &world.bob]).await;
    for n in 1..=2 {
        assert_eq!(world.submit(&world.alice, n, b"x").await, SubmitOutcome::Accepted);
    }
    assert_eq!(world.lane(LaneClass::Messages).await.len(), 2);
    assert_eq!(world.mailbox(&world.anna).await.len(), 1);
    let told = shorts(&world.mailbox(&world.alice).await);
    assert_eq!(told, [format!("2 at a.example: {}", Failure::Quota)]);
}

#[tokio::test]
async fn a_full_disk_refuses_everybody_and_the_relay_goes_on_when_there_is_space() {
    let world = World::with_room().await;
    let pages = |text: &'static str| {
        world.store.write(move |tx| Box::pin(async move { tx.run(text, "set the size limit").await }))
    };
    pages("PRAGMA max_page_count = 1").await.unwrap();
    let big = vec![b'x'; 60_000];
    let some: Vec<_> =
        (1..=20).map(|n| world.store.submit(NOW, world.alice.who, submit(Epoch(0), n, &big))).collect();
    for outcome in join_all(some).await {
        assert!(matches!(outcome, Err(StoreError::Full)), "{outcome:?}");
    }
    assert!(world.mailbox(&world.anna).await.is_empty());
    pages("PRAGMA max_page_count = 1073741823").await.unwrap();
    assert_eq!(world.submit(&world.alice, 1, &big).await, SubmitOutcome::Accepted);
    assert_eq!(world.mailbox(&world.anna).await.len(), 1);
}

#[tokio::test]
async fn a_failing_job_does_not_fail_those_beside_it() {
    let world = World::with_room().await;
    let sent = world.store.submit(NOW, world.alice.who, submit(Epoch(0), 1, b"one"));
    let failing = world.store.write(|tx| {
        Box::pin(async move {
            tx.run("UPDATE owner SET node = 'half done'", "half").await?;
            tx.run("SELECT nothing FROM nowhere", "ask for nonsense").await
        })
    });
    let after = world.store.submit(NOW, world.alice.who, submit(Epoch(0), 2, b"two"));
    let (sent, failed, after) = tokio::join!(sent, failing, after);
    assert_eq!((sent.unwrap(), after.unwrap()), (SubmitOutcome::Accepted, SubmitOutcome::Accepted));
    assert!(matches!(failed, Err(StoreError::Database { doing: "ask for nonsense", .. })));
    assert_eq!(world.count("owner WHERE node = 'half done'").await, 0);
    assert_eq!(shorts(&world.mailbox(&world.anna).await), ["a.example e0 one", "a.example e0 two"]);
}
