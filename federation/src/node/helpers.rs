//! What libp2p's helpers tell the swarm's task: circuits, hole punching, AutoNAT and identify.

use libp2p::swarm::behaviour::FromSwarm;
use libp2p::swarm::{NetworkBehaviour, NewExternalAddrCandidate};
use libp2p::{Multiaddr, autonat, dcutr, identify, relay};

use super::listeners::ReserveReply;
use super::network::{Punched, SwarmTask};
use crate::behaviour::BehaviourEvent;

impl SwarmTask {
    pub(super) fn reserve(&mut self, address: Multiaddr, reply: ReserveReply) {
        match self.swarm.listen_on(address) {
            Ok(listener) => self.listeners.opened(listener, reply),
            Err(error) => {
                let _ = reply.send(Err(error.to_string()));
            }
        }
    }

    /// The manifest names these addresses. Reservations that this relay grants name them too; others are asked to try
    /// them, and told of them where a hole is punched. That is said to both behaviours apart, since the swarm passes on no
    /// candidate that counts as confirmed.
    pub(super) fn test(&mut self, addresses: &[Multiaddr]) {
        for addr in addresses {
            self.swarm.add_external_address(addr.clone());
            let candidate = FromSwarm::NewExternalAddrCandidate(NewExternalAddrCandidate { addr });
            let behaviour = self.swarm.behaviour_mut();
            behaviour.asking.on_swarm_event(candidate);
            behaviour.punching.on_swarm_event(candidate);
        }
    }

    /// Hole punching forgets the addresses that were told longest ago: what others say must not crowd out what the manifest
    /// announces.
    fn keep_announced(&mut self) {
        for addr in &self.reach.announced() {
            let candidate = FromSwarm::NewExternalAddrCandidate(NewExternalAddrCandidate { addr });
            self.swarm.behaviour_mut().punching.on_swarm_event(candidate);
        }
    }

    pub(super) fn handle_helper(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Identify(identify::Event::Received { .. }) => {
                self.reach.seen();
                self.keep_announced();
            }
            BehaviourEvent::Asking(autonat::v2::client::Event { tested_addr, server, result, .. }) => {
                self.reach.tested(&tested_addr, server, result.is_ok(), (self.clock)());
            }
            BehaviourEvent::Punching(dcutr::Event { remote_peer_id: peer, result }) => match result {
                Ok(connection) => {
                    // A queue that is full is one of hellos that wait; the circuit stands as long.
                    let _ = self.punched.try_send(Punched { peer, connection });
                }
                Err(error) => {
                    let why = std::error::Error::source(&error)
                        .map_or_else(|| error.to_string(), ToString::to_string);
                    tracing::info!(%peer, %why, "no hole could be punched; the circuit is used on");
                    metrics::counter!("posthouse_holes_total", "result" => "failed").increment(1);
                }
            },
            BehaviourEvent::Offer(event) => tell_offer(&event),
            BehaviourEvent::Circuits(event) => tracing::debug!(?event, "circuits"),
            _ => {}
        }
    }
}

fn tell_offer(event: &relay::Event) {
    match event {
        relay::Event::ReservationReqAccepted { src_peer_id, renewed: false } => {
            tracing::info!(peer = %src_peer_id, "a relay is reached through this one from now on");
        }
        relay::Event::ReservationReqDenied { src_peer_id, status } => {
            tracing::info!(peer = %src_peer_id, ?status, "a reservation was denied: not offered to it, or too many");
        }
        relay::Event::CircuitReqAccepted { src_peer_id, dst_peer_id } => {
            tracing::debug!(from = %src_peer_id, to = %dst_peer_id, "a circuit is carried");
            metrics::counter!("posthouse_circuits_carried_total").increment(1);
        }
        relay::Event::CircuitReqDenied { src_peer_id, dst_peer_id, status } => {
            tracing::debug!(from = %src_peer_id, to = %dst_peer_id, ?status, "a circuit was denied");
            metrics::counter!("posthouse_circuits_denied_total").increment(1);
        }
        other => tracing::debug!(event = ?other, "circuits of others"),
    }
}
