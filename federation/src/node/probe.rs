//! Finding out what is wrong with the way to a relay: every step of a call, each by itself and with its own outcome.
//!
//! A call stops at the first thing that fails and tries the next way in silence where it can. Here everything is tried
//! that still can be, with the node's own swarm, so that what is found is what the lanes meet.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::FuturesOrdered;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};
use posthouse_crypto::Verified;
use posthouse_crypto::manifest::{ManifestFault, follow};
use posthouse_spec::manifest::Manifest;
use posthouse_spec::{Domain, ManifestSeq, Millis, Signed};

use super::dial::{Dialable, dialable};
use super::directory::Directory;
use super::handle::Federation;
use super::status::Meeting;
use crate::behaviour::peer_of;
use crate::discovery::{Discovery, DiscoveryError};
use crate::error::PeerError;

/// How long one address may take.
const DIAL_TIMEOUT: Duration = Duration::from_secs(10);
/// Addresses that are tried; a manifest names no more that are of different hosts and ports than this.
const MAX_ATTEMPTS: usize = 32;

/// What was found out. A step that was not reached is absent.
#[derive(Debug)]
pub struct ProbeReport {
    /// Whether this relay federates with it; if not, it was not called.
    pub permitted: bool,
    /// How its manifest was looked up.
    pub look_up: LookUp,
    /// The position that was pinned before.
    pub pinned: Option<ManifestSeq>,
    /// Whether there is evidence against it on which the operator has not decided.
    pub frozen: bool,
    /// Whether what was found follows what was pinned.
    pub followed: Option<Result<(), PeerError>>,
    /// The manifest by which it was called: what was found if it holds, else what was pinned.
    pub manifest: Option<Verified<Manifest>>,
    /// Nodes of that manifest that are not good at this time.
    pub lapsed: usize,
    /// Nodes that are.
    pub nodes: usize,
    /// Its addresses, each with what came of calling it.
    pub attempts: Vec<Attempt>,
    /// Addresses that were not called, and why.
    pub left_out: Vec<String>,
    /// What came of hello over the first address that answered.
    pub hello: Option<Result<Meeting, PeerError>>,
}

/// How a manifest was looked up.
#[derive(Debug)]
pub struct LookUp {
    /// Where it was looked for: the operator's URL, or the domain's own.
    pub base: Result<String, DiscoveryError>,
    /// Whether the operator's overrides file says so.
    pub by_override: bool,
    /// Where the name leads; absent for what is no name to ask DNS for.
    pub resolved: Option<Result<Vec<IpAddr>, DiscoveryError>>,
    /// What was found there, as far as it speaks for itself.
    pub found: Option<Result<Result<ManifestSeq, ManifestFault>, DiscoveryError>>,
    /// The web server's clock, and this relay's when its answer came.
    pub clocks: Option<(Millis, Millis)>,
}

/// One address that was called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The address, or the relay through which.
    pub address: String,
    /// `quic`, `tcp` or `circuit`.
    pub via: &'static str,
    /// How long it took to be connected, or why it was not.
    pub outcome: Result<Duration, String>,
}

impl ProbeReport {
    fn begin(look_up: LookUp, pinned: Option<Verified<Manifest>>) -> Self {
        Self {
            permitted: true,
            look_up,
            pinned: pinned.as_ref().map(|manifest| manifest.seq),
            frozen: false,
            followed: None,
            manifest: pinned,
            lapsed: 0,
            nodes: 0,
            attempts: Vec::new(),
            left_out: Vec::new(),
            hello: None,
        }
    }

    /// Takes note of which nodes are good at `now`, and names them.
    fn count_nodes(&mut self, manifest: &Manifest, now: Millis) -> Vec<PeerId> {
        let good = manifest.nodes.iter().filter(|node| manifest.lists_node(&node.key, now));
        let good: Vec<PeerId> = good.filter_map(|node| peer_of(&node.key)).collect();
        (self.nodes, self.lapsed) = (good.len(), manifest.nodes.len() - good.len());
        good
    }
}

