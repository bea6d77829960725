//! What a hostile member, relay or hub may try, and who refuses it.

use openmls::prelude::{
    BasicCredential, CredentialWithKey, Extension, ExtensionType, Extensions, ExternalSender, LeafNodeIndex,
    LeafNodeParameters, Lifetime, RequiredCapabilitiesExtension,
};
use posthouse_crypto::room::{LeafClaimFault, Observer, RoomError, check_decided, inspect_key_package};
use posthouse_crypto::{SigningKey, VerifyError};
use posthouse_spec::account::LeafClaim;
use posthouse_spec::cbor::Octets;
use posthouse_spec::policy::PolicyRule;
use posthouse_spec::room::{Decided, Decision, ROOM_CONTEXT_EXTENSION, Role, RoomContext, Suite};
use posthouse_spec::{Ballot, Epoch, ManifestSeq, RoomId, Signed};

use crate::raw::{
    Mallory, RawSigner, bytes, capabilities, claim, credential, endless, extensions, founding, key_package,
};
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
    assert_eq!(refused.unwrap_err(), RoomError::Policy(PolicyRule::Ordering));
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

/// A room with Mallory in it, in which everybody may add people.
fn with_mallory() -> (Pair, Mallory) {
    let mut pair = Pair::with(Suite::Classic, |alice| {
        let mut context = group(alice);
        context.policy.add = Role::Member;
        context
    });
    let mallory = Mallory::join(&mut pair);
    (pair, mallory)
}

/// Observer and members refuse a commit for the same reason, and go on.
fn all_refuse(pair: &mut Pair, commit: &[u8]) -> RoomError {
    let reason = pair.observer.judge(commit).expect_err("the observer refuses it");
    let by_alice = pair.alice_room.apply(&mut pair.alice.keys, commit).expect_err("Alice refuses it");
    assert_eq!(by_alice, reason);
    let renewal = pair.alice_room.renew(&mut pair.alice.keys).expect("Alice goes on");
    pair.observer.judge(&renewal.commit).expect("and so does the observer");
    pair.bob_room.apply(&mut pair.bob.keys, &renewal.commit).expect("and Bob");
    reason
}

#[test]
fn a_hostile_member_is_admitted_while_behaving() {
    let (mut pair, mallory) = with_mallory();
    let commit = mallory.commit(|builder| builder.force_self_update(true)).expect("MLS does not mind");
    pair.observer.judge(&commit).expect("nothing is wrong with it");
    pair.bob_room.apply(&mut pair.bob.keys, &commit).expect("nothing is wrong with it");
}

/// Makes a leaf whose claim does not hold.
type Forge = fn(&Person, &RawSigner) -> (CredentialWithKey, Lifetime);
/// Whether a fault is the one that a forgery deserves.
type Expected = fn(&LeafClaimFault) -> bool;

/// Every forgery, with the fault that it deserves.
fn forgeries() -> [(Forge, Expected); 6] {
    [
        (
            |carol, leaf| {
                let mut claimed = claim(carol, leaf);
                claimed.leaf_key = RawSigner::new(41).0.public();
                (credential(carol.device.sign(&claimed).as_bytes().to_vec(), leaf), endless())
            },
            |fault| *fault == LeafClaimFault::LeafKey,
        ),
        (
            |carol, leaf| {
                let signed = RawSigner::new(42).0.sign(&claim(carol, leaf));
                (credential(signed.as_bytes().to_vec(), leaf), endless())
            },
            |fault| matches!(fault, LeafClaimFault::Signature(VerifyError::WrongSigner { .. })),
        ),
        (
            |carol, leaf| {
                let (true_one, other) = (claim(carol, leaf), RawSigner::new(42).0.sign(&claim(carol, leaf)));
                let payload = posthouse_spec::Cbor::to_cbor(&true_one);
                let forged =
                    Signed::<LeafClaim>::assemble(carol.device.public(), &payload, other.signature());
                (credential(forged.as_bytes().to_vec(), leaf), endless())
            },
            |fault| *fault == LeafClaimFault::Signature(VerifyError::BadSignature),
        ),
        (
            |_, leaf| (credential(b"nonsense".to_vec(), leaf), endless()),
            |fault| matches!(fault, LeafClaimFault::Malformed(_)),
        ),
        (
            |_, leaf| {
                let mut basic = credential(Vec::new(), leaf);
                basic.credential = BasicCredential::new(b"carol".to_vec()).into();
                (basic, endless())
            },
            |fault| *fault == LeafClaimFault::CredentialType(1),
        ),
        (
            |carol, leaf| {
                let signed = carol.device.sign(&claim(carol, leaf));
                (credential(signed.as_bytes().to_vec(), leaf), Lifetime::new(3600))
            },
            |fault| *fault == LeafClaimFault::Lifetime,
        ),
    ]
}

