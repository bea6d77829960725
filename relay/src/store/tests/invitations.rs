use std::collections::BTreeSet;

use bytes::Bytes;
use posthouse_crypto::{Verified, commit_hash, key_package_hash, verify};
use posthouse_spec::account::{ClaimedKeyPackages, Invited, KeyClaim};
use posthouse_spec::cbor::{List, Octets};
use posthouse_spec::envelope::LaneClass;
use posthouse_spec::peer::deliver::ItemRefusal;
use posthouse_spec::room::{Suite, WelcomeBundle};
use posthouse_spec::{AccountId, Epoch, Incarnation, LaneSeq, Millis, RoomId, Ticket};

use super::super::LanePlace;
use super::super::rooms::StepOutcome;
use super::super::tickets::Invitation;
use super::super::types::{ClaimOutcome, Incoming, KeyPackageStock, StockedKeyPackage};
use super::support::*;
use crate::mailbox::MailboxKey;

fn claim(by: &Person, target: AccountId, nonce: u8) -> Verified<KeyClaim> {
    let claim = KeyClaim {
        claimant: by.who.account,
        device: by.who.device,
        alias: "bob@b.example".parse().unwrap(),
        target,
        domain: own(),
        suite: Suite::Classic.code() as u16,
        created: NOW,
        nonce: Incarnation::new([nonce; 16]),
    };
    verify(&by.device.sign(&claim), &by.device.public()).unwrap()
}

async fn claimed(world: &World, claim: &Verified<KeyClaim>) -> ClaimedKeyPackages {
    match world.store.claim(NOW, claim).await.unwrap() {
        ClaimOutcome::Claimed(claimed) => claimed,
        ClaimOutcome::UnknownAccount => panic!("no such account"),
    }
}

const NOT_AFTER: Millis = NOW.after(1_000);

fn package(n: u8) -> StockedKeyPackage {
    StockedKeyPackage {
        hash: key_package_hash(&[n; 4]),
        bytes: Bytes::from(vec![n; 4]),
        not_after: NOT_AFTER,
    }
}

async fn upload(world: &World, of: &Person, packages: &[u8], last: Option<u8>) -> KeyPackageStock {
    let packages = packages.iter().map(|n| package(*n)).collect();
    world.store.upload(of.who, Suite::Classic, packages, last.map(package)).await.unwrap()
}

#[tokio::test]
async fn a_claim_takes_one_key_package_and_its_repeat_gets_the_same() {
    let mut world = World::new().await;
    let stock = upload(&world, &world.alice, &[1, 2], Some(9)).await;
    assert_eq!(stock, KeyPackageStock { classic: 2, post_quantum: 0 });
    let first = claim(&world.bob, world.alice.who.account, 1);
    let answer = claimed(&world, &first).await;
    assert_eq!(answer.len(), 1);
    assert!(!answer[0].last_resort);
    world.restart().await;
    assert_eq!(claimed(&world, &first).await, answer);
    assert_eq!(world.store.stock(world.alice.who).await.unwrap().classic, 1);
    let second = claimed(&world, &claim(&world.bob, world.alice.who.account, 2)).await;
    assert_ne!(second[0].key_package, answer[0].key_package);
    for nonce in 3..5 {
        let last = claimed(&world, &claim(&world.bob, world.alice.who.account, nonce)).await;
        assert!(last[0].last_resort);
    }
}

#[tokio::test]
async fn what_has_expired_is_handed_to_nobody_and_leaves_the_stock() {
    let world = World::new().await;
    upload(&world, &world.alice, &[1, 2], Some(9)).await;
    let late = claim(&world.bob, world.alice.who.account, 1);
    let answer = world.store.claim(NOT_AFTER, &late).await.unwrap();
    assert!(matches!(answer, ClaimOutcome::Claimed(none) if none.is_empty()));
    // The device sees by its stock that it is to leave new ones.
    world.store.sweep(NOT_AFTER.after(1), 1_000_000).await.unwrap();
    assert_eq!(world.store.stock(world.alice.who).await.unwrap().classic, 0);
    assert_eq!(world.count("key_packages").await, 0);
}