/// As much of a probe as needs no node: the look-up, whether what is found follows `pinned`, and whether anybody listens
/// at the TCP addresses.
pub async fn probe_from_outside(
    domain: &Domain,
    discovery: &Discovery,
    pinned: Option<Verified<Manifest>>,
    clock: &(dyn Fn() -> Millis + Send + Sync),
) -> ProbeReport {
    let (look_up, sound) = look_up(discovery, domain, clock).await;
    let mut report = ProbeReport::begin(look_up, pinned);
    if let Some(found) = sound {
        let pinned = report.manifest.as_ref().map(|pinned| pinned.signed().clone());
        report.followed = Some(match follow(domain, pinned.as_ref(), &found) {
            Ok(manifest) => {
                report.manifest = Some(manifest);
                Ok(())
            }
            Err(fault) => Err(PeerError::Unknown { domain: domain.clone(), why: fault.to_string() }),
        });
    }
    if let Some(manifest) = report.manifest.clone() {
        report.count_nodes(&manifest, clock());
        let trusted = discovery.trusts(domain, report.look_up.by_override);
        let addresses = dialable(&manifest, trusted).await;
        report.left_out = addresses.left_out;
        let knocks = addresses.tcp.iter().take(MAX_ATTEMPTS).map(knock);
        report.attempts = futures::future::join_all(knocks).await;
    }
    report
}

/// Whether anybody listens at a TCP address.
async fn knock(address: &Multiaddr) -> Attempt {
    let begun = Instant::now();
    let connecting = async {
        let socket = socket_of(address).ok_or("it is no TCP address")?;
        let connected = tokio::time::timeout(DIAL_TIMEOUT, tokio::net::TcpStream::connect(socket)).await;
        match connected {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer within {} s", DIAL_TIMEOUT.as_secs())),
        }
    };
    let outcome = connecting.await.map(|()| begun.elapsed());
    Attempt { address: address.to_string(), via: "tcp", outcome }
}

fn socket_of(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let ip = match parts.next()? {
        Protocol::Ip4(ip) => IpAddr::from(ip),
        Protocol::Ip6(ip) => IpAddr::from(ip),
        _ => return None,
    };
    match parts.next()? {
        Protocol::Tcp(port) => Some(SocketAddr::from((ip, port))),
        _ => None,
    }
}

/// Looks a manifest up; what is found is returned too where it speaks well for itself.
async fn look_up(
    discovery: &Discovery,
    domain: &Domain,
    clock: &(dyn Fn() -> Millis + Send + Sync),
) -> (LookUp, Option<Signed<Manifest>>) {
    let mut look_up =
        LookUp { base: Ok(String::new()), by_override: false, resolved: None, found: None, clocks: None };
    match discovery.base(domain).await {
        Ok((base, by_override)) => (look_up.base, look_up.by_override) = (Ok(base), by_override),
        Err(error) => {
            look_up.base = Err(error);
            return (look_up, None);
        }
    }
    look_up.resolved = discovery.resolved(domain).await;
    if matches!(look_up.resolved, Some(Err(_))) {
        return (look_up, None);
    }
    let found = match discovery.find(domain).await {
        Ok(found) => found,
        Err(error) => {
            look_up.found = Some(Err(error));
            return (look_up, None);
        }
    };
    look_up.clocks = found.served_at.map(|theirs| (theirs, clock()));
    let alone = follow(domain, None, &found.manifest);
    let sound = alone.is_ok().then_some(found.manifest);
    look_up.found = Some(Ok(alone.map(|manifest| manifest.seq)));
    (look_up, sound)
}

impl Federation {
    /// Tries every step of a call to a relay. It may take half a minute.
    pub async fn probe(&self, domain: &Domain) -> ProbeReport {
        let directory = &self.directory;
        let pinned = directory.pinned(domain).await.ok().flatten();
        let (look_up, sound) = look_up(&directory.discovery, domain, &|| self.own.now()).await;
        let mut report =
            ProbeReport { permitted: self.own.permits(domain), ..ProbeReport::begin(look_up, pinned) };
        if let Some(found) = sound {
            self.follow_up(domain, &found, &mut report).await;
        }
        report.frozen = directory.trust(domain).await.is_ok_and(|trust| trust.is_frozen());
        if let Some(manifest) = report.manifest.clone().filter(|_| report.permitted) {
            self.call(domain, &manifest, &mut report).await;
        }
        report
    }

