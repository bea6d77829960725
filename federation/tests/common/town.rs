//! The town: where its relays publish their manifests, and how they are started, ended and started again.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use posthouse_crypto::{SigningKey, key_hash, manifest_hash, sha256};
use posthouse_federation::{Circuits, Clock, Federation, LaneId, Node, NodeConfig, PeerLimits, Policy};
use posthouse_spec::cbor::{List, Text};
use posthouse_spec::envelope::LaneClass;
use posthouse_spec::manifest::{CHAIN_PATH, Manifest, Node as ManifestNode, WELL_KNOWN_PATH};
use posthouse_spec::{Domain, Lineage, ManifestSeq, Millis, Signed};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::memory::Memory;

/// The machine's own clock.
pub fn wall_clock() -> Millis {
    Millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64)
}

/// What is published under each name: the newest manifest, and all that were published before at their positions.
#[derive(Default)]
struct Published {
    newest: BTreeMap<String, Signed<Manifest>>,
    links: BTreeMap<(String, u64), Signed<Manifest>>,
    asked: BTreeMap<String, u32>,
}

type Board = Arc<Mutex<Published>>;

/// A board of manifests, served over HTTP below `/DOMAIN`.
pub struct Town {
    folder: tempfile::TempDir,
    base: String,
    board: Board,
}

impl Town {
    /// An empty town.
    pub async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let board = Board::default();
        tokio::spawn(serve(listener, Arc::clone(&board)));
        let town = Self { folder: tempfile::tempdir().unwrap(), base, board };
        std::fs::write(town.overrides(), "").unwrap();
        town
    }

    /// The overrides file that all relays of the town share.
    pub fn overrides(&self) -> PathBuf {
        self.folder.path().join("overrides.toml")
    }

    /// Makes a manifest known under its domain.
    pub fn publish(&self, domain: &Domain, manifest: Signed<Manifest>) {
        let mut board = self.board.lock().unwrap();
        let seq = manifest.peek().unwrap().seq.0;
        board.links.insert((domain.to_string(), seq), manifest.clone());
        board.newest.insert(domain.to_string(), manifest);
        let lines: String =
            board.newest.keys().map(|name| format!("\"{name}\" = \"{}\"\n", self.url(name))).collect();
        std::fs::write(self.overrides(), lines).unwrap();
    }

    /// What is published under a domain.
    pub fn board_entry(&self, domain: &Domain) -> Signed<Manifest> {
        self.board.lock().unwrap().newest[domain.as_str()].clone()
    }

    /// A domain that is known but whose relay does not answer for its manifest.
    pub fn withdraw(&self, domain: &str) {
        self.board.lock().unwrap().newest.remove(domain);
    }

    /// Puts something else in the place of a link of a chain, or nothing.
    pub fn replace_link(&self, domain: &Domain, seq: u64, link: Option<Signed<Manifest>>) {
        let mut board = self.board.lock().unwrap();
        match link {
            Some(link) => board.links.insert((domain.to_string(), seq), link),
            None => board.links.remove(&(domain.to_string(), seq)),
        };
    }

    /// How often anything was asked for under a domain's name.
    pub fn asked(&self, domain: &str) -> u32 {
        self.board.lock().unwrap().asked.get(domain).copied().unwrap_or_default()
    }

    fn url(&self, name: &str) -> String {
        // The well-known path is absolute, so each relay gets a host name of its own instead of a folder.
        self.base.replace("127.0.0.1", &format!("{name}.board.localhost"))
    }
}

async fn serve(listener: TcpListener, board: Board) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let board = Arc::clone(&board);
        tokio::spawn(async move {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0; 1024];
                match stream.read(&mut byte).await {
                    Ok(n) if n > 0 => request.extend_from_slice(&byte[..n]),
                    _ => return,
                }
            }
            let request = String::from_utf8_lossy(&request).to_lowercase();
            let host = request.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
            let name = host.split(".board.localhost").next().unwrap_or_default().to_owned();
            let path = request.split(' ').nth(1).unwrap_or_default();
            let link = path.strip_prefix(CHAIN_PATH).and_then(|rest| rest.strip_prefix('/')?.parse().ok());
            let found = {
                let mut board = board.lock().unwrap();
                *board.asked.entry(name.clone()).or_default() += 1;
                match link {
                    Some(seq) => board.links.get(&(name, seq)).cloned(),
                    None => board.newest.get(&name).filter(|_| path == WELL_KNOWN_PATH).cloned(),
                }
            };
            let mut answer = match &found {
                Some(manifest) => {
                    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n", manifest.as_bytes().len())
                }
                None => "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n".to_owned(),
            }
            .into_bytes();
            answer.extend_from_slice(b"connection: close\r\n\r\n");
            answer.extend(found.iter().flat_map(|manifest| manifest.as_bytes().to_vec()));
            let _ = stream.write_all(&answer).await;
        });
    }
}

/// A relay whose node comes and goes, while its keys, store and ports stay.
pub struct Relay {
    pub domain: Domain,
    pub root: SigningKey,
    /// The root that the next manifests announce.
    pub next: SigningKey,
    pub key_seed: [u8; 32],
    pub memory: Arc<Memory>,
    pub policy: Policy,
    pub clock: Clock,
    pub listen: Vec<String>,
    /// Whether the manifest names where it listens; a relay at home has no address that means anything to others.
    pub at_home: bool,
    pub circuits: Circuits,
    pub gossip: bool,
    pub allow_private: bool,
    pub limits: PeerLimits,
    pub overrides: PathBuf,
    /// How long the node is listed, from the relay's own now.
    pub valid_ms: u64,
    /// What was published last.
    pub last: Option<Signed<Manifest>>,
    node: Option<Node>,
}

