//! Laws of the schedule, against a world that drives it in any order.

use std::collections::{BTreeMap, BTreeSet};

use posthouse_spec::{Domain, Millis};
use proptest::prelude::*;

use super::tests::{CLASSES, domain, lane, messages};
use super::*;
use crate::host::LaneId;

/// What happens to the world.
#[derive(Debug, Clone)]
enum Event {
    Post(usize, usize),
    /// A relay dies, or comes back.
    Alive(usize, bool),
    /// A relay calls.
    Calls(usize),
    /// A stream sends one item.
    Send(usize, usize),
    Fails(usize, usize),
    Pass(u64),
}

const RELAYS: usize = 5;

fn events() -> impl Strategy<Value = Vec<Event>> {
    let relay = 0..RELAYS;
    let event = prop_oneof![
        6 => (relay.clone(), 0..4_usize).prop_map(|(n, class)| Event::Post(n, class)),
        1 => (relay.clone(), any::<bool>()).prop_map(|(n, alive)| Event::Alive(n, alive)),
        1 => relay.clone().prop_map(Event::Calls),
        8 => (relay.clone(), 0..4_usize).prop_map(|(n, class)| Event::Send(n, class)),
        1 => (relay, 0..4_usize).prop_map(|(n, class)| Event::Fails(n, class)),
        4 => (0..5_000_u64).prop_map(Event::Pass),
    ];
    proptest::collection::vec(event, 0..400)
}

/// Relays that live and die, lanes with items, and the streams that a schedule has started.
struct World {
    schedule: Schedule,
    bounds: Bounds,
    now: u64,
    alive: BTreeSet<usize>,
    items: BTreeMap<LaneId, u64>,
    /// Open streams, and whether each was told to send.
    streams: BTreeMap<LaneId, bool>,
    leaving: BTreeSet<LaneId>,
    dialling: BTreeSet<Domain>,
    dials: u64,
    random: u64,
}

impl World {
    fn new(bounds: Bounds) -> Self {
        Self {
            schedule: Schedule::new(bounds),
            bounds,
            now: 1,
            alive: (0..RELAYS).collect(),
            items: BTreeMap::new(),
            streams: BTreeMap::new(),
            leaving: BTreeSet::new(),
            dialling: BTreeSet::new(),
            dials: 0,
            random: 0,
        }
    }

