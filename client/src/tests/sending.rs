//! Sending: every message once and in order, whatever the relay says and whenever the line breaks.

use posthouse_spec::Number;
use posthouse_spec::client::Refusal;
use posthouse_spec::client::socket::Submit;

use super::world::{Person, World, notice};
use crate::ClientError;
use crate::event::Event;
use crate::model::{Conversation, MessageState, Page};
use crate::sync::testing::Line;

fn numbers(submits: &[Submit]) -> Vec<u64> {
    submits.iter().map(|submit| submit.number.0).collect()
}

async fn says(alice: &Person, bob: &Person, texts: &[&str]) {
    for text in texts {
        alice.client.send(bob.alias(), text).await.expect("queued");
    }
}

async fn states(person: &Person, other: &Person) -> Vec<MessageState> {
    let of = Conversation::With(other.alias().clone());
    let history = person.client.history(&of, Page::default()).await.expect("a history");
    history.into_iter().map(|message| message.state).collect()
}

#[tokio::test]
async fn what_was_not_accepted_is_sent_again_byte_for_byte() {
    let world = World::new();
    let (alice, bob) = (world.person("alice").await, world.person("bob").await);
    world.found(&alice, &bob).await;
    says(&alice, &bob, &["one", "two", "three"]).await;
    let mut line = Line::open(alice.context(), alice.listener(), 0).await.expect("a line");
    let first = line.submits().await.expect("submitted");
    assert_eq!(numbers(&first), [1, 2, 3]);
    line.accepts(1).await.expect("accepted");
    drop(line);
    // The relay has taken the second as well; only its answer was lost.
    let mut line = Line::open(alice.context(), alice.listener(), 2).await.expect("a line");
    let again = line.submits().await.expect("submitted");
    assert_eq!(again, first[2..], "the stored bytes, not sealed again");
    line.accepts(3).await.expect("accepted");
    assert_eq!(states(&alice, &bob).await, [MessageState::Accepted; 3]);
    assert!(line.submits().await.expect("submitted").is_empty());
}

#[tokio::test]
async fn a_stale_epoch_waits_for_the_decision_and_keeps_the_order() {
    let world = World::new();
    let (alice, bob) = (world.person("alice").await, world.person("bob").await);
    let carol = world.person("carol").await;
    let with_bob = world.found(&alice, &bob).await;
    let with_carol = world.found(&alice, &carol).await;
    alice.client.send(bob.alias(), "b1").await.expect("queued");
    alice.client.send(carol.alias(), "c1").await.expect("queued");
    alice.client.send(bob.alias(), "b2").await.expect("queued");
    let mut line = Line::open(alice.context(), alice.listener(), 0).await.expect("a line");
    let first = line.submits().await.expect("submitted");
    assert_eq!(numbers(&first), [1, 2, 3]);
    line.refuses(1, Refusal::StaleEpoch).expect("taken");
    assert!(line.submits().await.expect("submitted").is_empty(), "two are still in flight");
    line.refuses(2, Refusal::NumberGap).expect("taken");
    line.refuses(3, Refusal::NumberGap).expect("taken");
    // The other room goes on with its stored bytes under the number that is free now.
    let second = line.submits().await.expect("submitted");
    assert_eq!(numbers(&second), [1]);
    assert_eq!((second[0].room, &second[0].body), (with_carol.room, &first[1].body));
    line.accepts(1).await.expect("accepted");
    assert!(line.submits().await.expect("submitted").is_empty(), "the room is where it was");
    let before = ids(&alice, &bob).await;
    world.move_on(&alice, &with_bob.room).await;
    let third = line.submits().await.expect("submitted");
    assert_eq!(numbers(&third), [2, 3]);
    assert!(third.iter().all(|submit| submit.room == with_bob.room && submit.epoch.0 == 2));
    assert_eq!(ids(&alice, &bob).await, before, "sealed again, the messages are still the same");
}

async fn ids(alice: &Person, bob: &Person) -> Vec<Option<posthouse_spec::MessageId>> {
    let of = Conversation::With(bob.alias().clone());
    let history = alice.client.history(&of, Page::default()).await.expect("a history");
    history.into_iter().map(|message| message.id).collect()
}

