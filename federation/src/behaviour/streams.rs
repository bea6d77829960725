//! Streams of our protocols: opened on a chosen connection, admitted from each peer up to a bound.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::handler::{
    ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound,
};
use libp2p::swarm::{
    ConnectionClosed, ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
    NetworkBehaviour, NotifyHandler, StreamUpgradeError, SubstreamProtocol, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId, Stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::protocol::{Negotiate, Protocol};

/// Streams that one peer may have open towards this relay at once: a lane for each class, and requests.
const MAX_STREAMS_PER_PEER: usize = 32;
/// Streams beyond that which are told why they are refused, at once for each peer; the rest is reset without a word.
const MAX_REFUSALS_PER_PEER: usize = 16;
/// Streams that were reset, after which that is told even though no place is free.
const RESETS_AT_ONCE: u32 = 32;
/// How long the negotiation of one stream may take.
const NEGOTIATION_TIMEOUT: Duration = Duration::from_secs(5);

/// Whether an inbound stream has a place.
#[derive(Debug)]
pub(crate) enum Admission {
    /// It has, for as long as the permit is held.
    Admitted(OwnedSemaphorePermit),
    /// The peer has too many; it is to be told so.
    Refused(OwnedSemaphorePermit),
    /// The peer has so many that it is told nothing any more.
    Reset,
}

/// A stream that a peer has opened.
#[derive(Debug)]
pub(crate) struct Inbound {
    pub(crate) peer: PeerId,
    pub(crate) connection: ConnectionId,
    pub(crate) protocol: Protocol,
    pub(crate) stream: Stream,
    pub(crate) admission: Admission,
    /// Streams of the same peer that were reset without a word since the last one that was not.
    pub(crate) resets: u32,
}

/// Where an opened stream, or the reason why there is none, is sent.
pub(crate) type OpenReply = oneshot::Sender<Result<Stream, String>>;

/// The order to open a stream.
#[derive(Debug)]
pub(crate) struct OpenStream {
    protocol: Protocol,
    reply: OpenReply,
}

#[derive(Debug)]
struct Gate {
    places: Arc<Semaphore>,
    refusals: Arc<Semaphore>,
    resets: AtomicU32,
}

impl Gate {
    fn admit(&self) -> Option<Admission> {
        if let Ok(permit) = Arc::clone(&self.places).try_acquire_owned() {
            return Some(Admission::Admitted(permit));
        }
        Arc::clone(&self.refusals).try_acquire_owned().ok().map(Admission::Refused)
    }
}

/// The behaviour.
pub(crate) struct Streams {
    inbound: mpsc::Sender<Inbound>,
    /// One for each connected peer, shared by its connections.
    gates: HashMap<PeerId, Arc<Gate>>,
    orders: VecDeque<(PeerId, ConnectionId, OpenStream)>,
    waker: Option<Waker>,
}

impl Streams {
    /// Inbound streams go to `inbound`; when it is full they are reset.
    pub(super) fn new(inbound: mpsc::Sender<Inbound>) -> Self {
        Self { inbound, gates: HashMap::new(), orders: VecDeque::new(), waker: None }
    }

    /// Opens a stream on this very connection. The reply is dropped if the connection is gone.
    pub(crate) fn open(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        protocol: Protocol,
        reply: OpenReply,
    ) {
        self.orders.push_back((peer, connection, OpenStream { protocol, reply }));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn handler(&mut self, peer: PeerId, connection: ConnectionId) -> Handler {
        let gate = self.gates.entry(peer).or_insert_with(|| {
            Arc::new(Gate {
                places: Arc::new(Semaphore::new(MAX_STREAMS_PER_PEER)),
                refusals: Arc::new(Semaphore::new(MAX_REFUSALS_PER_PEER)),
                resets: AtomicU32::new(0),
            })
        });
        Handler {
            peer,
            connection,
            gate: Arc::clone(gate),
            inbound: self.inbound.clone(),
            orders: VecDeque::new(),
        }
    }
}

impl NetworkBehaviour for Streams {
    type ConnectionHandler = Handler;
    type ToSwarm = std::convert::Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(peer, connection))
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(peer, connection))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        if let FromSwarm::ConnectionClosed(ConnectionClosed { peer_id, remaining_established: 0, .. }) = event
        {
            self.gates.remove(&peer_id);
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        if let Some((peer_id, connection, event)) = self.orders.pop_front() {
            return Poll::Ready(ToSwarm::NotifyHandler {
                peer_id,
                handler: NotifyHandler::One(connection),
                event,
            });
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// The part that lives on one connection.
pub(crate) struct Handler {
    peer: PeerId,
    connection: ConnectionId,
    gate: Arc<Gate>,
    inbound: mpsc::Sender<Inbound>,
    orders: VecDeque<OpenStream>,
}

impl Handler {
    fn admit(&self, stream: Stream, protocol: Option<Protocol>) {
        // Both dropping the stream and a full channel reset it, which the peer sees at once.
        let Some(protocol) = protocol else { return };
        let Some(admission) = self.gate.admit() else {
            metrics::counter!("posthouse_peer_streams_reset_total").increment(1);
            if self.gate.resets.fetch_add(1, Ordering::Relaxed) + 1 < RESETS_AT_ONCE {
                return;
            }
            return self.hand_over(stream, protocol, Admission::Reset);
        };
        self.hand_over(stream, protocol, admission);
    }

    fn hand_over(&self, stream: Stream, protocol: Protocol, admission: Admission) {
        let resets = self.gate.resets.swap(0, Ordering::Relaxed);
        let (peer, connection) = (self.peer, self.connection);
        let inbound = Inbound { peer, connection, protocol, stream, admission, resets };
        if self.inbound.try_send(inbound).is_err() {
            metrics::counter!("posthouse_peer_streams_reset_total").increment(1);
        }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = OpenStream;
    type ToBehaviour = std::convert::Infallible;
    type InboundProtocol = Negotiate;
    type OutboundProtocol = Negotiate;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = OpenReply;

    fn listen_protocol(&self) -> SubstreamProtocol<Negotiate> {
        SubstreamProtocol::new(Negotiate::any(), ()).with_timeout(NEGOTIATION_TIMEOUT)
    }

    fn poll(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Negotiate, OpenReply, Self::ToBehaviour>> {
        // A connection polls its handler after every order that it hands over, so no waker is kept.
        match self.orders.pop_front() {
            None => Poll::Pending,
            Some(OpenStream { protocol, reply }) => {
                let negotiate = SubstreamProtocol::new(Negotiate::one(protocol), reply);
                Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest {
                    protocol: negotiate.with_timeout(NEGOTIATION_TIMEOUT),
                })
            }
        }
    }

    fn on_behaviour_event(&mut self, order: OpenStream) {
        self.orders.push_back(order);
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Negotiate, Negotiate, (), OpenReply>) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: (stream, protocol),
                ..
            }) => {
                self.admit(stream, protocol);
            }
            // Whoever asked may have given up meanwhile; the stream is closed then.
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol, info }) => {
                let _ = info.send(Ok(protocol));
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info, error }) => {
                let why = match error {
                    StreamUpgradeError::Timeout => "it did not negotiate the stream in time".to_owned(),
                    StreamUpgradeError::NegotiationFailed => "it does not speak this protocol".to_owned(),
                    StreamUpgradeError::Io(error) => format!("the stream broke while it was opened: {error}"),
                    StreamUpgradeError::Apply(never) => match never {},
                };
                let _ = info.send(Err(why));
            }
            _ => {}
        }
    }
}
