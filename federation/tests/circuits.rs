//! Relays at home: reached through another relay, and directly where a way can be found.

mod common;

use std::time::Duration;

use common::{Relay, Town, soon};
use posthouse_federation::{Circuits, Federation};

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
