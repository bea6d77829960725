//! A relay of the test's own that can be called, and that is wrong in one way at a time.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use libp2p::swarm::SwarmEvent;
use libp2p::{Stream, StreamProtocol, Swarm};
use posthouse_crypto::{SigningKey, hash};
use posthouse_spec::cbor::{List, Text};
use posthouse_spec::envelope::Envelope;
use posthouse_spec::ids::{ManifestSeq, Millis};
use posthouse_spec::manifest::{Manifest, Node};
use posthouse_spec::peer::deliver::{
    Ack, Credit, DeliverFrame, ItemRefusal, ReceiptFrame, RefusedItem, Resume,
};
use posthouse_spec::peer::hello::{Hello, HelloResponse, PEER_VERSION};
use posthouse_spec::peer::{deliver, hello};
use posthouse_spec::{Cbor, Domain, Signed};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// A day, milliseconds.
const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// The largest hello that it reads, bytes.
const MAX_HELLO: usize = 128 * 1024;

/// What it does with what it is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Inbox {
    /// It neither reads nor acknowledges anything.
    Hangs,
    /// It takes no item, as a relay does that knows none of this kind.
    Refuses,
    /// It takes everything, and says nothing back.
    Swallows,
}

/// In what it differs from a relay that is fine: by default in nothing but that it acknowledges nothing.
#[derive(Clone)]
pub(crate) struct Manner {
    /// How far its clock is ahead, milliseconds.
    pub(crate) ahead_ms: u64,
    /// The versions that it says it speaks.
    pub(crate) versions: (u16, u16),
    /// Until when its node key is good, from now, milliseconds; zero for a key that has lapsed.
    pub(crate) good_for_ms: u64,
    /// What it does with what it is sent.
    pub(crate) inbox: Inbox,
}

impl Default for Manner {
    fn default() -> Self {
        Self { ahead_ms: 0, versions: (PEER_VERSION, PEER_VERSION), good_for_ms: DAY_MS, inbox: Inbox::Hangs }
    }
}

/// The peer.
pub(crate) struct Peer {
    pub(crate) url: String,
    domain: Domain,
    root: SigningKey,
    manifest: Manifest,
    served: watch::Sender<Bytes>,
    _tasks: Vec<AbortOnDropHandle<()>>,
}

fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    Millis(u64::try_from(since.as_millis()).expect("the time fits"))
}

impl Peer {
    /// A peer that listens, and a web server that publishes its manifest.
    pub(crate) async fn start(domain: &str, manner: Manner) -> Result<Self> {
        let (root, node) = (SigningKey::generate(&mut rand::rng()), SigningKey::generate(&mut rand::rng()));
        let domain: Domain = domain.parse()?;
        let (swarm, address) = listen(&node).await?;
        let web = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", web.local_addr()?);
        let not_after = if manner.good_for_ms == 0 { Millis(1) } else { now().after(manner.good_for_ms) };
        let manifest = Manifest {
            domain: domain.clone(),
            seq: ManifestSeq(1),
            previous: None,
            root: root.public(),
            next_root: hash::key_hash(&SigningKey::generate(&mut rand::rng()).public()),
            ordering: SigningKey::generate(&mut rand::rng()).public(),
            nodes: List::new(vec![Node { key: node.public(), not_before: Millis(0), not_after }])?,
            addresses: List::new(vec![Text::new(address)?])?,
            client_url: Text::new(url.clone())?,
            created: now(),
            lineage: None,
            mailbags: None,
            circuits: None,
        };
        let signed = root.sign(&manifest);
        let (served, bytes) = watch::channel(signed.as_bytes().clone());
        let mut control = swarm.behaviour().new_control();
        let (mut hellos, mut lanes) = (
            control.accept(StreamProtocol::new(hello::PROTOCOL)).context("hello")?,
            control.accept(StreamProtocol::new(deliver::PROTOCOL)).context("deliver")?,
        );
        let inbox = manner.inbox;
        let tasks = vec![
            tokio::spawn(drive(swarm)),
            tokio::spawn(serve(web, bytes)),
            tokio::spawn(async move {
                while let Some((_, stream)) = hellos.next().await {
                    // A caller that breaks off is none of the test's business.
                    let _ = answer(stream, &signed, &manner).await;
                }
            }),
            tokio::spawn(async move {
                let mut open = Vec::new();
                while let Some((_, stream)) = lanes.next().await {
                    // The lane ends with the test.
                    open.push(AbortOnDropHandle::new(tokio::spawn(async move {
                        let _ = take_lane(stream, inbox).await;
                    })));
                }
            }),
        ];
        let tasks = tasks.into_iter().map(AbortOnDropHandle::new).collect();
        Ok(Self { url, domain, root, manifest, served, _tasks: tasks })
    }

