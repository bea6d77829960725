//! Getting a session with a relay: the current one, or a new one by look-up, dial and hello.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use libp2p::PeerId;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::ConnectionId;
use posthouse_spec::Domain;
use posthouse_spec::manifest::Manifest;
use posthouse_spec::peer::hello::PeerRule;

use super::dial::{Dialable, behind, dialable};
use super::dial_failure::DialFailure;
use super::directory::Directory;
use super::hello::Introductions;
use super::network::Network;
use super::own::Own;
use super::peers::{Peer, Peers, Session, until};
use super::reach::Reach;
use super::tasks::Tasks;
use crate::behaviour::peer_of;
use crate::error::PeerError;
use crate::link::Violation;

/// How long QUIC is tried alone before TCP is tried too.
const QUIC_HEAD_START: Duration = Duration::from_secs(1);
/// How long one node of a relay is tried before the next is tried too, and how many are at once.
const NODE_HEAD_START: Duration = Duration::from_secs(2);
const MAX_NODES_AT_ONCE: usize = 4;
/// How long a relay that is reached by circuits too is tried at its addresses: the better part of [`CONNECT_TIMEOUT`] is for
/// the circuits, and before a node is given up both transports have had their time.
const DIRECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long look-up and dial may take together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(25);

/// Makes sessions.
#[derive(Clone)]
pub(crate) struct Connector {
    pub(crate) own: Arc<Own>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) introductions: Arc<Introductions>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) network: Network,
    pub(crate) reach: Arc<Reach>,
    pub(crate) tasks: Tasks,
}

/// By which ways a relay may be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ways {
    /// At its addresses only.
    Direct,
    /// By circuits too.
    All,
}

impl Connector {
    /// The current session with a relay, or a new one. Whichever side's call gets through first counts.
    pub(crate) async fn session(&self, domain: &Domain) -> Result<Arc<Session>, PeerError> {
        self.session_by(domain, Ways::All).await
    }

