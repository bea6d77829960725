//! The destination's side: streams that open, envelopes one after the other, and acknowledgements of what is durable.

use bytes::Bytes;
use posthouse_federation::host::Received;
use posthouse_federation::link::{Arrival, Receiver, Violation};
use posthouse_spec::LaneSeq;
use posthouse_spec::envelope::LaneClass;
use posthouse_spec::peer::ReceiptFrame;
use posthouse_spec::peer::deliver::{Busy, Credit, Open, RefusedItem};

use crate::cast::{RelayNo, cast};
use crate::net::{Frame, StreamId};
use crate::relay::{After, Control, Incoming};
use crate::store::{InLane, Outcome, Place, Write};
use crate::wire::read_item;
use crate::world::World;

/// When an origin is asked to come back, milliseconds.
const BUSY_MS: u64 = 1_000;

impl World {
    /// A lane is opened. The newest stream of a lane is the one that works it.
    pub(crate) fn opened(&mut self, relay: RelayNo, origin: RelayNo, stream: StreamId, open: &Open) {
        let lane = InLane { origin, class: open.class, life: open.incarnation };
        let owner = &mut self.relays[relay];
        let cursor = owner.disk.resume_at(&lane, open.oldest.0);
        let domains = &cast().domains;
        let credit = Credit { items: self.credit, bytes: 1 << 20 };
        let receiver = Receiver::new(domains[origin].clone(), domains[relay].clone(), open, LaneSeq(cursor))
            .with_credit(credit);
        let resume = receiver.resume();
        let incoming =
            Incoming { stream, lane, receiver, frames: Default::default(), busy: false, control: None };
        let older = owner.memory.incoming.insert((origin, open.class), incoming);
        if let Some(older) = older {
            self.send(older.stream, relay, Frame::Closed);
        }
        self.trace.line(self.now, || format!("r{relay} takes r{origin}'s {} lane from {cursor}", open.class));
        self.send(stream, relay, Frame::Receipt(ReceiptFrame::Resume(resume)));
        self.replay(relay, origin, open, cursor);
    }

    pub(crate) fn envelope(
        &mut self,
        relay: RelayNo,
        origin: RelayNo,
        class: LaneClass,
        stream: StreamId,
        bytes: Bytes,
    ) {
        if let Some(incoming) = self.incoming(relay, origin, class, stream) {
            incoming.frames.push_back(bytes);
            self.take_next(relay, origin, class, stream);
        }
    }

    fn incoming(
        &mut self,
        relay: RelayNo,
        origin: RelayNo,
        class: LaneClass,
        stream: StreamId,
    ) -> Option<&mut Incoming> {
        self.relays[relay]
            .memory
            .incoming
            .get_mut(&(origin, class))
            .filter(|incoming| incoming.stream == stream)
    }

    /// Takes frames until one must become durable first.
    fn take_next(&mut self, relay: RelayNo, origin: RelayNo, class: LaneClass, stream: StreamId) {
        loop {
            let Some(incoming) = self.incoming(relay, origin, class, stream) else { return };
            if incoming.busy {
                return;
            }
            let Some(bytes) = incoming.frames.pop_front() else {
                return self.acknowledge(relay, origin, class, stream);
            };
            match incoming.receiver.handle_envelope(bytes, |key| *key == cast().publics[origin]) {
                Ok(Arrival::Repeat) => {}
                Ok(Arrival::New(envelope)) => {
                    incoming.busy = true;
                    let (lane, first) = (incoming.lane, envelope.first.0);
                    let items: Vec<Bytes> = envelope.items.iter().map(|item| item.bytes().clone()).collect();
                    if class == LaneClass::Control {
                        return self.begin_control(relay, lane, stream, first, items);
                    }
                    let write = Write::Receive { lane, first, items };
                    return self.write(relay, write, After::Received { origin, class, stream });
                }
                Err(violation) => return self.broken(relay, origin, &violation),
            }
            let Some(incoming) = self.incoming(relay, origin, class, stream) else { return };
            if incoming.receiver.must_acknowledge() {
                self.acknowledge(relay, origin, class, stream);
            }
        }
    }

    fn broken(&mut self, relay: RelayNo, origin: RelayNo, violation: &Violation) {
        self.broke("no honest relay breaks a rule", format!("r{origin} at r{relay}: {violation}"));
    }

