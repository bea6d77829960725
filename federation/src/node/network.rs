//! The one task that owns the swarm, and the handle by which the others give it orders.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use libp2p::core::{ConnectedPoint, Endpoint};
use libp2p::multiaddr::Protocol as Part;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Stream, ping};
use posthouse_spec::Millis;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::config::Clock;
use super::dial_failure::{DialFailure, cause};
use super::listeners::{Listeners, ReserveReply, Reserved};
use super::peers::Peers;
use super::reach::Reach;
use super::rumour::{Heard, Judgement};
use super::status::Way;
use crate::behaviour::{BehaviourEvent, MAX_OWN_DIALS, OpenReply, Protocol, RelaySwarm};

/// Orders that wait for the swarm.
pub(crate) const MAX_ORDERS: usize = 256;
/// How long a dial waits for a place among those under way: well below what a call may take.
const PLACE_PATIENCE: Duration = Duration::from_secs(5);
/// How long a connection may stand without a hello, milliseconds.
const HELLO_DEADLINE_MS: u64 = 15_000;
/// How often connections without a hello are looked for.
const INSPECTION: Duration = Duration::from_secs(2);
/// How long connections may take to close at the end.
const CLOSING_TIMEOUT: Duration = Duration::from_secs(2);

type DialReply = oneshot::Sender<Result<ConnectionId, DialFailure>>;

/// A dial under way. It keeps its place to its end, even if whoever ordered it has left.
#[derive(Debug)]
pub(crate) struct Dial {
    reply: DialReply,
    _place: OwnedSemaphorePermit,
}

/// What the swarm's task is asked to do.
#[derive(Debug)]
pub(crate) enum Order {
    Dial { peer: PeerId, addresses: Vec<Multiaddr>, dial: Dial },
    Open { peer: PeerId, connection: ConnectionId, protocol: Protocol, reply: OpenReply },
    Close(ConnectionId),
    Admit(PeerId),
    Reserve { address: Multiaddr, reply: ReserveReply },
    Test(Vec<Multiaddr>),
    Publish(Vec<u8>),
    Judge(Judgement),
}

/// A direct connection that hole punching has made.
#[derive(Debug)]
pub(crate) struct Punched {
    pub(crate) peer: PeerId,
    pub(crate) connection: ConnectionId,
}

/// The handle.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    orders: mpsc::Sender<Order>,
    /// Places for dials: the swarm refuses what is too much, and would have it look like the other's fault.
    places: Arc<Semaphore>,
}

impl Network {
    pub(crate) fn new(orders: mpsc::Sender<Order>) -> Self {
        Self { orders, places: Arc::new(Semaphore::new(MAX_OWN_DIALS)) }
    }

    /// Connects to a node at one of its addresses.
    pub(crate) async fn dial(
        &self,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
    ) -> Result<ConnectionId, DialFailure> {
        let place = tokio::time::timeout(PLACE_PATIENCE, Arc::clone(&self.places).acquire_owned()).await;
        // The semaphore is never closed.
        let Ok(Ok(place)) = place else {
            let why = format!("{MAX_OWN_DIALS} other calls of this relay are under way: it is tried again");
            return Err(DialFailure::Crowded(why));
        };
        self.ask(|reply| Order::Dial { peer, addresses, dial: Dial { reply, _place: place } }).await
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
        let _ = self.orders.send(Order::Close(connection)).await;
    }

    /// A node has said hello: it may use what is for known relays only.
    pub(crate) async fn admit(&self, peer: PeerId) {
        let _ = self.orders.send(Order::Admit(peer)).await;
    }

    /// Asks the relay behind an address `…/p2p-circuit` for a reservation.
    pub(crate) async fn reserve(&self, address: Multiaddr) -> Result<Reserved, String> {
        self.ask(|reply| Order::Reserve { address, reply }).await
    }

