//! Whoever is asked, or is sent something, keeps rules too: what a relay does wrong in that part counts like the rest.

mod common;

use common::{Attacker, Relay, Town, frame, soon, wall_clock};
use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use libp2p::StreamProtocol;
use posthouse_federation::codec::{FrameReader, put_frame};
use posthouse_federation::{ConductStatus, PeerError, PeerStatus};
use posthouse_spec::cbor::{List, Octets};
use posthouse_spec::envelope::LaneClass;
use posthouse_spec::peer::deliver::{Ack, Credit, Resume};
use posthouse_spec::peer::hello::PeerRule;
use posthouse_spec::peer::mailbag::Mailbag;
use posthouse_spec::peer::{
    DeliverFrame, KeysRequest, KeysResponse, MailbagRequest, MailbagResponse, ReceiptFrame, deliver, keys,
    mailbag,
};
use posthouse_spec::{AccountId, Cbor, EnvelopeId, LaneSeq};

const GARBAGE: [u8; 3] = [2, 0xff, 0xff];

fn status(of: &Relay, domain: &str) -> Option<PeerStatus> {
    of.federation().peers().into_iter().find(|peer| peer.domain.as_str() == domain)
}

fn conduct(of: &Relay) -> Option<ConductStatus> {
    status(of, "evil.localhost")?.conduct
}

