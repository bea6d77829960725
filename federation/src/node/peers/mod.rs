//! Who is connected, who has said hello, and what went wrong with whom.
//!
//! A *connection* is libp2p's; a *session* is a connection on which both relays have checked each other's hello. Of
//! several sessions with one relay the newest is current: after a crash the old connection may seem alive for
//! seconds, while the new process has already called.

mod peer;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Instant;

use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};
use posthouse_crypto::Verified;
use posthouse_spec::manifest::Manifest;
use posthouse_spec::{Domain, Millis};

use self::peer::{Current, lock};
pub(crate) use self::peer::{Peer, Session, Watch, until};
use super::conducts::Conducts;
use super::status::{PeerStatus, Way};
use crate::behaviour::node_key_of;
use crate::budget::{Bucket, PeerLimits, Rate};

/// Relays that are remembered at once, connected ones not counted.
const MAX_REMEMBERED: usize = 4096;
/// Lines of the log on broken rules, of all peers together. Metrics count the others.
const REPORTS: Rate = Rate { per_second: 5, burst: 200 };
/// From when the time of [`REPORTS`] is counted.
static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);
/// Rules that somebody may break on one connection without having said hello.
const MAX_STRIKES: u32 = 16;

struct Connection {
    peer: PeerId,
    inbound: bool,
    opened: Millis,
    way: Option<Way>,
    strikes: u32,
    session: Current,
}

impl Connection {
    fn is_circuit(&self) -> bool {
        self.way.as_ref().is_some_and(|way| way.via == "circuit")
    }
}

#[derive(Default)]
struct Table {
    connections: HashMap<ConnectionId, Connection>,
    peers: HashMap<Domain, Arc<Peer>>,
    sessions: u64,
}

/// All connections and peers.
#[derive(Default)]
pub(crate) struct Peers {
    table: Mutex<Table>,
    limits: PeerLimits,
    /// Lines of the log on broken rules.
    reports: Mutex<Bucket>,
    /// How relays have behaved, connected or not.
    pub(crate) conducts: Conducts,
}

fn gauge_connected(domain: &Domain, connected: bool) {
    metrics::gauge!("posthouse_peer_connected", "peer" => domain.to_string())
        .set(f64::from(u8::from(connected)));
}

