//! The origin's side: lanes that wait, dial, stream, and wait again.

use posthouse_federation::link::{Lane, Progress, Sender};
use posthouse_federation::retry::{Backoff, MAX_DELAY_MS};
use posthouse_spec::peer::ReceiptFrame;
use posthouse_spec::{LaneSeq, Millis};

use crate::cast::{RelayNo, cast};
use crate::net::{Frame, StreamId};
use crate::relay::{After, Work, Working};
use crate::store::{LaneKey, Write};
use crate::world::{Event, World};

impl World {
    /// Something new may wait on a lane.
    pub(crate) fn wake_lane(&mut self, relay: RelayNo, key: LaneKey) {
        let work = self.relays[relay].memory.work.get_mut(&key);
        match work.map(|work| &mut work.state) {
            Some(Working::Streaming { sender, .. }) => {
                sender.handle_wake();
                self.pump(relay, key);
            }
            Some(Working::Waiting) => {}
            Some(Working::Connecting) => {}
            None => self.begin(relay, key),
        }
    }

    /// Opens a stream if there is a session, else sees to one.
    fn begin(&mut self, relay: RelayNo, key: LaneKey) {
        let now = self.lane_clock(relay);
        let Some(state) = self.relays[relay].disk.lane_state(&key) else { return };
        let memory = &mut self.relays[relay].memory;
        if state.backlog() == 0 {
            memory.work.remove(&key);
            return;
        }
        let new = || Work { backoff: Backoff::default(), state: Working::Connecting, timer: 0 };
        let session = memory.sessions.get(&key.peer).copied();
        let work = memory.work.entry(key).or_insert_with(new);
        let Some(conn) = session else {
            work.state = Working::Connecting;
            return self.reach(relay, key.peer);
        };
        let lane = Lane {
            origin: cast().domains[relay].clone(),
            destination: cast().domains[key.peer].clone(),
            class: key.class,
            incarnation: state.incarnation,
        };
        let sender = Sender::new(lane, state, now);
        let open = sender.open();
        let stream = self.open_stream(conn, relay, key.class);
        if let Some(work) = self.relays[relay].memory.work.get_mut(&key) {
            work.state = Working::Streaming { stream, sender: Box::new(sender), told: state.oldest.0 };
        }
        self.send(stream, relay, Frame::Open(open));
        self.arm(relay, key);
    }

    /// Dials a relay as soon as its backoff allows.
    pub(crate) fn reach(&mut self, relay: RelayNo, peer: RelayNo) {
        let now = self.lane_clock(relay);
        let not_before = self.relays[relay].memory.backoffs.get(&peer).map_or(Millis(0), Backoff::not_before);
        if not_before <= now {
            return self.dial(relay, peer);
        }
        let boot = self.relays[relay].boot;
        self.after(not_before.0 - now.0, Event::Reach { relay, boot, peer });
    }

    pub(crate) fn reach_again(&mut self, relay: RelayNo, peer: RelayNo) {
        let memory = &self.relays[relay].memory;
        let waits =
            |key: &LaneKey, work: &Work| key.peer == peer && matches!(work.state, Working::Connecting);
        if memory.sessions.contains_key(&peer) || !memory.work.iter().any(|(key, work)| waits(key, work)) {
            return;
        }
        self.reach(relay, peer);
    }

    pub(crate) fn dial_failed(&mut self, relay: RelayNo, peer: RelayNo) {
        let (now, random) = (self.lane_clock(relay), self.rng.bits());
        let memory = &mut self.relays[relay].memory;
        memory.backoffs.entry(peer).or_default().handle_failure(now, random);
        self.unasked_failed(relay, peer);
        self.reach_again(relay, peer);
    }

    /// A relay was heard of: its lanes go on over the newest session.
    pub(crate) fn contact(&mut self, relay: RelayNo, peer: RelayNo) {
        let memory = &mut self.relays[relay].memory;
        memory.backoffs.remove(&peer);
        memory.dialling.remove(&peer);
        let disk = &self.relays[relay].disk;
        let keys: Vec<LaneKey> = disk.lanes.keys().filter(|key| key.peer == peer).copied().collect();
        for key in keys {
            if let Some(work) = self.relays[relay].memory.work.get_mut(&key) {
                work.timer += 1;
            }
            self.begin(relay, key);
        }
        self.ask_waiting(relay, peer);
    }

    pub(crate) fn session_gone(&mut self, relay: RelayNo, peer: RelayNo) {
        let keys: Vec<LaneKey> =
            self.relays[relay].memory.work.keys().filter(|key| key.peer == peer).copied().collect();
        for key in keys {
            if let Some(work) = self.relays[relay].memory.work.get_mut(&key)
                && matches!(work.state, Working::Streaming { .. })
            {
                self.begin(relay, key);
            }
        }
    }