    /// A session that needs no third relay. The future is boxed because calls by circuit begin with one.
    pub(crate) fn session_directly(
        &self,
        domain: &Domain,
    ) -> BoxFuture<'static, Result<Arc<Session>, PeerError>> {
        let (this, domain) = (self.clone(), domain.clone());
        async move {
            let session = this.session_by(&domain, Ways::Direct).await?;
            if this.peers.is_circuit(session.connection) {
                let why = "it is itself reached by circuit only".to_owned();
                return Err(PeerError::Unreachable { domain, why });
            }
            Ok(session)
        }
        .boxed()
    }

    async fn session_by(&self, domain: &Domain, ways: Ways) -> Result<Arc<Session>, PeerError> {
        let refused = |detail: String| PeerError::Refused {
            domain: domain.clone(),
            rule: PeerRule::NotAllowed,
            detail,
        };
        if *domain == self.own.domain {
            return Err(refused("this is the relay itself".into()));
        }
        if !self.own.permits(domain) {
            return Err(refused(format!("the operator of {} does not federate with it", self.own.domain)));
        }
        if let Some(Violation { rule, detail }) = self.peers.conducts.cut_off(domain, self.own.now()) {
            return Err(PeerError::Refused { domain: domain.clone(), rule, detail });
        }
        let peer = self.peers.peer(domain);
        if let Some(session) = peer.session() {
            return Ok(session);
        }
        let mut watch = peer.watch();
        // The attempt is a task of its own: whoever waits for it may give up, but a hello once begun is ended, since
        // the other side counts on it.
        let (this, name) = (self.clone(), domain.clone());
        let mut attempt = self.tasks.spawn(async move { this.attempt(&name, &peer, ways).await });
        tokio::select! {
            biased;
            appeared = until(&mut watch, Option::is_some) => appeared.ok_or_else(|| shutting_down(domain)),
            ended = &mut attempt => match ended {
                Ok(Err(error)) => Err(error),
                // It ended well: the session was there, even if it is gone again.
                Ok(Ok(session)) => Ok(session),
                Err(_) => Err(shutting_down(domain)),
            },
        }
    }

    async fn attempt(&self, domain: &Domain, peer: &Peer, ways: Ways) -> Result<Arc<Session>, PeerError> {
        let asked = self.own.now();
        let Some(turn) = self.tasks.cancel.run_until_cancelled(peer.dialling.lock()).await else {
            return Err(shutting_down(domain));
        };
        if let Some(session) = peer.session() {
            return Ok(session);
        }
        // What failed while this one waited for its turn is the answer to it too; an earlier failure is not.
        let waited = self.own.now().0.saturating_sub(asked.0) + 1;
        if let Some(error) = peer.recent_failure(self.own.now(), waited) {
            return Err(error);
        }
        let result = match self.reach(domain, peer, ways).await {
            Ok(None) => Ok(()),
            Ok(Some((node, connection))) => self.introductions.say(domain, node, connection).await,
            Err(error) => Err(error),
        };
        drop(turn);
        match (peer.session(), result) {
            (Some(session), _) => Ok(session),
            (None, Ok(())) => Err(PeerError::Unreachable {
                domain: domain.clone(),
                why: "the connection was closed right after hello".into(),
            }),
            (None, Err(error)) => {
                tracing::debug!(%error, "no session");
                if matches!(error, PeerError::Crowded { .. }) {
                    return Err(error);
                }
                peer.failed(error.clone(), self.own.now(), rand::random());
                Err(error)
            }
        }
    }

    /// Dials, unless the relay calls first.
    async fn reach(
        &self,
        domain: &Domain,
        peer: &Peer,
        ways: Ways,
    ) -> Result<Option<(PeerId, ConnectionId)>, PeerError> {
        let mut watch = peer.watch();
        tokio::select! {
            () = self.tasks.cancel.cancelled() => Err(shutting_down(domain)),
            _ = until(&mut watch, Option::is_some) => Ok(None),
            reached = self.look_up_and_dial(domain, ways) => reached.map(Some),
            () = tokio::time::sleep(CONNECT_TIMEOUT) => Err(PeerError::Timeout {
                domain: domain.clone(),
                what: "the call",
                after: CONNECT_TIMEOUT,
            }),
        }
    }

    async fn look_up_and_dial(
        &self,
        domain: &Domain,
        ways: Ways,
    ) -> Result<(PeerId, ConnectionId), PeerError> {
        let overridden = self.directory.is_overridden(domain).await?;
        let trusted = overridden || self.own.allow_private || domain.is_loopback();
        let pinned = self.directory.pinned(domain).await?;
        // The operator's file comes first: it may know newer addresses than what is pinned.
        let fresh = overridden || pinned.is_none();
        let manifest = match (fresh, pinned) {
            (false, Some(pinned)) => pinned,
            (_, pinned) => match (self.directory.discover(domain).await, pinned) {
                (Ok(found), _) => found,
                (Err(error), Some(pinned)) => {
                    tracing::debug!(%error, "the pinned manifest is used");
                    pinned
                }
                (Err(error), None) => return Err(error),
            },
        };
        let failed = match self.dial_any(domain, &manifest, trusted, ways).await {
            Ok(reached) => return Ok(reached),
            Err(error) if fresh || matches!(error, PeerError::Crowded { .. }) => return Err(error),
            Err(error) => error,
        };
        // The relay may have moved since its manifest was pinned.
        match self.directory.discover(domain).await {
            Ok(newer) if newer.seq > manifest.seq => self.dial_any(domain, &newer, trusted, ways).await,
            _ => Err(failed),
        }
    }

    async fn dial_any(
        &self,
        domain: &Domain,
        manifest: &Manifest,
        trusted: bool,
        ways: Ways,
    ) -> Result<(PeerId, ConnectionId), PeerError> {
        let addresses = dialable(manifest, trusted).await;
        let now = self.own.now();
        let valid = |node: &&posthouse_spec::manifest::Node| manifest.lists_node(&node.key, now);
        let mut tried = addresses.left_out.clone();
        let mut crowded = false;
        let mut failed = |failure: DialFailure| {
            crowded |= matches!(failure, DialFailure::Crowded(_));
            failure.to_string()
        };
        let nodes: Vec<_> = manifest.nodes.iter().filter(valid).filter_map(|n| peer_of(&n.key)).collect();
        let circuits = manifest.circuits.as_ref().filter(|_| ways == Ways::All);
        let circuits = circuits.filter(|through| !through.is_empty());
        // Without addresses of its own there are circuits, or the attempt says what is lacking.
        if !addresses.is_empty() || circuits.is_none() {
            let dialling =
                first_of(&nodes, |node| self.dial(node, &addresses), |why| tried.push(failed(why)));
            let patience = if circuits.is_some() { DIRECT_TIMEOUT } else { CONNECT_TIMEOUT };
            match tokio::time::timeout(patience, dialling).await {
                Ok(Some(reached)) => return Ok(reached),
                Ok(None) => {}
                Err(_) => tried.push(format!("its addresses: no answer within {} s", patience.as_secs())),
            }
        }
        for through in circuits.into_iter().flat_map(|through| through.iter()) {
            match self.dial_through(domain, through, &nodes).await {
                Ok(reached) => return Ok(reached),
                Err(failure) => tried.push(format!("through {through}: {}", failed(failure))),
            }
        }
        if tried.is_empty() {
            tried.push("its manifest lists no node that is valid by the clock of this relay".into());
        }
        let (domain, why) = (domain.clone(), tried.join("; "));
        Err(if crowded { PeerError::Crowded { domain, why } } else { PeerError::Unreachable { domain, why } })
    }

    /// Calls by circuit through another relay, with which a session comes first.
    pub(super) async fn dial_through(
        &self,
        domain: &Domain,
        through: &Domain,
        nodes: &[PeerId],
    ) -> Result<(PeerId, ConnectionId), DialFailure> {
        if *through == self.own.domain || through == domain {
            return Err(DialFailure::Failed("that relay holds no connection to this one".into()));
        }
        let session = self.session_directly(through).await.map_err(|error| match error {
            PeerError::Crowded { .. } => DialFailure::Crowded(error.to_string()),
            error => DialFailure::Failed(error.to_string()),
        })?;
        let at =
            self.peers.address(session.connection).ok_or_else(|| "the connection was closed".to_owned())?;
        // What the other side will punch to must be known before the circuit stands.
        self.reach.until_seen().await;
        let way = behind(&at, session.peer);
        let dial = |node| self.network.dial(node, vec![way.clone().with(Protocol::P2p(node))]);
        let mut failures: Option<DialFailure> = None;
        let failed = |failure: DialFailure| {
            failures = Some(match failures.take() {
                Some(before) => before.and(failure),
                None => failure,
            });
        };
        match first_of(nodes, dial, failed).await {
            Some(reached) => Ok(reached),
            None => {
                Err(failures.unwrap_or_else(|| "none of its nodes is good at this time".to_owned().into()))
            }
        }
    }

    /// QUIC first; TCP when QUIC fails or takes too long.
    async fn dial(&self, node: PeerId, addresses: &Dialable) -> Result<ConnectionId, DialFailure> {
        if addresses.quic.is_empty() {
            return self.network.dial(node, addresses.tcp.clone()).await;
        }
        let quic = self.network.dial(node, addresses.quic.clone());
        if addresses.tcp.is_empty() {
            return quic.await;
        }
        tokio::pin!(quic);
        let tcp = self.network.dial(node, addresses.tcp.clone());
        tokio::select! {
            first = &mut quic => match first {
                Ok(connection) => return Ok(connection),
                Err(quic) => return tcp.await.map_err(|tcp| quic.and(tcp)),
            },
            () = tokio::time::sleep(QUIC_HEAD_START) => {}
        }
        tokio::pin!(tcp);
        tokio::select! {
            first = &mut quic => match first {
                Ok(connection) => Ok(connection),
                Err(quic) => tcp.await.map_err(|tcp| quic.and(tcp)),
            },
            first = &mut tcp => match first {
                Ok(connection) => Ok(connection),
                Err(tcp) => quic.await.map_err(|quic| quic.and(tcp)),
            },
        }
    }
}

