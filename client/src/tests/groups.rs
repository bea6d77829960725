//! Rooms of many: made, changed and left, whoever is away and whoever is faster.

use posthouse_spec::room::{Role, RoomKind, Suite};
use posthouse_spec::{Alias, RoomId};

use super::hub::Hub;
use super::world::{Person, World};
use crate::model::{Conversation, MessageState, Page, RoomState};
use crate::{ChangeState, ClientError, NewRoom, RoomChange, Who};

/// Everything that somebody's history of a room says, text by text; `None` where only the reason stands.
async fn lines(person: &Person, room: &RoomId) -> Vec<Option<String>> {
    let history = person.client.history(&Conversation::Room(*room), Page::default()).await;
    history.expect("a history").into_iter().map(|message| message.text).collect()
}

async fn says(person: &Person, room: &RoomId, line: &str) -> bool {
    lines(person, room).await.iter().any(|text| text.as_deref() == Some(line))
}

fn wanted(name: &str, members: &[&Person]) -> NewRoom {
    NewRoom {
        kind: RoomKind::Group,
        name: name.to_owned(),
        description: String::new(),
        members: members.iter().map(|member| member.alias().clone()).collect(),
        suite: Suite::PostQuantum,
    }
}

/// A group of people who know each other, made by the first.
async fn group(hub: &Hub, people: &[&Person]) -> RoomId {
    for person in people {
        for other in people {
            person.trusts(other).await;
        }
    }
    let created = people[0].client.create_room(&wanted("Tea", &people[1..])).await.expect("made");
    hub.settle(people).await;
    for person in people {
        person.events();
    }
    created.room
}

async fn state(person: &Person, room: &RoomId) -> RoomState {
    let rooms = person.client.rooms().await.expect("rooms");
    rooms.into_iter().find(|listed| listed.room == *room).expect("the room").state
}

async fn roles(person: &Person, room: &RoomId) -> Vec<(String, Role)> {
    let members = person.client.members(room).await.expect("members");
    let named = |alias: Option<Alias>| alias.map_or_else(|| "?".to_owned(), |alias| alias.name.to_string());
    let mut roles: Vec<(String, Role)> =
        members.into_iter().map(|member| (named(member.alias), member.role)).collect();
    roles.sort();
    roles
}

fn member(person: &Person) -> Who {
    Who::Alias(person.alias().clone())
}

async fn change(person: &Person, room: &RoomId, change: RoomChange) -> u64 {
    person.client.change_room(room, &change).await.expect("noted").id
}

async fn outcome(person: &Person, room: &RoomId, id: u64) -> (ChangeState, Option<String>) {
    let changes = person.client.changes(room).await.expect("changes");
    let found = changes.into_iter().find(|change| change.id == id).expect("the change");
    (found.state, found.reason)
}

#[tokio::test]
async fn a_group_is_made_offline_and_stands_after_a_sync() {
    let hub = Hub::new(World::new()).await;
    let (alice, bob, carol) =
        (hub.person("alice", 0).await, hub.person("bob", 1).await, hub.person("carol", 1).await);
    bob.trusts(&alice).await;
    carol.trusts(&alice).await;
    let created = alice.client.create_room(&wanted("Tea", &[&bob, &carol])).await.expect("made");
    let room = created.room;
    assert_eq!(created.changes.len(), 2);
    assert_eq!(state(&alice, &room).await, RoomState::Founding);
    alice.client.send_to_room(&room, "hello all").await.expect("queued");
    assert!(alice.seals(8).await.is_empty(), "nobody would hear it");
    assert!(hub.asked().is_empty(), "nothing of it needs a network");
    hub.settle(&[&alice, &bob, &carol]).await;
    assert_eq!(state(&alice, &room).await, RoomState::Active);
    for person in [&bob, &carol] {
        assert!(says(person, &room, "hello all").await);
        assert!(says(person, &room, "alice@h.localhost added you").await);
        assert_eq!(person.client.room_profile(&room).await.expect("a profile").name, "Tea");
    }
    for person in [&alice, &bob, &carol] {
        let expected = [("alice", Role::Owner), ("bob", Role::Member), ("carol", Role::Member)];
        let expected = expected.map(|(name, role)| (name.to_owned(), role));
        assert_eq!(roles(person, &room).await, expected, "bob and carol met by account");
    }
    bob.client.send_to_room(&room, "hello carol").await.expect("queued");
    hub.settle(&[&alice, &bob, &carol]).await;
    assert!(says(&carol, &room, "hello carol").await && says(&alice, &room, "hello carol").await);
    for created in &created.changes {
        assert_eq!(outcome(&alice, &room, created.id).await.0, ChangeState::Done);
    }
    assert_eq!(hub.epoch(&room).0, 1, "both came in by one commit");
}

