//! The delivery protocol, model-checked: one lane between two relays, three messages, two crashes between any two steps.
//!
//! The steps are those of the real [`Sender`], [`Receiver`], [`Ledger`] and [`NumberWindow`]; the model brings what lies
//! between them: a device that sends again what was not answered, a writer on each side whose transactions are durable
//! only when they are committed, and streams that break. Every order of steps is tried, to the last state.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test says so by panicking, and tells its counts"
)]

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
use stateright::{Checker, Model, Property};

/// Messages of the device, numbered from 1.
const MESSAGES: u64 = 3;
/// Crashes, of either relay.
const CRASHES: u8 = 2;
/// Streams that break by themselves.
const BREAKS: u8 = 1;
/// Items in flight.
const CREDIT: u64 = 2;
/// The time stands still: no timeout is part of the protocol's safety.
const NOW: Millis = Millis(1);

static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::from_seed(&[7; 32]));
static ORIGIN: LazyLock<Domain> = LazyLock::new(|| "a.example".parse().expect("a domain"));
static DESTINATION: LazyLock<Domain> = LazyLock::new(|| "b.example".parse().expect("a domain"));

/// A bug, planted in the model alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mutation {
    /// The destination acknowledges what is not durable yet.
    AcknowledgeBeforeDurable,
    /// The origin answers its device before the message is durable.
    AcceptBeforeDurable,
    /// The cursor is not written with the items.
    ForgetTheCursor,
}

/// A transaction of the origin's writer.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Put {
    Submit(u64),
    Acked(Incarnation, LaneSeq),
}

/// A transaction of the destination's writer.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Take {
    /// Whether the stream on which it came still stands.
    current: bool,
    first: LaneSeq,
    items: Vec<Bytes>,
}

/// On the wire from origin to destination.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Frame {
    Open(Open),
    Envelope(Bytes),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    // The device: messages that it has sent since it last had to begin anew, answers on their way, answers that came.
    sent: u64,
    answers: u64,
    answered: u64,
    // The origin's disk, its writer's queue, and its memory.
    window: NumberWindow,
    ledger: Ledger,
    rows: VecDeque<OutboundItem>,
    puts: Vec<Put>,
    sender: Option<Sender>,
    // The destination's disk, its writer's queue, and its memory.
    cursor: LaneSeq,
    applied: Vec<u64>,
    take: Option<Take>,
    receiver: Option<Receiver>,
    // The network.
    frames: VecDeque<Frame>,
    receipts: VecDeque<ReceiptFrame>,
    crashes: u8,
    breaks: u8,
    /// A rule that one of the two sees broken.
    fault: Option<String>,
}

/// Hashes what `Debug` says, which is all of it.
struct Hashing<'a, H>(&'a mut H);

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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Submit,
    Answer,
    CommitOrigin,
    Open,
    /// So many items in one envelope at most.
    Send(usize),
    Frame,
    CommitDestination,
    Acknowledge,
    Receipt,
    Break,
    CrashOrigin,
    CrashDestination,
}

struct Delivery(Option<Mutation>);

impl Delivery {
    fn is(&self, mutation: Mutation) -> bool {
        self.0 == Some(mutation)
    }
}

fn life() -> Incarnation {
    Incarnation::new([1; 16])
}

fn body(message: u64) -> [u8; 32] {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&message.to_be_bytes());
    hash
}

