//! A relay of our own making that speaks libp2p and means no good: it can say anything at any time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId, Stream, StreamProtocol, Swarm};
use posthouse_crypto::{SigningKey, hash};
use posthouse_spec::cbor::{List, Octets, Text};
use posthouse_spec::envelope::{ENVELOPE_VERSION, Envelope, LaneClass};
use posthouse_spec::ids::{Incarnation, LaneSeq, ManifestSeq, Millis};
use posthouse_spec::manifest::{Manifest, Node};
use posthouse_spec::peer::deliver::{DeliverFrame, Open, ReceiptFrame};
use posthouse_spec::peer::hello::{Hello, HelloResponse, PEER_VERSION, PeerRule};
use posthouse_spec::{Cbor, Domain, Signed};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

/// The largest answer that this peer reads, bytes.
const MAX_ANSWER: usize = 16 * 1024 * 1024;
/// How long the relay may take for anything, answers and streams: longer than each of its own deadlines.
const PATIENCE: Duration = Duration::from_secs(60);

/// A relay that is silent fails a test, and does not hold it up.
async fn within<T>(what: &str, doing: impl Future<Output = Result<T>>) -> Result<T> {
    match tokio::time::timeout(PATIENCE, doing).await {
        Ok(done) => done.with_context(|| what.to_owned()),
        Err(_) => bail!("{what}: the relay was silent for {} s", PATIENCE.as_secs()),
    }
}

/// The time now, as an honest peer would tell it.
pub fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    Millis(u64::try_from(since.as_millis()).expect("the time fits"))
}

/// The peer's keys and its manifest, published over HTTP as a relay's would be.
pub struct Identity {
    /// Its name.
    pub domain: Domain,
    /// The key that signs its manifests.
    pub root: SigningKey,
    /// The key of its node, which signs envelopes.
    pub node: SigningKey,
    /// What it publishes.
    pub manifest: Signed<Manifest>,
    /// Where.
    pub url: String,
    _server: AbortOnDropHandle<()>,
}

impl Identity {
    /// New keys for `domain`, and a web server that publishes their manifest.
    ///
    /// # Errors
    /// The domain is none, or no port is free.
    pub async fn publish(domain: &str) -> Result<Self> {
        let (root, node) = (SigningKey::generate(&mut rand::rng()), SigningKey::generate(&mut rand::rng()));
        let domain: Domain = domain.parse()?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let manifest = root.sign(&Manifest {
            domain: domain.clone(),
            seq: ManifestSeq(1),
            previous: None,
            root: root.public(),
            next_root: hash::key_hash(&SigningKey::generate(&mut rand::rng()).public()),
            ordering: SigningKey::generate(&mut rand::rng()).public(),
            nodes: List::new(vec![Node {
                key: node.public(),
                not_before: Millis(0),
                not_after: now().after(86_400_000),
            }])?,
            addresses: List::default(),
            client_url: Text::new(url.clone())?,
            created: now(),
            lineage: None,
            mailbags: None,
            circuits: None,
        });
        let body = manifest.as_bytes().clone();
        let server = AbortOnDropHandle::new(tokio::spawn(serve(listener, body)));
        Ok(Self { domain, root, node, manifest, url, _server: server })
    }

    /// The id of its node.
    ///
    /// # Errors
    /// The key is none for libp2p.
    pub fn peer_id(&self) -> Result<PeerId> {
        let mut seed = *self.node.seed();
        Ok(libp2p::identity::Keypair::ed25519_from_bytes(&mut seed)?.public().to_peer_id())
    }

    /// What an honest relay with these keys would say first.
    pub fn hello(&self) -> Hello {
        Hello {
            min_version: PEER_VERSION,
            max_version: PEER_VERSION,
            manifest: self.manifest.clone(),
            now: now(),
            cursors: List::default(),
        }
    }

    /// Its manifest with a change, signed by its root.
    #[must_use]
    pub fn manifest_with(&self, change: impl FnOnce(&mut Manifest)) -> Signed<Manifest> {
        let mut manifest = self.manifest.peek().expect("it was made here");
        change(&mut manifest);
        self.root.sign(&manifest)
    }

    /// An envelope that keeps every rule, for a test to break one of them.
    pub fn envelope(
        &self,
        destination: &Domain,
        incarnation: Incarnation,
        first: u64,
        item: &[u8],
    ) -> Envelope {
        Envelope {
            version: ENVELOPE_VERSION,
            origin: self.domain.clone(),
            destination: destination.clone(),
            class: LaneClass::Messages,
            incarnation,
            first: LaneSeq(first),
            created: now(),
            items: List::new(vec![Octets::new(item.to_vec()).expect("a small item")]).expect("one item"),
        }
    }
}

async fn serve(listener: TcpListener, body: Bytes) {
    while let Ok((mut socket, _)) = listener.accept().await {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
        let mut request = [0; 4096];
        if tokio::io::AsyncReadExt::read(&mut socket, &mut request).await.is_ok() {
            // A client that went away does not stop the server.
            let _ = socket.write_all(head.as_bytes()).await;
            let _ = socket.write_all(&body).await;
        }
    }
}

/// A connection of the peer to the relay under test.
pub struct Connection {
    relay: PeerId,
    control: libp2p_stream::Control,
    _swarm: AbortOnDropHandle<()>,
}

