//! A world of two relays with a virtual clock: laws of the link under any faults, and each rule's refusal.

use std::collections::VecDeque;

use bytes::Bytes;
use posthouse_crypto::SigningKey;
use posthouse_spec::cbor::{List, Octets, Text};
use posthouse_spec::envelope::{ENVELOPE_VERSION, Envelope, LaneClass};
use posthouse_spec::peer::ReceiptFrame;
use posthouse_spec::peer::deliver::{Ack, Credit, ItemRefusal, RefusedItem, Resume};
use posthouse_spec::peer::hello::PeerRule;
use posthouse_spec::{Domain, Incarnation, LaneSeq, Millis, Signed};
use proptest::prelude::*;

use super::{Arrival, Lane, LinkFault, Progress, Receiver, Sender, Violation};
use crate::host::{LaneState, OutboundItem, Received};

fn domain(text: &str) -> Domain {
    text.parse().expect("a domain of the test")
}

fn key() -> SigningKey {
    SigningKey::from_seed(&[7; 32])
}

fn lane() -> Lane {
    Lane {
        origin: domain("a.example"),
        destination: domain("b.example"),
        class: LaneClass::Messages,
        incarnation: Incarnation::new([1; 16]),
    }
}

/// Two relays: what one has to send, what the other has durably, and a stream that may break at any time.
struct World {
    now: Millis,
    credit: Credit,
    /// Positions from `oldest` on; the content of each is its position.
    outbox: VecDeque<OutboundItem>,
    next: LaneSeq,
    /// What took effect, in order.
    applied: Vec<LaneSeq>,
    stream: Option<Stream>,
    /// Envelopes that were on the wire once: for replays.
    seen: Vec<Bytes>,
}

struct Stream {
    sender: Sender,
    receiver: Receiver,
    envelopes: VecDeque<Bytes>,
    receipts: VecDeque<ReceiptFrame>,
}

#[derive(Debug, Clone)]
enum Step {
    Append(u8),
    Fetch,
    Deliver,
    Receipt,
    Break,
    Replay(u16),
    Straggler(u16),
    Silence,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (1..20_u8).prop_map(Step::Append),
        6 => Just(Step::Fetch),
        6 => Just(Step::Deliver),
        6 => Just(Step::Receipt),
        1 => Just(Step::Break),
        1 => any::<u16>().prop_map(Step::Replay),
        1 => any::<u16>().prop_map(Step::Straggler),
        1 => Just(Step::Silence),
    ];
    proptest::collection::vec(step, 0..300)
}

impl World {
    fn new(credit: Credit) -> Self {
        Self {
            now: Millis(1),
            credit,
            outbox: VecDeque::new(),
            next: LaneSeq(1),
            applied: Vec::new(),
            stream: None,
            seen: Vec::new(),
        }
    }

    fn cursor(&self) -> LaneSeq {
        LaneSeq(self.applied.len() as u64 + 1)
    }

    fn state(&self) -> LaneState {
        let oldest = self.outbox.front().map_or(self.next, |item| item.seq);
        LaneState { incarnation: lane().incarnation, oldest, next: self.next }
    }

    fn connect(&mut self) -> &mut Stream {
        if self.stream.is_none() {
            let sender = Sender::new(lane(), self.state(), self.now);
            let receiver =
                Receiver::new(domain("a.example"), domain("b.example"), &sender.open(), self.cursor())
                    .with_credit(self.credit.clone());
            let receipts = VecDeque::from([ReceiptFrame::Resume(receiver.resume())]);
            self.stream = Some(Stream { sender, receiver, envelopes: VecDeque::new(), receipts });
        }
        self.stream.as_mut().expect("connected above")
    }

    fn append(&mut self, count: u8) {
        for _ in 0..count {
            let bytes = Bytes::copy_from_slice(&self.next.0.to_be_bytes());
            self.outbox.push_back(OutboundItem { seq: self.next, bytes });
            self.next = self.next.next();
        }
        if let Some(stream) = &mut self.stream {
            stream.sender.handle_wake();
        }
    }

