//! Circuits and what belongs to them: the offer to carry other relays' circuits, hole punching, and AutoNAT, with bounds
//! that are set for federation. A circuit carries hellos and envelopes until a direct connection stands, and goes on
//! where none can be made; so it is far roomier than the 128 KiB and two minutes that libp2p gives by default.

use std::collections::{BTreeSet, HashSet};
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use libp2p::swarm::{FromSwarm, NewExternalAddrCandidate};
use libp2p::{Multiaddr, PeerId, autonat, dcutr, identify, identity, relay};
use posthouse_spec::Domain;

use super::gate::{Admissions, is_harmless};
use super::held::Held;

/// Reservations that this relay grants, all peers together and each; a peer has one for each of its connections.
const MAX_RESERVATIONS: usize = 256;
const MAX_RESERVATIONS_PER_PEER: usize = 4;
/// How long a reservation is good; it is renewed before.
const RESERVATION: Duration = Duration::from_secs(60 * 60);
/// Circuits at once, all callers together and each.
const MAX_CIRCUITS: usize = 256;
const MAX_CIRCUITS_PER_PEER: usize = 16;
/// How long one circuit may stand, and what it may carry each way, bytes. Who needs more opens another.
const MAX_CIRCUIT_DURATION: Duration = Duration::from_secs(60 * 60);
const MAX_CIRCUIT_BYTES: u64 = 64 * 1024 * 1024;
/// Reservations and circuits that one peer may ask for at once, and how often it may ask for one more.
const BURST: NonZeroU32 = NonZeroU32::new(30).expect("thirty is not zero");
const INTERVAL: Duration = Duration::from_secs(10);
/// Addresses of this relay, as others say they see it, that are tried by AutoNAT.
const MAX_CANDIDATES: usize = 32;
/// How often AutoNAT looks whether an address waits to be tried.
const PROBE_INTERVAL: Duration = Duration::from_secs(2);
/// What identify tells of the protocol family, and how often.
const FAMILY: &str = "/posthouse/1";
const IDENTIFY_INTERVAL: Duration = Duration::from_secs(5 * 60);

/// The offer to carry other relays' circuits. Reservations are for those that `to` names, or for every relay that is
/// permitted if it names none; calls are taken from every relay that has said hello.
pub(super) fn offer(own: PeerId, admissions: &Admissions, to: BTreeSet<Domain>) -> relay::Behaviour {
    let mut config = relay::Config {
        max_reservations: MAX_RESERVATIONS,
        max_reservations_per_peer: MAX_RESERVATIONS_PER_PEER,
        reservation_duration: RESERVATION,
        reservation_rate_limiters: Vec::new(),
        max_circuits: MAX_CIRCUITS,
        max_circuits_per_peer: MAX_CIRCUITS_PER_PEER,
        max_circuit_duration: MAX_CIRCUIT_DURATION,
        max_circuit_bytes: MAX_CIRCUIT_BYTES,
        circuit_src_rate_limiters: Vec::new(),
    };
    // The gates come first: a stranger's question takes no token and leaves no bucket.
    let known = admissions.clone();
    config
        .reservation_rate_limiters
        .push(Box::new(move |peer: PeerId, _: &Multiaddr, _: Instant| known.holds_for(&peer, &to)));
    let known = admissions.clone();
    config
        .circuit_src_rate_limiters
        .push(Box::new(move |peer: PeerId, _: &Multiaddr, _: Instant| known.holds(&peer)));
    let config = config.reservation_rate_per_peer(BURST, INTERVAL).circuit_src_per_peer(BURST, INTERVAL);
    let mut behaviour = relay::Behaviour::new(own, config);
    behaviour.set_status(Some(relay::Status::Enable));
    behaviour
}

/// Hole punching. It tells the other side only addresses that may be dialled on its word there.
pub(super) fn punching(own: PeerId, allow_private: bool) -> Held<dcutr::Behaviour> {
    Held::new(dcutr::Behaviour::new(own), move |event| match event {
        FromSwarm::NewExternalAddrCandidate(NewExternalAddrCandidate { addr, .. }) => {
            is_harmless(addr, allow_private)
        }
        _ => true,
    })
}

/// Asks other relays whether this one can be reached.
pub(super) fn asking(allow_private: bool) -> Held<autonat::v2::client::Behaviour> {
    let config = autonat::v2::client::Config::default()
        .with_max_candidates(MAX_CANDIDATES)
        .with_probe_interval(PROBE_INTERVAL);
    let mut candidates: HashSet<Multiaddr> = HashSet::new();
    Held::new(autonat::v2::client::Behaviour::new(rand::make_rng(), config), move |event| match event {
        FromSwarm::NewExternalAddrCandidate(NewExternalAddrCandidate { addr, .. }) => {
            // The behaviour keeps every address that it is told, and each known relay may tell some.
            if candidates.len() < MAX_CANDIDATES && is_harmless(addr, allow_private) {
                candidates.insert((*addr).clone());
            }
            candidates.contains(*addr)
        }
        _ => true,
    })
}

/// Tries addresses for others who ask.
pub(super) fn trying() -> Held<autonat::v2::server::Behaviour> {
    Held::new(autonat::v2::server::Behaviour::default(), |_| true)
}

/// Tells others as which address they are seen, and hears it of them: of known relays alone, since what strangers say would
/// crowd out what holds. Where this relay listens is in its manifest, and not told here: a home network's addresses are
/// nobody's business.
pub(super) fn identify(own: &identity::PublicKey) -> Held<identify::Behaviour> {
    let behaviour = identify::Behaviour::new(
        identify::Config::new(FAMILY.into(), own.clone())
            .with_agent_version(format!("posthouse/{}", env!("CARGO_PKG_VERSION")))
            .with_interval(IDENTIFY_INTERVAL)
            .with_cache_size(0)
            .with_hide_listen_addrs(true),
    );
    Held::new(behaviour, |_| true)
}
