use bytes::Bytes;
use posthouse_spec::cbor::Octets;
use posthouse_spec::envelope::{EpochEndItem, Item, MessageItem};
use posthouse_spec::limits::MAX_ASIDE;
use posthouse_spec::peer::deliver::ItemRefusal;
use posthouse_spec::{Cbor, Epoch, Incarnation, LaneSeq};

use super::super::inbound::{InboundItem, InboundOutcome};
use super::super::refusals::MAX_UNHEARD;
use super::super::types::Incoming;
use super::support::*;
use crate::lane::MAX_LIVES;
use crate::quota::Quota;

fn message(epoch: u64, body: &str) -> Item {
    let body = Octets::new(body.as_bytes().to_vec()).unwrap();
    Item::Message(MessageItem { room: ROOM, hub: own(), epoch: Epoch(epoch), body, mark: None })
}

fn end(epoch: u64) -> Item {
    Item::EpochEnd(EpochEndItem { room: ROOM, hub: own(), epoch: Epoch(epoch) })
}

async fn receive_on(world: &World, lane: Incoming, first: u64, items: &[Item]) -> InboundOutcome {
    let items = items.iter().map(|item| InboundItem::read(&Bytes::from(item.to_cbor())).unwrap()).collect();
    world.store.receive_messages(NOW, lane, LaneSeq(first), items).await.unwrap()
}

async fn receive(world: &World, first: u64, items: &[Item]) -> InboundOutcome {
    receive_on(world, from_b(), first, items).await
}

fn taken(next: u64) -> InboundOutcome {
    InboundOutcome::Received { next: LaneSeq(next), refused: Vec::new() }
}

fn reasons(outcome: &InboundOutcome) -> Vec<(u64, ItemRefusal)> {
    match outcome {
        InboundOutcome::Received { refused, .. } => refused.iter().map(|r| (r.seq.0, r.reason)).collect(),
        InboundOutcome::Gap { .. } => panic!("a gap"),
    }
}

#[tokio::test]
async fn a_replay_is_dropped_and_a_gap_is_named() {
    let mut world = World::with_room().await;
    assert_eq!(receive(&world, 1, &[message(0, "one"), message(0, "two")]).await, taken(3));
    assert_eq!(receive(&world, 1, &[message(0, "one"), message(0, "two")]).await, taken(3));
    assert_eq!(receive(&world, 2, &[message(0, "two"), message(0, "three")]).await, taken(4));
    world.restart().await;
    assert_eq!(receive(&world, 1, &[message(0, "one")]).await, taken(4));
    assert_eq!(receive(&world, 6, &[message(0, "six")]).await, InboundOutcome::Gap { expected: LaneSeq(4) });
    let expected = ["b.example e0 one", "b.example e0 two", "b.example e0 three"];
    assert_eq!(shorts(&world.mailbox(&world.alice).await), expected);
    assert_eq!(shorts(&world.mailbox(&world.anna).await), expected);
    assert_eq!(world.store.cursor(&from_b()).await.unwrap(), LaneSeq(4));
    assert_eq!(world.store.cursors(&domain("b.example")).await.unwrap().len(), 1);
}

#[tokio::test]
async fn items_ahead_of_the_room_wait_and_come_in_order_behind_the_decision() {
    let mut world = World::with_room().await;
    let ahead =
        [message(0, "now"), end(0), message(1, "later"), message(2, "much later"), message(1, "later too")];
    assert_eq!(receive(&world, 1, &ahead).await, taken(6));
    assert_eq!(shorts(&world.mailbox(&world.alice).await), ["b.example e0 now"]);
    world.restart().await;
    let all = [&world.alice, &world.anna, &world.bob];
    world.advance(Epoch(0), &all).await;
    let first = [
        "b.example e0 now",
        "decided 0",
        "a.example ends 0",
        "b.example ends 0",
        "b.example e1 later",
        "b.example e1 later too",
    ];
    assert_eq!(shorts(&world.mailbox(&world.alice).await), first);
    world.advance(Epoch(1), &all).await;
    let last = shorts(&world.mailbox(&world.alice).await);
    assert_eq!(last.last().unwrap(), "b.example e2 much later");
    assert_eq!(world.count("aside").await, 0);
}

#[tokio::test]
async fn items_of_an_unknown_room_wait_within_a_bound() {
    let world = World::new().await;
    let items: Vec<Item> = (0..MAX_ASIDE + 1).map(|n| message(0, &n.to_string())).collect();
    let outcome = receive(&world, 1, &items).await;
    assert_eq!(reasons(&outcome), [(MAX_ASIDE + 1, ItemRefusal::UnknownRoom)]);
    // Another origin has its own bound.
    let other = Incoming { origin: domain("c.example"), ..from_b() };
    assert_eq!(receive_on(&world, other, 1, &[message(0, "hi")]).await, taken(2));
}

