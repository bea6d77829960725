//! The world: virtual time, one thread, one thing after the other.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use bytes::Bytes;
use posthouse_federation::schedule::Bounds;
use posthouse_relay::quota::Quota;
use posthouse_spec::Millis;

use crate::cast::{DEVICES, DeviceNo, RelayNo, RoomNo, home};
use crate::devices::{Device, Line};
use crate::laws::{Broken, Laws};
use crate::net::{AskId, ConnId, Frame, Net, Question, Reply, StreamId};
use crate::plan::{Mutation, Plan, Profile, SMALL_MAILBOX};
use crate::relay::{After, Relay};
use crate::rng::Rng;
use crate::store::{LaneKey, Store, Write};
use crate::trace::{Trace, Tracing};

/// How long the world may take to come to rest when the faults are over, milliseconds: the longest backoff, twice.
const REST_MS: u64 = 2 * posthouse_federation::retry::MAX_DELAY_MS;
/// How long the world goes on from its first moment of rest, milliseconds: what is under way then, late and twice, still comes
/// and must change nothing.
const LINGER_MS: u64 = 30_000;
/// Most events of one world: a world that runs in circles ends.
const MAX_EVENTS: u64 = 400_000;
/// How often a relay looks after itself, milliseconds.
const TICK_MS: u64 = 2_000;

#[derive(Debug, Clone)]
pub(crate) enum Event {
    Commit { relay: RelayNo, boot: u64 },
    Dialled { from: RelayNo, boot: u64, to: RelayNo, number: u64 },
    Scheduled { relay: RelayNo, boot: u64, at: u64 },
    Lost { conn: ConnId, relay: RelayNo, boot: u64 },
    Frame { stream: StreamId, from: RelayNo, frame: Frame },
    LaneTimer { relay: RelayNo, boot: u64, key: LaneKey, timer: u64 },
    Ask { conn: ConnId, ask: AskId, from: RelayNo, to: RelayNo, question: Question },
    Answer { conn: ConnId, ask: AskId, from: RelayNo, to: RelayNo, reply: Reply },
    AskTimeout { relay: RelayNo, boot: u64, ask: AskId },
    Line { device: DeviceNo, socket: u64, up: bool, line: Line },
    Connect { device: DeviceNo },
    Again { device: DeviceNo, socket: u64 },
    Tick { relay: RelayNo, boot: u64 },
    Say { device: DeviceNo },
    Propose,
    Fault,
    Start { relay: RelayNo, boot: u64 },
    Copy { relay: RelayNo },
    Restore { relay: RelayNo },
    Crash { relay: RelayNo },
    Heal { relay: RelayNo },
    SetClock { relay: RelayNo },
    Allow { relay: RelayNo },
    Quiet,
}

struct Due {
    at: u64,
    number: u64,
    event: Event,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) now: u64,
    pub(crate) rng: Rng,
    pub(crate) net: Net,
    pub(crate) relays: Vec<Relay>,
    pub(crate) devices: Vec<Device>,
    pub(crate) laws: Laws,
    pub(crate) trace: Trace,
    pub(crate) broken: Option<Broken>,
    /// Whether acknowledgements are held against the disk as they go out. Without it a planted bug must show in what
    /// comes of it.
    pub(crate) strict: bool,
    /// The copy of a relay's disk, and whether that relay was restored from it.
    pub(crate) copy: Option<(RelayNo, Box<Store>)>,
    pub(crate) restored: bool,
    pub(crate) bounds: Bounds,
    /// Most items of one envelope, and of one lane in flight.
    pub(crate) batch: usize,
    pub(crate) credit: u64,
    pub(crate) slow_until: Vec<u64>,
    pub(crate) kept: Vec<(RelayNo, LaneKey, Bytes)>,
    pub(crate) faults: u64,
    pub(crate) crashes: u64,
    pub(crate) envelopes: u64,
    pub(crate) events: u64,
    queue: BinaryHeap<Reverse<Due>>,
    number: u64,
}

