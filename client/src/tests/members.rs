//! Members of rooms: who they are, what they may say, and how they go.

use posthouse_crypto::verify;
use posthouse_spec::account::KeyClaim;
use posthouse_spec::cbor::{List, Text};
use posthouse_spec::client::Delivery;
use posthouse_spec::content::{MimiContent, RoomInfo};
use posthouse_spec::room::{LeaveClaim, Role, RoomKind};

use super::group::{change, group, lines, member, roles, says, state, wanted};
use super::hub::Hub;
use super::world::World;
use crate::event::Event;
use crate::model::{Conversation, MessageState, Page, RoomState};
use crate::{ClientError, NewRoom, RoomChange, RoomFault};

#[tokio::test]
async fn who_is_removed_sees_it_and_keeps_what_was_said() {
    let hub = Hub::new(World::new()).await;
    let (alice, bob, carol) =
        (hub.person("alice", 0).await, hub.person("bob", 2).await, hub.person("carol", 1).await);
    let all = [&alice, &bob, &carol];
    let room = group(&hub, &all).await;
    alice.client.send_to_room(&room, "before").await.expect("queued");
    hub.settle(&all).await;
    change(&alice, &room, RoomChange::Remove { member: member(&bob) }).await;
    hub.settle(&all).await;
    assert_eq!(state(&bob, &room).await, RoomState::Removed);
    assert!(says(&bob, &room, "before").await);
    assert!(says(&bob, &room, "alice@h.localhost removed you").await, "{:?}", lines(&bob, &room).await);
    assert!(says(&carol, &room, "alice@h.localhost removed bob@h.localhost").await);
    let fault = bob.client.send_to_room(&room, "still here").await.expect_err("he is not");
    assert!(matches!(fault, ClientError::RoomFault(RoomFault::Over { .. })), "{fault}");
    change(&alice, &room, RoomChange::Add { alias: bob.alias().clone() }).await;
    hub.settle(&all).await;
    assert_eq!(state(&bob, &room).await, RoomState::Active, "invited again");
    carol.client.send_to_room(&room, "welcome back").await.expect("queued");
    hub.settle(&all).await;
    assert!(says(&bob, &room, "welcome back").await);
}

#[tokio::test]
async fn who_leaves_is_let_go_by_whoever_is_there() {
    let hub = Hub::new(World::new()).await;
    let (alice, bob, carol) =
        (hub.person("alice", 0).await, hub.person("bob", 1).await, hub.person("carol", 1).await);
    let all = [&alice, &bob, &carol];
    let room = group(&hub, &all).await;
    let fault = alice.client.leave(&room).await.expect_err("the last owner");
    assert!(matches!(fault, ClientError::RoomFault(RoomFault::LastOwner)), "{fault}");
    bob.client.leave(&room).await.expect("noted");
    assert_eq!(state(&bob, &room).await, RoomState::Left);
    // Alice, who is faster, is away: carol does it.
    hub.settle(&[&bob, &carol]).await;
    assert_eq!(hub.accounts(&room).len(), 2);
    hub.settle(&all).await;
    assert!(says(&alice, &room, "bob@h.localhost left").await, "{:?}", lines(&alice, &room).await);
    assert!(says(&carol, &room, "bob@h.localhost left").await);
    assert_eq!(state(&bob, &room).await, RoomState::Left);
    change(&alice, &room, RoomChange::Transfer { member: member(&carol) }).await;
    hub.settle(&all).await;
    assert_eq!(
        roles(&carol, &room).await,
        [("alice".to_owned(), Role::Admin), ("carol".to_owned(), Role::Owner)]
    );
    alice.client.leave(&room).await.expect("noted");
    hub.settle(&all).await;
    assert_eq!(hub.accounts(&room).len(), 1);
}

#[tokio::test]
async fn only_admins_write_in_a_room_for_announcements() {
    let hub = Hub::new(World::new()).await;
    let (alice, bob) = (hub.person("alice", 0).await, hub.person("bob", 1).await);
    bob.trusts(&alice).await;
    let wanted = NewRoom { kind: RoomKind::Announcement, ..wanted("News", &[&bob]) };
    let room = alice.client.create_room(&wanted).await.expect("made").room;
    hub.settle(&[&alice, &bob]).await;
    alice.client.send_to_room(&room, "news").await.expect("queued");
    hub.settle(&[&alice, &bob]).await;
    assert!(says(&bob, &room, "news").await);
    let fault = bob.client.send_to_room(&room, "me too").await.expect_err("he is no admin");
    assert!(matches!(fault, ClientError::RoomFault(RoomFault::NotAllowed { .. })), "{fault}");
    let item = bob.seals_anyway(&room, &MimiContent::text([1; 16], "me too").expect("a text")).await;
    alice.gets(&[hub.world().message(&item)]).await;
    let history = alice.client.history(&Conversation::Room(room), Page::default()).await.expect("a history");
    let last = history.last().expect("a line");
    assert_eq!((last.text.clone(), last.state), (None, MessageState::Received));
    assert!(last.reason.as_deref().is_some_and(|reason| reason.contains("only admins write")), "{last:?}");
}

