use posthouse_crypto::commit_hash;
use posthouse_federation::ReceiveError;
use posthouse_federation::host::Inbox as _;
use posthouse_relay::store::SubmitOutcome;
use posthouse_spec::client::Refusal;
use posthouse_spec::envelope::{DecidedItem, Item, LaneClass, WelcomeItem};
use posthouse_spec::peer::deliver::ItemRefusal;
use posthouse_spec::room::{Decided, Decision};
use posthouse_spec::{Ballot, Epoch, LaneSeq, ManifestSeq, Ticket};

use crate::relay::{NOW, ROOM};
use crate::world::{World, place};

fn item(world: &World, decided: Decided) -> Item {
    Item::Decided(DecidedItem { room: ROOM, hub: world.a.domain.clone(), decided })
}

#[tokio::test]
async fn a_hub_that_is_away_stops_changes_and_not_the_chat() {
    let mut world = World::joined().await;
    world.wires.cut(&world.a, true);
    let (_, upload) = world.bob.renew();
    let refused = world.b.rooms.commit(NOW, world.bob.who, upload.clone()).await.unwrap_err();
    assert_eq!(refused.reason, Refusal::RelayUnreachable);
    assert_eq!(world.bob.say(&world.b, "while you are away").await, SubmitOutcome::Accepted);
    world.wires.cut(&world.a, false);
    assert!(world.b.rooms.commit(NOW, world.bob.who, upload).await.is_ok());
    world.b.carry_all(&world.a).await;
    let late = world.alice.read(&world.a).await;
    // It was sealed in the epoch that ended meanwhile, and opens all the same.
    assert_eq!(late, ["while you are away"]);
}

#[tokio::test]
async fn what_is_missing_is_fetched_from_the_hub() {
    let mut world = World::joined().await;
    world.alice.move_on(&world.a).await;
    world.alice.move_on(&world.a).await;
    let last = world.alice.move_on(&world.a).await;
    let news = item(&world, last);
    assert_eq!(world.b.rooms.receive_control(NOW, place(&world.a, 1, 1), news.clone()).await, Ok(None));
    assert_eq!(world.epochs().await, (Some(4), Some(4)));
    assert!(world.bob.read(&world.b).await.is_empty());
    assert_eq!(world.bob.epoch(), Epoch(4));
    // The same again changes nothing, and the lane's own copies come behind.
    assert_eq!(world.b.rooms.receive_control(NOW, place(&world.a, 1, 1), news).await, Ok(None));
    world.a.carry_all(&world.b).await;
    assert_eq!(world.epochs().await, (Some(4), Some(4)));
}

#[tokio::test]
async fn while_the_hub_does_not_answer_the_item_stays_on_its_lane() {
    let mut world = World::joined().await;
    world.alice.move_on(&world.a).await;
    let last = world.alice.move_on(&world.a).await;
    world.wires.cut(&world.a, true);
    let at = place(&world.a, 1, 1);
    let later = world.b.rooms.receive_control(NOW, at.clone(), item(&world, last)).await;
    assert!(later.is_err());
    assert_eq!(world.b.store.cursor(&at.lane).await.unwrap(), LaneSeq(1));
    assert_eq!(world.epochs().await.1, Some(1));
}

#[tokio::test]
async fn a_decision_by_another_key_is_refused_and_the_lane_goes_on() {
    let mut world = World::joined().await;
    let (proposed, upload) = world.alice.renew();
    let decision = Decision {
        room: ROOM,
        epoch: Epoch(1),
        ballot: Ballot(0),
        commit: proposed.hash,
        manifest: ManifestSeq(1),
    };
    let forged = Decided { decision: world.b.ordering.sign(&decision), commit: upload.commit.clone() };
    let at = place(&world.a, 1, 1);
    let refused = world.b.rooms.receive_control(NOW, at.clone(), item(&world, forged)).await.unwrap();
    assert!(matches!(refused, Some((ItemRefusal::Invalid, _))), "{refused:?}");
    assert_eq!(world.b.store.cursor(&at.lane).await.unwrap(), LaneSeq(2));
    // A relay that is not the hub may not bring even a good one.
    let good = Decided { decision: world.a.ordering.sign(&decision), commit: upload.commit };
    let refused =
        world.a.rooms.receive_control(NOW, place(&world.b, 1, 1), item(&world, good)).await.unwrap();
    assert!(matches!(refused, Some((ItemRefusal::UnknownRoom, _))), "{refused:?}");
    assert_eq!(world.epochs().await, (Some(1), Some(1)));
}