impl Connection {
    /// Dials `address`, which ends in the relay's PeerId.
    ///
    /// # Errors
    /// The address is none.
    pub async fn dial(identity: &Identity, address: &str) -> Result<Self> {
        let mut seed = *identity.node.seed();
        let keypair = libp2p::identity::Keypair::ed25519_from_bytes(&mut seed)?;
        let mut swarm = libp2p::SwarmBuilder::with_existing_identity(keypair)
            .with_tokio()
            .with_tcp(
                libp2p::tcp::Config::default().nodelay(true),
                libp2p::noise::Config::new,
                libp2p::yamux::Config::default,
            )?
            .with_quic()
            .with_behaviour(|_| libp2p_stream::Behaviour::new())?
            .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(600)))
            .build();
        let address: Multiaddr = address.parse()?;
        let relay = address
            .iter()
            .find_map(|part| if let Protocol::P2p(peer) = part { Some(peer) } else { None })
            .context("the relay's address names its PeerId")?;
        swarm.dial(address)?;
        let control = swarm.behaviour().new_control();
        let task = tokio::spawn(drive(swarm));
        Ok(Self { relay, control, _swarm: AbortOnDropHandle::new(task) })
    }

    /// Opens a stream for a protocol.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn open(&mut self, protocol: &'static str) -> Result<Stream> {
        self.streams().open(protocol).await
    }

    /// Says hello and takes the answer.
    ///
    /// # Errors
    /// The connection is gone, or the answer is none.
    pub async fn hello(&mut self, hello: &Hello) -> Result<HelloResponse> {
        self.streams().hello(hello).await
    }

    /// A handle with which streams are opened elsewhere; they live as long as this.
    #[must_use]
    pub fn streams(&self) -> Streams {
        Streams { relay: self.relay, control: self.control.clone() }
    }

    /// Opens a stream, says nothing, and waits for what the relay makes of it.
    pub async fn flood(&self) -> Option<PeerRule> {
        let mut stream = self.streams().open(posthouse_spec::peer::deliver::PROTOCOL).await.ok()?;
        match read_frame(&mut stream).await {
            Ok(ReceiptFrame::Refused(refusal)) => Some(refusal.rule),
            _ => None,
        }
    }

    /// Opens a deliver stream for the messages lane and takes the first answer.
    ///
    /// # Errors
    /// The connection is gone, or the answer is none.
    pub async fn deliver(&mut self, incarnation: Incarnation) -> Result<(Stream, ReceiptFrame)> {
        let mut stream = self.open(posthouse_spec::peer::deliver::PROTOCOL).await?;
        let open = Open { class: LaneClass::Messages, incarnation, oldest: LaneSeq(1) };
        write_frame(&mut stream, &DeliverFrame::Open(open).to_cbor()).await?;
        let answer = read_frame(&mut stream).await?;
        Ok((stream, answer))
    }
}

/// Opens streams on a connection.
#[derive(Clone)]
pub struct Streams {
    relay: PeerId,
    control: libp2p_stream::Control,
}

impl Streams {
    /// Opens a stream for a protocol.
    ///
    /// # Errors
    /// The connection is gone, or the relay refuses the stream.
    pub async fn open(&mut self, protocol: &'static str) -> Result<Stream> {
        let opening = self.control.open_stream(self.relay, StreamProtocol::new(protocol));
        within("opening a stream", async { Ok(opening.await?) }).await
    }

    /// Says hello and takes the answer.
    ///
    /// # Errors
    /// The connection is gone, or the answer is none.
    pub async fn hello(&mut self, hello: &Hello) -> Result<HelloResponse> {
        let mut stream = self.open(posthouse_spec::peer::hello::PROTOCOL).await?;
        write_frame(&mut stream, &hello.to_cbor()).await?;
        within("ending a hello", async { Ok(stream.close().await?) }).await?;
        read_frame(&mut stream).await
    }
}

async fn drive(mut swarm: Swarm<libp2p_stream::Behaviour>) {
    loop {
        swarm.select_next_some().await;
    }
}

/// Sends an envelope on a deliver stream and takes the answer.
///
/// # Errors
/// The stream broke, or what came is no frame.
pub async fn send_envelope(stream: &mut Stream, envelope: Bytes) -> Result<ReceiptFrame> {
    let frame = DeliverFrame::Envelope(Octets::new(envelope)?);
    write_frame(stream, &frame.to_cbor()).await?;
    read_frame(stream).await
}

/// Writes a varint length and the bytes.
///
/// # Errors
/// The stream broke, or what came is no frame.
pub async fn write_frame(stream: &mut Stream, bytes: &[u8]) -> Result<()> {
    let mut frame = varint(bytes.len() as u64);
    frame.extend_from_slice(bytes);
    let writing = async {
        stream.write_all(&frame).await?;
        Ok(stream.flush().await?)
    };
    within("writing a frame", writing).await
}

/// An unsigned LEB128 number.
pub fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(value & 0x7f).expect("seven bits");
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// Reads one frame.
///
/// # Errors
/// The stream broke, or what came is no frame.
pub async fn read_frame<T: Cbor>(stream: &mut Stream) -> Result<T> {
    let bytes = within("reading a frame", read_bytes(stream)).await?;
    Ok(T::from_cbor(&bytes)?)
}

async fn read_bytes(stream: &mut Stream) -> Result<Vec<u8>> {
    let mut len = 0usize;
    for shift in (0..).step_by(7) {
        let mut byte = [0];
        stream.read_exact(&mut byte).await.context("its length")?;
        len |= usize::from(byte[0] & 0x7f) << shift;
        if byte[0] & 0x80 == 0 {
            break;
        }
        if shift > 28 {
            bail!("the length does not end");
        }
    }
    if len > MAX_ANSWER {
        bail!("an answer of {len} bytes");
    }
    let mut bytes = vec![0; len];
    stream.read_exact(&mut bytes).await.context("its bytes")?;
    Ok(bytes)
}
