//! Which lane is worked on when: one scheduler for all destinations, as a state machine without I/O.
//!
//! A lane on which something waits is *ready* as soon as there is a session with its relay; without one its relay is
//! dialled, once for all its lanes, and after a failure again when the backoff ends. So a dead relay costs an entry, one
//! timer and one dial a time, whatever waits for it, and never a place among the streams.
//!
//! Streams that send hold a *place*, and there is a fixed number of them. Free places go round: the classes take turns by
//! weight, and within a class the relays one after another. When all places are taken and others wait, the lane that
//! has had its place longest gives it up as soon as its slice of time is over. A lane that has caught up keeps its
//! stream, but not its place, and takes one again when it is woken.
//!
//! Everything is told with `handle_…`, and [`Schedule::poll`] says what to do next, until it says nothing more. Time and
//! random bits are arguments. Nothing that was told is forgotten: a lane that was woken is looked at after that, or
//! still known to wait.

mod dials;
mod lanes;
mod places;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use posthouse_spec::envelope::LaneClass;
use posthouse_spec::{Domain, Millis};

use crate::host::LaneId;
use crate::retry::Backoff;

use dials::{Dial, Dials};
use places::{Idle, Places};

/// Streams that send at once.
pub const MAX_ACTIVE: usize = 256;
/// Streams that are kept open though nothing waits.
pub const MAX_IDLE: usize = 1024;
/// Relays that are dialled at once.
pub const MAX_DIALS: usize = 256;
/// Of these, such that could not be reached the last time: they leave room for those that probably can.
pub const MAX_REDIALS: usize = 64;
/// Relays for which anything waits or that are dialled, and of which the schedule knows at once.
pub const MAX_PEERS: usize = 65_536;
/// How long a lane may hold a place while others wait for one, milliseconds.
pub const SLICE_MS: u64 = 1_000;
/// The shortest pause that a busy destination can ask for, milliseconds.
const MIN_PAUSE_MS: u64 = 100;

/// The bounds of a schedule.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Streams that send.
    pub active: usize,
    /// Streams that are kept open though nothing waits.
    pub idle: usize,
    /// Dials at once.
    pub dials: usize,
    /// Of these, to relays that could not be reached the last time.
    pub redials: usize,
    /// Relays.
    pub peers: usize,
    /// How long a lane may hold a place while others wait for one, milliseconds.
    pub slice_ms: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            active: MAX_ACTIVE,
            idle: MAX_IDLE,
            dials: MAX_DIALS,
            redials: MAX_REDIALS,
            peers: MAX_PEERS,
            slice_ms: SLICE_MS,
        }
    }
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The lane has a place: its stream goes on, or is opened if there is none.
    Start(LaneId),
    /// The lane's stream is to end soon.
    Yield(LaneId),
    /// Dial the relay, or find that there is a session; then [`Schedule::handle_dialled`].
    Connect(Domain),
}

/// What a wake-up asks of the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// The lane's stream is at work and must look again.
    Nudge,
    /// The lane will have its turn.
    Noted,
    /// There are too many relays: wake it again later.
    Crowded,
}

/// Why a lane's stream ended, or never began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Nothing more waits.
    Done,
    /// More waits: the place was given up, or there is a newer session.
    Yielded,
    /// There is no session.
    NoSession {
        /// Whether anything was acknowledged meanwhile.
        progress: bool,
    },
    /// The lane has begun another life.
    NewLife,
    /// The destination asks for a pause, milliseconds.
    Later(u64),
    /// Something else went wrong.
    Failed {
        /// Whether anything was acknowledged meanwhile.
        progress: bool,
    },
}

/// How a dial ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialled {
    /// There is a session.
    Reached,
    /// There is none, and somebody else has said already when to try again.
    FailedUntil(Millis),
    /// There is none.
    Failed,
}

/// Where a lane on which something waits stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
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
struct Lane {
    phase: Phase,
    /// It was woken and has not been looked at since.
    woken: bool,
    failures: Backoff,
    /// How often it began another life without coming to its end.
    lives: Backoff,
}