#[tokio::test]
async fn a_late_message_reaches_those_who_were_there_and_nobody_else() {
    let world = World::with_room().await;
    world.advance(Epoch(0), &[&world.alice, &world.bob]).await;
    assert_eq!(receive(&world, 1, &[message(0, "late"), message(1, "new")]).await, taken(3));
    let anna = shorts(&world.mailbox(&world.anna).await);
    assert_eq!(anna.last().unwrap(), "b.example e0 late");
    let alice = shorts(&world.mailbox(&world.alice).await);
    assert_eq!(&alice[alice.len() - 2..], ["b.example e0 late", "b.example e1 new"]);
}

#[tokio::test]
async fn a_room_that_everybody_here_has_left_still_takes_what_is_late() {
    let world = World::with_room().await;
    let mut last = advance(Epoch(0), &[&world.bob]);
    last.state.context.ordering.leader.domain = domain("b.example");
    world.store.advance_room(NOW, last).await.unwrap();
    assert!(!world.store.room(ROOM).await.unwrap().unwrap().active);
    assert_eq!(receive(&world, 1, &[message(0, "late"), message(1, "not ours")]).await, taken(3));
    assert_eq!(shorts(&world.mailbox(&world.alice).await).last().unwrap(), "b.example e0 late");
    assert_eq!(world.count("aside").await, 1);
}

#[tokio::test]
async fn strangers_and_malformed_items_are_refused_by_name() {
    let world = World::with_room().await;
    let stranger = Incoming { origin: domain("c.example"), ..from_b() };
    let outcome = receive_on(&world, stranger, 1, &[message(0, "hi")]).await;
    assert_eq!(reasons(&outcome), [(1, ItemRefusal::Invalid)]);
    let garbage = InboundItem::read(&Bytes::from_static(&[0xff])).unwrap();
    let outcome = world.store.receive_messages(NOW, from_b(), LaneSeq(1), vec![garbage]).await.unwrap();
    assert_eq!(reasons(&outcome), [(1, ItemRefusal::Invalid)]);
    assert!(
        InboundItem::read(&Bytes::from(
            Item::Decided(posthouse_spec::envelope::DecidedItem {
                room: ROOM,
                hub: own(),
                decided: decided(Epoch(0)),
            })
            .to_cbor()
        ))
        .is_none()
    );
}

#[tokio::test]
async fn a_refusal_whose_acknowledgement_was_lost_is_told_again() {
    let mut world = World::with_room().await;
    let garbage = || InboundItem::read(&Bytes::from_static(&[0xff])).unwrap();
    let good = || InboundItem::read(&Bytes::from(message(0, "good").to_cbor())).unwrap();
    let receive = async |world: &World, first, items| {
        world.store.receive_messages(NOW, from_b(), LaneSeq(first), items).await.unwrap()
    };
    let first = receive(&world, 1, vec![good(), garbage(), good(), garbage(), good()]).await;
    assert_eq!(reasons(&first), [(2, ItemRefusal::Invalid), (4, ItemRefusal::Invalid)]);
    world.restart().await;
    let resume =
        async |world: &World, oldest| world.store.resume_at(&from_b(), LaneSeq(oldest)).await.unwrap();
    assert_eq!(resume(&world, 1).await, LaneSeq(2));
    // The origin goes on from there, with something new behind it.
    let again = receive(&world, 2, vec![garbage(), good(), garbage(), good(), good()]).await;
    assert_eq!(again, InboundOutcome::Received { next: LaneSeq(7), refused: refused_of(&first) });
    assert_eq!(world.mailbox(&world.alice).await.len(), 4);
    // It has heard of the first, and then of both.
    assert_eq!(resume(&world, 3).await, LaneSeq(4));
    assert_eq!(resume(&world, 5).await, LaneSeq(7));
}

fn refused_of(outcome: &InboundOutcome) -> Vec<posthouse_spec::peer::deliver::RefusedItem> {
    match outcome {
        InboundOutcome::Received { refused, .. } => refused.clone(),
        InboundOutcome::Gap { .. } => panic!("a gap"),
    }
}

#[tokio::test]
async fn refusals_are_told_long_after_mailbags_have_brought_them_and_no_more_than_so_many_are_kept() {
    let world = World::with_room().await;
    let garbage = || InboundItem::read(&Bytes::from_static(&[0xff])).unwrap();
    let mut next = 1;
    let mut more = async || {
        let items = (0..1024).map(|_| garbage()).collect();
        world.store.receive_messages(NOW, from_b(), LaneSeq(next), items).await.unwrap();
        next += 1024;
    };
    for _ in 0..MAX_UNHEARD / 1024 {
        more().await;
    }
    // Its origin has heard of none: all of it came in mailbags while it could not be asked.
    assert_eq!(world.store.resume_at(&from_b(), LaneSeq(1)).await.unwrap(), LaneSeq(1));
    more().await;
    assert_eq!(world.count("refusals").await, MAX_UNHEARD as i64);
}

