use posthouse_crypto::room::member::Proposed;
use posthouse_spec::cbor::List;
use posthouse_spec::client::Refusal;
use posthouse_spec::peer::room::FetchDecisions;
use posthouse_spec::peer::{RoomRequest, RoomResponse};
use posthouse_spec::room::CommitClaim;
use posthouse_spec::{Epoch, Millis, Ticket};

use crate::person::Person;
use crate::relay::{NOW, ROOM};
use crate::world::World;

#[tokio::test]
async fn a_retry_gets_the_same_decision_and_a_loser_what_was_decided() {
    let mut world = World::joined().await;
    let (_, winning) = world.alice.renew();
    let (_, losing) = world.bob.renew();
    let decided = world.a.rooms.commit(NOW, world.alice.who, winning.clone()).await.unwrap();
    let again = world.a.rooms.commit(NOW, world.alice.who, winning.clone()).await.unwrap();
    assert_eq!(again, decided);
    let lost = world.b.rooms.commit(NOW, world.bob.who, losing.clone()).await.unwrap_err();
    assert_eq!(lost.reason, Refusal::StaleEpoch);
    assert_eq!(lost.decided.as_deref(), Some(&decided));
    // The loser's relay has applied it before it said so.
    assert_eq!(world.epochs().await, (Some(2), Some(2)));
    world.bob.drop_own();
    world.bob.apply(&decided);
    world.bob.move_on(&world.b).await;
    assert_eq!(world.epochs().await, (Some(3), Some(3)));
    world.a.restart().await;
    assert_eq!(world.a.rooms.commit(NOW, world.alice.who, winning).await.unwrap(), decided);
}

#[tokio::test]
async fn only_one_of_many_commits_at_once_is_decided() {
    let mut world = World::joined().await;
    let (_, first) = world.alice.renew();
    world.alice.drop_own();
    let (_, second) = world.alice.renew();
    let (a, b) = tokio::join!(
        world.a.rooms.commit(NOW, world.alice.who, first),
        world.a.rooms.commit(NOW, world.alice.who, second)
    );
    let (won, lost) = if a.is_ok() { (a, b) } else { (b, a) };
    assert_eq!(lost.unwrap_err().decided.as_deref(), Some(&won.unwrap()));
    assert_eq!(world.epochs().await.0, Some(2));
}

#[tokio::test]
async fn who_may_not_or_signs_wrongly_is_refused_before_the_commit_is_read() {
    let mut world = World::joined().await;
    let (proposed, good) = world.alice.renew();
    let commit = |who: &Person, upload| {
        let (rooms, who) = (world.a.rooms.clone(), who.who);
        async move { rooms.commit(NOW, who, upload).await.unwrap_err().reason }
    };
    let stranger = Person::new(50, "carol", &world.a).await;
    assert_eq!(commit(&stranger, stranger.upload(&proposed, None)).await, Refusal::NotMember);
    assert_eq!(commit(&stranger, good.clone()).await, Refusal::InvalidSignature);
    // Bob is in the room, but at another relay than the one that asks.
    assert_eq!(commit(&world.bob, world.bob.upload(&proposed, None)).await, Refusal::NotMember);
    let other = Proposed { hash: posthouse_spec::CommitHash::new([1; 32]), ..proposed.clone() };
    assert_eq!(commit(&world.alice, world.alice.upload(&other, None)).await, Refusal::InvalidSignature);
    let ahead = Proposed { epoch: Epoch(7), ..proposed.clone() };
    assert_eq!(commit(&world.alice, world.alice.upload(&ahead, None)).await, Refusal::StaleEpoch);
    let elsewhere =
        CommitClaim { room: posthouse_spec::RoomId::new([1; 32]), epoch: Epoch(1), commit: proposed.hash };
    let mut upload = good.clone();
    upload.claim = world.alice.device.sign(&elsewhere);
    assert_eq!(commit(&world.alice, upload).await, Refusal::UnknownRoom);
    assert_eq!(world.epochs().await, (Some(1), Some(1)));
    assert!(world.a.rooms.commit(NOW, world.alice.who, good).await.is_ok());
}

#[tokio::test]
async fn a_device_cannot_sign_for_anothers_commit() {
    let mut world = World::joined().await;
    let (proposed, _) = world.bob.renew();
    let upload = world.alice.upload(&proposed, None);
    let refused = world.a.rooms.commit(NOW, world.alice.who, upload).await.unwrap_err();
    assert_eq!(refused.reason, Refusal::InvalidSignature);
}

