//! The origin's side: what the federation's lanes and workers do around the schedule and the link's sender.

use std::collections::VecDeque;

use posthouse_federation::host::LaneId;
use posthouse_federation::link::{Lane, LinkFault, Progress, Sender};
use posthouse_federation::schedule::{Ended, Step, Wake};
use posthouse_spec::envelope::LaneClass;
use posthouse_spec::peer::ReceiptFrame;
use posthouse_spec::{LaneSeq, Millis};

use crate::cast::{RelayNo, cast, relay_no};
use crate::net::{Frame, StreamId};
use crate::relay::{After, Memory, Work};
use crate::store::{LaneKey, Write};
use crate::world::{Event, World};

/// A lane without work keeps its stream for so long, milliseconds.
const IDLE_MS: u64 = 5 * 60 * 1000;
/// How long a stream that is to end waits for the acknowledgement of what is on its way, milliseconds.
const DRAIN_MS: u64 = 1_000;

fn id(key: LaneKey) -> LaneId {
    LaneId { peer: cast().domains[key.peer].clone(), class: key.class }
}

fn key(id: &LaneId) -> LaneKey {
    LaneKey { peer: relay_no(&id.peer), class: id.class }
}

/// Why a stream ends.
enum End {
    Ended(Ended),
    Fault(LinkFault),
}

impl World {
    /// Tells a relay's schedule something, and does what it says then.
    pub(crate) fn tell<T>(&mut self, relay: RelayNo, tell: impl FnOnce(&mut Memory, Millis, u64) -> T) -> T {
        let (now, random) = (Millis(self.now), self.rng.bits());
        let told = tell(&mut self.relays[relay].memory, now, random);
        while let Some(step) = self.relays[relay].memory.schedule.poll(now) {
            match step {
                Step::Start(lane) => self.start_lane(relay, key(&lane)),
                Step::Yield(lane) => {
                    if let Some(work) = self.relays[relay].memory.work.get_mut(&key(&lane)) {
                        work.leave_by.get_or_insert(self.now + DRAIN_MS);
                    }
                    self.go_on_sending(relay, key(&lane));
                }
                Step::Connect(domain) => self.connect_to(relay, relay_no(&domain)),
            }
        }
        let boot = self.relays[relay].boot;
        let memory = &mut self.relays[relay].memory;
        let timeout = memory.schedule.poll_timeout().map(|at| at.0);
        if timeout != memory.timeout {
            memory.timeout = timeout;
            if let Some(at) = timeout {
                self.at(at.max(self.now + 1), Event::Scheduled { relay, boot, at });
            }
        }
        told
    }

    pub(crate) fn scheduled(&mut self, relay: RelayNo, at: u64) {
        if self.relays[relay].memory.timeout == Some(at) {
            self.relays[relay].memory.timeout = None;
            self.tell(relay, |_, _, _| ());
        }
    }

    /// Something new waits on a lane.
    pub(crate) fn wake_lane(&mut self, relay: RelayNo, lane: LaneKey) {
        if self.tell(relay, |memory, _, _| memory.schedule.handle_wake(&id(lane))) == Wake::Nudge {
            self.nudge(relay, lane);
        }
    }

    /// A relay is to be called once.
    pub(crate) fn greet_one(&mut self, relay: RelayNo, peer: RelayNo) {
        self.tell(relay, |memory, _, _| memory.schedule.handle_want(&cast().domains[peer]));
    }

    fn nudge(&mut self, relay: RelayNo, lane: LaneKey) {
        let now = Millis(self.now);
        let memory = &mut self.relays[relay].memory;
        let Some(work) = memory.work.get_mut(&lane).filter(|work| work.leave_by.is_none()) else { return };
        if memory.schedule.handle_look(&id(lane)) {
            work.idle = false;
            if let Some(sender) = &mut work.sender {
                sender.handle_wake(now);
            }
            self.go_on_sending(relay, lane);
        }
    }