    /// Serves other bytes in the place of the manifest: what `spoil` makes of them.
    pub(crate) fn spoil(&self, spoil: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = self.served.borrow().to_vec();
        spoil(&mut bytes);
        self.served.send_replace(bytes.into());
    }

    /// Signs a second manifest of the same position, and serves that.
    pub(crate) fn equivocate(&self) {
        let other = Manifest { created: self.manifest.created.after(1), ..self.manifest.clone() };
        self.served.send_replace(self.root.sign(&other).as_bytes().clone());
    }

    pub(crate) fn domain(&self) -> &str {
        self.domain.as_str()
    }
}

async fn listen(node: &SigningKey) -> Result<(Swarm<libp2p_stream::Behaviour>, String)> {
    let mut seed = *node.seed();
    let keypair = libp2p::identity::Keypair::ed25519_from_bytes(&mut seed)?;
    let mut swarm = libp2p::SwarmBuilder::with_existing_identity(keypair)
        .with_tokio()
        .with_tcp(
            libp2p::tcp::Config::default().nodelay(true),
            libp2p::noise::Config::new,
            libp2p::yamux::Config::default,
        )?
        .with_behaviour(|_| libp2p_stream::Behaviour::new())?
        .with_swarm_config(|config| config.with_idle_connection_timeout(std::time::Duration::from_secs(600)))
        .build();
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse()?)?;
    loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            return Ok((swarm, address.to_string()));
        }
    }
}

async fn drive(mut swarm: Swarm<libp2p_stream::Behaviour>) {
    loop {
        swarm.select_next_some().await;
    }
}

async fn serve(listener: TcpListener, body: watch::Receiver<Bytes>) {
    while let Ok((mut socket, _)) = listener.accept().await {
        let body = body.borrow().clone();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
        let mut request = [0; 4096];
        if tokio::io::AsyncReadExt::read(&mut socket, &mut request).await.is_ok() {
            // A client that went away does not stop the server.
            let _ = socket.write_all(head.as_bytes()).await;
            let _ = socket.write_all(&body).await;
        }
    }
}

async fn answer(mut stream: Stream, manifest: &Signed<Manifest>, manner: &Manner) -> Result<()> {
    let _: Hello = read_frame(&mut stream).await?;
    let hello = Hello {
        min_version: manner.versions.0,
        max_version: manner.versions.1,
        manifest: manifest.clone(),
        now: now().after(manner.ahead_ms),
        cursors: List::default(),
    };
    write_frame(&mut stream, &HelloResponse::Hello(hello).to_cbor()).await?;
    Ok(stream.close().await?)
}

async fn take_lane(mut stream: Stream, inbox: Inbox) -> Result<()> {
    let credit = || Credit { items: 1000, bytes: 1 << 20 };
    let DeliverFrame::Open(open) = read_frame(&mut stream).await? else { bail!("no lane was named") };
    let resume = Resume { next: open.oldest, credit: credit() };
    write_frame(&mut stream, &ReceiptFrame::Resume(resume).to_cbor()).await?;
    if inbox == Inbox::Hangs {
        return std::future::pending().await;
    }
    while let DeliverFrame::Envelope(bytes) = read_frame(&mut stream).await? {
        let envelope = Signed::<Envelope>::from_bytes(bytes.into_bytes())?.peek()?;
        let refused = RefusedItem {
            seq: envelope.first,
            reason: ItemRefusal::Invalid,
            detail: Text::clipped("an item of no known kind"),
        };
        let refused = if inbox == Inbox::Refuses { vec![refused] } else { Vec::new() };
        let ack = Ack { next: envelope.next(), refused: List::new(refused)?, credit: credit() };
        write_frame(&mut stream, &ReceiptFrame::Ack(ack).to_cbor()).await?;
    }
    Ok(())
}

async fn write_frame(stream: &mut Stream, bytes: &[u8]) -> Result<()> {
    let mut frame = Vec::new();
    let mut len = bytes.len();
    while len >= 0x80 {
        frame.push(u8::try_from(len & 0x7f)? | 0x80);
        len >>= 7;
    }
    frame.push(u8::try_from(len)?);
    frame.extend_from_slice(bytes);
    stream.write_all(&frame).await?;
    Ok(stream.flush().await?)
}

async fn read_frame<T: Cbor>(stream: &mut Stream) -> Result<T> {
    let mut len = 0usize;
    for shift in (0..28).step_by(7) {
        let mut byte = [0];
        stream.read_exact(&mut byte).await?;
        len |= usize::from(byte[0] & 0x7f) << shift;
        if byte[0] & 0x80 == 0 {
            break;
        }
    }
    anyhow::ensure!(len <= MAX_HELLO, "a frame of {len} bytes");
    let mut bytes = vec![0; len];
    stream.read_exact(&mut bytes).await?;
    Ok(T::from_cbor(&bytes)?)
}