#[tokio::test]
async fn a_strangers_invitation_to_a_group_is_a_request() {
    let hub = Hub::new(World::new()).await;
    let (alice, bob) = (hub.person("alice", 0).await, hub.person("bob", 1).await);
    let created = alice.client.create_room(&wanted("Tea", &[&bob])).await.expect("made");
    hub.settle(&[&alice, &bob]).await;
    let asking = bob.client.requests().await.expect("requests");
    assert_eq!((asking.len(), asking[0].kind), (1, RoomKind::Group));
    assert!(bob.client.rooms().await.expect("rooms").is_empty());
    bob.client.accept(alice.alias()).await.expect("accepted");
    hub.settle(&[&alice, &bob]).await;
    assert_eq!(state(&bob, &created.room).await, RoomState::Active);
    assert_eq!(bob.client.room_profile(&created.room).await.expect("a profile").name, "Tea");
}

#[tokio::test]
async fn one_whose_relay_is_away_holds_up_nobody_else() {
    let hub = Hub::new(World::new()).await;
    let (alice, bob, carol) =
        (hub.person("alice", 0).await, hub.person("bob", 1).await, hub.person("carol", 1).await);
    bob.trusts(&alice).await;
    carol.trusts(&alice).await;
    let away = carol.context().owner.account.id();
    hub.fault(|faults| {
        faults.away.insert(away);
    });
    alice.client.create_room(&wanted("Tea", &[&carol, &bob])).await.expect("made");
    hub.settle(&[&alice, &bob]).await;
    let room = bob.client.rooms().await.expect("rooms")[0].room;
    let changes = alice.client.changes(&room).await.expect("changes");
    assert_eq!(changes[1].state, ChangeState::Done);
    assert_eq!(changes[0].state, ChangeState::Waiting);
    // Both aliases have one domain here; the away one is named.
    assert_eq!(changes[0].reason.as_deref(), Some("waiting for h.localhost"));
    hub.fault(|faults| faults.away.clear());
    hub.settle(&[&alice, &bob, &carol]).await;
    assert_eq!(hub.accounts(&room).len(), 3);
    assert!(
        says(&bob, &room, "alice@h.localhost added carol@h.localhost").await,
        "{:?}",
        lines(&bob, &room).await
    );
}

#[tokio::test]
async fn a_hub_that_is_away_keeps_the_changes_waiting() {
    let hub = Hub::new(World::new()).await;
    let (alice, bob, carol) =
        (hub.person("alice", 0).await, hub.person("bob", 1).await, hub.person("carol", 1).await);
    let room = group(&hub, &[&alice, &bob]).await;
    carol.trusts(&alice).await;
    hub.fault(|faults| faults.hub_away = true);
    let add = change(&alice, &room, RoomChange::Add { alias: carol.alias().clone() }).await;
    alice.works().await;
    assert_eq!(
        outcome(&alice, &room, add).await,
        (ChangeState::Deciding, Some("waiting for h.localhost".to_owned()))
    );
    alice.client.send_to_room(&room, "chat goes on").await.expect("queued");
    hub.carry(&alice).await;
    hub.hand_out(&bob).await;
    assert!(says(&bob, &room, "chat goes on").await);
    hub.fault(|faults| faults.hub_away = false);
    hub.settle(&[&alice, &bob, &carol]).await;
    assert_eq!(outcome(&alice, &room, add).await.0, ChangeState::Done);
    assert_eq!(hub.accounts(&room).len(), 3);
}

#[tokio::test]
async fn two_who_change_at_once_both_get_their_way() {
    let hub = Hub::new(World::new()).await;
    let (alice, bob, carol, dave) = (
        hub.person("alice", 0).await,
        hub.person("bob", 1).await,
        hub.person("carol", 1).await,
        hub.person("dave", 1).await,
    );
    let room = group(&hub, &[&alice, &bob]).await;
    change(&alice, &room, RoomChange::Role { member: member(&bob), role: Role::Admin }).await;
    hub.settle(&[&alice, &bob]).await;
    carol.trusts(&alice).await;
    dave.trusts(&bob).await;
    let hers = change(&alice, &room, RoomChange::Add { alias: carol.alias().clone() }).await;
    let his = change(&bob, &room, RoomChange::Add { alias: dave.alias().clone() }).await;
    alice.works().await;
    bob.works().await;
    assert_eq!(outcome(&bob, &room, his).await.0, ChangeState::Deciding, "hers was decided");
    hub.settle(&[&alice, &bob, &carol, &dave]).await;
    assert_eq!(outcome(&alice, &room, hers).await.0, ChangeState::Done);
    assert_eq!(outcome(&bob, &room, his).await.0, ChangeState::Done);
    assert_eq!(hub.accounts(&room).len(), 4);
    carol.client.send_to_room(&room, "all here?").await.expect("queued");
    hub.settle(&[&alice, &bob, &carol, &dave]).await;
    assert!(says(&dave, &room, "all here?").await);
}