#[tokio::test]
async fn a_message_that_is_refused_for_good_fails_alone() {
    let world = World::new();
    let (alice, bob) = (world.person("alice").await, world.person("bob").await);
    world.found(&alice, &bob).await;
    says(&alice, &bob, &["one", "two"]).await;
    let mut line = Line::open(alice.context(), alice.listener(), 0).await.expect("a line");
    let first = line.submits().await.expect("submitted");
    line.refuses(1, Refusal::Quota).expect("taken");
    line.refuses(2, Refusal::NumberGap).expect("taken");
    let second = line.submits().await.expect("submitted");
    assert_eq!(numbers(&second), [1]);
    assert_eq!(second[0].body, first[1].body);
    line.accepts(1).await.expect("accepted");
    drop(line);
    assert_eq!(states(&alice, &bob).await, [MessageState::Failed, MessageState::Accepted]);
    let failed = alice.events().into_iter().find(|event| matches!(event, Event::Failed { .. }));
    assert!(matches!(failed, Some(Event::Failed { local: 1, code, .. }) if code == "quota-exceeded"));
}

#[tokio::test]
async fn a_relay_that_misses_or_reuses_numbers_is_not_believed() {
    let world = World::new();
    let (alice, bob) = (world.person("alice").await, world.person("bob").await);
    world.found(&alice, &bob).await;
    says(&alice, &bob, &["one"]).await;
    let mut line = Line::open(alice.context(), alice.listener(), 0).await.expect("a line");
    line.submits().await.expect("submitted");
    assert!(line.accepts(2).await.is_err(), "never sent");
    assert!(line.refuses(7, Refusal::StaleEpoch).is_err(), "never sent");
    let reused = line.refuses(1, Refusal::NumberReused);
    assert!(matches!(reused, Err(ClientError::Refused { reason: Refusal::NumberReused, .. })));
    assert_eq!(states(&alice, &bob).await, [MessageState::Sealed], "nothing is lost by that");
}

#[tokio::test]
async fn a_relay_that_was_restored_gets_what_it_can_still_get() {
    let world = World::new();
    let (alice, bob) = (world.person("alice").await, world.person("bob").await);
    world.found(&alice, &bob).await;
    says(&alice, &bob, &["one", "two", "three"]).await;
    let mut line = Line::open(alice.context(), alice.listener(), 0).await.expect("a line");
    let first = line.submits().await.expect("submitted");
    line.accepts(2).await.expect("accepted");
    drop(line);
    let mut line = Line::open(alice.context(), alice.listener(), 0).await.expect("a line");
    let again = line.submits().await.expect("submitted");
    assert_eq!(numbers(&again), [1]);
    assert_eq!(again[0].body, first[2].body);
    drop(line);
    let told = alice
        .events()
        .into_iter()
        .any(|event| matches!(event, Event::Notice(notice) if notice.code == "relay-restored"));
    assert!(told);
}

#[tokio::test]
async fn word_of_a_failure_reaches_the_message() {
    let world = World::new();
    let (alice, bob) = (world.person("alice").await, world.person("bob").await);
    world.found(&alice, &bob).await;
    says(&alice, &bob, &["one", "two"]).await;
    let sealed = alice.seals(8).await;
    let mut line = Line::open(alice.context(), alice.listener(), 2).await.expect("a line");
    assert!(line.submits().await.expect("submitted").is_empty());
    drop(line);
    assert_eq!(sealed[1].number, Number(2));
    alice.gets(&[notice(&sealed[1])]).await;
    assert_eq!(states(&alice, &bob).await, [MessageState::Accepted, MessageState::Failed]);
    let message = alice.client.message(2).await.expect("the message");
    assert!(message.reason.expect("a reason").contains("30 days"));
}

#[tokio::test]
async fn of_two_rooms_with_one_person_the_lower_is_written_to() {
    let world = World::new();
    let (alice, bob) = (world.person("alice").await, world.person("bob").await);
    let mine = world.found(&alice, &bob).await;
    // He wrote to her at the same time, and knows her by that.
    let his = world.found(&bob, &alice).await;
    bob.gets(&[mine.welcome]).await;
    bob.finds_out(&mine.room).await;
    bob.client.accept(alice.alias()).await.expect("joined");
    says(&bob, &alice, &["hi"]).await;
    let sealed = bob.seals(8).await;
    assert_eq!(sealed[0].room, mine.room.min(his.room));
}