    fn fetch(&mut self) {
        let now = self.now;
        let Some(fetch) = self.connect().sender.poll_fetch() else { return };
        let items: Vec<_> =
            self.outbox.iter().filter(|item| item.seq >= fetch.from).take(fetch.max_items).cloned().collect();
        let stream = self.connect();
        if let Some(signed) = stream.sender.handle_items(items, &key(), now).expect("the outbox is sound") {
            stream.envelopes.push_back(signed.as_bytes().clone());
            self.seen.push(signed.as_bytes().clone());
        }
    }

    fn deliver(&mut self) {
        let stream = self.connect();
        let Some(bytes) = stream.envelopes.pop_front() else { return };
        match stream.receiver.handle_envelope(bytes, |k| *k == key().public()).expect("all rules are kept") {
            Arrival::Repeat => {}
            Arrival::New(envelope) => {
                let received = self.receive(&envelope);
                self.connect().receiver.handle_received(received);
            }
        }
        let stream = self.connect();
        if stream.envelopes.is_empty() || stream.receiver.must_acknowledge() {
            stream.receipts.extend(stream.receiver.poll_ack().map(ReceiptFrame::Ack));
        }
    }

    /// The inbox: drops what its cursor has passed.
    fn receive(&mut self, envelope: &Envelope) -> Received {
        let cursor = self.cursor();
        let fresh: Vec<LaneSeq> =
            (envelope.first.0..envelope.next().0).map(LaneSeq).filter(|seq| *seq >= cursor).collect();
        let refused = fresh.iter().filter(|seq| seq.0 % 7 == 0).map(|seq| refusal(*seq)).collect();
        self.applied.extend(fresh);
        Received { next: self.cursor(), refused }
    }

    /// An envelope that was on the wire once and keeps `rule`.
    fn old(&self, which: u16, rule: impl Fn(&Envelope) -> bool) -> Option<(Bytes, Envelope)> {
        let bytes = self.seen.get(which as usize % self.seen.len().max(1))?.clone();
        let envelope = Signed::<Envelope>::from_bytes(bytes.clone()).expect("ours").peek().expect("ours");
        rule(&envelope).then_some((bytes, envelope))
    }

    fn receipt(&mut self) {
        let now = self.now;
        let stream = self.connect();
        let Some(frame) = stream.receipts.pop_front() else { return };
        match stream.sender.handle_receipt(frame, now).expect("all rules are kept") {
            Progress::Acknowledged { next, .. } => self.outbox.retain(|item| item.seq >= next),
            other => panic!("{other:?}"),
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Append(count) => self.append(*count),
            Step::Fetch => self.fetch(),
            Step::Deliver => self.deliver(),
            Step::Receipt => self.receipt(),
            Step::Break => self.stream = None,
            Step::Replay(which) => {
                let cursor = self.connect().receiver.resume().next;
                if let Some((bytes, _)) = self.old(*which, |envelope| envelope.next() <= cursor) {
                    self.connect().envelopes.push_front(bytes);
                }
            }
            // A stream that broke may still be worked off at the destination while the next one has begun.
            Step::Straggler(which) => {
                let cursor = self.cursor();
                if let Some((_, envelope)) = self.old(*which, |envelope| envelope.first <= cursor) {
                    self.receive(&envelope);
                }
            }
            Step::Silence => {
                self.now = self.now.after(60_000);
                if self.stream.as_ref().is_some_and(|stream| stream.sender.handle_timeout(self.now)) {
                    self.stream = None;
                }
            }
        }
    }

    fn settle(&mut self) {
        self.stream = None;
        for _ in 0..10_000 {
            self.fetch();
            self.deliver();
            self.receipt();
            if self.connect().sender.is_idle() {
                return;
            }
        }
        panic!("the link does not come to rest");
    }
}

fn refusal(seq: LaneSeq) -> RefusedItem {
    RefusedItem { seq, reason: ItemRefusal::Quota, detail: Text::clipped("full") }
}

