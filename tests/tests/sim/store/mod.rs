//! One relay's durable state, and the transactions on it. What a transaction does is written down here in memory as the
//! relay's own store does it in SQL, over the same pure rules; when it is durable is the [writer](crate::writer)'s matter.

mod inbound;
mod lanes;
mod mailboxes;
mod rooms;
mod submits;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use posthouse_federation::host::LaneState;
use posthouse_relay::quota::Quota;
use posthouse_spec::client::socket::{Hello, Submit};
use posthouse_spec::envelope::{Item, LaneClass};
use posthouse_spec::peer::deliver::RefusedItem;
use posthouse_spec::{Domain, Incarnation, LaneSeq};

pub(crate) use inbound::Aside;
pub(crate) use lanes::{LaneKey, OutLane};
pub(crate) use mailboxes::{Delivery, Mailbox};
pub(crate) use rooms::{Advance, Room, Step};
pub(crate) use submits::Answer;

use crate::cast::{DeviceNo, RelayNo, RoomNo, cast};
use crate::plan::Mutation;
use crate::wire::{Change, MessageNo, Ruling};

/// An incoming lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct InLane {
    pub(crate) origin: RelayNo,
    pub(crate) class: LaneClass,
    pub(crate) life: Incarnation,
}

/// The place of one item on an incoming lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) lane: InLane,
    pub(crate) seq: u64,
}

/// One transaction.
#[derive(Debug, Clone)]
pub(crate) enum Write {
    Found {
        room: RoomNo,
        founder: DeviceNo,
    },
    Submit {
        device: DeviceNo,
        submit: Submit,
    },
    Hello {
        device: DeviceNo,
        hello: Hello,
    },
    DeviceAck {
        device: DeviceNo,
        through: u64,
    },
    Receive {
        lane: InLane,
        first: u64,
        items: Vec<Bytes>,
    },
    /// Moves a cursor over a control item that needs nothing else.
    Pass(Place),
    /// The hub decides.
    Decide {
        from: RelayNo,
        room: RoomNo,
        epoch: u64,
        change: Change,
    },
    /// Anybody else follows.
    Advance {
        ruling: Ruling,
        invited: Vec<DeviceNo>,
        place: Option<Place>,
    },
    Adopt {
        ruling: Ruling,
        hub: RelayNo,
        invited: Vec<DeviceNo>,
        roster: Vec<DeviceNo>,
        place: Place,
    },
    /// A Welcome that comes behind its commit.
    Invite {
        ruling: Ruling,
        invited: Vec<DeviceNo>,
        place: Place,
    },
    /// Part of the planted bug that shows a decision before it is applied.
    TellDecided(Ruling),
    Acked {
        lane: LaneKey,
        life: Incarnation,
        next: u64,
        refused: Vec<RefusedItem>,
    },
    BeginLife {
        lane: LaneKey,
        life: Incarnation,
    },
    Sweep {
        retention_ms: u64,
    },
}

/// What became of it.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    Done,
    Submitted(Answer),
    Ready {
        accepted: u64,
    },
    RolledBack(String),
    Received {
        next: u64,
        refused: Vec<RefusedItem>,
    },
    Gap {
        expected: u64,
    },
    Decided(Box<Ruling>),
    /// Not decided: another commit has ended the epoch, or the sender is not in the room.
    Stale(Option<Box<Ruling>>),
    Step(Step),
}

/// Facts that a transaction has made durable, for the laws.
#[derive(Debug, Clone)]
pub(crate) enum Fact {
    Accepted { device: DeviceNo, number: u64, epoch: u64, message: MessageNo },
    Decided { room: RoomNo, epoch: u64, change: Change },
    Refused { item: String },
    LostForGood { origin: RelayNo, room: RoomNo },
    NewLife,
}

/// What a transaction needs besides the state.
pub(crate) struct Around {
    /// The relay's own clock.
    pub(crate) now: u64,
    /// Random bits, drawn when the transaction was asked for.
    pub(crate) fresh: u64,
    pub(crate) mutation: Option<Mutation>,
    pub(crate) facts: Vec<Fact>,
    /// Lanes and mailboxes that have something new.
    pub(crate) lanes: Vec<LaneKey>,
    pub(crate) devices: Vec<DeviceNo>,
}

impl Around {
    pub(crate) fn new(now: u64, fresh: u64, mutation: Option<Mutation>) -> Self {
        Self { now, fresh, mutation, facts: Vec::new(), lanes: Vec::new(), devices: Vec::new() }
    }

