//! A hub that replaces its ordering key: what it decided before holds for ever, and the old key moves nothing any more.

use posthouse_crypto::{SigningKey, commit_hash};
use posthouse_spec::cbor::Octets;
use posthouse_spec::envelope::{DecidedItem, Item, LaneClass};
use posthouse_spec::peer::deliver::ItemRefusal;
use posthouse_spec::peer::room::FetchDecisions;
use posthouse_spec::peer::{RoomRequest, RoomResponse};
use posthouse_spec::room::{Decided, Decision};
use posthouse_spec::{Ballot, Epoch, ManifestSeq};

use crate::relay::{NOW, ROOM};
use crate::world::{World, place};

/// Hands b what its hub would send: a decision for this commit, signed by this key under that manifest; on a new lane.
async fn handed(
    world: &World,
    lane: u8,
    commit: &[u8],
    key: &SigningKey,
    manifest: u64,
) -> Option<ItemRefusal> {
    let epoch = Epoch(world.epochs().await.1.expect("b takes part"));
    let (commit_hash, manifest_seq) = (commit_hash(commit), ManifestSeq(manifest));
    let decision =
        Decision { room: ROOM, epoch, ballot: Ballot(0), commit: commit_hash, manifest: manifest_seq };
    let commit = Octets::new(commit.to_vec()).expect("it fits");
    let decided = Decided { decision: key.sign(&decision), commit };
    let item = Item::Decided(DecidedItem { room: ROOM, hub: world.a.domain.clone(), decided });
    let taken = world.b.rooms.receive_control(NOW, place(&world.a, lane, 1), item).await;
    taken.expect("it can be judged").map(|(reason, _)| reason)
}

#[tokio::test]
async fn what_was_decided_before_the_key_was_replaced_is_taken_after() {
    let mut world = World::joined().await;
    // Decided while b was away; b knows the new manifest before the lane has brought the old decisions.
    world.alice.move_on(&world.a).await;
    world.alice.move_on(&world.a).await;
    world.a.replace_ordering(50).await;
    world.alice.move_on(&world.a).await;
    world.a.carry_all(&world.b).await;
    assert_eq!(world.epochs().await, (Some(4), Some(4)));
    let asked = RoomRequest::Decisions(FetchDecisions { room: ROOM, from: Epoch(2) });
    let answer = world.a.rooms.answer(NOW, &world.b.domain, asked).await;
    let RoomResponse::Decisions(log) = answer else { panic!("{answer:?}") };
    let named: Vec<u64> =
        log.decided.iter().map(|decided| decided.decision.peek().expect("a decision").manifest.0).collect();
    assert_eq!(named, [1, 2]);
}

#[tokio::test]
async fn what_is_missing_is_caught_up_with_under_both_keys() {
    let mut world = World::joined().await;
    world.alice.move_on(&world.a).await;
    world.a.replace_ordering(50).await;
    let last = world.alice.move_on(&world.a).await;
    let item = Item::Decided(DecidedItem { room: ROOM, hub: world.a.domain.clone(), decided: last });
    assert_eq!(world.b.rooms.receive_control(NOW, place(&world.a, 1, 1), item).await, Ok(None));
    assert_eq!(world.epochs().await, (Some(3), Some(3)));
}

#[tokio::test]
async fn whoever_has_the_old_key_moves_nothing_once_the_room_has_seen_the_new_one() {
    let mut world = World::joined().await;
    let old = world.a.ordering.clone();
    world.a.replace_ordering(50).await;
    world.alice.move_on(&world.a).await;
    world.a.carry(&world.b, LaneClass::Control).await;
    assert_eq!(world.epochs().await, (Some(2), Some(2)));
    let (_, upload) = world.alice.renew();
    let commit = upload.commit;
    assert_eq!(handed(&world, 1, &commit, &old, 1).await, Some(ItemRefusal::Invalid));
    // Nor under the new manifest's name, nor under one that there never was.
    assert_eq!(handed(&world, 2, &commit, &old, 2).await, Some(ItemRefusal::Invalid));
    assert_eq!(handed(&world, 3, &commit, &old, 0).await, Some(ItemRefusal::Invalid));
    assert_eq!(world.epochs().await, (Some(2), Some(2)));
    let new = world.a.ordering.clone();
    assert_eq!(handed(&world, 4, &commit, &new, 2).await, None);
    assert_eq!(world.epochs().await.1, Some(3));
}
