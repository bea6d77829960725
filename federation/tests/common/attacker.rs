//! A peer that speaks libp2p and nothing else that is decent.

use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::identity::Keypair;
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, PeerId, StreamProtocol, SwarmBuilder, noise, tcp, yamux};
use posthouse_crypto::SigningKey;
use posthouse_federation::codec::{FrameReader, put_frame};
use posthouse_spec::cbor::{List, Octets};
use posthouse_spec::envelope::{ENVELOPE_VERSION, Envelope, LaneClass};
use posthouse_spec::peer::deliver::Open;
use posthouse_spec::peer::hello::{Hello, HelloResponse, PEER_VERSION, PeerRefusal};
use posthouse_spec::peer::{DeliverFrame, ReceiptFrame, deliver, hello};
use posthouse_spec::{Cbor, Incarnation, LaneSeq};

use super::{Relay, Town, soon, wall_clock};

/// The attacker: a bare swarm that opens any stream.
pub struct Attacker {
    pub control: libp2p_stream::Control,
    pub target: PeerId,
    pub relay: Relay,
    swarm: tokio::task::AbortHandle,
}

impl Attacker {
    /// Connects to a relay, with a manifest of its own on the town's board: a stranger, but a real one.
    pub async fn new(town: &Town, target: &Relay, transport: &str) -> Self {
        Self::named(town, target, transport, "evil.localhost").await
    }

    /// The same by another name.
    pub async fn named(town: &Town, target: &Relay, transport: &str, name: &str) -> Self {
        let mut relay = Relay::new(town, name, 66);
        relay.listen = vec!["/ip4/127.0.0.1/tcp/1".into()];
        let manifest = relay.manifest();
        town.publish(&relay.domain, manifest.clone());
        relay.last = Some(manifest);
        let keypair = Keypair::ed25519_from_bytes(&mut relay.key_seed.clone()).expect("a seed");
        let mut swarm = SwarmBuilder::with_existing_identity(keypair)
            .with_tokio()
            .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
            .expect("TCP")
            .with_quic()
            .with_behaviour(|_| libp2p_stream::Behaviour::new())
            .expect("streams")
            .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(600)))
            .build();
        let control = swarm.behaviour().new_control();
        let address = target.listen.iter().find(|text| text.contains(transport)).expect("it listens there");
        swarm.dial(address.parse::<Multiaddr>().expect("an address")).expect("dialled");
        let target = soon("the connection", async {
            loop {
                if let SwarmEvent::ConnectionEstablished { peer_id, .. } = swarm.select_next_some().await {
                    return peer_id;
                }
            }
        })
        .await;
        let swarm = tokio::spawn(async move {
            loop {
                swarm.select_next_some().await;
            }
        });
        Self { control, target, relay, swarm: swarm.abort_handle() }
    }

    /// Another connection of the same node.
    pub async fn again(&self, town: &Town, target: &Relay, transport: &str) -> Self {
        let mut again = Self::named(town, target, transport, self.relay.domain.as_str()).await;
        let manifest = self.relay.last.clone().expect("published");
        town.publish(&self.relay.domain, manifest.clone());
        again.relay.last = Some(manifest);
        again
    }

    /// Drops the connection.
    pub fn leave(&self) {
        self.swarm.abort();
    }

    /// Writes bytes and reads one frame.
    pub async fn exchange<A: Cbor>(&self, protocol: &'static str, bytes: &[u8]) -> A {
        soon("the answer", self.try_exchange(protocol, bytes)).await.expect("an answer")
    }

    /// The same, where the other side may have closed the connection.
    pub async fn try_exchange<A: Cbor>(&self, protocol: &'static str, bytes: &[u8]) -> Option<A> {
        let mut control = self.control.clone();
        let stream = control.open_stream(self.target, StreamProtocol::new(protocol)).await.ok()?;
        let (reading, mut writing) = stream.split();
        writing.write_all(bytes).await.ok()?;
        writing.flush().await.ok()?;
        FrameReader::new(reading, 1 << 20).value().await.ok()
    }

    pub async fn hello(&self) {
        let hello = self.hello_frame();
        let answer: HelloResponse = self.exchange(hello::PROTOCOL, &frame(&hello)).await;
        assert!(matches!(answer, HelloResponse::Hello(_)), "{answer:?}");
    }

    pub fn hello_frame(&self) -> Hello {
        Hello {
            min_version: PEER_VERSION,
            max_version: PEER_VERSION,
            manifest: self.relay.last.clone().expect("published"),
            now: wall_clock(),
            cursors: List::default(),
        }
    }

    /// Opens a lane, sends envelopes, and returns the rule by which that ends.
    pub async fn lane(&self, envelopes: &[Vec<u8>]) -> PeerRefusal {
        soon("the refusal", self.try_lane(envelopes)).await.expect("a refusal")
    }

    /// The same, where the other side may have closed the connection.
    pub async fn try_lane(&self, envelopes: &[Vec<u8>]) -> Option<PeerRefusal> {
        let mut control = self.control.clone();
        let stream = control.open_stream(self.target, StreamProtocol::new(deliver::PROTOCOL)).await.ok()?;
        let (reading, mut writing) = stream.split();
        let mut bytes = frame(&DeliverFrame::Open(Open {
            class: LaneClass::Messages,
            incarnation: Incarnation::new([1; 16]),
            oldest: LaneSeq(1),
        }));
        for envelope in envelopes {
            put_frame(&mut bytes, envelope);
        }
        writing.write_all(&bytes).await.ok()?;
        writing.flush().await.ok()?;
        let mut reader = FrameReader::new(reading, 1 << 20);
        loop {
            if let ReceiptFrame::Refused(refusal) = reader.value().await.ok()? {
                return Some(refusal);
            }
        }
    }

    pub fn envelope(&self, change: impl FnOnce(&mut Envelope)) -> Vec<u8> {
        let mut envelope = Envelope {
            version: ENVELOPE_VERSION,
            origin: self.relay.domain.clone(),
            destination: "a.localhost".parse().expect("a domain"),
            class: LaneClass::Messages,
            incarnation: Incarnation::new([1; 16]),
            first: LaneSeq(1),
            created: wall_clock(),
            items: List::new(vec![Octets::new(vec![1]).expect("small")]).expect("one"),
        };
        change(&mut envelope);
        wrapped(SigningKey::from_seed(&self.relay.key_seed).sign(&envelope).as_bytes())
    }
}

pub fn frame(value: &impl Cbor) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_frame(&mut bytes, &value.to_cbor());
    bytes
}

pub fn wrapped(signed: &[u8]) -> Vec<u8> {
    DeliverFrame::Envelope(Octets::new(signed.to_vec()).expect("small")).to_cbor()
}
