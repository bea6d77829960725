//! What relays tell each other of third ones: what holds goes round, and nothing else.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::{Relay, Town, soon, wall_clock};
use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use libp2p::gossipsub::{self, IdentTopic, MessageAuthenticity};
use libp2p::identity::Keypair;
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, StreamProtocol, SwarmBuilder, noise, tcp, yamux};
use posthouse_crypto::{SigningKey, follow};
use posthouse_federation::Pins as _;
use posthouse_federation::codec::{FrameReader, put_frame};
use posthouse_spec::Cbor as _;
use posthouse_spec::Signed;
use posthouse_spec::cbor::{List, Text};
use posthouse_spec::limits::MAX_GOSSIP;
use posthouse_spec::manifest::Manifest;
use posthouse_spec::peer::hello::{self, Hello, HelloResponse, PEER_VERSION, PeerRule};
use tokio::sync::mpsc;

const TOPIC: &str = "/posthouse/gossip/manifests/1";

/// Relays in a line: `b` talks with both, `a` and `c` know each other's pin and never meet.
async fn line(town: &Town, gossip_of_b: bool) -> [Relay; 3] {
    let mut a = Relay::new(town, "a.localhost", 1);
    let mut b = Relay::new(town, "b.localhost", 2);
    let mut c = Relay::new(town, "c.localhost", 3);
    b.gossip = gossip_of_b;
    for relay in [&mut a, &mut b, &mut c] {
        relay.start(town).await;
    }
    for (of, at) in [(&a, &c), (&c, &a)] {
        at.memory.pin(&of.domain, of.last.as_ref().expect("published")).await.expect("in memory");
    }
    for end in [&a, &c] {
        end.post(&b, "hello");
    }
    b.receives(2).await;
    [a, b, c]
}

fn pinned(at: &Relay, of: &Relay) -> u64 {
    at.memory.pin_of(of.domain.as_str()).expect("pinned").peek().expect("a manifest").seq.0
}

/// The relay has changed something, and says so.
fn announce(relay: &mut Relay, town: &Town) -> u64 {
    let manifest = relay.republish(town);
    let manifest = follow(&relay.domain, None, &manifest).expect("sound");
    let seq = manifest.seq.0;
    relay.federation().announce(manifest);
    seq
}

#[tokio::test]
async fn a_new_manifest_reaches_relays_that_never_meet() {
    let town = Town::new().await;
    let [mut a, mut b, mut c] = line(&town, true).await;
    let asked = town.asked("a.localhost");
    // The neighbours may not have found together yet: what is said before is lost, which is what the hours are for.
    soon("c learns of it", async {
        while pinned(&c, &a) == 1 {
            let said = announce(&mut a, &town);
            let learnt = c.memory.until(|memory| {
                memory.pin_of("a.localhost").is_some_and(|pin| pin.peek().is_ok_and(|m| m.seq.0 >= said))
            });
            let _ = tokio::time::timeout(Duration::from_secs(1), learnt).await;
        }
    })
    .await;
    assert!(pinned(&b, &a) > 1);
    assert_eq!(town.asked("a.localhost"), asked, "nobody looked it up");
    assert!(c.federation().peers().iter().all(|peer| peer.domain != a.domain || !peer.connected));
    for relay in [&mut a, &mut b, &mut c] {
        relay.stop().await;
    }
}

#[tokio::test]
async fn delivery_does_not_depend_on_gossip() {
    let town = Town::new().await;
    let [mut a, mut b, mut c] = line(&town, false).await;
    announce(&mut a, &town);
    // b learns of it by another hello, and tells nobody.
    soon(
        "b learns of it",
        b.memory.until(|memory| {
            memory.pin_of("a.localhost").is_some_and(|pin| pin.peek().is_ok_and(|m| m.seq.0 == 2))
        }),
    )
    .await;
    a.post(&b, "from a");
    c.post(&b, "from c");
    b.receives(4).await;
    b.post(&a, "back");
    a.receives(1).await;
    assert_eq!(pinned(&c, &a), 1);
    for relay in [&mut a, &mut b, &mut c] {
        relay.stop().await;
    }
}

