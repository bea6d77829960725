//! The state machine itself.

use std::collections::{BTreeSet, HashMap};

use posthouse_spec::{Domain, Millis};

use super::dials::{Dial, Dials};
use super::peer::{Lane, Peer, Phase, Timer};
use super::places::{Idle, Places};
use super::types::{Bounds, Ended, Load, Step, Wake};
use crate::host::LaneId;

/// The scheduler.
#[derive(Debug, Default)]
pub struct Schedule {
    pub(super) bounds: Bounds,
    pub(super) peers: HashMap<Domain, Peer>,
    pub(super) places: Places,
    pub(super) dials: Dials,
    pub(super) timers: BTreeSet<(Millis, Timer)>,
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

    pub(super) fn lane_mut(&mut self, id: &LaneId) -> Option<&mut Lane> {
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
    pub(super) fn prune(&mut self, domain: &Domain) {
        let idle = |peer: &Peer| peer.lanes.is_empty() && !peer.wanted && peer.dial == Dial::No;
        if self.peers.get(domain).is_some_and(idle) {
            self.peers.remove(domain);
        }
    }
}