    fn acknowledge(&mut self, relay: RelayNo, origin: RelayNo, class: LaneClass, stream: StreamId) {
        let Some(incoming) = self.incoming(relay, origin, class, stream) else { return };
        let lane = incoming.lane;
        let Some(ack) = incoming.receiver.poll_ack() else { return };
        let durable = self.relays[relay].disk.cursor(&lane);
        if ack.next.0 > durable && self.strict {
            let detail =
                format!("r{relay} acknowledges r{origin}'s items up to {}, durable is {durable}", ack.next);
            return self.broke("nothing is acknowledged before it is durable", detail);
        }
        self.send(stream, relay, Frame::Receipt(ReceiptFrame::Ack(ack)));
    }

    /// An envelope is durable.
    pub(crate) fn received(
        &mut self,
        relay: RelayNo,
        origin: RelayNo,
        class: LaneClass,
        stream: StreamId,
        outcome: Outcome,
    ) {
        let Some(incoming) = self.incoming(relay, origin, class, stream) else { return };
        match outcome {
            Outcome::Received { next, refused } => {
                incoming.receiver.handle_received(Received { next: LaneSeq(next), refused });
            }
            Outcome::Gap { expected } => {
                let detail = format!("r{origin} at r{relay}: the cursor stands at {expected}");
                return self.broke("no honest relay breaks a rule", detail);
            }
            _ => {}
        }
        self.go_on(relay, origin, class, stream);
    }

    fn go_on(&mut self, relay: RelayNo, origin: RelayNo, class: LaneClass, stream: StreamId) {
        let Some(incoming) = self.incoming(relay, origin, class, stream) else { return };
        incoming.busy = false;
        if incoming.receiver.must_acknowledge() {
            self.acknowledge(relay, origin, class, stream);
        }
        self.take_next(relay, origin, class, stream);
    }

    /// A control lane's items are taken one at a time, each in one transaction with the cursor.
    fn begin_control(
        &mut self,
        relay: RelayNo,
        lane: InLane,
        stream: StreamId,
        first: u64,
        items: Vec<Bytes>,
    ) {
        let expected = self.relays[relay].disk.cursor(&lane);
        let passed = usize::try_from(expected.saturating_sub(first)).unwrap_or(usize::MAX);
        let control = Control {
            next: expected.max(first),
            items: items.into_iter().skip(passed).collect(),
            refused: Vec::new(),
        };
        if let Some(incoming) = self.incoming(relay, lane.origin, lane.class, stream) {
            incoming.control = Some(control);
            self.next_control(relay, lane, stream);
        }
    }

    pub(crate) fn next_control(&mut self, relay: RelayNo, lane: InLane, stream: StreamId) {
        let Some(incoming) = self.incoming(relay, lane.origin, lane.class, stream) else { return };
        let Some(control) = &mut incoming.control else { return };
        if let Some(bytes) = control.items.pop_front() {
            let place = Place { lane, seq: control.next };
            control.next += 1;
            return self.take_control(relay, stream, place, read_item(&bytes));
        }
        let received =
            Received { next: LaneSeq(control.next), refused: std::mem::take(&mut control.refused) };
        incoming.control = None;
        incoming.receiver.handle_received(received);
        self.go_on(relay, lane.origin, lane.class, stream);
    }

    pub(crate) fn control_refused(
        &mut self,
        relay: RelayNo,
        stream: StreamId,
        place: Place,
        refused: RefusedItem,
    ) {
        let incoming = self.incoming(relay, place.lane.origin, place.lane.class, stream);
        if let Some(control) = incoming.and_then(|incoming| incoming.control.as_mut()) {
            control.refused.push(refused);
        }
    }

    /// The item cannot be taken now: the origin is asked to come back.
    pub(crate) fn control_later(&mut self, relay: RelayNo, lane: InLane, stream: StreamId) {
        if self.incoming(relay, lane.origin, lane.class, stream).is_none() {
            return;
        }
        self.acknowledge(relay, lane.origin, lane.class, stream);
        self.relays[relay].memory.incoming.remove(&(lane.origin, lane.class));
        self.send(stream, relay, Frame::Receipt(ReceiptFrame::Busy(Busy { retry_after_ms: BUSY_MS })));
    }
}