    fn is(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Store {
    pub(crate) own: RelayNo,
    pub(crate) quota: Quota,
    pub(crate) lanes: BTreeMap<LaneKey, OutLane>,
    pub(crate) cursors: BTreeMap<InLane, u64>,
    pub(crate) refusals: BTreeMap<InLane, Vec<RefusedItem>>,
    pub(crate) rooms: BTreeMap<RoomNo, Room>,
    pub(crate) aside: Vec<Aside>,
    pub(crate) mailboxes: BTreeMap<DeviceNo, Mailbox>,
    /// Used tickets.
    welcomed: BTreeSet<(RoomNo, u64, DeviceNo)>,
}

impl Store {
    pub(crate) fn new(own: RelayNo, devices: impl Iterator<Item = DeviceNo>, quota: Quota) -> Self {
        Self {
            own,
            quota,
            lanes: BTreeMap::new(),
            cursors: BTreeMap::new(),
            refusals: BTreeMap::new(),
            rooms: BTreeMap::new(),
            aside: Vec::new(),
            welcomed: BTreeSet::new(),
            mailboxes: devices.map(|device| (device, Mailbox::default())).collect(),
        }
    }

    pub(crate) fn domain(&self) -> &'static Domain {
        &cast().domains[self.own]
    }

    /// Runs one transaction.
    pub(crate) fn run(&mut self, write: &Write, around: &mut Around) -> Outcome {
        match write {
            Write::Found { room, founder } => self.found(*room, *founder, around),
            Write::Submit { device, submit } => Outcome::Submitted(self.submit(*device, submit, around)),
            Write::Hello { device, hello } => self.hello(*device, hello, around),
            Write::DeviceAck { device, through } => {
                // There is room for more in the window.
                around.devices.push(*device);
                self.device_ack(*device, *through)
            }
            Write::Receive { lane, first, items } => self.receive(*lane, *first, items, around),
            Write::Pass(place) => {
                self.pass(Some(*place), around);
                Outcome::Done
            }
            Write::Decide { from, room, epoch, change } => self.decide(*from, *room, *epoch, change, around),
            Write::Advance { ruling, invited, place } => {
                let advance = Advance { ruling, invited, place: *place, hub: false };
                Outcome::Step(self.advance(&advance, around))
            }
            Write::Adopt { ruling, hub, invited, roster, place } => {
                Outcome::Step(self.adopt(ruling, *hub, invited, roster, *place, around))
            }
            Write::Invite { ruling, invited, place } => {
                Outcome::Step(self.invited(ruling, invited, *place, around))
            }
            Write::TellDecided(ruling) => self.tell_early(ruling, around),
            Write::Acked { lane, life, next, refused } => self.acked(lane, *life, *next, refused, around),
            Write::BeginLife { lane, life } => self.begin_life(*lane, *life, around),
            Write::Sweep { retention_ms } => self.sweep(*retention_ms, around),
        }
    }

    /// The position that an incoming lane is expected to go on from.
    pub(crate) fn cursor(&self, lane: &InLane) -> u64 {
        self.cursors.get(lane).copied().unwrap_or(1)
    }

    /// … or before it the first refusal that the origin may not have heard of.
    pub(crate) fn resume_at(&self, lane: &InLane, oldest: u64) -> u64 {
        let refused = self.refusals.get(lane).into_iter().flatten().map(|item| item.seq);
        let first = refused.filter(|seq| seq.0 >= oldest).min();
        posthouse_relay::lane::resume_at(LaneSeq(self.cursor(lane)), first).0
    }

    /// Where an outgoing lane stands.
    pub(crate) fn lane_state(&self, lane: &LaneKey) -> Option<LaneState> {
        self.lanes.get(lane).map(OutLane::state)
    }

    /// Everything that waits anywhere.
    pub(crate) fn waiting(&self) -> (usize, usize, usize) {
        let outbox = self.lanes.values().map(|lane| lane.rows.len()).sum();
        let mailboxes = self.mailboxes.values().map(|mailbox| mailbox.rows.len()).sum();
        (outbox, mailboxes, self.aside.len())
    }

    fn send(&mut self, to: RelayNo, item: &Item, row: lanes::Sent, around: &mut Around) {
        let key = LaneKey { peer: to, class: item.class() };
        let lane = self.lanes.entry(key).or_insert_with(|| OutLane::new(around, key));
        lane.push(item, row);
        around.lanes.push(key);
    }
}
