//! Starting and ending a node.

use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::SwarmEvent;
use posthouse_crypto::{Verified, follow};
use posthouse_spec::Signed;
use posthouse_spec::manifest::Manifest;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::board::Board;
use super::config::NodeConfig;
use super::connector::Connector;
use super::contacts::Contacts;
use super::deliveries::Deliveries;
use super::dial::dialable;
use super::directory::Directory;
use super::gossip::{Gossip, MAX_HEARD};
use super::handle::Federation;
use super::hello::Introductions;
use super::inbound::{MAX_WAITING, Reception};
use super::lanes::Lanes;
use super::letting_back::keep_order;
use super::network::{MAX_ORDERS, Network, SwarmTask};
use super::own::Own;
use super::peers::Peers;
use super::reach::Reach;
use super::requests::Requests;
use super::reservations::{MAX_PUNCHED, greet_punched, keep};
use super::tasks::Tasks;
use super::worker::LaneWorker;
use crate::behaviour::{Given, Inbound, RelaySwarm, build};
use crate::discovery::Discovery;
use crate::error::BindError;
use crate::host::{Host, Outbox};

/// How often a port that is not free yet is tried again.
const PORT_RETRY: Duration = Duration::from_millis(5);
/// How long the tasks may take to come to their end before the connections are closed under them.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// A node that has its ports and waits for the manifest that names them.
pub struct Listening {
    config: NodeConfig,
    swarm: RelaySwarm,
    connections: TaskTracker,
    inbound: mpsc::Receiver<Inbound>,
    addresses: Vec<String>,
}

/// A running node.
pub struct Node {
    federation: Federation,
    addresses: Vec<String>,
    tasks: Tasks,
    /// The connections' tasks: they end with the swarm, after all others.
    connections: TaskTracker,
    swarm: JoinHandle<()>,
    swarm_cancel: CancellationToken,
}

impl std::fmt::Debug for Listening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listening").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

impl Node {
    /// Listens, without accepting anybody yet.
    ///
    /// # Errors
    /// An address that is no address, or is taken.
    pub async fn listen(config: NodeConfig) -> Result<Listening, BindError> {
        let connections = TaskTracker::new();
        let (sender, inbound) = mpsc::channel(MAX_WAITING);
        let given = Given {
            inbound: sender,
            allow_private: config.allow_private,
            offer_to: config.circuits.offer_to.clone(),
            gossip: config.gossip,
            limits: config.limits,
        };
        let mut swarm = build(&config.node_key, &connections, given).map_err(BindError::Setup)?;
        for text in &config.listen {
            listen_on(&mut swarm, text).await?;
        }
        // An unspecified address stands for one of each interface; those that are known already are told with the first.
        while swarm.next().now_or_never().is_some() {}
        let addresses = swarm.listeners().map(ToString::to_string).collect();
        Ok(Listening { config, swarm, connections, inbound, addresses })
    }

    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        self.addresses.clone()
    }

    /// A handle for the rest of the relay.
    #[must_use]
    pub fn federation(&self) -> Federation {
        self.federation.clone()
    }

    /// Ends every task of the node and waits for them: what is being received is stored and acknowledged first.
    pub async fn shutdown(self) {
        self.tasks.cancel.cancel();
        self.tasks.tracker.close();
        if tokio::time::timeout(SHUTDOWN_TIMEOUT, self.tasks.tracker.wait()).await.is_err() {
            let left = self.tasks.tracker.len();
            tracing::warn!(left, "tasks did not end in time; their connections are closed under them now");
        }
        self.swarm_cancel.cancel();
        if let Err(error) = self.swarm.await {
            tracing::error!(%error, "the swarm's task ended badly");
        }
        self.connections.close();
        let ended = async {
            self.tasks.tracker.wait().await;
            self.connections.wait().await;
        };
        if tokio::time::timeout(SHUTDOWN_TIMEOUT, ended).await.is_err() {
            tracing::error!(left = self.tasks.tracker.len(), "tasks of the node did not end in time");
        }
        if tokio::time::timeout(SHUTDOWN_TIMEOUT, released(&self.addresses)).await.is_err() {
            tracing::warn!("the system has not taken the UDP ports back yet");
        }
    }
}