#[derive(NetworkBehaviour)]
struct Bare {
    streams: libp2p_stream::Behaviour,
    gossip: gossipsub::Behaviour,
}

/// A peer that says hello as a relay of its own, and then gossips what it likes.
struct Gossiper {
    relay: Relay,
    say: mpsc::UnboundedSender<Vec<u8>>,
    heard: mpsc::UnboundedReceiver<Vec<u8>>,
}

impl Gossiper {
    async fn new(town: &Town, name: &str, seed: u8, target: &Relay) -> Self {
        let mut relay = Relay::new(town, name, seed);
        relay.listen = vec!["/ip4/127.0.0.1/tcp/1".into()];
        relay.republish(town);
        let keypair = Keypair::ed25519_from_bytes(&mut relay.key_seed.clone()).expect("a seed");
        let mut swarm = SwarmBuilder::with_existing_identity(keypair)
            .with_tokio()
            .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
            .expect("TCP")
            .with_behaviour(|key| {
                let config = gossipsub::ConfigBuilder::default().max_transmit_size(1 << 20).build()?;
                let signing = MessageAuthenticity::Signed(key.clone());
                Ok(Bare {
                    streams: libp2p_stream::Behaviour::new(),
                    gossip: gossipsub::Behaviour::new(signing, config)?,
                })
            })
            .expect("its behaviours")
            .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(600)))
            .build();
        swarm.behaviour_mut().gossip.subscribe(&IdentTopic::new(TOPIC)).expect("subscribed");
        let control = swarm.behaviour().streams.new_control();
        let address = target.listen.iter().find(|text| text.contains("tcp")).expect("it listens there");
        swarm.dial(address.parse::<Multiaddr>().expect("an address")).expect("dialled");
        let (say, mut to_say) = mpsc::unbounded_channel::<Vec<u8>>();
        let (hear, heard) = mpsc::unbounded_channel();
        let (met, meeting) = tokio::sync::oneshot::channel();
        let (joined, joining) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            let (mut met, mut joined) = (Some(met), Some(joined));
            loop {
                let event = tokio::select! {
                    Some(words) = to_say.recv() => {
                        let topic = IdentTopic::new(TOPIC);
                        swarm.behaviour_mut().gossip.publish(topic, words).expect("said");
                        continue;
                    }
                    event = swarm.select_next_some() => event,
                };
                match event {
                    SwarmEvent::ConnectionEstablished { peer_id, .. } => {
                        let _ = met.take().map(|met| met.send(peer_id));
                    }
                    SwarmEvent::Behaviour(BareEvent::Gossip(gossipsub::Event::Subscribed { .. })) => {
                        let _ = joined.take().map(|joined| joined.send(()));
                    }
                    SwarmEvent::Behaviour(BareEvent::Gossip(gossipsub::Event::Message {
                        message, ..
                    })) => {
                        let _ = hear.send(message.data);
                    }
                    _ => {}
                }
            }
        });
        let target = soon("the connection", meeting).await.expect("connected");
        greet(control, target, &relay).await;
        soon("its neighbour joins", joining).await.expect("joined");
        Self { relay, say, heard }
    }

    fn own_manifest(&self) -> Vec<u8> {
        self.relay.last.as_ref().expect("published").as_bytes().to_vec()
    }

    fn say(&self, words: Vec<u8>) {
        self.say.send(words).expect("its swarm runs");
    }
}