proptest! {
    #[test]
    fn whatever_breaks_every_item_takes_effect_once_and_in_order(steps in steps(), items in 1..64_u64) {
        let mut world = World::new(Credit { items, bytes: 1 << 20 });
        for step in &steps {
            world.step(step);
        }
        world.settle();
        let expected: Vec<LaneSeq> = (1..world.next.0).map(LaneSeq).collect();
        prop_assert_eq!(&world.applied, &expected);
        prop_assert!(world.outbox.is_empty(), "what is acknowledged leaves the outbox");
    }

    #[test]
    fn no_more_is_in_flight_than_was_granted(steps in steps(), items in 1..16_u64) {
        let mut world = World::new(Credit { items, bytes: 1 << 20 });
        for step in &steps {
            world.step(step);
            if let Some(stream) = &world.stream {
                prop_assert!(stream.sender.in_flight() <= items);
            }
        }
    }

    #[test]
    fn no_bytes_make_the_receiver_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let violation = receiver(1).handle_envelope(bytes.into(), |_| true).expect_err("random bytes are no envelope");
        prop_assert_eq!(violation.rule, PeerRule::Malformed);
    }
}

fn receiver(cursor: u64) -> Receiver {
    let open = Sender::new(
        lane(),
        LaneState { incarnation: lane().incarnation, oldest: LaneSeq(1), next: LaneSeq(9) },
        Millis(1),
    )
    .open();
    Receiver::new(domain("a.example"), domain("b.example"), &open, LaneSeq(cursor))
}

fn envelope(first: u64, count: usize) -> Envelope {
    let item = Octets::new(vec![1, 2, 3]).expect("small");
    Envelope {
        version: ENVELOPE_VERSION,
        origin: domain("a.example"),
        destination: domain("b.example"),
        class: LaneClass::Messages,
        incarnation: lane().incarnation,
        first: LaneSeq(first),
        created: Millis(1),
        items: List::new(vec![item; count]).expect("few"),
    }
}

fn refused(envelope: &Envelope) -> Violation {
    let bytes = key().sign(envelope).as_bytes().clone();
    receiver(5).handle_envelope(bytes, |k| *k == key().public()).expect_err("it breaks a rule")
}

#[test]
fn an_envelope_of_another_origin_is_forged() {
    let mut forged = envelope(5, 1);
    forged.origin = domain("victim.example");
    assert_eq!(refused(&forged).rule, PeerRule::ForgedOrigin);
    // Also where it bears the right signature of the relay that really wrote it.
    let stolen = SigningKey::from_seed(&[9; 32]).sign(&forged);
    let violation =
        receiver(5).handle_envelope(stolen.as_bytes().clone(), |k| *k == key().public()).expect_err("forged");
    assert_eq!(violation.rule, PeerRule::ForgedOrigin);
}

#[test]
fn an_envelope_for_another_relay_is_refused() {
    let mut astray = envelope(5, 1);
    astray.destination = domain("c.example");
    assert_eq!(refused(&astray).rule, PeerRule::WrongDestination);
}

#[test]
fn an_envelope_signed_by_no_node_is_refused() {
    let signed = SigningKey::from_seed(&[9; 32]).sign(&envelope(5, 1));
    let violation = receiver(5)
        .handle_envelope(signed.as_bytes().clone(), |k| *k == key().public())
        .expect_err("no node");
    assert_eq!(violation.rule, PeerRule::EnvelopeSignature);
}

#[test]
fn an_envelope_of_another_lane_is_refused() {
    let mut other = envelope(5, 1);
    other.class = LaneClass::Control;
    assert_eq!(refused(&other).rule, PeerRule::WrongLane);
    let mut older = envelope(5, 1);
    older.incarnation = Incarnation::new([2; 16]);
    assert_eq!(refused(&older).rule, PeerRule::WrongLane);
    let mut newer = envelope(5, 1);
    newer.version = 2;
    assert_eq!(refused(&newer).rule, PeerRule::Version);
}

#[test]
fn a_gap_is_refused_and_says_what_was_expected() {
    let violation = refused(&envelope(6, 1));
    assert_eq!(violation.rule, PeerRule::Gap);
    assert!(violation.detail.contains('5') && violation.detail.contains('6'), "{violation}");
}

#[test]
fn a_replay_changes_nothing_and_is_acknowledged_again() {
    let mut receiver = receiver(5);
    let replay = key().sign(&envelope(3, 2)).as_bytes().clone();
    let arrival = receiver.handle_envelope(replay, |_| true).expect("a repeat breaks no rule");
    assert!(matches!(arrival, Arrival::Repeat));
    assert_eq!(receiver.poll_ack().map(|ack| ack.next), Some(LaneSeq(5)));
    assert!(receiver.poll_ack().is_none());
}