impl Peers {
    /// Nobody yet; each relay may have so much.
    pub(crate) fn new(limits: PeerLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Whether another line of the log may be spent on a broken rule.
    pub(crate) fn may_report(&self) -> bool {
        let since = STARTED.elapsed().as_millis();
        lock(&self.reports).take(REPORTS, 1, Millis(u64::try_from(since).unwrap_or(u64::MAX))).is_ok()
    }

    /// What is remembered of a relay; made up on first use.
    pub(crate) fn peer(&self, domain: &Domain) -> Arc<Peer> {
        lock(&self.table).peer(domain, self.limits)
    }

    pub(crate) fn opened(&self, connection: ConnectionId, peer: PeerId, inbound: bool, now: Millis) {
        let session = Current::default();
        let entry = Connection { peer, inbound, opened: now, way: None, strikes: 0, session };
        lock(&self.table).connections.insert(connection, entry);
    }

    /// Takes note of the way by which a connection was made.
    pub(crate) fn came_by(&self, connection: ConnectionId, way: Way) {
        if let Some(known) = lock(&self.table).connections.get_mut(&connection) {
            known.way = Some(way);
        }
    }

    pub(crate) fn closed(&self, connection: ConnectionId) {
        let mut table = lock(&self.table);
        let Some(gone) = table.connections.remove(&connection) else { return };
        let Some(session) = gone.session.borrow().clone() else { return };
        let peer = table.peer(&session.domain, self.limits);
        if peer.session().is_none_or(|current| current.connection != connection) {
            return;
        }
        let next = table.newest(&session.domain);
        gauge_connected(&session.domain, next.is_some());
        peer.current.send_replace(next);
    }

    /// Both have said hello on a connection: it is the relay's current session from now on. Returns the connections
    /// that it makes superfluous, or nothing if it is closed already.
    pub(crate) fn introduced(
        &self,
        connection: ConnectionId,
        manifest: Verified<Manifest>,
        version: u16,
    ) -> Option<Vec<ConnectionId>> {
        let mut table = lock(&self.table);
        table.sessions += 1;
        let number = table.sessions;
        let domain = manifest.domain.clone();
        let (peer_id, inbound) =
            table.connections.get(&connection).map(|known| (known.peer, known.inbound))?;
        let session = Arc::new(Session {
            domain: domain.clone(),
            peer: peer_id,
            connection,
            manifest,
            version,
            number,
        });
        table.connections.get(&connection)?.session.send_replace(Some(Arc::clone(&session)));
        let peer = table.peer(&domain, self.limits);
        peer.contact();
        peer.current.send_replace(Some(session));
        gauge_connected(&domain, true);
        let circuit = table.connections.get(&connection)?.is_circuit();
        // A node dials only when it has no session, so an older connection that it dialled is one that it lost. A direct
        // connection may have come out of a circuit: then the caller closes that, who knows that both are through.
        let superfluous = |(id, other): (&ConnectionId, &Connection)| {
            let replaced = other.is_circuit() == circuit || (!circuit && !inbound);
            (*id != connection && other.peer == peer_id && other.inbound == inbound && replaced)
                .then_some(*id)
        };
        Some(table.connections.iter().filter_map(superfluous).collect())
    }

    /// Waits until a connection is closed.
    pub(crate) async fn until_closed(&self, connection: ConnectionId) {
        let watch = lock(&self.table).connections.get(&connection).map(|known| known.session.subscribe());
        if let Some(mut watch) = watch {
            // The sender goes with the connection, and nothing else ends this.
            let _ = watch.wait_for(|_| false).await;
        }
    }

    /// Whether a connection goes through another relay.
    pub(crate) fn is_circuit(&self, connection: ConnectionId) -> bool {
        lock(&self.table).connections.get(&connection).is_some_and(Connection::is_circuit)
    }

    /// The address at the other end of a connection.
    pub(crate) fn address(&self, connection: ConnectionId) -> Option<Multiaddr> {
        lock(&self.table).connections.get(&connection)?.way.as_ref()?.address.parse().ok()
    }

    /// Whether the other side has called, or plays that part where a hole was punched.
    pub(crate) fn is_inbound(&self, connection: ConnectionId) -> bool {
        lock(&self.table).connections.get(&connection).is_some_and(|known| known.inbound)
    }

    /// The relay as which a connected node has said hello, last if as several.
    pub(crate) fn domain_of(&self, peer: PeerId) -> Option<Domain> {
        let table = lock(&self.table);
        let connections = table.connections.values().filter(|known| known.peer == peer);
        let sessions = connections.filter_map(|known| known.session.borrow().clone());
        sessions.max_by_key(|session| session.number).map(|session| session.domain.clone())
    }

    /// The relays of which anything is remembered.
    pub(crate) fn known(&self) -> Vec<Domain> {
        lock(&self.table).peers.keys().cloned().collect()
    }

    /// All connections of the nodes that have said hello as relays that are so.
    pub(crate) fn connections_of(&self, so: impl Fn(&Domain) -> bool) -> Vec<ConnectionId> {
        lock(&self.table).connections_of_nodes(|session| so(&session.domain))
    }

    /// A relay has a newer manifest: its sessions are measured by that from now on.
    pub(crate) fn renewed(&self, manifest: &Verified<Manifest>) {
        let table = lock(&self.table);
        for known in table.connections.values() {
            let Some(old) = known.session.borrow().clone() else { continue };
            if old.domain != manifest.domain || old.manifest.seq >= manifest.seq {
                continue;
            }
            let session =
                Arc::new(Session { domain: old.domain.clone(), manifest: manifest.clone(), ..*old });
            known.session.send_replace(Some(Arc::clone(&session)));
            if let Some(peer) = table.peers.get(&old.domain) {
                peer.current.send_if_modified(|current| {
                    let is_it = current.as_ref().is_some_and(|it| it.connection == session.connection);
                    if is_it {
                        *current = Some(session);
                    }
                    is_it
                });
            }
        }
    }

    /// Connections with nodes that their relay's manifest does not list any more, or not at this time.
    pub(crate) fn delisted(&self, now: Millis) -> Vec<ConnectionId> {
        lock(&self.table).connections_of_nodes(|session| {
            !node_key_of(&session.peer).is_some_and(|key| session.manifest.lists_node(&key, now))
        })
    }

    /// The current session with each relay that is connected.
    pub(crate) fn sessions(&self) -> Vec<Arc<Session>> {
        lock(&self.table).peers.values().filter_map(|peer| peer.session()).collect()
    }

    /// The session on a connection, if hello was said.
    pub(crate) fn session_on(&self, connection: ConnectionId) -> Option<Arc<Session>> {
        lock(&self.table).connections.get(&connection)?.session.borrow().clone()
    }

    /// On a connection that this relay dialled the other side may speak before its hello has been checked here.
    pub(crate) fn awaited_session(&self, connection: ConnectionId) -> Option<Watch> {
        let table = lock(&self.table);
        table
            .connections
            .get(&connection)
            .filter(|known| !known.inbound)
            .map(|known| known.session.subscribe())
    }

    /// Rules were broken on a connection without a hello. Whether they were too many.
    pub(crate) fn strike(&self, connection: ConnectionId, times: u32) -> bool {
        let mut table = lock(&self.table);
        table.connections.get_mut(&connection).is_some_and(|known| {
            known.strikes = known.strikes.saturating_add(times);
            known.strikes > MAX_STRIKES
        })
    }

    /// Connections that were opened before `since` and still without a hello.
    pub(crate) fn mute(&self, since: Millis) -> Vec<ConnectionId> {
        let mute = |(id, known): (&ConnectionId, &Connection)| {
            (known.opened < since && known.session.borrow().is_none()).then_some(*id)
        };
        lock(&self.table).connections.iter().filter_map(mute).collect()
    }

    pub(crate) fn status(&self, now: Millis) -> Vec<PeerStatus> {
        let table = lock(&self.table);
        let way = |peer: &Peer| table.connections.get(&peer.session()?.connection)?.way.clone();
        let mut all: Vec<_> =
            table.peers.iter().map(|(domain, peer)| peer.status(domain, way(peer))).collect();
        for status in &mut all {
            status.conduct = self.conducts.status(&status.domain, now);
        }
        all.sort_by(|a, b| a.domain.cmp(&b.domain));
        all
    }
}

impl Table {
    fn peer(&mut self, domain: &Domain, limits: PeerLimits) -> Arc<Peer> {
        if let Some(peer) = self.peers.get(domain) {
            return Arc::clone(peer);
        }
        if self.peers.len() >= MAX_REMEMBERED {
            // Whoever is connected, or in somebody's hands, stays.
            self.peers.retain(|_, peer| peer.session().is_some() || Arc::strong_count(peer) > 1);
        }
        let peer = Arc::new(Peer::new(limits));
        self.peers.insert(domain.clone(), Arc::clone(&peer));
        peer
    }

    /// All connections of the nodes that have such a session. Those on which nothing was said yet go with it: they are
    /// the same node's.
    fn connections_of_nodes(&self, such: impl Fn(&Session) -> bool) -> Vec<ConnectionId> {
        let sessions = self.connections.values().filter_map(|known| known.session.borrow().clone());
        let nodes: HashSet<PeerId> = sessions.filter(|s| such(s)).map(|session| session.peer).collect();
        let theirs = self.connections.iter().filter(|(_, known)| nodes.contains(&known.peer));
        theirs.map(|(id, _)| *id).collect()
    }

    fn newest(&self, domain: &Domain) -> Option<Arc<Session>> {
        self.connections
            .values()
            .filter_map(|known| known.session.borrow().clone())
            .filter(|session| session.domain == *domain)
            .max_by_key(|session| session.number)
    }
}
