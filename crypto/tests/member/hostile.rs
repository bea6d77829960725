//! What a hostile member, relay or hub may try, and who refuses it.

use posthouse_crypto::room::{LeafClaimFault, Observer, RoomError, check_decided, inspect_key_package};
use posthouse_crypto::{SigningKey, VerifyError};
use posthouse_spec::cbor::Octets;
use posthouse_spec::room::{Decided, Decision, RoomContext, Suite};
use posthouse_spec::{Ballot, Epoch, ManifestSeq, RoomId};

use crate::support::{Pair, Person, SUITES, group, hub, identity_of, rng};

#[test]
fn a_key_package_with_anothers_claim_is_refused() {
    let mut mallory = Person::new(4, "m.example");
    let bob = Person::new(2, "b.example");
    // Mallory signs a claim in Bob's name with her own device.
    let mut id = identity_of(&bob.account, &mallory.device);
    id.account = bob.account.id();
    let forged = posthouse_crypto::room::member::key_package(
        &mut mallory.keys,
        &id,
        Suite::Classic,
        false,
        &mut rng(1),
        crate::support::NOW,
    )
    .expect("MLS does not mind");
    // The claim is signed by the device that it names, so it holds by itself; the chain of Bob's account has no such
    // device, which is what everybody who has the chain checks.
    let info = inspect_key_package(&forged.bytes).expect("it holds by itself");
    assert_eq!(info.claim.account, bob.account.id());
    assert!(!bob.account.held(&info.claim.device, info.claim.seq, &info.claim.head));
}

#[test]
fn altered_bytes_are_refused_wherever_they_stand() {
    let mut bob = Person::new(2, "b.example");
    let package = bob.key_package(Suite::Classic).bytes;
    for place in (0..package.len()).step_by(7) {
        let mut altered = package.clone();
        altered[place] ^= 0x20;
        assert!(inspect_key_package(&altered).is_err(), "byte {place} of a key package");
    }
    let pair = Pair::new(Suite::Classic);
    let info = &pair.invitation.group_info;
    for place in (0..info.len()).step_by(97) {
        let mut altered = info.clone();
        altered[place] ^= 0x20;
        assert!(Observer::from_group_info(&altered).is_err(), "byte {place} of a group info");
        assert!(pair.observer.agrees_with(&altered).is_err(), "byte {place} of a group info");
    }
}

#[test]
fn an_altered_commit_is_refused_by_observer_and_member() {
    for suite in SUITES {
        let mut pair = Pair::new(suite);
        let renewal = pair.alice_room.renew(&mut pair.alice.keys).expect("Alice renews");
        for place in (0..renewal.commit.len()).step_by(131) {
            let mut altered = renewal.commit.clone();
            altered[place] ^= 0x01;
            // The tags at the end take secrets to check, so the observer cannot; a member refuses them.
            assert!(pair.bob_room.apply(&mut pair.bob.keys, &altered).is_err(), "byte {place} of a commit");
        }
        pair.bob_room.apply(&mut pair.bob.keys, &renewal.commit).expect("the true one still applies");
    }
}

#[test]
fn commits_of_another_room_or_epoch_are_refused() {
    let mut pair = Pair::new(Suite::Classic);
    let old = pair.observer.judge(&pair.invitation.commit).expect_err("that epoch is over");
    assert_eq!(old, RoomError::WrongEpoch { ours: Epoch(1), theirs: Epoch(0) });

    let mut carol = Person::new(3, "c.example");
    let (mut other, _) =
        carol.found(RoomId::new([8; 32]), Suite::Classic, &RoomContext::direct(hub("c.example")));
    let foreign = other.renew(&mut carol.keys).expect("Carol renews in her own room");
    assert!(matches!(pair.observer.judge(&foreign.commit), Err(RoomError::WrongRoom { .. })));
    assert!(matches!(
        pair.bob_room.apply(&mut pair.bob.keys, &foreign.commit),
        Err(RoomError::WrongRoom { .. })
    ));
}

