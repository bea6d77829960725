use posthouse_spec::envelope::{Item, LaneClass};
use posthouse_spec::{Epoch, LaneSeq, Millis};

use super::super::types::{SubmitOutcome, Swept};
use super::support::*;

const RETENTION: u64 = 1_000_000;
const LATER: Millis = NOW.after(RETENTION + 10);

async fn send(world: &World, at: Millis, number: u64, body: &[u8]) {
    let sent = world.store.submit(at, world.alice.who, submit(Epoch(0), number, body)).await.unwrap();
    assert_eq!(sent, SubmitOutcome::Accepted);
}

#[tokio::test]
async fn what_waited_too_long_goes_and_its_sender_is_told() {
    let mut world = World::with_room().await;
    for n in 1..=3 {
        send(&world, NOW, n, b"old").await;
    }
    send(&world, LATER, 4, b"new").await;
    let before = world.store.lane(&to_b(LaneClass::Messages)).await.unwrap();
    let swept = world.store.sweep(LATER, RETENTION).await.unwrap();
    assert_eq!(swept, Swept { mailbox: 3, outbox: 3, aside: 0 });
    assert_eq!(shorts(&world.mailbox(&world.anna).await), ["a.example e0 new"]);
    let mut told = shorts(&world.mailbox(&world.alice).await);
    told.sort();
    let expected: Vec<String> = (1..=3)
        .flat_map(|n| [format!("{n} at a.example: expired"), format!("{n} at b.example: expired")])
        .collect();
    assert_eq!(told, expected);
    // The rest of the lane begins another life, numbered from 1.
    let after = world.store.lane(&to_b(LaneClass::Messages)).await.unwrap();
    assert_ne!(after.incarnation, before.incarnation);
    // A stream of the life before must not mistake the new positions for its own.
    assert!(world.lane_in(LaneClass::Messages, before.incarnation).await.is_empty());
    assert_eq!((after.oldest, after.next), (LaneSeq(1), LaneSeq(2)));
    world.restart().await;
    send(&world, LATER, 5, b"newer").await;
    let lane = world.lane(LaneClass::Messages).await;
    let bodies: Vec<(u64, &[u8])> = lane
        .iter()
        .map(|(seq, item)| match item {
            Item::Message(item) => (*seq, &item.body[..]),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(bodies, [(1, b"new".as_slice()), (2, b"newer")]);
    assert_eq!(world.store.sweep(LATER, RETENTION).await.unwrap(), Swept::default());
}

#[tokio::test]
async fn nothing_goes_before_its_time() {
    let world = World::with_room().await;
    send(&world, NOW, 1, b"young").await;
    assert_eq!(world.store.sweep(NOW.after(RETENTION), RETENTION).await.unwrap(), Swept::default());
    assert_eq!(world.mailbox(&world.anna).await.len(), 1);
}

#[tokio::test]
async fn what_is_delivered_is_nowhere_in_the_files() {
    let world = World::with_room().await;
    let needle = b"a needle that nothing else contains";
    send(&world, NOW, 1, needle).await;
    let found = || {
        std::fs::read_dir(world.folder.path()).unwrap().any(|entry| {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            bytes.windows(needle.len()).any(|window| window == needle)
        })
    };
    assert!(found());
    let lane = to_b(LaneClass::Messages);
    let status = world.store.lane(&lane).await.unwrap();
    world.store.lane_acknowledged(NOW, &lane, status.incarnation, status.next, Vec::new()).await.unwrap();
    world.store.acknowledge(world.anna.who, posthouse_spec::MailboxSeq(1)).await.unwrap();
    world.store.sweep(NOW, RETENTION).await.unwrap();
    world.store.ready().await.unwrap();
    assert!(!found());
}
