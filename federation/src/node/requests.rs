//! Questions to other relays: one stream each, a bounded number at once.

use std::sync::Arc;
use std::time::Duration;

use futures::AsyncReadExt;
use posthouse_spec::limits::MAX_PEER_FRAME;
use posthouse_spec::peer::hello::{PeerRefusal, PeerRule};
use posthouse_spec::peer::{
    KeysRequest, KeysResponse, MailbagRequest, MailbagResponse, RoomRequest, RoomResponse,
};
use posthouse_spec::{Cbor, Domain};

use super::connector::Connector;
use super::peers::{Session, until};
use super::verdicts::punish;
use super::wire::report;
use crate::behaviour::Protocol;
use crate::codec::{FrameError, FrameReader, FrameWriter};
use crate::error::PeerError;
use crate::link::Violation;

/// How long an answer may take, the connection included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Questions are asked again on a fresh session where the one they were asked on broke: each can be repeated.
const ATTEMPTS: usize = 3;

/// Asks.
#[derive(Clone)]
pub(crate) struct Requests {
    pub(crate) connector: Connector,
}

/// Why one attempt gave no answer.
enum Failed {
    /// The session is no good any more.
    Broken(String),
    Error(PeerError),
}

impl Requests {
    pub(crate) async fn keys(
        &self,
        domain: &Domain,
        request: &KeysRequest,
    ) -> Result<KeysResponse, PeerError> {
        let refusal = |answer| match answer {
            KeysResponse::Rejected(refusal) => Err(refusal),
            answer => Ok(answer),
        };
        self.ask(domain, Protocol::Keys, "a question for keys", request, refusal).await
    }

    pub(crate) async fn room(
        &self,
        domain: &Domain,
        request: &RoomRequest,
    ) -> Result<RoomResponse, PeerError> {
        let refusal = |answer| match answer {
            RoomResponse::Rejected(refusal) => Err(refusal),
            answer => Ok(answer),
        };
        self.ask(domain, Protocol::Room, "a question about a room", request, refusal).await
    }

    pub(crate) async fn mailbag(
        &self,
        domain: &Domain,
        request: &MailbagRequest,
    ) -> Result<MailbagResponse, PeerError> {
        let refusal = |answer| match answer {
            MailbagResponse::Rejected(refusal) => Err(refusal),
            answer => Ok(answer),
        };
        self.ask(domain, Protocol::Mailbag, "a question about mailbags", request, refusal).await
    }

    async fn ask<Q: Cbor + Sync, A: Cbor>(
        &self,
        domain: &Domain,
        protocol: Protocol,
        what: &'static str,
        request: &Q,
        accepted: impl Fn(A) -> Result<A, PeerRefusal>,
    ) -> Result<A, PeerError> {
        let asking = async {
            let peer = self.connector.peers.peer(domain);
            // The semaphore is never closed, so a place always comes.
            let _place = peer.requests.acquire().await;
            let mut why = String::new();
            for _ in 0..ATTEMPTS {
                let session = self.connector.session(domain).await?;
                match self.exchange(&session, protocol, request, &accepted).await {
                    Ok(answer) => return Ok(answer),
                    Err(Failed::Error(error)) => return Err(error),
                    Err(Failed::Broken(reason)) => why = reason,
                }
            }
            Err(PeerError::Unreachable { domain: domain.clone(), why })
        };
        tokio::time::timeout(REQUEST_TIMEOUT, asking).await.unwrap_or_else(|_| {
            Err(PeerError::Timeout { domain: domain.clone(), what, after: REQUEST_TIMEOUT })
        })
    }

    async fn exchange<Q: Cbor, A: Cbor>(
        &self,
        session: &Arc<Session>,
        protocol: Protocol,
        request: &Q,
        accepted: &impl Fn(A) -> Result<A, PeerRefusal>,
    ) -> Result<A, Failed> {
        let network = &self.connector.network;
        let stream = match network.open(session.peer, session.connection, protocol).await {
            Ok(stream) => stream,
            Err(why) => {
                // A connection on which no stream can be opened is of no use to anybody.
                network.close(session.connection).await;
                self.left(session).await;
                return Err(Failed::Broken(why));
            }
        };
        let (reading, writing) = stream.split();
        let mut writer = FrameWriter::new(writing);
        // A refusal may come before everything is written, and then says more than the broken write.
        let written = async {
            writer.send(request).await?;
            writer.close().await
        };
        let written = written.await;
        let refused =
            |rule, detail| Failed::Error(PeerError::Refused { domain: session.domain.clone(), rule, detail });
        let room = Arc::clone(&self.connector.peers.peer(&session.domain).large_answers);
        let mut reader = FrameReader::new(reading, MAX_PEER_FRAME).with_room(room);
        // A connection that this side closes, as it does with a circuit once a direct one stands, leaves its readers waiting
        // (yamux tells them nothing).
        let answer = tokio::select! {
            answer = reader.value::<A>() => answer,
            () = self.connector.peers.until_closed(session.connection) => Err(FrameError::Ended),
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => match error.rule() {
                Some(rule) => {
                    let violation = Violation::new(rule, format!("its answer: {error}"));
                    let Connector { peers, own, .. } = &self.connector;
                    report(peers, &session.domain, protocol, &violation);
                    punish((peers, network), &session.domain, rule, 1, own.now()).await;
                    return Err(refused(rule, violation.detail));
                }
                None => {
                    let why = written.err().map_or_else(|| error.to_string(), |e| e.to_string());
                    return Err(Failed::Broken(why));
                }
            },
        };
        match accepted(answer) {
            Ok(answer) => Ok(answer),
            // The other side has forgotten the session: hello again.
            Err(refusal) if refusal.rule == PeerRule::NoHello => {
                network.close(session.connection).await;
                self.left(session).await;
                Err(Failed::Broken(refusal.detail.to_string()))
            }
            Err(refusal) => Err(refused(refusal.rule, refusal.detail.to_string())),
        }
    }

    /// Waits until a closed connection's session is current no more.
    async fn left(&self, session: &Session) {
        let mut watch = self.connector.peers.peer(&session.domain).watch();
        let other = |current: &Option<Arc<Session>>| {
            current.as_ref().is_none_or(|current| current.connection != session.connection)
        };
        until(&mut watch, other).await;
    }
}
