//! The swarm: QUIC, and TCP with Noise and Yamux, with bounds on what strangers may cost.

use std::collections::BTreeSet;
use std::time::Duration;

use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::identity::Keypair;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::swarm::{Config, NetworkBehaviour};
use libp2p::{
    PeerId, Swarm, SwarmBuilder, autonat, dcutr, identify, memory_connection_limits, noise, ping, relay, tcp,
    yamux,
};
use posthouse_crypto::SigningKey;
use posthouse_spec::Domain;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use super::circuits;
use super::door::Door;
use super::gate::{Admissions, Gate};
use super::gossip::{self, Gossip};
use super::held::Held;
use super::streams::{Inbound, Streams};
use crate::budget::PeerLimits;
use crate::schedule::MAX_DIALS;

/// Connections from others in the middle of their handshake.
const MAX_PENDING_INCOMING: u32 = 128;
/// Dials in progress that this relay itself has ordered; more wait. A relay that the schedule calls may take two, by QUIC
/// and by TCP; questions, probes and relays of several nodes come on top.
pub(crate) const MAX_OWN_DIALS: usize = 2 * MAX_DIALS + 64;
/// Dials in progress that hole punching and AutoNAT have asked for.
const MAX_HELPERS_DIALS: usize = 64;
/// Connections from others.
const MAX_INCOMING: u32 = 2048;
/// Connections with one peer: one each way, what a crashed predecessor left behind, and the ways that hole punching and
/// AutoNAT try.
const MAX_PER_PEER: u32 = 12;
/// The part of the machine's memory beyond which this process takes no new connections.
const MAX_MEMORY: f64 = 0.75;
/// Streams that a peer may have open on one QUIC connection.
const MAX_STREAMS: u32 = 256;
/// Streams in the middle of their negotiation, on one connection.
const MAX_NEGOTIATING: usize = 64;
/// Bytes that a peer may send ahead of our reading, on one QUIC stream and on one connection: at 300 ms there and back still
/// 13 MiB a second.
const STREAM_WINDOW: u32 = 2 * 1024 * 1024;
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// Over TCP, what all streams of one connection may have beyond [`YAMUX_STREAM_WINDOW`] each, bytes.
const YAMUX_SHARED_WINDOW: usize = 16 * 1024 * 1024;
/// What Yamux gives each stream, and what it may give all of them together, bytes. It takes so much aside for each stream
/// that there may be; libp2p lets nothing but their number be chosen, and so the number is what leaves
/// [`YAMUX_SHARED_WINDOW`] to be shared. How many streams there really are is bounded before that: by what libp2p
/// negotiates and buffers, and then for each peer.
const YAMUX_STREAM_WINDOW: usize = 256 * 1024;
const YAMUX_WINDOWS: usize = 1024 * 1024 * 1024;
const YAMUX_STREAMS: usize = (YAMUX_WINDOWS - YAMUX_SHARED_WINDOW) / YAMUX_STREAM_WINDOW;
/// A QUIC connection that is silent for so long is gone, milliseconds.
const MAX_SILENCE_MS: u32 = 10_000;
/// How often a silent QUIC connection shows that it is alive.
const KEEP_ALIVE: Duration = Duration::from_secs(3);
/// How often a peer is asked for a sign of life, and how long it may take: what TCP does not notice by itself.
const PING_INTERVAL: Duration = Duration::from_secs(4);
const PING_TIMEOUT: Duration = Duration::from_secs(4);
/// A connection without any stream is kept for so long: a dial costs more than the memory.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10 * 60);
/// How long a connection may take to be set up.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(8);

/// The behaviours. The limits and the gate come first: what they refuse never reaches the others.
#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    limits: connection_limits::Behaviour,
    memory: memory_connection_limits::Behaviour,
    door: Door,
    pub(crate) gate: Gate,
    ping: ping::Behaviour,
    pub(crate) streams: Streams,
    identify: Held<identify::Behaviour>,
    /// Asks other relays for reservations and circuits.
    circuits: relay::client::Behaviour,
    /// Carries other relays' circuits, where the operator offers it.
    pub(crate) offer: Toggle<relay::Behaviour>,
    pub(crate) punching: Held<dcutr::Behaviour>,
    pub(crate) asking: Held<autonat::v2::client::Behaviour>,
    pub(crate) trying: Held<autonat::v2::server::Behaviour>,
    /// Where the operator has not switched it off.
    pub(crate) gossip: Gossip,
}

