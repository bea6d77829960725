//! Hello: who both sides are, before anything else is said on a connection.

use std::sync::Arc;
use std::time::Duration;

use futures::AsyncReadExt;
use libp2p::swarm::ConnectionId;
use libp2p::{PeerId, Stream};
use posthouse_crypto::Verified;
use posthouse_spec::cbor::List;
use posthouse_spec::limits::{MAX_CLOCK_SKEW_MS, MAX_MANIFEST};
use posthouse_spec::manifest::Manifest;
use posthouse_spec::peer::hello::{Hello, HelloResponse, MIN_PEER_VERSION, PEER_VERSION, PeerRule};
use posthouse_spec::{Domain, Millis};

use super::contacts::Contacts;
use super::directory::Directory;
use super::network::Network;
use super::own::Own;
use super::peers::Peers;
use super::status::Meeting;
use super::verdicts::punish;
use super::wire::{Broken, WRITE_TIMEOUT, report};
use crate::behaviour::{Protocol, node_key_of};
use crate::budget::Asked;
use crate::codec::{FrameReader, FrameWriter};
use crate::error::PeerError;
use crate::host::{Host, HostError};
use crate::link::Violation;

/// The largest hello, bytes: a manifest and a few numbers.
const MAX_HELLO: usize = MAX_MANIFEST + 4096;
/// Cursors in a hello.
const MAX_CURSORS: usize = 16;
/// How long a peer may take to say its hello once the stream is open.
const READ_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the answer may take: the other side may have to look this relay up first.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(12);

/// A hello that does not hold.
pub(crate) struct Unheard {
    pub(crate) broken: Broken,
    /// Who answers for it, where that is certain.
    pub(crate) culprit: Option<Domain>,
    /// The version in whose words it is to be told.
    pub(crate) version: u16,
}

/// Says and hears hellos.
pub(crate) struct Introductions {
    pub(crate) own: Arc<Own>,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) network: Network,
    pub(crate) contacts: Arc<Contacts>,
}

impl Introductions {
    /// Says hello on a connection that this relay has dialled, and checks the answer. A connection on which that
    /// fails is closed.
    pub(crate) async fn say(
        &self,
        domain: &Domain,
        peer: PeerId,
        connection: ConnectionId,
    ) -> Result<(), PeerError> {
        let said = tokio::time::timeout(ANSWER_TIMEOUT, self.exchange(domain, peer, connection))
            .await
            .unwrap_or_else(|_| {
                Err(PeerError::Timeout { domain: domain.clone(), what: "hello", after: ANSWER_TIMEOUT })
            });
        if said.is_err() {
            self.network.close(connection).await;
        }
        said
    }

    async fn exchange(
        &self,
        domain: &Domain,
        peer: PeerId,
        connection: ConnectionId,
    ) -> Result<(), PeerError> {
        let unreachable = |why: String| PeerError::Unreachable { domain: domain.clone(), why };
        let refused = |rule, detail: String| PeerError::Refused { domain: domain.clone(), rule, detail };
        let hello = self
            .own_hello(domain)
            .await
            .map_err(|e| unreachable(format!("this relay's own store failed: {e}")))?;
        let stream = self.network.open(peer, connection, Protocol::Hello).await.map_err(unreachable)?;
        let (reading, writing) = stream.split();
        let mut writer = FrameWriter::new(writing);
        // A refusal may come before everything is written, and then says more than the broken write.
        let written = writer.send(&hello).await;
        let answer = FrameReader::new(reading, MAX_HELLO).value::<HelloResponse>().await;
        let answer = match (answer, written) {
            (Ok(answer), _) => answer,
            (Err(_), Err(error)) => return Err(unreachable(format!("hello could not be said: {error}"))),
            (Err(error), Ok(())) => match error.rule() {
                Some(rule) => {
                    let violation = Violation::new(rule, format!("its hello: {error}"));
                    report(&self.peers, domain, Protocol::Hello, &violation);
                    self.punish(domain, rule).await;
                    return Err(refused(rule, violation.detail));
                }
                None => return Err(unreachable(format!("it did not answer hello: {error}"))),
            },
        };
        let theirs = match answer {
            HelloResponse::Hello(theirs) => theirs,
            HelloResponse::Refused(refusal) => {
                return Err(refused(refusal.rule, refusal.detail.to_string()));
            }
        };
        let checked = self.check(&theirs, peer, connection).await.and_then(|manifest| {
            if manifest.domain == *domain {
                return Ok(manifest);
            }
            let detail = format!("the node of {domain} says hello as {}", manifest.domain);
            Err(Violation::new(PeerRule::NotANode, detail))
        });
        let manifest = match checked {
            Ok(manifest) => manifest,
            Err(violation) => {
                report(&self.peers, domain, Protocol::Hello, &violation);
                // It was called at a node of its manifest, so nobody else has said that.
                self.punish(domain, violation.rule).await;
                return Err(refused(violation.rule, violation.detail));
            }
        };
        self.introduce(connection, manifest, &theirs)
            .await
            .ok_or_else(|| unreachable("the connection was closed during hello".into()))
    }

