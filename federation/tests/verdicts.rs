//! Nobody escapes a verdict by a second connection, by haste, or by what changes while a hello is under way; and nobody
//! pays twice.

mod common;

use std::sync::Arc;

use common::{Attacker, Relay, Town, frame, soon, wall_clock};
use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::StreamProtocol;
use posthouse_federation::codec::FrameReader;
use posthouse_federation::{Circuits, ConductStatus, Treatment};
use posthouse_spec::peer::hello::{HelloResponse, PeerRule};
use posthouse_spec::peer::{KeysResponse, hello, keys};

/// Every relay is asked for this by libp2p itself; it costs nobody anything.
const PING: &str = "/ipfs/ping/1.0.0";
const HOP: &str = "/libp2p/circuit/relay/0.2.0/hop";
/// Asks for a reservation: a `HopMessage` of type RESERVE, and its length.
const RESERVE: [u8; 3] = [2, 0x08, 0];
/// The end of a `HopMessage` whose status is OK.
const GRANTED: [u8; 2] = [0x28, 100];

/// A relay whose time stands still: no silence on a connection grows too long.
fn timeless(town: &Town) -> Relay {
    let mut a = Relay::new(town, "a.localhost", 1);
    let now = wall_clock();
    a.clock = Arc::new(move || now);
    a
}

fn conduct(of: &Relay, evil: &Attacker) -> Option<ConductStatus> {
    of.federation().peers().into_iter().find(|peer| peer.domain == evil.relay.domain)?.conduct
}

fn broken(of: &Relay, evil: &Attacker) -> Vec<(PeerRule, u64)> {
    conduct(of, evil).map(|conduct| conduct.broken).unwrap_or_default()
}

fn is_connected(to: &Relay, evil: &Attacker) -> bool {
    to.federation().peers().into_iter().any(|peer| peer.domain == evil.relay.domain && peer.connected)
}

/// Waits until the other side has closed the connection.
async fn closed(evil: &Attacker) {
    let mut control = evil.control.clone();
    soon("the connection's end", async {
        while control.open_stream(evil.target, StreamProtocol::new(PING)).await.is_ok() {}
    })
    .await;
}

/// Whether a relay lets itself be reserved.
async fn reserves(evil: &Attacker) -> bool {
    let mut control = evil.control.clone();
    let asking = async {
        let stream = control.open_stream(evil.target, StreamProtocol::new(HOP)).await.ok()?;
        let (reading, mut writing) = stream.split();
        writing.write_all(&RESERVE).await.ok()?;
        writing.flush().await.ok()?;
        FrameReader::new(reading, 4096).next().await.ok()?
    };
    let answer = soon("the answer", asking).await.expect("it offers circuits");
    answer.ends_with(&GRANTED)
}

#[tokio::test]
async fn whoever_is_cut_off_is_so_on_all_its_connections() {
    let town = Town::new().await;
    let mut a = timeless(&town);
    a.start(&town).await;
    let evil = Attacker::new(&town, &a, "tcp").await;
    evil.hello().await;
    let silent = evil.again(&town, &a, "quic-v1").await;
    let forged = evil.envelope(|e| e.origin = "b.localhost".parse().expect("a domain"));
    for _ in 0..4 {
        let _ = tokio::time::timeout(common::PATIENCE, evil.try_lane(std::slice::from_ref(&forged))).await;
    }
    assert!(matches!(conduct(&a, &evil).map(|c| c.treatment), Some(Treatment::CutOff(_))));
    closed(&evil).await;
    closed(&silent).await;
    a.stop().await;
}

