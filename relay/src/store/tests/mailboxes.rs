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
