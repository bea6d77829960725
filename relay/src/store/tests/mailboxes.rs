use posthouse_spec::client::Delivery;
use posthouse_spec::client::socket::Hello;
use posthouse_spec::envelope::LaneClass;
use posthouse_spec::{Incarnation, LaneSeq, MailboxSeq, Number};

use super::super::types::{HelloOutcome, SubmitOutcome};
use super::support::*;
use crate::mailbox::MailboxKey;

fn hello(vault: u8, acked: u64, last_number: u64) -> Hello {
    Hello {
        version: 1,
        incarnation: Incarnation::new([vault; 16]),
        acked: MailboxSeq(acked),
        last_number: Number(last_number),
    }
}

fn ready(accepted: u64, acked: u64, head: u64) -> HelloOutcome {
    HelloOutcome::Ready { accepted: Number(accepted), acked: MailboxSeq(acked), head: MailboxSeq(head) }
}

#[tokio::test]
async fn an_acknowledgement_deletes_rows_and_the_item_goes_with_its_last() {
    let world = World::with_room().await;
    for n in 1..=3 {
        assert_eq!(world.submit(&world.alice, n, b"x").await, SubmitOutcome::Accepted);
    }
    world.store.acknowledge(world.anna.who, MailboxSeq(2)).await.unwrap();
    assert_eq!(world.mailbox(&world.anna).await.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), [3]);
    // The other relay still waits for all three.
    assert_eq!(world.count("items").await, 3);
    let lane = to_b(LaneClass::Messages);
    let incarnation = world.store.lane(&lane).await.unwrap().incarnation;
    world.store.lane_acknowledged(NOW, &lane, incarnation, LaneSeq(4), Vec::new()).await.unwrap();
    assert_eq!(world.count("items").await, 1);
    world.store.acknowledge(world.anna.who, MailboxSeq(3)).await.unwrap();
    assert_eq!(world.count("items").await, 0);
    // What was never given out is not acknowledged.
    world.store.acknowledge(world.anna.who, MailboxSeq(99)).await.unwrap();
    assert_eq!(world.submit(&world.alice, 4, b"x").await, SubmitOutcome::Accepted);
    assert_eq!(world.mailbox(&world.anna).await.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), [4]);
}

#[tokio::test]
async fn a_hello_binds_the_vault_and_a_copy_of_it_is_rolled_back() {
    let mut world = World::with_room().await;
    let (alice, anna) = (world.alice.who, world.anna.who);
    assert_eq!(world.store.hello(anna, &hello(1, 0, 0)).await.unwrap(), ready(0, 0, 0));
    assert_eq!(world.store.hello(alice, &hello(2, 0, 0)).await.unwrap(), ready(0, 0, 0));
    for n in 1..=3 {
        assert_eq!(world.submit(&world.alice, n, b"x").await, SubmitOutcome::Accepted);
    }
    assert_eq!(world.store.hello(anna, &hello(1, 2, 0)).await.unwrap(), ready(0, 2, 3));
    world.restart().await;
    assert_eq!(world.store.hello(alice, &hello(2, 0, 5)).await.unwrap(), ready(3, 0, 0));
    for copy in [hello(9, 2, 0), hello(1, 1, 0)] {
        let told = world.store.hello(anna, &copy).await.unwrap();
        assert!(matches!(told, HelloOutcome::RolledBack(_)), "{told:?}");
    }
    let told = world.store.hello(alice, &hello(2, 0, 2)).await.unwrap();
    assert!(matches!(&told, HelloOutcome::RolledBack(why) if why.contains("enrol it")), "{told:?}");
}

#[tokio::test]
async fn a_relay_that_lost_positions_goes_on_behind_what_the_vault_holds() {
    let world = World::with_room().await;
    assert_eq!(world.store.hello(world.anna.who, &hello(1, 41, 0)).await.unwrap(), ready(0, 41, 41));
    assert_eq!(world.submit(&world.alice, 1, b"x").await, SubmitOutcome::Accepted);
    assert_eq!(world.mailbox(&world.anna).await[0].0, 42);
}

/// What waits for Anna: position and body.
async fn waiting(world: &World) -> Vec<(u64, String)> {
    let mailbox = world.mailbox(&world.anna).await;
    let body = |delivery: Delivery| match delivery {
        Delivery::Message(message) => String::from_utf8_lossy(&message.body).into_owned(),
        other => format!("{other:?}"),
    };
    mailbox.into_iter().map(|(seq, delivery)| (seq, body(delivery))).collect()
}

fn rows(expected: &[(u64, &str)]) -> Vec<(u64, String)> {
    expected.iter().map(|(seq, body)| (*seq, (*body).to_owned())).collect()
}

