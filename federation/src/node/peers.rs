//! Who is connected, who has said hello, and what went wrong with whom.
//!
//! A *connection* is libp2p's; a *session* is a connection on which both relays have checked each other's hello. Of
//! several sessions with one relay the newest is current: after a crash the old connection may seem alive for
//! seconds, while the new process has already called.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};
use posthouse_crypto::Verified;
use posthouse_spec::envelope::LaneClass;
use posthouse_spec::manifest::Manifest;
use posthouse_spec::{Domain, Millis};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::behaviour::node_key_of;
use crate::error::PeerError;
use crate::link::Restored;
use crate::retry::Backoff;

/// Relays that are remembered at once, connected ones not counted.
const MAX_REMEMBERED: usize = 4096;
/// Requests to one relay that wait for its answer, besides lanes and hellos: it admits twice as many streams.
const MAX_REQUESTS: usize = 16;
/// Rules that a peer may break on one connection before it is cut off.
const MAX_STRIKES: u32 = 256;

/// A connection on which both sides have said hello.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) domain: Domain,
    pub(crate) peer: PeerId,
    pub(crate) connection: ConnectionId,
    pub(crate) manifest: Verified<Manifest>,
    /// Later sessions have higher numbers.
    number: u64,
}

type Current = watch::Sender<Option<Arc<Session>>>;

/// Follows a relay's current session.
pub(crate) type Watch = watch::Receiver<Option<Arc<Session>>>;

/// Waits until the current session is as `wanted`, and returns it; nothing either when there is no more to watch.
pub(crate) async fn until(
    watch: &mut Watch,
    wanted: impl FnMut(&Option<Arc<Session>>) -> bool,
) -> Option<Arc<Session>> {
    watch.wait_for(wanted).await.ok().and_then(|session| session.clone())
}

/// By which way a connection was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// Over which transport: `quic`, `tcp`, or `circuit` through another relay.
    pub via: &'static str,
    /// The other end's address.
    pub address: String,
    /// Whether the other relay has called.
    pub inbound: bool,
}

/// What a relay said of itself in its last hello.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meeting {
    /// When that was.
    pub at: Millis,
    /// The versions that it speaks, from and to.
    pub versions: (u16, u16),
    /// Its clock then.
    pub clock: Millis,
}

impl Meeting {
    /// How far its clock is ahead of this relay's, milliseconds; below zero where it is behind.
    #[must_use]
    pub fn ahead_ms(&self) -> i64 {
        self.clock.0.cast_signed().wrapping_sub(self.at.0.cast_signed())
    }
}

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

/// What is remembered of one relay.
pub(crate) struct Peer {
    current: Current,
    /// Held while this relay is dialled, so that there is one dial at a time.
    pub(crate) dialling: tokio::sync::Mutex<()>,
    /// Places for requests that wait for this relay's answer.
    pub(crate) requests: Semaphore,
    state: Mutex<PeerState>,
}

#[derive(Default)]
struct PeerState {
    backoff: Backoff,
    meeting: Option<Meeting>,
    restored: Option<RestoredLane>,
    failed_at: Option<Millis>,
    last_error: Option<PeerError>,
    backlog: BTreeMap<LaneClass, u64>,
    /// The stream that works each of the peer's lanes at present.
    lanes: BTreeMap<LaneClass, CancellationToken>,
}

#[derive(Default)]
struct Table {
    connections: HashMap<ConnectionId, Connection>,
    peers: HashMap<Domain, Arc<Peer>>,
    sessions: u64,
}

/// All connections and peers.
#[derive(Default)]
pub(crate) struct Peers(Mutex<Table>);

/// What is known of another relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerStatus {
    /// The relay.
    pub domain: Domain,
    /// Whether a connection stands on which both have said hello.
    pub connected: bool,
    /// By which way, while it is connected.
    pub way: Option<Way>,
    /// Its last hello.
    pub meeting: Option<Meeting>,
    /// Items that wait for it, by lane class.
    pub backlog: Vec<(LaneClass, u64)>,
    /// What went wrong last, while it is not connected.
    pub last_error: Option<String>,
    /// When it is tried again, while it is not connected.
    pub retry_at: Option<Millis>,
    /// The last lane to it that had to begin another life, because one of the two relays was restored from a copy.
    pub restored: Option<RestoredLane>,
}

/// A lane that had to begin another life, because one of the two relays was restored from a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestoredLane {
    /// What it carries.
    pub class: LaneClass,
    /// Whose data was restored. Where it was the other relay's, it may have lost messages that it had acknowledged; who had
    /// sent them is not known any more.
    pub whose: Restored,
    /// When that was found.
    pub found: Millis,
}

/// A lock whose holder panicked still guards sound data: every change under these locks is a single step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn gauge_connected(domain: &Domain, connected: bool) {
    metrics::gauge!("posthouse_peer_connected", "peer" => domain.to_string())
        .set(f64::from(u8::from(connected)));
}