/// Dials nodes until one is reached: the next one when one has failed, or has not answered for a while.
async fn first_of<F>(
    nodes: &[PeerId],
    dial: impl Fn(PeerId) -> F,
    mut failed: impl FnMut(DialFailure),
) -> Option<(PeerId, ConnectionId)>
where
    F: Future<Output = Result<ConnectionId, DialFailure>>,
{
    let mut waiting = nodes.iter();
    let mut dials = FuturesUnordered::new();
    loop {
        if dials.len() < MAX_NODES_AT_ONCE
            && let Some(node) = waiting.next()
        {
            let dial = dial(*node);
            dials.push(async move { (*node, dial.await) });
        }
        let more = dials.len() < MAX_NODES_AT_ONCE && waiting.len() > 0;
        tokio::select! {
            ended = dials.next() => match ended? {
                (node, Ok(connection)) => return Some((node, connection)),
                (_, Err(failure)) => failed(failure),
            },
            () = tokio::time::sleep(NODE_HEAD_START), if more => {}
        }
    }
}

fn shutting_down(domain: &Domain) -> PeerError {
    PeerError::Unreachable { domain: domain.clone(), why: "this relay is shutting down".into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};

    #[tokio::test]
    async fn a_node_that_never_answers_does_not_keep_the_others_from_being_dialled() {
        let nodes: Vec<PeerId> = (0..7).map(|_| PeerId::random()).collect();
        let gone = || DialFailure::Failed("gone".into());
        let mut failures = 0;
        let dial = async |node: PeerId| match nodes.iter().position(|known| *known == node) {
            Some(1) => pending().await,
            Some(6) => ready(Ok(ConnectionId::new_unchecked(6))).await,
            _ => Err(gone()),
        };
        let reached = first_of(&nodes, dial, |_| failures += 1).await;
        assert_eq!(reached, Some((nodes[6], ConnectionId::new_unchecked(6))));
        assert_eq!(failures, 5);
        assert_eq!(first_of(&[], dial, |_| ()).await, None);
    }
}