#[derive(Debug, Default)]
struct Peer {
    session: bool,
    /// It is to be dialled once even if nothing waits for it.
    wanted: bool,
    dial: Dial,
    backoff: Backoff,
    /// Sessions that ended before anything was acknowledged on them.
    flaps: Backoff,
    lanes: BTreeMap<LaneClass, Lane>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Dial(Domain),
    Lane(LaneId),
}

/// The scheduler.
#[derive(Debug, Default)]
pub struct Schedule {
    bounds: Bounds,
    peers: HashMap<Domain, Peer>,
    places: Places,
    dials: Dials,
    timers: BTreeSet<(Millis, Timer)>,
}

/// How much a schedule has to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Streams that send.
    pub active: usize,
    /// Streams that are open though nothing waits.
    pub idle: usize,
    /// Lanes that have a session and wait for a place.
    pub ready: usize,
    /// Relays that are dialled now.
    pub dialling: usize,
    /// Relays that the schedule knows.
    pub peers: usize,
}

impl Schedule {
    /// A schedule with other bounds.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, ..Self::default() }
    }

    /// Something new waits on a lane.
    pub fn handle_wake(&mut self, lane: &LaneId) -> Wake {
        if !self.peers.contains_key(&lane.peer) && self.peers.len() >= self.bounds.peers {
            return Wake::Crowded;
        }
        let peer = self.peers.entry(lane.peer.clone()).or_default();
        let entry = peer.lanes.entry(lane.class).or_insert_with(Lane::new);
        entry.woken = true;
        match entry.phase {
            Phase::Active { .. } => return Wake::Nudge,
            Phase::Idle(idle) => {
                self.places.forget_idle(idle);
                entry.phase = Phase::Ready(None);
            }
            Phase::Ready(_) | Phase::Resting(_) => {}
        }
        self.line_up(lane);
        Wake::Noted
    }

    /// The lane is about to be looked at: what it was woken for until now will be found. `false`: it has no place, and
    /// must wait for one.
    pub fn handle_look(&mut self, lane: &LaneId) -> bool {
        let Some(lane) = self.lane_mut(lane) else { return false };
        let active = matches!(lane.phase, Phase::Active { .. });
        if active {
            lane.woken = false;
        }
        active
    }

    /// The lane found nothing more to send, and all that was sent is acknowledged. `false`: it was woken since it looked,
    /// and must look again.
    pub fn handle_caught_up(&mut self, id: &LaneId) -> bool {
        let Some(peer) = self.peers.get_mut(&id.peer) else { return true };
        peer.flaps.handle_contact();
        let Some(lane) = peer.lanes.get_mut(&id.class) else { return true };
        let Phase::Active { since, leaving } = lane.phase else { return true };
        if lane.woken {
            return false;
        }
        lane.failures.handle_contact();
        lane.lives.handle_contact();
        self.places.leave(since, leaving, id);
        lane.phase = Phase::Idle(self.places.idle(id));
        true
    }

    /// A lane's stream has ended.
    pub fn handle_ended(&mut self, id: &LaneId, ended: Ended, now: Millis, random: u64) {
        let Some(lane) = self.lane_mut(id) else { return };
        match lane.phase {
            Phase::Active { since, leaving } => {
                self.places.leave(since, leaving, id);
                self.after_active(id, ended, now, random);
            }
            Phase::Idle(idle) => {
                self.places.forget_idle(idle);
                self.drop_lane(id);
            }
            // It was woken while it was idle, and waits for its place; it begins with a new stream.
            Phase::Ready(_) | Phase::Resting(_) => {}
        }
        if let Ended::NoSession { progress } = ended {
            self.lost_session(&id.peer, progress, now, random);
        }
    }

    /// There is a session with a relay, or none any more. A session is a sign of life.
    pub fn handle_session(&mut self, domain: &Domain, there: bool) {
        let Some(peer) = self.peers.get_mut(domain) else { return };
        peer.session = there;
        if there {
            peer.wanted = false;
            self.handle_contact(domain);
        } else {
            self.unqueue(domain);
            self.want_session(domain);
        }
    }

    /// A relay was heard of: whatever waits for it is worth a try at once.
    pub fn handle_contact(&mut self, domain: &Domain) {
        let Some(peer) = self.peers.get_mut(domain) else { return };
        peer.backoff.handle_contact();
        let mut lanes = Vec::new();
        for (class, lane) in &mut peer.lanes {
            let id = LaneId { peer: domain.clone(), class: *class };
            if let Phase::Resting(until) = lane.phase {
                self.timers.remove(&(until, Timer::Lane(id.clone())));
                lane.phase = Phase::Ready(None);
                lane.failures.handle_contact();
            }
            lanes.push(id);
        }
        self.stop_waiting(domain);
        for lane in &lanes {
            self.line_up(lane);
        }
        self.prune(domain);
    }

    /// A relay is to be called once, even if nothing waits for it.
    pub fn handle_want(&mut self, domain: &Domain) {
        if !self.peers.contains_key(domain) && self.peers.len() >= self.bounds.peers {
            return;
        }
        self.peers.entry(domain.clone()).or_default().wanted = true;
        self.want_session(domain);
        self.prune(domain);
    }

    /// What to do now; to be asked until it says nothing more.
    pub fn poll(&mut self, now: Millis) -> Option<Step> {
        self.fire(now);
        if let Some(lane) = self.next_start() {
            self.activate(&lane, now);
            return Some(Step::Start(lane));
        }
        if let Some(domain) = self.next_dial() {
            return Some(Step::Connect(domain));
        }
        if let Some(lane) = self.places.too_idle(self.bounds.idle) {
            if let Some(entry) = self.lane_mut(&lane) {
                entry.phase = Phase::Idle(Idle::Leaving);
            }
            return Some(Step::Yield(lane));
        }
        let (since, lane) = self.places.overstays(self.bounds, now)?;
        self.places.tell(since, &lane);
        if let Some(entry) = self.lane_mut(&lane) {
            entry.phase = Phase::Active { since, leaving: true };
        }
        Some(Step::Yield(lane))
    }

    /// When [`Schedule::poll`] will have something to do though nothing happens.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Millis> {
        let timer = self.timers.first().map(|(at, _)| *at);
        let slice = self.places.slice_ends(self.bounds);
        timer.into_iter().chain(slice).min()
    }

    /// How much there is to do.
    #[must_use]
    pub fn load(&self) -> Load {
        Load {
            active: self.places.active(),
            idle: self.places.idle_streams(),
            ready: self.places.ready(),
            dialling: self.dials.running(),
            peers: self.peers.len(),
        }
    }

    /// The relays for which anything waits and with which there is no session.
    pub fn waiting_peers(&self) -> impl Iterator<Item = &Domain> {
        self.peers
            .iter()
            .filter(|(_, peer)| !peer.session && !peer.lanes.is_empty())
            .map(|(domain, _)| domain)
    }

    fn lane_mut(&mut self, id: &LaneId) -> Option<&mut Lane> {
        self.peers.get_mut(&id.peer)?.lanes.get_mut(&id.class)
    }

    /// Lets time pass: what waited until now goes on.
    fn fire(&mut self, now: Millis) {
        while let Some((at, timer)) = self.timers.first().cloned().filter(|(at, _)| *at <= now) {
            match &timer {
                Timer::Dial(domain) => self.stop_waiting(domain),
                Timer::Lane(id) => {
                    self.timers.remove(&(at, timer.clone()));
                    if let Some(lane) = self.lane_mut(id) {
                        lane.phase = Phase::Ready(None);
                    }
                    self.line_up(id);
                }
            }
        }
    }

    /// Forgets a relay for which there is nothing to do.
    fn prune(&mut self, domain: &Domain) {
        let idle = |peer: &Peer| peer.lanes.is_empty() && !peer.wanted && peer.dial == Dial::No;
        if self.peers.get(domain).is_some_and(idle) {
            self.peers.remove(domain);
        }
    }
}