impl Peer {
    /// The current session, and its changes.
    pub(crate) fn watch(&self) -> Watch {
        self.current.subscribe()
    }

    pub(crate) fn session(&self) -> Option<Arc<Session>> {
        self.current.borrow().clone()
    }

    /// Takes note that the relay could not be reached. A failure ahead of time, of somebody who would not wait, makes
    /// the lanes' wait no longer.
    pub(crate) fn failed(&self, error: PeerError, now: Millis, random: u64) {
        let mut state = lock(&self.state);
        state.last_error = Some(error);
        state.failed_at = Some(now);
        if !state.backoff.is_waiting(now) {
            state.backoff.handle_failure(now, random);
        }
    }

    /// The failure of at most `within` milliseconds ago, if there was one.
    pub(crate) fn recent_failure(&self, now: Millis, within: u64) -> Option<PeerError> {
        let state = lock(&self.state);
        // A clock that was set back forgets.
        let recent = state.failed_at.is_some_and(|at| at <= now && now.0 - at.0 < within);
        state.last_error.clone().filter(|_| recent)
    }

    /// The earliest time at which a lane dials again.
    pub(crate) fn not_before(&self) -> Millis {
        lock(&self.state).backoff.not_before()
    }

    fn contact(&self) {
        let mut state = lock(&self.state);
        state.backoff.handle_contact();
        state.last_error = None;
        state.failed_at = None;
    }

    /// Forgets what went wrong: the operator wants it to be tried again at once.
    pub(crate) fn forgive(&self) {
        self.contact();
    }

    /// Takes note of how much waits on a lane.
    pub(crate) fn set_backlog(&self, domain: &Domain, class: LaneClass, items: u64) {
        lock(&self.state).backlog.insert(class, items);
        #[expect(clippy::cast_precision_loss, reason = "a gauge of 2^52 items is precise enough")]
        metrics::gauge!("posthouse_lane_backlog", "peer" => domain.to_string(), "class" => class.name())
            .set(items as f64);
    }

    /// A new stream of the peer's lane takes over from the one before, which is told to end.
    pub(crate) fn take_over_lane(&self, class: LaneClass, parent: &CancellationToken) -> CancellationToken {
        let token = parent.child_token();
        if let Some(before) = lock(&self.state).lanes.insert(class, token.clone()) {
            before.cancel();
        }
        token
    }

    /// Takes note of a hello.
    pub(crate) fn met(&self, meeting: Meeting) {
        lock(&self.state).meeting = Some(meeting);
    }

    /// Its last hello.
    pub(crate) fn meeting(&self) -> Option<Meeting> {
        lock(&self.state).meeting
    }

    /// A lane to it begins another life.
    pub(crate) fn note_restored(&self, lane: RestoredLane) {
        lock(&self.state).restored = Some(lane);
    }

    fn status(&self, domain: &Domain, way: Option<Way>) -> PeerStatus {
        let state = lock(&self.state);
        let connected = self.current.borrow().is_some();
        PeerStatus {
            domain: domain.clone(),
            connected,
            way: way.filter(|_| connected),
            meeting: state.meeting,
            backlog: state.backlog.iter().map(|(class, items)| (*class, *items)).collect(),
            last_error: state.last_error.as_ref().filter(|_| !connected).map(ToString::to_string),
            retry_at: Some(state.backoff.not_before()).filter(|at| !connected && *at > Millis(0)),
            restored: state.restored,
        }
    }
}

impl Peers {
    /// What is remembered of a relay; made up on first use.
    pub(crate) fn peer(&self, domain: &Domain) -> Arc<Peer> {
        lock(&self.0).peer(domain)
    }

    pub(crate) fn opened(&self, connection: ConnectionId, peer: PeerId, inbound: bool, now: Millis) {
        let session = Current::default();
        let entry = Connection { peer, inbound, opened: now, way: None, strikes: 0, session };
        lock(&self.0).connections.insert(connection, entry);
    }

    /// Takes note of the way by which a connection was made.
    pub(crate) fn came_by(&self, connection: ConnectionId, way: Way) {
        if let Some(known) = lock(&self.0).connections.get_mut(&connection) {
            known.way = Some(way);
        }
    }