    async fn punish(&self, domain: &Domain, rule: PeerRule) {
        punish((&self.peers, &self.network), domain, rule, 1, self.own.now()).await;
    }

    /// Hears a hello and answers it. Whether the peer may go on is found in [`Peers`]. An error is a rule that the peer broke,
    /// and has to be told of.
    pub(crate) async fn hear(
        &self,
        stream: Stream,
        peer: PeerId,
        connection: ConnectionId,
    ) -> Result<(), Unheard> {
        let before = self.peers.session_on(connection).map(|session| session.domain.clone());
        let (reading, writing) = stream.split();
        let mut reader = FrameReader::new(reading, MAX_HELLO);
        let heard = match tokio::time::timeout(READ_TIMEOUT, reader.value::<Hello>()).await {
            Ok(Ok(hello)) => Ok(hello),
            Ok(Err(error)) => match error.rule() {
                Some(rule) => Err(Violation::new(rule, error)),
                // The peer has left, or the connection broke: nobody is to blame.
                None => return Ok(()),
            },
            Err(_) => Err(Violation::new(PeerRule::OutOfTurn, "the stream was opened, but no hello came")),
        };
        let checked = match &heard {
            Ok(hello) => self.check(hello, peer, connection).await.map_err(|violation| (violation, before)),
            Err(violation) => Err((violation.clone(), before)),
        };
        // Who has passed the check answers for their number, whatever was said on this connection before.
        let counted = checked.and_then(|manifest| match self.count(&manifest.domain) {
            Ok(()) => Ok(manifest),
            Err(violation) => Err((violation, Some(manifest.domain.clone()))),
        });
        let manifest = match counted {
            Ok(manifest) => manifest,
            Err((violation, culprit)) => {
                let claimed = heard.as_ref().ok().and_then(|hello| hello.manifest.peek().ok());
                let who = claimed.map_or_else(|| peer.to_string(), |m| format!("{peer} as {}", m.domain));
                report(&self.peers, &who, Protocol::Hello, &violation);
                let version = heard.map_or(MIN_PEER_VERSION, |hello| hello.max_version);
                let broken = Broken::new(violation, reader.into_inner(), writing);
                return Err(Unheard { broken, culprit, version });
            }
        };
        let domain = manifest.domain.clone();
        let answer = match self.own_hello(&domain).await {
            Ok(hello) => hello,
            Err(error) => {
                tracing::error!(%domain, %error, "a hello could not be answered: the store failed");
                return Ok(());
            }
        };
        // First the session, then the answer: what the peer sends next must find it.
        let introduced = match &heard {
            Ok(hello) => self.introduce(connection, manifest, hello).await,
            Err(_) => None,
        };
        if introduced.is_none() {
            return Ok(());
        }
        let mut writer = FrameWriter::new(writing);
        let answering = async {
            writer.send(&HelloResponse::Hello(answer)).await?;
            writer.close().await
        };
        let answered = tokio::time::timeout(WRITE_TIMEOUT, answering).await;
        if !matches!(answered, Ok(Ok(()))) {
            tracing::debug!(%domain, "the peer left before its hello was answered");
        }
        Ok(())
    }

    async fn introduce(
        &self,
        connection: ConnectionId,
        manifest: Verified<Manifest>,
        hello: &Hello,
    ) -> Option<()> {
        let domain = manifest.domain.clone();
        let superfluous = self.peers.introduced(connection, manifest, hello.max_version.min(PEER_VERSION))?;
        if !self.still_holds(connection, &domain).await {
            self.network.close(connection).await;
            return None;
        }
        if let Some(session) = self.peers.session_on(connection) {
            self.network.admit(session.peer).await;
        }
        tracing::info!(%domain, %connection, "connected to a relay");
        self.contacts.heard(&domain, &hello.cursors);
        for old in superfluous {
            self.network.close(old).await;
        }
        Some(())
    }

    /// Whether what was checked still is so: all may have changed while the hello was under way. From here on whoever changes
    /// it finds the session.
    async fn still_holds(&self, connection: ConnectionId, domain: &Domain) -> bool {
        if !self.own.permits(domain) || self.peers.conducts.cut_off(domain, self.own.now()).is_some() {
            return false;
        }
        let pinned = match self.directory.pinned(domain).await {
            Ok(Some(pinned)) => pinned,
            Ok(None) => return false,
            Err(error) => {
                tracing::error!(%domain, %error, "a hello is not taken: the pinned manifest cannot be read");
                return false;
            }
        };
        self.peers.renewed(&pinned);
        self.peers.session_on(connection).is_some_and(|session| {
            let listed =
                node_key_of(&session.peer).is_some_and(|key| pinned.lists_node(&key, self.own.now()));
            listed && session.manifest.signed() == pinned.signed()
        })
    }

