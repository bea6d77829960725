//! The delivery protocol, model-checked: one lane between two relays, three messages, two crashes between any two steps.
//!
//! The steps are those of the real link, ledger and number window; the model brings what lies
//! between them: a device that sends again what was not answered, a writer on each side whose transactions are durable
//! only when they are committed, and streams that break. Every order of steps is tried, to the last state.
#![expect(clippy::expect_used, reason = "a test says so by panicking, and tells its counts")]

mod state;

use posthouse_federation::link::Receiver;
use posthouse_spec::LaneSeq;
use posthouse_spec::peer::ReceiptFrame;
use stateright::{Checker, Model, Property};

use state::{BREAKS, CRASHES, MESSAGES, State};

/// Different states that there are at least: a model that has lost a step keeps its laws with ease.
const STATES: usize = 1_000;

/// A bug, planted in the model alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mutation {
    /// The destination acknowledges what is not durable yet.
    AcknowledgeBeforeDurable,
    /// The origin answers its device before the message is durable.
    AcceptBeforeDurable,
    /// The cursor is not written with the items.
    ForgetTheCursor,
    /// The destination acknowledges nothing.
    AcknowledgeNothing,
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
            owed && !self.is(Mutation::AcknowledgeNothing)
                && (state.take.is_none() || self.is(Mutation::AcknowledgeBeforeDurable)),
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
                // Nobody may wait for a mishap to help on.
                actions.retain(|action| {
                    !matches!(action, Action::CrashOrigin | Action::CrashDestination | Action::Break)
                });
                !actions.is_empty() || state.is_complete()
            }),
            Property::sometimes("everything arrives, whatever has crashed", |_, state: &State| {
                state.is_complete() && state.crashes == 0 && state.breaks == 0
            }),
        ]
    }
}

const LAWS: [&str; 6] = [
    "effectively once, and in order",
    "what the device is told is accepted is durable",
    "what the origin is told is received is durable",
    "what is accepted waits or has arrived",
    "neither relay sees a rule broken",
    "it ends only when everything has arrived",
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
    assert!(
        checker.unique_state_count() >= STATES,
        "so few states are another model: look which step was lost, or write their number here anew"
    );
    for law in LAWS {
        checker.assert_no_discovery(law);
    }
    checker.assert_any_discovery("everything arrives, whatever has crashed");
}

#[test]
fn a_planted_bug_has_a_counterexample() {
    for mutation in [
        Mutation::AcknowledgeBeforeDurable,
        Mutation::AcceptBeforeDurable,
        Mutation::ForgetTheCursor,
        Mutation::AcknowledgeNothing,
    ] {
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