    pub(crate) fn closed(&self, connection: ConnectionId) {
        let mut table = lock(&self.0);
        let Some(gone) = table.connections.remove(&connection) else { return };
        let Some(session) = gone.session.borrow().clone() else { return };
        let peer = table.peer(&session.domain);
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
    ) -> Option<Vec<ConnectionId>> {
        let mut table = lock(&self.0);
        table.sessions += 1;
        let number = table.sessions;
        let domain = manifest.domain.clone();
        let (peer_id, inbound) =
            table.connections.get(&connection).map(|known| (known.peer, known.inbound))?;
        let session =
            Arc::new(Session { domain: domain.clone(), peer: peer_id, connection, manifest, number });
        table.connections.get(&connection)?.session.send_replace(Some(Arc::clone(&session)));
        let peer = table.peer(&domain);
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
        let watch = lock(&self.0).connections.get(&connection).map(|known| known.session.subscribe());
        if let Some(mut watch) = watch {
            // The sender goes with the connection, and nothing else ends this.
            let _ = watch.wait_for(|_| false).await;
        }
    }

    /// Whether a connection goes through another relay.
    pub(crate) fn is_circuit(&self, connection: ConnectionId) -> bool {
        lock(&self.0).connections.get(&connection).is_some_and(Connection::is_circuit)
    }

    /// The address at the other end of a connection.
    pub(crate) fn address(&self, connection: ConnectionId) -> Option<Multiaddr> {
        lock(&self.0).connections.get(&connection)?.way.as_ref()?.address.parse().ok()
    }

    /// Whether the other side has called, or plays that part where a hole was punched.
    pub(crate) fn is_inbound(&self, connection: ConnectionId) -> bool {
        lock(&self.0).connections.get(&connection).is_some_and(|known| known.inbound)
    }

    /// The relay as which a connected node has said hello.
    pub(crate) fn domain_of(&self, peer: PeerId) -> Option<Domain> {
        let table = lock(&self.0);
        let mut domains = table
            .connections
            .values()
            .filter(|known| known.peer == peer)
            .filter_map(|known| known.session.borrow().as_ref().map(|session| session.domain.clone()));
        domains.next()
    }

    /// The relays of which anything is remembered.
    pub(crate) fn known(&self) -> Vec<Domain> {
        lock(&self.0).peers.keys().cloned().collect()
    }

    /// The connections of sessions with relays that are so.
    pub(crate) fn sessions_where(&self, so: impl Fn(&Domain) -> bool) -> Vec<ConnectionId> {
        let with = |(id, known): (&ConnectionId, &Connection)| {
            known.session.borrow().as_ref().is_some_and(|session| so(&session.domain)).then_some(*id)
        };
        lock(&self.0).connections.iter().filter_map(with).collect()
    }

    /// A relay has a newer manifest: its sessions are measured by that from now on.
    pub(crate) fn renewed(&self, manifest: &Verified<Manifest>) {
        let table = lock(&self.0);
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
        let delisted = |(id, known): (&ConnectionId, &Connection)| {
            let session = known.session.borrow();
            let gone = |session: &Arc<Session>| {
                !node_key_of(&session.peer).is_some_and(|key| session.manifest.lists_node(&key, now))
            };
            session.as_ref().is_some_and(gone).then_some(*id)
        };
        lock(&self.0).connections.iter().filter_map(delisted).collect()
    }

    /// The current session with each relay that is connected.
    pub(crate) fn sessions(&self) -> Vec<Arc<Session>> {
        lock(&self.0).peers.values().filter_map(|peer| peer.session()).collect()
    }

    /// The session on a connection, if hello was said.
    pub(crate) fn session_on(&self, connection: ConnectionId) -> Option<Arc<Session>> {
        lock(&self.0).connections.get(&connection)?.session.borrow().clone()
    }

    /// On a connection that this relay dialled the other side may speak before its hello has been checked here.
    pub(crate) fn awaited_session(&self, connection: ConnectionId) -> Option<Watch> {
        let table = lock(&self.0);
        table
            .connections
            .get(&connection)
            .filter(|known| !known.inbound)
            .map(|known| known.session.subscribe())
    }

    /// A rule was broken on a connection. Whether it was one too many.
    pub(crate) fn strike(&self, connection: ConnectionId) -> bool {
        let mut table = lock(&self.0);
        table.connections.get_mut(&connection).is_some_and(|known| {
            known.strikes += 1;
            known.strikes > MAX_STRIKES
        })
    }

    /// Connections that were opened before `since` and still without a hello.
    pub(crate) fn mute(&self, since: Millis) -> Vec<ConnectionId> {
        let mute = |(id, known): (&ConnectionId, &Connection)| {
            (known.opened < since && known.session.borrow().is_none()).then_some(*id)
        };
        lock(&self.0).connections.iter().filter_map(mute).collect()
    }

    pub(crate) fn status(&self) -> Vec<PeerStatus> {
        let table = lock(&self.0);
        let way = |peer: &Peer| table.connections.get(&peer.session()?.connection)?.way.clone();
        let mut all: Vec<_> =
            table.peers.iter().map(|(domain, peer)| peer.status(domain, way(peer))).collect();
        all.sort_by(|a, b| a.domain.cmp(&b.domain));
        all
    }
}

