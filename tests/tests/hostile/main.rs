//! A hostile peer meets a relay: each misbehaviour ends in the rule that it breaks, and honest traffic goes on.

mod questions;
mod verdicts;

use anyhow::{Result, bail, ensure};
use futures::{AsyncWriteExt as _, StreamExt as _};
use libp2p::Stream;
use posthouse_spec::envelope::{Envelope, EpochEndItem, Item};
use posthouse_spec::ids::{Epoch, Incarnation, LaneSeq, RoomId};
use posthouse_spec::peer::deliver::{DeliverFrame, ReceiptFrame};
use posthouse_spec::peer::hello::{HelloResponse, PeerRule};
use posthouse_spec::peer::{KeysRequest, KeysResponse, keys};
use posthouse_spec::{Cbor as _, Domain};
use posthouse_tests::{Network, Person, Relay};

use posthouse_hostile::peer::{Connection, Identity, read_frame, send_envelope, varint, write_frame};

/// One life of the hostile peer's lane.
const LANE: Incarnation = Incarnation::new([7; 16]);
/// Streams that the flood opens.
const STREAMS: usize = 10_000;
/// Streams of the flood that are open at one time.
const STREAMS_AT_ONCE: usize = 400;
/// How much the relay may grow while a peer opens thousands of streams, at its peak, KiB.
const GROWTH_LIMIT_KIB: u64 = 64 * 1024;

/// A relay `a.localhost` that knows where to find the hostile peer and its honest neighbour.
struct Scene {
    network: Network,
    evil: Identity,
}

impl Scene {
    async fn set() -> Result<Self> {
        let mut network = Network::new()?;
        let evil = Identity::publish("evil.localhost").await?;
        network.add_override("evil.localhost", &evil.url)?;
        network.start("a.localhost").await?;
        network.start("b.localhost").await?;
        Ok(Self { network, evil })
    }

    fn relay(&self) -> &Relay {
        self.network.relay("a.localhost")
    }

    fn domain(&self) -> Domain {
        "a.localhost".parse().expect("a domain")
    }

    async fn connect(&self) -> Result<Connection> {
        Connection::dial(&self.evil, &self.relay().peer_address()).await
    }

    /// A connection on which hello went well.
    async fn introduced(&self) -> Result<Connection> {
        let mut connection = self.connect().await?;
        match connection.hello(&self.evil.hello()).await? {
            HelloResponse::Hello(_) => Ok(connection),
            HelloResponse::Refused(refusal) => bail!("an honest hello was refused: {refusal:?}"),
        }
    }

    /// A deliver stream that is ready for envelopes.
    async fn delivering(&self) -> Result<(Connection, Stream)> {
        let mut connection = self.introduced().await?;
        match connection.deliver(LANE).await? {
            (stream, ReceiptFrame::Resume(_)) => Ok((connection, stream)),
            (_, other) => bail!("the lane was not opened: {other:?}"),
        }
    }

    fn honest_envelope(&self, first: u64) -> Envelope {
        self.evil.envelope(&self.domain(), LANE, first, &item())
    }
}

/// An item that is well formed, for a room that nobody knows.
fn item() -> Vec<u8> {
    let room = RoomId::new([9; 32]);
    let hub = "evil.localhost".parse().expect("a domain");
    Item::EpochEnd(EpochEndItem { room, hub, epoch: Epoch(1) }).to_cbor()
}

fn refused_with(answer: &ReceiptFrame, rule: PeerRule) -> Result<()> {
    match answer {
        ReceiptFrame::Refused(refusal) if refusal.rule == rule => Ok(()),
        other => bail!("expected {rule}, got {other:?}"),
    }
}

/// Sends a signed envelope and expects the rule that it breaks.
async fn envelope_breaks(scene: &Scene, envelope: &Envelope, rule: PeerRule) -> Result<()> {
    let (_connection, mut stream) = scene.delivering().await?;
    let signed = scene.evil.node.sign(envelope);
    refused_with(&send_envelope(&mut stream, signed.as_bytes().clone()).await?, rule)
}

#[tokio::test]
async fn an_envelope_in_another_relays_name_is_refused() -> Result<()> {
    let scene = Scene::set().await?;
    let mut envelope = scene.honest_envelope(1);
    envelope.origin = "b.localhost".parse()?;
    envelope_breaks(&scene, &envelope, PeerRule::ForgedOrigin).await
}

#[tokio::test]
async fn an_envelope_for_another_relay_is_refused() -> Result<()> {
    let scene = Scene::set().await?;
    let mut envelope = scene.honest_envelope(1);
    envelope.destination = "b.localhost".parse()?;
    envelope_breaks(&scene, &envelope, PeerRule::WrongDestination).await
}

#[tokio::test]
async fn a_gap_in_the_sequence_is_refused() -> Result<()> {
    let scene = Scene::set().await?;
    envelope_breaks(&scene, &scene.honest_envelope(5), PeerRule::Gap).await
}

#[tokio::test]
async fn an_envelope_signed_by_a_stranger_is_refused() -> Result<()> {
    let scene = Scene::set().await?;
    let (_connection, mut stream) = scene.delivering().await?;
    let stranger = posthouse_crypto::SigningKey::generate(&mut rand::rng());
    let signed = stranger.sign(&scene.honest_envelope(1));
    let answer = send_envelope(&mut stream, signed.as_bytes().clone()).await?;
    refused_with(&answer, PeerRule::EnvelopeSignature)
}