impl Behaviour {
    fn new(own: &Keypair, circuits: relay::client::Behaviour, gossip: Gossip, given: Given) -> Self {
        let Given { inbound, allow_private, offer_to, gossip: _, limits: peer_limits } = given;
        let node = own.public().to_peer_id();
        let admissions = Admissions::default();
        let offer = offer_to.map(|to| circuits::offer(node, &admissions, to));
        Self {
            limits: connection_limits::Behaviour::new(limits()),
            memory: memory_connection_limits::Behaviour::with_max_percentage(MAX_MEMORY),
            door: Door::new(peer_limits.connections_per_minute, allow_private),
            gate: Gate::new(admissions, allow_private),
            ping: ping::Behaviour::new(
                ping::Config::new().with_interval(PING_INTERVAL).with_timeout(PING_TIMEOUT),
            ),
            streams: Streams::new(inbound),
            identify: circuits::identify(&own.public()),
            circuits,
            offer: offer.into(),
            punching: circuits::punching(node, allow_private),
            asking: circuits::asking(allow_private),
            trying: circuits::trying(),
            gossip,
        }
    }

    /// A node has said hello: what is for known relays only is for it from now on.
    pub(crate) fn admit(&mut self, peer: PeerId, domain: Domain) {
        self.gate.admit(peer, domain);
        self.identify.release(peer);
        self.punching.release(peer);
        self.asking.release(peer);
        self.trying.release(peer);
        self.gossip.release(peer);
    }

    /// Nothing stands any more on which the node has said hello: nothing of that is for it.
    pub(crate) fn revoke(&mut self, peer: PeerId) {
        self.gate.revoke(&peer);
        self.identify.hold_back(peer);
        self.punching.hold_back(peer);
        self.asking.hold_back(peer);
        self.trying.hold_back(peer);
        self.gossip.hold_back(peer);
    }
}

/// What the behaviours are given.
pub(crate) struct Given {
    /// Where the streams that peers open go.
    pub(crate) inbound: mpsc::Sender<Inbound>,
    /// Whether a dial on another relay's word may go to an address that is not public.
    pub(crate) allow_private: bool,
    /// To whom circuits are offered, if to anybody; to every permitted relay if it names none.
    pub(crate) offer_to: Option<BTreeSet<Domain>>,
    /// Whether manifests are gossiped.
    pub(crate) gossip: bool,
    /// How much one relay may have of this one.
    pub(crate) limits: PeerLimits,
}

/// The swarm with our behaviours.
pub(crate) type RelaySwarm = Swarm<Behaviour>;

/// Builds the swarm. Its connections run as tasks of `tracker`.
pub(crate) fn build(key: &SigningKey, tracker: &TaskTracker, given: Given) -> Result<RelaySwarm, String> {
    let mut seed = key.seed();
    let keypair = Keypair::ed25519_from_bytes(&mut seed[..]).map_err(|e| format!("the node key: {e}"))?;
    let gossip = gossip::gossip(&keypair, given.gossip)?;
    let mut muxer = yamux::Config::default();
    muxer.set_max_num_streams(YAMUX_STREAMS);
    let tracker = tracker.clone();
    let swarm = SwarmBuilder::with_existing_identity(keypair)
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, || muxer.clone())
        .map_err(|e| format!("the TCP transport: {e}"))?
        .with_quic_config(|mut quic| {
            quic.max_idle_timeout = MAX_SILENCE_MS;
            quic.keep_alive_interval = KEEP_ALIVE;
            quic.max_concurrent_stream_limit = MAX_STREAMS;
            quic.max_stream_data = STREAM_WINDOW;
            quic.max_connection_data = CONNECTION_WINDOW;
            quic
        })
        .with_relay_client(noise::Config::new, || muxer)
        .map_err(|e| format!("the transport of circuits: {e}"))?
        .with_behaviour(|own, circuits| Behaviour::new(own, circuits, gossip, given))
        .map_err(|e| format!("the behaviours: {e}"))?
        .with_swarm_config(|_| {
            Config::with_executor(move |task| drop(tracker.spawn(task)))
                .with_idle_connection_timeout(IDLE_TIMEOUT)
                .with_max_negotiating_inbound_streams(MAX_NEGOTIATING)
        })
        .with_connection_timeout(CONNECTION_TIMEOUT)
        .build();
    Ok(swarm)
}

fn limits() -> ConnectionLimits {
    let outgoing = u32::try_from(MAX_OWN_DIALS + MAX_HELPERS_DIALS).unwrap_or(u32::MAX);
    ConnectionLimits::default()
        .with_max_pending_incoming(Some(MAX_PENDING_INCOMING))
        .with_max_pending_outgoing(Some(outgoing))
        .with_max_established_incoming(Some(MAX_INCOMING))
        .with_max_established_per_peer(Some(MAX_PER_PEER))
}
