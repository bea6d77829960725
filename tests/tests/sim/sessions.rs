//! Sessions: dials that fail or reach, hellos that compare where lanes stand, and streams that end with their session.

use posthouse_federation::link::compare;
use posthouse_federation::schedule::{Dialled, Ended};
use posthouse_spec::LaneSeq;

use crate::cast::{RelayNo, cast};
use crate::net::ConnId;
use crate::relay::Work;
use crate::store::LaneKey;
use crate::world::World;

impl World {
    pub(crate) fn connect_to(&mut self, relay: RelayNo, peer: RelayNo) {
        if self.relays[relay].memory.sessions.contains_key(&peer) {
            let domain = &cast().domains[peer];
            self.tell(relay, |memory, now, random| {
                memory.schedule.handle_dialled(domain, Dialled::Reached, now, random);
            });
        } else {
            self.relays[relay].memory.connecting.insert(peer);
            self.dial(relay, peer);
        }
    }

    pub(crate) fn dial_failed(&mut self, relay: RelayNo, peer: RelayNo) {
        let (wall, random) = (self.lane_clock(relay), self.rng.bits());
        let memory = &mut self.relays[relay].memory;
        // What the relay's peers remember goes by the wall clock.
        let backoff = memory.backoffs.entry(peer).or_default();
        if !backoff.is_waiting(wall) {
            backoff.handle_failure(wall, random);
        }
        let wait = backoff.not_before().0.saturating_sub(wall.0);
        if memory.connecting.remove(&peer) {
            self.tell(relay, |memory, now, random| {
                let dialled = if wait > 0 { Dialled::FailedUntil(now.after(wait)) } else { Dialled::Failed };
                memory.schedule.handle_dialled(&cast().domains[peer], dialled, now, random);
            });
        }
        self.unasked_failed(relay, peer);
    }

    /// There is a new session with a relay: streams over older ones end, and both compare where their lanes stand.
    pub(crate) fn contact(&mut self, relay: RelayNo, peer: RelayNo, conn: ConnId) {
        let memory = &mut self.relays[relay].memory;
        memory.sessions.insert(peer, conn);
        memory.backoffs.remove(&peer);
        memory.dialling.remove(&peer);
        let dialled = memory.connecting.remove(&peer);
        let domain = &cast().domains[peer];
        self.tell(relay, |memory, now, random| {
            if dialled {
                memory.schedule.handle_dialled(domain, Dialled::Reached, now, random);
            }
            memory.schedule.handle_session(domain, true);
        });
        self.end_streams(relay, peer, |work| work.conn != conn);
        self.ask_waiting(relay, peer);
        self.suspect(relay, peer);
    }

    /// Compares what the other relay's hello says of the lanes from here.
    fn suspect(&mut self, relay: RelayNo, peer: RelayNo) {
        let keys: Vec<LaneKey> =
            self.relays[relay].disk.lanes.keys().filter(|key| key.peer == peer).copied().collect();
        for key in keys {
            let Some(state) = self.relays[relay].disk.lane_state(&key) else { continue };
            let lane = crate::store::InLane { origin: relay, class: key.class, life: state.incarnation };
            if compare(&state, LaneSeq(self.relays[peer].disk.cursor(&lane))).is_err() {
                self.relays[relay].memory.suspects.insert(key);
                self.wake_lane(relay, key);
            }
        }
    }

    pub(crate) fn session_gone(&mut self, relay: RelayNo, peer: RelayNo) {
        self.end_streams(relay, peer, |_| true);
    }

    fn end_streams(&mut self, relay: RelayNo, peer: RelayNo, which: impl Fn(&Work) -> bool) {
        let memory = &self.relays[relay].memory;
        let over = memory
            .work
            .iter()
            .filter(|(key, work)| key.peer == peer && work.sender.is_some() && !work.busy && which(work));
        let over: Vec<(LaneKey, bool)> = over.map(|(key, work)| (*key, work.progress)).collect();
        for (key, progress) in over {
            let there = self.relays[relay].memory.sessions.contains_key(&peer);
            let end = if there { Ended::Yielded } else { Ended::NoSession { progress } };
            self.ended(relay, key, end);
        }
    }
}
