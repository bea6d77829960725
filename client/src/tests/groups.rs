//! Rooms of many: made and changed, whoever is away and whoever is faster.

use posthouse_spec::Alias;
use posthouse_spec::client::Refusal;
use posthouse_spec::room::{Role, RoomKind, Suite};

use super::group::{change, group, lines, member, outcome, roles, says, state, wanted};
use super::hub::Hub;
use super::world::World;
use crate::model::{MessageState, RoomState};
use crate::{ChangeState, ClientError, NewRoom, RoomChange, RoomFault};

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
    assert!(matches!(fault, ClientError::RoomFault(RoomFault::NotAllowed { .. })), "{fault}");
    let gone = RoomChange::Remove { member: member(&carol) };
    let fault = alice.client.change_room(&room, &gone).await.expect_err("she is not there");
    assert!(matches!(fault, ClientError::RoomFault(RoomFault::NotInRoom(_))), "{fault}");
}

#[tokio::test]
async fn a_refusal_of_the_hub_is_tried_again_one_by_one() {
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

#[tokio::test]
async fn what_one_may_not_holds_up_nothing_that_one_may() {
    let hub = Hub::new(World::new()).await;
    let (alice, bob, carol) =
        (hub.person("alice", 0).await, hub.person("bob", 1).await, hub.person("carol", 1).await);
    let all = [&alice, &bob, &carol];
    let room = group(&hub, &all).await;
    change(&alice, &room, RoomChange::Role { member: member(&bob), role: Role::Admin }).await;
    hub.settle(&all).await;
    let above = change(&bob, &room, RoomChange::Remove { member: member(&alice) }).await;
    let below = change(&bob, &room, RoomChange::Remove { member: member(&carol) }).await;
    hub.settle(&all).await;
    let (refused, why) = outcome(&bob, &room, above).await;
    assert_eq!(refused, ChangeState::Refused);
    assert!(why.is_some_and(|why| why.contains("lower than theirs")));
    assert_eq!(outcome(&bob, &room, below).await.0, ChangeState::Done);
    assert_eq!(state(&carol, &room).await, RoomState::Removed);
}

#[tokio::test]
async fn many_who_change_at_once_all_get_their_way() {
    let hub = Hub::new(World::new()).await;
    let mut admins = Vec::new();
    for name in ["alice", "bob", "carol", "dave"] {
        admins.push(hub.person(name, 1).await);
    }
    let mut guests = Vec::new();
    for name in ["eve", "frank", "grace", "heidi"] {
        guests.push(hub.person(name, 1).await);
    }
    let everybody: Vec<_> = admins.iter().collect();
    let room = group(&hub, &everybody).await;
    for admin in &admins[1..] {
        change(&admins[0], &room, RoomChange::Role { member: member(admin), role: Role::Admin }).await;
    }
    hub.settle(&everybody).await;
    let mut wanted = Vec::new();
    for (admin, guest) in admins.iter().zip(&guests) {
        guest.trusts(admin).await;
        let add = change(admin, &room, RoomChange::Add { alias: guest.alias().clone() }).await;
        let nobody = change(admin, &room, RoomChange::Unban { member: member(guest) }).await;
        wanted.push((admin, [add, nobody]));
    }
    // All of them make their commits in one epoch.
    for admin in &admins {
        admin.works().await;
    }
    let everybody: Vec<_> = admins.iter().chain(&guests).collect();
    hub.settle(&everybody).await;
    for (admin, changes) in wanted {
        for change in changes {
            assert_eq!(outcome(admin, &room, change).await.0, ChangeState::Done);
        }
    }
    assert_eq!(hub.accounts(&room).len(), 8);
    for person in everybody {
        assert_eq!(person.stands(&room).await, (hub.epoch(&room), 0));
        assert_eq!(person.client.members(&room).await.expect("members").len(), 8);
    }
}

#[tokio::test]
async fn a_crash_with_a_commit_on_its_way_changes_nothing_twice() {
    let hub = Hub::new(World::new()).await;
    let (alice, bob) = (hub.person("alice", 0).await, hub.person("bob", 1).await);
    bob.trusts(&alice).await;
    let created = alice.client.create_room(&wanted("Tea", &[&bob])).await.expect("made");
    let alice = alice.starts_again().await;
    hub.fault(|faults| faults.lose_answers = 1);
    alice.works().await;
    assert_eq!(hub.epoch(&created.room).0, 1);
    let alice = alice.starts_again().await;
    hub.settle(&[&alice, &bob]).await;
    assert_eq!(outcome(&alice, &created.room, created.changes[0].id).await.0, ChangeState::Done);
    assert_eq!(hub.epoch(&created.room).0, 1);
    assert_eq!(state(&bob, &created.room).await, RoomState::Active);
}

#[tokio::test]
async fn key_packages_of_another_suite_are_of_no_use() {
    let hub = Hub::new(World::new()).await;
    let (alice, bob) = (hub.person("alice", 0).await, hub.person("bob", 1).await);
    let wanted = NewRoom { suite: Suite::Classic, ..wanted("Tea", &[&bob]) };
    let created = alice.client.create_room(&wanted).await.expect("made");
    alice.works().await;
    let (state, reason) = outcome(&alice, &created.room, created.changes[0].id).await;
    assert_eq!(state, ChangeState::Waiting);
    assert!(reason.is_some_and(|reason| reason.contains("no device that can be invited")));
}

#[tokio::test]
async fn who_is_removed_meanwhile_changes_nothing_more() {
    let hub = Hub::new(World::new()).await;
    let (alice, bob, carol) =
        (hub.person("alice", 0).await, hub.person("bob", 1).await, hub.person("carol", 1).await);
    let room = group(&hub, &[&alice, &bob]).await;
    change(&alice, &room, RoomChange::Role { member: member(&bob), role: Role::Admin }).await;
    hub.settle(&[&alice, &bob]).await;
    carol.trusts(&bob).await;
    change(&alice, &room, RoomChange::Remove { member: member(&bob) }).await;
    alice.works().await;
    let add = change(&bob, &room, RoomChange::Add { alias: carol.alias().clone() }).await;
    let text = bob.client.send_to_room(&room, "wait").await.expect("queued");
    bob.works().await;
    hub.hand_out(&bob).await;
    let (refused, why) = outcome(&bob, &room, add).await;
    assert_eq!(refused, ChangeState::Refused);
    assert!(why.is_some_and(|why| why.contains("alice@h.localhost removed you")));
    let text = bob.client.message(text.local).await.expect("kept");
    assert_eq!(text.state, MessageState::Failed);
    assert_eq!(hub.accounts(&room).len(), 1);
}

#[tokio::test]
async fn a_room_that_is_no_group_is_not_made_so() {
    let hub = Hub::new(World::new()).await;
    let alice = hub.person("alice", 0).await;
    let direct = NewRoom { kind: RoomKind::Direct, ..wanted("Tea", &[]) };
    let fault = alice.client.create_room(&direct).await.expect_err("no group");
    assert!(matches!(fault, ClientError::RoomFault(RoomFault::NotAGroup(_))), "{fault}");
    let long = NewRoom { name: "x".repeat(300), ..wanted("", &[]) };
    let fault = alice.client.create_room(&long).await.expect_err("too long");
    assert_eq!(fault.code(), "room-info-too-long");
    let own = wanted("Tea", &[&alice]);
    let fault = alice.client.create_room(&own).await.expect_err("herself");
    assert!(matches!(fault, ClientError::OwnAlias(_)), "{fault}");
    assert!(alice.client.rooms().await.expect("rooms").is_empty(), "nothing of it stays");
}

#[tokio::test]
async fn without_a_ticket_other_key_packages_are_claimed() {
    let hub = Hub::new(World::new()).await;
    let (alice, bob) = (hub.person("alice", 0).await, hub.person("bob", 2).await);
    bob.trusts(&alice).await;
    hub.fault(|faults| faults.refuse = vec![Refusal::NoTicket]);
    let created = alice.client.create_room(&wanted("Tea", &[&bob])).await.expect("made");
    alice.works().await;
    assert_eq!(outcome(&alice, &created.room, created.changes[0].id).await.0, ChangeState::Waiting);
    hub.settle(&[&alice, &bob]).await;
    assert_eq!(outcome(&alice, &created.room, created.changes[0].id).await.0, ChangeState::Done);
    let claims = hub.asked().iter().filter(|asked| asked.ends_with("/v1/claims")).count();
    assert_eq!(claims, 2);
}
