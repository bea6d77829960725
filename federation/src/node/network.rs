//! The one task that owns the swarm, and the handle by which the others give it orders.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use libp2p::core::ConnectedPoint;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, DialError, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Stream, ping};
use posthouse_spec::Millis;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::config::Clock;
use super::peers::{Peers, Way};
use crate::behaviour::{BehaviourEvent, OpenReply, Protocol, RelaySwarm};

/// Orders that wait for the swarm.
pub(crate) const MAX_ORDERS: usize = 256;
/// How long a connection may stand without a hello, milliseconds.
const HELLO_DEADLINE_MS: u64 = 15_000;
/// How often connections without a hello are looked for.
const INSPECTION: Duration = Duration::from_secs(2);
/// How long connections may take to close at the end.
const CLOSING_TIMEOUT: Duration = Duration::from_secs(2);

type DialReply = oneshot::Sender<Result<ConnectionId, String>>;

/// What the swarm's task is asked to do.
#[derive(Debug)]
pub(crate) enum Order {
    Dial { peer: PeerId, addresses: Vec<Multiaddr>, reply: DialReply },
    Open { peer: PeerId, connection: ConnectionId, protocol: Protocol, reply: OpenReply },
    Close(ConnectionId),
}

/// The handle.
#[derive(Debug, Clone)]
pub(crate) struct Network(mpsc::Sender<Order>);

impl Network {
    pub(crate) fn new(orders: mpsc::Sender<Order>) -> Self {
        Self(orders)
    }

    /// Connects to a node at one of its addresses.
    pub(crate) async fn dial(&self, peer: PeerId, addresses: Vec<Multiaddr>) -> Result<ConnectionId, String> {
        self.ask(|reply| Order::Dial { peer, addresses, reply }).await
    }

    /// Opens a stream on a connection.
    pub(crate) async fn open(
        &self,
        peer: PeerId,
        connection: ConnectionId,
        protocol: Protocol,
    ) -> Result<Stream, String> {
        self.ask(|reply| Order::Open { peer, connection, protocol, reply }).await
    }

    /// Closes a connection.
    pub(crate) async fn close(&self, connection: ConnectionId) {
        // A swarm that is gone has closed everything.
        let _ = self.0.send(Order::Close(connection)).await;
    }

    async fn ask<T>(
        &self,
        order: impl FnOnce(oneshot::Sender<Result<T, String>>) -> Order,
    ) -> Result<T, String> {
        let (reply, answer) = oneshot::channel();
        self.0.send(order(reply)).await.map_err(|_| "this relay is shutting down".to_owned())?;
        answer.await.map_err(|_| "the connection was closed".to_owned())?
    }
}

/// The task's state.
pub(crate) struct SwarmTask {
    swarm: RelaySwarm,
    orders: mpsc::Receiver<Order>,
    peers: Arc<Peers>,
    clock: Clock,
    dials: HashMap<ConnectionId, DialReply>,
}

impl SwarmTask {
    /// Takes the swarm over.
    pub(crate) fn new(
        swarm: RelaySwarm,
        orders: mpsc::Receiver<Order>,
        peers: Arc<Peers>,
        clock: Clock,
    ) -> Self {
        Self { swarm, orders, peers, clock, dials: HashMap::new() }
    }

