//! A peer that speaks libp2p and nothing else that is decent: each attack is refused by its rule's name, costs little
//! memory, and leaves honest traffic alone.

mod common;

use common::{Attacker, Relay, Town, frame, soon, wall_clock, wrapped};
use futures::StreamExt;
use libp2p::StreamProtocol;
use posthouse_crypto::SigningKey;
use posthouse_federation::codec::FrameReader;
use posthouse_spec::cbor::List;
use posthouse_spec::envelope::{ENVELOPE_VERSION, Envelope, LaneClass};
use posthouse_spec::peer::hello::{HelloResponse, PEER_VERSION, PeerRule};
use posthouse_spec::peer::{KeysResponse, ReceiptFrame, RoomResponse, deliver, hello, keys, room};
use posthouse_spec::{Incarnation, LaneSeq};

/// A gibibyte as a varint.
const GIBIBYTE: [u8; 5] = [0x80, 0x80, 0x80, 0x80, 0x04];

#[tokio::test]
async fn nothing_goes_before_hello() {
    let town = Town::new().await;
    let mut a = Relay::new(&town, "a.localhost", 1);
    a.start(&town).await;
    for transport in ["quic-v1", "tcp"] {
        let evil = Attacker::new(&town, &a, transport).await;
        let ReceiptFrame::Refused(refusal) = evil.exchange(deliver::PROTOCOL, &[]).await else { panic!() };
        assert_eq!(refusal.rule, PeerRule::NoHello);
        let KeysResponse::Rejected(refusal) = evil.exchange(keys::PROTOCOL, &[]).await else { panic!() };
        assert_eq!(refusal.rule, PeerRule::NoHello);
        let RoomResponse::Rejected(refusal) = evil.exchange(room::PROTOCOL, &[]).await else { panic!() };
        assert_eq!(refusal.rule, PeerRule::NoHello);
    }
    a.stop().await;
}

