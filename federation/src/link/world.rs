//! A world of two relays with a virtual clock: laws that the link keeps whatever happens.

use std::collections::VecDeque;

use bytes::Bytes;
use posthouse_crypto::SigningKey;
use posthouse_spec::cbor::Text;
use posthouse_spec::envelope::{Envelope, LaneClass};
use posthouse_spec::peer::ReceiptFrame;
use posthouse_spec::peer::deliver::{Credit, ItemRefusal, RefusedItem};
use posthouse_spec::{Domain, Incarnation, LaneSeq, Millis, Signed};
use proptest::prelude::*;

use super::receiver::{Arrival, Receiver};
use super::sender::{Lane, Progress, Sender};
use crate::host::{LaneState, OutboundItem, Received};

pub(super) fn domain(text: &str) -> Domain {
    text.parse().expect("a domain of the test")
}

pub(super) fn key() -> SigningKey {
    SigningKey::from_seed(&[7; 32])
}

pub(super) fn lane() -> Lane {
    Lane {
        origin: domain("a.example"),
        destination: domain("b.example"),
        class: LaneClass::Messages,
        incarnation: Incarnation::new([1; 16]),
    }
}

pub(super) fn refusal(seq: LaneSeq) -> RefusedItem {
    RefusedItem { seq, reason: ItemRefusal::Quota, detail: Text::clipped("full") }
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
        LaneState { incarnation: lane().incarnation, oldest, next: self.next, handed: self.next }
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
            stream.sender.handle_wake(self.now);
        }
    }

    fn fetch(&mut self) {
        let now = self.now;
        let Some(fetch) = self.connect().sender.poll_fetch() else { return };
        let items: Vec<_> =
            self.outbox.iter().filter(|item| item.seq >= fetch.from).take(fetch.max_items).cloned().collect();
        let stream = self.connect();
        if let Some(signed) =
            stream.sender.handle_items(items, &key(), now, now).expect("the outbox is sound")
        {
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
