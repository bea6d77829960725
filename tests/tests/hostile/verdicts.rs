//! Every rule that a peer can break from outside, one after the other on one relay: each ends in its name, and honest people
//! notice nothing.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use futures::{AsyncWriteExt as _, StreamExt as _};
use posthouse_crypto::SigningKey;
use posthouse_hostile::peer::{Connection, Identity, now, read_frame, send_envelope, varint, write_frame};
use posthouse_spec::cbor::Octets;
use posthouse_spec::envelope::{CanaryItem, Envelope, Item};
use posthouse_spec::ids::{Incarnation, LaneSeq, ManifestSeq};
use posthouse_spec::peer::deliver::{DeliverFrame, ReceiptFrame};
use posthouse_spec::peer::hello::{Hello, HelloResponse, PeerRule};
use posthouse_spec::peer::mailbag::Mailbag;
use posthouse_spec::peer::{MailbagRequest, MailbagResponse, deliver, mailbag};
use posthouse_spec::{Cbor as _, Domain, EnvelopeId};
use posthouse_tests::{Network, Person, Relay};

use crate::{LANE, item};

/// Hellos that are said when they are to be too many, and how many of them at once: fewer than a peer may have streams.
const HELLOS: usize = 2_000;
const HELLOS_AT_ONCE: usize = 16;
/// How long the word of its fault may take to reach whoever was cut off.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a rule is broken.
enum Break {
    /// By a hello.
    Hello(fn(&Identity, &mut Hello)),
    /// By a second hello, after one that was taken.
    SecondHello(fn(&Identity, &mut Hello)),
    /// By an envelope on a lane that was opened.
    Envelope(fn(&mut Envelope)),
    /// By bytes on a lane that was opened.
    Bytes(fn() -> Vec<u8>),
    /// In a way of its own.
    #[expect(dead_code, reason = "it says to the reader where to look")]
    Else(&'static str),
    /// Not from outside, or only there where it is tested.
    #[expect(dead_code, reason = "it says to the reader where to look")]
    Elsewhere(&'static str),
}

/// Every rule; a new one has to be put here.
fn how(rule: PeerRule) -> Break {
    match rule {
        PeerRule::Malformed => Break::Bytes(|| framed(&[0x82, 0x18, 0x02, 0x43, 0, 0, 0])),
        PeerRule::FrameTooLong => Break::Bytes(|| varint(1 << 30)),
        PeerRule::OutOfTurn => Break::Bytes(|| {
            let open = deliver::Open {
                class: posthouse_spec::envelope::LaneClass::Messages,
                incarnation: LANE,
                oldest: LaneSeq(1),
            };
            framed(&DeliverFrame::Open(open).to_cbor())
        }),
        PeerRule::Version => Break::Hello(|_, hello| (hello.min_version, hello.max_version) = (900, 901)),
        PeerRule::ManifestSignature => Break::Hello(|evil, hello| {
            let manifest = evil.manifest.peek().expect("it was made here");
            hello.manifest = SigningKey::from_seed(&[9; 32]).sign(&manifest);
        }),
        PeerRule::ClockSkew => Break::Hello(|_, hello| hello.now = hello.now.after(86_400_000)),
        PeerRule::NotANode => Break::Else("another node says its hello"),
        PeerRule::ManifestChain => Break::SecondHello(|evil, hello| {
            hello.manifest = evil.manifest_with(|manifest| manifest.seq = ManifestSeq(2));
        }),
        PeerRule::Equivocation => Break::SecondHello(|evil, hello| {
            hello.manifest = evil.manifest_with(|manifest| manifest.created = manifest.created.after(1));
        }),
        PeerRule::ForgedOrigin => Break::Envelope(|envelope| envelope.origin = domain("b.localhost")),
        PeerRule::WrongDestination => {
            Break::Envelope(|envelope| envelope.destination = domain("b.localhost"))
        }
        PeerRule::Gap => Break::Envelope(|envelope| envelope.first = LaneSeq(5)),
        PeerRule::WrongLane => Break::Envelope(|envelope| envelope.incarnation = Incarnation::new([8; 16])),
        PeerRule::WrongItem => Break::Envelope(|envelope| {
            let canary =
                Item::Canary(CanaryItem { nonce: Octets::new(vec![7; 8]).expect("short"), answer: false })
                    .to_cbor();
            envelope.items =
                posthouse_spec::cbor::List::new(vec![Octets::new(canary).expect("small")]).expect("one");
        }),
        PeerRule::EnvelopeSignature => Break::Else("signed by a key that is no node's"),
        PeerRule::NoHello => Break::Else("a lane before hello"),
        PeerRule::TooManyStreams => Break::Else("streams without end"),
        PeerRule::NotAllowed => Break::Else("the operator has denied it"),
        PeerRule::UnknownDomain => Break::Else("nobody can look it up"),
        PeerRule::TooFast => Break::Else("hellos without end"),
        PeerRule::CutOff => Break::Else("one forgery after the other"),
        PeerRule::NotAHolder => Break::Else("leaves a mailbag here"),
        PeerRule::OverCredit => {
            Break::Elsewhere("federation::link, because a relay grants anew before it reads on")
        }
        PeerRule::Unavailable => Break::Elsewhere("no peer's fault"),
        PeerRule::HolderFull => Break::Elsewhere("tests/tests/mailbags.rs"),
        PeerRule::BadGossip => Break::Elsewhere("federation/tests/gossip.rs"),
    }
}

fn domain(text: &str) -> Domain {
    text.parse().expect("a domain of the test")
}

fn framed(bytes: &[u8]) -> Vec<u8> {
    let mut frame = varint(bytes.len() as u64);
    frame.extend_from_slice(bytes);
    frame
}

/// A hostile relay that is known under a name of its own.
struct Evil<'a> {
    identity: Identity,
    relay: &'a Relay,
}

impl Evil<'_> {
    async fn connect(&self) -> Result<Connection> {
        Connection::dial(&self.identity, &self.relay.peer_address()).await
    }