#[tokio::test]
async fn what_a_room_is_called_is_said_once_and_to_newcomers() {
    let hub = Hub::new(World::new()).await;
    let (alice, bob, carol) =
        (hub.person("alice", 0).await, hub.person("bob", 1).await, hub.person("carol", 1).await);
    let room = group(&hub, &[&alice, &bob]).await;
    carol.trusts(&alice).await;
    let renamed = crate::ProfileChange { name: Some("Coffee".to_owned()), ..crate::ProfileChange::default() };
    let fault = bob.client.set_room_profile(&room, &renamed).await.expect_err("he is no admin");
    assert!(matches!(fault, ClientError::RoomFault(RoomFault::NotAllowed { .. })), "{fault}");
    alice.client.set_room_profile(&room, &renamed).await.expect("renamed");
    hub.settle(&[&alice, &bob]).await;
    change(&alice, &room, RoomChange::Add { alias: carol.alias().clone() }).await;
    hub.settle(&[&alice, &bob, &carol]).await;
    let line = "alice@h.localhost named the room \u{201c}Coffee\u{201d}";
    let count =
        |lines: Vec<Option<String>>| lines.into_iter().filter(|text| text.as_deref() == Some(line)).count();
    assert_eq!(count(lines(&bob, &room).await), 1);
    assert_eq!(count(lines(&carol, &room).await), 0, "it was called so when she came");
    assert_eq!(carol.client.room_profile(&room).await.expect("a profile").name, "Coffee");
    let listed = carol.client.rooms().await.expect("rooms");
    assert_eq!((listed[0].name.as_deref(), listed[0].members), (Some("Coffee"), 3));
}

#[tokio::test]
async fn messages_of_somebody_unknown_wait_until_it_is_known_who_they_are() {
    let hub = Hub::new(World::new()).await;
    let (alice, bob, carol) =
        (hub.person("alice", 0).await, hub.person("bob", 1).await, hub.person("carol", 1).await);
    bob.trusts(&alice).await;
    carol.trusts(&alice).await;
    let away = carol.context().owner.account.id();
    let room = alice.client.create_room(&wanted("Tea", &[&bob, &carol])).await.expect("made").room;
    alice.works().await;
    hub.fault(|faults| {
        faults.away.insert(away);
    });
    hub.settle(&[&bob, &carol]).await;
    carol.client.send_to_room(&room, "who am I?").await.expect("queued");
    hub.settle(&[&bob, &carol]).await;
    assert!(!says(&bob, &room, "who am I?").await);
    let members = bob.client.members(&room).await.expect("members");
    let hers = members.iter().find(|member| member.account == away).expect("carol");
    assert_eq!((hers.alias.clone(), hers.reason.as_deref()), (None, Some("waiting for h.localhost")));
    hub.fault(|faults| faults.away.clear());
    hub.settle(&[&bob, &carol]).await;
    assert!(says(&bob, &room, "who am I?").await);
    assert_eq!(bob.client.requests().await.expect("requests").len(), 0);
    let contact = bob.client.block(carol.alias()).await.expect("known by alias now");
    assert_eq!(contact.account, away);
}

#[tokio::test]
async fn a_record_of_somebody_else_is_believed_of_nobody() {
    let hub = Hub::new(World::new()).await;
    let (alice, bob, carol) =
        (hub.person("alice", 0).await, hub.person("bob", 1).await, hub.person("carol", 1).await);
    bob.trusts(&alice).await;
    carol.trusts(&alice).await;
    let room = alice.client.create_room(&wanted("Tea", &[&bob, &carol])).await.expect("made").room;
    alice.works().await;
    hub.fault(|faults| faults.false_records = true);
    hub.settle(&[&bob, &carol]).await;
    carol.client.send_to_room(&room, "me").await.expect("queued");
    hub.settle(&[&bob, &carol]).await;
    assert!(!says(&bob, &room, "me").await);
    let history = bob.client.history(&Conversation::Room(room), Page::default()).await.expect("a history");
    let last = history.last().expect("a line");
    assert!(
        last.reason.as_deref().is_some_and(|reason| reason.contains("could not be found out")),
        "{last:?}"
    );
}

