//! Many calls at once, and calls of relays that have many nodes.

mod common;

use common::{Relay, Town, soon};
use posthouse_crypto::{SigningKey, follow};
use posthouse_federation::Circuits;
use posthouse_spec::cbor::{List, Text};
use posthouse_spec::manifest::Node;
use posthouse_spec::peer::KeysRequest;
use tokio::net::TcpListener;

/// More than the calls that libp2p lets stand by default.
const SILENT: usize = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_relays_that_never_answer_are_called_and_stand_in_nobodys_way() {
    let town = Town::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let names: Vec<String> = (0..SILENT).map(|n| format!("silent{n}.localhost")).collect();
    for (name, seed) in names.iter().zip(10..) {
        let mut silent = Relay::new(&town, name, seed);
        silent.listen = vec![format!("/ip4/127.0.0.1/tcp/{port}")];
        town.publish(&silent.domain, silent.manifest());
    }
    let mut b = Relay::new(&town, "b.localhost", 2);
    b.start(&town).await;
    let mut a = Relay::new(&town, "a.localhost", 1);
    a.memory.set_neighbours(&names.iter().map(String::as_str).collect::<Vec<_>>());
    a.start(&town).await;
    let mut calls = Vec::new();
    while calls.len() < SILENT {
        calls.push(soon("a call", listener.accept()).await.expect("it is accepted").0);
    }
    let mut words = [0; 1024];
    for call in &calls {
        // What the caller has said first, and then nothing: it still waits.
        while let Ok(length) = call.try_read(&mut words) {
            assert_ne!(length, 0, "a call ended before the last began");
        }
    }
    let question = KeysRequest::Alias("bob".parse().expect("a name"));
    a.federation().keys(&b.domain, question).await.expect("it is reached at once");
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn a_relay_whose_nodes_cannot_be_reached_is_tried_by_circuit_all_the_same() {
    let town = Town::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let silent = format!("/ip4/127.0.0.1/tcp/{}", listener.local_addr().expect("an address").port());
    let mut p = Relay::new(&town, "p.localhost", 1);
    p.circuits = Circuits { offer_to: Some([].into()), ..Circuits::default() };
    p.start(&town).await;
    let mut home = Relay::new(&town, "home.localhost", 2);
    home.at_home = true;
    home.circuits = Circuits { through: vec![p.domain.clone()], ..Circuits::default() };
    home.start(&town).await;
    // Four more nodes that are gone, and an address at which nobody says a word.
    let mut manifest = home.manifest().peek().expect("ours");
    let gone =
        (7..11).map(|n| Node { key: SigningKey::from_seed(&[n; 32]).public(), ..manifest.nodes[0].clone() });
    manifest.nodes = List::new(gone.chain(manifest.nodes.iter().cloned()).collect()).expect("five");
    manifest.addresses = List::new(vec![Text::clipped(&silent)]).expect("one");
    let signed = home.root.sign(&manifest);
    town.publish(&home.domain, signed.clone());
    home.federation().announce(follow(&home.domain, None, &signed).expect("it is sound"));
    let reserved = || home.federation().reachability().reservations.iter().any(|to| to.since.is_some());
    soon("the reservation", async {
        while !reserved() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let mut a = Relay::new(&town, "a.localhost", 3);
    a.start(&town).await;
    let question = KeysRequest::Alias("bob".parse().expect("a name"));
    a.federation().keys(&home.domain, question).await.expect("it is reached by circuit");
    for relay in [&mut a, &mut home, &mut p] {
        relay.stop().await;
    }
}