    /// A lane has a place.
    fn start_lane(&mut self, relay: RelayNo, lane: LaneKey) {
        if self.relays[relay].memory.work.contains_key(&lane) {
            return self.nudge(relay, lane);
        }
        let now = Millis(self.now);
        let state = self.relays[relay].disk.lane_state(&lane);
        let memory = &mut self.relays[relay].memory;
        memory.schedule.handle_look(&id(lane));
        let suspected = memory.suspects.remove(&lane);
        let Some(state) = state.filter(|state| state.backlog() > 0 || suspected) else {
            return self.ended(relay, lane, Ended::Done);
        };
        let Some(conn) = memory.sessions.get(&lane.peer).copied() else {
            return self.ended(relay, lane, Ended::NoSession { progress: false });
        };
        let link = Lane {
            origin: cast().domains[relay].clone(),
            destination: cast().domains[lane.peer].clone(),
            class: lane.class,
            incarnation: state.incarnation,
        };
        let sender = Sender::new(link, state, now);
        let open = sender.open();
        let stream = self.open_stream(conn, relay, lane.class);
        let work = Work {
            conn,
            stream,
            life: state.incarnation,
            sender: Some(Box::new(sender)),
            told: state.oldest.0,
            busy: false,
            receipts: VecDeque::new(),
            progress: false,
            idle: false,
            leave_by: None,
            timer: 0,
        };
        self.relays[relay].memory.work.insert(lane, work);
        self.send(stream, relay, Frame::Open(open));
        self.arm(relay, lane);
    }

    /// A lane's stream has ended, or never began.
    pub(crate) fn ended(&mut self, relay: RelayNo, lane: LaneKey, ended: Ended) {
        self.trace.line(self.now, || format!("r{relay}'s {} lane to r{}: {ended:?}", lane.class, lane.peer));
        self.tell(relay, |memory, now, random| {
            memory.work.remove(&lane);
            memory.schedule.handle_ended(&id(lane), ended, now, random);
            if memory.suspects.contains(&lane) {
                memory.schedule.handle_wake(&id(lane));
            }
        });
    }

    /// Sends what can be sent, or comes to the end of the turn.
    fn go_on_sending(&mut self, relay: RelayNo, lane: LaneKey) {
        loop {
            let now = self.now;
            let memory = &mut self.relays[relay].memory;
            let Some(work) = memory.work.get_mut(&lane) else { return };
            let Some(sender) = work.sender.as_ref().filter(|_| !work.busy) else { return };
            if let Some(leave_by) = work.leave_by {
                if sender.in_flight() > 0 && now < leave_by {
                    break;
                }
                let end = if sender.is_idle() { Ended::Done } else { Ended::Yielded };
                return self.ended(relay, lane, end);
            }
            if work.idle {
                break;
            }
            match self.send_what_fits(relay, lane) {
                Ok(()) => {}
                Err(End::Ended(end)) => return self.ended(relay, lane, end),
                Err(End::Fault(fault)) => return self.fault(relay, lane, &fault),
            }
            let memory = &mut self.relays[relay].memory;
            let Some(work) = memory.work.get_mut(&lane) else { return };
            let Some(sender) = &mut work.sender else { return };
            if !sender.is_idle() {
                break;
            }
            work.idle = memory.schedule.handle_caught_up(&id(lane));
            if !work.idle && memory.schedule.handle_look(&id(lane)) {
                sender.handle_wake(Millis(now));
            } else if !work.idle {
                break;
            }
        }
        self.arm(relay, lane);
        // A place may have become free.
        self.tell(relay, |_, _, _| ());
    }

    fn send_what_fits(&mut self, relay: RelayNo, key: LaneKey) -> Result<(), End> {
        let (wall, now) = (self.lane_clock(relay), Millis(self.now));
        let owner = &mut self.relays[relay];
        let (Some(lane), Some(work)) = (owner.disk.lanes.get_mut(&key), owner.memory.work.get_mut(&key))
        else {
            return Ok(());
        };
        let Some(sender) = &mut work.sender else { return Ok(()) };
        let (stream, mut woken, mut frames) = (work.stream, true, Vec::new());
        let mut end = Ok(());
        while let Some(fetch) = sender.poll_fetch() {
            // Small batches, so that there are many envelopes.
            let items = lane.items(work.life, fetch.from, fetch.max_items.min(self.batch));
            if woken && items.is_empty() && lane.life() != work.life {
                end = Err(End::Ended(Ended::NewLife));
                break;
            }
            woken = false;
            match sender.handle_items(items, &cast().keys[relay], wall, now) {
                Ok(Some(envelope)) => frames.push(envelope.as_bytes().clone()),
                Ok(None) => break,
                Err(fault) => {
                    end = Err(End::Fault(fault));
                    break;
                }
            }
        }
        for bytes in frames {
            self.envelopes += 1;
            self.keep_for_replay(relay, key, &bytes);
            self.send(stream, relay, Frame::Envelope(bytes));
        }
        end
    }

