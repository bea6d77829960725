//! Word back: what became of a message after its destination had acknowledged it.

use bytes::Bytes;
use posthouse_spec::cbor::{Octets, Text};
use posthouse_spec::envelope::{Item, LaneClass, MessageItem, Undelivered, UndeliveredItem};
use posthouse_spec::limits::MAX_MARK;
use posthouse_spec::peer::deliver::ItemRefusal;
use posthouse_spec::{Cbor, Epoch, LaneSeq, Millis, RoomId};

use super::super::inbound::{InboundItem, InboundOutcome};
use super::support::*;

const RETENTION: u64 = 1_000_000;
const LATER: Millis = NOW.after(RETENTION + 10);

type Mark = Octets<MAX_MARK>;

fn marked(epoch: u64, mark: &[u8]) -> Item {
    let (body, mark) = (Octets::new(b"hi".to_vec()).unwrap(), Some(Octets::new(mark.to_vec()).unwrap()));
    Item::Message(MessageItem { room: ROOM, hub: own(), epoch: Epoch(epoch), body, mark })
}

fn word(mark: Mark) -> Item {
    let (what, detail) = (Undelivered::Expired, Text::clipped("nobody came"));
    Item::Undelivered(UndeliveredItem { room: ROOM, mark, what, detail })
}

async fn receive(world: &World, first: u64, items: &[Item]) -> Vec<ItemRefusal> {
    let items = items.iter().map(|item| InboundItem::read(&Bytes::from(item.to_cbor())).unwrap()).collect();
    match world.store.receive_messages(NOW, from_b(), LaneSeq(first), items).await.unwrap() {
        InboundOutcome::Received { refused, .. } => refused.into_iter().map(|item| item.reason).collect(),
        InboundOutcome::Gap { .. } => panic!("a gap"),
    }
}

/// What goes back to the other relay, by mark.
async fn words(world: &World) -> Vec<(Vec<u8>, Undelivered)> {
    let words = world.lane(LaneClass::Messages).await.into_iter().filter_map(|(_, item)| match item {
        Item::Undelivered(word) => Some((word.mark.to_vec(), word.what)),
        _ => None,
    });
    words.collect()
}

#[tokio::test]
async fn a_message_that_expires_in_mailboxes_is_told_once_to_its_origin() {
    let world = World::with_room().await;
    assert_eq!(receive(&world, 1, &[marked(0, b"mark")]).await, []);
    world.store.sweep(NOW.after(RETENTION), RETENTION).await.unwrap();
    assert_eq!(words(&world).await, []);
    let swept = world.store.sweep(LATER, RETENTION).await.unwrap();
    assert_eq!(swept.mailbox, 2, "alice's and anna's");
    assert_eq!(words(&world).await, [(b"mark".to_vec(), Undelivered::Expired)]);
}

#[tokio::test]
async fn a_message_that_expires_aside_is_told_too() {
    let world = World::with_room().await;
    assert_eq!(receive(&world, 1, &[marked(9, b"mark")]).await, []);
    assert_eq!(world.store.sweep(LATER, RETENTION).await.unwrap().aside, 1);
    assert_eq!(words(&world).await, [(b"mark".to_vec(), Undelivered::Expired)]);
}

#[tokio::test]
async fn a_message_that_is_refused_after_it_waited_is_told_too() {
    let world = World::with_room().await;
    assert_eq!(receive(&world, 1, &[marked(1, b"mark")]).await, []);
    // The commit takes b.example out of the room, so its message of the next epoch is nobody's.
    world.advance(Epoch(0), &[&world.alice, &world.anna]).await;
    assert_eq!(words(&world).await, [(b"mark".to_vec(), Undelivered::Refused)]);
}

#[tokio::test]
async fn the_sender_is_told_by_its_own_number_and_once() {
    let mut world = World::with_room().await;
    world.submit(&world.alice, 1, b"hello").await;
    let lane = world.lane(LaneClass::Messages).await;
    let [(1, Item::Message(sent))] = &lane[..] else { panic!("{lane:?}") };
    let mark = sent.mark.clone().expect("what goes to another relay is marked");
    world.restart().await;
    assert_eq!(receive(&world, 1, &[word(mark.clone()), word(mark)]).await, []);
    assert_eq!(shorts(&world.mailbox(&world.alice).await), ["1 at b.example: expired"]);
}

#[tokio::test]
async fn old_word_is_forgotten_whatever_there_is_of_it() {
    let world = World::new().await;
    let many = "INSERT INTO words (relay, mark, created) \
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) \
        SELECT 'b.example', CAST(i AS BLOB), iif(i = 1, 1790000001000, 1) FROM n";
    let fill = world.store.write(move |tx| Box::pin(async move { tx.run(many, "fill the words").await }));
    fill.await.unwrap();
    world.store.sweep(LATER, RETENTION).await.unwrap();
    assert_eq!(world.count("words").await, 1);
}

#[tokio::test]
async fn a_mark_that_is_not_this_relays_own_is_refused() {
    let world = World::with_room().await;
    world.submit(&world.alice, 1, b"hello").await;
    let lane = world.lane(LaneClass::Messages).await;
    let [(1, Item::Message(sent))] = &lane[..] else { panic!("{lane:?}") };
    let mark = sent.mark.clone().unwrap();
    let elsewhere = UndeliveredItem {
        room: RoomId::new([9; 32]),
        mark,
        what: Undelivered::Lost,
        detail: Text::clipped(""),
    };
    let forged = word(Octets::new(vec![1; 56]).unwrap());
    let refused = receive(&world, 1, &[forged, Item::Undelivered(elsewhere)]).await;
    assert_eq!(refused, [ItemRefusal::Invalid, ItemRefusal::Invalid]);
    assert_eq!(shorts(&world.mailbox(&world.alice).await), [""; 0]);
}