    fn is_alive(&self, peer: &Domain) -> bool {
        self.alive.iter().any(|n| domain(*n) == *peer)
    }

    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.random
    }

    fn ended(&mut self, id: &LaneId, ended: Ended) {
        self.streams.remove(id);
        self.leaving.remove(id);
        let random = self.random();
        self.schedule.handle_ended(id, ended, Millis(self.now), random);
    }

    fn turn(&mut self) {
        while let Some(step) = self.schedule.poll(Millis(self.now)) {
            match step {
                Step::Start(id) => drop(self.streams.insert(id, true)),
                Step::Yield(id) => {
                    assert!(self.streams.contains_key(&id), "only a stream can leave");
                    self.leaving.insert(id);
                }
                Step::Connect(peer) => {
                    self.dials += 1;
                    assert!(self.dialling.insert(peer), "one dial at a time");
                }
            }
            let load = self.schedule.load();
            assert!(load.active <= self.bounds.active && load.dialling <= self.bounds.dials);
            assert_eq!(load.dialling, self.dialling.len());
        }
        assert!(self.schedule.load().idle <= self.bounds.idle);
        assert!(self.schedule.load().peers <= RELAYS);
    }

    /// One move of a stream: it looks, sends an item, leaves, or finds that its session is gone.
    fn send(&mut self, id: &LaneId) {
        let Some(active) = self.streams.get(id).copied() else { return };
        if !self.is_alive(&id.peer) {
            return self.ended(id, Ended::NoSession { progress: false });
        }
        if self.leaving.contains(id) {
            let waits = self.items.get(id).is_some_and(|items| *items > 0);
            return self.ended(id, if waits && active { Ended::Yielded } else { Ended::Done });
        }
        if !active {
            return;
        }
        self.schedule.handle_look(id);
        match self.items.get_mut(id) {
            Some(items) if *items > 0 => *items -= 1,
            _ => {
                if self.schedule.handle_caught_up(id) {
                    self.streams.insert(id.clone(), false);
                }
            }
        }
    }

    fn step(&mut self, event: &Event) {
        match event {
            Event::Post(n, class) => {
                let id = lane(*n, CLASSES[*class]);
                *self.items.entry(id.clone()).or_default() += 1;
                assert_ne!(self.schedule.handle_wake(&id), Wake::Crowded);
            }
            Event::Alive(n, true) => drop(self.alive.insert(*n)),
            Event::Alive(n, false) => drop(self.alive.remove(n)),
            Event::Calls(n) if self.alive.contains(n) => self.schedule.handle_session(&domain(*n), true),
            Event::Calls(_) => {}
            Event::Send(n, class) => self.send(&lane(*n, CLASSES[*class])),
            Event::Fails(n, class) => {
                let id = lane(*n, CLASSES[*class]);
                if self.streams.contains_key(&id) {
                    self.ended(&id, Ended::Failed { progress: false });
                }
            }
            Event::Pass(ms) => {
                self.now += ms;
                self.end_dials();
            }
        }
        self.turn();
    }

    fn end_dials(&mut self) {
        for peer in std::mem::take(&mut self.dialling) {
            let dialled = if self.is_alive(&peer) { Dialled::Reached } else { Dialled::Failed };
            let random = self.random();
            self.schedule.handle_dialled(&peer, dialled, Millis(self.now), random);
        }
    }

    /// Everybody who lives works until nothing is left to do.
    fn settle(&mut self) {
        for _ in 0..20_000 {
            self.end_dials();
            self.turn();
            let streams: Vec<LaneId> = self.streams.keys().cloned().collect();
            for id in &streams {
                self.send(id);
                self.turn();
            }
            let waits = |(id, items): (&LaneId, &u64)| *items > 0 && self.is_alive(&id.peer);
            if !self.items.iter().any(waits) {
                return;
            }
            self.now += 250;
        }
        panic!("something waits for ever: {:?} of {:?}", self.items, self.schedule);
    }
}

fn narrow() -> Bounds {
    Bounds { active: 2, idle: 1, dials: 2, redials: 1, peers: RELAYS, slice_ms: 1_000 }
}

proptest! {
    #[test]
    fn whatever_happens_nothing_waits_for_ever_for_a_relay_that_lives(events in events()) {
        let mut world = World::new(narrow());
        for event in &events {
            world.step(event);
        }
        world.settle();
    }

    #[test]
    fn dead_relays_hold_no_place_and_delay_nobody(dead in 1..RELAYS) {
        let mut world = World::new(narrow());
        world.alive = (dead..RELAYS).collect();
        for n in 0..RELAYS {
            world.step(&Event::Post(n, 1));
        }
        for _ in 0..(RELAYS * 2) {
            world.step(&Event::Pass(10));
            for n in 0..RELAYS {
                world.step(&Event::Send(n, 1));
                world.step(&Event::Send(n, 1));
                world.step(&Event::Send(n, 1));
            }
            prop_assert!(world.streams.keys().all(|id| world.is_alive(&id.peer)));
        }
        for n in dead..RELAYS {
            prop_assert_eq!(world.items[&messages(n)], 0, "relay {} had its turn", n);
        }
    }

    #[test]
    fn an_endless_backlog_yields_to_whoever_waits(backlogs in 3..RELAYS) {
        let mut world = World::new(narrow());
        for n in 0..backlogs {
            world.items.insert(messages(n), 1_000_000);
            world.step(&Event::Post(n, 1));
            world.step(&Event::Calls(n));
        }
        let mut served = BTreeSet::new();
        for _ in 0..200 {
            served.extend(world.streams.keys().cloned());
            for id in world.streams.keys().cloned().collect::<Vec<_>>() {
                world.send(&id);
            }
            world.step(&Event::Pass(100));
        }
        prop_assert_eq!(served.len(), backlogs);
    }
}
