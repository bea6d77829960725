//! Relays at home: reached through another relay, and directly where a way can be found.

mod common;

use std::time::Duration;

use common::{Relay, Town, frame, soon, wall_clock};
use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use libp2p::identity::Keypair;
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, StreamProtocol, SwarmBuilder, identify, noise, tcp, yamux};
use posthouse_federation::codec::FrameReader;
use posthouse_federation::{Circuits, Federation};
use posthouse_spec::cbor::List;
use posthouse_spec::peer::hello::{self, Hello, HelloResponse, PEER_VERSION};
use posthouse_spec::peer::{KeysResponse, keys};
use tokio::sync::mpsc;

/// The address of which the way to a relay consists, in a word.
fn via(at: &Federation, to: &Relay) -> Option<&'static str> {
    at.peers().into_iter().find(|peer| peer.domain == to.domain)?.way.map(|way| way.via)
}

/// Waits until something holds that nobody tells of.
async fn until(what: &str, so: impl Fn() -> bool) {
    soon(what, async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

/// A public relay, and one at home that is reached through it.
async fn public_and_home(town: &Town, offer_to: &[&str], allow_private: bool) -> (Relay, Relay) {
    let mut p = Relay::new(town, "p.localhost", 1);
    let offer_to = offer_to.iter().map(|domain| domain.parse().expect("a domain of the test")).collect();
    p.circuits = Circuits { offer_to: Some(offer_to), ..Circuits::default() };
    p.allow_private = allow_private;
    p.start(town).await;
    let mut home = Relay::new(town, "home.localhost", 2);
    home.at_home = true;
    home.circuits = Circuits { through: vec![p.domain.clone()], ..Circuits::default() };
    home.allow_private = allow_private;
    home.start(town).await;
    (p, home)
}

fn reserved(home: &Relay) -> bool {
    home.federation().reachability().reservations.iter().any(|reservation| reservation.since.is_some())
}

#[tokio::test]
async fn a_relay_at_home_is_reached_by_circuit() {
    let town = Town::new().await;
    let (mut p, mut home) = public_and_home(&town, &[], false).await;
    until("the reservation", || reserved(&home)).await;
    let mut a = Relay::new(&town, "a.localhost", 3);
    a.start(&town).await;
    a.post(&home, "hello at home");
    assert_eq!(home.receives(1).await, ["hello at home"]);
    assert_eq!(via(&a.federation(), &home), Some("circuit"));
    home.post(&a, "hello outside");
    assert_eq!(a.receives(1).await, ["hello outside"]);
    for relay in [&mut a, &mut home, &mut p] {
        relay.stop().await;
    }
}

#[tokio::test]
async fn a_circuit_becomes_a_direct_connection_where_that_can_be() {
    let town = Town::new().await;
    let (mut p, mut home) = public_and_home(&town, &[], true).await;
    until("the reservation", || reserved(&home)).await;
    let mut a = Relay::new(&town, "a.localhost", 3);
    a.allow_private = true;
    a.start(&town).await;
    a.post(&home, "first");
    home.receives(1).await;
    until("a direct connection", || via(&a.federation(), &home).is_some_and(|via| via != "circuit")).await;
    until("the other side's too", || via(&home.federation(), &a).is_some_and(|via| via != "circuit")).await;
    a.post(&home, "second");
    home.post(&a, "third");
    assert_eq!(home.receives(2).await, ["first", "second"]);
    assert_eq!(a.receives(1).await, ["third"]);
    for relay in [&mut a, &mut home, &mut p] {
        relay.stop().await;
    }
}

#[tokio::test]
async fn a_reservation_is_made_again_after_the_other_relay_was_down() {
    let town = Town::new().await;
    let (mut p, mut home) = public_and_home(&town, &[], false).await;
    until("the reservation", || reserved(&home)).await;
    p.stop().await;
    until("its loss", || !reserved(&home)).await;
    p.start(&town).await;
    until("the reservation after the loss", || reserved(&home)).await;
    for relay in [&mut home, &mut p] {
        relay.stop().await;
    }
}

#[tokio::test]
async fn who_is_not_on_the_list_gets_no_reservation() {
    let town = Town::new().await;
    let (mut p, mut home) = public_and_home(&town, &["other.localhost"], false).await;
    let trouble = || {
        let reservations = home.federation().reachability().reservations;
        reservations.into_iter().find_map(|reservation| reservation.trouble)
    };
    until("the refusal", || trouble().is_some()).await;
    assert!(!reserved(&home), "{:?}", trouble());
    for relay in [&mut home, &mut p] {
        relay.stop().await;
    }
}

#[derive(NetworkBehaviour)]
struct Telling {
    streams: libp2p_stream::Behaviour,
    identify: identify::Behaviour,
}

#[tokio::test]
async fn only_whoever_has_said_hello_tells_a_relay_as_what_it_is_seen() {
    let town = Town::new().await;
    let mut a = Relay::new(&town, "a.localhost", 1);
    a.start(&town).await;
    let mut stranger = Relay::new(&town, "stranger.localhost", 66);
    stranger.listen = vec!["/ip4/127.0.0.1/tcp/1".into()];
    let manifest = stranger.republish(&town);
    let keypair = Keypair::ed25519_from_bytes(&mut stranger.key_seed.clone()).expect("a seed");
    let mut swarm = SwarmBuilder::with_existing_identity(keypair)
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .expect("TCP")
        .with_behaviour(|key| Telling {
            streams: libp2p_stream::Behaviour::new(),
            identify: identify::Behaviour::new(identify::Config::new("/test/1".into(), key.public())),
        })
        .expect("its behaviours")
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(600)))
        .build();
    let control = swarm.behaviour().streams.new_control();
    let address = a.listen.iter().find(|text| text.contains("tcp")).expect("it listens there");
    swarm.dial(address.parse::<Multiaddr>().expect("an address")).expect("dialled");
    let (met, mut meeting) = mpsc::unbounded_channel();
    let (tell, mut told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            match swarm.select_next_some().await {
                SwarmEvent::ConnectionEstablished { peer_id, .. } => drop(met.send(peer_id)),
                SwarmEvent::Behaviour(TellingEvent::Identify(
                    event @ (identify::Event::Received { .. } | identify::Event::Sent { .. }),
                )) => drop(tell.send(event)),
                _ => {}
            }
        }
    });
    let target = soon("the connection", meeting.recv()).await.expect("connected");
    let said = async |protocol, words: &[u8]| {
        let opening = control.clone().open_stream(target, StreamProtocol::new(protocol)).await;
        let (reading, mut writing) = opening.expect("a stream").split();
        writing.write_all(words).await.expect("written");
        writing.flush().await.expect("flushed");
        FrameReader::new(reading, 1 << 20)
    };
    // What comes after a stranger's words is answered, and its words are not.
    for _ in 0..8 {
        let refused: KeysResponse = said(keys::PROTOCOL, &[]).await.value().await.expect("an answer");
        assert!(matches!(refused, KeysResponse::Rejected(_)), "{refused:?}");
    }
    assert!(told.try_recv().is_err(), "a stranger was asked who it is, or told");
    let words = Hello {
        min_version: PEER_VERSION,
        max_version: PEER_VERSION,
        manifest,
        now: wall_clock(),
        cursors: List::default(),
    };
    let heard: HelloResponse = said(hello::PROTOCOL, &frame(&words)).await.value().await.expect("an answer");
    assert!(matches!(heard, HelloResponse::Hello(_)), "{heard:?}");
    soon("what it is seen as", told.recv()).await.expect("its swarm runs");
    a.stop().await;
}