#[tokio::test]
async fn a_refusal_is_told_however_much_came_behind_it() {
    let world = World::new().await;
    world.found(&[&world.alice, &world.bob]).await;
    world.store.set_block(&world.alice.who.account, &world.bob.who.account, true).await.unwrap();
    let garbage = || InboundItem::read(&Bytes::from_static(&[0xff])).unwrap();
    let good = InboundItem::read(&Bytes::from(message(0, "good").to_cbor())).unwrap();
    let receive = async |first, items| {
        world.store.receive_messages(NOW, from_b(), LaneSeq(first), items).await.unwrap();
    };
    receive(1, vec![garbage()]).await;
    let mut next = 2;
    while next < MAX_UNHEARD + 2 {
        receive(next, vec![good.clone(); 1024]).await;
        next += 1024;
    }
    receive(next, vec![garbage()]).await;
    assert_eq!(world.store.resume_at(&from_b(), LaneSeq(1)).await.unwrap(), LaneSeq(1));
}

#[tokio::test]
async fn what_one_origin_puts_aside_in_all_rooms_is_bounded() {
    let world = World::new().await;
    let many = "INSERT INTO aside (room, origin, hub, needs, received, item) \
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 65536) \
        SELECT randomblob(32), 'b.example', 'b.example', 0, 0, x'00' FROM n";
    world
        .store
        .write(move |tx| Box::pin(async move { tx.run(many, "fill the aside store").await }))
        .await
        .unwrap();
    assert_eq!(reasons(&receive(&world, 1, &[message(0, "more")]).await), [(1, ItemRefusal::UnknownRoom)]);
    let other = Incoming { origin: domain("c.example"), ..from_b() };
    assert_eq!(receive_on(&world, other, 1, &[message(0, "hi")]).await, taken(2));
}

#[tokio::test]
async fn a_blocked_person_cannot_tell_that_nothing_comes_through() {
    let world = World::new().await;
    world.found(&[&world.alice, &world.bob]).await;
    let (alice, bob) = (world.alice.who.account, world.bob.who.account);
    world.store.set_block(&alice, &bob, true).await.unwrap();
    assert_eq!(receive(&world, 1, &[message(0, "hello?")]).await, taken(2));
    assert!(world.mailbox(&world.alice).await.is_empty());
    assert!(world.store.is_blocked(&alice, &bob).await.unwrap());
    world.store.set_block(&alice, &bob, false).await.unwrap();
    assert_eq!(receive(&world, 2, &[message(0, "again")]).await, taken(3));
    assert_eq!(shorts(&world.mailbox(&world.alice).await), ["b.example e0 again"]);
}

#[tokio::test]
async fn a_full_mailbox_refuses_to_the_sending_relay_but_not_what_it_accepted_before() {
    let world = World::with(Quota { items: 1, bytes: 1_000 }).await;
    world.found(&[&world.alice, &world.anna, &world.bob]).await;
    let outcome = receive(&world, 1, &[message(0, "one"), message(0, "two"), message(1, "three")]).await;
    assert_eq!(reasons(&outcome), [(2, ItemRefusal::Quota)]);
    world.advance(Epoch(0), &[&world.alice, &world.anna, &world.bob]).await;
    let alice = shorts(&world.mailbox(&world.alice).await);
    assert_eq!(alice, ["b.example e0 one", "decided 0", "a.example ends 0", "b.example e1 three"]);
}

#[tokio::test]
async fn a_relay_that_invents_lives_is_remembered_in_few() {
    let mut world = World::with_room().await;
    let life = |n: u8| Incoming { incarnation: Incarnation::new([n; 16]), ..from_b() };
    let garbage = || vec![InboundItem::read(&Bytes::from_static(&[0xff])).unwrap()];
    for n in 1..=20 {
        let at = NOW.after(u64::from(n));
        world.store.receive_messages(at, life(n), LaneSeq(1), garbage()).await.unwrap();
    }
    assert_eq!(world.count("cursors").await, MAX_LIVES as i64);
    assert_eq!(world.count("refusals").await, MAX_LIVES as i64);
    world.restart().await;
    assert_eq!(world.store.cursor(&life(20)).await.unwrap(), LaneSeq(2));
    assert_eq!(world.store.cursor(&life(13)).await.unwrap(), LaneSeq(2));
    // One that was forgotten begins at 1 again: its origin sees that, and begins another one.
    assert_eq!(world.store.resume_at(&life(12), LaneSeq(2)).await.unwrap(), LaneSeq(1));
    let other = Incoming { origin: domain("c.example"), ..life(1) };
    world.store.receive_messages(NOW, other, LaneSeq(1), garbage()).await.unwrap();
    assert_eq!(world.count("cursors").await, MAX_LIVES as i64 + 1);
}