#[tokio::test]
async fn what_is_for_known_relays_ends_with_the_last_hello_whatever_else_is_connected() {
    let town = Town::new().await;
    let mut a = timeless(&town);
    a.circuits = Circuits { offer_to: Some([].into()), ..Circuits::default() };
    a.start(&town).await;
    let evil = Attacker::new(&town, &a, "tcp").await;
    assert!(!reserves(&evil).await, "it has not said hello");
    evil.hello().await;
    let silent = evil.again(&town, &a, "tcp").await;
    // A hello is answered a moment before it is known everywhere; what is refused until then costs nothing.
    soon("a reservation", async { while !reserves(&silent).await {} }).await;
    evil.leave();
    soon("the loss", async {
        while is_connected(&a, &evil) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(!reserves(&silent).await, "nothing stands on which it has said hello");
    silent.hello().await;
    soon("a reservation", async { while !reserves(&silent).await {} }).await;
    a.stop().await;
}

#[tokio::test]
async fn a_broken_rule_counts_before_it_is_told() {
    let town = Town::new().await;
    let mut a = timeless(&town);
    a.start(&town).await;
    let evil = Attacker::new(&town, &a, "quic-v1").await;
    evil.hello().await;
    let forged = evil.envelope(|e| e.origin = "b.localhost".parse().expect("a domain"));
    assert_eq!(evil.lane(&[forged]).await.rule, PeerRule::ForgedOrigin);
    assert_eq!(broken(&a, &evil), [(PeerRule::ForgedOrigin, 1)]);
    let nonsense = [1, 0xff];
    let answer: KeysResponse = evil.exchange(keys::PROTOCOL, &nonsense).await;
    assert!(matches!(answer, KeysResponse::Rejected(_)), "{answer:?}");
    assert!(broken(&a, &evil).contains(&(PeerRule::Malformed, 1)));
    let answer: HelloResponse = evil.exchange(hello::PROTOCOL, &nonsense).await;
    assert!(matches!(answer, HelloResponse::Refused(_)), "{answer:?}");
    assert!(broken(&a, &evil).contains(&(PeerRule::Malformed, 2)));
    a.stop().await;
}

#[tokio::test]
async fn a_hello_too_many_costs_once_and_one_that_breaks_off_nothing() {
    let town = Town::new().await;
    let mut a = timeless(&town);
    a.start(&town).await;
    let evil = Attacker::new(&town, &a, "tcp").await;
    for _ in 0..100 {
        evil.hello().await;
    }
    let mut control = evil.control.clone();
    let stream =
        control.open_stream(evil.target, StreamProtocol::new(hello::PROTOCOL)).await.expect("opened");
    let (reading, mut writing) = stream.split();
    writing.write_all(&[7, 1]).await.expect("written");
    writing.close().await.expect("closed");
    let answer = soon("its end", FrameReader::new(reading, 4096).value::<HelloResponse>()).await;
    assert!(answer.is_err(), "{answer:?}");
    assert_eq!(broken(&a, &evil), []);
    let answer: HelloResponse = evil.exchange(hello::PROTOCOL, &frame(&evil.hello_frame())).await;
    assert!(matches!(&answer, HelloResponse::Refused(r) if r.rule == PeerRule::TooFast), "{answer:?}");
    assert_eq!(broken(&a, &evil), [(PeerRule::TooFast, 1)]);
    a.stop().await;
}

#[tokio::test]
async fn a_node_that_is_replaced_while_it_says_hello_is_not_let_in() {
    let town = Town::new().await;
    let mut a = timeless(&town);
    a.start(&town).await;
    let mut evil = Attacker::new(&town, &a, "tcp").await;
    let words = frame(&evil.hello_frame());
    evil.relay.key_seed = [9; 32];
    let (domain, newer) = (evil.relay.domain.clone(), evil.relay.manifest());
    // Its relay's next manifest comes by gossip, or with another node's hello.
    a.memory.at_hello(move |memory| memory.pin_now(&domain, newer));
    let answer = soon("the end", evil.try_exchange::<HelloResponse>(hello::PROTOCOL, &words)).await;
    assert!(answer.is_none(), "{answer:?}");
    closed(&evil).await;
    assert!(!is_connected(&a, &evil));
    a.stop().await;
}