/// The QUIC endpoint gives its ports back from a task of its own, which nobody can join: so that whoever starts next finds
/// them free, they are tried.
async fn released(addresses: &[String]) {
    for socket in addresses.iter().filter_map(|text| udp_socket(&text.parse().ok()?)) {
        while UdpSocket::bind(socket).is_err() {
            tokio::time::sleep(PORT_RETRY).await;
        }
    }
}

fn udp_socket(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let ip = match parts.next()? {
        Protocol::Ip4(ip) => IpAddr::from(ip),
        Protocol::Ip6(ip) => IpAddr::from(ip),
        _ => return None,
    };
    match parts.next()? {
        Protocol::Udp(port) => Some(SocketAddr::from((ip, port))),
        _ => None,
    }
}

async fn listen_on(swarm: &mut RelaySwarm, text: &str) -> Result<(), BindError> {
    let bad =
        |why: &dyn std::fmt::Display| BindError::Address { address: text.to_owned(), why: why.to_string() };
    let taken = |why: String| BindError::Listen { address: text.to_owned(), why };
    let address: Multiaddr = text.parse().map_err(|e| bad(&e))?;
    probe(&address).map_err(|e| taken(e.to_string()))?;
    let id = swarm.listen_on(address).map_err(|e| match e {
        libp2p::TransportError::MultiaddrNotSupported(_) => bad(&"only QUIC and TCP on an IP address"),
        libp2p::TransportError::Other(error) => taken(error.to_string()),
    })?;
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::NewListenAddr { listener_id, .. } if listener_id == id => return Ok(()),
            SwarmEvent::ListenerClosed { listener_id, reason, .. } if listener_id == id => {
                let why = reason.err().map_or_else(|| "the socket was closed".to_owned(), |e| e.to_string());
                return Err(taken(why));
            }
            _ => {}
        }
    }
}

/// libp2p lets TCP listeners share a port, so that two relays on one machine would take turns at each other's calls. A
/// plain socket tells whether the port is taken.
fn probe(address: &Multiaddr) -> std::io::Result<()> {
    let mut parts = address.iter();
    let ip = match parts.next() {
        Some(Protocol::Ip4(ip)) => IpAddr::from(ip),
        Some(Protocol::Ip6(ip)) => IpAddr::from(ip),
        _ => return Ok(()),
    };
    match parts.next() {
        Some(Protocol::Tcp(port)) if port != 0 => TcpListener::bind(SocketAddr::from((ip, port))).map(drop),
        _ => Ok(()),
    }
}