    /// Has other relays try these addresses of this one.
    pub(crate) async fn test(&self, addresses: Vec<Multiaddr>) {
        let _ = self.orders.send(Order::Test(addresses)).await;
    }

    /// Gossips.
    pub(crate) async fn publish(&self, words: Vec<u8>) {
        let _ = self.orders.send(Order::Publish(words)).await;
    }

    /// Hands a gossiped message on, or not.
    pub(crate) async fn judge(&self, judgement: Judgement) {
        let _ = self.orders.send(Order::Judge(judgement)).await;
    }

    async fn ask<T, E: From<String>>(
        &self,
        order: impl FnOnce(oneshot::Sender<Result<T, E>>) -> Order,
    ) -> Result<T, E> {
        let (reply, answer) = oneshot::channel();
        self.orders.send(order(reply)).await.map_err(|_| "this relay is shutting down".to_owned())?;
        answer.await.map_err(|_| "the connection was closed".to_owned())?
    }
}

/// The task's state.
pub(crate) struct SwarmTask {
    pub(super) swarm: RelaySwarm,
    orders: mpsc::Receiver<Order>,
    peers: Arc<Peers>,
    pub(super) reach: Arc<Reach>,
    pub(super) clock: Clock,
    dials: HashMap<ConnectionId, Dial>,
    pub(super) listeners: Listeners,
    pub(super) punched: mpsc::Sender<Punched>,
    pub(super) heard: mpsc::Sender<Heard>,
}

impl SwarmTask {
    /// Takes the swarm over.
    pub(crate) fn new(
        swarm: RelaySwarm,
        orders: mpsc::Receiver<Order>,
        peers: Arc<Peers>,
        reach: Arc<Reach>,
        punched: mpsc::Sender<Punched>,
        heard: mpsc::Sender<Heard>,
        clock: Clock,
    ) -> Self {
        let (dials, listeners) = (HashMap::new(), Listeners::default());
        Self { swarm, orders, peers, reach, clock, dials, listeners, punched, heard }
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
            Order::Dial { peer, addresses, dial } => self.dial(peer, addresses, dial),
            Order::Admit(peer) => self.admit_by_session(peer),
            Order::Reserve { address, reply } => self.reserve(address, reply),
            Order::Test(addresses) => self.test(&addresses),
            Order::Publish(words) => self.publish(words),
            Order::Judge(judgement) => self.judge(judgement),
        }
    }

    fn dial(&mut self, peer: PeerId, addresses: Vec<Multiaddr>, under_way: Dial) {
        // QUIC calls leave by the port at which this relay listens: what a NAT maps that to is then where others reach
        // it. TCP calls take another port, so that one after a crash is not taken for the one before.
        let quic = addresses.iter().all(|address| address.iter().any(|part| part == Part::QuicV1));
        let dial = DialOpts::peer_id(peer).addresses(addresses).condition(PeerCondition::Always);
        let dial = if quic { dial.build() } else { dial.allocate_new_port().build() };
        let connection = dial.connection_id();
        self.swarm.behaviour_mut().gate.order(connection);
        match self.swarm.dial(dial) {
            Ok(()) => {
                self.dials.insert(connection, under_way);
            }
            Err(error) => {
                self.swarm.behaviour_mut().gate.withdraw(connection);
                let _ = under_way.reply.send(Err(DialFailure::of(&error)));
            }
        }
    }

    /// What is for known relays is for a node as long as it has a connection on which it has said hello, and as the relay
    /// of that hello.
    fn admit_by_session(&mut self, peer: PeerId) {
        match self.peers.domain_of(peer) {
            Some(domain) => self.swarm.behaviour_mut().admit(peer, domain),
            None => self.swarm.behaviour_mut().revoke(peer),
        }
    }

    fn handle_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                let way = way(&endpoint);
                tracing::debug!(peer = %peer_id, %connection_id, inbound = way.inbound, via = way.via, "connected");
                self.peers.opened(connection_id, peer_id, way.inbound, (self.clock)());
                self.peers.came_by(connection_id, way);
                let unwanted = |dial: Dial| dial.reply.send(Ok(connection_id)).is_err();
                if self.dials.remove(&connection_id).is_some_and(unwanted) {
                    // Whoever dialled has given up or got through elsewhere.
                    self.swarm.close_connection(connection_id);
                }
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, cause, .. } => {
                tracing::debug!(peer = %peer_id, %connection_id, ?cause, "connection closed");
                self.peers.closed(connection_id);
                self.admit_by_session(peer_id);
            }
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                if let Some(dial) = self.dials.remove(&connection_id) {
                    let _ = dial.reply.send(Err(DialFailure::of(&error)));
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
            SwarmEvent::NewListenAddr { listener_id, .. } => self.listeners.given(listener_id),
            SwarmEvent::ListenerError { error, .. } => {
                tracing::warn!(%error, "a listening socket failed; peers may not reach this relay");
            }
            SwarmEvent::ListenerClosed { listener_id, reason, addresses } => {
                let why =
                    reason.as_ref().err().map_or_else(|| "the connection ended".to_owned(), |e| cause(e));
                if !self.listeners.closed(listener_id, &why) && reason.is_err() {
                    tracing::error!(%why, ?addresses, "a listening socket is gone; peers cannot reach this relay there");
                }
            }
            SwarmEvent::Behaviour(BehaviourEvent::Gossip(event)) => self.handle_gossip(event),
            SwarmEvent::Behaviour(event) => self.handle_helper(event),
            _ => {}
        }
    }

    fn close_mute(&mut self) {
        let now = (self.clock)();
        for connection in self.peers.mute(Millis(now.0.saturating_sub(HELLO_DEADLINE_MS))) {
            tracing::debug!(%connection, "closed for want of a hello");
            self.swarm.close_connection(connection);
        }
        for connection in self.peers.delisted(now) {
            tracing::info!(%connection, "closed: the time of that node of the relay is over");
            self.swarm.close_connection(connection);
        }
    }
}

