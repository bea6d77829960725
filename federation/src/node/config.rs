//! What a node is started with.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use posthouse_crypto::SigningKey;
use posthouse_spec::{Domain, Millis};

use crate::budget::PeerLimits;
use crate::policy::Policy;

/// The relay's clock. Only the outermost file reads the real one; tests turn their own.
pub type Clock = Arc<dyn Fn() -> Millis + Send + Sync>;

/// What a node is started with.
pub struct NodeConfig {
    /// The relay's domain.
    pub domain: Domain,
    /// The key of this node's PeerId, which also signs envelopes; the relay's manifest lists it.
    pub node_key: SigningKey,
    /// Where to listen: libp2p multiaddresses, such as `/ip4/0.0.0.0/udp/6481/quic-v1` and `/ip4/0.0.0.0/tcp/6481`.
    /// Port 0 lets the system choose.
    pub listen: Vec<String>,
    /// A TOML file that maps domains to base URLs of manifests, reread at each look-up.
    pub overrides: Option<PathBuf>,
    /// With whom to federate.
    pub policy: Policy,
    /// Lets look-ups and dials go to addresses that are not public (private networks). Loopback names and the
    /// overrides file need no such leave.
    pub allow_private: bool,
    /// How this relay is reached through others, and others through it.
    pub circuits: Circuits,
    /// Whether manifests are gossiped. Delivery never depends on it.
    pub gossip: bool,
    /// How much one relay may have of this one.
    pub limits: PeerLimits,
    /// The relay's clock.
    pub clock: Clock,
}

/// Circuits: connections of two relays that a third one carries, because one of the two has no public address.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Circuits {
    /// The relays through which this one is reached. With each a reservation is kept; the manifest names them.
    pub through: Vec<Domain>,
    /// To whom this relay offers to be reached through it, if to anybody. An empty set is every permitted relay.
    pub offer_to: Option<BTreeSet<Domain>>,
}