    fn pump(&mut self, relay: RelayNo, key: LaneKey) {
        let now = self.lane_clock(relay);
        let mut frames = Vec::new();
        let mut end = None;
        let owner = &mut self.relays[relay];
        let Some(lane) = owner.disk.lanes.get_mut(&key) else { return };
        let Some(Work { state: Working::Streaming { stream, sender, .. }, .. }) =
            owner.memory.work.get_mut(&key)
        else {
            return;
        };
        let life = sender.open().incarnation;
        while let Some(fetch) = sender.poll_fetch() {
            // A small batch, so that there are many envelopes.
            let items = lane.items(life, fetch.from, fetch.max_items.min(self.batch));
            if items.is_empty() && lane.life() != life {
                end = Some(None);
                break;
            }
            if let Some(last) = items.last() {
                lane.ledger.hand_out(last.seq.next());
            }
            match sender.handle_items(items, &cast().keys[relay], now) {
                Ok(Some(envelope)) => frames.push(envelope.as_bytes().clone()),
                Ok(None) => break,
                Err(fault) => {
                    end = Some(Some(fault.to_string()));
                    break;
                }
            }
        }
        let stream = *stream;
        for bytes in frames {
            self.envelopes += 1;
            self.keep_for_replay(relay, key, &bytes);
            self.send(stream, relay, Frame::Envelope(bytes));
        }
        match end {
            Some(None) => self.begin(relay, key),
            Some(Some(why)) => self.lane_failed(relay, key, &why),
            None => self.arm(relay, key),
        }
    }

    /// The timer for the destination's silence.
    fn arm(&mut self, relay: RelayNo, key: LaneKey) {
        let now = self.lane_clock(relay);
        let boot = self.relays[relay].boot;
        let Some(work) = self.relays[relay].memory.work.get_mut(&key) else { return };
        work.timer += 1;
        let Working::Streaming { sender, .. } = &work.state else { return };
        let Some(deadline) = sender.poll_timeout() else { return };
        let (wait, timer) = (deadline.0.saturating_sub(now.0), work.timer);
        self.after(wait, Event::LaneTimer { relay, boot, key, timer });
    }

    pub(crate) fn lane_timer(&mut self, relay: RelayNo, key: LaneKey, timer: u64) {
        let now = self.lane_clock(relay);
        let Some(work) = self.relays[relay].memory.work.get(&key) else { return };
        if work.timer != timer {
            return;
        }
        match &work.state {
            Working::Streaming { sender, .. } if sender.handle_timeout(now) => {
                self.lane_failed(relay, key, "the destination has gone silent");
            }
            Working::Streaming { .. } => self.arm(relay, key),
            Working::Waiting | Working::Connecting => self.begin(relay, key),
        }
    }

    fn lane_failed(&mut self, relay: RelayNo, key: LaneKey, why: &str) {
        let (now, random) = (self.lane_clock(relay), self.rng.bits());
        let Some(work) = self.relays[relay].memory.work.get_mut(&key) else { return };
        let until = work.backoff.handle_failure(now, random);
        self.trace.line(self.now, || format!("r{relay} {} lane to r{}: {why}", key.class, key.peer));
        self.wait(relay, key, until.0 - now.0);
    }

    fn wait(&mut self, relay: RelayNo, key: LaneKey, wait: u64) {
        let boot = self.relays[relay].boot;
        let Some(work) = self.relays[relay].memory.work.get_mut(&key) else { return };
        work.state = Working::Waiting;
        work.timer += 1;
        let timer = work.timer;
        self.after(wait, Event::LaneTimer { relay, boot, key, timer });
    }

    pub(crate) fn receipt(
        &mut self,
        relay: RelayNo,
        peer: RelayNo,
        class: posthouse_spec::envelope::LaneClass,
        id: StreamId,
        receipt: ReceiptFrame,
    ) {
        let key = LaneKey { peer, class };
        let now = self.lane_clock(relay);
        let Some(work) = self.relays[relay].memory.work.get_mut(&key) else { return };
        let Working::Streaming { stream, sender, told } = &mut work.state else { return };
        if *stream != id {
            return;
        }
        let life = sender.open().incarnation;
        match sender.handle_receipt(receipt, now) {
            Ok(Progress::Acknowledged { next, refused }) => {
                if next > LaneSeq(*told) || !refused.is_empty() {
                    *told = next.0;
                    work.backoff.handle_contact();
                    let write = Write::Acked { lane: key, life, next: next.0, refused };
                    self.write(relay, write, After::Nothing);
                }
                self.pump(relay, key);
            }
            Ok(Progress::Later { retry_after_ms }) => self.wait(relay, key, retry_after_ms.min(MAX_DELAY_MS)),
            Ok(Progress::Refused(refusal)) => {
                let why = format!("{}: {}", refusal.rule, refusal.detail.as_str());
                self.broke("no honest relay breaks a rule", format!("r{relay} to r{peer}: {why}"));
            }
            Err(fault) => self.fault(relay, key, &fault),
        }
    }

    fn fault(&mut self, relay: RelayNo, key: LaneKey, fault: &posthouse_federation::link::LinkFault) {
        self.broke("links stay sound", format!("r{relay} {} lane to r{}: {fault}", key.class, key.peer));
    }
}
