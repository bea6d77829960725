//! Places for streams that send, and who gets the next one.

use std::collections::{BTreeMap, BTreeSet};

use posthouse_spec::envelope::LaneClass;
use posthouse_spec::{Domain, Millis};

use super::types::Bounds;
use crate::host::LaneId;

/// The classes, the most urgent first, with how many places each gets in a round while all of them want some.
const TURNS: [(LaneClass, u32); 4] =
    [(LaneClass::Control, 8), (LaneClass::Messages, 4), (LaneClass::Slots, 2), (LaneClass::Media, 1)];

/// A stream on which nothing waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Idle {
    /// It is kept, in the order of these tickets.
    Kept(u64),
    /// It was told to end.
    Leaving,
}

/// Who has a place, who waits for one, and whose stream is open without one.
#[derive(Debug)]
pub(super) struct Places {
    /// Who waits, by class, the first ticket first: relays that come back stand behind those that wait already.
    queues: BTreeMap<LaneClass, BTreeMap<u64, Domain>>,
    /// How many places each class has left in this round.
    turns: [u32; TURNS.len()],
    tickets: u64,
    /// Who has a place and was not told to leave, with when it was taken.
    active: BTreeSet<(Millis, LaneId)>,
    /// How many were told to leave and have not yet.
    leaving: usize,
    idle: BTreeMap<u64, LaneId>,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            queues: BTreeMap::new(),
            turns: TURNS.map(|(_, weight)| weight),
            tickets: 0,
            active: BTreeSet::new(),
            leaving: 0,
            idle: BTreeMap::new(),
        }
    }
}

impl Places {
    pub(super) fn active(&self) -> usize {
        self.active.len() + self.leaving
    }

    pub(super) fn idle_streams(&self) -> usize {
        self.idle.len()
    }

    pub(super) fn ready(&self) -> usize {
        self.queues.values().map(BTreeMap::len).sum()
    }

    fn ticket(&mut self) -> u64 {
        self.tickets += 1;
        self.tickets
    }

    /// Puts a lane at the end of its class's queue.
    pub(super) fn queue(&mut self, lane: &LaneId) -> u64 {
        let ticket = self.ticket();
        self.queues.entry(lane.class).or_default().insert(ticket, lane.peer.clone());
        ticket
    }

    /// Takes a lane out of its queue.
    pub(super) fn unqueue(&mut self, class: LaneClass, ticket: u64) {
        if let Some(queue) = self.queues.get_mut(&class) {
            queue.remove(&ticket);
        }
    }

    /// The lane whose turn it is.
    pub(super) fn next(&mut self) -> Option<LaneId> {
        let waits = |queues: &BTreeMap<LaneClass, BTreeMap<u64, Domain>>, class| {
            queues.get(&class).is_some_and(|queue| !queue.is_empty())
        };
        if !TURNS.iter().zip(self.turns).any(|((class, _), left)| left > 0 && waits(&self.queues, *class)) {
            self.turns = TURNS.map(|(_, weight)| weight);
        }
        let turn = (0..TURNS.len()).find(|n| self.turns[*n] > 0 && waits(&self.queues, TURNS[*n].0))?;
        let class = TURNS[turn].0;
        self.turns[turn] -= 1;
        let (_, peer) = self.queues.get_mut(&class)?.pop_first()?;
        Some(LaneId { peer, class })
    }

    /// Gives a lane a place.
    pub(super) fn enter(&mut self, lane: &LaneId, now: Millis) {
        self.active.insert((now, lane.clone()));
    }

    /// A lane gives its place back.
    pub(super) fn leave(&mut self, since: Millis, leaving: bool, lane: &LaneId) {
        if leaving {
            self.leaving -= 1;
        } else {
            self.active.remove(&(since, lane.clone()));
        }
    }

    /// A lane was told to leave.
    pub(super) fn tell(&mut self, since: Millis, lane: &LaneId) {
        if self.active.remove(&(since, lane.clone())) {
            self.leaving += 1;
        }
    }

    /// Whether somebody has to leave for those who wait, and who would be the first.
    fn pressed(&self, bounds: Bounds) -> Option<&(Millis, LaneId)> {
        let full = self.active() >= bounds.active && self.ready() > self.leaving;
        self.active.first().filter(|_| full)
    }

    /// The lane that has held its place for longer than its slice, while others wait.
    pub(super) fn overstays(&self, bounds: Bounds, now: Millis) -> Option<(Millis, LaneId)> {
        self.pressed(bounds).filter(|(since, _)| since.after(bounds.slice_ms) <= now).cloned()
    }

    /// When a lane will have held its place for too long.
    pub(super) fn slice_ends(&self, bounds: Bounds) -> Option<Millis> {
        self.pressed(bounds).map(|(since, _)| since.after(bounds.slice_ms))
    }

    /// A stream without a place.
    pub(super) fn idle(&mut self, lane: &LaneId) -> Idle {
        let ticket = self.ticket();
        self.idle.insert(ticket, lane.clone());
        Idle::Kept(ticket)
    }

    pub(super) fn forget_idle(&mut self, idle: Idle) {
        if let Idle::Kept(ticket) = idle {
            self.idle.remove(&ticket);
        }
    }

    /// The stream that has been idle longest, where there are too many of them.
    pub(super) fn too_idle(&mut self, bound: usize) -> Option<LaneId> {
        if self.idle.len() <= bound {
            return None;
        }
        self.idle.pop_first().map(|(_, lane)| lane)
    }
}