#[tokio::test]
async fn a_bad_hello_is_refused_by_its_rule() {
    let town = Town::new().await;
    let mut a = Relay::new(&town, "a.localhost", 1);
    let mut b = Relay::new(&town, "b.localhost", 2);
    a.start(&town).await;
    b.start(&town).await;
    let evil = Attacker::new(&town, &a, "quic-v1").await;
    let refused = async |bytes: &[u8]| {
        let HelloResponse::Refused(refusal) = evil.exchange(hello::PROTOCOL, bytes).await else { panic!() };
        refusal.rule
    };
    assert_eq!(refused(&GIBIBYTE).await, PeerRule::FrameTooLong);
    assert_eq!(refused(&[2, 0xff, 0xff]).await, PeerRule::Malformed);
    let mut newer = evil.hello_frame();
    (newer.min_version, newer.max_version) = (PEER_VERSION + 1, PEER_VERSION + 9);
    assert_eq!(refused(&frame(&newer)).await, PeerRule::Version);
    // Another relay's genuine manifest does not make this peer one of its nodes.
    let mut stolen = evil.hello_frame();
    stolen.manifest = town.board_entry(&b.domain);
    assert_eq!(refused(&frame(&stolen)).await, PeerRule::NotANode);
    // Nor does the called relay's own.
    stolen.manifest = town.board_entry(&a.domain);
    assert_eq!(refused(&frame(&stolen)).await, PeerRule::NotANode);
    // A manifest that somebody else has signed in its root's name.
    let forged = stolen.manifest.peek().expect("a manifest");
    stolen.manifest = SigningKey::from_seed(&[77; 32]).sign(&forged);
    assert_eq!(refused(&frame(&stolen)).await, PeerRule::ManifestSignature);
    evil.hello().await;
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn each_attack_on_a_lane_is_refused_by_its_rule_and_stores_nothing() {
    let town = Town::new().await;
    let mut a = Relay::new(&town, "a.localhost", 1);
    a.start(&town).await;
    let evil = Attacker::new(&town, &a, "quic-v1").await;
    evil.hello().await;
    let own = |seed: u8| SigningKey::from_seed(&[seed; 32]);
    let attacks = [
        (evil.envelope(|e| e.origin = "b.localhost".parse().expect("a domain")), PeerRule::ForgedOrigin),
        (
            evil.envelope(|e| e.destination = "b.localhost".parse().expect("a domain")),
            PeerRule::WrongDestination,
        ),
        (evil.envelope(|e| e.first = LaneSeq(2)), PeerRule::Gap),
        (evil.envelope(|e| e.class = LaneClass::Control), PeerRule::WrongLane),
        (evil.envelope(|e| e.incarnation = Incarnation::new([2; 16])), PeerRule::WrongLane),
        (evil.envelope(|e| e.version = 9), PeerRule::Version),
        (frame(&evil.hello_frame()), PeerRule::Malformed),
        (vec![0x82, 0x02, 0x58, 0x01, 0x00], PeerRule::Malformed),
    ];
    for (bytes, rule) in attacks {
        assert_eq!(evil.lane(&[bytes]).await.rule, rule);
    }
    let unsigned = own(5).sign(&Envelope {
        version: ENVELOPE_VERSION,
        origin: evil.relay.domain.clone(),
        destination: a.domain.clone(),
        class: LaneClass::Messages,
        incarnation: Incarnation::new([1; 16]),
        first: LaneSeq(1),
        created: wall_clock(),
        items: List::default(),
    });
    let refusal = evil.lane(&[wrapped(unsigned.as_bytes())]).await;
    assert_eq!(refusal.rule, PeerRule::EnvelopeSignature);
    assert!(a.memory.received().is_empty());
    a.stop().await;
}

#[tokio::test]
async fn a_replay_takes_effect_once() {
    let town = Town::new().await;
    let mut a = Relay::new(&town, "a.localhost", 1);
    a.start(&town).await;
    let evil = Attacker::new(&town, &a, "tcp").await;
    evil.hello().await;
    let envelope = evil.envelope(|_| {});
    let gap = evil.envelope(|e| e.first = LaneSeq(9));
    for _ in 0..3 {
        let refusal = evil.lane(&[envelope.clone(), envelope.clone(), gap.clone()]).await;
        assert_eq!(refusal.rule, PeerRule::Gap);
    }
    assert_eq!(a.memory.received().len(), 1);
    a.stop().await;
}

#[tokio::test]
async fn a_gibibyte_prefix_is_refused_on_every_protocol() {
    let town = Town::new().await;
    let mut a = Relay::new(&town, "a.localhost", 1);
    a.start(&town).await;
    let evil = Attacker::new(&town, &a, "quic-v1").await;
    evil.hello().await;
    let ReceiptFrame::Refused(refusal) = evil.exchange(deliver::PROTOCOL, &GIBIBYTE).await else { panic!() };
    assert_eq!(refusal.rule, PeerRule::FrameTooLong);
    let KeysResponse::Rejected(refusal) = evil.exchange(keys::PROTOCOL, &GIBIBYTE).await else { panic!() };
    assert_eq!(refusal.rule, PeerRule::FrameTooLong);
    let RoomResponse::Rejected(refusal) = evil.exchange(room::PROTOCOL, &GIBIBYTE).await else { panic!() };
    assert_eq!(refusal.rule, PeerRule::FrameTooLong);
    a.stop().await;
}

/// Ten thousand streams of one peer, held open: the first ones get a place, some are told the rule, the rest is reset.
async fn flood(transport: &str) {
    const STREAMS: usize = 10_000;
    let town = Town::new().await;
    let mut a = Relay::new(&town, "a.localhost", 1);
    let mut b = Relay::new(&town, "b.localhost", 2);
    a.start(&town).await;
    b.start(&town).await;
    b.post(&a, "before");
    a.receives(1).await;
    let evil = Attacker::new(&town, &a, transport).await;
    evil.hello().await;
    let memory_before = resident();
    let flooding = tokio::spawn({
        let (control, target) = (evil.control.clone(), evil.target);
        async move {
            let mut rules = Vec::new();
            let attempts = futures::stream::iter(0..STREAMS).map(|_| {
                let mut control = control.clone();
                async move {
                    let opening = control.open_stream(target, StreamProtocol::new(deliver::PROTOCOL));
                    let stream = opening.await.ok()?;
                    let frame = FrameReader::new(stream, 1 << 20).value::<ReceiptFrame>().await;
                    match frame {
                        Ok(ReceiptFrame::Refused(refusal)) => Some(refusal.rule),
                        _ => None,
                    }
                }
            });
            let mut answers = attempts.buffer_unordered(400);
            while let Some(answer) = answers.next().await {
                rules.extend(answer);
            }
            rules
        }
    });
    for n in 0..100 {
        b.post(&a, &format!("honest {n}"));
        a.receives(n + 2).await;
    }
    let rules = soon("the flood to end", flooding).await.expect("no panic");
    assert!(rules.contains(&PeerRule::TooManyStreams), "{rules:?}");
    let grown = resident().saturating_sub(memory_before);
    assert!(grown < 128 << 20, "{} MiB for one peer's streams", grown >> 20);
    b.post(&a, "after");
    assert_eq!(a.receives(102).await.last().map(String::as_str), Some("after"));
    a.stop().await;
    b.stop().await;
}

/// This process's resident memory, bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or_default();
    pages * 4096
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_streams_over_quic_leave_honest_traffic_alone() {
    flood("quic-v1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_streams_over_tcp_leave_honest_traffic_alone() {
    flood("tcp").await;
}