    async fn hello(&self, connection: &mut Connection, hello: &Hello) -> Result<Option<PeerRule>> {
        match connection.hello(hello).await? {
            HelloResponse::Hello(_) => Ok(None),
            HelloResponse::Refused(refusal) => Ok(Some(refusal.rule)),
        }
    }

    async fn introduced(&self) -> Result<Connection> {
        let mut connection = self.connect().await?;
        match self.hello(&mut connection, &self.identity.hello()).await? {
            None => Ok(connection),
            Some(rule) => bail!("an honest hello was refused: {rule}"),
        }
    }

    fn envelope(&self) -> Envelope {
        self.identity.envelope(&domain(self.relay.domain()), LANE, 1, &item())
    }

    fn bag(&self) -> Mailbag {
        Mailbag {
            origin: self.identity.domain.clone(),
            destination: domain("b.localhost"),
            envelope: EnvelopeId::new([1; 32]),
            expires: now().after(60_000),
            sealed: Octets::new(vec![0; 100]).expect("short"),
        }
    }

    /// Says hello again and again, until the answer is a refusal. One may be lost with its connection.
    async fn until_told(&self) -> Result<Option<PeerRule>> {
        loop {
            let told = self.hello(&mut self.connect().await?, &self.identity.hello()).await;
            if let Ok(Some(rule)) = told {
                return Ok(Some(rule));
            }
        }
    }

    /// Whether a line of the relay's log names this peer and the rule: by its domain, or by its node where it had no
    /// domain yet.
    fn is_named(&self, log: &str, rule: PeerRule) -> Result<bool> {
        let (domain, node) = (self.identity.domain.as_str(), self.identity.peer_id()?.to_string());
        let rule = format!("rule=\"{}\"", rule.name());
        Ok(log.lines().any(|line| line.contains(&rule) && (line.contains(domain) || line.contains(&node))))
    }