impl Table {
    fn peer(&mut self, domain: &Domain) -> Arc<Peer> {
        if let Some(peer) = self.peers.get(domain) {
            return Arc::clone(peer);
        }
        if self.peers.len() >= MAX_REMEMBERED {
            // Whoever is connected, or in somebody's hands, stays.
            self.peers.retain(|_, peer| peer.session().is_some() || Arc::strong_count(peer) > 1);
        }
        let peer = Arc::new(Peer {
            current: Current::default(),
            dialling: tokio::sync::Mutex::default(),
            requests: Semaphore::new(MAX_REQUESTS),
            state: Mutex::default(),
        });
        self.peers.insert(domain.clone(), Arc::clone(&peer));
        peer
    }

    fn newest(&self, domain: &Domain) -> Option<Arc<Session>> {
        self.connections
            .values()
            .filter_map(|known| known.session.borrow().clone())
            .filter(|session| session.domain == *domain)
            .max_by_key(|session| session.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthouse_crypto::{SigningKey, follow};
    use posthouse_spec::cbor::{List, Text};
    use posthouse_spec::{KeyHash, ManifestSeq};

    fn manifest(domain: &str) -> Verified<Manifest> {
        let root = SigningKey::from_seed(&[1; 32]);
        let domain: Domain = domain.parse().expect("a domain of the test");
        let manifest = Manifest {
            domain: domain.clone(),
            seq: ManifestSeq(1),
            previous: None,
            root: root.public(),
            next_root: KeyHash::new([0; 32]),
            ordering: root.public(),
            nodes: List::default(),
            addresses: List::default(),
            client_url: Text::clipped("https://a.example"),
            created: Millis(1),
            lineage: None,
            mailbags: None,
            circuits: None,
        };
        follow(&domain, None, &root.sign(&manifest)).expect("it is sound")
    }

    fn connection(n: usize) -> ConnectionId {
        ConnectionId::new_unchecked(n)
    }

    #[test]
    fn the_newest_hello_is_current_and_the_call_before_it_superfluous() {
        let peers = Peers::default();
        let node = PeerId::random();
        let domain: Domain = "a.example".parse().expect("a domain");
        for n in [1, 2] {
            peers.opened(connection(n), node, true, Millis(1));
        }
        peers.opened(connection(3), node, false, Millis(1));
        assert_eq!(peers.introduced(connection(1), manifest("a.example")), Some(vec![connection(2)]));
        assert_eq!(peers.introduced(connection(3), manifest("a.example")), Some(vec![]));
        assert_eq!(peers.peer(&domain).session().map(|s| s.connection), Some(connection(3)));
        peers.closed(connection(3));
        assert_eq!(peers.peer(&domain).session().map(|s| s.connection), Some(connection(1)));
        peers.closed(connection(1));
        assert!(peers.peer(&domain).session().is_none());
        assert_eq!(peers.introduced(connection(1), manifest("a.example")), None, "closed meanwhile");
    }

    #[test]
    fn contact_resets_the_wait() {
        let peers = Peers::default();
        let domain: Domain = "a.example".parse().expect("a domain");
        let peer = peers.peer(&domain);
        let error = PeerError::Unreachable { domain, why: "nobody there".into() };
        peer.failed(error.clone(), Millis(5), 0);
        let at = peer.not_before();
        assert!(at > Millis(5));
        peer.failed(error, Millis(6), 0);
        assert_eq!(peer.not_before(), at, "impatience is not punished");
        peers.opened(connection(1), PeerId::random(), true, Millis(6));
        peers.introduced(connection(1), manifest("a.example"));
        assert_eq!(peer.not_before(), Millis(0));
        assert!(peer.recent_failure(Millis(6), 1_000).is_none());
    }

    #[test]
    fn a_clock_that_is_set_back_keeps_no_relay_waiting() {
        let (peers, domain): (_, Domain) = (Peers::default(), "a.example".parse().expect("a domain"));
        let peer = peers.peer(&domain);
        let error = || PeerError::Unreachable { domain: domain.clone(), why: "nobody there".into() };
        let (late, early) = (Millis(3 * 60 * 60 * 1_000), Millis(60 * 60 * 1_000));
        peer.failed(error(), late, 0);
        assert!(peer.recent_failure(early, 1_000).is_none(), "it may be dialled");
        peer.failed(error(), early, 0);
        assert_eq!(peer.not_before(), early.after(2_000), "and waits by the clock as it is now");
    }

    #[test]
    fn whoever_never_says_hello_is_found_out() {
        let peers = Peers::default();
        peers.opened(connection(1), PeerId::random(), true, Millis(1));
        peers.opened(connection(2), PeerId::random(), true, Millis(1));
        peers.introduced(connection(2), manifest("a.example"));
        peers.opened(connection(3), PeerId::random(), true, Millis(50));
        assert_eq!(peers.mute(Millis(50)), vec![connection(1)]);
    }
}
