//! What the two relays, the device and the network hold between two steps, and the steps themselves.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::hash::{Hash, Hasher};
use std::sync::LazyLock;

use bytes::Bytes;
use posthouse_crypto::SigningKey;
use posthouse_federation::host::{LaneState, OutboundItem, Received};
use posthouse_federation::link::{Arrival, Lane, LinkFault, Progress, Receiver, Sender};
use posthouse_relay::lane::{Acknowledged, Ledger, arrive, resume_at};
use posthouse_relay::mailbox::{NumberCheck, NumberWindow};
use posthouse_spec::envelope::LaneClass;
use posthouse_spec::peer::ReceiptFrame;
use posthouse_spec::peer::deliver::{Credit, Open};
use posthouse_spec::{Domain, Incarnation, LaneSeq, Millis, Number};

/// Messages of the device, numbered from 1.
pub(crate) const MESSAGES: u64 = 3;
/// Crashes, of either relay.
pub(crate) const CRASHES: u8 = 2;
/// Streams that break by themselves.
pub(crate) const BREAKS: u8 = 1;
/// Items in flight.
pub(crate) const CREDIT: u64 = 2;
/// The time stands still: no timeout is part of the protocol's safety.
pub(crate) const NOW: Millis = Millis(1);

static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::from_seed(&[7; 32]));
static ORIGIN: LazyLock<Domain> = LazyLock::new(|| "a.example".parse().expect("a domain"));
static DESTINATION: LazyLock<Domain> = LazyLock::new(|| "b.example".parse().expect("a domain"));

/// A transaction of the origin's writer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Put {
    Submit(u64),
    Acked(Incarnation, LaneSeq),
}

/// A transaction of the destination's writer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Take {
    /// Whether the stream on which it came still stands.
    pub(crate) current: bool,
    pub(crate) first: LaneSeq,
    pub(crate) items: Vec<Bytes>,
}

/// On the wire from origin to destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    Open(Open),
    Envelope(Bytes),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    // The device: messages that it has sent since it last had to begin anew, answers on their way, answers that came.
    pub(crate) sent: u64,
    pub(crate) answers: u64,
    pub(crate) answered: u64,
    // The origin's disk, its writer's queue, and its memory.
    pub(crate) window: NumberWindow,
    pub(crate) ledger: Ledger,
    pub(crate) rows: VecDeque<OutboundItem>,
    pub(crate) puts: Vec<Put>,
    pub(crate) sender: Option<Sender>,
    // The destination's disk, its writer's queue, and its memory.
    pub(crate) cursor: LaneSeq,
    pub(crate) applied: Vec<u64>,
    pub(crate) take: Option<Take>,
    pub(crate) receiver: Option<Receiver>,
    // The network.
    pub(crate) frames: VecDeque<Frame>,
    pub(crate) receipts: VecDeque<ReceiptFrame>,
    pub(crate) crashes: u8,
    pub(crate) breaks: u8,
    /// A rule that one of the two sees broken.
    pub(crate) fault: Option<String>,
}

/// Hashes what `Debug` says, which is all of it.
pub(crate) struct Hashing<'a, H>(&'a mut H);

impl<H: Hasher> std::fmt::Write for Hashing<'_, H> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        write!(Hashing(hasher), "{self:?}").expect("a hasher takes everything");
    }
}

pub(crate) fn life() -> Incarnation {
    Incarnation::new([1; 16])
}

pub(crate) fn body(message: u64) -> [u8; 32] {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&message.to_be_bytes());
    hash
}

impl State {
    pub(crate) fn new() -> Self {
        Self {
            sent: 0,
            answers: 0,
            answered: 0,
            window: NumberWindow::default(),
            ledger: Ledger::begin(life()),
            rows: VecDeque::new(),
            puts: Vec::new(),
            sender: None,
            cursor: LaneSeq(1),
            applied: Vec::new(),
            take: None,
            receiver: None,
            frames: VecDeque::new(),
            receipts: VecDeque::new(),
            crashes: CRASHES,
            breaks: BREAKS,
            fault: None,
        }
    }

    pub(crate) fn lane(&self) -> LaneState {
        let Ledger { incarnation, next, handed, .. } = self.ledger;
        LaneState { incarnation, oldest: self.rows.front().map_or(next, |row| row.seq), next, handed }
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.answered == MESSAGES && self.rows.is_empty() && self.applied.len() as u64 == MESSAGES
    }

    pub(crate) fn submit(&mut self, early: bool) {
        self.sent += 1;
        self.puts.push(Put::Submit(self.sent));
        self.answers += u64::from(early);
    }