    async fn follow_up(&self, domain: &Domain, found: &Signed<Manifest>, report: &mut ProbeReport) {
        report.followed = Some(match Directory::adopt(&self.directory, domain, found).await {
            Ok(manifest) => {
                report.manifest = Some(manifest);
                Ok(())
            }
            Err(not) => Err(not.into_error(domain)),
        });
    }

    async fn call(&self, domain: &Domain, manifest: &Verified<Manifest>, report: &mut ProbeReport) {
        let good = report.count_nodes(manifest, self.own.now());
        let trusted = self.directory.discovery.trusts(domain, report.look_up.by_override);
        let addresses = dialable(manifest, trusted).await;
        let ways = ways(&addresses, &good);
        report.left_out = addresses.left_out;
        let mut reached = self.dial_each(ways, report).await;
        if reached.is_empty() {
            reached.extend(self.call_through(domain, manifest, &good, report).await);
        }
        let mut reached = reached.into_iter();
        if let Some((node, connection)) = reached.next() {
            report.hello = Some(self.greet(domain, node, connection).await);
        }
        for (_, connection) in reached {
            self.requests.connector.network.close(connection).await;
        }
    }

    /// Dials all at once; what is connected comes in the order of the addresses.
    async fn dial_each(
        &self,
        ways: Vec<(PeerId, &'static str, Multiaddr)>,
        report: &mut ProbeReport,
    ) -> Vec<(PeerId, ConnectionId)> {
        let network = &self.requests.connector.network;
        let mut dials: FuturesOrdered<_> = ways
            .into_iter()
            .map(async |(node, via, address)| {
                let begun = Instant::now();
                let dialled = tokio::time::timeout(DIAL_TIMEOUT, network.dial(node, vec![address.clone()]));
                let outcome = match dialled.await {
                    Ok(outcome) => outcome.map_err(|failure| failure.to_string()),
                    Err(_) => Err(format!("{address}: no answer within {} s", DIAL_TIMEOUT.as_secs())),
                };
                (node, via, address.to_string(), outcome, begun.elapsed())
            })
            .collect();
        let mut reached = Vec::new();
        while let Some((node, via, address, outcome, took)) = dials.next().await {
            reached.extend(outcome.as_ref().ok().map(|connection| (node, *connection)));
            report.attempts.push(Attempt { address, via, outcome: outcome.map(|_| took) });
        }
        reached
    }

    async fn call_through(
        &self,
        domain: &Domain,
        manifest: &Manifest,
        nodes: &[PeerId],
        report: &mut ProbeReport,
    ) -> Option<(PeerId, ConnectionId)> {
        for through in manifest.circuits.iter().flat_map(|list| list.iter()) {
            let begun = Instant::now();
            let outcome = self.requests.connector.dial_through(domain, through, nodes).await;
            let reached = outcome.as_ref().ok().copied();
            report.attempts.push(Attempt {
                address: through.to_string(),
                via: "circuit",
                outcome: outcome.map(|_| begun.elapsed()).map_err(|failure| failure.to_string()),
            });
            if reached.is_some() {
                return reached;
            }
        }
        None
    }

    async fn greet(
        &self,
        domain: &Domain,
        node: PeerId,
        connection: ConnectionId,
    ) -> Result<Meeting, PeerError> {
        let connector = &self.requests.connector;
        let said = connector.introductions.say(domain, node, connection).await;
        let peer = self.peers.peer(domain);
        // A call of either side that got through meanwhile makes this connection superfluous: then hello was said there.
        match said {
            Err(PeerError::Unreachable { .. }) if peer.session().is_some() => {}
            said => said?,
        }
        let met = peer.meeting();
        met.ok_or_else(|| PeerError::Unreachable {
            domain: domain.clone(),
            why: "the connection was closed right after hello".into(),
        })
    }
}

/// Each address with each node; QUIC first, as a call has it.
fn ways(addresses: &Dialable, nodes: &[PeerId]) -> Vec<(PeerId, &'static str, Multiaddr)> {
    let quic = addresses.quic.iter().map(|address| ("quic", address));
    let tcp = addresses.tcp.iter().map(|address| ("tcp", address));
    quic.chain(tcp)
        .flat_map(|(via, address)| nodes.iter().map(move |node| (*node, via, address.clone())))
        .take(MAX_ATTEMPTS)
        .collect()
}
