//! Node keys that were replaced: who still has the old one has nothing.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::{Relay, Town, soon, wall_clock};
use posthouse_crypto::SigningKey;
use posthouse_federation::link::Receiver;
use posthouse_federation::{Clock, PeerError};
use posthouse_spec::cbor::{List, Octets};
use posthouse_spec::envelope::{ENVELOPE_VERSION, Envelope, LaneClass};
use posthouse_spec::manifest::{Manifest, Node as ManifestNode};
use posthouse_spec::peer::KeysRequest;
use posthouse_spec::peer::deliver::Open;
use posthouse_spec::peer::hello::PeerRule;
use posthouse_spec::{Incarnation, LaneSeq, Millis, Signed};

/// How long the old key stays listed in these tests, milliseconds.
const OVERLAP_MS: u64 = 60_000;
const OLD: [u8; 32] = [77; 32];
const NEW: [u8; 32] = [78; 32];

/// A clock that can be put forward.
fn clock(ahead: &Arc<AtomicU64>) -> Clock {
    let ahead = Arc::clone(ahead);
    Arc::new(move || wall_clock().after(ahead.load(Ordering::Relaxed)))
}

async fn asks(caller: &Relay, called: &Relay) -> Result<(), PeerError> {
    let question = KeysRequest::Alias("bob".parse().expect("a name"));
    caller.federation().keys(&called.domain, question).await.map(drop)
}

/// The rule by which a call was refused.
async fn refusal(caller: &Relay, called: &Relay) -> Option<PeerRule> {
    match asks(caller, called).await {
        Err(PeerError::Refused { rule, .. }) => Some(rule),
        _ => None,
    }
}

/// The manifest with one more node: the old key's, until a time.
fn with_old(of: &Relay, manifest: &Signed<Manifest>, until: Millis) -> Signed<Manifest> {
    let mut manifest = manifest.peek().expect("a manifest");
    let key = SigningKey::from_seed(&OLD).public();
    let mut nodes = manifest.nodes.to_vec();
    nodes.push(ManifestNode { key, not_before: Millis(0), not_after: until });
    manifest.nodes = List::new(nodes).expect("two");
    of.root.sign(&manifest)
}

/// A victim that has replaced its node key, and a thief with the old one who shows what the victim showed before.
async fn robbed(town: &Town, ahead: &Arc<AtomicU64>) -> (Relay, Relay, Relay) {
    let mut friend = Relay::new(town, "friend.localhost", 1);
    let mut victim = Relay::new(town, "victim.localhost", 2);
    let mut thief = Relay::new(town, "victim.localhost", 2);
    for relay in [&mut friend, &mut victim, &mut thief] {
        relay.clock = clock(ahead);
        relay.gossip = false;
    }
    (victim.key_seed, thief.key_seed) = (OLD, OLD);
    friend.start(town).await;
    // The thief's copy of the key is as good as the victim's, as long as nobody knows of another.
    thief.start(town).await;
    asks(&thief, &friend).await.expect("the key is good still");
    (victim.last, victim.key_seed) = (thief.last.clone(), NEW);
    (friend, victim, thief)
}

#[tokio::test]
async fn a_stolen_key_is_good_for_nothing_once_the_manifest_is_there() {
    let town = Town::new().await;
    let (mut friend, mut victim, mut thief) = robbed(&town, &Arc::default()).await;
    victim.start(&town).await;
    asks(&victim, &friend).await.expect("the friend follows");
    // The session that the thief had is over; the next one is refused, with the old manifest and with the new.
    let newest = victim.last.clone().expect("published");
    soon("the end of the thief's session", async {
        while refusal(&thief, &friend).await != Some(PeerRule::ManifestChain) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let newest = posthouse_crypto::follow(&victim.domain, None, &newest).expect("sound");
    thief.federation().announce(newest);
    soon("a refusal by its name", async {
        while refusal(&thief, &friend).await != Some(PeerRule::NotANode) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    thief.post(&friend, "a forgery");
    victim.post(&friend, "the truth");
    assert_eq!(friend.receives(1).await, ["the truth"]);
    for relay in [&mut friend, &mut victim, &mut thief] {
        relay.stop().await;
    }
}

#[tokio::test]
async fn an_old_key_is_good_until_its_time_is_over_and_no_longer() {
    let town = Town::new().await;
    let ahead = Arc::new(AtomicU64::new(0));
    let (mut friend, mut victim, mut thief) = robbed(&town, &ahead).await;
    victim.start(&town).await;
    let alone = victim.last.clone().expect("published");
    // The victim's next manifest lists both.
    let next = victim.republish(&town);
    let both = with_old(&victim, &next, wall_clock().after(OVERLAP_MS));
    town.publish(&victim.domain, both.clone());
    let both = posthouse_crypto::follow(&victim.domain, Some(&alone), &both).expect("it follows");
    victim.federation().announce(both.clone());
    asks(&victim, &friend).await.expect("the friend follows");
    thief.federation().announce(both);
    soon("the overlap", async { while asks(&thief, &friend).await.is_err() {} }).await;
    // Its time ends while it is connected.
    ahead.store(OVERLAP_MS + 1_000, Ordering::Relaxed);
    soon("the end of the old key", async {
        while refusal(&thief, &friend).await != Some(PeerRule::NotANode) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    asks(&victim, &friend).await.expect("the new key goes on");
    for relay in [&mut friend, &mut victim, &mut thief] {
        relay.stop().await;
    }
}

#[tokio::test]
async fn an_envelope_by_a_key_whose_time_is_over_is_refused_by_its_name() {
    let town = Town::new().await;
    let victim = Relay::new(&town, "victim.localhost", 2);
    let until = wall_clock().after(OVERLAP_MS);
    let manifest = with_old(&victim, &victim.manifest(), until).peek().expect("a manifest");
    let incarnation = Incarnation::new([1; 16]);
    let open = Open { class: LaneClass::Messages, incarnation, oldest: LaneSeq(1) };
    let envelope = Envelope {
        version: ENVELOPE_VERSION,
        origin: victim.domain.clone(),
        destination: "friend.localhost".parse().expect("a domain"),
        class: LaneClass::Messages,
        incarnation,
        first: LaneSeq(1),
        created: wall_clock(),
        items: List::new(vec![Octets::new(vec![1, 2, 3]).expect("small")]).expect("one"),
    };
    let bytes = SigningKey::from_seed(&OLD).sign(&envelope).as_bytes().clone();
    for (now, refused) in [(until, None), (until.after(1), Some(PeerRule::EnvelopeSignature))] {
        let mut receiver =
            Receiver::new(victim.domain.clone(), envelope.destination.clone(), &open, LaneSeq(1));
        let taken = receiver.handle_envelope(bytes.clone(), |key| manifest.lists_node(key, now));
        assert_eq!(taken.err().map(|violation| violation.rule), refused);
    }
}
