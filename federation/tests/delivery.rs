//! Items cross between real nodes: both ways, over QUIC and over TCP, and over every kind of interruption.

mod common;

use common::{Relay, Town, soon};
use posthouse_federation::PeerError;
use posthouse_spec::envelope::LaneClass;
use posthouse_spec::peer::deliver::ItemRefusal;
use posthouse_spec::peer::{KeysRequest, KeysResponse, RoomRequest, RoomResponse};
use posthouse_spec::{AliasName, RoomId};

async fn two(town: &Town) -> (Relay, Relay) {
    let mut a = Relay::new(town, "a.localhost", 1);
    let mut b = Relay::new(town, "b.localhost", 2);
    a.start(town).await;
    b.start(town).await;
    (a, b)
}

fn numbered(from: usize, to: usize) -> Vec<String> {
    (from..to).map(|n| format!("item {n}")).collect()
}

#[tokio::test]
async fn items_cross_in_order_and_leave_the_outbox() {
    let town = Town::new().await;
    let (mut a, mut b) = two(&town).await;
    for text in numbered(0, 100) {
        a.post(&b, &text);
        b.post(&a, &text);
    }
    assert_eq!(b.receives(100).await, numbered(0, 100));
    assert_eq!(a.receives(100).await, numbered(0, 100));
    soon("the outbox to empty", a.memory.until(|memory| memory.waiting() == 0)).await;
    assert!(a.federation().peers().iter().any(|peer| peer.domain == b.domain && peer.connected));
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn lanes_of_different_classes_share_a_session() {
    let town = Town::new().await;
    let (mut a, mut b) = two(&town).await;
    a.post_on(LaneClass::Control, &b, "a decision");
    a.post_on(LaneClass::Messages, &b, "a message");
    let mut received = b.receives(2).await;
    received.sort();
    assert_eq!(received, ["a decision", "a message"]);
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn each_transport_does_alone() {
    for transport in ["/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/127.0.0.1/tcp/0"] {
        let town = Town::new().await;
        let mut a = Relay::new(&town, "a.localhost", 1);
        let mut b = Relay::new(&town, "b.localhost", 2);
        for relay in [&mut a, &mut b] {
            relay.listen = vec![transport.into()];
            relay.start(&town).await;
        }
        a.post(&b, transport);
        assert_eq!(b.receives(1).await, [transport]);
        a.stop().await;
        b.stop().await;
    }
}

#[tokio::test]
async fn what_waited_for_a_relay_arrives_when_it_returns() {
    let town = Town::new().await;
    let (mut a, mut b) = two(&town).await;
    a.post(&b, "item 0");
    b.receives(1).await;
    b.memory.set_neighbours(&["a.localhost"]);
    b.stop().await;
    for text in numbered(1, 1_000) {
        a.post(&b, &text);
    }
    // The returning relay calls its neighbours, so it does not matter how long they would have waited.
    b.start(&town).await;
    assert_eq!(b.receives(1_000).await, numbered(0, 1_000));
    assert!(b.memory.envelopes() < 500, "a backlog travels in few envelopes");
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn a_sender_that_returns_goes_on_where_it_stopped() {
    let town = Town::new().await;
    let (mut a, mut b) = two(&town).await;
    a.post(&b, "item 0");
    b.receives(1).await;
    a.stop().await;
    for text in numbered(1, 50) {
        a.post(&b, &text);
    }
    a.start(&town).await;
    assert_eq!(b.receives(50).await, numbered(0, 50));
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn a_relay_that_restarts_again_and_again_gets_everything_once() {
    let town = Town::new().await;
    let (mut a, mut b) = two(&town).await;
    b.memory.set_neighbours(&["a.localhost"]);
    for round in 0..5 {
        for text in numbered(round * 100, round * 100 + 100) {
            a.post(&b, &text);
        }
        // Somewhere in the middle.
        b.receives(round * 100 + 10).await;
        b.stop().await;
        b.start(&town).await;
    }
    assert_eq!(b.receives(500).await, numbered(0, 500));
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn a_store_that_fails_delays_and_loses_nothing() {
    let town = Town::new().await;
    let (mut a, mut b) = two(&town).await;
    b.memory.fail_next(2);
    for text in numbered(0, 20) {
        a.post(&b, &text);
    }
    assert_eq!(b.receives(20).await, numbered(0, 20));
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn a_refused_item_is_reported_and_the_lane_goes_on() {
    let town = Town::new().await;
    let (mut a, mut b) = two(&town).await;
    for text in ["before", "refuse me", "after"] {
        a.post(&b, text);
    }
    assert_eq!(b.receives(2).await, ["before", "after"]);
    soon("the report", a.memory.until(|memory| memory.refused().len() == 1)).await;
    assert_eq!(a.memory.refused()[0].reason, ItemRefusal::Invalid);
    soon("the outbox to empty", a.memory.until(|memory| memory.waiting() == 0)).await;
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn large_items_travel_too() {
    let town = Town::new().await;
    let (mut a, mut b) = two(&town).await;
    let large = "x".repeat(4 * 1024 * 1024);
    for _ in 0..5 {
        a.post(&b, &large);
    }
    a.post(&b, "small");
    let received = b.receives(6).await;
    assert!(received[..5].iter().all(|text| *text == large) && received[5] == "small");
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn questions_are_answered_with_the_asker_known() {
    let town = Town::new().await;
    let (mut a, mut b) = two(&town).await;
    let name: AliasName = "bob".parse().expect("a name");
    let answer = a.federation().keys(&b.domain, KeysRequest::Alias(name)).await.expect("an answer");
    let KeysResponse::Refused(refusal) = answer else { panic!("{answer:?}") };
    assert!(refusal.detail.as_str().starts_with("a.localhost asked Alias(bob"), "{refusal:?}");
    let tree = RoomRequest::Tree(RoomId::new([1; 32]));
    let answer = b.federation().room(&a.domain, tree).await.expect("an answer");
    let RoomResponse::Refused(refusal) = answer else { panic!("{answer:?}") };
    assert!(refusal.detail.as_str().starts_with("b.localhost asked Tree"), "{refusal:?}");
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn a_question_finds_a_relay_that_has_restarted() {
    let town = Town::new().await;
    let (mut a, mut b) = two(&town).await;
    let question = || KeysRequest::Alias("bob".parse().expect("a name"));
    a.federation().keys(&b.domain, question()).await.expect("an answer");
    b.stop().await;
    b.start(&town).await;
    a.federation().keys(&b.domain, question()).await.expect("an answer after the restart");
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn a_relay_that_is_down_is_named_as_unreachable() {
    let town = Town::new().await;
    let (mut a, mut b) = two(&town).await;
    b.stop().await;
    let question = KeysRequest::Alias("bob".parse().expect("a name"));
    let error = a.federation().keys(&b.domain, question).await.expect_err("nobody there");
    assert!(matches!(error, PeerError::Unreachable { .. }), "{error}");
    let status =
        a.federation().peers().into_iter().find(|peer| peer.domain == b.domain).expect("it was tried");
    assert!(!status.connected && status.last_error.is_some() && status.retry_at.is_some(), "{status:?}");
    a.stop().await;
}

#[tokio::test]
async fn a_domain_without_a_relay_is_named_as_unknown() {
    let town = Town::new().await;
    let (mut a, b) = two(&town).await;
    town.withdraw("b.localhost");
    let question = KeysRequest::Alias("bob".parse().expect("a name"));
    let error = a.federation().keys(&b.domain, question).await.expect_err("no manifest");
    assert!(matches!(&error, PeerError::Unknown { why, .. } if why.contains("404")), "{error}");
    a.stop().await;
}