impl World {
    pub(crate) fn new(plan: Plan, tracing: Tracing, strict: bool) -> Self {
        let mut rng = Rng::new(plan.seed);
        let quota = match plan.profile {
            Profile::SmallMailboxes => Quota { items: SMALL_MAILBOX, bytes: u64::MAX },
            _ => Quota::default(),
        };
        let bounds = Bounds {
            active: 1 + rng.below(16),
            idle: 1 + rng.below(8),
            dials: 2 + rng.below(4),
            redials: 1,
            slice_ms: rng.between(100, 1_000),
            ..Bounds::default()
        };
        let relays: Vec<Relay> = (0..plan.relays)
            .map(|no| Relay::new(Store::new(no, no * DEVICES..(no + 1) * DEVICES, quota), bounds))
            .collect();
        let mut world = Self {
            now: 0,
            net: Net::default(),
            devices: (0..plan.relays * DEVICES).map(|_| Device::new()).collect(),
            laws: Laws::default(),
            trace: Trace::new(tracing),
            broken: None,
            strict,
            copy: None,
            restored: false,
            bounds,
            batch: 1 + rng.below(8),
            credit: rng.between(2, 32),
            slow_until: vec![0; relays.len()],
            kept: Vec::new(),
            faults: 0,
            crashes: 0,
            envelopes: 0,
            events: 0,
            queue: BinaryHeap::new(),
            number: 0,
            relays,
            rng,
            plan,
        };
        world.batch = world.batch.min(usize::try_from(world.credit).unwrap_or(1));
        world.begin_rooms();
        world
    }

    pub(crate) fn at(&mut self, at: u64, event: Event) {
        self.number += 1;
        self.queue.push(Reverse(Due { at, number: self.number, event }));
    }

    pub(crate) fn after(&mut self, wait: u64, event: Event) {
        self.at(self.now.saturating_add(wait), event);
    }

    /// A relay's own clock.
    pub(crate) fn lane_clock(&self, relay: RelayNo) -> Millis {
        // So far ahead that a clock that is off by hours does not show a time before the beginning.
        Millis(self.relays[relay].clock(self.now + (1 << 40)))
    }

    /// The rooms are founded; who is in them besides the founder comes by the first commits.
    fn begin_rooms(&mut self) {
        for room in 0..self.plan.rooms {
            let founder = self.rng.below(self.devices.len());
            self.laws.found(room, founder);
            self.write(home(founder), Write::Found { room, founder }, After::Nothing);
        }
        for device in 0..self.devices.len() {
            let later = self.rng.between(1, 200);
            self.after(later, Event::Connect { device });
        }
        for relay in 0..self.relays.len() {
            let boot = self.relays[relay].boot;
            self.after(TICK_MS, Event::Tick { relay, boot });
        }
        for _ in 0..self.plan.messages {
            let at = self.rng.between(1_500, self.plan.quiet_at);
            let device = self.rng.below(self.devices.len());
            self.at(at, Event::Say { device });
        }
        for n in 0..self.plan.commits {
            let at = if n < 2 { 400 + 400 * n as u64 } else { self.rng.between(1_500, self.plan.quiet_at) };
            if n < 2 || !self.plan.profile.is_settled() {
                self.at(at, Event::Propose);
            }
        }
        if self.plan.profile == Profile::Restore {
            let copied = self.rng.between(5_000, self.plan.quiet_at / 2);
            let relay = self.rng.below(self.relays.len());
            self.at(copied, Event::Copy { relay });
            let restored = self.rng.between(copied + 500, self.plan.quiet_at - 1);
            self.at(restored, Event::Restore { relay });
        }
        self.at(self.plan.calm_until, Event::Fault);
        self.at(self.plan.quiet_at, Event::Quiet);
    }

    /// Runs the world to its rest, or to the first broken law.
    pub(crate) fn run(&mut self) {
        let (mut rested, mut end) = (false, None);
        while let Some(Reverse(due)) = self.queue.pop() {
            self.now = self.now.max(due.at);
            self.events += 1;
            if self.events > MAX_EVENTS || self.now > self.plan.quiet_at + REST_MS + LINGER_MS {
                break;
            }
            self.happen(due.event);
            if self.broken.is_some() {
                return;
            }
            if self.events.is_multiple_of(256) {
                self.check_bounds();
            }
            if self.now > self.plan.quiet_at && self.relays.iter().all(|relay| relay.up) && self.is_quiet() {
                rested = self.now >= *end.get_or_insert(self.now + LINGER_MS);
                if rested {
                    break;
                }
            }
        }
        if rested {
            return self.check_end();
        }
        for no in 0..self.relays.len() {
            let aside = format!("r{no} has put aside {:?}", self.relays[no].disk.aside);
            self.trace.line(self.now, || aside);
        }
        let waiting: Vec<_> = self.relays.iter().map(|relay| relay.disk.waiting()).collect();
        let restless: Vec<DeviceNo> =
            (0..self.devices.len()).filter(|device| !self.devices[*device].is_idle()).collect();
        self.broke(
            "when the faults are over, everything drains",
            format!("{waiting:?}, devices {restless:?}"),
        );
    }