    /// The timer for silence, for the end of the turn, and for a lane without work.
    fn arm(&mut self, relay: RelayNo, key: LaneKey) {
        let (now, boot) = (self.now, self.relays[relay].boot);
        let Some(work) = self.relays[relay].memory.work.get_mut(&key) else { return };
        let Some(sender) = &work.sender else { return };
        let silence = sender.poll_timeout().map(|at| at.0.saturating_sub(now));
        let leave = work.leave_by.map(|at| at.saturating_sub(now));
        let wait = leave.into_iter().chain(silence).min().unwrap_or(IDLE_MS);
        work.timer += 1;
        let timer = work.timer;
        self.after(wait.max(1), Event::LaneTimer { relay, boot, key, timer });
    }

    pub(crate) fn lane_timer(&mut self, relay: RelayNo, key: LaneKey, timer: u64) {
        let now = Millis(self.now);
        let Some(work) = self.relays[relay].memory.work.get(&key).filter(|work| work.timer == timer) else {
            return;
        };
        let Some(sender) = work.sender.as_ref().filter(|_| !work.busy) else { return };
        if work.idle {
            self.ended(relay, key, Ended::Done);
        } else if sender.handle_timeout(now) {
            let progress = work.progress;
            self.ended(relay, key, Ended::Failed { progress });
        } else {
            self.go_on_sending(relay, key);
        }
    }

    pub(crate) fn receipt(
        &mut self,
        relay: RelayNo,
        peer: RelayNo,
        class: LaneClass,
        stream: StreamId,
        receipt: ReceiptFrame,
    ) {
        let key = LaneKey { peer, class };
        let now = Millis(self.now);
        let work = self.relays[relay].memory.work.get_mut(&key).filter(|work| work.stream == stream);
        let Some(work) = work else { return };
        if work.busy {
            return work.receipts.push_back(receipt);
        }
        let Some(sender) = &mut work.sender else { return };
        match sender.handle_receipt(receipt, now) {
            Ok(Progress::Acknowledged { next, refused }) => {
                if next > LaneSeq(work.told) || !refused.is_empty() {
                    (work.told, work.progress) = (next.0, true);
                    work.busy = true;
                    let write = Write::Acked { lane: key, life: work.life, next: next.0, refused };
                    return self.write(relay, write, After::Outbox(key, stream));
                }
                self.go_on_sending(relay, key);
            }
            Ok(Progress::Later { retry_after_ms }) => self.ended(relay, key, Ended::Later(retry_after_ms)),
            Ok(Progress::Refused(refusal)) => {
                let why = format!("{}: {}", refusal.rule, refusal.detail.as_str());
                self.broke("no honest relay breaks a rule", format!("r{relay} to r{peer}: {why}"));
            }
            Err(fault) => self.fault(relay, key, &fault),
        }
    }

    /// The destination has closed a stream: it has taken up another one of the lane.
    pub(crate) fn closed(&mut self, relay: RelayNo, peer: RelayNo, class: LaneClass, stream: StreamId) {
        let key = LaneKey { peer, class };
        let Some(work) = self.relays[relay].memory.work.get(&key).filter(|work| work.stream == stream) else {
            return;
        };
        if work.busy || work.sender.is_none() {
            return self.send(stream, peer, Frame::Closed);
        }
        let progress = work.progress;
        self.ended(relay, key, Ended::Failed { progress });
    }

    /// The worker goes on when the outbox knows.
    pub(crate) fn told(&mut self, relay: RelayNo, key: LaneKey, stream: StreamId) {
        let memory = &mut self.relays[relay].memory;
        let current = memory.sessions.get(&key.peer).copied();
        let Some(work) = memory.work.get_mut(&key).filter(|work| work.stream == stream) else { return };
        work.busy = false;
        if current != Some(work.conn) {
            let progress = work.progress;
            let end = if current.is_some() { Ended::Yielded } else { Ended::NoSession { progress } };
            return self.ended(relay, key, end);
        }
        match work.receipts.pop_front() {
            Some(receipt) => self.receipt(relay, key.peer, key.class, stream, receipt),
            None => self.go_on_sending(relay, key),
        }
    }

    /// One of the two relays was restored from a copy, and the lane goes on in another life; or it is a bug.
    fn fault(&mut self, relay: RelayNo, key: LaneKey, fault: &LinkFault) {
        self.trace.line(self.now, || format!("r{relay}'s {} lane to r{}: {fault}", key.class, key.peer));
        if fault.restored().is_none() || !self.restored {
            let detail = format!("r{relay}'s {} lane to r{}: {fault}", key.class, key.peer);
            return self.broke("links stay sound", detail);
        }
        let Some(work) = self.relays[relay].memory.work.get_mut(&key) else { return };
        // Until the new life is durable, the lane keeps its place.
        work.sender = None;
        let write = Write::BeginLife { lane: key, life: work.life };
        self.write(relay, write, After::NewLife(key));
    }
}