impl Relay {
    /// A relay that listens with QUIC and TCP once it is started.
    pub fn new(town: &Town, domain: &str, seed: u8) -> Self {
        Self {
            domain: domain.parse().unwrap(),
            root: SigningKey::from_seed(&[seed; 32]),
            next: SigningKey::from_seed(&[200; 32]),
            key_seed: [seed.wrapping_add(100); 32],
            memory: Arc::default(),
            policy: Policy::Open,
            clock: Arc::new(wall_clock),
            listen: vec!["/ip4/127.0.0.1/udp/0/quic-v1".into(), "/ip4/127.0.0.1/tcp/0".into()],
            at_home: false,
            circuits: Circuits::default(),
            gossip: true,
            allow_private: false,
            limits: PeerLimits::default(),
            overrides: town.overrides(),
            valid_ms: 30 * 24 * 3_600_000,
            last: None,
            node: None,
        }
    }

    /// Starts the node and publishes a manifest with its addresses.
    pub async fn start(&mut self, town: &Town) {
        let listening = Node::listen(NodeConfig {
            circuits: self.circuits.clone(),
            gossip: self.gossip,
            domain: self.domain.clone(),
            node_key: SigningKey::from_seed(&self.key_seed),
            listen: self.listen.clone(),
            overrides: Some(self.overrides.clone()),
            policy: self.policy.clone(),
            allow_private: self.allow_private,
            limits: self.limits,
            clock: Arc::clone(&self.clock),
        })
        .await
        .unwrap();
        self.listen = listening.addresses();
        let manifest = self.manifest();
        town.publish(&self.domain, manifest.clone());
        self.last = Some(manifest.clone());
        self.node = Some(listening.start(manifest, self.memory.clone()).unwrap());
    }

    /// The next manifest of the relay's chain.
    pub fn manifest(&self) -> Signed<Manifest> {
        let now = (self.clock)();
        let before = self.last.as_ref().map(|signed| (signed, signed.peek().unwrap()));
        let seq = before.as_ref().map_or(ManifestSeq(1), |(_, manifest)| manifest.seq.next());
        let lineage = before.as_ref().map(|(signed, manifest)| {
            manifest.lineage.unwrap_or_else(|| Lineage::new(sha256(signed.payload_bytes())))
        });
        let node = ManifestNode {
            key: SigningKey::from_seed(&self.key_seed).public(),
            not_before: Millis(0),
            not_after: now.after(self.valid_ms),
        };
        let addresses = self.listen.iter().filter(|_| !self.at_home).map(|text| Text::clipped(text));
        let through = self.circuits.through.clone();
        self.root.sign(&Manifest {
            domain: self.domain.clone(),
            seq,
            previous: before.as_ref().map(|(signed, _)| manifest_hash(signed)),
            root: self.root.public(),
            next_root: key_hash(&self.next.public()),
            ordering: self.root.public(),
            nodes: List::new(vec![node]).unwrap(),
            addresses: List::new(addresses.collect()).unwrap(),
            client_url: Text::clipped("https://relay.example"),
            created: now,
            lineage,
            mailbags: None,
            circuits: (!through.is_empty()).then(|| List::new(through).unwrap()),
        })
    }

    /// Publishes the next manifest of the chain without a start.
    pub fn republish(&mut self, town: &Town) -> Signed<Manifest> {
        let manifest = self.manifest();
        town.publish(&self.domain, manifest.clone());
        self.last = Some(manifest.clone());
        manifest
    }

    /// From now on manifests are signed by the root that was announced; another one is announced.
    pub fn rotate_root(&mut self, seed: u8) {
        self.root = std::mem::replace(&mut self.next, SigningKey::from_seed(&[seed; 32]));
    }

    /// The running node's handle.
    pub fn federation(&self) -> Federation {
        self.node.as_ref().unwrap().federation()
    }

    /// Ends the node.
    pub async fn stop(&mut self) {
        self.node.take().unwrap().shutdown().await;
    }

    /// The node's runtime is gone: nothing is left to be shut down.
    pub fn forget(&mut self) {
        std::mem::forget(self.node.take());
    }

    /// Starts again after [`forget`](Self::forget), as soon as the system has taken the ports back.
    pub async fn restart(&mut self, town: &Town) {
        let address = |text: &String| {
            let parts: Vec<&str> = text.split('/').collect();
            (parts[3].to_owned(), format!("{}:{}", parts[2], parts[4]))
        };
        for (transport, socket) in self.listen.iter().map(address) {
            while match transport.as_str() {
                "udp" => std::net::UdpSocket::bind(&socket).is_err(),
                _ => std::net::TcpListener::bind(&socket).is_err(),
            } {
                tokio::task::yield_now().await;
            }
        }
        self.start(town).await;
    }

    /// Posts an item on the messages lane and wakes it, if the node is up.
    pub fn post(&self, to: &Relay, text: &str) {
        self.post_on(LaneClass::Messages, to, text);
    }

    /// Posts an item on a lane and wakes it, if the node is up.
    pub fn post_on(&self, class: LaneClass, to: &Relay, text: &str) {
        let lane = LaneId { peer: to.domain.clone(), class };
        self.memory.post(&lane, text.as_bytes().to_vec());
        if let Some(node) = &self.node {
            node.federation().wake(&lane);
        }
    }

    /// What was received, as text.
    pub fn texts(&self) -> Vec<String> {
        let received = self.memory.received();
        received.iter().map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned()).collect()
    }

    /// Waits for so many items.
    pub async fn receives(&self, count: usize) -> Vec<String> {
        let what = format!("the arrival of {count} items at {}", self.domain);
        super::soon(&what, self.memory.until(|memory| memory.received().len() >= count)).await;
        self.texts()
    }
}
