//! What peers ask of this relay: each stream they open is a task, admitted up to a bound.

use std::sync::Arc;
use std::time::Duration;

use futures::AsyncReadExt;
use libp2p::Stream;
use libp2p::swarm::ConnectionId;
use posthouse_spec::limits::MAX_PEER_FRAME;
use posthouse_spec::peer::hello::PeerRule;
use posthouse_spec::{Cbor, Domain};
use tokio::sync::mpsc;

use super::deliveries::Deliveries;
use super::hello::Introductions;
use super::network::Network;
use super::peers::{Peers, Session, until};
use super::tasks::Tasks;
use super::wire::{WRITE_TIMEOUT, refuse, report};
use crate::behaviour::{Admission, Inbound, Protocol};
use crate::codec::{FrameReader, FrameWriter};
use crate::host::Host;
use crate::link::Violation;

/// Streams that wait to be taken up, from all peers together; more are reset.
pub(crate) const MAX_WAITING: usize = 1024;
/// How long a peer may take to put its question, and this relay to answer it.
const READ_TIMEOUT: Duration = Duration::from_secs(15);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a stream may wait for the hello that this relay itself is saying on the same connection.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

/// Takes up what peers open.
pub(crate) struct Reception {
    pub(crate) host: Arc<dyn Host>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) network: Network,
    pub(crate) introductions: Arc<Introductions>,
    pub(crate) deliveries: Deliveries,
    pub(crate) tasks: Tasks,
}

impl Reception {
    /// Takes up streams until the node ends.
    pub(crate) async fn run(self: Arc<Self>, mut inbound: mpsc::Receiver<Inbound>) {
        while let Some(Some(inbound)) = self.tasks.cancel.run_until_cancelled(inbound.recv()).await {
            let this = Arc::clone(&self);
            drop(self.tasks.spawn(async move { this.take_up(inbound).await }));
        }
    }

    async fn take_up(&self, inbound: Inbound) {
        let Inbound { peer, connection, protocol, stream, admission } = inbound;
        // The place is given back when this function ends.
        let _place = match admission {
            Admission::Admitted(place) => place,
            Admission::Refused(_place) => {
                let detail = "more streams are open than one peer may have: close some first";
                let violation = Violation::new(PeerRule::TooManyStreams, detail);
                return self.turn_away(&peer, connection, protocol, stream, &violation).await;
            }
        };
        if protocol == Protocol::Hello {
            // A node that ends owes nobody a hello.
            let hearing = self.introductions.hear(stream, peer, connection);
            let _ = self.tasks.cancel.run_until_cancelled(hearing).await;
            return;
        }
        let Some(session) = self.session(connection).await else {
            let violation = Violation::new(PeerRule::NoHello, "say hello on this connection first");
            return self.turn_away(&peer, connection, protocol, stream, &violation).await;
        };
        if !self.introductions.own.permits(&session.domain) {
            let detail =
                format!("the operator of {} does not federate with it", self.introductions.own.domain);
            let violation = Violation::new(PeerRule::NotAllowed, detail);
            return self.turn_away(&peer, connection, protocol, stream, &violation).await;
        }
        let served = match protocol {
            Protocol::Deliver => self.deliveries.serve(stream, &session).await,
            Protocol::Room => {
                let host = &*self.host;
                let domain = &session.domain;
                self.answer(stream, protocol, |request| host.room(domain, request), domain).await
            }
            Protocol::Mailbag => {
                let host = &*self.host;
                let domain = &session.domain;
                self.answer(stream, protocol, |request| host.mailbag(domain, request), domain).await
            }
            Protocol::Keys | Protocol::Hello => {
                let host = &*self.host;
                let domain = &session.domain;
                self.answer(stream, protocol, |request| host.keys(domain, request), domain).await
            }
        };
        if let Err(violation) = served {
            report(&session.domain, protocol, &violation);
            self.strike(connection).await;
        }
    }

    /// The session on a connection; where this relay has dialled, its hello is waited for.
    async fn session(&self, connection: ConnectionId) -> Option<Arc<Session>> {
        if let Some(session) = self.peers.session_on(connection) {
            return Some(session);
        }
        let mut watch = self.peers.awaited_session(connection)?;
        tokio::time::timeout(HELLO_TIMEOUT, until(&mut watch, Option::is_some)).await.ok()?
    }

    async fn turn_away(
        &self,
        peer: &libp2p::PeerId,
        connection: ConnectionId,
        protocol: Protocol,
        stream: Stream,
        violation: &Violation,
    ) {
        let session = self.peers.session_on(connection);
        let who = session.map_or_else(|| peer.to_string(), |session| session.domain.to_string());
        report(who, protocol, violation);
        refuse(stream, protocol, violation).await;
        self.strike(connection).await;
    }

    async fn strike(&self, connection: ConnectionId) {
        if self.peers.strike(connection) {
            tracing::warn!(%connection, "too many rules were broken on this connection, it is closed");
            self.network.close(connection).await;
        }
    }

    async fn answer<Q, A, F>(
        &self,
        stream: Stream,
        protocol: Protocol,
        service: impl FnOnce(Q) -> F,
        domain: &Domain,
    ) -> Result<(), Violation>
    where
        Q: Cbor,
        A: Cbor,
        F: Future<Output = A>,
    {
        let (reading, writing) = stream.split();
        let mut reader = FrameReader::new(reading, MAX_PEER_FRAME);
        let reading = tokio::time::timeout(READ_TIMEOUT, reader.value::<Q>());
        let Some(read) = self.tasks.cancel.run_until_cancelled(reading).await else { return Ok(()) };
        let refusal = match read {
            Ok(Ok(request)) => match tokio::time::timeout(ANSWER_TIMEOUT, service(request)).await {
                Ok(answer) => {
                    self.reply(FrameWriter::new(writing), &answer, domain).await;
                    return Ok(());
                }
                Err(_) => Violation::new(PeerRule::Unavailable, "no answer in time: try again later"),
            },
            Ok(Err(error)) => match error.rule() {
                Some(rule) => Violation::new(rule, error),
                // The peer has left; there is nobody to be told.
                None => return Ok(()),
            },
            Err(_) => Violation::new(PeerRule::OutOfTurn, "the stream was opened, but no question came"),
        };
        if let Ok(stream) = reader.into_inner().reunite(writing) {
            refuse(stream, protocol, &refusal).await;
        }
        if refusal.rule == PeerRule::Unavailable { Ok(()) } else { Err(refusal) }
    }

    async fn reply<A: Cbor>(
        &self,
        mut writer: FrameWriter<futures::io::WriteHalf<Stream>>,
        answer: &A,
        domain: &Domain,
    ) {
        let writing = async {
            writer.send(answer).await?;
            writer.close().await
        };
        if !matches!(tokio::time::timeout(WRITE_TIMEOUT, writing).await, Ok(Ok(()))) {
            tracing::debug!(%domain, "the peer left before it was answered");
        }
    }
}
