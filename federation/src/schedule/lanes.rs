//! A lane on its way from one phase to the next.

use posthouse_spec::{Domain, Millis};

use super::machine::Schedule;
use super::peer::{Phase, Timer};
use super::types::Ended;
use crate::host::LaneId;
use crate::retry::MAX_DELAY_MS;

/// The shortest pause that a busy destination can ask for, milliseconds.
const MIN_PAUSE_MS: u64 = 100;

impl Schedule {
    /// Lets a ready lane wait for what it lacks: a place, or a session.
    pub(super) fn line_up(&mut self, id: &LaneId) {
        let Some(peer) = self.peers.get_mut(&id.peer) else { return };
        let session = peer.session;
        let Some(lane) = peer.lanes.get_mut(&id.class) else { return };
        if lane.phase != Phase::Ready(None) {
            return;
        }
        if session {
            lane.phase = Phase::Ready(Some(self.places.queue(id)));
        } else {
            self.want_session(&id.peer);
        }
    }

    /// Takes all lanes of a relay out of the queues for places.
    pub(super) fn unqueue(&mut self, domain: &Domain) {
        let Some(peer) = self.peers.get_mut(domain) else { return };
        for (class, lane) in &mut peer.lanes {
            if let Phase::Ready(Some(ticket)) = lane.phase {
                self.places.unqueue(*class, ticket);
                lane.phase = Phase::Ready(None);
            }
        }
    }

    /// The lane that gets a free place, if there is one.
    pub(super) fn next_start(&mut self) -> Option<LaneId> {
        if self.places.active() >= self.bounds.active { None } else { self.places.next() }
    }

    pub(super) fn activate(&mut self, id: &LaneId, now: Millis) {
        let Some(lane) = self.lane_mut(id) else { return };
        lane.phase = Phase::Active { since: now, leaving: false };
        // Until it looks, nothing that it was woken for has been seen.
        lane.woken = true;
        self.places.enter(id, now);
    }

    /// Where a lane goes that has given its place back.
    pub(super) fn after_active(&mut self, id: &LaneId, ended: Ended, now: Millis, random: u64) {
        let Some(lane) = self.lane_mut(id) else { return };
        let rests = match ended {
            Ended::Done if !lane.woken => {
                self.drop_lane(id);
                return;
            }
            Ended::Done | Ended::Yielded | Ended::NoSession { .. } => None,
            Ended::NewLife => {
                let first = lane.lives.failures() == 0;
                let until = lane.lives.handle_failure(now, random);
                (!first).then_some(until)
            }
            Ended::Later(ms) => Some(now.after(ms.clamp(MIN_PAUSE_MS, MAX_DELAY_MS))),
            Ended::Failed { progress } => {
                if progress {
                    lane.failures.handle_contact();
                }
                Some(lane.failures.handle_failure(now, random))
            }
        };
        match rests {
            Some(until) => {
                lane.phase = Phase::Resting(until);
                self.timers.insert((until, Timer::Lane(id.clone())));
            }
            None => {
                lane.phase = Phase::Ready(None);
                // A lane whose session has gone waits for another one, and asks for it when all of them know.
                if !matches!(ended, Ended::NoSession { .. }) {
                    self.line_up(id);
                }
            }
        }
    }

    pub(super) fn drop_lane(&mut self, id: &LaneId) {
        if let Some(peer) = self.peers.get_mut(&id.peer) {
            peer.lanes.remove(&id.class);
        }
        self.prune(&id.peer);
    }
}