#[tokio::test]
async fn what_a_restored_relay_took_before_it_met_the_device_moves_behind_what_the_vault_holds() {
    let mut world = World::with_room().await;
    let anna = world.anna.who;
    assert_eq!(world.store.hello(anna, &hello(1, 0, 0)).await.unwrap(), ready(0, 0, 0));
    for (n, body) in [(1, "1"), (2, "2"), (3, "3")] {
        assert_eq!(world.submit(&world.alice, n, body.as_bytes()).await, SubmitOutcome::Accepted);
    }
    world.store.acknowledge(anna, MailboxSeq(1)).await.unwrap();
    let copy = world.back_up().await;
    assert_eq!(world.store.hello(anna, &hello(1, 3, 0)).await.unwrap(), ready(0, 3, 3));
    for (n, body) in [(4, "lost 4"), (5, "lost 5")] {
        assert_eq!(world.submit(&world.alice, n, body.as_bytes()).await, SubmitOutcome::Accepted);
    }
    world.store.acknowledge(anna, MailboxSeq(5)).await.unwrap();
    world.put_back(&copy).await;
    for (n, body) in [(4, "new 4"), (5, "new 5"), (6, "new 6")] {
        assert_eq!(world.submit(&world.alice, n, body.as_bytes()).await, SubmitOutcome::Accepted);
    }
    // Another start does not make what is new look old, and neither does what is in the same transaction.
    world.restart().await;
    let greeted = tokio::join!(
        world.submit(&world.alice, 7, b"new 7"),
        world.store.hello(anna, &hello(1, 5, 0)),
        world.submit(&world.alice, 8, b"new 8")
    );
    assert!(matches!(greeted.1.unwrap(), HelloOutcome::Ready { acked: MailboxSeq(5), .. }));
    assert_eq!(
        waiting(&world).await,
        rows(&[(6, "new 4"), (7, "new 5"), (8, "new 6"), (9, "new 7"), (10, "new 8")])
    );
    assert_eq!((world.count("mailbox").await, world.count("items").await), (5, 8), "b waits for all of them");
    // From here on all is as ever, across starts too.
    world.store.acknowledge(anna, MailboxSeq(7)).await.unwrap();
    world.restart().await;
    assert_eq!(world.store.hello(anna, &hello(1, 8, 0)).await.unwrap(), ready(0, 8, 10));
    assert_eq!(waiting(&world).await, rows(&[(9, "new 7"), (10, "new 8")]));
}

#[tokio::test]
async fn what_the_copy_had_never_given_out_comes_again_rather_than_never() {
    let mut world = World::with_room().await;
    let anna = world.anna.who;
    assert_eq!(world.submit(&world.alice, 1, b"1").await, SubmitOutcome::Accepted);
    let copy = world.back_up().await;
    assert_eq!(world.store.hello(anna, &hello(1, 0, 0)).await.unwrap(), ready(0, 0, 1));
    world.store.acknowledge(anna, MailboxSeq(1)).await.unwrap();
    world.put_back(&copy).await;
    assert_eq!(world.submit(&world.alice, 2, b"new 2").await, SubmitOutcome::Accepted);
    assert_eq!(world.store.hello(anna, &hello(1, 1, 0)).await.unwrap(), ready(0, 1, 3));
    assert_eq!(waiting(&world).await, rows(&[(2, "1"), (3, "new 2")]));
}

#[tokio::test]
async fn a_vault_that_makes_positions_up_brings_nobodys_messages_to_a_halt() {
    let world = World::with_room().await;
    let told = world.store.hello(world.anna.who, &hello(1, i64::MAX as u64 - 1, 0)).await.unwrap();
    assert!(matches!(told, HelloOutcome::RolledBack(_)), "{told:?}");
    for n in 1..=3 {
        assert_eq!(world.submit(&world.alice, n, b"x").await, SubmitOutcome::Accepted);
    }
    assert_eq!(world.mailbox(&world.anna).await.len(), 3);
}

#[tokio::test]
async fn an_unknown_device_has_no_mailbox() {
    let world = World::new().await;
    let nobody = MailboxKey { account: world.alice.who.account, device: device(9) };
    assert_eq!(world.store.hello(nobody, &hello(1, 0, 0)).await.unwrap(), HelloOutcome::UnknownDevice);
}

#[tokio::test]
async fn reading_is_bounded_by_items_and_bytes_and_gives_one_at_least() {
    let world = World::with_room().await;
    for n in 1..=5 {
        assert_eq!(world.submit(&world.alice, n, &[b'x'; 1_000]).await, SubmitOutcome::Accepted);
    }
    let read = |after, items, bytes| world.store.pending(world.anna.who, MailboxSeq(after), items, bytes);
    assert_eq!(read(0, 3, usize::MAX).await.unwrap().len(), 3);
    assert_eq!(read(0, 10, 2_500).await.unwrap().len(), 2);
    let one = read(4, 10, 1).await.unwrap();
    assert_eq!(one.iter().map(|item| item.seq).collect::<Vec<_>>(), [MailboxSeq(5)]);
}
