//! What the writer remembers between transactions, so that a message costs no look-up. All of it is dropped when a
//! transaction fails, because it may then be ahead of what is stored.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use posthouse_spec::room::RoomContext;
use posthouse_spec::{AccountId, Domain, Epoch, Incarnation, LaneSeq, MailboxSeq, Number, RoomId};

use super::types::{Incoming, LaneId};
use crate::lane::Ledger;
use crate::mailbox::{DeviceState, MailboxKey, NumberWindow};
use crate::quota::Backlog;
use crate::rooms::Roster;

/// Most entries of each kind that are remembered; above it the kind starts anew.
const MAX_ENTRIES: usize = 65_536;
/// Most past epochs of a room whose rosters are remembered.
const MAX_PAST_ROSTERS: usize = 8;

/// An active device that lives here.
#[derive(Debug, Clone)]
pub(crate) struct DeviceEntry {
    pub(crate) id: i64,
    pub(crate) incarnation: Option<Incarnation>,
    pub(crate) window: NumberWindow,
    /// Numbers up to here have no hash in the store any more.
    pub(crate) trimmed: Number,
    pub(crate) acked: MailboxSeq,
    pub(crate) next: MailboxSeq,
    /// The last position that may have been given out before the last start, or before the mailbox was moved.
    pub(crate) given: MailboxSeq,
    /// Whether the device has said hello since.
    pub(crate) greeted: bool,
    /// An upper bound of the bytes that wait in all rooms.
    pub(crate) bytes: u64,
    /// What waits in single rooms, where it had to be counted.
    pub(crate) rooms: HashMap<RoomId, Backlog>,
}

impl DeviceEntry {
    /// What the rules of `mailbox` ask.
    pub(crate) fn state(&self) -> DeviceState {
        DeviceState {
            incarnation: self.incarnation,
            accepted: self.window.accepted(),
            acked: self.acked,
            given: DeviceState::may_have_given(self.given, self.greeted, self.next).max(self.acked),
        }
    }

    /// An upper bound of what waits in any one room.
    pub(crate) fn backlog(&self) -> Backlog {
        Backlog { items: self.next.0 - 1 - self.acked.0, bytes: self.bytes }
    }
}

/// An outgoing lane.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LaneEntry {
    pub(crate) id: i64,
    /// What the numbers of its rows are ahead of its positions.
    pub(crate) base: u64,
    pub(crate) ledger: Ledger,
    /// The bytes that wait.
    pub(crate) bytes: u64,
}

impl LaneEntry {
    /// The number of the row at a position.
    pub(crate) fn row(&self, seq: LaneSeq) -> LaneSeq {
        LaneSeq(self.base + seq.0)
    }

    /// What waits.
    pub(crate) fn backlog(&self) -> Backlog {
        Backlog { items: self.ledger.waiting(), bytes: self.bytes }
    }

    /// Every position goes down by so much, and the rows stay where they are.
    pub(crate) fn shift(&mut self, shift: u64) {
        self.base += shift;
    }
}

/// A room at its current epoch.
#[derive(Debug, Clone)]
pub(crate) struct RoomEntry {
    pub(crate) hub: Domain,
    pub(crate) epoch: Epoch,
    pub(crate) context: RoomContext,
    pub(crate) active: bool,
    pub(crate) roster: Arc<Roster>,
    /// Local accounts that have blocked the other side of a direct room.
    pub(crate) muted: HashSet<AccountId>,
    past: HashMap<Epoch, Arc<Roster>>,
}

impl RoomEntry {
    pub(crate) fn new(
        hub: Domain,
        epoch: Epoch,
        context: RoomContext,
        active: bool,
        roster: Roster,
        muted: HashSet<AccountId>,
    ) -> Self {
        let roster = Arc::new(roster);
        Self { hub, epoch, context, active, roster, muted, past: HashMap::new() }
    }

    /// The roster of an epoch, if it is remembered.
    pub(crate) fn roster_of(&self, epoch: Epoch) -> Option<Arc<Roster>> {
        if epoch == self.epoch { Some(self.roster.clone()) } else { self.past.get(&epoch).cloned() }
    }

    /// Remembers the roster of a past epoch.
    pub(crate) fn keep_past(&mut self, epoch: Epoch, roster: Arc<Roster>) {
        if self.past.len() >= MAX_PAST_ROSTERS {
            self.past.clear();
        }
        self.past.insert(epoch, roster);
    }
}

/// Everything that the writer remembers.
#[derive(Debug, Default)]
pub(crate) struct Caches {
    pub(crate) next_item: Option<i64>,
    /// `None`: no such active device.
    pub(crate) devices: HashMap<MailboxKey, Option<DeviceEntry>>,
    pub(crate) lanes: HashMap<LaneId, LaneEntry>,
    pub(crate) rooms: HashMap<RoomId, RoomEntry>,
    pub(crate) cursors: HashMap<Incoming, LaneSeq>,
    /// How many items of an origin wait for a room.
    pub(crate) aside: HashMap<(Domain, RoomId), u64>,
    /// What of an origin waits for all rooms together.
    pub(crate) aside_of: HashMap<Domain, Backlog>,
}

impl Caches {
    /// Forgets the kinds that have grown past their bound. Only between transactions, when nothing is unwritten.
    pub(crate) fn bound(&mut self) {
        fn bound<K, V>(map: &mut HashMap<K, V>) {
            if map.len() > MAX_ENTRIES {
                map.clear();
            }
        }
        bound(&mut self.devices);
        bound(&mut self.lanes);
        bound(&mut self.rooms);
        bound(&mut self.cursors);
        bound(&mut self.aside);
        bound(&mut self.aside_of);
    }
}