    fn is_current(&self, relay: RelayNo, boot: u64) -> bool {
        self.relays[relay].up && self.relays[relay].boot == boot
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Commit { relay, boot } if self.is_current(relay, boot) => {
                self.commit(relay);
                self.sudden(relay);
            }
            Event::Dialled { from, boot, to, number } if self.is_current(from, boot) => {
                self.dialled(from, to, number);
            }
            Event::Scheduled { relay, boot, at } if self.is_current(relay, boot) => self.scheduled(relay, at),
            Event::Lost { conn, relay, boot } if self.is_current(relay, boot) => self.lost(conn, relay),
            Event::Frame { stream, from, frame } => {
                self.frame(stream, from, frame);
                self.sudden(from);
            }
            Event::LaneTimer { relay, boot, key, timer } if self.is_current(relay, boot) => {
                self.lane_timer(relay, key, timer);
            }
            Event::Ask { conn, ask, from, to, question } if self.arrives(conn, from) => {
                self.asked(to, conn, ask, from, &question);
            }
            Event::Answer { conn, ask, from, to, reply } if self.arrives(conn, from) => {
                self.answered(to, ask, reply);
                self.sudden(to);
            }
            Event::AskTimeout { relay, boot, ask } if self.is_current(relay, boot) => {
                self.ask_failed(relay, ask)
            }
            Event::Line { device, socket, up, line } => self.line_arrives(device, socket, up, line),
            Event::Connect { device } => self.connect(device),
            Event::Again { device, socket } => self.again(device, socket),
            Event::Tick { relay, boot } if self.is_current(relay, boot) => self.tick(relay),
            Event::Say { device } => self.someone_says(device),
            Event::Propose => self.someone_proposes(),
            Event::Fault => self.next_fault(),
            Event::Start { relay, boot } if self.relays[relay].boot == boot => self.start(relay),
            Event::Copy { relay } => self.copy = Some((relay, Box::new(self.relays[relay].disk.clone()))),
            Event::Restore { relay } => self.restore(relay),
            Event::Crash { relay } => self.crash(relay),
            Event::Heal { relay } => self.heal(relay),
            Event::SetClock { relay } => self.relays[relay].skew = 0,
            Event::Allow { relay } => self.relays[relay].policy = Default::default(),
            Event::Quiet => self.quiet(),
            // Of an earlier life of its relay, or over a connection that is gone.
            _ => {}
        }
    }

    fn someone_says(&mut self, device: DeviceNo) {
        let rooms: Vec<RoomNo> = self.devices[device].rooms.keys().copied().collect();
        if let Some(room) = self.rng.pick(&rooms).copied() {
            self.say(device, room);
        }
    }

    /// A member adds or removes somebody.
    fn someone_proposes(&mut self) {
        let early = self.now < 1_500;
        for room in 0..self.plan.rooms {
            let members = self.laws.members(room);
            let Some(by) = self.rng.pick(&members).copied() else { continue };
            let others: Vec<DeviceNo> = (0..self.devices.len()).filter(|n| !members.contains(n)).collect();
            let mut adds = Vec::new();
            for _ in 0..if early { 1 + self.rng.below(5) } else { self.rng.below(3) } {
                adds.extend(self.rng.pick(&others).copied().filter(|device| !adds.contains(device)));
            }
            let mut removes = Vec::new();
            if !early && self.rng.chance(500) {
                let who = self.rng.pick(&members).copied();
                // One device, or with it all others of its relay.
                let whole = self.rng.chance(400);
                let goes = |device: &DeviceNo| {
                    who.is_some_and(|who| who == *device || (whole && home(who) == home(*device)))
                };
                removes.extend(members.iter().copied().filter(|device| *device != by && goes(device)));
            }
            self.plan_commit(by, room, adds, removes);
        }
    }

    fn tick(&mut self, relay: RelayNo) {
        self.catch_up(relay);
        if self.plan.profile == Profile::ShortRetention && self.now > 5_000 {
            let retention_ms = self.plan.retention_ms();
            self.write(relay, Write::Sweep { retention_ms }, After::Nothing);
        }
        let keys: Vec<LaneKey> = self.relays[relay].disk.lanes.keys().copied().collect();
        for key in keys {
            if self.relays[relay].disk.lanes[&key].rows.front().is_some() {
                self.wake_lane(relay, key);
            }
        }
        if self.plan.mutation == Some(Mutation::ForgetTheCursor) {
            let owner = &mut self.relays[relay];
            owner.cursors.clone_from(&owner.disk.cursors);
        }
        let boot = self.relays[relay].boot;
        // Where lanes expire, often, so that it comes between any two steps.
        let tick = if self.plan.profile == Profile::ShortRetention { TICK_MS / 10 } else { TICK_MS };
        self.after(tick, Event::Tick { relay, boot });
    }
}
