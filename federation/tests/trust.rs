//! Whom a relay takes another one for: along chains with gaps, against contradictions, and at its operator's word.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::{Relay, Town, soon, wall_clock};
use posthouse_crypto::{SigningKey, lineage};
use posthouse_federation::{Clock, PeerError, Pins as _};
use posthouse_spec::ManifestSeq;
use posthouse_spec::peer::KeysRequest;
use posthouse_spec::peer::hello::PeerRule;

/// A call, whatever is asked: the refusal, if hello was refused.
async fn call(caller: &Relay, called: &Relay) -> Option<(PeerRule, String)> {
    let question = KeysRequest::Alias("bob".parse().expect("a name"));
    match caller.federation().keys(&called.domain, question).await {
        Ok(_) => None,
        Err(PeerError::Refused { rule, detail, .. }) => Some((rule, detail)),
        Err(other) => Some((PeerRule::Unavailable, other.to_string())),
    }
}

/// The position that is pinned for a relay.
fn pinned(at: &Relay, of: &Relay) -> u64 {
    at.memory.pin_of(of.domain.as_str()).expect("pinned").peek().expect("a manifest").seq.0
}

/// The clock of both relays, which a test may put forward.
#[derive(Clone, Default)]
struct Hands(Arc<AtomicU64>);

impl Hands {
    /// As long as a failure is remembered, and more.
    fn put_forward(&self) {
        self.0.fetch_add(6_000, Ordering::Relaxed);
    }

    fn clock(&self) -> Clock {
        let hands = Arc::clone(&self.0);
        Arc::new(move || wall_clock().after(hands.load(Ordering::Relaxed)))
    }
}

async fn two(town: &Town) -> (Relay, Relay, Hands) {
    let hands = Hands::default();
    let mut a = Relay::new(town, "a.localhost", 1);
    let mut b = Relay::new(town, "b.localhost", 2);
    (a.clock, b.clock) = (hands.clock(), hands.clock());
    a.start(town).await;
    b.start(town).await;
    assert_eq!(call(&a, &b).await, None);
    (a, b, hands)
}