#[tokio::test]
async fn a_replayed_envelope_changes_nothing() -> Result<()> {
    let scene = Scene::set().await?;
    let (_connection, mut stream) = scene.delivering().await?;
    let signed = scene.evil.node.sign(&scene.honest_envelope(1)).as_bytes().clone();
    for attempt in ["first", "again"] {
        match send_envelope(&mut stream, signed.clone()).await? {
            ReceiptFrame::Ack(ack) => ensure!(ack.next == LaneSeq(2), "{attempt}: {ack:?}"),
            other => bail!("{attempt}: {other:?}"),
        }
    }
    Ok(())
}

#[tokio::test]
async fn bytes_that_are_not_canonical_are_refused() -> Result<()> {
    let scene = Scene::set().await?;
    let (_connection, mut stream) = scene.delivering().await?;
    // The choice's number 2 in two bytes where one would do.
    let mut frame = DeliverFrame::Envelope(posthouse_spec::cbor::Octets::new(vec![0; 3])?).to_cbor();
    frame.splice(1..2, [0x18, 0x02]);
    write_frame(&mut stream, &frame).await?;
    refused_with(&read_frame(&mut stream).await?, PeerRule::Malformed)
}

#[tokio::test]
async fn a_length_of_one_gibibyte_is_refused_before_anything_is_allocated() -> Result<()> {
    let scene = Scene::set().await?;
    let (_connection, mut stream) = scene.delivering().await?;
    let before = scene.relay().resident_kib()?;
    stream.write_all(&varint(1 << 30)).await?;
    stream.flush().await?;
    refused_with(&read_frame(&mut stream).await?, PeerRule::FrameTooLong)?;
    let grown = scene.relay().peak_kib()?.saturating_sub(before);
    ensure!(grown < GROWTH_LIMIT_KIB, "the relay grew by {grown} KiB");
    Ok(())
}

#[tokio::test]
async fn nothing_is_answered_before_hello() -> Result<()> {
    let scene = Scene::set().await?;
    let mut connection = scene.connect().await?;
    let (_stream, answer) = connection.deliver(LANE).await?;
    refused_with(&answer, PeerRule::NoHello)?;
    let mut stream = connection.open(keys::PROTOCOL).await?;
    write_frame(&mut stream, &KeysRequest::Alias("alice".parse()?).to_cbor()).await?;
    stream.close().await?;
    match read_frame(&mut stream).await? {
        KeysResponse::Rejected(refusal) => ensure!(refusal.rule == PeerRule::NoHello, "{refusal:?}"),
        other => bail!("{other:?}"),
    }
    Ok(())
}

async fn hello_breaks(scene: &Scene, hello: &posthouse_spec::peer::Hello, rules: &[PeerRule]) -> Result<()> {
    match scene.connect().await?.hello(hello).await? {
        HelloResponse::Refused(refusal) => {
            ensure!(rules.contains(&refusal.rule), "expected one of {rules:?}, got {refusal:?}");
            Ok(())
        }
        HelloResponse::Hello(_) => bail!("the hello was taken"),
    }
}

#[tokio::test]
async fn a_clock_that_is_off_by_a_day_is_named() -> Result<()> {
    let scene = Scene::set().await?;
    let mut hello = scene.evil.hello();
    hello.now = hello.now.after(86_400_000);
    hello_breaks(&scene, &hello, &[PeerRule::ClockSkew]).await
}

#[tokio::test]
async fn a_peer_that_claims_anothers_domain_is_refused() -> Result<()> {
    let scene = Scene::set().await?;
    let impostor = Identity::publish("b.localhost").await?;
    // The manifest is sound in itself, but b.localhost publishes another one.
    let mut hello = scene.evil.hello();
    hello.manifest = impostor.manifest.clone();
    hello_breaks(&scene, &hello, &[PeerRule::ManifestChain, PeerRule::NotANode]).await?;
    let mut connection = Connection::dial(&impostor, &scene.relay().peer_address()).await?;
    match connection.hello(&impostor.hello()).await? {
        HelloResponse::Refused(refusal) => {
            ensure!(refusal.rule == PeerRule::ManifestChain, "{refusal:?}");
            Ok(())
        }
        HelloResponse::Hello(_) => bail!("the impostor was let in"),
    }
}

#[tokio::test]
async fn a_version_that_nobody_speaks_is_refused() -> Result<()> {
    let scene = Scene::set().await?;
    let mut hello = scene.evil.hello();
    (hello.min_version, hello.max_version) = (900, 901);
    hello_breaks(&scene, &hello, &[PeerRule::Version]).await
}

#[tokio::test]
async fn ten_thousand_streams_are_bounded_and_honest_traffic_goes_on() -> Result<()> {
    let scene = Scene::set().await?;
    let alice = Person::register(&scene.network, "alice@a.localhost").await?;
    let bob = Person::register(&scene.network, "bob@b.localhost").await?;
    alice.befriend(&bob).await?;
    let before = scene.relay().resident_kib()?;

    let connection = scene.introduced().await?;
    let attempts = futures::stream::iter(0..STREAMS).map(|_| connection.flood());
    let mut answers = attempts.buffer_unordered(STREAMS_AT_ONCE);
    let mut too_many = 0;
    while let Some(answer) = answers.next().await {
        too_many += usize::from(answer == Some(PeerRule::TooManyStreams));
    }
    ensure!(too_many > 0, "not one of {STREAMS} streams was refused by {}", PeerRule::TooManyStreams);
    let grown = scene.relay().peak_kib()?.saturating_sub(before);
    ensure!(grown < GROWTH_LIMIT_KIB, "the relay grew by {grown} KiB");

    alice.send(&bob, "still here").await?;
    bob.expect(&["still here"]).await?;
    Ok(())
}