#[tokio::test]
async fn a_lost_answer_changes_nothing_twice() {
    let hub = Hub::new(World::new()).await;
    let (alice, bob, carol) =
        (hub.person("alice", 0).await, hub.person("bob", 1).await, hub.person("carol", 1).await);
    let room = group(&hub, &[&alice, &bob]).await;
    carol.trusts(&alice).await;
    hub.fault(|faults| faults.lose_answers = 1);
    let add = change(&alice, &room, RoomChange::Add { alias: carol.alias().clone() }).await;
    let before = hub.epoch(&room);
    alice.works().await;
    assert_eq!(outcome(&alice, &room, add).await.0, ChangeState::Deciding);
    hub.settle(&[&alice, &bob, &carol]).await;
    assert_eq!(outcome(&alice, &room, add).await.0, ChangeState::Done);
    assert_eq!(hub.epoch(&room), before.next());
}

#[tokio::test]
async fn what_is_refused_says_why() {
    let hub = Hub::new(World::new()).await;
    let (alice, bob, carol) =
        (hub.person("alice", 0).await, hub.person("bob", 1).await, hub.person("carol", 1).await);
    let room = group(&hub, &[&alice, &bob]).await;
    let nobody: Alias = "nobody@h.localhost".parse().expect("an alias");
    let unknown = change(&alice, &room, RoomChange::Add { alias: nobody }).await;
    let ban = change(&alice, &room, RoomChange::Ban { member: member(&carol) }).await;
    hub.settle(&[&alice, &bob]).await;
    assert_eq!(outcome(&alice, &room, unknown).await.0, ChangeState::Refused);
    assert_eq!(outcome(&alice, &room, ban).await.0, ChangeState::Done);
    let add = change(&alice, &room, RoomChange::Add { alias: carol.alias().clone() }).await;
    hub.settle(&[&alice, &bob]).await;
    let (state, reason) = outcome(&alice, &room, add).await;
    assert_eq!(state, ChangeState::Refused);
    assert!(reason.is_some_and(|reason| reason.contains("banned")));
    let last = change(&alice, &room, RoomChange::Role { member: member(&alice), role: Role::Member }).await;
    hub.settle(&[&alice, &bob]).await;
    let (state, reason) = outcome(&alice, &room, last).await;
    assert_eq!(state, ChangeState::Refused);
    assert!(reason.is_some_and(|reason| reason.contains("owner")));
    let add = RoomChange::Add { alias: carol.alias().clone() };
    let fault = bob.client.change_room(&room, &add).await.expect_err("he is no admin");
    assert!(matches!(fault, ClientError::NotAllowed { .. }), "{fault}");
    let gone = RoomChange::Remove { member: member(&carol) };
    let fault = alice.client.change_room(&room, &gone).await.expect_err("she is not there");
    assert!(matches!(fault, ClientError::NotInRoom(_)), "{fault}");
}

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
    assert!(matches!(fault, ClientError::RoomOver { .. }), "{fault}");
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
    assert!(matches!(fault, ClientError::LastOwner), "{fault}");
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
    assert!(matches!(fault, ClientError::NotAllowed { .. }), "{fault}");
    let item = bob.seals_anyway(&room, "me too").await;
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
    assert!(matches!(fault, ClientError::NotAllowed { .. }), "{fault}");
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
async fn a_refusal_of_the_hub_is_tried_again_one_by_one() {
    use posthouse_spec::client::Refusal;
    let hub = Hub::new(World::new()).await;
    let (alice, bob, carol) =
        (hub.person("alice", 0).await, hub.person("bob", 1).await, hub.person("carol", 1).await);
    bob.trusts(&alice).await;
    carol.trusts(&alice).await;
    hub.fault(|faults| faults.refuse = vec![Refusal::Policy, Refusal::Policy]);
    let created = alice.client.create_room(&wanted("Tea", &[&bob, &carol])).await.expect("made");
    hub.settle(&[&alice, &bob, &carol]).await;
    let room = created.room;
    assert_eq!(outcome(&alice, &room, created.changes[0].id).await.0, ChangeState::Refused);
    assert_eq!(outcome(&alice, &room, created.changes[1].id).await.0, ChangeState::Done);
    assert_eq!(hub.accounts(&room).len(), 2);
}