    pub(crate) fn commit_origin(&mut self, early: bool) {
        for put in std::mem::take(&mut self.puts) {
            match put {
                Put::Submit(message) => {
                    match self.window.check(Number(message), &body(message)) {
                        NumberCheck::New => {
                            self.window.take(body(message));
                            let bytes = Bytes::copy_from_slice(&message.to_be_bytes());
                            self.rows.push_back(OutboundItem { seq: self.ledger.number(), bytes });
                            if let Some(sender) = &mut self.sender {
                                sender.handle_wake(NOW);
                            }
                        }
                        NumberCheck::Repeat => {}
                        check => self.fault = Some(format!("message {message} is {check:?}")),
                    }
                    self.answers += u64::from(!early);
                }
                Put::Acked(life, next) => {
                    if let Acknowledged::Advanced { to, .. } = self.ledger.acknowledge(life, next) {
                        self.rows.retain(|row| row.seq >= to);
                    }
                }
            }
        }
    }

    pub(crate) fn open(&mut self) {
        let lane = Lane {
            origin: ORIGIN.clone(),
            destination: DESTINATION.clone(),
            class: LaneClass::Messages,
            incarnation: self.ledger.incarnation,
        };
        let sender = Sender::new(lane, self.lane(), NOW);
        self.frames.push_back(Frame::Open(sender.open()));
        self.sender = Some(sender);
    }

    pub(crate) fn send(&mut self, most: usize) -> Result<(), LinkFault> {
        let Some(sender) = &mut self.sender else { return Ok(()) };
        let Some(fetch) = sender.poll_fetch() else { return Ok(()) };
        let waiting = self.rows.iter().filter(|row| row.seq >= fetch.from);
        let items: Vec<OutboundItem> = waiting.take(fetch.max_items.min(most)).cloned().collect();
        if let Some(last) = items.last() {
            self.ledger.hand_out(last.seq.next());
        }
        if let Some(envelope) = sender.handle_items(items, &KEY, NOW, NOW)? {
            self.frames.push_back(Frame::Envelope(envelope.as_bytes().clone()));
        }
        Ok(())
    }

    pub(crate) fn frame(&mut self, early: bool) {
        match self.frames.pop_front() {
            Some(Frame::Open(open)) => {
                let cursor = resume_at(self.cursor, None);
                let receiver = Receiver::new(ORIGIN.clone(), DESTINATION.clone(), &open, cursor)
                    .with_credit(Credit { items: CREDIT, bytes: 1 << 20 });
                self.receipts.push_back(ReceiptFrame::Resume(receiver.resume()));
                self.receiver = Some(receiver);
            }
            Some(Frame::Envelope(bytes)) => {
                let Some(receiver) = &mut self.receiver else { return };
                match receiver.handle_envelope(bytes, |key| *key == KEY.public()) {
                    Ok(Arrival::Repeat) => {}
                    Ok(Arrival::New(envelope)) => {
                        if early {
                            let next = envelope.next();
                            receiver.handle_received(Received { next, refused: Vec::new() });
                        }
                        let items = envelope.items.iter().map(|item| item.bytes().clone()).collect();
                        self.take = Some(Take { current: true, first: envelope.first, items });
                    }
                    Err(violation) => self.fault = Some(violation.to_string()),
                }
            }
            None => {}
        }
    }

    pub(crate) fn commit_destination(&mut self) {
        let Some(take) = self.take.take() else { return };
        let count = take.items.len() as u64;
        let posthouse_relay::lane::Arrival::Run { skip, next } = arrive(self.cursor, take.first, count)
        else {
            self.fault = Some(format!("a gap: {} came where {} is next", take.first, self.cursor));
            return;
        };
        for item in take.items.iter().skip(usize::try_from(skip).expect("few")) {
            self.applied.push(u64::from_be_bytes(item[..].try_into().expect("eight bytes")));
        }
        self.cursor = next;
        // What an earlier stream has brought is not acknowledged on this one.
        if let Some(receiver) = self.receiver.as_mut().filter(|_| take.current) {
            receiver.handle_received(Received { next, refused: Vec::new() });
        }
    }

    pub(crate) fn receipt(&mut self) -> Result<(), LinkFault> {
        let (Some(receipt), Some(sender)) = (self.receipts.pop_front(), &mut self.sender) else {
            return Ok(());
        };
        if let Progress::Acknowledged { next, .. } = sender.handle_receipt(receipt, NOW)?
            && next > self.ledger.acked
        {
            self.puts.push(Put::Acked(self.ledger.incarnation, next));
        }
        Ok(())
    }

    pub(crate) fn break_stream(&mut self) {
        self.sender = None;
        self.receiver = None;
        if let Some(take) = &mut self.take {
            take.current = false;
        }
        self.frames.clear();
        self.receipts.clear();
    }

    pub(crate) fn crash_origin(&mut self) {
        self.crashes -= 1;
        self.break_stream();
        self.puts.clear();
        self.ledger = self.ledger.restarted();
        // The device sends again what was not answered.
        (self.sent, self.answers) = (self.answered, 0);
    }

    pub(crate) fn crash_destination(&mut self, forgets: bool) {
        self.crashes -= 1;
        self.break_stream();
        self.take = None;
        if forgets {
            self.cursor = LaneSeq(1);
        }
    }
}