#[tokio::test]
async fn whoever_is_blocked_finds_an_empty_stock() {
    let world = World::new().await;
    upload(&world, &world.alice, &[1], None).await;
    world.store.set_block(&world.alice.who.account, &world.bob.who.account, true).await.unwrap();
    assert!(claimed(&world, &claim(&world.bob, world.alice.who.account, 1)).await.is_empty());
    assert_eq!(world.store.stock(world.alice.who).await.unwrap().classic, 1);
    let nobody = claim(&world.bob, AccountId::new([9; 32]), 1);
    assert_eq!(world.store.claim(NOW, &nobody).await.unwrap(), ClaimOutcome::UnknownAccount);
}

fn invited(who: &MailboxKey, key_package: &[u8], ticket: Ticket) -> Invited {
    Invited {
        account: who.account,
        device: who.device,
        domain: own(),
        key_package: key_package_hash(key_package),
        ticket,
    }
}

fn invitation(by: &Person, invited: Vec<Invited>) -> Invitation {
    Invitation {
        room: ROOM,
        epoch: Epoch(0),
        decided: decided(Epoch(0)),
        bundle: WelcomeBundle {
            welcome: Octets::new(vec![1]).unwrap(),
            group_info: Octets::new(vec![2]).unwrap(),
            invited: List::new(invited).unwrap(),
        },
        claimants: BTreeSet::from([by.who.account]),
    }
}

async fn adopt(world: &World, invitation: Invitation) -> StepOutcome {
    let state = state(Epoch(1), &[&world.bob, &world.alice]);
    let commit = commit_hash(&invitation.decided.commit);
    world.store.adopt_room(NOW, state, invitation, commit, None).await.unwrap()
}

#[tokio::test]
async fn a_welcome_without_a_ticket_brings_no_room() {
    let world = World::new().await;
    let forged = invited(&world.alice.who, &[1; 4], Ticket::new([9; 32]));
    let outcome = adopt(&world, invitation(&world.bob, vec![forged])).await;
    assert_eq!(outcome, StepOutcome::NoTicket { without: vec![world.alice.who.device] });
    assert!(world.store.room(ROOM).await.unwrap().is_none());
    assert!(world.mailbox(&world.alice).await.is_empty());
}

#[tokio::test]
async fn that_a_ticket_was_missing_is_told_again_where_the_acknowledgement_was_lost() {
    let world = World::new().await;
    let lane = Incoming { class: LaneClass::Control, ..from_b() };
    let place = |seq| Some(LanePlace { lane: lane.clone(), seq: LaneSeq(seq) });
    let forged = invited(&world.alice.who, &[1; 4], Ticket::new([9; 32]));
    let welcome = || invitation(&world.bob, vec![forged.clone()]);
    let commit = commit_hash(&welcome().decided.commit);
    let at_one = state(Epoch(1), &[&world.bob, &world.alice]);
    world.store.adopt_room(NOW, at_one, welcome(), commit, place(1)).await.unwrap();
    world.store.invite(NOW, welcome(), place(2)).await.unwrap();
    world.found(&[&world.alice, &world.bob]).await;
    let mut step = advance(Epoch(0), &[&world.alice, &world.bob]);
    (step.strict, step.invitation, step.place) = (false, Some(welcome()), place(3));
    world.store.advance_room(NOW, step).await.unwrap();
    assert_eq!(world.store.cursor(&lane).await.unwrap(), LaneSeq(4));
    assert_eq!(world.store.resume_at(&lane, LaneSeq(1)).await.unwrap(), LaneSeq(1));
    let told = world.store.refused_before(&lane, LaneSeq(1), LaneSeq(4)).await.unwrap();
    let told: Vec<_> = told.into_iter().map(|item| (item.seq.0, item.reason)).collect();
    assert_eq!(told, [1, 2, 3].map(|seq| (seq, ItemRefusal::NoTicket)));
}

