//! Whatever arrives, nothing panics.

use std::sync::LazyLock;

use posthouse_crypto::room::member::{Keys, Room};
use posthouse_crypto::room::{Observer, inspect, inspect_key_package};
use posthouse_spec::room::Suite;
use proptest::prelude::*;

use crate::support::{Pair, Person};

/// True messages of every kind, for the ones that are true but for a few bytes.
static TRUE: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let mut pair = Pair::new(Suite::Classic);
    let sealed = pair.alice_room.seal(&mut pair.alice.keys, b"true").expect("Alice seals");
    let package = Person::new(3, "c.example").key_package(Suite::Classic).bytes;
    let renewal = pair.alice_room.renew(&mut pair.alice.keys).expect("Alice renews");
    let welcome = pair.invitation.welcome.expect("somebody was added");
    let snapshot = pair.observer.snapshot();
    vec![
        pair.invitation.commit,
        pair.invitation.group_info,
        welcome,
        sealed,
        package,
        renewal.commit,
        snapshot,
    ]
});

fn anything(bytes: &[u8]) {
    let mut pair = PAIR.lock().expect("no test panics");
    let pair = &mut *pair;
    drop(inspect(bytes));
    drop(inspect_key_package(bytes));
    drop(Observer::from_group_info(bytes));
    drop(Observer::restore(bytes));
    drop(pair.observer.judge(bytes));
    drop(pair.observer.agrees_with(bytes));
    drop(Room::join(&mut pair.bob.keys, bytes, &pair.invitation.group_info));
    drop(Room::join(&mut pair.bob.keys, pair.invitation.welcome.as_ref().expect("a Welcome"), bytes));
    drop(pair.bob_room.open(&mut pair.bob.keys, bytes));
    drop(pair.bob_room.apply(&mut pair.bob.keys, bytes));
    pair.bob.keys.rollback();
    pair.bob_room = Room::load(&pair.bob.keys, &pair.bob_room.id()).expect("the room stands as it was");
    drop(Keys::load([(bytes.to_vec(), bytes.to_vec())].into_iter()));
}

static PAIR: LazyLock<std::sync::Mutex<Pair>> = LazyLock::new(|| {
    let mut pair = Pair::new(Suite::Classic);
    pair.bob.flush();
    std::sync::Mutex::new(pair)
});

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        anything(&bytes);
    }

    #[test]
    fn altered_messages_never_panic(
        kind in 0..7usize,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = TRUE[kind].clone();
        for (place, value) in changes {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        anything(&bytes);
    }
}
