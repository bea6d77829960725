//! What a schedule knows of one relay and of its lanes.

use std::collections::BTreeMap;

use posthouse_spec::envelope::LaneClass;
use posthouse_spec::{Domain, Millis};

use super::dials::Dial;
use super::places::Idle;
use crate::host::LaneId;
use crate::retry::Backoff;

/// Where a lane on which something waits stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// It waits for a place under this ticket; without one, for a session.
    Ready(Option<u64>),
    /// It has a place since then.
    Active { since: Millis, leaving: bool },
    /// It has caught up, and keeps its stream.
    Idle(Idle),
    /// It waits by itself until then.
    Resting(Millis),
}

#[derive(Debug)]
pub(super) struct Lane {
    pub(super) phase: Phase,
    /// It was woken and has not been looked at since.
    pub(super) woken: bool,
    pub(super) failures: Backoff,
    /// How often it began another life without coming to its end.
    pub(super) lives: Backoff,
}

#[derive(Debug, Default)]
pub(super) struct Peer {
    pub(super) session: bool,
    /// It is to be dialled once even if nothing waits for it.
    pub(super) wanted: bool,
    pub(super) dial: Dial,
    pub(super) backoff: Backoff,
    /// Sessions that ended before anything was acknowledged on them.
    pub(super) flaps: Backoff,
    pub(super) lanes: BTreeMap<LaneClass, Lane>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    Dial(Domain),
    Lane(LaneId),
}

impl Lane {
    pub(super) fn new() -> Self {
        Self {
            phase: Phase::Ready(None),
            woken: true,
            failures: Backoff::default(),
            lives: Backoff::default(),
        }
    }
}