async fn greet(mut control: libp2p_stream::Control, target: PeerId, relay: &Relay) {
    let stream = control.open_stream(target, StreamProtocol::new(hello::PROTOCOL)).await.expect("a stream");
    let (reading, mut writing) = stream.split();
    let hello = Hello {
        min_version: PEER_VERSION,
        max_version: PEER_VERSION,
        manifest: relay.last.clone().expect("published"),
        now: wall_clock(),
        cursors: List::default(),
    };
    let mut bytes = Vec::new();
    put_frame(&mut bytes, &hello.to_cbor());
    writing.write_all(&bytes).await.expect("written");
    writing.flush().await.expect("flushed");
    let answer: HelloResponse =
        soon("the answer", FrameReader::new(reading, 1 << 20).value()).await.expect("an answer");
    assert!(matches!(answer, HelloResponse::Hello(_)), "{answer:?}");
}

/// What a relay says that it ought not to.
type Lie<'a> = Box<dyn Fn(&Relay) -> Vec<u8> + 'a>;

#[tokio::test]
async fn what_does_not_hold_is_not_handed_on() {
    let town = Town::new().await;
    let mut b = Relay::new(&town, "b.localhost", 2);
    let mut known = Relay::new(&town, "known.localhost", 5);
    b.start(&town).await;
    known.start(&town).await;
    known.post(&b, "hello");
    b.receives(1).await;
    let mut spy = Gossiper::new(&town, "spy.localhost", 60, &b).await;
    let genuine = known.last.clone().expect("published");
    let next = known.manifest().peek().expect("a manifest");
    // A forger lists itself, so that nothing but the chain speaks against it.
    let lies: [(&str, Lie); 6] = [
        ("garbage", Box::new(|_| b"no manifest at all".to_vec())),
        ("nothing", Box::new(|_| Vec::new())),
        (
            "another root's",
            Box::new(|evil| {
                let mut forged = next.clone();
                forged.nodes = evil.manifest().peek().expect("a manifest").nodes;
                forged.root = evil.root.public();
                evil.root.sign(&forged).as_bytes().to_vec()
            }),
        ),
        (
            "of a relay that nobody here knows",
            Box::new(|evil| {
                let mut unknown = evil.manifest().peek().expect("a manifest");
                unknown.domain = "unknown.localhost".parse().expect("a domain");
                evil.root.sign(&unknown).as_bytes().to_vec()
            }),
        ),
        ("genuine, but not its own to tell", Box::new(|_| genuine.as_bytes().to_vec())),
        (
            "its own, but too large",
            Box::new(|evil| {
                let mut large = evil.manifest().peek().expect("a manifest");
                let addresses = (0..16).map(|_| Text::clipped(&"/dns/x".repeat(80))).collect();
                large.addresses = List::new(addresses).expect("sixteen");
                let signed = evil.root.sign(&large);
                assert!(signed.as_bytes().len() > MAX_GOSSIP, "{}", signed.as_bytes().len());
                signed.as_bytes().to_vec()
            }),
        ),
    ];
    let mut crowd = Vec::new();
    for (seed, (what, lie)) in (70_u8..).zip(&lies) {
        let evil = Gossiper::new(&town, &format!("evil{seed}.localhost"), seed, &b).await;
        // What it says of itself holds, and is handed on; it comes behind the lie, on the same way.
        evil.say(lie(&evil.relay));
        evil.say(evil.own_manifest());
        let heard = soon(what, spy.heard.recv()).await.expect("the spy listens");
        assert!(heard == evil.own_manifest(), "{what} was handed on");
        crowd.push(evil);
    }
    assert_eq!(pinned(&b, &known), 1);
    assert!(b.memory.pin_of("unknown.localhost").is_none());
    b.stop().await;
    known.stop().await;
}

