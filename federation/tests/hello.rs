//! Who may say hello: each rule by its name, seen from the relay that calls.

#![expect(clippy::panic, reason = "a test that meets something else fails")]

mod common;

use std::sync::Arc;

use common::{Relay, Town, soon, wall_clock};
use posthouse_crypto::SigningKey;
use posthouse_federation::{PeerError, Policy};
use posthouse_spec::peer::KeysRequest;
use posthouse_spec::peer::hello::PeerRule;
use posthouse_spec::{Domain, Millis};

/// What `caller` is told when it calls `called`.
async fn refusal(caller: &Relay, called: &Relay) -> (PeerRule, String) {
    let question = KeysRequest::Alias("bob".parse().expect("a name"));
    match caller.federation().keys(&called.domain, question).await {
        Err(PeerError::Refused { rule, detail, .. }) => (rule, detail),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_clock_off_by_a_day_is_refused_with_how_far_and_whose() {
    let town = Town::new().await;
    let mut a = Relay::new(&town, "a.localhost", 1);
    let mut b = Relay::new(&town, "b.localhost", 2);
    b.clock = Arc::new(|| wall_clock().after(24 * 60 * 60 * 1000));
    a.start(&town).await;
    b.start(&town).await;
    let (rule, detail) = refusal(&b, &a).await;
    assert_eq!(rule, PeerRule::ClockSkew);
    assert!(detail.contains("b.localhost is 86") && detail.contains("ahead of"), "{detail}");
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn a_peer_that_claims_anothers_domain_is_refused() {
    let town = Town::new().await;
    let mut a = Relay::new(&town, "a.localhost", 1);
    let mut victim = Relay::new(&town, "victim.localhost", 2);
    a.start(&town).await;
    victim.start(&town).await;
    let genuine = victim.manifest();
    let own = town.board_entry(&victim.domain);
    // A relay of the same name with keys of its own, while the town still knows the real one.
    let mut thief = Relay::new(&town, "victim.localhost", 3);
    thief.start(&town).await;
    town.publish(&victim.domain, own);
    let (rule, _) = refusal(&thief, &a).await;
    assert_eq!(rule, PeerRule::ManifestChain);
    // And what is pinned is the real one's.
    let pinned = a.memory.pin_of("victim.localhost").expect("looked up when the thief called");
    assert_eq!(pinned.kid(), genuine.kid());
    for relay in [&mut a, &mut victim, &mut thief] {
        relay.stop().await;
    }
}

#[tokio::test]
async fn a_domain_that_cannot_be_looked_up_is_not_believed_on_its_own_word() {
    let town = Town::new().await;
    let mut a = Relay::new(&town, "a.localhost", 1);
    let mut b = Relay::new(&town, "b.localhost", 2);
    a.start(&town).await;
    b.start(&town).await;
    town.withdraw("b.localhost");
    let (rule, detail) = refusal(&b, &a).await;
    assert_eq!(rule, PeerRule::UnknownDomain);
    assert!(detail.contains("404"), "{detail}");
    assert!(a.memory.pin_of("b.localhost").is_none());
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn a_node_whose_time_is_over_is_no_node() {
    let town = Town::new().await;
    let mut a = Relay::new(&town, "a.localhost", 1);
    let mut b = Relay::new(&town, "b.localhost", 2);
    // By its own clock, four minutes behind, its listing still holds; by the other's it has ended.
    b.clock = Arc::new(|| Millis(wall_clock().0 - 4 * 60 * 1000));
    b.valid_ms = 60 * 1000;
    a.start(&town).await;
    b.start(&town).await;
    let (rule, _) = refusal(&b, &a).await;
    assert_eq!(rule, PeerRule::NotANode);
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn a_denied_relay_is_told_so_and_is_not_called_either() {
    let town = Town::new().await;
    let mut a = Relay::new(&town, "a.localhost", 1);
    let mut b = Relay::new(&town, "b.localhost", 2);
    a.policy = Policy::Deny(["b.localhost".parse().expect("a domain")].into());
    a.start(&town).await;
    b.start(&town).await;
    assert_eq!(refusal(&b, &a).await.0, PeerRule::NotAllowed);
    assert_eq!(refusal(&a, &b).await.0, PeerRule::NotAllowed);
    // What was posted before the operator changed the policy stays where it is.
    a.post(&b, "too late");
    assert_eq!(a.memory.waiting(), 1);
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn a_manifest_is_followed_along_its_chain_and_no_other_way() {
    let town = Town::new().await;
    let mut a = Relay::new(&town, "a.localhost", 1);
    let mut b = Relay::new(&town, "b.localhost", 2);
    a.start(&town).await;
    b.start(&town).await;
    a.post(&b, "one");
    b.receives(1).await;
    // Each start publishes the next manifest of the chain.
    b.stop().await;
    b.start(&town).await;
    a.post(&b, "two");
    b.receives(2).await;
    let second = a.memory.pin_of("b.localhost").expect("pinned").peek().expect("ours");
    assert_eq!(second.seq.0, 2);
    b.stop().await;
    // A relay that lost its data folder has another root: operators must say that they trust it.
    let mut reborn = Relay::new(&town, "b.localhost", 9);
    reborn.start(&town).await;
    assert_eq!(refusal(&reborn, &a).await.0, PeerRule::ManifestChain);
    let question = KeysRequest::Alias("bob".parse().expect("a name"));
    let error =
        a.federation().keys(&reborn.domain, question).await.expect_err("not the relay that is pinned");
    assert!(matches!(error, PeerError::Unreachable { .. }), "{error}");
    a.stop().await;
    reborn.stop().await;
}

#[tokio::test]
async fn nobody_is_this_relay_but_itself() {
    let town = Town::new().await;
    let mut a = Relay::new(&town, "a.localhost", 1);
    let mut b = Relay::new(&town, "b.localhost", 2);
    a.start(&town).await;
    b.start(&town).await;
    let itself: Domain = "a.localhost".parse().expect("a domain");
    let question = KeysRequest::Alias("bob".parse().expect("a name"));
    let error = a.federation().keys(&itself, question).await.expect_err("a relay does not call itself");
    assert!(matches!(error, PeerError::Refused { rule: PeerRule::NotAllowed, .. }), "{error}");
    // A caller under the name of the relay that it calls, with other keys: it has to find that relay under yet another
    // name first, which is what the town's board is rewritten for.
    let genuine = town.board_entry(&a.domain);
    let mut double = Relay::new(&town, "a.localhost", 3);
    double.start(&town).await;
    town.publish(&"alias.localhost".parse().expect("a domain"), genuine);
    let alias: Domain = "alias.localhost".parse().expect("a domain");
    let question = KeysRequest::Alias("bob".parse().expect("a name"));
    let error = double.federation().keys(&alias, question).await.expect_err("a manifest of another name");
    assert!(matches!(error, PeerError::Unknown { .. }), "{error}");
    for relay in [&mut a, &mut b, &mut double] {
        relay.stop().await;
    }
}

#[tokio::test]
async fn both_may_call_at_once() {
    let town = Town::new().await;
    let mut a = Relay::new(&town, "a.localhost", 1);
    let mut b = Relay::new(&town, "b.localhost", 2);
    a.start(&town).await;
    b.start(&town).await;
    for n in 0..50 {
        a.post(&b, &format!("{n}"));
        b.post(&a, &format!("{n}"));
    }
    let expected: Vec<String> = (0..50).map(|n| n.to_string()).collect();
    let (at_a, at_b) = soon("both ways", async { (a.receives(50).await, b.receives(50).await) }).await;
    assert_eq!((at_a, at_b), (expected.clone(), expected));
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn a_node_starts_only_with_a_manifest_that_lists_it() {
    use posthouse_federation::{BindError, Node, NodeConfig};
    let town = Town::new().await;
    let relay = Relay::new(&town, "a.localhost", 1);
    let config = |domain: &str, seed: u8| NodeConfig {
        circuits: posthouse_federation::Circuits::default(),
        gossip: true,
        domain: domain.parse().expect("a domain"),
        node_key: SigningKey::from_seed(&[seed; 32]),
        listen: vec!["/ip4/127.0.0.1/tcp/0".into()],
        overrides: None,
        policy: Policy::Open,
        allow_private: false,
        limits: posthouse_federation::PeerLimits::default(),
        clock: Arc::new(wall_clock),
    };
    let manifest = relay.manifest();
    for config in [config("b.localhost", 101), config("a.localhost", 7)] {
        let listening = Node::listen(config).await.expect("a free port");
        let error = listening.start(manifest.clone(), relay.memory.clone()).expect_err("not this node's");
        assert!(matches!(error, BindError::Manifest(_)), "{error}");
    }
    let listening = Node::listen(config("a.localhost", 101)).await.expect("a free port");
    let mut second = config("a.localhost", 101);
    second.listen = listening.addresses();
    let error = Node::listen(second).await.expect_err("the port is taken");
    assert!(matches!(error, BindError::Listen { .. }), "{error}");
    let mut nonsense = config("a.localhost", 101);
    nonsense.listen = vec!["127.0.0.1:80".into()];
    let error = Node::listen(nonsense).await.expect_err("no multiaddress");
    assert!(matches!(error, BindError::Address { .. }), "{error}");
}