#[test]
fn a_verdict_is_good_for_one_epoch() {
    let mut pair = Pair::new(Suite::Classic);
    let first = pair.alice_room.renew(&mut pair.alice.keys).expect("Alice renews");
    let second = pair.bob_room.renew(&mut pair.bob.keys).expect("so does Bob");
    let (first, second) = (
        pair.observer.judge(&first.commit).expect("both are admitted"),
        pair.observer.judge(&second.commit).expect("in the same epoch"),
    );
    pair.observer.apply(first).expect("one is decided");
    assert!(matches!(pair.observer.apply(second), Err(RoomError::WrongEpoch { .. })));
}

#[test]
fn a_group_info_that_lies_is_told_from_the_truth() {
    let mut pair = Pair::with(Suite::Classic, group);
    let renewal = pair.alice_room.renew(&mut pair.alice.keys).expect("Alice renews");
    let ahead = pair.observer.agrees_with(&renewal.group_info).expect_err("it is of the next epoch");
    assert_eq!(ahead, RoomError::WrongEpoch { ours: Epoch(1), theirs: Epoch(2) });

    // Another commit of the same epoch leads to another tree.
    let other = pair.bob_room.renew(&mut pair.bob.keys).expect("Bob renews too");
    pair.observer.apply(pair.observer.judge(&renewal.commit).expect("admitted")).expect("applied");
    pair.observer.agrees_with(&renewal.group_info).expect("that is the truth");
    assert!(matches!(pair.observer.agrees_with(&other.group_info), Err(RoomError::Disagreement(_))));
}

#[test]
fn a_room_that_breaks_policy_cannot_be_founded() {
    let mut alice = Person::new(1, "a.example");
    let mut context = RoomContext::direct(hub("a.example"));
    context.ordering.quorum = 2;
    let id = identity_of(&alice.account, &alice.device);
    let refused = posthouse_crypto::room::member::Room::found(
        &mut alice.keys,
        &id,
        RoomId::new([1; 32]),
        Suite::Classic,
        &context,
        &mut rng(1),
        crate::support::NOW,
    );
    assert_eq!(refused.unwrap_err(), RoomError::Policy(posthouse_spec::policy::PolicyRule::Ordering));
    assert_eq!(alice.keys.take_writes(), []);
}

#[test]
fn a_decision_is_for_one_commit_by_one_hub() {
    let pair = Pair::new(Suite::Classic);
    let (hub, stranger) = (SigningKey::generate(&mut rng(20)), SigningKey::generate(&mut rng(21)));
    let decision = Decision {
        room: pair.observer.room(),
        epoch: Epoch(0),
        ballot: Ballot(0),
        commit: pair.invitation.hash,
        manifest: ManifestSeq(1),
    };
    let decided = |decision: &Decision, key: &SigningKey| Decided {
        decision: key.sign(decision),
        commit: Octets::new(pair.invitation.commit.clone()).expect("within the limit"),
    };
    check_decided(&decided(&decision, &hub), &hub.public()).expect("it holds");
    assert!(matches!(
        check_decided(&decided(&decision, &stranger), &hub.public()),
        Err(RoomError::DecisionSignature(VerifyError::WrongSigner { .. }))
    ));
    let wrong = [
        Decision { commit: posthouse_crypto::commit_hash(b"another"), ..decision.clone() },
        Decision { epoch: Epoch(1), ..decision.clone() },
        Decision { room: RoomId::new([0; 32]), ..decision.clone() },
    ];
    for decision in wrong {
        assert!(matches!(
            check_decided(&decided(&decision, &hub), &hub.public()),
            Err(RoomError::Decision(_))
        ));
    }
}

#[test]
fn leaf_faults_have_names() {
    let fault = RoomError::from(LeafClaimFault::LeafKey);
    assert!(fault.to_string().starts_with("leaf-claim: "));
}
