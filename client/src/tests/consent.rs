//! First contact: nothing is shown but who asks, until they are accepted.

use posthouse_spec::RoomId;

use super::world::{Person, World};
use crate::ClientError;
use crate::event::Event;
use crate::model::{Conversation, Page};

async fn a_letter_from(world: &World, alice: &Person, bob: &Person, texts: &[&str]) -> RoomId {
    let founded = world.found(alice, bob).await;
    for text in texts {
        alice.client.send(bob.alias(), text).await.expect("queued");
    }
    let sealed = alice.seals(64).await;
    let mut items = vec![founded.welcome];
    items.extend(sealed.iter().map(|item| world.message(item)));
    bob.gets(&items).await;
    founded.room
}

#[tokio::test]
async fn a_stranger_waits_for_consent() {
    let world = World::new();
    let (alice, bob) = (world.person("alice").await, world.person("bob").await);
    let room = a_letter_from(&world, &alice, &bob, &["one", "two"]).await;
    let asking = bob.client.requests().await.expect("requests");
    assert_eq!(asking.len(), 1);
    assert_eq!((&asking[0].alias, asking[0].waiting, asking[0].verified), (alice.alias(), 2, false));
    assert!(bob.client.rooms().await.expect("rooms").is_empty());
    assert!(bob.client.inbox().await.expect("the inbox").is_empty());
    bob.knows(&alice).await;
    bob.finds_out(&room).await;
    bob.client.accept(alice.alias()).await.expect("accepted");
    assert_eq!(bob.texts_from(&alice).await.len(), 2);
    assert!(bob.client.requests().await.expect("requests").is_empty());
    let unread = bob.client.inbox().await.expect("the inbox");
    let locals: Vec<u64> = unread[0].messages.iter().map(|message| message.local).collect();
    assert_eq!(locals.len(), 2);
    bob.client.mark_read(&locals[1..]).await.expect("noted");
    let left = bob.client.inbox().await.expect("the inbox");
    assert_eq!(left[0].messages[..], unread[0].messages[..1], "only what was shown is read");
    bob.client.mark_read(&locals).await.expect("noted");
    assert!(bob.client.inbox().await.expect("the inbox").is_empty(), "read once");
    let again = bob.client.accept(alice.alias()).await;
    assert!(matches!(again, Err(ClientError::NoRequest(_))));
}

#[tokio::test]
async fn consent_before_the_check_waits_for_it() {
    let world = World::new();
    let (alice, bob) = (world.person("alice").await, world.person("bob").await);
    a_letter_from(&world, &alice, &bob, &["one"]).await;
    bob.client.accept(alice.alias()).await.expect("noted");
    assert!(bob.client.rooms().await.expect("rooms").is_empty(), "nobody knows yet whose alias it is");
}

#[tokio::test]
async fn who_is_blocked_is_not_heard() {
    let world = World::new();
    let (alice, bob) = (world.person("alice").await, world.person("bob").await);
    let room = a_letter_from(&world, &alice, &bob, &["one"]).await;
    bob.client.block(alice.alias()).await.expect("blocked");
    assert!(bob.client.requests().await.expect("requests").is_empty());
    alice.client.send(bob.alias(), "two").await.expect("queued");
    let more = alice.seals(8).await;
    bob.gets(&[world.message(&more[0])]).await;
    let mut tx = bob.context().vault.begin().await.expect("a transaction");
    let load = crate::vault::held::load(tx.db().expect("db"), &room).await.expect("counted");
    tx.commit().await.expect("durable");
    assert_eq!(load.items, 0);
    let nothing = bob.client.history(&Conversation::With(alice.alias().clone()), Page::default()).await;
    assert!(matches!(nothing, Err(ClientError::UnknownConversation(_))));
}

#[tokio::test]
async fn who_is_no_longer_blocked_is_heard_in_the_room_to_which_they_write() {
    let world = World::new();
    let (alice, bob) = (world.person("alice").await, world.person("bob").await);
    let room = a_letter_from(&world, &alice, &bob, &["one"]).await;
    bob.knows(&alice).await;
    bob.finds_out(&room).await;
    bob.client.block(alice.alias()).await.expect("blocked");
    bob.client.accept(alice.alias()).await.expect("forgiven");
    alice.client.send(bob.alias(), "two").await.expect("queued");
    let more = alice.seals(8).await;
    bob.gets(&[world.message(&more[0])]).await;
    assert_eq!(bob.texts_from(&alice).await, [Some("two".to_owned())]);
}

#[tokio::test]
async fn a_contact_who_is_blocked_is_not_heard_and_not_written_to() {
    let world = World::new();
    let (alice, bob) = (world.person("alice").await, world.person("bob").await);
    let room = a_letter_from(&world, &alice, &bob, &["one"]).await;
    bob.knows(&alice).await;
    bob.finds_out(&room).await;
    bob.client.accept(alice.alias()).await.expect("accepted");
    bob.client.block(alice.alias()).await.expect("blocked");
    alice.client.send(bob.alias(), "two").await.expect("queued");
    let more = alice.seals(8).await;
    bob.gets(&[world.message(&more[0])]).await;
    assert_eq!(bob.texts_from(&alice).await.len(), 1);
    assert!(matches!(bob.client.send(alice.alias(), "x").await, Err(ClientError::Blocked(_))));
    bob.client.accept(alice.alias()).await.expect("forgiven");
    alice.client.send(bob.alias(), "three").await.expect("queued");
    let more = alice.seals(8).await;
    bob.gets(&[world.message(&more[0])]).await;
    assert_eq!(bob.texts_from(&alice).await, [Some("one".to_owned()), Some("three".to_owned())]);
}

#[tokio::test]
async fn an_invitation_for_somebody_else_is_dropped() {
    let world = World::new();
    let (alice, bob) = (world.person("alice").await, world.person("bob").await);
    let carol = world.person("carol").await;
    let founded = world.found(&alice, &bob).await;
    carol.gets(&[founded.welcome]).await;
    assert!(carol.client.requests().await.expect("requests").is_empty());
    assert!(matches!(&carol.events()[..], [Event::Notice(notice)] if notice.code == "bad-invitation"));
}
