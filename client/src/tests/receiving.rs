//! Receiving: every message once, in order, and what cannot be opened is said.

use posthouse_spec::client::Delivery;
use posthouse_spec::{Epoch, RoomId};

use super::world::{Founded, Person, World};
use crate::ClientError;
use crate::event::Event;
use crate::model::MessageState;
use crate::sync::testing;
use crate::vault::requests;

/// Two people in one room.
async fn friends(world: &World) -> (Person, Person, Founded) {
    let (alice, bob) = (world.person("alice").await, world.person("bob").await);
    let founded = world.found(&alice, &bob).await;
    bob.knows(&alice).await;
    bob.gets(std::slice::from_ref(&founded.welcome)).await;
    bob.finds_out(&founded.room).await;
    bob.client.accept(alice.alias()).await.expect("joined");
    bob.events();
    (alice, bob, founded)
}

async fn letters(world: &World, from: &Person, to: &Person, texts: &[&str]) -> Vec<Delivery> {
    for text in texts {
        from.client.send(to.alias(), text).await.expect("queued");
    }
    from.seals(64).await.iter().map(|item| world.message(item)).collect()
}

fn some(texts: &[&str]) -> Vec<Option<String>> {
    texts.iter().map(|text| Some((*text).to_owned())).collect()
}

#[tokio::test]
async fn letters_come_once_and_in_order() {
    let world = World::new();
    let (alice, bob, _) = friends(&world).await;
    let items = letters(&world, &alice, &bob, &["one", "two", "three"]).await;
    bob.gets(&items).await;
    assert_eq!(bob.texts_from(&alice).await, some(&["one", "two", "three"]));
    // The acknowledgement was lost: the relay pushes the last one again, at its old place.
    bob.gets_again(&items[2]).await;
    // A relay that delivers the same bytes at a new place.
    bob.gets(&items[..1]).await;
    assert_eq!(bob.texts_from(&alice).await, some(&["one", "two", "three"]));
    let heard = bob.events().iter().filter(|event| matches!(event, Event::Message(_))).count();
    assert_eq!(heard, 3);
}

#[tokio::test]
async fn a_message_that_its_sender_sealed_twice_is_shown_once() {
    let world = World::new();
    let (alice, bob, founded) = friends(&world).await;
    alice.client.send(bob.alias(), "only once").await.expect("queued");
    let first = alice.seals(1).await;
    alice.takes_back(&first[0]).await;
    let decided = world.move_on(&alice, &founded.room).await;
    let second = alice.seals(1).await;
    assert_ne!(first[0].body, second[0].body);
    bob.gets(&[world.message(&first[0]), decided, world.message(&second[0])]).await;
    assert_eq!(bob.texts_from(&alice).await, some(&["only once"]));
}

#[tokio::test]
async fn what_cannot_be_opened_is_said() {
    let world = World::new();
    let (alice, bob, _) = friends(&world).await;
    let items = letters(&world, &alice, &bob, &["one", "two"]).await;
    let Delivery::Message(mut broken) = items[0].clone() else { unreachable!("a message") };
    let mut body = broken.body.to_vec();
    let last = body.len() - 1;
    body[last] ^= 1;
    broken.body = posthouse_spec::cbor::Octets::new(body).expect("as long as before");
    bob.gets(&[Delivery::Message(broken), items[1].clone()]).await;
    assert_eq!(bob.texts_from(&alice).await, [None, Some("two".to_owned())]);
    let unread = bob.client.inbox().await.expect("the inbox");
    let lost = &unread[0].messages[0];
    assert_eq!(lost.state, MessageState::Undecryptable);
    assert!(lost.reason.as_deref().is_some_and(|reason| reason.contains("could not be opened")));
}

#[tokio::test]
async fn a_letter_of_the_next_epoch_waits_for_its_decision() {
    let world = World::new();
    let (alice, bob, founded) = friends(&world).await;
    let decided = world.move_on(&alice, &founded.room).await;
    let items = letters(&world, &alice, &bob, &["early"]).await;
    bob.gets(&items).await;
    assert!(bob.texts_from(&alice).await.is_empty());
    bob.gets(&[decided]).await;
    assert_eq!(bob.texts_from(&alice).await, some(&["early"]));
}

#[tokio::test]
async fn a_decision_that_the_hub_did_not_make_moves_nobody() {
    let world = World::new();
    let (alice, bob, founded) = friends(&world).await;
    let stranger = World::new();
    let commit = alice.renews(&founded.room).await;
    let forged = world.decided(founded.room, stranger.decide(&commit));
    bob.gets(&[forged]).await;
    let rooms = bob.client.rooms().await.expect("rooms");
    assert_eq!(rooms[0].epoch, Epoch(1));
    let told = bob
        .events()
        .into_iter()
        .any(|event| matches!(event, Event::Notice(notice) if notice.code == "bad-decision"));
    assert!(told);
}

#[tokio::test]
async fn an_epoch_is_forgotten_when_every_relay_has_ended_it() {
    let world = World::new();
    let (alice, bob, founded) = friends(&world).await;
    let late = letters(&world, &alice, &bob, &["in time", "too late"]).await;
    let decided = world.move_on(&alice, &founded.room).await;
    bob.gets(&[decided, late[0].clone(), world.epoch_end(founded.room, Epoch(1)), late[1].clone()]).await;
    let texts = bob.texts_from(&alice).await;
    assert_eq!(texts, [Some("in time".to_owned()), None]);
}

/// Two rooms that were founded at once; Bob has "one" of hers, which he has not joined, and "two" of his.
async fn two_rooms_at_once() -> (Person, Person, RoomId) {
    let (world, alice, bob, hers, his) = loop {
        let world = World::new();
        let (alice, bob) = (world.person("alice").await, world.person("bob").await);
        let (hers, his) = (world.found(&alice, &bob).await, world.found(&bob, &alice).await);
        if his.room < hers.room {
            break (world, alice, bob, hers, his);
        }
    };
    let first = letters(&world, &alice, &bob, &["one"]).await;
    alice.gets(&[his.welcome]).await;
    alice.finds_out(&his.room).await;
    alice.client.accept(bob.alias()).await.expect("joined");
    let second = letters(&world, &alice, &bob, &["two"]).await;
    bob.gets(&[hers.welcome, first[0].clone(), second[0].clone()]).await;
    assert!(bob.texts_from(&alice).await.is_empty(), "her room is not joined yet");
    (alice, bob, hers.room)
}

#[tokio::test]
async fn of_two_rooms_founded_at_once_the_letters_keep_their_order() {
    let (alice, bob, hers) = two_rooms_at_once().await;
    bob.finds_out(&hers).await;
    bob.client.accept(alice.alias()).await.expect("joined");
    assert_eq!(bob.texts_from(&alice).await, some(&["one", "two"]));
}

#[tokio::test]
async fn what_waited_for_an_invitation_is_opened_when_that_is_given_up() {
    let (alice, bob, hers) = two_rooms_at_once().await;
    let context = bob.context();
    let request = {
        let mut reader = context.vault.read().await.expect("a reader");
        requests::by_room(reader.db().expect("db"), &hers).await.expect("read").expect("her invitation")
    };
    let why = ClientError::Room { doing: "join".to_owned(), why: "so says the test".to_owned() };
    testing::give_up(context, bob.listener(), &request, &why).await.expect("given up");
    assert_eq!(bob.texts_from(&alice).await, some(&["two"]));
}