#[tokio::test]
async fn two_decisions_for_one_epoch_are_kept_as_evidence() {
    let mut world = World::joined().await;
    let (_, other) = world.bob.renew();
    world.alice.move_on(&world.a).await;
    world.a.carry_all(&world.b).await;
    let decision = Decision {
        room: ROOM,
        epoch: Epoch(1),
        ballot: Ballot(0),
        commit: commit_hash(&other.commit),
        manifest: ManifestSeq(1),
    };
    let second = Decided { decision: world.a.ordering.sign(&decision), commit: other.commit };
    let taken = world.b.rooms.receive_control(NOW, place(&world.a, 1, 1), item(&world, second)).await;
    assert_eq!(taken, Ok(None));
    assert_eq!(world.b.store.evidence_count().await.unwrap(), 1);
    assert_eq!(world.epochs().await, (Some(2), Some(2)));
}

#[tokio::test]
async fn a_welcome_without_a_ticket_is_refused_and_brings_no_room() {
    let mut world = World::founded().await;
    let mut claimed = world.alice.claim(&world.a, &world.bob, &world.b).await;
    claimed[0].ticket = Ticket::new([1; 32]);
    let (_, upload) = world.alice.invite(&world.bob, &claimed);
    // The hub cannot know another relay's tickets.
    assert!(world.a.rooms.commit(NOW, world.alice.who, upload).await.is_ok());
    let received = world.a.carry(&world.b, LaneClass::Control).await;
    assert_eq!(received.refused[0].reason, ItemRefusal::NoTicket);
    assert_eq!(received.next, LaneSeq(2));
    assert_eq!(world.epochs().await, (Some(1), None));
    assert!(world.bob.news(&world.b).await.is_empty());
}

#[tokio::test]
async fn a_welcome_from_a_relay_that_is_not_the_hub_is_refused() {
    let mut world = World::founded().await;
    let claimed = world.alice.claim(&world.a, &world.bob, &world.b).await;
    let (_, upload) = world.alice.invite(&world.bob, &claimed);
    let decided = world.a.rooms.commit(NOW, world.alice.who, upload.clone()).await.unwrap();
    let bundle = upload.welcome.unwrap();
    let stolen = Item::Welcome(WelcomeItem { room: ROOM, hub: world.b.domain.clone(), decided, bundle });
    let refused = world.b.rooms.receive_control(NOW, place(&world.b, 1, 1), stolen).await.unwrap();
    assert!(matches!(refused, Some((ItemRefusal::Invalid, _))), "{refused:?}");
    assert_eq!(world.epochs().await, (Some(1), None));
}

#[tokio::test]
async fn whoever_blocked_the_sender_hears_nothing_and_the_sender_cannot_tell() {
    let mut world = World::founded().await;
    let claimed = world.alice.claim(&world.a, &world.bob, &world.b).await;
    world.b.store.set_block(&world.bob.who.account, &world.alice.who.account, true).await.unwrap();
    let (_, upload) = world.alice.invite(&world.bob, &claimed);
    world.a.rooms.commit(NOW, world.alice.who, upload).await.unwrap();
    world.alice.merge();
    world.alice.say(&world.a, "can you hear me?").await;
    world.a.carry_all(&world.b).await;
    assert!(world.bob.news(&world.b).await.is_empty());
}

#[tokio::test]
async fn an_envelope_is_taken_once_and_a_gap_is_named() {
    let mut world = World::joined().await;
    world.alice.say(&world.a, "once").await;
    let envelope = world.a.envelope(&world.b, LaneClass::Messages).await;
    for _ in 0..2 {
        let received = world.b.host.receive(&world.a.domain, envelope.clone()).await.unwrap();
        assert_eq!(received.next, envelope.next());
    }
    assert_eq!(world.bob.read(&world.b).await, ["once"]);
    world.a.carry(&world.b, LaneClass::Messages).await;
    world.alice.move_on(&world.a).await;
    // The control lane's first item came with the founding; one that begins ahead of the cursor is not taken.
    let ahead = world.a.envelope(&world.b, LaneClass::Control).await;
    let mut fresh = World::joined().await;
    fresh.bob.say(&fresh.b, "unused").await;
    let gap = fresh.b.host.receive(&"c.example".parse().unwrap(), ahead).await.unwrap_err();
    assert!(matches!(gap, ReceiveError::Gap { expected: LaneSeq(1) }), "{gap:?}");
}
