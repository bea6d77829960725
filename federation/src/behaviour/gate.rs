//! Who may have this relay do something for them: only nodes that have said hello.
//!
//! libp2p's helpers (circuits, AutoNAT, hole punching) serve whoever is connected. Here they serve relays that are known,
//! permitted and named by their manifest, which is what hello establishes. And where such a helper asks for a dial on
//! the word of somebody else, it goes to public addresses only, unless the operator allows others.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{
    ConnectionClosed, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm, dummy,
};
use libp2p::{Multiaddr, PeerId};
use posthouse_spec::Domain;

use crate::discovery::is_public;

/// The connected nodes that have said hello, and whose they are. Clones share them; there are no more than connections.
#[derive(Debug, Clone, Default)]
pub(crate) struct Admissions(Arc<Mutex<HashMap<PeerId, Domain>>>);

impl Admissions {
    fn lock(&self) -> MutexGuard<'_, HashMap<PeerId, Domain>> {
        // Every change is one step, so a holder that panicked leaves the map sound.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn admit(&self, peer: PeerId, domain: Domain) {
        self.lock().insert(peer, domain);
    }

    fn forget(&self, peer: &PeerId) {
        self.lock().remove(peer);
    }

    pub(super) fn holds(&self, peer: &PeerId) -> bool {
        self.lock().contains_key(peer)
    }

    /// Whether a node has said hello for one of `domains`; for any, where that names none.
    pub(super) fn holds_for(&self, peer: &PeerId, domains: &BTreeSet<Domain>) -> bool {
        self.lock().get(peer).is_some_and(|domain| domains.is_empty() || domains.contains(domain))
    }
}

/// Whether an address may be dialled on somebody's word: of a node itself, not behind a circuit, and public unless the
/// operator allows others.
pub(super) fn is_harmless(address: &Multiaddr, allow_private: bool) -> bool {
    let ip = match address.iter().next() {
        Some(Protocol::Ip4(ip)) => IpAddr::from(ip),
        Some(Protocol::Ip6(ip)) => IpAddr::from(ip),
        _ => return false,
    };
    (allow_private || is_public(ip)) && !address.iter().any(|part| part == Protocol::P2pCircuit)
}

/// Why a dial was not made.
#[derive(Debug, thiserror::Error)]
#[error("a dial that another node asked for goes only to relays that said hello, and to public addresses")]
struct NotOurs;

/// The behaviour: keeps the admissions, and looks at every dial.
pub(crate) struct Gate {
    admissions: Admissions,
    allow_private: bool,
    /// Dials that this relay itself has ordered: their addresses were checked before.
    ordered: HashSet<ConnectionId>,
}

impl Gate {
    pub(super) fn new(admissions: Admissions, allow_private: bool) -> Self {
        Self { admissions, allow_private, ordered: HashSet::new() }
    }

    /// A node has said hello.
    pub(crate) fn admit(&mut self, peer: PeerId, domain: Domain) {
        self.admissions.admit(peer, domain);
    }

    /// A node has no connection any more on which it has said hello.
    pub(crate) fn revoke(&mut self, peer: &PeerId) {
        self.admissions.forget(peer);
    }

    /// The dial that comes now is this relay's own.
    pub(crate) fn order(&mut self, dial: ConnectionId) {
        self.ordered.insert(dial);
    }

    /// That dial does not come: it was refused before it got here.
    pub(crate) fn withdraw(&mut self, dial: ConnectionId) {
        self.ordered.remove(&dial);
    }
}

impl NetworkBehaviour for Gate {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_outbound_connection(
        &mut self,
        dial: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        _: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        if self.ordered.remove(&dial) {
            return Ok(Vec::new());
        }
        let known = peer.is_some_and(|peer| self.admissions.holds(&peer));
        if known && addresses.iter().all(|address| is_harmless(address, self.allow_private)) {
            return Ok(Vec::new());
        }
        Err(ConnectionDenied::new(NotOurs))
    }

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        if let FromSwarm::ConnectionClosed(ConnectionClosed { peer_id, remaining_established: 0, .. }) = event
        {
            self.admissions.forget(&peer_id);
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Multiaddr {
        text.parse().expect("an address of the test")
    }

    fn ask(gate: &mut Gate, peer: PeerId, to: &str) -> bool {
        let dial = ConnectionId::new_unchecked(1);
        gate.handle_pending_outbound_connection(dial, Some(peer), &[address(to)], Endpoint::Dialer).is_ok()
    }

    #[test]
    fn others_have_this_relay_dial_known_nodes_at_public_addresses_only() {
        let mut gate = Gate::new(Admissions::default(), false);
        let peer = PeerId::random();
        assert!(!ask(&mut gate, peer, "/ip4/1.1.1.1/udp/5/quic-v1"), "a stranger");
        gate.admit(peer, "a.example".parse().expect("a domain"));
        assert!(ask(&mut gate, peer, "/ip4/1.1.1.1/udp/5/quic-v1"));
        assert!(!ask(&mut gate, peer, "/ip4/10.0.0.1/udp/5/quic-v1"), "inside");
        assert!(!ask(&mut gate, peer, "/dns4/a.example/udp/5/quic-v1"), "who knows where that leads");
        gate.order(ConnectionId::new_unchecked(1));
        assert!(ask(&mut gate, PeerId::random(), "/ip4/10.0.0.1/udp/5/quic-v1"), "its own order");
        assert!(!ask(&mut gate, PeerId::random(), "/ip4/10.0.0.1/udp/5/quic-v1"), "and only that one");
    }

    #[test]
    fn an_order_that_is_withdrawn_is_forgotten() {
        let mut gate = Gate::new(Admissions::default(), false);
        gate.order(ConnectionId::new_unchecked(1));
        gate.withdraw(ConnectionId::new_unchecked(1));
        assert!(gate.ordered.is_empty());
        assert!(!ask(&mut gate, PeerId::random(), "/ip4/1.1.1.1/udp/5/quic-v1"));
    }

    #[test]
    fn an_offer_to_some_is_none_to_others() {
        let admissions = Admissions::default();
        let (a, b) = (PeerId::random(), PeerId::random());
        let domain = |text: &str| text.parse::<Domain>().expect("a domain");
        admissions.admit(a, domain("a.example"));
        admissions.admit(b, domain("b.example"));
        let only_a = [domain("a.example")].into();
        assert!(admissions.holds_for(&a, &only_a) && !admissions.holds_for(&b, &only_a));
        assert!(admissions.holds_for(&b, &BTreeSet::new()));
        admissions.forget(&a);
        assert!(!admissions.holds(&a));
    }
}