#[tokio::test]
async fn a_welcome_fits_its_commit_or_nothing_is_decided() {
    let mut world = World::founded().await;
    let claimed = world.alice.claim(&world.a, &world.bob, &world.b).await;
    let (proposed, good) = world.alice.invite(&world.bob, &claimed);
    let bundle = good.welcome.clone().unwrap();
    let refused = |upload| {
        let (rooms, who) = (world.a.rooms.clone(), world.alice.who);
        async move { rooms.commit(NOW, who, upload).await.unwrap_err().reason }
    };
    assert_eq!(refused(world.alice.upload(&proposed, None)).await, Refusal::InvalidCommit);
    let mut nobody = bundle.clone();
    nobody.invited = List::default();
    assert_eq!(refused(world.alice.upload(&proposed, Some(nobody))).await, Refusal::InvalidCommit);
    let mut other_key = bundle.clone();
    let mut invited = bundle.invited[0].clone();
    invited.key_package = posthouse_spec::KeyPackageHash::new([1; 32]);
    other_key.invited = List::new(vec![invited]).unwrap();
    assert_eq!(refused(world.alice.upload(&proposed, Some(other_key))).await, Refusal::InvalidCommit);
    let mut other_tree = bundle.clone();
    other_tree.group_info = posthouse_spec::cbor::Octets::new(vec![1, 2, 3]).unwrap();
    assert_eq!(refused(world.alice.upload(&proposed, Some(other_tree))).await, Refusal::InvalidCommit);
    assert_eq!(world.epochs().await, (Some(0), None));
    // After all that the tree here is still the right one.
    assert!(world.a.rooms.commit(NOW, world.alice.who, good).await.is_ok());
    assert_eq!(world.epochs().await, (Some(1), None));
}

#[tokio::test]
async fn a_local_device_is_invited_with_its_ticket_and_not_without() {
    let mut world = World::founded().await;
    let mut carol = Person::new(52, "carol", &world.a).await;
    carol.stock_up(&world.a).await;
    let claimed = world.alice.claim(&world.a, &carol, &world.a).await;
    let (proposed, good) = world.alice.invite(&carol, &claimed);
    let mut bundle = good.welcome.clone().unwrap();
    let mut invited = bundle.invited[0].clone();
    invited.ticket = Ticket::new([1; 32]);
    bundle.invited = List::new(vec![invited]).unwrap();
    let forged = world.alice.upload(&proposed, Some(bundle));
    let refused = world.a.rooms.commit(NOW, world.alice.who, forged).await.unwrap_err();
    assert_eq!(refused.reason, Refusal::NoTicket);
    assert!(world.a.rooms.commit(NOW, world.alice.who, good).await.is_ok());
    world.alice.merge();
    world.alice.say(&world.a, "welcome, Carol").await;
    assert_eq!(carol.read(&world.a).await, ["welcome, Carol"]);
}

#[tokio::test]
async fn a_device_that_commits_too_often_is_slowed() {
    let mut world = World::joined().await;
    let (proposed, _) = world.alice.renew();
    world.alice.drop_own();
    let mut broken = proposed.clone();
    broken.commit.push(0);
    broken.hash = posthouse_crypto::commit_hash(&broken.commit);
    let upload = world.alice.upload(&broken, None);
    let mut slowed = false;
    for _ in 0..100 {
        let refused = world.a.rooms.commit(NOW, world.alice.who, upload.clone()).await.unwrap_err();
        slowed |= refused.reason == Refusal::RateLimited;
    }
    assert!(slowed);
    let later = NOW.after(3_600_000);
    let (_, upload) = world.alice.renew();
    assert!(world.a.rooms.commit(later, world.alice.who, upload).await.is_ok());
}

#[tokio::test]
async fn a_relay_is_told_of_the_rooms_that_it_shares_and_of_no_others() {
    let mut world = World::joined().await;
    world.alice.move_on(&world.a).await;
    let fetch = |from| RoomRequest::Decisions(FetchDecisions { room: ROOM, from: Epoch(from) });
    let answer = world.a.rooms.answer(NOW, &world.b.domain, fetch(0)).await;
    let RoomResponse::Decisions(decisions) = answer else { panic!("{answer:?}") };
    assert_eq!((decisions.decided.len(), decisions.epoch), (2, Epoch(2)));
    let stranger = "c.example".parse().unwrap();
    let answer = world.a.rooms.answer(NOW, &stranger, fetch(0)).await;
    assert!(matches!(answer, RoomResponse::Refused(no) if no.reason == Refusal::UnknownRoom));
    let tree = world.a.rooms.answer(Millis(0), &world.b.domain, RoomRequest::Tree(ROOM)).await;
    assert!(matches!(tree, RoomResponse::Refused(no) if no.reason == Refusal::NotFound));
}
