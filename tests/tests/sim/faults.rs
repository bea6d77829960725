//! What goes wrong, by chance.

use posthouse_federation::policy::Policy;
use posthouse_spec::Signed;
use posthouse_spec::envelope::Envelope;
use posthouse_spec::peer::deliver::Open;

use crate::cast::{RelayNo, cast, home};
use crate::net::{ConnId, Frame};
use crate::plan::Mutation;
use crate::relay::Memory;
use crate::store::LaneKey;
use crate::world::{Event, World};

/// The farthest that a clock jumps, milliseconds.
const MAX_JUMP_MS: i64 = 3_600_000;
/// Envelopes that are kept to be sent again.
const MAX_KEPT: usize = 64;

impl World {
    /// The next thing to go wrong.
    pub(crate) fn next_fault(&mut self) {
        if self.now >= self.plan.quiet_at {
            return;
        }
        self.faults += 1;
        let relay = self.rng.below(self.relays.len());
        match self.rng.below(100) {
            0..20 => self.crash(relay),
            20..45 => self.break_one(),
            45..60 => self.partition(relay),
            60..70 => self.jump(relay),
            70..78 => self.deny(relay),
            78..92 => {
                let (device, later) = (self.rng.below(self.devices.len()), self.rng.between(10, 20_000));
                self.disconnect(device, later);
            }
            // A disk that takes its time.
            _ => self.slow_until[relay] = self.now + self.rng.between(500, 5_000),
        }
        let wait = self.rng.between(1, 2 * self.plan.fault_every);
        self.after(wait, Event::Fault);
    }

    /// A relay dies: what was not durable is gone.
    pub(crate) fn crash(&mut self, relay: RelayNo) {
        if !self.relays[relay].up {
            return;
        }
        let lost = self.relays[relay].queue.len();
        self.trace.line(self.now, || format!("r{relay} crashes; {lost} transactions are lost"));
        let owner = &mut self.relays[relay];
        owner.up = false;
        owner.queue.clear();
        owner.due = false;
        owner.memory = Memory::new(self.bounds);
        owner.ahead = None;
        if self.plan.mutation == Some(Mutation::ForgetTheCursor) {
            owner.disk.cursors.clone_from(&owner.cursors);
        }
        self.crashes += 1;
        let conns: Vec<ConnId> =
            self.net.conns.iter().filter(|(_, conn)| conn.ends.contains(&relay)).map(|(id, _)| *id).collect();
        for conn in conns {
            self.cut(conn, [true; 2]);
        }
        for device in 0..self.devices.len() {
            if home(device) == relay {
                let later = self.rng.between(50, 3_000);
                self.disconnect(device, later);
            }
        }
        let down =
            if self.rng.chance(300) { self.rng.between(5_000, 60_000) } else { self.rng.between(10, 3_000) };
        let boot = self.relays[relay].boot;
        self.after(down, Event::Start { relay, boot });
    }

    /// A relay's disk is lost, and the copy put in its place.
    pub(crate) fn restore(&mut self, relay: RelayNo) {
        self.crash(relay);
        if let Some((_, copy)) = self.copy.take() {
            self.trace.line(self.now, || format!("r{relay} is restored from an older copy"));
            self.relays[relay].disk = *copy;
            self.restored = true;
            self.laws.restored(relay);
            // It may be started once more before it has met anybody.
            if self.rng.chance(500) {
                let later = self.rng.between(100, 8_000);
                self.after(later, Event::Crash { relay });
            }
        }
    }

    /// A relay starts, and greets its neighbours.
    pub(crate) fn start(&mut self, relay: RelayNo) {
        self.trace.line(self.now, || format!("r{relay} starts"));
        let owner = &mut self.relays[relay];
        (owner.up, owner.boot) = (true, owner.boot + 1);
        owner.disk.lanes.values_mut().for_each(crate::store::OutLane::restart);
        owner.disk.mailboxes.values_mut().for_each(crate::store::Mailbox::restart);
        if self.plan.mutation == Some(Mutation::ForgetTheUnsent) {
            owner.disk.lanes.values_mut().for_each(|lane| lane.ledger.handed = lane.ledger.next);
        }
        self.greet(relay);
    }

    pub(crate) fn greet(&mut self, relay: RelayNo) {
        let disk = &self.relays[relay].disk;
        let own = &cast().domains[relay];
        let shared = disk.rooms.values().filter(|room| room.active).flat_map(|room| {
            let homes = room.current().other_relays(own);
            homes.into_iter().map(|home| crate::cast::relay_no(&home)).chain([room.hub])
        });
        let waiting = disk.lanes.iter().filter(|(_, lane)| !lane.rows.is_empty()).map(|(key, _)| key.peer);
        let all: std::collections::BTreeSet<RelayNo> =
            shared.chain(waiting).filter(|peer| *peer != relay).collect();
        for peer in all {
            self.greet_one(relay, peer);
        }
        let keys: Vec<LaneKey> = self.relays[relay].disk.lanes.keys().copied().collect();
        for key in keys {
            self.wake_lane(relay, key);
        }
        let boot = self.relays[relay].boot;
        self.after(1_000, Event::Tick { relay, boot });
    }

