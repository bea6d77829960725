//! Calls: who is dialled, and who is dialled again and when.

use posthouse_spec::{Domain, Millis};

use super::dials::Dial;
use super::machine::Schedule;
use super::peer::{Phase, Timer};
use super::types::{CROWDED_MS, Dialled};

impl Schedule {
    /// A dial has ended.
    pub fn handle_dialled(&mut self, domain: &Domain, dialled: Dialled, now: Millis, random: u64) {
        let Some(peer) = self.peers.get_mut(domain) else { return };
        if let Dial::Running { again } = peer.dial {
            self.dials.ended(again);
            peer.dial = Dial::No;
        }
        if dialled == Dialled::Crowded && !peer.session {
            let until = now.after(CROWDED_MS);
            peer.dial = Dial::Waiting(until);
            self.timers.insert((until, Timer::Dial(domain.clone())));
            return;
        }
        peer.wanted = false;
        if dialled == Dialled::Reached {
            self.handle_session(domain, true);
            return;
        }
        // Somebody may have called meanwhile.
        if !peer.session && !peer.lanes.is_empty() {
            let own = peer.backoff.handle_failure(now, random);
            let until = if let Dialled::FailedUntil(until) = dialled { until } else { own };
            peer.dial = Dial::Waiting(until);
            self.timers.insert((until, Timer::Dial(domain.clone())));
        }
        self.prune(domain);
    }

    /// Asks for a dial, where there is no session and none is on its way.
    pub(super) fn want_session(&mut self, domain: &Domain) {
        let Some(peer) = self.peers.get_mut(domain) else { return };
        let wanted = peer.wanted || peer.lanes.values().any(|lane| matches!(lane.phase, Phase::Ready(_)));
        if wanted && !peer.session && peer.dial == Dial::No {
            peer.dial = self.dials.queue(domain, peer.backoff.failures() > 0);
        }
    }

    /// A session ended under a lane. The first that ends before it was of use is replaced at once, further ones after a
    /// growing pause, because a relay that always hangs up would be dialled without end.
    pub(super) fn lost_session(&mut self, domain: &Domain, progress: bool, now: Millis, random: u64) {
        let Some(peer) = self.peers.get_mut(domain) else { return };
        if !peer.session {
            return;
        }
        peer.session = false;
        if progress {
            peer.flaps.handle_contact();
        }
        let first = progress || peer.flaps.failures() == 0;
        let until = if progress { now } else { peer.flaps.handle_failure(now, random) };
        self.unqueue(domain);
        let Some(peer) = self.peers.get_mut(domain) else { return };
        if !first && !peer.lanes.is_empty() && peer.dial == Dial::No {
            peer.dial = Dial::Waiting(until);
            self.timers.insert((until, Timer::Dial(domain.clone())));
        }
        self.want_session(domain);
    }

    /// The wait for the next dial is over.
    pub(super) fn stop_waiting(&mut self, domain: &Domain) {
        let Some(peer) = self.peers.get_mut(domain) else { return };
        match peer.dial {
            Dial::Waiting(until) => {
                self.timers.remove(&(until, Timer::Dial(domain.clone())));
                peer.dial = Dial::No;
            }
            Dial::Queued { ticket, again } if peer.session => {
                self.dials.unqueue(ticket, again);
                peer.dial = Dial::No;
            }
            Dial::No | Dial::Queued { .. } | Dial::Running { .. } => {}
        }
        self.want_session(domain);
        self.prune(domain);
    }

    /// The relay that is dialled next, if there is room.
    pub(super) fn next_dial(&mut self) -> Option<Domain> {
        let (domain, again) = self.dials.next(self.bounds)?;
        if let Some(peer) = self.peers.get_mut(&domain) {
            peer.dial = Dial::Running { again };
        }
        Some(domain)
    }
}