    async fn send(&self, signed: bytes::Bytes) -> Result<Option<PeerRule>> {
        let mut connection = self.introduced().await?;
        let (mut stream, _) = connection.deliver(LANE).await?;
        Ok(refusal(send_envelope(&mut stream, signed).await?))
    }

    /// Breaks a rule, and says by which name that was refused.
    async fn breaks(&self, rule: PeerRule) -> Result<Option<PeerRule>> {
        let identity = &self.identity;
        match how(rule) {
            Break::Hello(change) => {
                let mut hello = identity.hello();
                change(identity, &mut hello);
                self.hello(&mut self.connect().await?, &hello).await
            }
            Break::SecondHello(change) => {
                let mut connection = self.introduced().await?;
                let mut hello = identity.hello();
                change(identity, &mut hello);
                self.hello(&mut connection, &hello).await
            }
            Break::Envelope(change) => {
                let mut envelope = self.envelope();
                change(&mut envelope);
                self.send(identity.node.sign(&envelope).as_bytes().clone()).await
            }
            Break::Bytes(bytes) => {
                let mut connection = self.introduced().await?;
                let (mut stream, _) = connection.deliver(LANE).await?;
                stream.write_all(&bytes()).await?;
                stream.flush().await?;
                Ok(refusal(read_frame(&mut stream).await?))
            }
            Break::Else(_) => self.breaks_otherwise(rule).await,
            Break::Elsewhere(_) => Ok(Some(rule)),
        }
    }

    async fn breaks_otherwise(&self, rule: PeerRule) -> Result<Option<PeerRule>> {
        let identity = &self.identity;
        match rule {
            PeerRule::EnvelopeSignature => {
                let stranger = SigningKey::from_seed(&[5; 32]);
                self.send(stranger.sign(&self.envelope()).as_bytes().clone()).await
            }
            PeerRule::NotANode => {
                let other = Identity::publish("another.localhost").await?;
                let mut connection = Connection::dial(&other, &self.relay.peer_address()).await?;
                self.hello(&mut connection, &identity.hello()).await
            }
            PeerRule::NoHello => Ok(refusal(self.connect().await?.deliver(LANE).await?.1)),
            PeerRule::TooManyStreams => {
                let connection = self.introduced().await?;
                let floods = (0..200).map(|_| connection.flood());
                let told = futures::future::join_all(floods).await;
                Ok(told.into_iter().flatten().find(|told| *told == rule))
            }
            PeerRule::NotAllowed => {
                self.relay.admin(&["peers", "deny", identity.domain.as_str()]).await?;
                self.hello(&mut self.connect().await?, &identity.hello()).await
            }
            PeerRule::UnknownDomain => {
                let mut hello = identity.hello();
                hello.manifest =
                    identity.manifest_with(|manifest| manifest.domain = domain("nowhere.localhost"));
                self.hello(&mut self.connect().await?, &hello).await
            }
            PeerRule::TooFast => {
                let connection = self.introduced().await?;
                let hello = identity.hello();
                let say = |_| {
                    let (mut streams, hello) = (connection.streams(), &hello);
                    async move { streams.hello(hello).await }
                };
                let mut answers = futures::stream::iter(0..HELLOS).map(say).buffer_unordered(HELLOS_AT_ONCE);
                while let Some(answer) = answers.next().await {
                    if let HelloResponse::Refused(refusal) = answer? {
                        return Ok(Some(refusal.rule));
                    }
                }
                Ok(None)
            }
            PeerRule::CutOff => {
                let mut envelope = self.envelope();
                envelope.origin = domain("b.localhost");
                let forged = identity.node.sign(&envelope).as_bytes().clone();
                for _ in 0..4 {
                    // The last refusal may be lost with the connection.
                    let _ = self.send(forged.clone()).await;
                }
                tokio::time::timeout(PATIENCE, self.until_told()).await.context("it was not told why")?
            }
            PeerRule::NotAHolder => {
                let mut connection = self.introduced().await?;
                let mut stream = connection.open(mailbag::PROTOCOL).await?;
                write_frame(&mut stream, &MailbagRequest::Leave(self.bag()).to_cbor()).await?;
                match read_frame(&mut stream).await? {
                    MailbagResponse::Rejected(refusal) => Ok(Some(refusal.rule)),
                    other => bail!("{other:?}"),
                }
            }
            other => bail!("nobody says how {other} is broken"),
        }
    }
}