impl State {
    fn new() -> Self {
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

    fn lane(&self) -> LaneState {
        let Ledger { incarnation, next, handed, .. } = self.ledger;
        LaneState { incarnation, oldest: self.rows.front().map_or(next, |row| row.seq), next, handed }
    }

    fn is_complete(&self) -> bool {
        self.answered == MESSAGES && self.rows.is_empty() && self.applied.len() as u64 == MESSAGES
    }

    fn submit(&mut self, early: bool) {
        self.sent += 1;
        self.puts.push(Put::Submit(self.sent));
        self.answers += u64::from(early);
    }

    fn commit_origin(&mut self, early: bool) {
        for put in std::mem::take(&mut self.puts) {
            match put {
                Put::Submit(message) => {
                    match self.window.check(Number(message), &body(message)) {
                        NumberCheck::New => {
                            self.window.take(body(message));
                            let bytes = Bytes::copy_from_slice(&message.to_be_bytes());
                            self.rows.push_back(OutboundItem { seq: self.ledger.number(), bytes });
                            if let Some(sender) = &mut self.sender {
                                sender.handle_wake();
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

    fn open(&mut self) {
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

    fn send(&mut self, most: usize) -> Result<(), LinkFault> {
        let Some(sender) = &mut self.sender else { return Ok(()) };
        let Some(fetch) = sender.poll_fetch() else { return Ok(()) };
        let waiting = self.rows.iter().filter(|row| row.seq >= fetch.from);
        let items: Vec<OutboundItem> = waiting.take(fetch.max_items.min(most)).cloned().collect();
        if let Some(last) = items.last() {
            self.ledger.hand_out(last.seq.next());
        }
        if let Some(envelope) = sender.handle_items(items, &KEY, NOW)? {
            self.frames.push_back(Frame::Envelope(envelope.as_bytes().clone()));
        }
        Ok(())
    }

    fn frame(&mut self, early: bool) {
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

    fn commit_destination(&mut self) {
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

    fn receipt(&mut self) -> Result<(), LinkFault> {
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

    fn break_stream(&mut self) {
        self.sender = None;
        self.receiver = None;
        if let Some(take) = &mut self.take {
            take.current = false;
        }
        self.frames.clear();
        self.receipts.clear();
    }

    fn crash_origin(&mut self) {
        self.crashes -= 1;
        self.break_stream();
        self.puts.clear();
        self.ledger = Ledger::at_start(self.ledger.incarnation, self.ledger.next, self.ledger.acked);
        // The device sends again what was not answered.
        (self.sent, self.answers) = (self.answered, 0);
    }

    fn crash_destination(&mut self, forgets: bool) {
        self.crashes -= 1;
        self.break_stream();
        self.take = None;
        if forgets {
            self.cursor = LaneSeq(1);
        }
    }
}

impl Model for Delivery {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::new()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.fault.is_some() {
            return;
        }
        let mut when = |possible: bool, action| {
            if possible {
                actions.push(action);
            }
        };
        when(state.sent < MESSAGES, Action::Submit);
        when(state.answers > 0, Action::Answer);
        when(!state.puts.is_empty(), Action::CommitOrigin);
        when(state.sender.is_none() && !state.rows.is_empty(), Action::Open);
        if let Some(sender) = &state.sender
            && let Some(fetch) = sender.poll_fetch()
        {
            let waiting = state.rows.iter().filter(|row| row.seq >= fetch.from).count().min(fetch.max_items);
            when(true, Action::Send(1));
            when(waiting > 1, Action::Send(2));
        }
        when(!state.frames.is_empty() && state.take.is_none(), Action::Frame);
        when(state.take.is_some(), Action::CommitDestination);
        let owed = state.receiver.clone().is_some_and(|mut receiver| receiver.poll_ack().is_some());
        when(
            owed && (state.take.is_none() || self.is(Mutation::AcknowledgeBeforeDurable)),
            Action::Acknowledge,
        );
        when(!state.receipts.is_empty(), Action::Receipt);
        when(state.breaks > 0 && state.sender.is_some(), Action::Break);
        when(state.crashes > 0, Action::CrashOrigin);
        when(state.crashes > 0, Action::CrashDestination);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        let mut fault = Ok(());
        match action {
            Action::Submit => state.submit(self.is(Mutation::AcceptBeforeDurable)),
            Action::Answer => {
                state.answers -= 1;
                state.answered += 1;
            }
            Action::CommitOrigin => state.commit_origin(self.is(Mutation::AcceptBeforeDurable)),
            Action::Open => state.open(),
            Action::Send(most) => fault = state.send(most),
            Action::Frame => state.frame(self.is(Mutation::AcknowledgeBeforeDurable)),
            Action::CommitDestination => state.commit_destination(),
            Action::Acknowledge => {
                let ack = state.receiver.as_mut().and_then(Receiver::poll_ack);
                state.receipts.extend(ack.map(ReceiptFrame::Ack));
            }
            Action::Receipt => fault = state.receipt(),
            Action::Break => {
                state.breaks -= 1;
                state.break_stream();
            }
            Action::CrashOrigin => state.crash_origin(),
            Action::CrashDestination => state.crash_destination(self.is(Mutation::ForgetTheCursor)),
        }
        if let Err(fault) = fault {
            state.fault = Some(fault.to_string());
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("effectively once, and in order", |_, state: &State| {
                state.applied.iter().zip(1..).all(|(message, expected)| *message == expected)
            }),
            Property::always("what the device is told is accepted is durable", |_, state: &State| {
                state.answered <= state.window.accepted().0
            }),
            Property::always("what the origin is told is received is durable", |_, state: &State| {
                let told = state.receipts.iter().map(|receipt| match receipt {
                    ReceiptFrame::Resume(resume) => resume.next,
                    ReceiptFrame::Ack(ack) => ack.next,
                    _ => LaneSeq(1),
                });
                told.chain([state.ledger.acked]).all(|next| next.0 <= state.applied.len() as u64 + 1)
            }),
            Property::always("what is accepted waits or has arrived", |_, state: &State| {
                let waits =
                    |message: u64| state.rows.iter().any(|row| row.bytes[..] == message.to_be_bytes());
                (1..=state.window.accepted().0)
                    .all(|message| state.applied.contains(&message) || waits(message))
            }),
            Property::always("neither relay sees a rule broken", |_, state: &State| state.fault.is_none()),
            Property::always("it ends only when everything has arrived", |model: &Self, state: &State| {
                let mut actions = Vec::new();
                model.actions(state, &mut actions);
                actions.retain(|action| !matches!(action, Action::CrashOrigin | Action::CrashDestination));
                !actions.is_empty() || state.is_complete()
            }),
            Property::eventually("everything arrives", |_, state: &State| state.is_complete()),
            Property::sometimes("everything arrives, whatever has crashed", |_, state: &State| {
                state.is_complete() && state.crashes == 0 && state.breaks == 0
            }),
        ]
    }
}

const LAWS: [&str; 7] = [
    "effectively once, and in order",
    "what the device is told is accepted is durable",
    "what the origin is told is received is durable",
    "what is accepted waits or has arrived",
    "neither relay sees a rule broken",
    "it ends only when everything has arrived",
    "everything arrives",
];

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[test]
fn the_protocol_keeps_its_laws_in_every_state() {
    let checker = Delivery(None).checker().threads(threads()).spawn_bfs().join();
    assert!(checker.is_done(), "the whole space was searched");
    println!(
        "2 relays, {MESSAGES} messages, {CRASHES} crashes, {BREAKS} break: {} states, {} of them different, {} steps deep",
        checker.state_count(),
        checker.unique_state_count(),
        checker.max_depth()
    );
    for law in LAWS {
        checker.assert_no_discovery(law);
    }
    checker.assert_any_discovery("everything arrives, whatever has crashed");
}

#[test]
fn a_planted_bug_has_a_counterexample() {
    for mutation in
        [Mutation::AcknowledgeBeforeDurable, Mutation::AcceptBeforeDurable, Mutation::ForgetTheCursor]
    {
        let checker = Delivery(Some(mutation))
            .checker()
            .threads(threads())
            .finish_when(stateright::HasDiscoveries::AnyFailures)
            .spawn_bfs()
            .join();
        let found = checker.discoveries();
        let broken = LAWS.iter().find_map(|law| Some((law, found.get(law)?)));
        let (law, path) = broken.expect("a law is broken");
        println!("{mutation:?}: {law}: {:?}", path.clone().into_actions());
    }
}