fn way(endpoint: &ConnectedPoint) -> Way {
    let address = endpoint.get_remote_address();
    let via = match endpoint {
        _ if endpoint.is_relayed() => "circuit",
        _ if address.iter().any(|part| part == Part::QuicV1) => "quic",
        _ => "tcp",
    };
    // Where a hole is punched both sides dial, and agree on who plays the one that was called.
    let called = matches!(
        endpoint,
        ConnectedPoint::Listener { .. } | ConnectedPoint::Dialer { role_override: Endpoint::Listener, .. }
    );
    Way { via, address: address.to_string(), inbound: called }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_dial_beyond_what_the_swarm_takes_waits_for_another_to_end() {
        let (orders, mut queue) = mpsc::channel(MAX_OWN_DIALS + 1);
        let network = Network::new(orders);
        // Tokio has a task that does so much at once give way to others, which here is none.
        let dial = |_| Box::pin(tokio::task::unconstrained(network.dial(PeerId::random(), Vec::new())));
        let mut dials: Vec<_> = (0..=MAX_OWN_DIALS).map(dial).collect();
        for dial in &mut dials {
            assert!(futures::poll!(dial).is_pending());
        }
        assert_eq!(queue.len(), MAX_OWN_DIALS);
        let ended = queue.recv().await;
        // Whoever ordered a dial may leave; its place is free when the swarm has done with it.
        drop(dials.remove(0));
        assert!(futures::poll!(&mut dials[MAX_OWN_DIALS - 1]).is_pending());
        assert_eq!(queue.len(), MAX_OWN_DIALS - 1);
        drop(ended);
        assert!(futures::poll!(&mut dials[MAX_OWN_DIALS - 1]).is_pending());
        assert_eq!(queue.len(), MAX_OWN_DIALS);
    }
}
