use super::*;
use crate::error::PeerError;
use posthouse_crypto::{SigningKey, follow};
use posthouse_spec::cbor::{List, Text};
use posthouse_spec::peer::hello::PEER_VERSION;
use posthouse_spec::{KeyHash, ManifestSeq};

fn manifest(domain: &str) -> Verified<Manifest> {
    let root = SigningKey::from_seed(&[1; 32]);
    let domain: Domain = domain.parse().expect("a domain of the test");
    let manifest = Manifest {
        domain: domain.clone(),
        seq: ManifestSeq(1),
        previous: None,
        root: root.public(),
        next_root: KeyHash::new([0; 32]),
        ordering: root.public(),
        nodes: List::default(),
        addresses: List::default(),
        client_url: Text::clipped("https://a.example"),
        created: Millis(1),
        lineage: None,
        mailbags: None,
        circuits: None,
    };
    follow(&domain, None, &root.sign(&manifest)).expect("it is sound")
}

fn connection(n: usize) -> ConnectionId {
    ConnectionId::new_unchecked(n)
}

#[test]
fn the_newest_hello_is_current_and_the_call_before_it_superfluous() {
    let peers = Peers::default();
    let node = PeerId::random();
    let domain: Domain = "a.example".parse().expect("a domain");
    for n in [1, 2] {
        peers.opened(connection(n), node, true, Millis(1));
    }
    peers.opened(connection(3), node, false, Millis(1));
    assert_eq!(
        peers.introduced(connection(1), manifest("a.example"), PEER_VERSION),
        Some(vec![connection(2)])
    );
    assert_eq!(peers.introduced(connection(3), manifest("a.example"), PEER_VERSION), Some(vec![]));
    assert_eq!(peers.peer(&domain).session().map(|s| s.connection), Some(connection(3)));
    peers.closed(connection(3));
    assert_eq!(peers.peer(&domain).session().map(|s| s.connection), Some(connection(1)));
    peers.closed(connection(1));
    assert!(peers.peer(&domain).session().is_none());
    assert_eq!(
        peers.introduced(connection(1), manifest("a.example"), PEER_VERSION),
        None,
        "closed meanwhile"
    );
}

#[test]
fn contact_resets_the_wait() {
    let peers = Peers::default();
    let domain: Domain = "a.example".parse().expect("a domain");
    let peer = peers.peer(&domain);
    let error = PeerError::Unreachable { domain, why: "nobody there".into() };
    peer.failed(error.clone(), Millis(5), 0);
    let at = peer.not_before();
    assert!(at > Millis(5));
    peer.failed(error, Millis(6), 0);
    assert_eq!(peer.not_before(), at, "impatience is not punished");
    peers.opened(connection(1), PeerId::random(), true, Millis(6));
    peers.introduced(connection(1), manifest("a.example"), PEER_VERSION);
    assert_eq!(peer.not_before(), Millis(0));
    assert!(peer.recent_failure(Millis(6), 1_000).is_none());
}

#[test]
fn a_clock_that_is_set_back_keeps_no_relay_waiting() {
    let (peers, domain): (_, Domain) = (Peers::default(), "a.example".parse().expect("a domain"));
    let peer = peers.peer(&domain);
    let error = || PeerError::Unreachable { domain: domain.clone(), why: "nobody there".into() };
    let (late, early) = (Millis(3 * 60 * 60 * 1_000), Millis(60 * 60 * 1_000));
    peer.failed(error(), late, 0);
    assert!(peer.recent_failure(early, 1_000).is_none(), "it may be dialled");
    peer.failed(error(), early, 0);
    assert_eq!(peer.not_before(), early.after(2_000), "and waits by the clock as it is now");
}

#[test]
fn whoever_never_says_hello_is_found_out() {
    let peers = Peers::default();
    peers.opened(connection(1), PeerId::random(), true, Millis(1));
    peers.opened(connection(2), PeerId::random(), true, Millis(1));
    peers.introduced(connection(2), manifest("a.example"), PEER_VERSION);
    peers.opened(connection(3), PeerId::random(), true, Millis(50));
    assert_eq!(peers.mute(Millis(50)), vec![connection(1)]);
}

#[test]
fn whoever_loses_its_session_for_a_reason_loses_what_it_has_opened_besides() {
    let (peers, node, other) = (Peers::default(), PeerId::random(), PeerId::random());
    for (n, of) in [(1, node), (2, node), (3, other)] {
        peers.opened(connection(n), of, true, Millis(1));
    }
    peers.introduced(connection(1), manifest("a.example"), PEER_VERSION);
    let sorted = |mut all: Vec<ConnectionId>| {
        all.sort();
        all
    };
    let both = vec![connection(1), connection(2)];
    assert_eq!(sorted(peers.connections_of(|domain| domain.as_str() == "a.example")), both);
    assert_eq!(sorted(peers.delisted(Millis(1))), both, "the manifest lists no node");
    assert_eq!(peers.domain_of(node).map(|domain| domain.to_string()).as_deref(), Some("a.example"));
    peers.closed(connection(1));
    assert_eq!(peers.domain_of(node), None, "though it is still connected");
}