#[tokio::test]
async fn a_relay_that_changed_its_root_twice_meanwhile_is_followed_over_its_links() {
    let town = Town::new().await;
    let (mut a, mut b, _) = two(&town).await;
    b.stop().await;
    for seed in [201, 202] {
        b.rotate_root(seed);
        b.republish(&town);
    }
    b.start(&town).await;
    // What it shows in its hello follows nothing that is known here; the links in between do.
    assert_eq!(call(&b, &a).await, None);
    assert_eq!(pinned(&a, &b), 4);
    for seq in 1..=4 {
        let kept = a.memory.pinned_from(&b.domain, ManifestSeq(seq)).await.expect("the store").expect("kept");
        assert_eq!(kept.peek().expect("a manifest").seq.0, seq);
    }
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn a_chain_with_a_link_that_is_missing_or_another_is_not_followed() {
    let town = Town::new().await;
    let (mut a, mut b, hands) = two(&town).await;
    let first = b.last.clone().expect("published");
    b.stop().await;
    b.rotate_root(201);
    let second = b.republish(&town);
    b.rotate_root(202);
    town.replace_link(&b.domain, 2, None);
    b.start(&town).await;
    assert_eq!(call(&b, &a).await.expect("refused").0, PeerRule::ManifestChain);
    assert_eq!(pinned(&a, &b), 1);
    // Neither is one whose first link is not the one that was pinned.
    town.replace_link(&b.domain, 2, Some(second));
    town.replace_link(&b.domain, 1, Some(a.last.clone().expect("published")));
    hands.put_forward();
    let (rule, detail) = call(&b, &a).await.expect("refused");
    assert!(rule == PeerRule::ManifestChain && detail.contains("wrong-domain"), "{rule}: {detail}");
    town.replace_link(&b.domain, 1, Some(first));
    hands.put_forward();
    assert_eq!(call(&b, &a).await, None);
    assert_eq!(pinned(&a, &b), 3);
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn an_earlier_manifest_is_had_if_the_hashes_lead_to_it() {
    let town = Town::new().await;
    let mut a = Relay::new(&town, "a.localhost", 1);
    let mut b = Relay::new(&town, "b.localhost", 2);
    a.start(&town).await;
    let links: Vec<_> = (0..4).map(|_| b.republish(&town)).collect();
    b.start(&town).await;
    assert_eq!(call(&a, &b).await, None);
    assert_eq!(pinned(&a, &b), 5);
    let domain = b.domain.clone();
    let at = async |seq| a.federation().manifest_at(&domain, ManifestSeq(seq)).await;
    assert_eq!(at(5).await.expect("the newest").seq, ManifestSeq(5));
    assert_eq!(at(3).await.expect("two links back").signed(), &links[2]);
    // From now on it is kept, and nobody is asked.
    let asked = town.asked("b.localhost");
    assert_eq!(at(3).await.expect("kept").signed(), &links[2]);
    assert_eq!(town.asked("b.localhost"), asked);
    // A thief of the root may serve what they like for a link: no later one names it.
    let mut stolen = links[0].peek().expect("a manifest");
    stolen.ordering = a.root.public();
    town.replace_link(&b.domain, 1, Some(b.root.sign(&stolen)));
    assert_eq!(at(2).await.expect("still true").signed(), &links[1]);
    let error = at(1).await.expect_err("not on the chain");
    assert!(matches!(&error, PeerError::Unknown { why, .. } if why.contains("previous-hash")), "{error}");
    assert!(matches!(at(0).await, Err(PeerError::Unknown { .. })));
    assert!(matches!(at(6).await, Err(PeerError::Unreachable { .. })), "not yet");
    b.republish(&town);
    assert_eq!(at(6).await.expect("looked up anew").seq, ManifestSeq(6));
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn two_manifests_of_one_position_are_kept_and_halt_the_chain_until_the_operator_decides() {
    let town = Town::new().await;
    let (mut a, mut b, hands) = two(&town).await;
    let first = b.last.clone().expect("published");
    // Its data folder is restored from a copy without manifests, and says the first position once more.
    b.stop().await;
    b.last = None;
    b.start(&town).await;
    let second = b.last.clone().expect("published");
    let (rule, detail) = call(&b, &a).await.expect("refused");
    assert_eq!(rule, PeerRule::Equivocation, "{detail}");
    let trust = a.federation().trust(&b.domain).await.expect("the store");
    assert!(trust.is_frozen());
    assert_eq!(trust.evidence.len(), 1);
    assert_eq!((&trust.evidence[0].pinned, &trust.evidence[0].other), (&first, &second));
    // What was pinned stays in force, and even its successors are not followed.
    b.stop().await;
    b.last = Some(first.clone());
    b.start(&town).await;
    assert_eq!(call(&b, &a).await.expect("refused").0, PeerRule::Equivocation);
    assert_eq!(pinned(&a, &b), 1);
    assert_eq!(a.memory.pin_of("b.localhost").as_ref(), Some(&first));
    // The operator has asked, and pins it again.
    let repinned = a.federation().repin(&b.domain).await.expect("found");
    assert_eq!(repinned.before.as_ref().map(|before| before.signed()), Some(&first));
    assert!(!repinned.is_another(), "the same chain");
    assert_eq!(pinned(&a, &b), 2);
    let trust = a.federation().trust(&b.domain).await.expect("the store");
    assert!(!trust.is_frozen());
    assert_eq!(trust.evidence.len(), 1, "a record of what was");
    hands.put_forward();
    assert_eq!(call(&b, &a).await, None);
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn a_chain_that_goes_on_from_another_manifest_than_the_pinned_one_is_evidence_too() {
    let town = Town::new().await;
    let (mut a, mut b, _) = two(&town).await;
    let first = b.last.clone();
    b.stop().await;
    b.start(&town).await;
    assert_eq!(call(&a, &b).await, None);
    let pinned = b.last.clone().expect("published");
    b.stop().await;
    b.last = first;
    let other = b.republish(&town);
    b.start(&town).await;
    // It shows the one behind, and its chain the one before.
    assert_eq!(call(&b, &a).await.expect("refused").0, PeerRule::Equivocation);
    let trust = a.federation().trust(&b.domain).await.expect("the store");
    assert_eq!((&trust.evidence[0].pinned, &trust.evidence[0].other), (&pinned, &other));
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn a_second_manifest_of_a_position_behind_the_pinned_one_is_evidence() {
    let town = Town::new().await;
    let (mut a, mut b, _) = two(&town).await;
    let first = b.last.clone().expect("published");
    b.stop().await;
    b.start(&town).await;
    assert_eq!(call(&b, &a).await, None);
    assert_eq!(pinned(&a, &b), 2);
    b.stop().await;
    // The copy from which it is restored is older than what it has shown since.
    b.last = None;
    b.start(&town).await;
    let other = b.last.clone().expect("published");
    assert_eq!(call(&b, &a).await.expect("refused").0, PeerRule::Equivocation);
    let trust = a.federation().trust(&b.domain).await.expect("the store");
    assert_eq!((&trust.evidence[0].pinned, &trust.evidence[0].other), (&first, &other));
    assert_eq!(pinned(&a, &b), 2);
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn a_thief_of_a_root_that_was_replaced_makes_no_evidence() {
    let town = Town::new().await;
    let (mut a, mut b, _) = two(&town).await;
    let stolen = SigningKey::from_seed(&[2; 32]);
    b.stop().await;
    b.rotate_root(201);
    b.start(&town).await;
    assert_eq!(call(&b, &a).await, None);
    assert_eq!(pinned(&a, &b), 2);
    b.stop().await;
    let after = b.last.take();
    let root = std::mem::replace(&mut b.root, stolen);
    b.start(&town).await;
    assert_eq!(call(&b, &a).await.expect("refused").0, PeerRule::ManifestChain);
    assert!(!a.federation().trust(&b.domain).await.expect("the store").is_frozen());
    b.stop().await;
    (b.last, b.root) = (after, root);
    b.start(&town).await;
    assert_eq!(call(&b, &a).await, None);
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn a_relay_that_lost_its_keys_is_known_again_once_the_operator_says_so() {
    let town = Town::new().await;
    let (mut a, mut b, _) = two(&town).await;
    let before = b.last.clone().expect("published");
    b.stop().await;
    let mut reborn = Relay::new(&town, "b.localhost", 9);
    reborn.start(&town).await;
    // A stranger's word under a known name is no evidence against the name.
    assert_eq!(call(&reborn, &a).await.expect("refused").0, PeerRule::ManifestChain);
    assert!(!a.federation().trust(&b.domain).await.expect("the store").is_frozen());
    let repinned = a.federation().repin(&b.domain).await.expect("found");
    assert!(repinned.is_another());
    assert_eq!(repinned.before.map(|manifest| manifest.signed().clone()), Some(before));
    assert_eq!(Some(repinned.now.signed()), reborn.last.as_ref());
    assert_ne!(lineage(&repinned.now).as_bytes(), &[0; 32]);
    assert_eq!(call(&a, &reborn).await, None);
    a.stop().await;
    reborn.stop().await;
}

#[tokio::test]
async fn a_stranger_cannot_have_the_same_name_looked_up_again_and_again() {
    let town = Town::new().await;
    let mut a = Relay::new(&town, "a.localhost", 1);
    let mut b = Relay::new(&town, "b.localhost", 2);
    let ahead = Arc::new(AtomicU64::new(0));
    let hands = Arc::clone(&ahead);
    b.clock = Arc::new(move || wall_clock().after(hands.load(Ordering::Relaxed)));
    a.start(&town).await;
    b.start(&town).await;
    town.withdraw("b.localhost");
    assert_eq!(call(&b, &a).await.expect("refused").0, PeerRule::UnknownDomain);
    let asked = town.asked("b.localhost");
    // It calls again as soon as it does at all.
    ahead.store(1_000, Ordering::Relaxed);
    let (rule, detail) = call(&b, &a).await.expect("refused");
    assert!(rule == PeerRule::UnknownDomain && detail.contains("a moment ago"), "{rule}: {detail}");
    assert_eq!(town.asked("b.localhost"), asked);
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn a_node_that_its_relay_has_replaced_loses_its_session() {
    let town = Town::new().await;
    let (mut a, mut b, _) = two(&town).await;
    // The next manifest lists another node, while the old one still runs: a thief of the old key, or a slow hand.
    b.key_seed = [77; 32];
    b.republish(&town);
    let connected = |a: &Relay| a.federation().peers().iter().any(|peer| peer.connected);
    assert!(connected(&a));
    let newest = a.federation().newest_manifest(&b.domain).await.expect("it follows");
    assert_eq!(newest.seq, ManifestSeq(2));
    soon("the session ends", async {
        while connected(&a) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(call(&b, &a).await.expect("refused").0, PeerRule::ManifestChain);
    a.stop().await;
    b.stop().await;
}