#[tokio::test]
async fn whoever_forges_again_and_again_is_not_heard_any_more() {
    let town = Town::new().await;
    let mut b = Relay::new(&town, "b.localhost", 2);
    b.start(&town).await;
    let mut spy = Gossiper::new(&town, "spy.localhost", 60, &b).await;
    let evil = Gossiper::new(&town, "evil.localhost", 66, &b).await;
    let stranger = SigningKey::from_seed(&[99; 32]);
    for n in 0..8_u64 {
        let mut forged = evil.relay.manifest().peek().expect("a manifest");
        forged.client_url = Text::clipped(&format!("https://{n}.example"));
        evil.say(stranger.sign(&forged).as_bytes().to_vec());
    }
    // What others say is judged behind that.
    for (name, seed) in [("first.localhost", 67), ("second.localhost", 68)] {
        let honest = Gossiper::new(&town, name, seed, &b).await;
        honest.say(honest.own_manifest());
        let heard = soon("an honest word", spy.heard.recv()).await.expect("the spy listens");
        assert!(heard == honest.own_manifest(), "{name} is not who was heard");
        // Even what holds is not heard from there any more.
        evil.say(evil.own_manifest());
    }
    let peers = b.federation().peers();
    let known = peers.into_iter().find(|peer| peer.domain == evil.relay.domain).expect("it has said hello");
    let broken = known.conduct.expect("it has broken rules").broken;
    assert!(broken.iter().any(|(rule, times)| *rule == PeerRule::BadGossip && *times >= 3), "{broken:?}");
    b.stop().await;
}

#[tokio::test]
async fn whoever_brings_more_than_is_heard_breaks_no_rule() {
    // More than is heard of one neighbour at once.
    const MANY: u64 = 600;
    let town = Town::new().await;
    let mut b = Relay::new(&town, "b.localhost", 2);
    let ahead = Arc::new(AtomicU64::new(0));
    let (by, now) = (Arc::clone(&ahead), wall_clock());
    b.clock = Arc::new(move || now.after(by.load(Ordering::Relaxed)));
    b.start(&town).await;
    let mut busy = Gossiper::new(&town, "busy.localhost", 66, &b).await;
    let mut say = || {
        busy.relay.last = Some(busy.relay.manifest());
        busy.say(busy.own_manifest());
    };
    let is_pinned = async |said: u64| {
        let newest = |pin: Signed<Manifest>| pin.peek().is_ok_and(|manifest| manifest.seq.0 == said);
        let pinned = b.memory.until(|memory| memory.pin_of("busy.localhost").is_some_and(newest));
        soon("it is heard", pinned).await;
    };
    for said in 2..=500 {
        say();
        is_pinned(said).await;
    }
    for _ in 500..MANY {
        say();
    }
    // Somebody new joins: what was said before is judged by then, or at a time when it is within bounds.
    let spy = Gossiper::new(&town, "spy.localhost", 60, &b).await;
    ahead.store(10 * 60_000, Ordering::Relaxed);
    say();
    is_pinned(MANY + 1).await;
    drop(spy);
    let known = b.federation().peers().into_iter().find(|peer| peer.domain == busy.relay.domain);
    assert_eq!(known.and_then(|peer| peer.conduct), None);
    b.stop().await;
}

#[tokio::test]
async fn whoever_hands_on_what_only_does_not_follow_the_pin_here_is_heard_on() {
    let town = Town::new().await;
    let mut b = Relay::new(&town, "b.localhost", 2);
    b.start(&town).await;
    let mut spy = Gossiper::new(&town, "spy.localhost", 60, &b).await;
    let teller = Gossiper::new(&town, "teller.localhost", 66, &b).await;
    let other_root = SigningKey::from_seed(&[99; 32]);
    for n in 0..32_u64 {
        let mut other_chain = teller.relay.manifest().peek().expect("a manifest");
        other_chain.root = other_root.public();
        other_chain.client_url = Text::clipped(&format!("https://{n}.example"));
        teller.say(other_root.sign(&other_chain).as_bytes().to_vec());
    }
    teller.say(teller.own_manifest());
    let heard = soon("its own word", spy.heard.recv()).await.expect("the spy listens");
    assert!(heard == teller.own_manifest(), "another chain was handed on");
    assert_eq!(pinned(&b, &teller.relay), 1);
    b.stop().await;
}
