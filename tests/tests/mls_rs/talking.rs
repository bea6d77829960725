//! Joining and talking.

use posthouse_crypto::room::{MessageKind, inspect};
use posthouse_spec::Epoch;
use posthouse_spec::room::Suite;

use crate::world::World;

#[test]
fn another_implementation_joins_by_a_welcome_and_talks() {
    let mut world = World::new();
    assert_eq!((world.observer.epoch(), world.observer.suite()), (Epoch(1), Suite::Classic));
    let homes: Vec<_> = world.observer.relays().iter().map(ToString::to_string).collect();
    assert_eq!(homes, ["a.example", "o.example"]);
    world.chat();
}

#[test]
fn what_it_seals_looks_like_what_we_seal() {
    let mut world = World::new();
    let (ours, theirs) = (world.alice.say("the same"), world.olga.say("the same"));
    let (our_outside, their_outside) = (inspect(&ours).unwrap(), inspect(&theirs).unwrap());
    assert_eq!(our_outside, their_outside);
    assert_eq!(our_outside.kind, MessageKind::Application);
    assert_eq!(ours.len(), theirs.len(), "nobody tells from a message which program made it");
}

#[test]
fn all_of_three_hear_each_other() {
    let mut world = World::of_three();
    world.chat();
}

#[test]
fn what_was_sealed_before_a_commit_is_opened_after_it() {
    let mut world = World::of_three();
    let (ours, theirs) = (world.alice.say("before"), world.olga.say("before"));
    let renewal = world.olga.commit(|commit| commit);
    world.take(&renewal.commit, &renewal.group_info);
    assert_eq!(world.olga.hear(&ours).unwrap().text, "before");
    assert_eq!(world.alice.hear(&theirs).text, "before");
    assert_eq!(world.bob.hear(&theirs).text, "before");
}

#[test]
fn messages_that_overtake_each_other_are_opened() {
    let mut world = World::new();
    let said: Vec<_> = ["one", "two", "three"].into_iter().map(|text| world.alice.say(text)).collect();
    let answers: Vec<_> = ["one", "two", "three"].into_iter().map(|text| world.olga.say(text)).collect();
    for (place, text) in [(2, "three"), (0, "one"), (1, "two")] {
        assert_eq!(world.olga.hear(&said[place]).unwrap().text, text);
        assert_eq!(world.alice.hear(&answers[place]).text, text);
    }
    assert!(world.olga.hear(&said[0]).is_err(), "nothing is opened twice");
}