#[test]
fn leaves_with_forged_claims_are_refused_everywhere() {
    let carol = Person::new(3, "c.example");
    for (n, (forge, expected)) in forgeries().into_iter().enumerate() {
        let leaf = RawSigner::new(50);
        let (credential, lifetime) = forge(&carol, &leaf);
        let (mut pair, mallory) = with_mallory();
        let package = key_package(&mallory.provider, &leaf, credential.clone(), lifetime);
        let refused = inspect_key_package(&bytes(package.clone()));
        assert!(
            matches!(&refused, Err(RoomError::LeafClaim(fault)) if expected(fault)),
            "case {n}: {refused:?}"
        );

        let founding = founding(&leaf, credential, lifetime, extensions(pair.observer.context()));
        let refused = Observer::from_group_info(&founding);
        assert!(
            matches!(&refused, Err(RoomError::LeafClaim(fault)) if expected(fault)),
            "case {n}: {refused:?}"
        );

        let Some(commit) = mallory.commit(|builder| builder.propose_adds([package])) else {
            assert_eq!(n, 4, "the library makes no commit with another credential type, and all others");
            continue;
        };
        let refused = all_refuse(&mut pair, &commit);
        assert!(matches!(&refused, RoomError::LeafClaim(fault) if expected(fault)), "case {n}: {refused:?}");
    }
}

#[test]
fn nobody_takes_anothers_leaf() {
    let (mut pair, mallory) = with_mallory();
    let accomplice = Person::new(6, "m.example");
    let content = accomplice.device.sign(&claim(&accomplice, &mallory.leaf)).as_bytes().to_vec();
    let parameters = LeafNodeParameters::builder()
        .with_capabilities(capabilities())
        .with_credential_with_key(credential(content, &mallory.leaf))
        .build();
    let commit =
        mallory.commit(|builder| builder.leaf_node_parameters(parameters)).expect("MLS does not mind");
    assert_eq!(all_refuse(&mut pair, &commit), RoomError::Policy(PolicyRule::LeafIdentity));
}

#[test]
fn a_member_neither_removes_nor_promotes() {
    let (mut pair, mallory) = with_mallory();
    let owner = LeafNodeIndex::new(0);
    let commit = mallory.commit(|builder| builder.propose_removals([owner])).expect("MLS does not mind");
    assert_eq!(all_refuse(&mut pair, &commit), RoomError::Policy(PolicyRule::MayNotRemove));

    let (mut pair, mallory) = with_mallory();
    let mut context = pair.observer.context().clone();
    context.owners = posthouse_spec::cbor::List::new(vec![mallory.person.account.id()]).expect("one owner");
    let commit = propose_context(mallory, extensions(&context));
    assert_eq!(all_refuse(&mut pair, &commit), RoomError::Policy(PolicyRule::MayNotChange));
}

fn propose_context(mallory: Mallory, extensions: Vec<Extension>) -> Vec<u8> {
    let extensions = Extensions::from_vec(extensions).expect("no extension twice");
    mallory
        .commit(|builder| builder.propose_group_context_extensions(extensions).expect("MLS does not mind"))
        .expect("MLS does not mind")
}

#[test]
fn what_a_room_agreed_on_is_never_dropped() {
    let (mut pair, mallory) = with_mallory();
    let mut dropped = extensions(pair.observer.context());
    let less =
        RequiredCapabilitiesExtension::new(&[ExtensionType::Unknown(ROOM_CONTEXT_EXTENSION)], &[], &[]);
    dropped[0] = Extension::RequiredCapabilities(less);
    assert_eq!(all_refuse(&mut pair, &propose_context(mallory, dropped)), RoomError::BadRequirements);

    let (mut pair, mallory) = with_mallory();
    let mut dropped = extensions(pair.observer.context());
    dropped.remove(1);
    assert!(matches!(all_refuse(&mut pair, &propose_context(mallory, dropped)), RoomError::BadContext(_)));

    let (mut pair, mallory) = with_mallory();
    let mut more = extensions(pair.observer.context());
    let outsider = credential(b"outside".to_vec(), &mallory.leaf);
    let sender = ExternalSender::new(outsider.signature_key, outsider.credential);
    more.push(Extension::ExternalSenders(vec![sender]));
    let refused = all_refuse(&mut pair, &propose_context(mallory, more));
    assert!(matches!(refused, RoomError::BadContext(_) | RoomError::Mls(_)), "{refused}");
}

#[test]
fn a_room_without_our_context_is_none_of_ours() {
    let (alice, leaf) = (Person::new(1, "a.example"), RawSigner::new(50));
    let content = alice.device.sign(&claim(&alice, &leaf)).as_bytes().to_vec();
    let mut extensions = extensions(&group(&alice));
    extensions.remove(1);
    let info = founding(&leaf, credential(content, &leaf), endless(), extensions);
    assert!(matches!(Observer::from_group_info(&info), Err(RoomError::BadContext(_))));
}
