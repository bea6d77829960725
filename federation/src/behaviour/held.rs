//! A behaviour whose connections do nothing until the node at the other end has said hello.
//!
//! What the node sends meanwhile waits in the behaviour's own handler, which bounds it. So a helper of libp2p works for
//! known relays only, and loses nothing where it is quicker than the hello.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::handler::ConnectionEvent;
use libp2p::swarm::{
    ConnectionClosed, ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
    NetworkBehaviour, NotifyHandler, SubstreamProtocol, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId};

/// What the behaviour inside is told of the swarm's events.
type Wants = Box<dyn FnMut(&FromSwarm<'_>) -> bool + Send>;

struct Connected {
    released: Arc<AtomicBool>,
    connections: Vec<ConnectionId>,
}

/// The behaviour around the other.
pub(crate) struct Held<B> {
    pub(crate) inner: B,
    wants: Wants,
    peers: HashMap<PeerId, Connected>,
    releases: VecDeque<(PeerId, ConnectionId)>,
    waker: Option<Waker>,
}

impl<B: NetworkBehaviour> Held<B> {
    /// `wants` says which of the swarm's events the behaviour inside is told.
    pub(super) fn new(inner: B, wants: impl FnMut(&FromSwarm<'_>) -> bool + Send + 'static) -> Self {
        Self { inner, wants: Box::new(wants), peers: HashMap::new(), releases: VecDeque::new(), waker: None }
    }

    /// The node has said hello.
    pub(crate) fn release(&mut self, peer: PeerId) {
        let Some(connected) = self.peers.get(&peer) else { return };
        if connected.released.swap(true, Ordering::Relaxed) {
            return;
        }
        self.releases.extend(connected.connections.iter().map(|connection| (peer, *connection)));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// The node has no connection any more on which it has said hello: the others do nothing again.
    pub(crate) fn hold_back(&mut self, peer: PeerId) {
        if let Some(connected) = self.peers.get(&peer) {
            connected.released.store(false, Ordering::Relaxed);
        }
    }

    fn hold(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        inner: THandler<B>,
    ) -> HeldHandler<THandler<B>> {
        let connected = self
            .peers
            .entry(peer)
            .or_insert_with(|| Connected { released: Arc::default(), connections: Vec::new() });
        connected.connections.push(connection);
        HeldHandler { inner, released: Arc::clone(&connected.released) }
    }
}

impl<B: NetworkBehaviour> NetworkBehaviour for Held<B> {
    type ConnectionHandler = HeldHandler<THandler<B>>;
    type ToSwarm = B::ToSwarm;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.inner.handle_pending_inbound_connection(connection, local, remote)
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let inner = self.inner.handle_established_inbound_connection(connection, peer, local, remote)?;
        Ok(self.hold(peer, connection, inner))
    }

    fn handle_pending_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        self.inner.handle_pending_outbound_connection(connection, peer, addresses, role)
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let inner =
            self.inner.handle_established_outbound_connection(connection, peer, address, role, port)?;
        Ok(self.hold(peer, connection, inner))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        if let FromSwarm::ConnectionClosed(ConnectionClosed {
            peer_id,
            connection_id,
            remaining_established,
            ..
        }) = event
            && let Some(connected) = self.peers.get_mut(&peer_id)
        {
            connected.connections.retain(|known| *known != connection_id);
            if remaining_established == 0 {
                self.peers.remove(&peer_id);
            }
        }
        if (self.wants)(&event) {
            self.inner.on_swarm_event(event);
        }
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        self.inner.on_connection_handler_event(peer, connection, event);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        if let Some((peer_id, connection)) = self.releases.pop_front() {
            return Poll::Ready(ToSwarm::NotifyHandler {
                peer_id,
                handler: NotifyHandler::One(connection),
                event: Order::Released,
            });
        }
        self.waker = Some(cx.waker().clone());
        self.inner.poll(cx).map(|order| order.map_in(Order::Inner))
    }
}

/// What a handler is told.
#[derive(Debug)]
pub(crate) enum Order<E> {
    /// It may begin. The flag says so already; this makes the connection look at it.
    Released,
    /// Something for the handler inside.
    Inner(E),
}

/// The handler around the other.
pub(crate) struct HeldHandler<H> {
    inner: H,
    released: Arc<AtomicBool>,
}

impl<H: ConnectionHandler> ConnectionHandler for HeldHandler<H> {
    type FromBehaviour = Order<H::FromBehaviour>;
    type ToBehaviour = H::ToBehaviour;
    type InboundProtocol = H::InboundProtocol;
    type OutboundProtocol = H::OutboundProtocol;
    type InboundOpenInfo = H::InboundOpenInfo;
    type OutboundOpenInfo = H::OutboundOpenInfo;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol, Self::InboundOpenInfo> {
        self.inner.listen_protocol()
    }

    fn connection_keep_alive(&self) -> bool {
        self.inner.connection_keep_alive()
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, Self::OutboundOpenInfo, Self::ToBehaviour>> {
        if self.released.load(Ordering::Relaxed) { self.inner.poll(cx) } else { Poll::Pending }
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Option<Self::ToBehaviour>> {
        self.inner.poll_close(cx)
    }

    fn on_behaviour_event(&mut self, order: Self::FromBehaviour) {
        if let Order::Inner(event) = order {
            self.inner.on_behaviour_event(event);
        }
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<
            '_,
            Self::InboundProtocol,
            Self::OutboundProtocol,
            Self::InboundOpenInfo,
            Self::OutboundOpenInfo,
        >,
    ) {
        self.inner.on_connection_event(event);
    }
}