/// Waits until exactly these rules are counted against the other side.
async fn broken(at: &Relay, rules: &[(PeerRule, u64)]) {
    soon("the verdict", async {
        while conduct(at).is_none_or(|conduct| conduct.broken != rules) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// A relay and a peer of it that has said hello.
async fn met(town: &Town) -> (Relay, Attacker) {
    let mut a = Relay::new(town, "a.localhost", 1);
    a.start(town).await;
    let evil = Attacker::new(town, &a, "tcp").await;
    evil.hello().await;
    (a, evil)
}

/// The streams that the relay opens with the attacker.
fn opened(evil: &Attacker, protocol: &'static str) -> libp2p_stream::IncomingStreams {
    evil.control.clone().accept(StreamProtocol::new(protocol)).expect("nobody else takes them")
}

/// The next stream, of which the first frame has been read.
async fn asked<T: Cbor>(
    streams: &mut libp2p_stream::IncomingStreams,
) -> (FrameReader<futures::io::ReadHalf<libp2p::Stream>>, futures::io::WriteHalf<libp2p::Stream>) {
    let (_, stream) = soon("the stream", streams.next()).await.expect("the swarm runs");
    let (reading, writing) = stream.split();
    let mut reader = FrameReader::new(reading, 1 << 20);
    let _: T = soon("the first frame", reader.value()).await.expect("sound");
    (reader, writing)
}

fn resume(items: u64) -> Vec<u8> {
    frame(&ReceiptFrame::Resume(Resume { next: LaneSeq(1), credit: Credit { items, bytes: 1 << 20 } }))
}

fn ack(next: u64, items: u64) -> Vec<u8> {
    let credit = Credit { items, bytes: 1 << 20 };
    frame(&ReceiptFrame::Ack(Ack { next: LaneSeq(next), refused: List::default(), credit }))
}

#[tokio::test]
async fn a_destination_answers_for_its_receipts() {
    let town = Town::new().await;
    let (mut a, evil) = met(&town).await;
    let mut streams = opened(&evil, deliver::PROTOCOL);
    a.post(&evil.relay, "a message");
    let twice = [resume(9), resume(9)].concat();
    for (receipts, rules) in [
        (ack(1, 9), vec![(PeerRule::OutOfTurn, 1)]),
        (twice, vec![(PeerRule::OutOfTurn, 2)]),
        (GARBAGE.to_vec(), vec![(PeerRule::Malformed, 1), (PeerRule::OutOfTurn, 2)]),
    ] {
        let (_reader, mut writing) = asked::<DeliverFrame>(&mut streams).await;
        writing.write_all(&receipts).await.expect("written");
        writing.flush().await.expect("flushed");
        broken(&a, &rules).await;
    }
    assert_eq!(a.memory.waiting(), 1, "it is kept for a better day");
    a.stop().await;
}

#[tokio::test]
async fn whoever_is_asked_answers_for_what_is_no_answer() {
    let town = Town::new().await;
    let (mut a, evil) = met(&town).await;
    let mut streams = opened(&evil, keys::PROTOCOL);
    let federation = a.federation();
    let asking = federation.keys(&evil.relay.domain, KeysRequest::Chain(AccountId::new([1; 32])));
    let answering = async {
        let (reader, mut writing) = asked::<KeysRequest>(&mut streams).await;
        writing.write_all(&GARBAGE).await.expect("written");
        writing.flush().await.expect("flushed");
        (reader, writing)
    };
    let (answer, _stream) = futures::join!(asking, answering);
    assert!(matches!(answer, Err(PeerError::Refused { rule: PeerRule::Malformed, .. })), "{answer:?}");
    broken(&a, &[(PeerRule::Malformed, 1)]).await;
    a.stop().await;
}

#[tokio::test]
async fn a_rule_that_the_relay_itself_finds_broken_counts_too() {
    let town = Town::new().await;
    let (mut a, evil) = met(&town).await;
    let theirs = Mailbag {
        origin: "b.localhost".parse().expect("a domain"),
        destination: "c.localhost".parse().expect("a domain"),
        envelope: EnvelopeId::new([1; 32]),
        expires: wall_clock(),
        sealed: Octets::new(vec![1]).expect("small"),
    };
    let answer = evil.exchange(mailbag::PROTOCOL, &frame(&MailbagRequest::Leave(theirs))).await;
    let MailbagResponse::Rejected(refusal) = answer else { panic!("{answer:?}") };
    assert_eq!(refusal.rule, PeerRule::ForgedOrigin);
    broken(&a, &[(PeerRule::ForgedOrigin, 1)]).await;
    // What costs nothing is not held against anybody.
    let answer = evil.exchange(mailbag::PROTOCOL, &frame(&MailbagRequest::List(1))).await;
    let MailbagResponse::Rejected(refusal) = answer else { panic!("{answer:?}") };
    assert_eq!(refusal.rule, PeerRule::NotAHolder);
    broken(&a, &[(PeerRule::ForgedOrigin, 1)]).await;
    a.stop().await;
}

#[tokio::test]
async fn a_question_that_does_not_come_whole_breaks_no_rule() {
    let town = Town::new().await;
    let (mut a, evil) = met(&town).await;
    let mut question = Vec::new();
    put_frame(&mut question, &[7; 1_000]);
    let answer: KeysResponse = evil.exchange(keys::PROTOCOL, &question[..500]).await;
    let KeysResponse::Rejected(refusal) = answer else { panic!("{answer:?}") };
    assert_eq!(refusal.rule, PeerRule::Unavailable, "{refusal:?}");
    assert!(conduct(&a).is_none(), "a slow way is nobody's fault");
    let answer: KeysResponse = evil.exchange(keys::PROTOCOL, &[]).await;
    assert!(matches!(answer, KeysResponse::Rejected(refusal) if refusal.rule == PeerRule::OutOfTurn));
    broken(&a, &[(PeerRule::OutOfTurn, 1)]).await;
    a.stop().await;
}

#[tokio::test]
async fn what_waits_is_counted_while_a_lane_works() {
    let town = Town::new().await;
    let (mut a, evil) = met(&town).await;
    let mut streams = opened(&evil, deliver::PROTOCOL);
    for n in 0..10 {
        a.post(&evil.relay, &format!("message {n}"));
    }
    let counted = async |items: u64| {
        soon(&format!("a backlog of {items}"), async {
            let now = || status(&a, "evil.localhost").expect("known").backlog;
            while now() != [(LaneClass::Messages, items)] {
                tokio::task::yield_now().await;
            }
        })
        .await;
    };
    let (mut reader, mut writing) = asked::<DeliverFrame>(&mut streams).await;
    for next in [1, 5, 9] {
        let receipt = if next == 1 { resume(4) } else { ack(next, 4) };
        writing.write_all(&receipt).await.expect("written");
        writing.flush().await.expect("flushed");
        let _: DeliverFrame = soon("an envelope", reader.value()).await.expect("sound");
        counted(11 - next).await;
    }
    a.stop().await;
}