#[tokio::test]
async fn a_ticket_lets_one_welcome_pass_and_its_repeat_brings_no_second() {
    let world = World::new().await;
    upload(&world, &world.alice, &[1], None).await;
    let answer = claimed(&world, &claim(&world.bob, world.alice.who.account, 1)).await;
    let good = invited(&world.alice.who, &answer[0].key_package, answer[0].ticket);
    let done = StepOutcome::Done { without: Vec::new() };
    assert_eq!(adopt(&world, invitation(&world.bob, vec![good.clone()])).await, done);
    assert_eq!(shorts(&world.mailbox(&world.alice).await), ["welcome of 1"]);
    // The same Welcome by another way, and the same ticket in another room.
    let again = world.store.invite(NOW, invitation(&world.bob, vec![good.clone()]), None).await.unwrap();
    assert_eq!(again, done);
    let elsewhere = Invitation { room: RoomId::new([8; 32]), ..invitation(&world.bob, vec![good.clone()]) };
    let refused = world.store.invite(NOW, elsewhere, None).await.unwrap();
    assert_eq!(refused, StepOutcome::Done { without: vec![world.alice.who.device] });
    // Somebody else's ticket fits nobody.
    let stolen = Invitation {
        claimants: BTreeSet::from([world.anna.who.account]),
        ..invitation(&world.bob, vec![good])
    };
    let refused = world.store.invite(NOW, stolen, None).await.unwrap();
    assert_eq!(refused, StepOutcome::Done { without: vec![world.alice.who.device] });
    assert_eq!(shorts(&world.mailbox(&world.alice).await), ["welcome of 1"]);
}

#[tokio::test]
async fn a_welcome_to_an_epoch_that_is_over_here_brings_no_room_back() {
    let world = World::with_room().await;
    upload(&world, &world.alice, &[1], None).await;
    let answer = claimed(&world, &claim(&world.bob, world.alice.who.account, 1)).await;
    let mut last = advance(Epoch(0), &[&world.bob]);
    last.state.context.ordering.leader.domain = domain("b.example");
    world.store.advance_room(NOW, last).await.unwrap();
    let good = invited(&world.alice.who, &answer[0].key_package, answer[0].ticket);
    let outcome = adopt(&world, invitation(&world.bob, vec![good])).await;
    assert_eq!(outcome, StepOutcome::Done { without: Vec::new() });
    let room = world.store.room(ROOM).await.unwrap().unwrap();
    assert!(!room.active && room.epoch == Epoch(1));
    assert_eq!(shorts(&world.mailbox(&world.alice).await).last().unwrap(), "welcome of 1");
}

#[tokio::test]
async fn a_hub_decides_nothing_while_a_local_device_has_no_ticket() {
    let world = World::with_room().await;
    let mut step = advance(Epoch(0), &[&world.alice, &world.anna, &world.bob]);
    step.invitation =
        Some(invitation(&world.alice, vec![invited(&world.anna.who, &[1; 4], Ticket::new([9; 32]))]));
    let outcome = world.store.advance_room(NOW, step).await.unwrap();
    assert_eq!(outcome, StepOutcome::NoTicket { without: vec![world.anna.who.device] });
    assert_eq!(world.store.room(ROOM).await.unwrap().unwrap().epoch, Epoch(0));
}

#[tokio::test]
async fn a_blocked_claimants_welcome_is_taken_and_discarded() {
    let world = World::new().await;
    upload(&world, &world.alice, &[1], None).await;
    let answer = claimed(&world, &claim(&world.bob, world.alice.who.account, 1)).await;
    world.store.set_block(&world.alice.who.account, &world.bob.who.account, true).await.unwrap();
    let good = invited(&world.alice.who, &answer[0].key_package, answer[0].ticket);
    assert_eq!(
        adopt(&world, invitation(&world.bob, vec![good])).await,
        StepOutcome::Done { without: Vec::new() }
    );
    assert!(world.mailbox(&world.alice).await.is_empty());
}

#[tokio::test]
async fn a_room_moves_once_from_each_epoch() {
    let world = World::with_room().await;
    let all = [&world.alice, &world.anna, &world.bob];
    assert_eq!(world.advance(Epoch(0), &all).await, StepOutcome::Done { without: Vec::new() });
    assert_eq!(world.advance(Epoch(0), &all).await, StepOutcome::Moved);
    assert_eq!(world.advance(Epoch(2), &all).await, StepOutcome::Moved);
    let log = world.store.decisions(ROOM, Epoch(0), 10).await.unwrap();
    assert_eq!(log, [decided(Epoch(0))]);
    let other = decided(Epoch(7));
    let hash = commit_hash(&other.commit);
    for _ in 0..2 {
        world.store.keep_evidence(Millis(1), ROOM, Epoch(0), hash, other.clone(), None).await.unwrap();
    }
    assert_eq!(world.store.evidence_count().await.unwrap(), 1);
}