impl Listening {
    /// Where it listens, with the ports that the system chose.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        self.addresses.clone()
    }

    /// Takes up the work as the relay that `manifest` describes. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// The manifest is not this relay's, or does not list this node.
    pub fn start(self, manifest: Signed<Manifest>, host: Arc<dyn Host>) -> Result<Node, BindError> {
        let Self { config, swarm, connections, inbound, addresses } = self;
        let NodeConfig {
            domain,
            node_key,
            listen: _,
            overrides,
            policy,
            allow_private,
            circuits,
            gossip: _,
            limits,
            clock,
        } = config;
        let manifest = follow(&domain, None, &manifest).map_err(|e| BindError::Manifest(e.to_string()))?;
        if !manifest.lists_node(&node_key.public(), clock()) {
            return Err(BindError::Manifest("it does not list this node's key, or not at this time".into()));
        }
        let discovery = Discovery::new(overrides, allow_private);
        let own = Arc::new(Own::new(domain, node_key, manifest, policy, allow_private, clock));
        let tasks = Tasks::new();
        let peers = Arc::new(Peers::new(limits));
        let contacts = Arc::new(Contacts::default());
        let reach = Arc::new(Reach::default());
        let (orders, order_queue) = mpsc::channel(MAX_ORDERS);
        let (punched, punched_queue) = mpsc::channel(MAX_PUNCHED);
        let (heard, heard_queue) = mpsc::channel(MAX_HEARD);
        let network = Network::new(orders);
        let directory = Arc::new(Directory::new(Arc::clone(&own), Arc::clone(&host), discovery));
        let introductions = Arc::new(Introductions {
            own: Arc::clone(&own),
            host: Arc::clone(&host),
            directory: Arc::clone(&directory),
            peers: Arc::clone(&peers),
            network: network.clone(),
            contacts: Arc::clone(&contacts),
        });
        let connector = Connector {
            own: Arc::clone(&own),
            directory: Arc::clone(&directory),
            introductions: Arc::clone(&introductions),
            peers: Arc::clone(&peers),
            network: network.clone(),
            reach: Arc::clone(&reach),
            tasks: tasks.clone(),
        };
        let worker = LaneWorker {
            own: Arc::clone(&own),
            outbox: Arc::clone(&host) as Arc<dyn Outbox>,
            connector: connector.clone(),
            board: Arc::new(Board::new()),
            cancel: tasks.cancel.clone(),
        };
        let lanes = Arc::new(Lanes::new(worker, tasks.clone()));
        let deliveries = Deliveries {
            own: Arc::clone(&own),
            host: Arc::clone(&host),
            peers: Arc::clone(&peers),
            tasks: tasks.clone(),
        };
        let reception = Arc::new(Reception {
            host: Arc::clone(&host),
            peers: Arc::clone(&peers),
            network,
            introductions,
            deliveries,
            tasks: tasks.clone(),
        });
        let swarm_cancel = CancellationToken::new();
        let clock = Arc::clone(&own.clock);
        let swarm_task =
            SwarmTask::new(swarm, order_queue, Arc::clone(&peers), Arc::clone(&reach), punched, heard, clock);
        let swarm = tokio::spawn(swarm_task.run(swarm_cancel.clone()));
        drop(tasks.spawn(reception.run(inbound)));
        tasks.spawn_cancellable(Arc::clone(&lanes).keep_scanning(Arc::clone(&host) as Arc<dyn Outbox>));
        tasks.spawn_cancellable(Arc::clone(&lanes).keep_time(contacts));
        tasks.spawn_cancellable(greet(host, Arc::clone(&lanes)));
        tasks.spawn_cancellable(greet_punched(connector.clone(), punched_queue));
        tasks.spawn_cancellable(be_tried(connector.clone()));
        tasks.spawn_cancellable(keep_order(connector.clone()));
        directory.when_pinned(close_delisted(connector.clone()));
        let gossip = Gossip {
            own: Arc::clone(&own),
            directory: Arc::clone(&directory),
            peers: Arc::clone(&peers),
            network: connector.network.clone(),
            tasks: tasks.clone(),
        };
        tasks.spawn_cancellable(gossip.run(heard_queue));
        for through in circuits.through {
            tasks.spawn_cancellable(keep(connector.clone(), through));
        }
        let federation = Federation { own, lanes, requests: Requests { connector }, directory, peers };
        Ok(Node { federation, addresses, tasks, connections, swarm, swarm_cancel })
    }
}

/// Ends the sessions with nodes that their relay's newest manifest does not list any more: who has a key that was
/// replaced has nothing.
fn close_delisted(connector: Connector) -> impl Fn(&Verified<Manifest>) + Send + Sync + 'static {
    move |manifest| {
        connector.peers.renewed(manifest);
        for connection in connector.peers.delisted(connector.own.now()) {
            tracing::info!(domain = %manifest.domain, %connection, "closed: the relay has replaced that node");
            let network = connector.network.clone();
            connector.tasks.spawn_cancellable(async move { network.close(connection).await });
        }
    }
}

/// Has other relays try what this relay's manifest announces. Its own names are resolved whatever they lead to.
async fn be_tried(connector: Connector) {
    let announced = dialable(&connector.own.manifest(), true).await.into_all();
    connector.reach.announce(announced.clone());
    connector.network.test(announced).await;
}

/// Says hello to every relay with which this one shares anything, so that what waits there for this relay's return is
/// sent at once. Who cannot be reached calls when it is back itself.
async fn greet(host: Arc<dyn Host>, lanes: Arc<Lanes>) {
    match host.neighbours().await {
        Ok(neighbours) => lanes.greet(neighbours),
        Err(error) => tracing::error!(%error, "the store cannot say which relays to greet"),
    }
}