#[tokio::test]
async fn nobody_lets_another_leave() {
    let hub = Hub::new(World::new()).await;
    let (alice, bob, carol) =
        (hub.person("alice", 0).await, hub.person("bob", 1).await, hub.person("carol", 1).await);
    let all = [&alice, &bob, &carol];
    let room = group(&hub, &all).await;
    let owner = &bob.context().owner;
    for account in [carol.context().owner.account.id(), owner.account.id()] {
        // In her name, and in his own with another device's signature.
        let key = if account == owner.account.id() { &alice.context().owner.device } else { &owner.device };
        let word = key.sign(&LeaveClaim { room, account, leaves: List::default() });
        let item = bob.seals_anyway(&room, &MimiContent::leave(rand::random(), &word)).await;
        alice.events();
        alice.gets(&[hub.world().message(&item)]).await;
        let told = alice.events();
        assert!(
            told.iter().any(|event| matches!(event, Event::Notice(notice) if notice.code == "bad-leave")),
            "{told:?}"
        );
    }
    hub.settle(&all).await;
    assert_eq!(hub.accounts(&room).len(), 3);
    let members = alice.client.members(&room).await.expect("members");
    assert!(members.iter().all(|member| !member.leaving));
}

#[tokio::test]
async fn who_may_not_change_the_room_does_not_name_it() {
    let hub = Hub::new(World::new()).await;
    let (alice, bob) = (hub.person("alice", 0).await, hub.person("bob", 1).await);
    let room = group(&hub, &[&alice, &bob]).await;
    let info = RoomInfo {
        version: 99,
        name: Text::new("Mine").expect("short"),
        description: Text::default(),
        picture: None,
    };
    let item = bob.seals_anyway(&room, &MimiContent::room_info(rand::random(), &info)).await;
    let message = hub.world().message(&item);
    alice.gets(std::slice::from_ref(&message)).await;
    assert_eq!(alice.client.room_profile(&room).await.expect("a profile").name, "Tea");
    let before = lines(&alice, &room).await;
    alice.gets(&[message]).await;
    assert_eq!(lines(&alice, &room).await, before, "the same bytes again are nothing new");
}

#[tokio::test]
async fn an_invitation_of_one_who_may_not_invite_is_not_joined() {
    let hub = Hub::new(World::new()).await;
    let (alice, bob, carol) =
        (hub.person("alice", 0).await, hub.person("bob", 1).await, hub.person("carol", 1).await);
    let room = group(&hub, &[&alice, &bob]).await;
    carol.trusts(&bob).await;
    change(&alice, &room, RoomChange::Add { alias: carol.alias().clone() }).await;
    alice.works().await;
    let mut items = hub.take(&carol);
    let owner = &bob.context().owner;
    for item in &mut items {
        let Delivery::Welcome(welcome) = item else { continue };
        let key = &alice.context().owner.device;
        let claim: KeyClaim = verify(&welcome.claim, &key.public()).expect("signed").into_inner();
        let (claimant, device, alias) = (owner.account.id(), owner.device.device_id(), owner.alias.clone());
        welcome.claim = owner.device.sign(&KeyClaim { claimant, device, alias, ..claim });
    }
    carol.gets(&items).await;
    carol.works().await;
    assert!(carol.client.rooms().await.expect("rooms").is_empty());
    let told = carol.events();
    let failed = told.iter().any(|event| {
        matches!(event, Event::Notice(notice)
            if notice.code == "invitation-failed" && notice.detail.contains("may not add"))
    });
    assert!(failed, "{told:?}");
}

#[tokio::test]
async fn what_waits_for_a_room_that_is_left_is_not_sent() {
    let hub = Hub::new(World::new()).await;
    let (alice, bob) = (hub.person("alice", 0).await, hub.person("bob", 1).await);
    let all = [&alice, &bob];
    let room = group(&hub, &all).await;
    let text = bob.client.send_to_room(&room, "never mind").await.expect("queued");
    bob.client.leave(&room).await.expect("noted");
    alice.client.send_to_room(&room, "bob?").await.expect("queued");
    hub.settle(&all).await;
    assert_eq!(bob.client.message(text.local).await.expect("kept").state, MessageState::Failed);
    assert!(!says(&bob, &room, "bob?").await, "nothing more of it is shown");
    assert!(!says(&alice, &room, "never mind").await);
    assert_eq!(hub.accounts(&room).len(), 1);
    let again = bob.client.leave(&room).await.expect_err("left already");
    assert!(matches!(again, ClientError::RoomFault(RoomFault::Over { .. })), "{again}");
}