#[test]
fn more_than_the_credit_is_refused() {
    let credit = Credit { items: 3, bytes: 1 << 20 };
    let mut receiver = receiver(5).with_credit(credit);
    let bytes = key().sign(&envelope(5, 4)).as_bytes().clone();
    assert_eq!(receiver.handle_envelope(bytes, |_| true).expect_err("four").rule, PeerRule::OverCredit);
    let mut narrow = self::receiver(5).with_credit(Credit { items: 30, bytes: 20 });
    let bytes = key().sign(&envelope(5, 1)).as_bytes().clone();
    assert_eq!(narrow.handle_envelope(bytes, |_| true).expect_err("large").rule, PeerRule::OverCredit);
}

fn flowing(state: LaneState) -> Sender {
    let mut sender = Sender::new(lane(), state, Millis(1));
    let resume = Resume { next: state.oldest, credit: Credit { items: 100, bytes: 1 << 20 } };
    sender.handle_receipt(ReceiptFrame::Resume(resume), Millis(1)).expect("the first answer");
    sender
}

fn ack(next: u64, refused: Vec<RefusedItem>) -> ReceiptFrame {
    let refused = List::new(refused).expect("few");
    ReceiptFrame::Ack(Ack { next: LaneSeq(next), refused, credit: Credit { items: 100, bytes: 1 << 20 } })
}

#[test]
fn acknowledgements_of_what_was_never_sent_are_refused() {
    let state = LaneState { incarnation: lane().incarnation, oldest: LaneSeq(5), next: LaneSeq(9) };
    for frame in [ack(6, vec![]), ack(4, vec![]), ack(5, vec![refusal(LaneSeq(5))])] {
        let fault = flowing(state).handle_receipt(frame, Millis(2)).expect_err("out of turn");
        assert!(matches!(fault, LinkFault::Violation(v) if v.rule == PeerRule::OutOfTurn));
    }
    let early = Sender::new(lane(), state, Millis(1)).handle_receipt(ack(5, vec![]), Millis(2));
    assert!(matches!(early, Err(LinkFault::Violation(v)) if v.rule == PeerRule::OutOfTurn));
}

#[test]
fn a_restored_relay_on_either_side_is_told_apart() {
    let state = LaneState { incarnation: lane().incarnation, oldest: LaneSeq(5), next: LaneSeq(9) };
    let resume =
        |next| ReceiptFrame::Resume(Resume { next: LaneSeq(next), credit: Credit { items: 1, bytes: 1 } });
    let ours = Sender::new(lane(), state, Millis(1)).handle_receipt(resume(10), Millis(2));
    assert!(matches!(ours, Err(LinkFault::RolledBack { .. })));
    let theirs = Sender::new(lane(), state, Millis(1)).handle_receipt(resume(4), Millis(2));
    assert!(matches!(theirs, Err(LinkFault::Forgotten { .. })));
}

#[test]
fn new_items_gather_while_enough_is_on_its_way() {
    let mut world = World::new(Credit { items: 4096, bytes: 1 << 24 });
    world.connect();
    world.receipt();
    for _ in 0..50 {
        world.append(1);
        world.fetch();
    }
    let stream = world.connect();
    assert_eq!(stream.envelopes.len(), 4, "the rest waits to travel together");
    world.settle();
    assert_eq!(world.applied.len(), 50);
}

#[test]
fn silence_is_noticed_only_while_something_is_owed() {
    let mut world = World::new(Credit { items: 10, bytes: 1 << 20 });
    assert!(world.connect().sender.poll_timeout().is_some(), "the answer to the opening is owed");
    world.receipt();
    assert!(world.connect().sender.poll_timeout().is_none());
    world.append(1);
    world.fetch();
    let deadline = world.connect().sender.poll_timeout().expect("an acknowledgement is owed");
    assert!(!world.connect().sender.handle_timeout(Millis(deadline.0 - 1)));
    assert!(world.connect().sender.handle_timeout(deadline));
}