    async fn own_hello(&self, to: &Domain) -> Result<Hello, HostError> {
        let mut cursors = self.host.cursors(to).await?;
        cursors.truncate(MAX_CURSORS);
        Ok(Hello {
            min_version: MIN_PEER_VERSION,
            max_version: PEER_VERSION,
            manifest: self.own.manifest().signed().clone(),
            now: self.own.now(),
            cursors: List::new(cursors).unwrap_or_default(),
        })
    }

    /// Counts a hello that has come: there may be too many of them.
    fn count(&self, domain: &Domain) -> Result<(), Violation> {
        let known = self.peers.peer(domain);
        let wait = known.handle_question(Asked::Hello, self.own.now()).err();
        wait.map_or(Ok(()), |wait| {
            let detail = format!("that were too many hellos: say the next one in {wait} ms");
            Err(Violation::new(PeerRule::TooFast, detail))
        })
    }

    async fn check(
        &self,
        hello: &Hello,
        peer: PeerId,
        connection: ConnectionId,
    ) -> Result<Verified<Manifest>, Violation> {
        let claimed = hello.manifest.peek().map_err(|e| Violation::new(PeerRule::Malformed, e))?.domain;
        let now = self.own.now();
        check_version(hello)?;
        check_clock(&self.own.domain, now, &claimed, hello.now)?;
        if !self.own.permits(&claimed) {
            let detail = format!("the operator of {} does not federate with {claimed}", self.own.domain);
            return Err(Violation::new(PeerRule::NotAllowed, detail));
        }
        if let Some(violation) = self.peers.conducts.cut_off(&claimed, now) {
            return Err(violation);
        }
        if let Some(session) = self.peers.session_on(connection).filter(|s| s.domain != claimed) {
            let detail = format!("on this connection {} has said hello already", session.domain);
            return Err(Violation::new(PeerRule::OutOfTurn, detail));
        }
        let manifest = self.directory.presented(&claimed, &hello.manifest).await?;
        let listed = node_key_of(&peer).is_some_and(|key| manifest.lists_node(&key, now));
        if claimed == self.own.domain || !listed {
            let detail =
                format!("the node {peer} is not listed in the manifest of {claimed}, or not at this time");
            return Err(Violation::new(PeerRule::NotANode, detail));
        }
        let versions = (hello.min_version, hello.max_version);
        self.peers.peer(&claimed).met(Meeting { at: now, versions, clock: hello.now });
        Ok(manifest)
    }
}

fn check_version(hello: &Hello) -> Result<(), Violation> {
    let (lowest, highest) = (hello.min_version.max(MIN_PEER_VERSION), hello.max_version.min(PEER_VERSION));
    if lowest <= highest {
        return Ok(());
    }
    let (min, max) = (hello.min_version, hello.max_version);
    let detail = format!(
        "versions {min} to {max} were offered, this relay speaks {MIN_PEER_VERSION} to {PEER_VERSION}"
    );
    Err(Violation::new(PeerRule::Version, detail))
}

fn check_clock(own: &Domain, ours: Millis, other: &Domain, theirs: Millis) -> Result<(), Violation> {
    let apart = ours.abs_diff(theirs);
    if apart <= MAX_CLOCK_SKEW_MS {
        return Ok(());
    }
    let how = if theirs > ours { "ahead of" } else { "behind" };
    let detail = format!(
        "the clock of {other} is {} s {how} the clock of {own}; {} s are allowed. Set the one that is wrong",
        apart / 1000,
        MAX_CLOCK_SKEW_MS / 1000
    );
    Err(Violation::new(PeerRule::ClockSkew, detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_off_by_a_day_is_named_with_its_owner() {
        let own: Domain = "a.example".parse().expect("a domain");
        let other: Domain = "b.example".parse().expect("a domain");
        let day = 24 * 60 * 60 * 1000;
        let ahead = check_clock(&own, Millis(day), &other, Millis(2 * day)).expect_err("a day");
        assert_eq!(ahead.rule, PeerRule::ClockSkew);
        assert!(ahead.detail.contains("b.example is 86400 s ahead of"), "{ahead}");
        let behind = check_clock(&own, Millis(2 * day), &other, Millis(day)).expect_err("a day");
        assert!(behind.detail.contains("behind"), "{behind}");
        assert!(check_clock(&own, Millis(day), &other, Millis(day + MAX_CLOCK_SKEW_MS)).is_ok());
    }
}