    fn break_one(&mut self) {
        let conns: Vec<ConnId> = self.net.conns.keys().copied().collect();
        // The newest ones are in use.
        let Some(conn) = self.rng.pick(&conns[conns.len().saturating_sub(8)..]).copied() else { return };
        let dead = match self.rng.below(4) {
            0 => [true, false],
            1 => [false, true],
            _ => [true, true],
        };
        self.cut(conn, dead);
    }

    /// Nothing passes between a relay and some others, in one direction or in both.
    fn partition(&mut self, relay: RelayNo) {
        let both = self.rng.chance(600);
        for other in 0..self.relays.len() {
            if other == relay || !self.rng.chance(600) {
                continue;
            }
            self.net.blocked.insert((relay, other));
            if both {
                self.net.blocked.insert((other, relay));
            }
            let conns: Vec<(ConnId, bool)> = self
                .net
                .conns
                .iter()
                .filter(|(_, conn)| conn.ends.contains(&relay) && conn.ends.contains(&other))
                .map(|(id, conn)| (*id, conn.ends[0] == relay))
                .collect();
            for (conn, first) in conns {
                self.cut(conn, [first || both, !first || both]);
            }
        }
        self.trace.line(self.now, || format!("r{relay} is cut off, both ways: {both}"));
        let heal = self.rng.between(500, 40_000);
        self.after(heal, Event::Heal { relay });
    }

    pub(crate) fn heal(&mut self, relay: RelayNo) {
        self.net.blocked.retain(|(a, b)| *a != relay && *b != relay);
    }

    fn jump(&mut self, relay: RelayNo) {
        let jump = self.rng.bits() as i64 % MAX_JUMP_MS;
        let jump = if self.rng.chance(500) { jump / 60 } else { jump };
        self.trace.line(self.now, || format!("r{relay}'s clock is off by {jump} ms"));
        self.relays[relay].skew = jump;
        let right = self.rng.between(1_000, 20_000);
        self.after(right, Event::SetClock { relay });
    }

    fn deny(&mut self, relay: RelayNo) {
        let other = self.rng.below(self.relays.len());
        if other == relay {
            return;
        }
        self.trace.line(self.now, || format!("r{relay} denies r{other}"));
        self.relays[relay].policy = Policy::Deny([cast().domains[other].clone()].into());
        if let Some(conn) = self.relays[relay].memory.sessions.get(&other).copied() {
            self.cut(conn, [true; 2]);
        }
        let allow = self.rng.between(500, 20_000);
        self.after(allow, Event::Allow { relay });
    }

    /// Right behind an event, for crashes between any two steps.
    pub(crate) fn sudden(&mut self, relay: RelayNo) {
        let faulty = (self.plan.calm_until..self.plan.quiet_at).contains(&self.now);
        if faulty && self.rng.chance(self.plan.sudden) {
            self.faults += 1;
            self.crash(relay);
        }
    }

    /// No more faults: everything that is broken is mended, and must come to rest.
    pub(crate) fn quiet(&mut self) {
        self.trace.line(self.now, || "the faults are over".to_owned());
        self.net.blocked.clear();
        self.give_up_commits();
        self.slow_until.iter_mut().for_each(|until| *until = 0);
        for relay in 0..self.relays.len() {
            self.relays[relay].skew = 0;
            self.relays[relay].policy = Policy::Open;
        }
    }

    pub(crate) fn keep_for_replay(&mut self, relay: RelayNo, key: LaneKey, bytes: &bytes::Bytes) {
        if self.kept.len() >= MAX_KEPT {
            self.kept.clear();
        }
        self.kept.push((relay, key, bytes.clone()));
    }

    /// A stream may begin with something that came before: duplicates on the wire.
    pub(crate) fn replay(&mut self, relay: RelayNo, origin: RelayNo, open: &Open, cursor: u64) {
        if self.now >= self.plan.quiet_at || !self.rng.chance(200) {
            return;
        }
        let stream =
            self.relays[relay].memory.incoming.get(&(origin, open.class)).map(|incoming| incoming.stream);
        let found = self.kept.iter().rev().find_map(|(from, key, bytes)| {
            let envelope = Signed::<Envelope>::from_bytes(bytes.clone()).ok()?.peek().ok()?;
            let same = *from == origin && key.peer == relay && key.class == open.class;
            let fits = same && envelope.incarnation == open.incarnation && envelope.next().0 <= cursor;
            fits.then(|| bytes.clone())
        });
        if let (Some(stream), Some(bytes)) = (stream, found) {
            self.trace.line(self.now, || format!("an old envelope of r{origin} comes to r{relay} again"));
            self.faults += 1;
            self.send(stream, origin, Frame::Envelope(bytes));
        }
    }
}