fn refusal(answer: ReceiptFrame) -> Option<PeerRule> {
    match answer {
        ReceiptFrame::Refused(refusal) => Some(refusal.rule),
        _ => None,
    }
}

#[tokio::test]
async fn every_misbehaviour_ends_in_its_verdict_and_honest_people_notice_nothing() -> Result<()> {
    let network = Network::of_two().await?;
    let alice = Person::register(&network, "alice@a.localhost").await?;
    let bob = Person::register(&network, "bob@b.localhost").await?;
    alice.befriend(&bob).await?;
    let relay = network.relay("a.localhost");
    let (mut sent, mut wrong, mut evils) = (Vec::new(), Vec::new(), Vec::new());
    let broken = PeerRule::ALL.iter().filter(|rule| !matches!(how(**rule), Break::Elsewhere(_)));
    for (n, rule) in broken.enumerate() {
        // The names hold nothing of the rules, because the log is searched for both.
        let identity = Identity::publish(&format!("evil-{n:02}.localhost")).await?;
        network.add_override(identity.domain.as_str(), &identity.url)?;
        let evil = Evil { identity, relay };
        match evil.breaks(*rule).await {
            Ok(Some(told)) if told == *rule => {}
            other => wrong.push(format!("{rule}: {other:?}")),
        }
        evils.push((evil, *rule));
        sent.push(format!("after {rule}"));
        alice.send(&bob, &sent[sent.len() - 1]).await?;
    }
    ensure!(wrong.is_empty(), "not refused by its name: {}", wrong.join("; "));
    bob.expect(&sent.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    // The peer is told before the log is written; by now both have long been.
    let log = std::fs::read_to_string(relay.log())?;
    for (evil, rule) in evils {
        ensure!(evil.is_named(&log, rule)?, "the operator is not told of {rule} of {}", evil.identity.domain);
    }
    Ok(())
}

#[tokio::test]
async fn a_relay_that_is_cut_off_is_shown_and_may_be_forgiven() -> Result<()> {
    let network = Network::of_two().await?;
    let relay = network.relay("a.localhost");
    let identity = Identity::publish("evil.localhost").await?;
    network.add_override("evil.localhost", &identity.url)?;
    let evil = Evil { identity, relay };
    ensure!(evil.breaks(PeerRule::CutOff).await? == Some(PeerRule::CutOff));
    let shown = relay.admin(&["peers", "show", "evil.localhost"]).await?;
    ensure!(shown.contains("CUT OFF until") && shown.contains("forged-origin 4"), "{shown}");
    let doctor = relay.operate(&["peers", "doctor", "evil.localhost", "--json"]).await?;
    let report: serde_json::Value = serde_json::from_slice(&doctor.stdout)?;
    ensure!(report["first"]["name"] == "conduct" && doctor.status.code() == Some(1), "{report:#}");
    let (found, remedy) = (&report["first"]["found"], &report["first"]["remedy"]);
    ensure!(found.as_str().is_some_and(|text| text.contains("forged-origin 4")), "{report:#}");
    ensure!(remedy.as_str().is_some_and(|text| text.contains("peers pardon evil.localhost")), "{report:#}");
    let pardoned = relay.admin(&["peers", "pardon", "evil.localhost"]).await?;
    ensure!(pardoned.contains("is forgiven"), "{pardoned}");
    evil.introduced().await?;
    Ok(())
}