    /// Runs until `cancel`, then closes every connection.
    pub(crate) async fn run(mut self, cancel: CancellationToken) {
        let mut inspection = tokio::time::interval(INSPECTION);
        loop {
            tokio::select! {
                () = cancel.cancelled() => break,
                event = self.swarm.select_next_some() => self.handle_event(event),
                Some(order) = self.orders.recv() => self.handle_order(order),
                _ = inspection.tick() => self.close_mute(),
            }
        }
        let connected: Vec<PeerId> = self.swarm.connected_peers().copied().collect();
        for peer in connected {
            // An error says that the peer is gone already.
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        let closing = async {
            while self.swarm.network_info().num_peers() > 0 {
                let event = self.swarm.select_next_some().await;
                self.handle_event(event);
            }
        };
        // Who does not answer the farewell in time learns of it from the closed socket.
        let _ = tokio::time::timeout(CLOSING_TIMEOUT, closing).await;
    }

    fn handle_order(&mut self, order: Order) {
        match order {
            Order::Open { peer, connection, protocol, reply } => {
                self.swarm.behaviour_mut().streams.open(peer, connection, protocol, reply);
            }
            Order::Close(connection) => {
                self.swarm.close_connection(connection);
            }
            Order::Dial { peer, addresses, reply } => {
                let dial = DialOpts::peer_id(peer)
                    .addresses(addresses)
                    .condition(PeerCondition::Always)
                    .allocate_new_port()
                    .build();
                let connection = dial.connection_id();
                match self.swarm.dial(dial) {
                    Ok(()) => {
                        self.dials.insert(connection, reply);
                    }
                    Err(error) => {
                        let _ = reply.send(Err(explain(&error)));
                    }
                }
            }
        }
    }

    fn handle_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                let inbound = matches!(endpoint, ConnectedPoint::Listener { .. });
                tracing::debug!(peer = %peer_id, %connection_id, inbound, "connected");
                self.peers.opened(connection_id, peer_id, inbound, (self.clock)());
                self.peers.came_by(connection_id, way(&endpoint));
                let unwanted = |reply: DialReply| reply.send(Ok(connection_id)).is_err();
                if self.dials.remove(&connection_id).is_some_and(unwanted) {
                    // Whoever dialled has given up or got through elsewhere.
                    self.swarm.close_connection(connection_id);
                }
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, cause, .. } => {
                tracing::debug!(peer = %peer_id, %connection_id, ?cause, "connection closed");
                self.peers.closed(connection_id);
            }
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                if let Some(reply) = self.dials.remove(&connection_id) {
                    let _ = reply.send(Err(explain(&error)));
                }
            }
            SwarmEvent::IncomingConnectionError { error, .. } => {
                tracing::debug!(%error, "an incoming connection failed");
            }
            // Whoever does not speak ping is noticed by the transport's own timeout.
            SwarmEvent::Behaviour(BehaviourEvent::Ping(ping::Event {
                connection,
                result: Err(failure),
                ..
            })) if !matches!(failure, ping::Failure::Unsupported) => {
                tracing::debug!(%connection, %failure, "no sign of life, the connection is closed");
                self.swarm.close_connection(connection);
            }
            SwarmEvent::ListenerError { error, .. } => {
                tracing::warn!(%error, "a listening socket failed; peers may not reach this relay");
            }
            SwarmEvent::ListenerClosed { reason: Err(error), addresses, .. } => {
                tracing::error!(%error, ?addresses, "a listening socket is gone; peers cannot reach this relay there");
            }
            _ => {}
        }
    }

    fn close_mute(&mut self) {
        let since = Millis((self.clock)().0.saturating_sub(HELLO_DEADLINE_MS));
        for connection in self.peers.mute(since) {
            tracing::debug!(%connection, "closed for want of a hello");
            self.swarm.close_connection(connection);
        }
    }
}

fn way(endpoint: &ConnectedPoint) -> Way {
    use libp2p::multiaddr::Protocol::{P2pCircuit, QuicV1};
    let address = endpoint.get_remote_address();
    let via = match endpoint {
        _ if endpoint.is_relayed() || address.iter().any(|part| part == P2pCircuit) => "circuit",
        _ if address.iter().any(|part| part == QuicV1) => "quic",
        _ => "tcp",
    };
    Way { via, address: address.to_string(), inbound: endpoint.is_listener() }
}

fn explain(error: &DialError) -> String {
    match error {
        DialError::NoAddresses => "its manifest names no address that can be dialled".to_owned(),
        DialError::WrongPeerId { obtained, address } => {
            format!("at {address} another node answers ({obtained})")
        }
        DialError::Denied { cause } => format!("this relay has too many connections: {cause}"),
        DialError::Transport(failures) => {
            let each = failures.iter().map(|(address, error)| format!("{address}: {}", cause(error)));
            each.collect::<Vec<_>>().join("; ")
        }
        other => other.to_string(),
    }
}

/// The innermost cause is what the operator can do something about.
fn cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(inner) = innermost.source() {
        innermost = inner;
    }
    innermost.to_string()
}
