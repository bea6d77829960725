//! What peers ask of this relay: each stream they open is a task, admitted up to a bound.

use std::sync::Arc;
use std::time::Duration;

use futures::AsyncReadExt;
use libp2p::Stream;
use libp2p::swarm::ConnectionId;
use posthouse_spec::limits::MAX_PEER_FRAME;
use posthouse_spec::peer::MailbagResponse;
use posthouse_spec::peer::hello::{MIN_PEER_VERSION, PeerRule};
use posthouse_spec::{Cbor, Domain};
use tokio::sync::mpsc;

use super::deliveries::Deliveries;
use super::hello::{Introductions, Unheard};
use super::network::Network;
use super::peers::{Peers, Session, until};
use super::tasks::Tasks;
use super::verdicts::{punish, shut_out};
use super::wire::{Answer, Broken, WRITE_TIMEOUT, broken_rule, refuse, report};
use crate::behaviour::{Admission, Inbound, Protocol};
use crate::budget::Asked;
use crate::codec::{FrameError, FrameReader, FrameWriter};
use crate::conduct::Treatment;
use crate::host::Host;
use crate::link::Violation;

/// Streams that wait to be taken up, from all peers together; more are reset.
pub(crate) const MAX_WAITING: usize = 1024;
/// How long a peer may take to begin its question, or to go on with it, and this relay to answer it.
const READ_PATIENCE: Duration = Duration::from_secs(15);
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
        let Inbound { peer, connection, protocol, stream, admission, resets } = inbound;
        if resets > 0 {
            self.strike(connection, PeerRule::TooManyStreams, resets).await;
        }
        // The place is given back when this function ends.
        let _place = match admission {
            Admission::Admitted(place) => place,
            Admission::Reset => return,
            Admission::Refused(_place) => {
                let detail = "more streams are open than one peer may have: close some first";
                let violation = Violation::new(PeerRule::TooManyStreams, detail);
                return self.turn_away(&peer, connection, protocol, stream, &violation).await;
            }
        };
        if !self.is_let_in(connection).await {
            return;
        }
        if protocol == Protocol::Hello {
            // A node that ends owes nobody a hello.
            let hearing = self.hear(stream, peer, connection);
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
                let room = |request| host.room(domain, request);
                self.answer(stream, (protocol, Asked::Room), room, &session).await
            }
            Protocol::Mailbag => {
                let host = &*self.host;
                let domain = &session.domain;
                let version = session.version;
                let mailbag = async |request| match host.mailbag(domain, request).await {
                    MailbagResponse::Rejected(mut refusal) => {
                        refusal.rule = refusal.rule.for_version(version);
                        MailbagResponse::Rejected(refusal)
                    }
                    answer => answer,
                };
                self.answer(stream, (protocol, Asked::Mailbag), mailbag, &session).await
            }
            Protocol::Keys | Protocol::Hello => {
                let host = &*self.host;
                let domain = &session.domain;
                let keys = |request| host.keys(domain, request);
                self.answer(stream, (protocol, Asked::Keys), keys, &session).await
            }
        };
        if let Err(broken) = served {
            report(&self.peers, &session.domain, protocol, &broken.violation);
            // Before it is told, which may take long, and as the relay that it is: a connection can be replaced meanwhile.
            self.punish(&session.domain, broken.violation.rule, 1).await;
            broken.refuse(protocol, session.version).await;
        }
    }

    async fn hear(&self, stream: Stream, peer: libp2p::PeerId, connection: ConnectionId) {
        let Err(unheard) = self.introductions.hear(stream, peer, connection).await else { return };
        let Unheard { broken, culprit, version } = unheard;
        let rule = broken.violation.rule;
        match culprit {
            Some(domain) => self.punish(&domain, rule, 1).await,
            None => self.strike(connection, rule, 1).await,
        }
        broken.refuse(Protocol::Hello, version).await;
        if rule == PeerRule::CutOff {
            self.network.close(connection).await;
        }
    }

    /// Lets a slowed relay wait, and one that is cut off not in.
    async fn is_let_in(&self, connection: ConnectionId) -> bool {
        let Some(session) = self.peers.session_on(connection) else { return true };
        match self.peers.conducts.treatment(&session.domain, self.introductions.own.now()) {
            Treatment::Normal => true,
            Treatment::Slowed(ms) => {
                let waiting = tokio::time::sleep(Duration::from_millis(ms));
                self.tasks.cancel.run_until_cancelled(waiting).await.is_some()
            }
            Treatment::CutOff(_) => {
                shut_out(&self.peers, &self.network, &session.domain).await;
                false
            }
        }
    }

    /// Lets a question wait for its turn, unless too many wait already.
    async fn in_turn(&self, session: &Session, asked: Asked) -> Result<(), Violation> {
        let peer = self.peers.peer(&session.domain);
        match peer.handle_question(asked, self.introductions.own.now()) {
            Ok(0) => Ok(()),
            Ok(wait) => {
                tokio::time::sleep(Duration::from_millis(wait)).await;
                Ok(())
            }
            Err(wait) => {
                let detail =
                    format!("that are more questions than this relay answers: ask again in {wait} ms");
                Err(Violation::new(PeerRule::TooFast, detail))
            }
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
        let who = session.as_ref().map_or_else(|| peer.to_string(), |session| session.domain.to_string());
        report(&self.peers, who, protocol, violation);
        let version = session.map_or(MIN_PEER_VERSION, |session| session.version);
        // Whoever does not listen to the refusal must not gain time by that.
        self.strike(connection, violation.rule, 1).await;
        refuse(stream, protocol, violation, version).await;
    }

    /// A rule was broken on a connection so many times. Whoever has said hello answers for it as the relay that it is; a
    /// stranger loses the connection.
    async fn strike(&self, connection: ConnectionId, rule: PeerRule, times: u32) {
        if let Some(session) = self.peers.session_on(connection) {
            self.punish(&session.domain, rule, times).await;
        } else if self.peers.strike(connection, times) {
            tracing::warn!(%connection, "a stranger broke too many rules on this connection, it is closed");
            self.network.close(connection).await;
        }
    }

    async fn punish(&self, domain: &Domain, rule: PeerRule, times: u32) {
        punish((&self.peers, &self.network), domain, rule, times, self.introductions.own.now()).await;
    }

    async fn answer<Q, A, F>(
        &self,
        stream: Stream,
        (protocol, asked): (Protocol, Asked),
        service: impl FnOnce(Q) -> F,
        session: &Session,
    ) -> Result<(), Broken>
    where
        Q: Cbor,
        A: Answer,
        F: Future<Output = A>,
    {
        let (reading, writing) = stream.split();
        let room = Arc::clone(&self.peers.peer(&session.domain).large_frames);
        let mut reader =
            FrameReader::new(reading, MAX_PEER_FRAME).with_room(room).with_patience(READ_PATIENCE);
        let reading = reader.value::<Q>();
        let Some(read) = self.tasks.cancel.run_until_cancelled(reading).await else { return Ok(()) };
        let refusal = match read {
            Ok(request) => match self.in_turn(session, asked).await {
                Ok(()) => match tokio::time::timeout(ANSWER_TIMEOUT, service(request)).await {
                    Ok(answer) => {
                        // Before it is told, as everywhere.
                        if let Some(violation) = broken_rule(&answer) {
                            report(&self.peers, &session.domain, protocol, &violation);
                            self.punish(&session.domain, violation.rule, 1).await;
                        }
                        self.reply(FrameWriter::new(writing), &answer, &session.domain).await;
                        return Ok(());
                    }
                    Err(_) => Violation::new(PeerRule::Unavailable, "no answer in time: try again later"),
                },
                Err(too_fast) => too_fast,
            },
            Err(FrameError::Late { came: 0 }) => {
                Violation::new(PeerRule::OutOfTurn, "the stream was opened, but no question came")
            }
            // Its way may be slow, or break: that is no fault of its own.
            Err(late @ FrameError::Late { .. }) => Violation::new(PeerRule::Unavailable, late),
            Err(error) => match error.rule() {
                Some(rule) => Violation::new(rule, error),
                // The peer has left; there is nobody to be told.
                None => return Ok(()),
            },
        };
        let broken = Broken::new(refusal, reader.into_inner(), writing);
        if broken.violation.rule != PeerRule::Unavailable {
            return Err(broken);
        }
        broken.refuse(protocol, session.version).await;
        Ok(())
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
