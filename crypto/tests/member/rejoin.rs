//! A device that cannot follow its room comes back.

use posthouse_crypto::room::member::{Keys, Room};
use posthouse_crypto::room::{Observer, RoomError};
use posthouse_spec::Epoch;
use posthouse_spec::policy::{Committer, PolicyRule};
use posthouse_spec::room::{RoomContext, Suite};

use crate::raw::{RawSigner, capabilities, claim, credential};
use crate::support::{NOW, Pair, Person, SUITES, hub, identity_of};

#[test]
fn a_device_that_lost_a_commit_rejoins() {
    for suite in SUITES {
        let mut pair = Pair::new(suite);
        let renewal = pair.alice_room.renew(&mut pair.alice.keys).expect("Alice renews");
        pair.alice_room.merge_own(&mut pair.alice.keys).expect("decided");
        pair.observer.apply(pair.observer.judge(&renewal.commit).expect("admitted")).expect("applied");

        // Bob never gets that commit; all he has is the current group info.
        let id = identity_of(&pair.bob.account, &pair.bob.device);
        let (mut room, proposed) =
            Room::rejoin(&mut pair.bob.keys, &id, &renewal.group_info, NOW).expect("Bob makes his way back");
        assert_eq!((proposed.epoch, room.has_pending()), (Epoch(2), Some(proposed.hash)));
        assert_eq!(room.seal(&mut pair.bob.keys, b"too early"), Err(RoomError::Rejoining));
        assert_eq!(room.drop_own(&mut pair.bob.keys), Err(RoomError::Rejoining));

        let judged = pair.observer.judge(&proposed.commit).expect("every relay admits it");
        assert!(
            matches!(&judged.change.committer, Committer::External(who) if who.account == pair.bob.account.id())
        );
        assert_eq!(judged.change.removes.len(), 1, "the old leaf goes");
        pair.observer.apply(judged).expect("applied");
        pair.observer.agrees_with(&proposed.group_info).expect("Bob tells the truth");
        pair.alice_room.apply(&mut pair.alice.keys, &proposed.commit).expect("Alice admits it");

        pair.bob.flush();
        pair.bob.restart();
        let mut room = Room::load(&pair.bob.keys, &room.id()).expect("the room loads");
        room.apply(&mut pair.bob.keys, &proposed.commit).expect("the decision comes");
        assert_eq!(room.members(), pair.observer.members());
        let sealed = room.seal(&mut pair.bob.keys, b"I am back").expect("Bob seals");
        pair.alice_room.open(&mut pair.alice.keys, &sealed).expect("Alice opens");
        let sealed = pair.alice_room.seal(&mut pair.alice.keys, b"welcome").expect("Alice seals");
        room.open(&mut pair.bob.keys, &sealed).expect("Bob opens");
    }
}

#[test]
fn who_has_no_leaf_cannot_rejoin() {
    let mut pair = Pair::new(Suite::Classic);
    let mut carol = Person::new(3, "c.example");
    let id = identity_of(&carol.account, &carol.device);
    let refused = Room::rejoin(&mut carol.keys, &id, &pair.invitation.group_info, NOW);
    assert_eq!(refused.unwrap_err(), RoomError::NotMember);

    // Bob's device without its leaf key.
    let id = identity_of(&pair.bob.account, &pair.bob.device);
    let mut empty = Keys::load(std::iter::empty());
    let refused = Room::rejoin(&mut empty, &id, &pair.invitation.group_info, NOW);
    assert!(matches!(refused, Err(RoomError::BadState(_))), "{refused:?}");
    assert_eq!(empty.take_writes(), []);
    pair.bob_room.renew(&mut pair.bob.keys).expect("the true one is untouched");
}

/// An external commit without our checks, with any authenticated data.
fn external_commit(person: &Person, info: &[u8], aad: &[u8]) -> Vec<u8> {
    use openmls::prelude::tls_codec::Deserialize as _;
    use openmls::prelude::*;
    let (provider, leaf) = (openmls_libcrux_crypto::Provider::default(), RawSigner::new(60));
    let content = person.device.sign(&claim(person, &leaf)).as_bytes().to_vec();
    let MlsMessageBodyIn::GroupInfo(info) =
        MlsMessageIn::tls_deserialize_exact(info).expect("a message").extract()
    else {
        unreachable!("another message");
    };
    let (_, bundle) = MlsGroup::external_commit_builder()
        .with_aad(aad.to_vec())
        .build_group(&provider, info, credential(content, &leaf))
        .expect("MLS does not mind")
        .leaf_node_parameters(LeafNodeParameters::builder().with_capabilities(capabilities()).build())
        .load_psks(provider.storage())
        .expect("no PSK is missing")
        .build(provider.rand(), provider.crypto(), &leaf, |_| true)
        .expect("MLS does not mind")
        .finalize(&provider)
        .expect("it is complete");
    crate::raw::bytes(bundle.into_commit())
}

#[test]
fn nobody_comes_in_by_an_external_commit() {
    let pair = Pair::new(Suite::Classic);
    let info = &pair.invitation.group_info;
    let mallory = Person::new(4, "m.example");

    let silent = external_commit(&mallory, info, b"");
    assert!(matches!(pair.observer.judge(&silent), Err(RoomError::Rejoin(_))));

    let leaf_key = RawSigner::new(60).0.public();
    let (room, epoch) = (pair.observer.room(), pair.observer.epoch());
    let word = |person: &Person, epoch| {
        let word = posthouse_spec::room::RejoinClaim { room, epoch, leaf_key };
        person.device.sign(&word).as_bytes().to_vec()
    };
    let stranger = external_commit(&mallory, info, &word(&mallory, epoch));
    assert!(matches!(
        pair.observer.judge(&stranger),
        Err(RoomError::Policy(PolicyRule::ExternalOnlyRejoins))
    ));
    let borrowed = external_commit(&pair.bob, info, &word(&mallory, epoch));
    assert!(matches!(pair.observer.judge(&borrowed), Err(RoomError::Rejoin(_))));
    let old = external_commit(&pair.bob, info, &word(&pair.bob, Epoch(0)));
    assert!(matches!(pair.observer.judge(&old), Err(RoomError::RejoinElsewhere)));
    // Bob's device with another leaf key: the old leaf would stay beside the new one.
    let second = external_commit(&pair.bob, info, &word(&pair.bob, epoch));
    assert!(matches!(pair.observer.judge(&second), Err(RoomError::Policy(PolicyRule::DeviceTwice))));
}

#[test]
fn a_room_restarts_from_a_group_info_alone() {
    let pair = Pair::new(Suite::Classic);
    let observer = Observer::from_group_info(&pair.invitation.group_info).expect("it holds");
    assert_eq!(observer.context(), &RoomContext::direct(hub("a.example")));
}
