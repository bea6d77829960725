//! One relay: what it has on disk, what waits for the writer, and what it has in memory, which a crash takes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use posthouse_federation::link::{Receiver, Sender};
use posthouse_federation::policy::Policy;
use posthouse_federation::retry::Backoff;
use posthouse_federation::schedule::{Bounds, Schedule};
use posthouse_spec::Incarnation;
use posthouse_spec::envelope::LaneClass;
use posthouse_spec::peer::ReceiptFrame;
use posthouse_spec::peer::deliver::RefusedItem;

use crate::cast::{DeviceNo, RelayNo, RoomNo};
use crate::follow::Task;
use crate::net::{AskId, ConnId, Question, StreamId};
use crate::store::{InLane, LaneKey, Store, Write};

/// What happens when a transaction is durable.
#[derive(Debug, Clone)]
pub(crate) enum After {
    Nothing,
    Submitted {
        device: DeviceNo,
        socket: u64,
        number: u64,
    },
    Ready {
        device: DeviceNo,
        socket: u64,
    },
    Received {
        origin: RelayNo,
        class: LaneClass,
        stream: StreamId,
    },
    Task(u64),
    /// The outbox knows what was acknowledged on a stream.
    Outbox(LaneKey, StreamId),
    /// A lane has begun another life.
    NewLife(LaneKey),
    /// The hub's answer to another relay …
    Answer {
        conn: ConnId,
        ask: AskId,
        to: RelayNo,
    },
    /// … or to its own device.
    Told {
        device: DeviceNo,
        socket: u64,
    },
}

/// A transaction that waits for the next commit.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) write: Write,
    pub(crate) fresh: u64,
    pub(crate) after: After,
}

/// The destination's side of one lane, in memory.
pub(crate) struct Incoming {
    pub(crate) stream: StreamId,
    pub(crate) lane: InLane,
    pub(crate) receiver: Receiver,
    /// Frames that wait until the envelope before them is durable.
    pub(crate) frames: VecDeque<Bytes>,
    pub(crate) busy: bool,
    /// An envelope of a control lane, whose items are taken one by one.
    pub(crate) control: Option<Control>,
}

pub(crate) struct Control {
    pub(crate) next: u64,
    pub(crate) items: VecDeque<Bytes>,
    pub(crate) refused: Vec<RefusedItem>,
}

/// The origin's side of one lane, in memory: a stream that is open.
pub(crate) struct Work {
    pub(crate) conn: ConnId,
    pub(crate) stream: StreamId,
    pub(crate) life: Incarnation,
    /// Gone while the lane begins another life.
    pub(crate) sender: Option<Box<Sender>>,
    /// What the outbox was told last, and whether that is not durable yet: the worker waits for it.
    pub(crate) told: u64,
    pub(crate) busy: bool,
    /// What came meanwhile.
    pub(crate) receipts: VecDeque<ReceiptFrame>,
    /// Whether anything was acknowledged.
    pub(crate) progress: bool,
    /// Whether the lane has caught up and given its place back.
    pub(crate) idle: bool,
    /// Until when the stream ends, once its turn is over.
    pub(crate) leave_by: Option<u64>,
    /// Timers of an earlier state are void.
    pub(crate) timer: u64,
}

/// A device's socket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Socket {
    pub(crate) id: u64,
    pub(crate) ready: bool,
    pub(crate) pushed: u64,
}

/// What a crash takes.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) schedule: Schedule,
    /// When the schedule wants to be asked next.
    pub(crate) timeout: Option<u64>,
    pub(crate) suspects: BTreeSet<LaneKey>,
    pub(crate) sessions: BTreeMap<RelayNo, ConnId>,
    pub(crate) backoffs: BTreeMap<RelayNo, Backoff>,
    /// Relays that the schedule waits for.
    pub(crate) connecting: BTreeSet<RelayNo>,
    pub(crate) dialling: BTreeMap<RelayNo, u64>,
    pub(crate) work: BTreeMap<LaneKey, Work>,
    pub(crate) incoming: BTreeMap<(RelayNo, LaneClass), Incoming>,
    pub(crate) tasks: BTreeMap<u64, Task>,
    /// Questions that wait for a session, and those that wait for an answer.
    pub(crate) unasked: Vec<(RelayNo, AskId, Question)>,
    pub(crate) asked: BTreeMap<AskId, u64>,
    pub(crate) sockets: BTreeMap<DeviceNo, Socket>,
    pub(crate) catching_up: BTreeSet<RoomNo>,
}

pub(crate) struct Relay {
    pub(crate) up: bool,
    /// Counts starts: what belongs to an earlier one is void.
    pub(crate) boot: u64,
    /// How far its clock is off, milliseconds.
    pub(crate) skew: i64,
    pub(crate) policy: Policy,
    /// What survives a crash.
    pub(crate) disk: Store,
    pub(crate) queue: Vec<Queued>,
    pub(crate) due: bool,
    pub(crate) memory: Memory,
    /// For planted bugs: the state with what is not durable yet, and cursors as they were written last.
    pub(crate) ahead: Option<Box<Store>>,
    pub(crate) cursors: BTreeMap<InLane, u64>,
}

impl Memory {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self { schedule: Schedule::new(bounds), ..Self::default() }
    }
}

impl Relay {
    pub(crate) fn new(disk: Store, bounds: Bounds) -> Self {
        Self {
            up: true,
            boot: 1,
            skew: 0,
            policy: Policy::Open,
            disk,
            queue: Vec::new(),
            due: false,
            memory: Memory::new(bounds),
            ahead: None,
            cursors: BTreeMap::new(),
        }
    }

    /// Its own clock.
    pub(crate) fn clock(&self, now: u64) -> u64 {
        now.saturating_add_signed(self.skew)
    }
}
